//! The meter against a plain map: what was recorded is in the closed windows, whole and once.
#![cfg(not(loom))]

#[path = "support/at_end.rs"]
mod at_end;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use ad_tally_core::key::{self, SHORT_KEY_WORDS};
use ad_tally_core::meter::{Batch, Closed, Config, Counts, Event, Outcome, Outcomes, ReachConfig, Window, WindowRef};
use ad_tally_core::sketch::{Coupon, Sketch};
use ad_tally_core::{Add, Element, Error, KeyWriter, Meter, Seed, dedupe};
use at_end::AtEnd;
use proptest::prelude::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;

fn config() -> Config {
    Config {
        window: MINUTE,
        lateness: 5 * MINUTE,
        max_ahead: None,
        metrics: 2,
        max_keys: 10_000,
        max_open_windows: 1_000,
        reach: Some(ReachConfig { by: vec![0], precision: 12, max_keys: 10_000, secret: None }),
        dedupe: Some(dedupe::Config { window: 1_000 * MINUTE, capacity: 10_000, wide: true }),
    }
}

/// Closes windows in as many steps as that takes.
fn close(meter: &Meter, now: u64) -> Vec<WindowRef> {
    all(|| meter.close(now))
}

fn stop(meter: &Meter) -> Vec<WindowRef> {
    all(|| meter.stop())
}

fn all(step: impl Fn() -> Closed) -> Vec<WindowRef> {
    let mut windows = Vec::new();
    loop {
        let closed = step();
        windows.extend(closed.windows);
        if closed.is_all {
            return windows;
        }
    }
}

fn meter(config: &Config) -> Meter {
    Meter::new(config).expect("a configuration that is right")
}

/// An event of campaign and creative, with a metric each.
#[derive(Debug, Clone, Copy)]
struct Sent {
    id: Option<u64>,
    at: u64,
    key: (i64, i64),
    amounts: [i64; 2],
    user: u64,
}

/// Users from there on are nobody.
const NOBODY: u64 = 1 << 60;

fn user(meter: &Meter, sent: &Sent) -> Option<Coupon> {
    meter.reach().filter(|_| sent.user < NOBODY).map(|_| Coupon::of_integer(sent.user, None))
}

fn record(meter: &Meter, sent: &Sent) -> Outcome {
    record_at(meter, sent, u64::MAX)
}

fn record_at(meter: &Meter, sent: &Sent, now: u64) -> Outcome {
    with_event(meter, sent, |event| meter.record(event, || now).expect("a time"))
}

