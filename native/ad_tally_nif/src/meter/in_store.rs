//! The place of a meter in a store.

use std::collections::HashMap;
use std::sync::Arc;

use ad_tally_core::meter::Shape;
use rustler::Atom;

use crate::store::Stored;

/// A meter's place in a store.
pub struct InStore {
    /// The part that it is.
    pub stored: Stored,
    /// The configurations that it had before, by their numbers.
    pub olds: HashMap<u32, Old>,
}

/// A configuration.
pub struct Old {
    /// Its metrics, in their order.
    pub metrics: Arc<[Atom]>,
    /// Of what shape its windows are.
    pub shape: Shape,
}
