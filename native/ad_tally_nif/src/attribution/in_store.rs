//! The place of an attribution in a store.

use ad_tally_core::attribution::Shape;

use crate::store::Stored;

/// An attribution's place in a store.
pub struct InStore {
    /// The part that it is.
    pub stored: Stored,
    /// The configurations that it had before, by their numbers.
    pub olds: Vec<(u32, Shape)>,
}