fn with_event<R>(meter: &Meter, sent: &Sent, act: impl FnOnce(&Event<'_>) -> R) -> R {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut key = KeyWriter::tuple(&mut room, 2).expect("an arity");
    key.integer(sent.key.0);
    key.integer(sent.key.1);
    let amounts = [0, 1].map(|metric| Add { metric, amount: sent.amounts[metric as usize] });
    act(&Event {
        at: sent.at,
        id: sent
            .id
            .filter(|_| meter.has_dedupe())
            .map(|id| meter.seed().hash(key::Domain::Id, &key::integer_words(id as i64))),
        key: meter.seed().key(key.finish()),
        amounts: &amounts,
        user: user(meter, sent),
    })
}

/// Records an event in a batch of its own.
fn record_in_batch(meter: &Meter, sent: &Sent, now: u64) -> Outcome {
    let (mut batch, mut outcomes) = (Batch::default(), Outcomes::default());
    push(&mut batch, meter, sent, false);
    assert_eq!(meter.record_batch(&batch, &mut outcomes, || now, || true), 1);
    use Outcome::*;
    let outcome = [Applied, Duplicate, Late, Future, NoWindow, Overflow]
        .into_iter()
        .find(|it| outcomes.counts[*it as usize] == 1);
    assert_eq!((outcomes.total(), outcomes.late.len()), (1, usize::from(outcome == Some(Late))));
    outcome.expect("one of them")
}

/// Records an event whose row is looked up as if it had the key of another one.
fn record_looked_up(meter: &Meter, sent: &Sent, hint: Option<&Sent>) -> Outcome {
    with_event(meter, sent, |event| {
        let recording = meter.protect_for(event.id);
        let mut lookup = recording.begin(event.at, event.id).expect("a time");
        if let Some(hint) = hint {
            with_event(meter, hint, |hint| {
                lookup.fetch_line(hint.key.hash);
                lookup.fetch_row(hint.key);
            });
        }
        let recorded = lookup.record(event, || u64::MAX);
        drop(recording);
        recorded.unwrap_or_else(|| meter.record(event, || u64::MAX).expect("a time"))
    })
}

/// Appends events to a batch. Those with the amounts of the one before are given no others.
fn push_all(batch: &mut Batch, meter: &Meter, sent: &[Sent]) {
    let mut last = None;
    for sent in sent {
        push(batch, meter, sent, last == Some(sent.amounts));
        last = Some(sent.amounts);
    }
}

/// Appends an event to a batch.
fn push(batch: &mut Batch, meter: &Meter, sent: &Sent, with_last_amounts: bool) {
    if !with_last_amounts {
        let room = batch.room_for_amounts();
        for (metric, amount) in sent.amounts.into_iter().enumerate() {
            room[metric].write(Add { metric: metric as u32, amount });
        }
        // SAFETY: they were written just now.
        unsafe { batch.keep_amounts(sent.amounts.len()) };
    }
    let mut writer = KeyWriter::tuple(batch.room(0), 2).expect("an arity");
    writer.integer(sent.key.0);
    writer.integer(sent.key.1);
    let key = meter.seed().key(writer.finish());
    let key = (key.hash, key.words.len());
    let id = sent
        .id
        .filter(|_| meter.has_dedupe())
        .map(|id| meter.seed().hash(key::Domain::Id, &key::integer_words(id as i64)));
    // SAFETY: the key was written into the room just now.
    unsafe { batch.push(sent.at, id, key, user(meter, sent)) }.expect("a time");
}

type Rows = BTreeMap<(i64, i64), [i128; 2]>;

fn rows(window: &Window) -> Rows {
    let mut rows = Rows::new();
    window.counters().walk(|key, totals| {
        let elements: Vec<Element<'_>> = key.elements().collect();
        let [Element::Integer(campaign), Element::Integer(creative)] = elements[..] else { panic!("{elements:?}") };
        assert_eq!(rows.insert((campaign, creative), [totals[0], totals[1]]), None);
        ControlFlow::Continue(())
    });
    rows
}

/// Users of each campaign, as its sketch says.
fn users(window: &Window) -> BTreeMap<i64, f64> {
    let mut users = BTreeMap::new();
    window.reach().expect("there are sketches").walk(|key, sketch| {
        let Some(Element::Integer(campaign)) = key.elements().next() else { panic!("no campaign") };
        users.insert(campaign, sketch.estimate());
        ControlFlow::Continue(())
    });
    users
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..600_u64, 0..15 * MINUTE, (0..3_i64, 0..3_i64), (0..5_i64, -9..9_i64), 0..50_u64).prop_map(
        |(id, at, key, amounts, user)| Sent {
            id: (id > 0).then_some(id),
            at: BEGIN + at,
            key,
            amounts: [amounts.0, amounts.1],
            user,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn closed_windows_have_what_was_recorded_and_nothing_else(
        events in prop::collection::vec((sent(), 0..30_u8, 0..4 * SECOND), 1..500),
        // By the events' time, or the system's, which some of them are past by more than is let in or than windows stay open.
        max_ahead in prop_oneof![Just(None), Just(Some(2 * MINUTE)), Just(Some(10 * MINUTE))],
        wide in any::<bool>(),
        in_batches in any::<bool>(),
        max_open_windows in prop_oneof![Just(1), Just(4), Just(1_000_usize)],
    ) {
        let dedupe = Some(dedupe::Config { wide, ..config().dedupe.expect("ids") });
        let meter = meter(&Config { max_ahead, max_open_windows, dedupe, ..config() });
        let mut expected: BTreeMap<u64, (Rows, HashMap<i64, HashSet<u64>>)> = BTreeMap::new();
        let (mut ids, mut first, mut newest, mut now) = (HashSet::new(), 0, 0_u64, BEGIN);
        let mut counts = [0; 7];
        let mut left_out = [[0_i128; 2]; 4];
        let check = |closed: Vec<WindowRef>, expected: &mut BTreeMap<u64, (Rows, HashMap<i64, HashSet<u64>>)>| {
            for window in closed {
                let (rows_expected, users_expected) = expected.remove(&window.number).expect("one that has events");
                assert_eq!(rows(&window), rows_expected);
                let users_seen = users(&window);
                assert_eq!(users_seen.len(), users_expected.len());
                for (campaign, users) in users_expected {
                    assert!((users_seen[&campaign] - users.len() as f64).abs() < 0.01);
                }
                assert_eq!(window.overflow(), [0, 0]);
            }
        };
        for (sent, look, passed) in events {
            now += passed;
            let number = sent.at / MINUTE;
            let outcome = if in_batches { record_in_batch(&meter, &sent, now) } else { record_at(&meter, &sent, now) };
            let first_in_time =
                |newest: u64| max_ahead.map_or(newest, |_ahead| now).saturating_sub(5 * MINUTE) / MINUTE;
            let is_late = number < first || number < first_in_time(newest) && !expected.contains_key(&number);
            let expected_outcome = if sent.id.is_some_and(|id| ids.contains(&id)) {
                Outcome::Duplicate
            } else if max_ahead.is_some_and(|ahead| sent.at > now + ahead) {
                Outcome::Future
            } else if is_late {
                Outcome::Late
            } else if !expected.contains_key(&number)
                && expected.len() >= max_open_windows
                && (max_ahead.is_some() || expected.range(first_in_time(newest)..).count() >= max_open_windows)
            {
                Outcome::NoWindow
            } else {
                Outcome::Applied
            };
            prop_assert_eq!(outcome, expected_outcome);
            counts[outcome as usize] += 1;
            if outcome == Outcome::Applied {
                ids.extend(sent.id);
                newest = newest.max(sent.at);
                let (rows, users) = expected.entry(number).or_default();
                let row = rows.entry(sent.key).or_default();
                (0..2).for_each(|metric| row[metric] += i128::from(sent.amounts[metric]));
                users.entry(sent.key.0).or_default().insert(sent.user);
            } else {
                let left_out = &mut left_out[outcome as usize - Outcome::Duplicate as usize];
                (0..2).for_each(|metric| left_out[metric] += i128::from(sent.amounts[metric]));
            }
            if look == 0 {
                first = first.max(first_in_time(newest));
                let closed = close(&meter, now);
                prop_assert!(closed.iter().all(|window| window.number < first));
                prop_assert!(closed.is_sorted_by_key(|window| window.number));
                check(closed, &mut expected);
                prop_assert!(expected.keys().all(|number| *number >= first), "all are closed whose time has passed");
                prop_assert_eq!(meter.first_open(), first);
            }
        }
        check(stop(&meter), &mut expected);
        prop_assert!(expected.is_empty());
        let info = meter.info();
        let [applied, duplicate, late, future, no_window, overflow, busy] = counts;
        prop_assert_eq!(info.events, Counts { applied, duplicate, late, future, no_window, overflow, busy, refused: 0 });
        prop_assert_eq!(info.left_out, left_out.map(|amounts| amounts.to_vec()));
        prop_assert_eq!((info.open_windows, info.newest), (0, newest));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_batch_does_what_its_events_would_do_one_by_one(
        events in prop::collection::vec((sent(), 0..150_u8), 1..500),
        max_keys in prop_oneof![Just(3), Just(10_000_usize)],
        max_sketches in prop_oneof![Just(1), Just(10_000_usize)],
        patience in 1..4_usize,
        begin in prop_oneof![Just(0), Just(BEGIN)],
        // Events of all windows in any order, and of one after the other.
        spread in prop_oneof![Just(15 * MINUTE), Just(MINUTE / 4)],
        nobodies in prop_oneof![Just(0), Just(25), Just(50_u64)],
        // Amounts that a row has room for, and those it has not.
        most in prop_oneof![Just(4), Just(i64::MAX)],
        // A few ids in each home, and as many as it has room for.
        capacity in prop_oneof![Just(30), Just(10_000_usize)],
        wide in any::<bool>(),
        // One generation of ids, and one that is over every half minute.
        remembered in prop_oneof![Just(1_000 * MINUTE), Just(2 * MINUTE)],
        max_open_windows in prop_oneof![Just(2), Just(1_000_usize)],
        // By the system's time, which stands still, some events are too far ahead, also of a window's some, or none.
        now in prop_oneof![Just(None), Just(Some(8 * MINUTE + 30 * SECOND))],
        // Which ids a full bucket gives up early depends on it.
        seed in any::<u64>(),
    ) {
        let reach = config().reach.map(|reach| ReachConfig { max_keys: max_sketches, ..reach });
        let dedupe = Some(dedupe::Config { window: remembered, capacity, wide });
        let config = Config { max_ahead: now.map(|_| MINUTE), max_keys, max_open_windows, reach, dedupe, ..config() };
        let now = now.map_or(u64::MAX, |now| begin + now);
        let events = events.into_iter().enumerate().map(|(number, (sent, cut))| {
            let at = begin + (sent.at - BEGIN) % spread + number as u64 * SECOND;
            let user = if sent.user < nobodies { NOBODY } else { sent.user };
            let amounts = sent.amounts.map(|amount| if amount == 4 { most } else { amount });
            (Sent { at, user, amounts, ..sent }, cut)
        });
        let events: Vec<_> = events.collect();
        let [one_by_one, in_batches] =
            [(); 2].map(|()| Meter::with_seed(&config, Seed::new(seed)).expect("a configuration that is right"));
        let mut batch = Batch::default();
        let (mut expected, mut outcomes) = (Outcomes::default(), Outcomes::default());
        let last = events.len() - 1;
        let mut waiting = Vec::new();
        for (at, (sent, cut)) in events.iter().enumerate() {
            let outcome = record_at(&one_by_one, sent, now);
            expected.counts[outcome as usize] += 1;
            if outcome == Outcome::Late {
                expected.late.push(at as u64);
            }
            waiting.push(*sent);
            if *cut > 1 && at < last {
                continue;
            }
            let mut calls = 0;
            while !waiting.is_empty() {
                calls += 1;
                prop_assert!(calls < 10_000);
                batch.clear();
                push_all(&mut batch, &in_batches, &waiting);
                let mut asked = 0;
                let done = in_batches.record_batch(&batch, &mut outcomes, || now, || {
                    asked += 1;
                    asked < patience
                });
                prop_assert!(done == waiting.len() || asked == patience);
                waiting.drain(..done);
            }
            prop_assert_eq!(&outcomes, &expected);
            if *cut == 0 {
                let [one, other] = [&one_by_one, &in_batches].map(|meter| close(meter, now));
                prop_assert_eq!(contents(&one), contents(&other));
            }
        }
        prop_assert_eq!(ended(&one_by_one), ended(&in_batches));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_event_whose_row_is_looked_up_by_another_key_is_counted_by_its_own(
        events in prop::collection::vec((sent(), 0..4_u8), 1..300),
        max_keys in prop_oneof![Just(3), Just(10_000_usize)],
    ) {
        let config = Config { max_keys, ..config() };
        let (plain, hinted) = (meter(&config), meter(&config));
        for (at, (sent, hint)) in events.iter().enumerate() {
            let hint = match hint {
                0 => None,
                1 => Some(&events[at / 2].0),
                _ => Some(sent),
            };
            let outcome = record(&plain, sent);
            prop_assert_eq!(record_looked_up(&hinted, sent, hint), outcome);
            if at % 50 == 49 {
                let [one, other] = [&plain, &hinted].map(|meter| close(meter, 0));
                prop_assert_eq!(contents(&one), contents(&other));
            }
        }
        prop_assert_eq!(ended(&plain), ended(&hinted));
    }
}

#[test]
fn an_event_is_recorded_in_the_window_of_the_time_that_its_lookup_has_begun_with() {
    let meter = meter(&config());
    let sent = [BEGIN, BEGIN + MINUTE].map(|at| Sent { id: None, at, key: (1, 2), amounts: [3, 4], user: 5 });
    assert_eq!(sent.map(|sent| record(&meter, &sent)), [Outcome::Applied; 2]);
    with_event(&meter, &sent[1], |event| {
        let recording = meter.protect();
        let begun = [BEGIN, BEGIN + MINUTE, BEGIN + MINUTE].map(|at| recording.begin(at, None).expect("a time"));
        let [other, mut first, second] = begun;
        let recorded = catch_unwind(AssertUnwindSafe(|| other.record(event, || u64::MAX)));
        assert!(recorded.is_err(), "an event of another time");
        first.fetch_line(event.key.hash);
        first.fetch_row(event.key);
        assert_eq!([first, second].map(|lookup| lookup.record(event, || u64::MAX)), [Some(Outcome::Applied); 2]);
        assert_eq!(recording.begin(1 << 47, None).err(), Some(Error::Time(1 << 47)));
    });
    let windows = stop(&meter);
    assert_eq!(windows.iter().map(|window| rows(window)[&(1, 2)]).collect::<Vec<_>>(), [[3, 4], [9, 12]]);
}

/// What a meter counted, and all that is in its windows.
fn ended(meter: &Meter) -> impl PartialEq + std::fmt::Debug + use<> {
    let info = meter.info();
    (info.events, info.left_out, info.newest, contents(&stop(meter)))
}

/// All that is in windows.
fn contents(windows: &[WindowRef]) -> impl PartialEq + std::fmt::Debug + use<> {
    let overflow = |window: &Window| (window.overflow(), window.reach_overflow().map(|sketch| sketch.to_bytes()));
    windows.iter().map(|window| (window.number, rows(window), users(window), overflow(window))).collect::<Vec<_>>()
}

/// Keys that share a sketch, with so many users that it becomes a set and then registers, whose least value is noted time and
/// again: whatever a key's row knew of its sketch, no user is lost and none is seen by another one.
#[test]
fn a_sketch_that_keys_share_is_that_of_all_their_users() {
    const THREADS: u64 = 4;
    const USERS: u64 = 30_000;
    let reach = ReachConfig { by: vec![0], precision: 5, max_keys: 10_000, secret: None };
    let meter = meter(&Config { reach: Some(reach), ..config() });
    let sent = |user: u64| Sent {
        id: None,
        at: BEGIN,
        key: ((user % 7) as i64, (user % 131) as i64),
        amounts: [1, 1],
        user: user / 7,
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let meter = &meter;
            scope.spawn(move || {
                let (mut batch, mut outcomes) = (Batch::default(), Outcomes::default());
                for user in (thread..USERS).step_by(THREADS as usize) {
                    if user % 3 == 0 {
                        record_looked_up(meter, &sent(user), Some(&sent(user)));
                    } else {
                        push(&mut batch, meter, &sent(user), false);
                    }
                    if batch.len() == 100 {
                        assert_eq!(meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true), 100);
                        batch.clear();
                    }
                }
                meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true);
            });
        }
    });
    let mut expected: BTreeMap<i64, Sketch> = BTreeMap::new();
    for sent in (0..USERS).map(sent) {
        let sketch = expected.entry(sent.key.0).or_insert_with(|| Sketch::new(5, None).expect("a precision"));
        sketch.insert(Coupon::of_integer(sent.user, None));
    }
    let windows = stop(&meter);
    assert_eq!(windows.len(), 1);
    let mut seen = BTreeMap::new();
    windows[0].reach().expect("there are sketches").walk(|key, sketch| {
        let elements: Vec<Element<'_>> = key.elements().collect();
        let [Element::Integer(campaign)] = elements[..] else { panic!("{elements:?}") };
        assert!(seen.insert(campaign, sketch.to_bytes()).is_none());
        ControlFlow::Continue(())
    });
    assert_eq!(seen, expected.iter().map(|(campaign, sketch)| (*campaign, sketch.to_bytes())).collect());
}

