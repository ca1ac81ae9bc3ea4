//! The end of a part: what was acknowledged by then is on disk, and nothing of it is recorded any more, whoever has found a moment ago
//! that it runs.
#![cfg(not(loom))]

mod store_support;

use std::mem::MaybeUninit;
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use ad_tally_core::frequency_cap::{Decision, Reason};
use ad_tally_core::journal::{self, Busy, Journal, Part, Scribe};
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::meter::{self, Event, Outcome};
use ad_tally_core::store::{Event as Told, Store, SyncError};
use ad_tally_core::table::Added;
use ad_tally_core::{
    Add, Counters, Coupon, Dedupe, Error, FrequencyCap, HashedKey, KeyWriter, Meter, Reach, Rule, Rules, Seed, Window,
    dedupe, frequency_cap,
};
use store_support::disk::FakeDisk;
use store_support::part::COUNT;
use store_support::{Opened, held, quiet};

type Answer = mpsc::Receiver<Result<(), SyncError>>;

/// Has the interval end, without waiting for that.
fn barrier(store: &Store) -> Answer {
    let (sender, receiver) = mpsc::channel();
    store.barrier(Box::new(move |result| drop(sender.send(result))));
    receiver
}

fn wait_for_barrier(store: &Store) {
    barrier(store).recv_timeout(Duration::from_secs(20)).expect("an answer").expect("the interval ends");
}

/// Ends a part, as whoever has its table does.
fn end(open: &Opened, part: &Part) {
    part.end();
    wait_for_barrier(&open.store);
    part.end_for_good();
    wait_for_barrier(&open.store);
    open.sync().unwrap();
}

#[test]
fn who_writes_when_its_part_ends_is_waited_for_and_who_begins_after_that_is_refused() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    let (begun, may_write, may_begin) = (Barrier::new(3), Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It has begun and written nothing: the journal has no memory for it yet.
            let scribe = part.begin().expect("it runs");
            begun.wait();
            may_write.wait();
            count(&scribe, &part, 1);
        });
        scope.spawn(|| {
            // It has found that the part runs, and is held before it begins.
            assert!(!part.has_ended());
            begun.wait();
            may_begin.wait();
            assert_eq!(part.begin().err(), Some(Busy));
            assert_eq!(part.begin_or_go_on().err(), Some(Busy));
            // What must not fail is thrown away.
            count(&part.begin_anyway(), &part, 2);
        });
        begun.wait();
        part.end();
        let answer = barrier(&open.store);
        assert!(answer.recv_timeout(Duration::from_millis(100)).is_err(), "somebody writes");
        may_write.wait();
        answer.recv_timeout(Duration::from_secs(20)).expect("an answer").expect("the interval ends");
        // What its owner has still to say.
        count(&part.begin_anyway(), &part, 3);
        end(&open, &part);
        let next = open.part("ads");
        assert_eq!(open.load(&next).counts.into_iter().collect::<Vec<_>>(), [(1, 1), (3, 1)]);
        may_begin.wait();
        count(&next.begin().expect("it runs"), &next, 4);
    });
    open.store.stop().unwrap();
    assert_eq!(held(disk, "ads").counts.into_iter().collect::<Vec<_>>(), [(1, 1), (3, 1), (4, 1)]);
}

fn count(scribe: &Scribe<'_>, part: &Part, of: u64) {
    scribe.record(part.number, COUNT, 2, |words| words.extend(&[of, 1]));
}

#[test]
fn what_threads_have_acknowledged_when_a_part_ends_is_what_the_next_one_loads() {
    let open = Opened::open(FakeDisk::default(), quiet()).unwrap();
    let mut acknowledged = 0;
    for _ in 0..40 {
        let (part, begun) = (open.part("ads"), Barrier::new(4));
        let work = || {
            begun.wait();
            let mut done = 0;
            while let Ok(scribe) = part.begin() {
                count(&scribe, &part, 1);
                done += 1;
            }
            done
        };
        acknowledged += std::thread::scope(|scope| {
            let workers = [(); 3].map(|()| scope.spawn(work));
            begun.wait();
            std::thread::sleep(Duration::from_micros(200));
            end(&open, &part);
            let loaded = open.load(&open.part("ads")).counts.get(&1).copied().unwrap_or(0);
            let done: i64 = workers.map(|worker| worker.join().expect("no panic")).iter().sum();
            assert_eq!(loaded, acknowledged + done);
            done
        });
    }
    assert!(acknowledged > 0);
}

#[test]
fn a_store_that_stops_waits_for_whoever_was_let_in_and_has_written_nothing_yet() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    let begun = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let scribe = part.begin().expect("room");
            begun.wait();
            std::thread::sleep(Duration::from_millis(100));
            count(&scribe, &part, 1);
        });
        begun.wait();
        open.store.stop().unwrap();
    });
    assert_eq!(held(disk, "ads").counts[&1], 1);
}

