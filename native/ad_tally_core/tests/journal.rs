//! The journal: what is written is in one interval, wholly, and the buffers are bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ad_tally_core::journal::{Busy, Config, Interval, Journal, Scribe};

fn journal() -> Arc<Journal> {
    Journal::new(Config::default(), 1)
}

fn write(scribe: &Scribe<'_>, number: u64) {
    scribe.record(1, 2, 1, |words| words.push(number));
}

fn begin(journal: &Journal) -> Scribe<'_> {
    journal.begin().expect("room")
}

fn records(interval: &Interval) -> Vec<(u16, u8, Vec<u64>)> {
    interval.records().map(|record| (record.part, record.kind, record.words.to_vec())).collect()
}

#[test]
fn records_come_back_as_they_were_written_in_the_order_of_their_thread() {
    let journal = journal();
    {
        let scribe = begin(&journal);
        scribe.record(7, 255, 0, |_| {});
        scribe.record(u16::MAX, 0, 3, |words| {
            words.push(u64::MAX);
            words.extend(&[4, 5]);
        });
    }
    begin(&journal).record(0, 1, 20_000, |words| (0..20_000).for_each(|word| words.push(word)));
    write(&begin(&journal), 9);
    let interval = journal.cut();
    let expected =
        vec![(7, 255, vec![]), (u16::MAX, 0, vec![u64::MAX, 4, 5]), (0, 1, (0..20_000).collect()), (1, 2, vec![9])];
    assert_eq!(records(&interval), expected);
    assert_eq!((interval.len(), interval.bytes()), (4, 8 * (1 + 4 + 20_001 + 2)));
    assert!(journal.cut().is_empty());
    assert_eq!(journal.stats().cut_records, 4);
}

#[test]
fn an_interval_has_what_was_written_since_the_last_cut() {
    let journal = journal();
    for round in 0..5 {
        (0..10_000).for_each(|number| write(&begin(&journal), 10_000 * round + number));
        let numbers: Vec<u64> = journal.cut().records().map(|record| record.words[0]).collect();
        assert_eq!(numbers, (10_000 * round..10_000 * (round + 1)).collect::<Vec<_>>());
    }
}

#[test]
fn a_record_whose_words_are_wrong_is_none_and_those_around_it_are_there() {
    let journal = journal();
    let scribe = begin(&journal);
    write(&scribe, 1);
    let short = || scribe.record(1, 2, 3, |words| words.push(8));
    assert!(catch_unwind(AssertUnwindSafe(short)).is_err());
    let long = || scribe.record(1, 2, 1, |words| words.extend(&[8, 8]));
    assert!(catch_unwind(AssertUnwindSafe(long)).is_err());
    write(&scribe, 2);
    drop(scribe);
    let interval = journal.cut();
    assert_eq!(records(&interval), [(1, 2, vec![1]), (1, 2, vec![2])]);
    assert_eq!(interval.len(), 2);
}

#[test]
fn a_record_within_a_record_is_one_of_its_own() {
    let journal = journal();
    let scribe = begin(&journal);
    scribe.record(1, 1, 2, |words| {
        words.push(1);
        (0..20_000).for_each(|number| write(&scribe, number));
        words.push(2);
    });
    drop(scribe);
    let interval = journal.cut();
    assert_eq!(interval.len(), 20_001);
    let mut all = interval.records();
    assert_eq!(all.next().expect("the outer one").words, [1, 2]);
    assert!(all.map(|record| record.words[0]).eq(0..20_000));
}

#[test]
fn writers_are_refused_at_the_bound_until_an_interval_is_dropped() {
    let journal = Journal::new(Config { buffer_bytes: 64 << 10, wake_bytes: 8 << 10 }, 1);
    let mut written = 0;
    let refused = loop {
        match journal.begin() {
            Ok(scribe) => write(&scribe, written),
            Err(busy) => break busy,
        }
        written += 1;
    };
    assert_eq!(refused, Busy);
    assert!((63 << 10..=64 << 10).contains(&(16 * written)), "{written}");
    assert_eq!(journal.stats().waiting_bytes, 64 << 10);

    // What is begun anyway goes on, and so does what is within it.
    let scribe = journal.begin_anyway();
    write(&scribe, written);
    write(&begin(&journal), written + 1);
    drop(scribe);

    let interval = journal.cut();
    assert_eq!(journal.begin().err(), Some(Busy), "what was cut is still in memory");
    assert!(interval.records().map(|record| record.words[0]).eq(0..written + 2));
    drop(interval);
    drop(begin(&journal));
    let stats = journal.stats();
    assert_eq!((stats.waiting_bytes, stats.refusals, stats.cut_records), (0, 2, written + 2));
}