#[test]
fn users_without_a_sketch_are_counted_whatever_row_their_key_has() {
    for (max_keys, max_sketches, outcomes) in [(1, 10, [0, 1, 1]), (10, 1, [0, 1, 1]), (10, 10, [0, 0, 0])] {
        let reach = ReachConfig { by: vec![1], precision: 12, max_keys: max_sketches, secret: None };
        let meter = meter(&Config { reach: Some(reach), max_keys, ..config() });
        for _ in 0..2 {
            let recorded = [1, 2, 3].map(|creative| {
                let sent =
                    Sent { id: None, at: BEGIN, key: (1, creative), amounts: [1, 1], user: 10 + creative as u64 };
                u8::from(record(&meter, &sent) == Outcome::Overflow)
            });
            assert_eq!(recorded, outcomes, "{max_keys} {max_sketches}");
        }
        let window = &stop(&meter)[0];
        let in_sketches: f64 = users(window).values().sum();
        let beside = window.reach_overflow().expect("there are sketches").estimate();
        assert_eq!(in_sketches.round() + beside.round(), 3.0);
        assert_eq!(rows(window).len(), max_keys.min(3));
    }
}

#[test]
fn a_batch_refuses_a_time_that_is_none() {
    let meter = meter(&config());
    let mut batch = Batch::default();
    push(&mut batch, &meter, &Sent { id: None, at: BEGIN, key: (1, 1), amounts: [1, 1], user: 1 }, false);
    // SAFETY: it has no words.
    let pushed = unsafe { batch.push(u64::MAX, None, (0, 0), None) };
    assert_eq!(pushed, Err(Error::Time(u64::MAX)));
    let mut outcomes = Outcomes::default();
    assert_eq!(meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true), 1);
    assert_eq!((batch.len(), outcomes.total()), (1, 1));
}

