//! `/api/v1/tenants/{tenantId}/events`: facts that are stored now and decided soon after. How they are sent is in
//! `sending`, how they are looked up in `reading`.

mod accepting;
mod stream;
pub mod sending;
pub mod reading;
