//! What a part needs to write into a journal.

use std::sync::Arc;

use super::Journal;

/// The journal that a part writes what it does into, and the number it does so under.
#[derive(Clone)]
pub struct Part {
    /// Where it writes.
    pub journal: Arc<Journal>,
    /// The number in its records.
    pub number: u16,
}