/// Threads that record events, each of them sent by two, while windows are closed all the time.
#[test]
fn threads_that_record_beside_one_that_closes_lose_nothing_and_count_nothing_twice() {
    [true, false].into_iter().for_each(record_beside_one_that_closes);
}

fn record_beside_one_that_closes(wide: bool) {
    const THREADS: u64 = 8;
    const EVENTS: u64 = 200_000;
    let dedupe = dedupe::Config { window: 1_000 * MINUTE, capacity: EVENTS as usize, wide };
    let meter = meter(&Config { window: SECOND, lateness: 2 * SECOND, dedupe: Some(dedupe), ..config() });
    let (applied, duplicate, late) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let closed = std::thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let closer = scope.spawn(|| {
            let mut closed = Vec::new();
            while !done.load(Relaxed) {
                closed.extend(close(&meter, 0));
                std::thread::yield_now();
            }
            closed.extend(stop(&meter));
            closed
        });
        let recorders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (meter, applied, duplicate, late) = (&meter, &applied, &duplicate, &late);
                scope.spawn(move || {
                    let (mut batch, mut outcomes) = (Batch::default(), Outcomes::default());
                    // Of two threads that send the same, one is a little ahead, and one sends batches.
                    for event in (0..EVENTS).filter(|event| event % (THREADS / 2) == thread / 2) {
                        let back = if event.is_multiple_of(97) { 4 * SECOND } else { event * 31 % SECOND };
                        let sent = Sent {
                            id: Some(event),
                            at: BEGIN + event / 10 - back,
                            key: (event as i64 % 5, event as i64 % 7),
                            amounts: [1, event as i64],
                            user: event,
                        };
                        if thread % 2 == 0 {
                            push(&mut batch, meter, &sent, false);
                            if batch.len() == 100 {
                                assert_eq!(meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true), 100);
                                batch.clear();
                            }
                            continue;
                        }
                        match record(meter, &sent) {
                            Outcome::Applied => applied.fetch_add(1, Relaxed),
                            Outcome::Duplicate => duplicate.fetch_add(1, Relaxed),
                            Outcome::Late => late.fetch_add(1, Relaxed),
                            other => panic!("{other:?}"),
                        };
                    }
                    meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true);
                    for (kind, count) in [applied, duplicate, late].into_iter().zip(outcomes.counts) {
                        kind.fetch_add(count, Relaxed);
                    }
                })
            })
            .collect();
        recorders.into_iter().for_each(|recorder| recorder.join().expect("no panic"));
        drop(at_end);
        closer.join().expect("no panic")
    });
    let numbers: HashSet<u64> = closed.iter().map(|window| window.number).collect();
    assert_eq!(numbers.len(), closed.len(), "every window is closed once");
    let counted: i128 = closed.iter().flat_map(|window| rows(window).into_values()).map(|row| row[0]).sum();
    let [applied, duplicate, late] = [applied, duplicate, late].map(AtomicU64::into_inner);
    assert_eq!(counted, i128::from(applied));
    assert_eq!(applied + duplicate + late, 2 * EVENTS);
    assert!(applied <= EVENTS, "no copy is counted: {applied}");
    assert!(duplicate > 0 && late > 0, "{applied} applied, {duplicate} duplicate, {late} late");
    let info = meter.info();
    assert_eq!(info.events, Counts { applied, duplicate, late, ..Counts::default() });
    let amounts: i128 = closed.iter().flat_map(|window| rows(window).into_values()).map(|row| row[1]).sum();
    let left_out: i128 = info.left_out.iter().map(|amounts| amounts[1]).sum();
    assert_eq!(amounts + left_out, 2 * (0..i128::from(EVENTS)).sum::<i128>());
}

/// Windows next to each other and far apart, by distances that make much of their numbers the same.
#[test]
fn each_window_is_found_whatever_lies_between_them() {
    for distance in [1, 2, 15, 64, 1_024, 1_440, 1 << 20] {
        let meter = meter(&Config { lateness: 1 << 46, reach: None, dedupe: None, ..config() });
        // Not in their order.
        let numbers: Vec<u64> = (0..200).map(|step| step * 77 % 200 * distance).collect();
        for round in 1..=3 {
            for (step, number) in numbers.iter().enumerate() {
                let at = number * MINUTE + step as u64;
                let sent = Sent { id: None, at, key: (step as i64, 0), amounts: [1, round], user: 0 };
                assert_eq!(record(&meter, &sent), Outcome::Applied);
            }
        }
        let windows = stop(&meter);
        assert!(windows.iter().map(|window| window.number).eq((0..200).map(|step| step * distance)));
        for window in &windows {
            let step = numbers.iter().position(|number| *number == window.number).expect("a number") as i64;
            assert_eq!(rows(window), Rows::from([((step, 0), [3, 6])]), "{distance}");
        }
    }
}

/// Windows that are opened and closed in turn, next to each other and far apart, against a map.
#[test]
fn windows_are_found_while_others_are_opened_and_closed() {
    for (distance, block) in [(1, 1), (1, 300), (7, 5), (64, 100), (1 << 20, 40), (4_099, 350)] {
        let config =
            Config { window: SECOND, lateness: 400 * distance * SECOND, reach: None, dedupe: None, ..config() };
        let meter = meter(&Config { max_open_windows: 10_000, ..config });
        let sent = |step: u64, amount: i64| Sent {
            id: None,
            at: step * distance * SECOND + step % SECOND,
            key: (step as i64, 0),
            amounts: [1, amount],
            user: 0,
        };
        let (mut opened, mut closed) = (0, 0);
        for round in 0..1_500 / block {
            // Within a block not in their order, and all of them that are open once more.
            let steps: Vec<u64> = (0..block).map(|step| opened + step * 7_919 % block).collect();
            steps.iter().for_each(|step| assert_eq!(record(&meter, &sent(*step, 1)), Outcome::Applied));
            opened += block;
            let open = meter.open_windows(0, usize::MAX);
            assert!(open.iter().map(|window| window.number / distance).eq(closed..opened), "{distance} {round}");
            if round % 32 == 0 {
                (closed..opened).for_each(|step| assert_eq!(record(&meter, &sent(step, 10)), Outcome::Applied));
            }
            for window in close(&meter, 0) {
                assert_eq!(window.number, closed * distance);
                let (rows, key) = (rows(&window), (closed as i64, 0));
                assert_eq!((rows.len(), rows[&key][1] % 10), (1, 1));
                closed += 1;
            }
            assert_eq!(closed, (opened - 1).saturating_sub(400));
            if closed > 0 {
                assert_eq!(record(&meter, &sent(closed - 1, 1)), Outcome::Late);
            }
        }
        assert!(stop(&meter).iter().map(|window| window.number / distance).eq(closed..opened));
    }
}

