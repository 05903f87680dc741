//! Reservations over HTTP: bodies in, bodies out, and the refusals between. What is decided, and
//! why, is the domain's.

mod changes;
mod events;
mod reads;
mod refusals;
mod requests;
mod views;

pub(crate) use changes::{add_seats, cancel, confirm, extend, hold, put_resource, release};
pub(crate) use events::events;
pub(crate) use reads::{get_hold, get_resource, list_holds, list_resources, list_seats};
pub(crate) use refusals::refused;
pub(crate) use requests::{
    ConfirmRequest, EmptyRequest, ExtendRequest, HoldRequest, PutRequest, SeatsRequest,
};
pub(crate) use views::{HoldBody, HoldList, ResourceBody, ResourceList, SeatList};
