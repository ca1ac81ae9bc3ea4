//! Windows against a twin that is a map and some numbers: which times are taken, which windows begin, what closes.
#![cfg(not(loom))]

#[path = "support/at_end.rs"]
mod at_end;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use ad_tally_core::Error;
use ad_tally_core::windows::{Closed, Config, NotBegun, Windows};
use at_end::AtEnd;
use proptest::prelude::*;

const LENGTH: u64 = 10;

/// What was written to a window.
struct Written {
    number: u64,
    count: AtomicU64,
}

impl Written {
    fn none(number: u64) -> Self {
        Self { number, count: AtomicU64::new(0) }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    Late,
    Future,
    Full,
}

/// Writes to the window of a time, as who uses windows does.
fn write(windows: &Windows<Written>, at: u64, now: u64) -> Outcome {
    loop {
        let open = windows.protect();
        let is_newest = windows.is_newest(at);
        if is_newest && windows.is_future(at, || now) {
            return Outcome::Future;
        }
        if let Some(window) = open.find_at(at) {
            window.count.fetch_add(1, Relaxed);
            if is_newest {
                windows.note_newest(at);
            }
            return Outcome::Written;
        }
        if windows.is_late(&open, at, || now) {
            return Outcome::Late;
        }
        drop(open);
        match windows.begin(windows.number_of(at), || now, Written::none) {
            Ok(()) => {}
            Err(NotBegun::Late) => return Outcome::Late,
            Err(NotBegun::Full) => return Outcome::Full,
        }
    }
}

/// Writes to the first window at or after a time: its number.
fn write_at_or_after(windows: &Windows<Written>, at: u64, now: u64) -> Option<u64> {
    loop {
        let open = windows.protect();
        let number = windows.first_at_or_after(&open, at, || now)?;
        if let Some(window) = open.find(number) {
            window.count.fetch_add(1, Relaxed);
            return Some(window.number);
        }
        drop(open);
        match windows.begin(number, || now, Written::none) {
            // Its time may have passed meanwhile: another one is the first now.
            Ok(()) | Err(NotBegun::Late) => {}
            Err(NotBegun::Full) => return None,
        }
    }
}

fn all(mut step: impl FnMut() -> Closed<Written>) -> BTreeMap<u64, u64> {
    let mut closed = BTreeMap::new();
    loop {
        let Closed { windows, is_all } = step();
        let windows: Vec<(u64, u64)> =
            windows.iter().map(|window| (window.number, window.count.load(Relaxed))).collect();
        assert!(windows.is_sorted(), "from old to new: {windows:?}");
        closed.extend(windows);
        if is_all {
            return closed;
        }
    }
}

/// The twin. The system's time never goes back here.
struct Twin {
    config: Config,
    first: u64,
    newest: u64,
    windows: BTreeMap<u64, u64>,
}

impl Twin {
    fn first_in_time(&self, now: u64) -> u64 {
        let time = if self.config.max_ahead.is_some() { now } else { self.newest };
        time.saturating_sub(self.config.lateness) / LENGTH
    }

    fn is_full(&self, now: u64) -> bool {
        let counted = if self.config.max_ahead.is_some() { 0 } else { self.first_in_time(now) };
        self.windows.range(counted..).count() >= self.config.max_open_windows
    }

    fn write(&mut self, at: u64, now: u64) -> Outcome {
        let number = at / LENGTH;
        if at > self.newest && self.config.max_ahead.is_some_and(|ahead| at > now + ahead) {
            return Outcome::Future;
        }
        if !self.windows.contains_key(&number) {
            if number < self.first || number < self.first_in_time(now) {
                return Outcome::Late;
            }
            if self.is_full(now) {
                return Outcome::Full;
            }
        }
        *self.windows.entry(number).or_default() += 1;
        self.newest = self.newest.max(at);
        Outcome::Written
    }

    fn write_at_or_after(&mut self, at: u64, now: u64) -> Option<u64> {
        let from = self.first.max(at / LENGTH);
        let begins = from.max(self.first_in_time(now));
        let there = self.windows.range(from..=begins).next().map(|(number, _)| *number);
        if there.is_none() && (begins == u64::MAX || self.is_full(now)) {
            return None;
        }
        let number = there.unwrap_or(begins);
        *self.windows.entry(number).or_default() += 1;
        Some(number)
    }

