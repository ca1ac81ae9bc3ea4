//! Threads that record, one that closes, numbers and delivers windows, and one that ends intervals, all at once: whatever prefix of the
//! intervals is taken back has each event wholly or not at all.
//!
//! The event `number` of a thread adds a one to a byte of its own in the row of that number, and is a user of its own of a sketch. So
//! rows tell which events are in them, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use ad_tally_core::meter::{Batch, Config, Event, Numbered, Outcome, Outcomes, ReachConfig, Window};
use ad_tally_core::sketch::{Coupon, Sketch};
use ad_tally_core::{Add, Element, KeyWriter, Meter, Seed, dedupe, key};

use crate::at_end::AtEnd;
use crate::journal::{cut, part, take_back};

const BEGIN: u64 = 1_780_272_000_000;
const THREADS: u64 = 4;
const EVENTS: u64 = 10_000;
const SKETCHES: u64 = 3;

fn config() -> Config {
    Config {
        window: 1_000,
        lateness: 500,
        max_ahead: Some(1 << 40),
        metrics: 2,
        max_keys: 10_000,
        max_open_windows: 1_000,
        reach: Some(ReachConfig { by: vec![1], precision: 5, max_keys: 100, secret: None }),
        dedupe: Some(dedupe::Config { window: 1 << 40, capacity: 100_000, wide: true }),
    }
}

/// An event: of which thread, and its number.
type Of = (u64, u64);

fn user((thread, number): Of) -> Coupon {
    Coupon::of_integer(THREADS * number + thread, None)
}

fn id(meter: &Meter, (thread, number): Of) -> u64 {
    meter.seed().hash(key::Domain::Id, &key::integer_words((THREADS * number + thread) as i64))
}

fn time(number: u64) -> u64 {
    BEGIN + number * 3
}

