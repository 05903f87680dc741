//! Limits over HTTP: bodies in, bodies out, and the headers that say what is left. What is counted,
//! and why, is the domain's; how checks of several partitions are put together, the node's.

mod checks;
mod headers;
mod policies;
mod requests;
mod subjects;
mod views;

pub(crate) use checks::{check, peek, refund, release, renew, reset};
pub(crate) use policies::{delete, get, list, put};
pub(crate) use requests::{
    CheckRequest, LimitRequest, RefundRequest, ReleaseRequest, RenewRequest, ResetRequest,
};
pub(crate) use views::{
    CheckedBody, LimitBody, LimitList, ReleasedBody, RenewedBody, SubjectsBody,
};
