//! Threads that drain one table: which generations are gone, and what was restored with them.

use std::sync::Barrier;

use ad_tally_core::journal::{Entry, Part, Restore};
use ad_tally_core::{Counters, Seed};

use crate::journal::part;

const THREADS: usize = 4;
const ROUNDS: usize = 2_000;
/// The kind of a record of generations that were drained, which are its words.
const GONE: u8 = 3;
/// A generation of before the restart.
const RESTORED: u64 = 1;

fn table(part: &Part) -> Counters {
    let table = Counters::stored(1, 4, Seed::new(7), part.clone()).expect("in range");
    let restoring = table.restoring();
    restoring.restore(Entry::Row { instance: RESTORED, key: &[], sums: &[1] }).expect("what had no row");
    restoring.finish();
    table
}

#[test]
fn what_was_restored_is_gone_with_the_generation_that_it_is_in() {
    for _ in 0..ROUNDS {
        let part = part(2);
        let (table, all) = (table(&part), Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    all.wait();
                    drop(table.drain());
                });
            }
        });
        let interval = part.journal.cut();
        let gone: Vec<&[u64]> =
            interval.records().filter(|record| record.kind == GONE).map(|record| record.words).collect();
        assert_eq!(gone.len(), THREADS);
        // The table's own generation went into the restored one.
        let with_restored = gone.iter().find(|gone| gone.contains(&RESTORED)).expect("it was drained");
        assert_eq!(with_restored.len(), 2, "{gone:?}");
    }
}
