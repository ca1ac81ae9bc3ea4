//! How values of one key come to one.
//!
//! * [`ticks`], [`touches`], [`users`]: those for which it takes more than a sum or a maximum

pub(super) mod ticks;
pub(super) mod touches;
pub(super) mod users;
