//! Terms to Rust values, and what is raised where they are none.
//!
//! From the bottom to the top:
//!
//! * `layout`: how the VM lays terms out
//! * `read`: readers of integers, atoms, lists, tuples and binaries
//! * `calibrate`: whether this VM has one of the layouts
//! * [`shown`]: terms in Elixir's syntax, in messages, within microseconds whatever they are
//! * [`interner`]: atoms by the hash of their text
//! * [`bad_argument`]: what is raised for bad arguments
//! * [`keys`]: keys, scopes, ids and users, by their `roles`; [`ids`]: those of touches and orders
//! * `structs`: Elixir's structs; [`events`]: those that are recorded

pub mod bad_argument;
mod calibrate;
pub mod events;
pub mod ids;
pub mod interner;
pub mod keys;
mod layout;
mod read;
mod roles;
pub mod shown;
mod structs;
pub mod zone;

use rustler::Env;

pub use bad_argument::BadArgument;
pub(crate) use layout::with_layout;
pub use layout::{Bits, Bytes, Known, Layout, Raw, Unknown, argument, atom_of_word, layout};
pub use read::*;

/// Finds out how the VM lays out terms and events.
pub fn calibrate(env: Env<'_>) {
    calibrate::calibrate(env);
    events::calibrate(env);
}

/// Has the VM's functions asked from now on, whatever the layout. `calibrate` takes it back.
pub fn forget_layout() {
    calibrate::forget_layout();
    events::forget_layout();
}

/// What is read in place: terms, events.
pub fn in_place() -> (bool, bool) {
    (layout() != Known::Unknown, events::is_layout_known())
}
