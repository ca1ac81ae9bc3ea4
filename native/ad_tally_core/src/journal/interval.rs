//! What was written between two cuts, to be read.

use std::sync::Arc;

use super::buffer::Buffer;
use super::pool::Pool;
use super::record::Record;

/// What one cut took. Its memory counts against the journal's bound until it is dropped.
pub struct Interval {
    buffers: Vec<Buffer>,
    pool: Arc<Pool>,
}

impl Interval {
    pub(super) fn new(buffers: Vec<Buffer>, pool: Arc<Pool>) -> Self {
        Self { buffers, pool }
    }

    /// All records. Those of one thread are in the order in which it wrote them; between threads there is none.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.buffers.iter().flat_map(Buffer::records)
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffers.iter().map(Buffer::len).sum()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffers.iter().map(Buffer::bytes).sum()
    }
}

impl Drop for Interval {
    fn drop(&mut self) {
        let chunks = std::mem::take(&mut self.buffers).into_iter().flat_map(Buffer::into_chunks).collect();
        self.pool.give_back(chunks);
    }
}
