//! A node's pacer and the ledger of the budgets that this node coordinates, as one part of a store.

use std::sync::Arc;

use super::ledger::{self, FIRST_KIND, FIRST_TABLE, Ledger};
use super::node::{self, Node, WithoutRoom};
use crate::error::Error;
use crate::journal::{Entries, Entry, Fold, Part, Record, Restore};
use crate::key::Seed;

/// What one node has of a pacer. Both sides write to one part of the store, in one order: so a grant that a node gets from itself is
/// on disk with what it does with it.
pub struct Pacer {
    /// Requests of this node.
    pub node: Node,
    /// The budgets that it is the coordinator of.
    pub ledger: Ledger,
}

impl Pacer {
    /// One without campaigns, whose seed is that of all nodes.
    ///
    /// # Errors
    /// As [`Node::new`].
    pub fn new(node: &node::Config, ledger: ledger::Config, seed: &Seed, part: Option<Part>) -> Result<Self, Error> {
        let node = Node::new(node, seed.clone(), part.clone())?;
        Ok(Self { node, ledger: Ledger::new(ledger, seed.clone(), part) })
    }

    /// What becomes of its records, for its store.
    #[must_use]
    pub fn fold(&self) -> Arc<dyn Fold> {
        Arc::new(Folding { node: self.node.fold(), ledger: self.ledger.fold() })
    }

    /// Begins to take entries back. Nothing is used before [`Restoring::finish`].
    #[must_use]
    pub fn restoring(&self) -> Restoring<'_> {
        Restoring { node: self.node.restoring(), ledger: self.ledger.restoring() }
    }
}

struct Folding {
    node: node::Fold,
    ledger: Arc<dyn Fold>,
}

impl Fold for Folding {
    fn fold(&self, record: Record<'_>, into: &mut Entries) {
        if record.kind < FIRST_KIND { self.node.fold(record, into) } else { self.ledger.fold(record, into) }
    }

    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        is_of_ledger(entry) || self.node.keeps(entry, newest)
    }
}

/// Whether an entry is one of the ledger's.
fn is_of_ledger(entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Meta { name, .. } => *name >= FIRST_TABLE,
        Entry::Latest { table, .. } | Entry::Item { table, .. } => *table >= FIRST_TABLE,
        _ => false,
    }
}

/// A pacer that takes its entries back.
pub struct Restoring<'p> {
    node: node::Restoring<'p>,
    ledger: ledger::Restoring<'p>,
}

impl Restore for Restoring<'_> {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        if is_of_ledger(&entry) { self.ledger.restore(entry) } else { self.node.restore(entry) }
    }
}

impl Restoring<'_> {
    /// Has all be as it was, once all is read: what there was no room for. **The store must be synced once before the node is used**: that this
    /// start has begun is written now.
    pub fn finish(self, now: u64) -> WithoutRoom {
        self.ledger.finish(now);
        self.node.finish(now)
    }
}
