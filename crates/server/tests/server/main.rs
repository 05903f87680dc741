//! The edge as its callers meet it: a real server on a loopback port, driven over TCP.

mod access;
mod events;
mod harness;
mod hostile;
mod ops;
mod problems;
mod reservations;