#[test]
fn a_step_closes_some_windows_and_the_others_stay_open_until_their_turn() {
    const WINDOWS: u64 = 1_000;
    let meter =
        meter(&Config { lateness: 0, max_ahead: Some(WINDOWS * MINUTE), reach: None, dedupe: None, ..config() });
    let sent = |step: u64| Sent { id: None, at: BEGIN + step * MINUTE, key: (1, 1), amounts: [1, 1], user: 0 };
    (0..WINDOWS).for_each(|step| assert_eq!(record_at(&meter, &sent(step), BEGIN), Outcome::Applied));
    let later = BEGIN + (WINDOWS - 100) * MINUTE;
    let Closed { windows, is_all } = meter.close(later);
    let count = windows.len() as u64;
    assert!((1..200).contains(&count) && !is_all);
    assert_eq!(record_at(&meter, &sent(count - 1), later), Outcome::Late);
    assert_eq!(record_at(&meter, &sent(count), later), Outcome::Applied);
    let numbers: Vec<u64> = windows.iter().chain(&close(&meter, later)).map(|window| window.number).collect();
    assert!(numbers.into_iter().eq((0..WINDOWS - 100).map(|step| BEGIN / MINUTE + step)));
    assert_eq!(meter.info().open_windows, 100);
    // To stop closes all at once, and hands them over in steps.
    assert!(!meter.stop().is_all);
    assert_eq!(record_at(&meter, &sent(WINDOWS - 1), later), Outcome::Late);
    assert_eq!(stop(&meter).len(), 36);
}

#[test]
fn what_closed_windows_take_is_counted_while_somebody_refers_to_them() {
    let meter = meter(&Config { lateness: 0, ..config() });
    let sent = |step: u64| Sent {
        id: None,
        at: BEGIN + step / 10 * MINUTE,
        key: (step as i64, 1),
        amounts: [1, 1],
        user: step,
    };
    (0..500).for_each(|step| assert_eq!(record(&meter, &sent(step)), Outcome::Applied));
    let open: usize = meter.open_windows(0, usize::MAX).iter().map(|window| window.bytes()).sum();
    assert_eq!((meter.info().closed_bytes, open > 50 * 1_000), (0, true));
    let mut windows = stop(&meter);
    let of = |windows: &[WindowRef]| windows.iter().map(|window| window.bytes()).sum::<usize>();
    assert_eq!((windows.len(), meter.info().closed_bytes), (50, open));
    assert_eq!(of(&windows), open);
    windows.truncate(20);
    // The others are freed by another thread.
    let begin = std::time::Instant::now();
    while meter.info().closed_bytes != of(&windows) && begin.elapsed().as_secs() < 60 {
        std::thread::yield_now();
    }
    assert_eq!(meter.info().closed_bytes, of(&windows));
    drop(meter);
    windows.iter().for_each(|window| assert_eq!(rows(window).len(), 10));
}

#[test]
fn a_window_of_one_row_takes_at_most_eight_kilobytes() {
    // Those of a budget of any size.
    for (max_keys, metrics) in [(1_000_000, 2), (1_000_000_000, 16)] {
        let reach = ReachConfig { by: vec![0], precision: 12, max_keys, secret: None };
        let meter = meter(&Config { max_keys, metrics, reach: Some(reach), ..config() });
        assert_eq!(
            record(&meter, &Sent { id: None, at: BEGIN, key: (1, 1), amounts: [1, 1], user: 1 }),
            Outcome::Applied
        );
        let bytes = stop(&meter)[0].bytes();
        assert!(bytes <= 4_000, "{bytes} with {max_keys} keys");
    }
}

/// Threads whose keys are new, until there are many more than a window's tables begin with shards for, beside one that goes
/// through the rows: each row is there once, whichever index it was found by.
#[test]
fn a_window_that_grows_has_every_row_once() {
    const THREADS: u64 = 4;
    const KEYS: u64 = 3_000;
    for round in 0..10 {
        let reach = ReachConfig { by: vec![0, 1], precision: 4, max_keys: 1_000_000, secret: None };
        let meter = meter(&Config { max_keys: 1_000_000, reach: Some(reach), dedupe: None, ..config() });
        let sent = |event: u64| Sent {
            id: None,
            at: BEGIN,
            key: ((event % KEYS) as i64, round),
            amounts: [1, (event % KEYS) as i64],
            // Enough of each for registers, whose row is moved.
            user: event,
        };
        assert_eq!(record(&meter, &sent(0)), Outcome::Applied);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (meter, sent) = (&meter, &sent);
                // All of them bring all keys, at the same time.
                scope.spawn(move || {
                    for event in 1..KEYS * 12 {
                        assert_eq!(record(meter, &sent(event * THREADS + thread)), Outcome::Applied);
                    }
                });
            }
            for _ in 0..20 {
                let window = &meter.open_windows(0, 1)[0];
                // It fails if a row is there twice.
                let seen = rows(window);
                assert!(seen.len() as u64 <= KEYS && seen.contains_key(&(0, round)));
            }
        });
        let window = &stop(&meter)[0];
        let (seen, mut counts) = (rows(window), BTreeMap::from([((0, round), [1_i128, 0])]));
        for event in (1..KEYS * 12).flat_map(|event| (0..THREADS).map(move |thread| event * THREADS + thread)) {
            let count = counts.entry(((event % KEYS) as i64, round)).or_insert([0; 2]);
            (count[0], count[1]) = (count[0] + 1, count[1] + i128::from(event % KEYS));
        }
        assert_eq!(seen, counts);
        assert_eq!(users(window).len(), seen.len());
    }
}

