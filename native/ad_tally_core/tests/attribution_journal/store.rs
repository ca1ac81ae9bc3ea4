//! A journal whose intervals are written as the files of a store are, and read again.

use std::sync::Arc;

use ad_tally_core::Seed;
use ad_tally_core::attribution::{Attribution, Config, Shape};
use ad_tally_core::journal::{self, Fold, Interval, Journal, Part, Restore};

use crate::in_memory::{each_entry, folded};

const PART: u16 = 7;

/// An attribution, and what was written of it.
pub struct Stored {
    pub attribution: Attribution,
    pub journal: Arc<Journal>,
    fold: Arc<dyn Fold>,
    config: Config,
    /// How often the store was opened.
    opened: u32,
}

/// An interval as bytes.
pub type Run = Vec<u8>;

impl Stored {
    pub fn new(config: &Config) -> Self {
        Self::opened(config, 1, journal::Config::default())
    }

    pub fn opened(config: &Config, opened: u32, bound: journal::Config) -> Self {
        Self::made(config, 0, opened, bound)
    }

    fn made(config: &Config, number: u32, opened: u32, bound: journal::Config) -> Self {
        let journal = Journal::new(bound, opened);
        let part = Part::new(journal.clone(), PART);
        let attribution = Attribution::stored(config, Seed::new(7), part, number).expect("a right configuration");
        let fold = attribution.fold();
        Self { attribution, journal, fold, config: config.clone(), opened }
    }

    /// Ends the interval.
    pub fn cut(&self) -> Run {
        self.write(&self.journal.cut())
    }

    pub fn write(&self, interval: &Interval) -> Run {
        self.write_some(interval, usize::MAX)
    }

    /// The first records of an interval, as if it had ended behind them.
    pub fn write_some(&self, interval: &Interval, most: usize) -> Run {
        let records = interval.records().take(most);
        folded(records.inspect(|record| assert_eq!(record.part, PART)), &*self.fold)
    }

    /// What the next start makes of intervals, at a time.
    pub fn restarted(&self, runs: &[Run], now: u64) -> Self {
        self.restarted_as(&self.config, 0, runs, now).expect("entries that are right")
    }

    /// The same with a configuration that has another number than that of before, which is 0.
    pub fn restarted_as(&self, config: &Config, number: u32, runs: &[Run], now: u64) -> Result<Self, String> {
        let next = Self::made(config, number, self.opened + 1, journal::Config::default());
        let restoring = next.attribution.restoring([(0, self.shape())]);
        runs.iter().try_for_each(|run| read(run, &restoring))?;
        restoring.finish(now);
        Ok(next)
    }

    fn shape(&self) -> Shape {
        Shape { window: self.config.window, kinds: self.config.lookbacks.len() }
    }
}

/// Reads a run, up to the first entry that is refused.
pub fn read(run: &Run, restore: &impl Restore) -> Result<(), String> {
    let mut result = Ok(());
    each_entry(run, |part, entry| {
        assert_eq!(part, PART);
        if result.is_ok() {
            result = restore.restore(entry);
        }
    });
    result
}