#[test]
fn what_is_done_within_other_work_goes_on_where_that_was_begun_for_it() {
    let open = Opened::open(FakeDisk::default(), quiet()).unwrap();
    let (events, touches) = (open.part("events"), open.part("touches"));
    let scribe = events.begin().expect("it runs");
    touches.end();
    assert!(touches.begin_or_go_on().is_ok());
    assert_eq!(touches.begin().err(), Some(Busy), "it asks for itself");
    drop(scribe);
    assert_eq!(touches.begin_or_go_on().err(), Some(Busy));
    touches.go_on();
    assert!(touches.begin().is_ok());
}

fn with_key<R>(seed: &Seed, number: i64, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut writer = KeyWriter::bare(&mut room);
    writer.integer(number);
    act(seed.key(writer.finish()))
}

fn event(meter: &Meter, metric: u32) -> Outcome {
    with_key(meter.seed(), 1, |key| {
        let amounts = [Add { metric, amount: 1 }];
        let event = Event { at: 1_000, id: None, key, amounts: &amounts, user: None };
        meter.record(&event, || 1_000).expect("a time")
    })
}

fn meter(part: &Part, metrics: usize) -> Meter {
    let config = meter::Config {
        window: 60_000,
        lateness: 0,
        max_ahead: None,
        metrics,
        max_keys: 10,
        max_open_windows: 10,
        reach: None,
        dedupe: None,
    };
    Meter::stored(&config, Seed::new(7), part.clone(), 0).expect("a configuration that is right")
}

#[test]
fn a_table_whose_part_has_ended_counts_nothing() {
    let part = Part::new(Journal::new(journal::Config::default(), 1), 1);
    let seed = Seed::new(7);
    let counters = Counters::stored(1, 10, seed.clone(), part.clone()).unwrap();
    let reach = Reach::stored(12, 10, None, seed.clone(), part.clone()).unwrap();
    let ids = dedupe::Config { window: 60_000, capacity: 100, wide: false };
    let ids = Dedupe::stored(&ids, seed.clone(), part.clone()).unwrap();
    let day = frequency_cap::Config {
        capacity: 100,
        max_capacity: 100,
        tiers: vec![],
        lifetime: true,
        strict: false,
        max_ahead: None,
    };
    let caps = FrequencyCap::with_journal(&day, seed.clone(), Some(part.clone())).unwrap();
    let once = Rules::new(vec![Rule { max: 1, window: Window::Lifetime }]).unwrap();
    let meter = meter(&part, 1);
    part.end();
    assert_eq!(with_key(&seed, 1, |key| counters.add(key, 0, 1)), Added::Busy);
    assert_eq!(with_key(&seed, 1, |key| reach.add(key, Coupon::of_integer(1, None))), Added::Busy);
    assert_eq!(event(&meter, 0), Outcome::Busy);
    assert_eq!(ids.first(1, 1_000, || 1_000).err(), Some(Error::Busy));
    assert_eq!(caps.admit(1, &once, 1_000, || 1_000), Ok(Decision::Refused(Reason::Busy)));
    assert!(part.journal.cut().is_empty());
    // Where the disk has refused, its store goes on with it.
    part.go_on();
    assert_eq!((counters.info().keys, reach.info().keys, meter.info().events.applied), (0, 0, 0));
    assert_eq!(event(&meter, 0), Outcome::Applied);
    assert_eq!(ids.first(1, 1_000, || 1_000), Ok(true));
    assert_eq!(caps.admit(1, &once, 1_000, || 1_000), Ok(Decision::Admitted));
    assert_eq!(part.journal.cut().len(), 3);
}

#[test]
fn a_record_of_another_configuration_is_counted_as_an_error_and_ends_neither_the_store_nor_other_parts() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let ads = open.part("ads");
    let part = |name| Part::new(open.store.journal().clone(), open.store.part(name, "test", None, "").unwrap().number);
    let (events, totals) = (part("events"), part("totals"));
    let counters = Counters::stored(2, 10, Seed::new(7), totals.clone()).unwrap();
    assert_eq!(event(&meter(&events, 2), 1), Outcome::Applied);
    assert_eq!(with_key(counters.seed(), 1, |key| counters.add(key, 1, 1)), Added::Row);
    count(&ads.begin().unwrap(), &ads, 1);
    open.store.attach(events.number, meter(&events, 1).fold());
    open.store.attach(totals.number, Counters::stored(1, 10, Seed::new(7), totals.clone()).unwrap().fold());
    open.sync().unwrap();
    assert_eq!(open.store.info().errors, 2);
    let told = open.events.lock().unwrap().iter().any(|event| match event {
        Told::Failed { reason, .. } => {
            reason.starts_with("2 records") && reason.contains("metric 1 of part 2, which has 1")
        }
        _ => false,
    });
    assert!(told, "{:?}", open.events.lock().unwrap());
    count(&ads.begin().unwrap(), &ads, 1);
    open.store.stop().unwrap();
    assert_eq!(held(disk, "ads").counts[&1], 2);
}