#[test]
fn no_more_windows_are_open_than_may_be() {
    let meter = meter(&Config { max_open_windows: 3, lateness: 10 * MINUTE, ..config() });
    let sent = |id: u64, minute: u64| Sent {
        id: Some(id),
        at: BEGIN + minute * MINUTE,
        key: (1, 1),
        amounts: [1, id as i64],
        user: 1,
    };
    for minute in [0, 2, 4] {
        assert_eq!(record(&meter, &sent(minute, minute)), Outcome::Applied);
    }
    let mut batch = Batch::default();
    let events = [sent(11, 1), sent(0, 3), sent(12, 2), sent(13, 5), sent(11, 0), sent(13, 5)];
    push_all(&mut batch, &meter, &events);
    let mut outcomes = Outcomes::default();
    assert_eq!(meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true), 6);
    // The copy is one all the same, and what had no window is not remembered.
    assert_eq!(outcomes, Outcomes { counts: [2, 1, 0, 0, 3, 0, 0], ..Outcomes::default() });
    assert_eq!(record(&meter, &sent(14, 30)), Outcome::NoWindow);
    assert_eq!(record(&meter, &sent(14, 4)), Outcome::Applied);
    let info = meter.info();
    assert_eq!(info.events, Counts { applied: 6, duplicate: 1, no_window: 4, ..Counts::default() });
    assert_eq!(info.left_out[3], [4, 11 + 13 + 13 + 14]);
    assert_eq!((info.open_windows, info.newest), (3, BEGIN + 4 * MINUTE));
    // There is room again once one is closed.
    assert_eq!(record(&meter, &sent(15, 4)), Outcome::Applied);
    assert!(close(&meter, 0).is_empty());
    stop(&meter);
    assert_eq!(record(&meter, &sent(16, 30)), Outcome::Late);
}

/// Also where nobody closes them meanwhile.
#[test]
fn a_replay_of_events_that_are_far_apart_has_a_window_for_each() {
    let meter = meter(&Config { max_open_windows: 8, ..config() });
    for minute in 0..1_000 {
        let sent = Sent { id: None, at: BEGIN + minute * MINUTE, key: (1, 1), amounts: [1, 1], user: 1 };
        assert_eq!(record(&meter, &sent), Outcome::Applied);
    }
    assert_eq!(close(&meter, 0).len(), 1_000 - 6);
}

#[test]
fn events_of_all_times_begin_no_windows_that_have_passed() {
    let meter = meter(&config());
    let mut sent = Sent { id: None, at: BEGIN, key: (1, 1), amounts: [1, 1], user: 1 };
    assert_eq!(record(&meter, &sent), Outcome::Applied);
    let mut batch = Batch::default();
    for minutes in 6..200 {
        sent.at = BEGIN - minutes * MINUTE;
        assert_eq!(record(&meter, &sent), Outcome::Late);
        push(&mut batch, &meter, &sent, false);
    }
    sent.at = BEGIN - 5 * MINUTE;
    push(&mut batch, &meter, &sent, false);
    let mut outcomes = Outcomes::default();
    assert_eq!(meter.record_batch(&batch, &mut outcomes, || u64::MAX, || true), 195);
    assert_eq!(outcomes.counts, [1, 0, 194, 0, 0, 0, 0]);
    assert_eq!(outcomes.late, (0..194).collect::<Vec<u64>>());
    let info = meter.info();
    assert_eq!(info.open_windows, 2);
    assert_eq!(info.events, Counts { applied: 2, late: 2 * 194, ..Counts::default() });
    assert_eq!(info.left_out[1], [2 * 194, 2 * 194]);
}

#[test]
fn the_systems_time_alone_closes_windows_and_no_event_is_late_before_that() {
    // Events may be further ahead than windows stay open.
    let config = Config { max_ahead: Some(60 * MINUTE), lateness: MINUTE, ..config() };
    for in_batches in [true, false] {
        let meter = meter(&config);
        let mut id = 0;
        let mut record = |at: u64, now: u64| {
            id += 1;
            let sent = Sent { id: Some(id), at, key: (1, 1), amounts: [1, 1], user: 1 };
            if in_batches { record_in_batch(&meter, &sent, now) } else { record_at(&meter, &sent, now) }
        };
        assert_eq!(record(BEGIN + 60 * MINUTE, BEGIN), Outcome::Applied);
        assert!(close(&meter, BEGIN).is_empty());
        // The first one of a window, and others.
        let end = BEGIN + MINUTE;
        assert_eq!(record(BEGIN, BEGIN), Outcome::Applied);
        assert_eq!(record(BEGIN - MINUTE, BEGIN + MINUTE - 1), Outcome::Applied);
        assert_eq!(record(BEGIN, end + MINUTE - 1), Outcome::Applied);
        assert_eq!(record(BEGIN - MINUTE - 1, BEGIN + MINUTE - 1), Outcome::Late);
        let closed = |now: u64| close(&meter, now).iter().map(|window| meter.bounds(window.number)).collect::<Vec<_>>();
        assert_eq!(closed(BEGIN + MINUTE - 1), []);
        assert_eq!(closed(end + MINUTE - 1), [(BEGIN - MINUTE, BEGIN)]);
        assert_eq!(record(BEGIN, end + MINUTE), Outcome::Applied, "it is open until somebody looks");
        assert_eq!(closed(end + MINUTE), [(BEGIN, end)]);
        assert_eq!(record(BEGIN, end + MINUTE), Outcome::Late);
        assert_eq!(record(end, end + MINUTE), Outcome::Applied);
        // A clock that goes back closes nothing twice.
        assert_eq!(closed(0), []);
        assert_eq!(closed(end + MINUTE), []);
        assert_eq!(record(BEGIN, end + MINUTE), Outcome::Late);
        assert_eq!(stop(&meter).len(), 2);
    }
}

#[test]
fn a_clock_that_is_set_back_opens_windows_again_and_nothing_is_late_or_lost() {
    let meter = meter(&Config { max_ahead: Some(MINUTE), lateness: 0, dedupe: None, ..config() });
    let send =
        |at: u64, now: u64| record_at(&meter, &Sent { id: None, at, key: (1, 1), amounts: [1, 0], user: NOBODY }, now);
    let impressions = |closed: &[WindowRef]| closed.iter().map(|window| rows(window)[&(1, 1)][0]).collect::<Vec<_>>();
    for now in [BEGIN, BEGIN + 180 * MINUTE] {
        assert_eq!(impressions(&close(&meter, now)), []);
        assert_eq!(send(now, now), Outcome::Applied);
        assert_eq!(impressions(&close(&meter, now + MINUTE)), [1]);
        assert_eq!(send(now, now + MINUTE), Outcome::Late);
    }
    // By three hours. What was closed is not closed again, and more of the same window comes in a second part.
    assert_eq!(impressions(&close(&meter, BEGIN)), []);
    assert_eq!(send(BEGIN, BEGIN), Outcome::Applied);
    assert_eq!(send(BEGIN - 1, BEGIN), Outcome::Late);
    assert_eq!(send(BEGIN + 2 * MINUTE, BEGIN), Outcome::Future);
    assert_eq!(send(BEGIN + 180 * MINUTE, BEGIN), Outcome::Future);
    assert_eq!(impressions(&close(&meter, BEGIN + MINUTE)), [1]);
    assert_eq!(send(BEGIN, BEGIN + MINUTE), Outcome::Late);
    // And on again.
    let later = BEGIN + 200 * MINUTE;
    assert_eq!(impressions(&close(&meter, later)), []);
    assert_eq!(send(later, later), Outcome::Applied);
    assert_eq!(impressions(&stop(&meter)), [1]);
    assert_eq!(impressions(&close(&meter, BEGIN)), []);
    assert_eq!(send(BEGIN, BEGIN), Outcome::Late);
}

