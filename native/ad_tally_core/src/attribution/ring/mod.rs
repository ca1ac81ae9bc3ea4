//! The touches of users: of each the newest ones, with what attribution has to remember beside them.
//!
//! ```text
//! Ring ──> bucket ──> overflow bucket ──> ...      the high bits of a user's hash name the bucket
//!          │ 10 entries of three words: touches, pending conversions, marks, aliases (`entry`)
//!          └ each carries the low 40 bits of its user's hash, its fingerprint
//! ```
//!
//! A user's entries lie in one bucket and its overflow buckets, in no order. All that is done to a user is done under that
//! bucket's lock. An alias of a user has one entry, in its own bucket, which says whose it is: whoever finds that goes on there.
//! Two locks at a time are held only while two users are united (`link`), in the order of their numbers.

mod convert;
mod entry;
mod forget;
mod insert;
mod link;
mod locked;
mod mark;
mod room;
mod run;
mod side;
mod table;
mod unite;
mod visit;

#[cfg(test)]
#[path = "../../../tests/attribution_ring/mod.rs"]
mod tests;

pub(crate) use convert::Begun;
pub(crate) use entry::Mark;
pub(crate) use forget::Forgotten;
pub(crate) use link::Linked;
pub(crate) use table::Ring;
pub(crate) use unite::Owned;
pub(crate) use visit::Key;
