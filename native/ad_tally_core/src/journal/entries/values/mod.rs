//! How values of one key come to one.
//!
//! * [`ticks`], [`touches`], [`users`]: those for which it takes more than a sum or a maximum; [`window`]: a window of its own

pub(super) mod ticks;
pub(super) mod touches;
pub(super) mod users;
pub(super) mod window;