#[test]
fn an_event_opens_its_window_again_after_the_clock_was_set_back_though_nobody_has_looked_yet() {
    for in_batches in [true, false] {
        let meter = meter(&Config { max_ahead: Some(MINUTE), lateness: 0, ..config() });
        let send = |id: u64, at: u64, now: u64| {
            let sent = Sent { id: Some(id), at, key: (1, 1), amounts: [1, 0], user: NOBODY };
            if in_batches { record_in_batch(&meter, &sent, now) } else { record_at(&meter, &sent, now) }
        };
        let impressions = |closed: &[WindowRef]| {
            closed.iter().map(|window| (window.number, rows(window)[&(1, 1)][0])).collect::<Vec<_>>()
        };
        let (number, later) = (BEGIN / MINUTE, BEGIN + 180 * MINUTE);
        assert!(close(&meter, BEGIN).is_empty());
        assert_eq!(send(1, BEGIN, BEGIN), Outcome::Applied);
        assert_eq!(send(2, later, later), Outcome::Applied);
        assert_eq!(impressions(&close(&meter, later)), [(number, 1)]);
        // It is not read twice as the same, and was not set back then.
        assert_eq!(send(3, later - 1, later - 99), Outcome::Late);
        assert_eq!(send(3, BEGIN, later), Outcome::Late);
        // By three hours and a second.
        let now = BEGIN - SECOND;
        assert_eq!(send(3, BEGIN - MINUTE - 1, now), Outcome::Late);
        assert_eq!(send(1, BEGIN, now), Outcome::Duplicate);
        assert_eq!(meter.info().open_windows, 1);
        assert_eq!(send(4, BEGIN, now), Outcome::Applied);
        assert_eq!(send(4, BEGIN, now), Outcome::Duplicate);
        assert_eq!(send(5, BEGIN - 1, now), Outcome::Applied);
        assert_eq!(send(6, BEGIN + 2 * MINUTE, now), Outcome::Future);
        // Those that the clock passes again are closed again; the last one is not touched.
        assert!(close(&meter, now).is_empty());
        assert_eq!(send(7, BEGIN, now), Outcome::Applied);
        assert_eq!(impressions(&close(&meter, BEGIN + MINUTE)), [(number - 1, 1), (number, 2)]);
        assert_eq!(send(8, BEGIN, BEGIN + MINUTE), Outcome::Late);
        assert_eq!(meter.last_open(), Some(later / MINUTE));
        assert_eq!(impressions(&stop(&meter)), [(later / MINUTE, 1)]);
        assert_eq!(send(9, BEGIN, BEGIN - SECOND), Outcome::Late);
        assert_eq!(meter.last_open(), None);
    }
}

/// A window that was closed although its time has not passed does not open for what comes later.
#[test]
fn a_window_that_was_closed_early_stays_closed() {
    let meter = meter(&Config { max_ahead: Some(MINUTE), ..config() });
    let sent = Sent { id: None, at: BEGIN, key: (1, 1), amounts: [1, 0], user: NOBODY };
    assert!(close(&meter, BEGIN).is_empty());
    assert_eq!(record_at(&meter, &sent, BEGIN), Outcome::Applied);
    assert_eq!(all(|| meter.close_through(BEGIN)).len(), 1);
    for now in [BEGIN - 100, BEGIN, BEGIN + SECOND] {
        assert_eq!(record_at(&meter, &sent, now), Outcome::Late);
    }
}

#[test]
fn a_clock_that_was_wrong_for_a_moment_lets_nothing_in_that_is_too_far_ahead() {
    let meter = meter(&Config { max_ahead: Some(MINUTE), dedupe: None, ..config() });
    let send =
        |at: u64, now: u64| record_at(&meter, &Sent { id: None, at, key: (1, 1), amounts: [1, 0], user: NOBODY }, now);
    let wrong = BEGIN + 600 * MINUTE;
    assert!(close(&meter, BEGIN).is_empty());
    assert_eq!(send(BEGIN, BEGIN), Outcome::Applied);
    assert_eq!(send(wrong, wrong), Outcome::Applied);
    // Windows are closed by one that goes on as it should.
    assert!(close(&meter, BEGIN + SECOND).is_empty());
    assert_eq!(send(BEGIN + 2 * MINUTE, BEGIN + SECOND), Outcome::Future);
    assert_eq!(send(wrong - MINUTE, BEGIN + SECOND), Outcome::Future);
    assert_eq!(send(BEGIN + MINUTE, BEGIN + SECOND), Outcome::Applied);
    assert_eq!(meter.info().newest, BEGIN + MINUTE);
    assert_eq!(meter.last_open(), Some(wrong / MINUTE));
}

/// Whoever begins or closes a window waits meanwhile.
#[test]
fn how_many_windows_are_open_matters_little_to_an_event_that_has_none() {
    const EVENTS: usize = 2_000;
    let time = |windows: u64, passed: u64| {
        let lateness = windows * MINUTE;
        let meter =
            meter(&Config { max_open_windows: windows as usize, lateness, reach: None, dedupe: None, ..config() });
        let sent = |minute: u64| Sent { id: None, at: BEGIN + minute * MINUTE, key: (1, 1), amounts: [1, 0], user: 1 };
        // Those that have passed, and those that are to come, of which the last one is the newest event's.
        let begin = |minute: u64| assert_eq!(record(&meter, &sent(minute)), Outcome::Applied);
        (0..passed).for_each(begin);
        let newest = passed + windows + 1;
        begin(newest);
        (0..windows - 1).for_each(|minute| begin(newest - 1 - minute));
        assert_eq!(meter.info().open_windows as u64, passed + windows);
        let event = sent(newest - windows);
        (0..10)
            .map(|_| {
                let begin = std::time::Instant::now();
                (0..EVENTS).for_each(|_| assert_eq!(record(&meter, &event), Outcome::NoWindow));
                begin.elapsed()
            })
            .min()
            .expect("ten")
    };
    let few = time(4, 0);
    for (windows, passed) in [(5_000, 0), (5_000, 4_999)] {
        let many = time(windows, passed);
        assert!(many < 20 * few, "{many:?} with {windows} windows and {passed} that have passed, {few:?} with four");
    }
}

#[test]
fn by_the_events_time_the_systems_closes_nothing() {
    let meter = meter(&config());
    let sent = Sent { id: None, at: BEGIN, key: (1, 1), amounts: [1, 1], user: 1 };
    assert_eq!(record(&meter, &sent), Outcome::Applied);
    assert!(close(&meter, BEGIN + 60 * MINUTE).is_empty());
    assert_eq!(record(&meter, &Sent { at: BEGIN + 6 * MINUTE, ..sent }), Outcome::Applied);
    let closed = close(&meter, 0);
    assert_eq!(closed.iter().map(|window| meter.bounds(window.number)).collect::<Vec<_>>(), [(BEGIN, BEGIN + MINUTE)]);
    assert_eq!(record(&meter, &sent), Outcome::Late);
}

