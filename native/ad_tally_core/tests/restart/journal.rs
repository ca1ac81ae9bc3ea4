//! Intervals as runs in memory, and the way back.

use std::sync::Arc;

use ad_tally_core::journal::{
    Atoms, Chain, Config, Entries, Fold, Journal, Part, Restore, RunFrame, RunWriter, run_frame_bytes,
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
