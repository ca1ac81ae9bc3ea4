//! Where a table is kept.

use std::sync::{Arc, Weak};

use ad_tally_core::journal::Part;
use ad_tally_core::store::{ConfigMeta, Store as Core};
use parking_lot::Mutex;

use super::open::Open;
use super::slot::Slot;

/// A table's place in a store.
pub struct Stored {
    pub core: Arc<Core>,
    pub part: Part,
    pub(super) name: String,
    /// The configurations that the part had, that of now among them.
    pub(super) configs: Vec<ConfigMeta>,
    pub(super) open: Weak<Open>,
    pub(super) slot: Weak<Mutex<Slot>>,
}

impl Stored {
    /// The number of a configuration.
    pub fn config_number(&self, text: &str) -> Option<u32> {
        self.configs.iter().find(|config| config.text == text).map(|config| config.number)
    }

    /// The text of a configuration.
    pub fn config_text(&self, number: u32) -> Option<&str> {
        self.configs.iter().find(|config| config.number == number).map(|config| config.text.as_str())
    }
}