fn with_event<R>(meter: &Meter, of @ (thread, number): Of, at: u64, act: impl FnOnce(&Event<'_>) -> R) -> R {
    let mut room = [std::mem::MaybeUninit::uninit(); key::SHORT_KEY_WORDS];
    let mut writer = KeyWriter::tuple(&mut room, 2).expect("an arity");
    writer.integer(number as i64);
    writer.integer((number % SKETCHES) as i64);
    let amounts = [Add { metric: 0, amount: 1 << (8 * thread) }, Add { metric: 1, amount: -1 }];
    let key = meter.seed().key(writer.finish());
    act(&Event { at, id: Some(id(meter, of)), key, amounts: &amounts, user: Some(user(of)) })
}

fn push(batch: &mut Batch, meter: &Meter, of @ (_, number): Of, at: u64) {
    with_event(meter, of, at, |event| {
        let room = batch.room_for_amounts();
        room.iter_mut().zip(event.amounts).for_each(|(room, add)| _ = room.write(*add));
        // SAFETY: they were written just now.
        unsafe { batch.keep_amounts(2) };
        let mut writer = KeyWriter::tuple(batch.room(0), 2).expect("an arity");
        writer.integer(number as i64);
        writer.integer((number % SKETCHES) as i64);
        let key = meter.seed().key(writer.finish());
        let key = (key.hash, key.words.len());
        // SAFETY: the key was written into the room just now.
        unsafe { batch.push(at, event.id, key, event.user) }.expect("a time");
    });
}

/// The events of a window, each once.
fn events(window: &Window) -> BTreeSet<Of> {
    let mut events = BTreeSet::new();
    window.counters().walk(|key, totals| {
        let Some(Element::Integer(number)) = key.elements().next() else { panic!("no number") };
        for thread in 0..THREADS {
            match totals[0] >> (8 * thread) & 0xff {
                0 => {}
                1 => assert!(events.insert((thread, number as u64))),
                more => panic!("event {number} of thread {thread} was counted {more} times"),
            }
        }
        assert_eq!(-totals[1], i128::from(totals[0].count_ones()));
        ControlFlow::Continue(())
    });
    assert_eq!(window.overflow(), [0, 0]);
    events
}

/// The bytes of the sketches of a window.
fn sketches(window: &Window) -> BTreeMap<u64, Vec<u8>> {
    let mut sketches = BTreeMap::new();
    window.reach().expect("sketches").walk(|key, sketch| {
        let Some(Element::Integer(number)) = key.elements().next() else { panic!("no number") };
        sketches.insert(number as u64, sketch.to_bytes());
        ControlFlow::Continue(())
    });
    sketches
}

fn sketches_of(events: &BTreeSet<Of>) -> BTreeMap<u64, Vec<u8>> {
    let mut sketches = BTreeMap::new();
    for of in events {
        let empty = || Sketch::new(5, None).expect("a precision");
        sketches.entry(of.1 % SKETCHES).or_insert_with(empty).insert(user(*of));
    }
    sketches.into_iter().map(|(key, sketch)| (key, sketch.to_bytes())).collect()
}

#[test]
fn each_event_is_wholly_in_the_prefixes_from_its_interval_on() {
    let part_of_first = part(1);
    let meter =
        Meter::stored(&config(), Seed::new(7), part_of_first.clone(), 1).expect("a configuration that is right");
    let (progress, done) = (AtomicU64::new(0), AtomicBool::new(false));
    // What was in each window that was delivered.
    let delivered = Mutex::new(BTreeMap::new());
    let now = || time(progress.load(Relaxed));
    let close = || {
        while !meter.close(now()).is_all {}
        for (at, undelivered) in meter.undelivered().into_iter().enumerate() {
            if undelivered.numbered.is_none() {
                let (sequence, closed_at) = (meter.sequence() + 1, now());
                let numbered = Numbered { sequence, partial: false, node: "n@h".into(), closed_at };
                assert!(meter.closed(&undelivered.window, numbered));
            } else if at % 2 == 0 {
                delivered.lock().unwrap().insert(undelivered.window.instance, events(&undelivered.window));
                meter.delivered(&undelivered.window);
            }
        }
    };
    let fold = meter.fold();
    let (counted, mut intervals) = std::thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let cutter = scope.spawn(|| {
            let mut intervals = Vec::new();
            while !done.load(Relaxed) {
                intervals.push(cut(&part_of_first, &fold));
                std::thread::yield_now();
            }
            intervals
        });
        let closer = scope.spawn(|| {
            while !done.load(Relaxed) {
                close();
                std::thread::yield_now();
            }
        });
        let recorders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (meter, progress, part) = (&meter, &progress, &part_of_first);
                scope.spawn(move || record_all(meter, thread, progress, part))
            })
            .collect();
        let counted: Vec<Vec<Of>> = recorders.into_iter().map(|recorder| recorder.join().expect("no panic")).collect();
        drop(at_end);
        closer.join().expect("no panic");
        (counted, cutter.join().expect("no panic"))
    });
    intervals.push(cut(&part_of_first, &fold));
    // What is in each window in the end, or was when it was delivered.
    let delivered = delivered.into_inner().unwrap();
    let mut all = delivered.clone();
    all.extend(meter.open_windows(0, usize::MAX).iter().map(|window| (window.instance, events(window))));
    all.extend(meter.undelivered().iter().map(|it| (it.window.instance, events(&it.window))));
    let events_of_all: usize = all.values().map(BTreeSet::len).sum();
    assert_eq!(events_of_all, counted.iter().map(Vec::len).sum::<usize>());
    assert!(events_of_all as u64 > THREADS * EVENTS / 2 && delivered.len() > 2, "{events_of_all}, {}", delivered.len());

    let step = (intervals.len() / 25).max(1);
    let mut prefixes: Vec<usize> = (0..intervals.len()).step_by(step).collect();
    prefixes.push(intervals.len());
    for prefix in prefixes {
        check(&intervals[..prefix], &all, &delivered, &counted);
    }
}