#[test]
fn whoever_cuts_is_woken_once_an_interval() {
    let journal = Journal::new(Config { buffer_bytes: 1 << 20, wake_bytes: 64 << 10 }, 1);
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = woken.clone();
    journal.set_waker(Box::new(move || {
        counter.fetch_add(1, Relaxed);
    }));
    for interval in 0..3 {
        (0..3 << 10).for_each(|number| write(&begin(&journal), number));
        assert_eq!(woken.load(Relaxed), interval, "48 KiB are too few");
        (0..3 << 10).for_each(|number| write(&begin(&journal), number));
        assert_eq!(woken.load(Relaxed), interval + 1);
        assert_eq!(journal.cut().len(), 6 << 10);
    }
}

/// A journal whose threads have buffers of their own, or share one, and which wakes whoever cuts at its first chunk.
fn waking(has_own_buffers: bool, waker: impl Fn(&Journal) + Send + Sync + 'static) -> Arc<Journal> {
    let slots = if has_own_buffers { 1 << 10 } else { 0 };
    let journal = Journal::with_slots(Config { buffer_bytes: 64 << 10, wake_bytes: 1 }, 1, slots);
    let weak = Arc::downgrade(&journal);
    journal.set_waker(Box::new(move || waker(&weak.upgrade().expect("it is written to"))));
    journal
}

#[test]
fn a_waker_may_write_by_the_thread_that_calls_it() {
    for has_own_buffers in [true, false] {
        // Fills a chunk and more, before the record that it is called for has any words.
        let journal = waking(has_own_buffers, |journal| (10..300).for_each(|number| write(&begin(journal), number)));
        let (done, is_done) = mpsc::channel();
        let writer = journal.clone();
        std::thread::spawn(move || {
            (0..10).for_each(|number| write(&begin(&writer), number));
            done.send(())
        });
        is_done.recv_timeout(Duration::from_secs(10)).expect("it does not wait for itself");
        let interval = journal.cut();
        let mut numbers: Vec<u64> = interval.records().map(|record| record.words[0]).collect();
        assert_eq!(numbers[0], 0, "room was taken for it first");
        numbers.sort_unstable();
        assert_eq!((interval.len(), numbers), (300, (0..300).collect()));
        drop(interval);
        assert_eq!(journal.stats().waiting_bytes, 0);
    }
}

#[test]
fn a_waker_that_panics_costs_the_record_that_it_is_called_for_and_no_memory() {
    for has_own_buffers in [true, false] {
        let journal = waking(has_own_buffers, |_| panic!("who cuts cannot be woken"));
        assert!(catch_unwind(AssertUnwindSafe(|| write(&begin(&journal), 0))).is_err());
        (1..3).for_each(|number| write(&begin(&journal), number));
        let interval = journal.cut();
        assert_eq!(records(&interval), [(1, 2, vec![1]), (1, 2, vec![2])]);
        assert_eq!((interval.len(), interval.bytes()), (2, 8 * 4));
        drop(interval);
        assert_eq!(journal.stats().waiting_bytes, 0);
    }
}

#[test]
fn instances_are_of_their_journal_and_never_zero() {
    let first = Journal::new(Config::default(), 0);
    let second = Journal::new(Config::default(), 1);
    let mut all: Vec<u64> = (0..10).flat_map(|_| [first.instance(), second.instance()]).collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.len() == 20 && all[0] > 0);
}

#[test]
fn a_thread_that_writes_cannot_cut() {
    let journal = journal();
    let scribe = begin(&journal);
    assert!(catch_unwind(AssertUnwindSafe(|| journal.cut())).is_err());
    write(&scribe, 1);
    drop(scribe);
    assert_eq!(records(&journal.cut()), [(1, 2, vec![1])]);
}

#[test]
fn a_closed_journal_has_what_it_took_and_takes_no_more() {
    let journal = Journal::new(Config { buffer_bytes: 64 << 10, wake_bytes: 8 << 10 }, 1);
    let scribe = begin(&journal);
    journal.close();
    write(&scribe, 1);
    drop(scribe);
    assert_eq!(journal.begin().err(), Some(Busy));
    let interval = journal.cut();
    assert_eq!(records(&interval), [(1, 2, vec![1])]);
    drop(interval);
    assert_eq!(journal.begin().err(), Some(Busy));
    (0..100_000).for_each(|number| write(&journal.begin_anyway(), number));
    assert_eq!(journal.stats().waiting_bytes, 0);
    assert!(journal.cut().is_empty());
}
