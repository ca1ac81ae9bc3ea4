//! Where a meter is kept, and what it was before.

use std::collections::HashMap;
use std::sync::Arc;

use ad_tally_core::meter::Shape;
use rustler::Atom;

use crate::store::Stored;

/// A meter's place in a store.
pub struct InStore {
    pub stored: Stored,
    /// The configurations that it had before, by their numbers.
    pub olds: HashMap<u32, Old>,
}

/// A configuration.
pub struct Old {
    pub metrics: Arc<[Atom]>,
    pub shape: Shape,
}