    fn close_before(&mut self, first: u64) -> BTreeMap<u64, u64> {
        self.first = self.first.max(first);
        let open = self.windows.split_off(&first);
        std::mem::replace(&mut self.windows, open)
    }
}

#[derive(Debug, Clone)]
enum Act {
    Write { at: u64 },
    WriteAtOrAfter { at: u64 },
    Pass { time: u64 },
    Close,
    CloseThrough { at: u64 },
    Read { from: u64, most: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let at = 0_u64..3_000;
    prop_oneof![
        10 => at.clone().prop_map(|at| Act::Write { at }),
        3 => at.clone().prop_map(|at| Act::WriteAtOrAfter { at }),
        4 => (0_u64..100).prop_map(|time| Act::Pass { time }),
        2 => Just(Act::Close),
        1 => at.prop_map(|at| Act::CloseThrough { at: at / 4 }),
        1 => (0_u64..300, 1_usize..20).prop_map(|(from, most)| Act::Read { from, most }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn windows_are_those_of_the_twin(
        lateness in prop_oneof![Just(0_u64), 1_u64..500],
        max_ahead in prop::option::of(0_u64..500),
        max_open_windows in prop_oneof![2_usize..8, Just(1_000)],
        acts in prop::collection::vec(act(), 1..300),
        stops in any::<bool>(),
    ) {
        let config = Config { window: LENGTH, lateness, max_ahead, max_open_windows };
        let windows = Windows::new(config).expect("a configuration that is right");
        let mut twin = Twin { config, first: 0, newest: 0, windows: BTreeMap::new() };
        let mut now = 0;
        for act in acts {
            match act {
                Act::Write { at } => prop_assert_eq!(write(&windows, at, now), twin.write(at, now), "{}", at),
                Act::WriteAtOrAfter { at } => {
                    prop_assert_eq!(write_at_or_after(&windows, at, now), twin.write_at_or_after(at, now), "{}", at);
                }
                Act::Pass { time } => now += time,
                Act::Close => {
                    let first = twin.first_in_time(now);
                    prop_assert_eq!(all(|| windows.close(now)), twin.close_before(first));
                }
                Act::CloseThrough { at } => {
                    prop_assert_eq!(all(|| windows.close_through(at)), twin.close_before(at / LENGTH + 1));
                }
                Act::Read { from, most } => {
                    let read: Vec<u64> = windows.open_windows(from, most).iter().map(|window| window.number).collect();
                    let expected: Vec<u64> = twin.windows.range(from..).map(|(number, _)| *number).take(most).collect();
                    prop_assert_eq!(read, expected);
                }
            }
            prop_assert_eq!(windows.count(), twin.windows.len());
            prop_assert_eq!(windows.first_open(), twin.first);
            prop_assert_eq!(windows.last_open(), twin.windows.last_key_value().map(|(number, _)| *number));
            prop_assert_eq!(windows.newest(), twin.newest);
        }
        if stops {
            prop_assert_eq!(all(|| windows.stop()), twin.close_before(u64::MAX));
            prop_assert_eq!(write(&windows, 0, now), Outcome::Late);
            prop_assert_eq!(write_at_or_after(&windows, 0, now), None);
        }
    }
}

/// However threads meet: a window that is handed over has all that was written to it, and is not written to any more.
#[test]
fn what_was_written_is_in_one_closed_window() {
    const THREADS: u64 = 4;
    const EVENTS: u64 = 50_000;
    let config = Config { window: LENGTH, lateness: 5 * LENGTH, max_ahead: None, max_open_windows: 1_000 };
    let windows: Windows<Written> = Windows::new(config).expect("a configuration that is right");
    let done = AtomicBool::new(false);
    let (written, closed) = std::thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let closer = scope.spawn(|| {
            let (mut shares, mut counts) = (Vec::new(), 0);
            let mut is_over = false;
            while !is_over {
                let is_last = done.load(Relaxed);
                let closed = if is_last { windows.stop() } else { windows.close(0) };
                counts += closed.windows.iter().map(|window| window.count.load(Relaxed)).sum::<u64>();
                shares.extend(closed.windows);
                is_over = is_last && closed.is_all;
            }
            (shares, counts)
        });
        let windows = &windows;
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let write_one = |event: u64| {
                        let at = event / 20 + thread * 7;
                        let outcome = write(windows, at, 0);
                        outcome == Outcome::Written || write_at_or_after(windows, at, 0).is_some()
                    };
                    (0..EVENTS).map(|event| u64::from(write_one(event))).sum::<u64>()
                })
            })
            .collect();
        let written: u64 = writers.into_iter().map(|writer| writer.join().expect("a writer")).sum();
        drop(at_end);
        (written, closer.join().expect("a closer"))
    });
    let (shares, counts) = closed;
    assert_eq!((written, counts), (THREADS * EVENTS, THREADS * EVENTS));
    assert_eq!(shares.iter().map(|window| window.count.load(Relaxed)).sum::<u64>(), counts, "nothing came afterwards");
}

