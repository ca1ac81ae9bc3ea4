//! A journal whose intervals are written as the files of a store are, and read again.

use std::convert::Infallible;
use std::sync::Arc;

use ad_tally_core::Seed;
use ad_tally_core::attribution::{Attribution, Config, Shape};
use ad_tally_core::journal::{
    self, Atoms, Chain, Entries, Fold, Frames, Interval, Journal, Merge, Part, Restore, RunFrame, RunWriter,
    run_frame_bytes,
};

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
        let part = Part { journal: journal.clone(), number: PART };
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
        let mut entries = Entries::new();
        for record in interval.records().take(most) {
            assert_eq!(record.part, PART);
            self.fold.fold(record, &mut entries);
        }
        let mut run = RunWriter::new(Chain::default());
        entries.write(&mut Atoms::new(Box::new(|_| None)), &mut run);
        run.finish().0
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

/// The frames of a run.
struct InMemory<'a>(&'a [u8]);

impl Frames for InMemory<'_> {
    type Error = Infallible;

    fn next(&mut self, frame: &mut Vec<u8>) -> Result<bool, Infallible> {
        if self.0.is_empty() {
            return Ok(false);
        }
        let (next, rest) = self.0.split_at(run_frame_bytes(self.0).expect("a frame"));
        frame.clear();
        frame.extend_from_slice(next);
        self.0 = rest;
        Ok(true)
    }
}

/// What runs come to, as a store merges them: with `is_base` there is nothing older.
pub fn merged(runs: &[Run], fold: &dyn Fold, is_base: bool) -> Run {
    let sources = runs.iter().map(|run| InMemory(run)).collect();
    let mut merge = Merge::new(sources, Some(fold), is_base).expect("runs");
    let mut run = RunWriter::new(Chain::default());
    while let Some((part, entry)) = merge.next().expect("runs") {
        run.push(part, &entry);
    }
    run.finish().0
}

/// Reads a run.
pub fn read(run: &Run, restore: &impl Restore) -> Result<(), String> {
    let (mut chain, mut rest) = (Chain::default(), &run[..]);
    while !rest.is_empty() {
        let (frame, behind) = rest.split_at(run_frame_bytes(rest).expect("a frame"));
        rest = behind;
        let frame = RunFrame::read(frame, &mut chain).expect("a frame");
        let mut entries = frame.read_entries();
        let mut last = String::new();
        while let Some((part, entry)) = entries.next().unwrap_or_else(|e| panic!("after {last}: {e:?}")) {
            last = format!("{entry:?}");
            assert_eq!(part, PART);
            restore.restore(entry)?;
        }
    }
    Ok(())
}
