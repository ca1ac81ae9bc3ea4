//! Intervals as runs in memory, and the way back.

use std::convert::Infallible;
use std::sync::Arc;

use ad_tally_core::journal::{
    Atoms, Chain, Config, Entries, Fold, Frames, Journal, Merge, Part, Restore, RunFrame, RunWriter, run_frame_bytes,
};

pub const PART: u16 = 3;

/// A journal of what was opened so often, and the part that writes into it.
pub fn part(opened: u32) -> Part {
    part_within(opened, 64 << 20)
}

/// The same with room for so many bytes.
pub fn part_within(opened: u32, buffer_bytes: usize) -> Part {
    let journal = Journal::new(Config { buffer_bytes, wake_bytes: buffer_bytes }, opened);
    Part { journal, number: PART }
}

/// The next interval, as a run.
pub fn cut(part: &Part, fold: &Arc<dyn Fold>) -> Vec<u8> {
    let (interval, mut entries) = (part.journal.cut(), Entries::new());
    interval.records().for_each(|record| fold.fold(record, &mut entries));
    let mut run = RunWriter::new(Chain::default());
    entries.write(&mut Atoms::new(Box::new(|_| None)), &mut run);
    run.finish().0
}

/// Has a run be taken back.
pub fn take_back(mut run: &[u8], by: &impl Restore) {
    let mut chain = Chain::default();
    while !run.is_empty() {
        let (bytes, rest) = run.split_at(run_frame_bytes(run).expect("a frame"));
        let frame = RunFrame::read(bytes, &mut chain).expect("a frame");
        let mut entries = frame.read_entries();
        while let Some((part, entry)) = entries.next().expect("an entry") {
            if part == PART {
                by.restore(entry).expect("one of the part's");
            }
        }
        run = rest;
    }
}

/// What is left of a run, frame by frame.
struct Rest<'r>(&'r [u8]);

impl Frames for Rest<'_> {
    type Error = Infallible;

    fn next(&mut self, frame: &mut Vec<u8>) -> Result<bool, Infallible> {
        if self.0.is_empty() {
            return Ok(false);
        }
        let (first, rest) = self.0.split_at(run_frame_bytes(self.0).expect("a frame"));
        frame.clear();
        frame.extend(first);
        self.0 = rest;
        Ok(true)
    }
}

/// Runs as compaction leaves them: the first half is a base, the others are one run.
pub fn compacted(runs: &[&[u8]], fold: &Arc<dyn Fold>) -> [Vec<u8>; 2] {
    let (first, rest) = runs.split_at(runs.len() / 2);
    [(first, true), (rest, false)].map(|(runs, is_base)| {
        let mut merge = Merge::new(runs.iter().map(|run| Rest(run)).collect(), Some(&**fold), is_base).expect("runs");
        let mut run = RunWriter::new(Chain::default());
        while let Some((part, entry)) = merge.next().expect("runs") {
            run.push(part, &entry);
        }
        run.finish().0
    })
}
