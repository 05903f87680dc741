//! Reservations against a naive model.