/// Records the events of a thread, some of them together, and copies of others' events. Which ones it has counted, in turn.
fn record_all(meter: &Meter, thread: u64, progress: &AtomicU64, part: &ad_tally_core::journal::Part) -> Vec<Of> {
    let (mut counted, mut batch) = (Vec::new(), Batch::default());
    let mut waiting = Vec::new();
    for number in 0..EVENTS {
        progress.fetch_max(number, Relaxed);
        if number % 8 == thread {
            std::thread::yield_now();
        }
        let copy = ((thread + number) % THREADS, number);
        let at = time(number) + number * 31 % 700;
        let now = || time(number);
        let record = |of| with_event(meter, of, at, |event| meter.record(event, now)).expect("a time");
        match thread {
            // A list.
            0 => {
                push(&mut batch, meter, (thread, number), at);
                push(&mut batch, meter, copy, at);
                waiting.extend([(thread, number), copy]);
                if batch.len() >= 30 {
                    let mut outcomes = Outcomes { counted: Some(Vec::new()), ..Outcomes::default() };
                    assert_eq!(meter.record_batch(&batch, &mut outcomes, now, || true), batch.len());
                    counted.extend(outcomes.counted.expect("asked for").into_iter().map(|at| waiting[at as usize]));
                    batch.clear();
                    waiting.clear();
                }
            }
            // Two that are one for the journal.
            1 => {
                let scribe = part.journal.begin().expect("room");
                let outcomes = [(thread, number), copy].map(|of| (of, record(of)));
                drop(scribe);
                counted.extend(outcomes.into_iter().filter(|(_, it)| *it == Outcome::Applied).map(|(of, _)| of));
            }
            _ => {
                for of in [(thread, number), copy] {
                    if record(of) == Outcome::Applied {
                        counted.push(of);
                    }
                }
            }
        }
    }
    counted
}

/// That a prefix of the intervals has each event wholly or not at all.
fn check(
    intervals: &[Vec<u8>],
    all: &BTreeMap<u64, BTreeSet<Of>>,
    delivered: &BTreeMap<u64, BTreeSet<Of>>,
    counted: &[Vec<Of>],
) {
    let meter = Meter::stored(&config(), Seed::new(7), part(2), 1).expect("a configuration that is right");
    let restoring = meter.restoring([]);
    intervals.iter().for_each(|run| take_back(run, &restoring));
    restoring.finish(time(EVENTS));
    let mut windows = BTreeMap::new();
    for window in meter.open_windows(0, usize::MAX) {
        windows.insert(window.instance, (events(&window), sketches(&window)));
    }
    for it in meter.undelivered() {
        windows.insert(it.window.instance, (events(&it.window), sketches(&it.window)));
    }
    // An event of long ago is late, unless its id is known.
    let is_known = |of: &Of| match with_event(&meter, *of, 1, |event| meter.record(event, || time(EVENTS))) {
        Ok(Outcome::Duplicate) => true,
        Ok(Outcome::Late) => false,
        other => panic!("{other:?}"),
    };
    let known: BTreeSet<Of> = all.values().flatten().copied().filter(is_known).collect();
    for (instance, events) in all {
        let known: BTreeSet<Of> = events.intersection(&known).copied().collect();
        match windows.get(instance) {
            Some((there, sketches)) => {
                assert_eq!(*there, known, "of window {instance}");
                assert_eq!(*sketches, sketches_of(&known), "of window {instance}");
            }
            None if delivered.contains_key(instance) && known == *events => {}
            None => assert_eq!(known, BTreeSet::new(), "of window {instance}"),
        }
    }
    assert!(windows.keys().all(|instance| all.contains_key(instance)));
    for (thread, counted) in counted.iter().enumerate() {
        let is_in: Vec<bool> = counted.iter().map(|of| known.contains(of)).collect();
        assert!(is_in.is_sorted_by(|one, next| one >= next), "later ones of thread {thread} without earlier ones");
    }
    for both in counted[1].chunk_by(|(_, one), (_, other)| one == other) {
        assert!(both.iter().all(|of| known.contains(of) == known.contains(&both[0])), "one of {both:?}");
    }
}