/// Neither when somebody looks, nor when an event comes before that.
#[test]
fn what_was_closed_before_its_time_stays_closed_when_the_clock_is_set_back() {
    let (begin, ahead) = (1_000 * LENGTH, 50 * LENGTH);
    let config = Config { window: LENGTH, lateness: 10 * LENGTH, max_ahead: Some(ahead), max_open_windows: 1_000 };
    for looks in [false, true] {
        let windows: Windows<Written> = Windows::new(config).expect("a configuration that is right");
        all(|| windows.close(begin));
        assert_eq!(write(&windows, begin, begin), Outcome::Written);
        assert_eq!(all(|| windows.close_through(begin)), BTreeMap::from([(begin / LENGTH, 1)]));
        let back = begin - 20 * LENGTH;
        if looks {
            assert_eq!(all(|| windows.close(back)), BTreeMap::new());
        }
        assert_eq!(write(&windows, begin, back), Outcome::Late);
        assert_eq!(write(&windows, back, back), Outcome::Late);
        assert_eq!(write(&windows, begin + LENGTH, back), Outcome::Written);
        // By more than an event may be ahead: the clock was wrong when it was closed, or is now.
        let back = begin - 200 * LENGTH;
        if looks {
            assert_eq!(all(|| windows.close(back)), BTreeMap::new());
        }
        assert_eq!(write(&windows, back, back), Outcome::Written);
    }
}

/// Times up to the newest one are not compared with a clock, which may have been set back since.
#[test]
fn an_event_that_is_too_far_ahead_of_a_clock_that_was_set_back_opens_no_window_again() {
    let (begin, ahead) = (1_000 * LENGTH, 50 * LENGTH);
    let config = Config { window: LENGTH, lateness: 10 * LENGTH, max_ahead: Some(ahead), max_open_windows: 1_000 };
    let windows: Windows<Written> = Windows::new(config).expect("a configuration that is right");
    all(|| windows.close(begin));
    assert_eq!(write(&windows, begin + 40 * LENGTH, begin), Outcome::Written);
    all(|| windows.close_through(begin + 40 * LENGTH));
    let (first, back) = (windows.first_open(), begin - 30 * LENGTH);
    assert_eq!(write(&windows, back + ahead + 1, back), Outcome::Late);
    assert_eq!((windows.first_open(), windows.last_open()), (first, None));
    // One that may be as far ahead does: those that were closed are further ahead than that.
    assert_eq!(write(&windows, back + ahead, back), Outcome::Written);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let config = Config { window: LENGTH, lateness: 0, max_ahead: None, max_open_windows: 1 };
    let refused = |config| Windows::<Written>::new(config).err();
    assert_eq!(refused(Config { window: 0, ..config }), Some(Error::MeterWindow(0)));
    assert_eq!(refused(Config { window: 1 << 47, ..config }), Some(Error::MeterWindow(1 << 47)));
    assert_eq!(refused(Config { lateness: 1 << 47, ..config }), Some(Error::Lateness(1 << 47)));
    assert_eq!(refused(config), None);
}
