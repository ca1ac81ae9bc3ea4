//! What a store tells of itself: figures, and events as they happen.

use std::time::Duration;

use super::error::Damage;

/// The upper ends of the buckets of [`SyncTimes`], in microseconds: from what a disk with a cache of its own takes to what stops a
/// service.
pub const SYNC_TIMES_US: [u64; 13] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000];

/// A histogram of how long something took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncTimes {
    /// How many took at most the time of the same place in [`SYNC_TIMES_US`], and longer than that of the place before. The last ones
    /// took longer than all.
    pub counts: [u64; SYNC_TIMES_US.len() + 1],
    /// How long all took together, in microseconds.
    pub sum_us: u64,
}

impl SyncTimes {
    pub(super) fn add(&mut self, took_us: u64) {
        self.counts[SYNC_TIMES_US.partition_point(|end| *end < took_us)] += 1;
        self.sum_us += took_us;
    }
}

/// The figures of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// How often the directory was opened.
    pub opened: u32,
    /// Milliseconds since the oldest record that may not be on disk was written, 0 if there is none.
    pub lag_ms: u64,
    /// Bytes of records and of intervals in memory that are not on disk.
    pub lag_bytes: u64,
    /// Records that were written to disk.
    pub records: u64,
    /// How often something was refused because the buffers were full.
    pub busy: u64,
    /// Intervals that were written to disk.
    pub intervals: u64,
    /// Bytes of intervals that were written to disk.
    pub written_bytes: u64,
    /// How many callers had what they recorded made durable.
    pub syncs: u64,
    /// How long the last interval took to be written and synced, in microseconds.
    pub last_sync_us: u64,
    /// How long the slowest one took.
    pub max_sync_us: u64,
    /// How long all intervals took to be written and synced.
    pub sync_times: SyncTimes,
    /// How often the disk refused an interval.
    pub errors: u64,
    /// What it said, while it still refuses.
    pub error: Option<String>,
    /// Files of the store, without the lock.
    pub files: u64,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Bytes of runs that are not yet merged into their bases.
    pub run_bytes: u64,
    /// Bytes of bases.
    pub base_bytes: u64,
    /// How often segments or runs were merged.
    pub compactions: u64,
    /// How often that failed.
    pub compaction_errors: u64,
    /// Bytes that compaction has written.
    pub compacted_bytes: u64,
    /// Bytes at the end of the last segment that were not synced when the process before died.
    pub torn_bytes: u64,
    /// Bytes that the store was opened without, because of a damage.
    pub dropped_bytes: u64,
    /// The parts that the store knows.
    pub parts: Vec<PartInfo>,
}

/// A part, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Whether somebody has attached it since the store was opened. What others hold is kept as it is.
    pub is_attached: bool,
    /// Entries and bytes of its runs.
    pub entries: u64,
    /// See `entries`.
    pub bytes: u64,
}

/// What happened in a store. It is told by the threads of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An interval was made durable.
    Committed {
        /// Its records.
        records: u64,
        /// What they became.
        entries: u64,
        /// Bytes on disk.
        bytes: u64,
        /// From the end of the interval on.
        took: Duration,
    },
    /// The disk refused an interval. It is kept in memory, and tried again in another file.
    Failed {
        /// What the disk said.
        reason: String,
        /// How long what was recorded has waited.
        lag: Duration,
    },
    /// Segments or runs were merged.
    Compacted {
        /// The name of the part, or the empty name for the store's own.
        part: String,
        /// Whether it was into a new base.
        is_base: bool,
        /// Bytes that were read.
        from_bytes: u64,
        /// Bytes that were written.
        bytes: u64,
        /// Entries that were written.
        entries: u64,
        /// How long it took, pauses included.
        took: Duration,
    },
    /// Merging failed. All files are as they were; it is tried again.
    CompactionFailed {
        /// Why.
        reason: String,
    },
    /// The last segment ended with bytes that were not synced when the process died.
    Torn {
        /// The file's name.
        file: String,
        /// How many bytes.
        bytes: u64,
    },
    /// The store was opened without what was recorded after a damage.
    Repaired {
        /// What was wrong.
        damage: Damage,
        /// Bytes that do not count any more.
        bytes: u64,
    },
    /// A part was loaded.
    Loaded {
        /// Its name.
        part: String,
        /// Entries that it took.
        entries: u64,
        /// Bytes that were read.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_it_does_not_exceed() {
        let mut times = SyncTimes::default();
        for took in [0, 500, 501, 1_000, 5_000_000, 5_000_001, u64::from(u32::MAX)] {
            times.add(took);
        }
        let [first, second, .., last_but_one, last] = times.counts;
        assert_eq!([first, second, last_but_one, last], [2, 2, 1, 2]);
        assert_eq!(times.counts.iter().sum::<u64>(), 7);
        assert_eq!(times.sum_us, 500 + 501 + 1_000 + 5_000_000 + 5_000_001 + u64::from(u32::MAX));
    }
}
