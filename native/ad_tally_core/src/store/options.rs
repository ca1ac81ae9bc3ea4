//! How a store is to behave.

use std::time::Duration;

/// The options of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What was recorded is on disk after this long, where nobody asks for it earlier.
    pub interval: Duration,
    /// A segment of this many bytes is ended, and becomes runs.
    pub segment_bytes: u64,
    /// The most bytes of records in memory. What is recorded beyond is refused.
    pub buffer_bytes: usize,
    /// With this many bytes of records they are written before the interval is over.
    pub wake_bytes: usize,
    /// What was forgotten or is gone is in no file any more after this long, and the time that a compaction takes.
    pub max_age: Duration,
    /// Whether a damaged store is opened without what was recorded after the damage.
    pub repair: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            segment_bytes: 64 << 20,
            buffer_bytes: 64 << 20,
            wake_bytes: 8 << 20,
            max_age: Duration::from_secs(3_600),
            repair: false,
        }
    }
}
