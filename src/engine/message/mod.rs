//! What the actors send each other. Sender and receiver both import this, and neither imports the other.

mod exit;
mod tenant;
mod counted;
mod supervisor;

pub use self::{
    counted::{CountedMsg, send},
    exit::Exit,
    supervisor::SupervisorMsg,
    tenant::{Committed, HintHold, LoadError, Loaded, Missing, TenantMsg, Waiter},
};
