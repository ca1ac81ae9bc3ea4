//! What a store tells for metrics.

use ad_tally_core::store::{SYNC_TIMES_US, SyncTimes};
use rustler::{Encoder, Env, Term};

use super::Store;
use crate::metered::{Metered, named, numbers};

impl Metered for Store {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        let info = self.open.core.info();
        let pairs = [
            ("records", info.records.encode(env)),
            ("busy", info.busy.encode(env)),
            ("intervals", info.intervals.encode(env)),
            ("written_bytes", info.written_bytes.encode(env)),
            ("syncs", info.syncs.encode(env)),
            ("errors", info.errors.encode(env)),
            ("compactions", info.compactions.encode(env)),
            ("compaction_errors", info.compaction_errors.encode(env)),
            ("compacted_bytes", info.compacted_bytes.encode(env)),
            ("torn_bytes", info.torn_bytes.encode(env)),
            ("dropped_bytes", info.dropped_bytes.encode(env)),
            ("sync_times", sync_times(env, &info.sync_times)),
        ];
        named(env, &pairs)
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let info = self.open.core.info();
        let pairs = [
            ("lag_ms", info.lag_ms.encode(env)),
            ("lag_bytes", info.lag_bytes.encode(env)),
            ("error", info.error.encode(env)),
            ("last_sync_us", info.last_sync_us.encode(env)),
            ("files", info.files.encode(env)),
            ("segment_bytes", info.segment_bytes.encode(env)),
            ("run_bytes", info.run_bytes.encode(env)),
            ("base_bytes", info.base_bytes.encode(env)),
            ("opened", info.opened.encode(env)),
        ];
        named(env, &pairs)
    }
}

/// A histogram: of each upper end how many took no longer, how many there are, and how long they took together.
fn sync_times<'a>(env: Env<'a>, times: &SyncTimes) -> Term<'a> {
    let mut so_far = 0;
    let mut ends: Vec<(u64, u64)> = Vec::with_capacity(SYNC_TIMES_US.len());
    for (end, count) in SYNC_TIMES_US.into_iter().zip(times.counts) {
        so_far += count;
        ends.push((end, so_far));
    }
    // The ends differ, so there is always a map.
    let buckets = Term::map_from_pairs(env, &ends).unwrap_or_else(|_| numbers(env, &[]));
    let count: u64 = times.counts.iter().sum();
    named(env, &[("count", count.encode(env)), ("sum_us", times.sum_us.encode(env)), ("buckets", buckets)])
}
