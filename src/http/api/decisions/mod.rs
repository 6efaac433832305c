//! `/api/v1/tenants/{tenantId}/decisions`: what was decided, looked up, searched, sent as lines and decided again; and
//! `config/decision-log`: what of evaluations is recorded.

mod found;
pub mod reading;
pub mod export;
pub mod replay;
pub mod config;