/// Narrow and wide ids, whose entries lie in all the places that there are: of a few in homes with room, and of more than they
/// have room for.
#[test]
fn a_copy_is_one_whatever_became_of_its_window() {
    for (wide, in_batches, capacity) in
        [true, false].into_iter().flat_map(|wide| [(wide, true, 20), (wide, false, 20), (wide, true, 2_000)])
    {
        let dedupe = Some(dedupe::Config { window: 100 * MINUTE, capacity, wide });
        let meter = meter(&Config { max_ahead: Some(MINUTE), dedupe, ..config() });
        let sent = |id: u64, at: u64| Sent { id: Some(id), at, key: (1, 1), amounts: [1, 7], user: 1 };
        let record = |sent: Sent, now: u64| {
            if in_batches { record_in_batch(&meter, &sent, now) } else { record_at(&meter, &sent, now) }
        };
        for id in 1..=200 {
            assert_eq!(record(sent(id, BEGIN), BEGIN), Outcome::Applied);
        }
        let later = BEGIN + 6 * MINUTE;
        assert_eq!(close(&meter, later).len(), 1);
        // Those of 201 to 400 are not remembered, however often they come.
        for round in 0..2 {
            for id in 1..=400 {
                let outcome = |new: Outcome| if id <= 200 { Outcome::Duplicate } else { new };
                assert_eq!(record(sent(id, BEGIN), later), outcome(Outcome::Late), "{id} in round {round}");
                assert_eq!(record(sent(id, later + MINUTE + 1), later), outcome(Outcome::Future), "{id} in {round}");
                // In a window that there is none of and that would be closed at once.
                assert_eq!(record(sent(id, BEGIN + 30 * SECOND), later), outcome(Outcome::Late), "{id} in {round}");
            }
        }
        // A copy begins no window.
        assert_eq!(record(sent(1, later), later), Outcome::Duplicate);
        assert_eq!(meter.info().open_windows, 0);
        for id in 1..=400 {
            let outcome = if id <= 200 { Outcome::Duplicate } else { Outcome::Applied };
            assert_eq!(record(sent(id, later), later), outcome);
        }
        let info = meter.info();
        let (duplicate, late, future) = (2 * 3 * 200 + 1 + 200, 2 * 2 * 200, 2 * 200);
        assert_eq!(info.events, Counts { applied: 400, duplicate, late, future, ..Counts::default() });
        let amounts = |count: u64| vec![i128::from(count), 7 * i128::from(count)];
        assert_eq!(info.left_out, [duplicate, late, future, 0].map(amounts));
        assert_eq!(meter.dedupe_info().expect("ids").duplicates, duplicate);
    }
}

/// As long as copies of an event come, its id is remembered: also those that come after its window is closed.
#[test]
fn an_id_is_remembered_from_when_a_copy_last_came_though_that_was_late() {
    for wide in [true, false] {
        let dedupe = Some(dedupe::Config { window: 8 * MINUTE, capacity: 100, wide });
        let meter = meter(&Config { lateness: 0, dedupe, ..config() });
        let event = |id: u64, at: u64| Sent { id: Some(id), at, key: (1, 1), amounts: [1, 1], user: 1 };
        assert_eq!(record(&meter, &event(1, BEGIN)), Outcome::Applied);
        assert_eq!(record(&meter, &event(2, BEGIN)), Outcome::Applied);
        for step in 1..10 {
            assert_eq!(record(&meter, &event(10 + step, BEGIN + 7 * step * MINUTE)), Outcome::Applied);
            close(&meter, 0);
            assert_eq!(record(&meter, &event(1, BEGIN)), Outcome::Duplicate, "{step} {wide}");
        }
        // The other one has been forgotten, and a late copy of it does not change that.
        for _ in 0..2 {
            assert_eq!(record(&meter, &event(2, BEGIN)), Outcome::Late);
        }
        assert_eq!(record(&meter, &event(2, BEGIN + 63 * MINUTE)), Outcome::Applied);
    }
}

#[test]
fn a_time_too_far_ahead_is_not_counted_and_closes_nothing() {
    let meter = meter(&Config { max_ahead: Some(MINUTE), ..config() });
    let sent = Sent { id: Some(1), at: BEGIN, key: (1, 1), amounts: [1, 7], user: 1 };
    let ahead = Sent { id: Some(2), at: BEGIN + 2 * MINUTE + 1, ..sent };
    assert_eq!(record_at(&meter, &sent, BEGIN), Outcome::Applied);
    assert_eq!(record_at(&meter, &ahead, BEGIN + MINUTE), Outcome::Future);
    assert_eq!(record_at(&meter, &Sent { at: ahead.at - 1, ..ahead }, BEGIN + MINUTE), Outcome::Applied);
    assert!(close(&meter, BEGIN + MINUTE).is_empty());
    assert_eq!(meter.info().left_out[2], [1, 7]);
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut key = KeyWriter::bare(&mut room);
    key.integer(1);
    let event = Event { at: u64::MAX, id: None, key: meter.seed().key(key.finish()), amounts: &[], user: None };
    assert_eq!(meter.record(&event, || u64::MAX), Err(Error::Time(u64::MAX)));
}

#[test]
fn keys_that_have_no_room_are_counted_in_the_overflow() {
    let meter = meter(&Config { max_keys: 2, reach: None, ..config() });
    let outcomes: Vec<_> = (0..4)
        .map(|creative| record(&meter, &Sent { id: None, at: BEGIN, key: (1, creative), amounts: [1, 10], user: 1 }))
        .collect();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Applied, Outcome::Overflow, Outcome::Overflow]);
    let closed = stop(&meter);
    assert_eq!(closed[0].overflow(), [2, 20]);
    assert_eq!(rows(&closed[0]).len(), 2);
    assert_eq!(meter.info().events, Counts { applied: 2, overflow: 2, ..Counts::default() });
}

#[test]
fn a_configuration_that_is_wrong_is_refused() {
    let refused = |config| Meter::new(&config).err();
    assert_eq!(refused(Config { window: 0, ..config() }), Some(Error::MeterWindow(0)));
    assert_eq!(refused(Config { lateness: 1 << 47, ..config() }), Some(Error::Lateness(1 << 47)));
    assert_eq!(refused(Config { metrics: 17, ..config() }), Some(Error::Metrics(17)));
    assert_eq!(refused(Config { max_keys: 0, ..config() }), Some(Error::MaxKeys(0)));
    let reach = ReachConfig { by: vec![0], precision: 3, max_keys: 1, secret: None };
    assert_eq!(refused(Config { reach: Some(reach), ..config() }), Some(Error::Precision(3)));
    for by in [vec![], vec![0; 9]] {
        let (arity, reach) = (by.len(), ReachConfig { by, precision: 12, max_keys: 1, secret: None });
        assert_eq!(refused(Config { reach: Some(reach), ..config() }), Some(Error::ReachBy(arity)));
    }
    let dedupe = dedupe::Config { window: 0, capacity: 1, wide: false };
    assert_eq!(refused(Config { dedupe: Some(dedupe), ..config() }), Some(Error::DedupeWindow(0)));
}
