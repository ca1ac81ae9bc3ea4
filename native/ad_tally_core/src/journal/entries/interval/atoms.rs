//! What the atoms in keys stand for. A key has an atom's hash only; the text is written once, before the first key with it.

use std::collections::HashSet;

use ahash::RandomState;

use crate::journal::{Entry, RunWriter, STORE_PART};
use crate::key::{Element, KeyRef};

/// Which atoms a store has the texts of.
pub struct Atoms {
    written: HashSet<u64, RandomState>,
    texts: Box<dyn Fn(u64) -> Option<String> + Send + Sync>,
}

impl Atoms {
    /// None so far. `texts` gives the text of an atom by its hash.
    #[must_use]
    pub fn new(texts: Box<dyn Fn(u64) -> Option<String> + Send + Sync>) -> Self {
        Self { written: HashSet::default(), texts }
    }

    /// Notes that the store has the text of an atom.
    pub fn note(&mut self, hash: u64) {
        self.written.insert(hash);
    }

    /// Writes the texts that the store does not have, of hashes in order.
    pub(super) fn write(&mut self, hashes: &[u64], run: &mut RunWriter) {
        for hash in hashes {
            if self.written.contains(hash) {
                continue;
            }
            if let Some(text) = (self.texts)(*hash) {
                run.push(STORE_PART, &Entry::Atom { hash: *hash, text: &text });
                self.written.insert(*hash);
            }
        }
    }
}

impl std::fmt::Debug for Atoms {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Atoms").field("written", &self.written.len()).finish_non_exhaustive()
    }
}

/// Appends the hashes of a key's atoms.
pub(super) fn of_key(words: &[u64], hashes: &mut Vec<u64>) {
    if words.is_empty() {
        return;
    }
    hashes.extend(KeyRef::new(words).elements().filter_map(|element| match element {
        Element::Atom(hash) => Some(hash),
        _ => None,
    }));
}
