//! Where an attribution is kept, and what it was before.

use ad_tally_core::attribution::Shape;

use crate::store::Stored;

/// An attribution's place in a store.
pub struct InStore {
    pub stored: Stored,
    /// The configurations that it had before, by their numbers.
    pub olds: Vec<(u32, Shape)>,
}
