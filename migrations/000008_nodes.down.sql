drop table if exists nodes;
