//! Runs in memory, as a store has them in files: what an interval comes to, what several come to, and their entries.
#![allow(dead_code, reason = "tests use a part of it")]

use std::collections::VecDeque;
use std::convert::Infallible;

use ad_tally_core::journal::{
    Atoms, Chain, Entries, Entry, Fold, Frames, Merge, Record, RunFrame, RunWriter, run_frame_bytes,
};

/// The frames of a run.
pub struct InMemory(pub VecDeque<Vec<u8>>);

impl InMemory {
    pub fn new(run: &[u8]) -> Self {
        Self(frames(run).map(<[u8]>::to_vec).collect())
    }
}

impl Frames for InMemory {
    type Error = Infallible;

    fn next(&mut self, frame: &mut Vec<u8>) -> Result<bool, Infallible> {
        let next = self.0.pop_front();
        let is_there = next.is_some();
        next.into_iter().for_each(|next| *frame = next);
        Ok(is_there)
    }
}

/// Each frame of a run.
fn frames(mut run: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if run.is_empty() {
            return None;
        }
        let (frame, rest) = run.split_at(run_frame_bytes(run).expect("a frame"));
        run = rest;
        Some(frame)
    })
}

/// What records come to.
pub fn folded<'r>(records: impl Iterator<Item = Record<'r>>, fold: &dyn Fold) -> Vec<u8> {
    let mut entries = Entries::new();
    records.for_each(|record| fold.fold(record, &mut entries));
    written(&mut entries)
}

/// Entries as a run.
pub fn written(entries: &mut Entries) -> Vec<u8> {
    let mut run = RunWriter::new(Chain::default());
    entries.write(&mut Atoms::new(Box::new(|_| None)), &mut run);
    run.finish().0
}

/// What runs come to, the oldest first: with `is_base` there is nothing older.
pub fn merged(runs: &[impl AsRef<[u8]>], fold: Option<&dyn Fold>, is_base: bool) -> Vec<u8> {
    let runs = runs.iter().map(|run| InMemory::new(run.as_ref())).collect();
    let mut merge = Merge::new(runs, fold, is_base).expect("runs");
    let mut run = RunWriter::new(Chain::default());
    while let Some((part, entry)) = merge.next().expect("runs") {
        run.push(part, &entry);
    }
    run.finish().0
}

/// Shows each entry of a run, with its part.
pub fn each_entry(run: &[u8], mut show: impl FnMut(u16, Entry<'_>)) {
    let mut chain = Chain::default();
    for frame in frames(run) {
        let mut entries = RunFrame::read(frame, &mut chain).expect("a frame").read_entries();
        while let Some((part, entry)) = entries.next().expect("an entry") {
            show(part, entry);
        }
    }
}
