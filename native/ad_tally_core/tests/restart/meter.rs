//! A meter against itself: what it was when an interval ended is what comes back of the intervals up to it.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::sync::Arc;

use ad_tally_core::journal::{Entry, Fold, Part, Restore, WindowState};
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::meter::{Batch, Config, Event, Numbered, Outcome, Outcomes, ReachConfig, Shape};
use ad_tally_core::sketch::Coupon;
use ad_tally_core::{Add, KeyWriter, Meter, Seed, dedupe};
use proptest::prelude::*;

use crate::journal::{compacted, cut, part, part_within, take_back};
use crate::seen::Seen;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;

fn config() -> Config {
    Config {
        window: MINUTE,
        lateness: 2 * MINUTE,
        max_ahead: Some(5 * MINUTE),
        metrics: 2,
        max_keys: 4,
        max_open_windows: 1_000,
        reach: Some(ReachConfig { by: vec![1], precision: 4, max_keys: 2, secret: None }),
        dedupe: Some(dedupe::Config { window: 1_000 * MINUTE, capacity: 10_000, wide: true }),
    }
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    id: Option<u64>,
    /// Before or after the system's time.
    at: i64,
    key: (i64, i64),
    amounts: [i64; 2],
    user: Option<u64>,
}

#[derive(Debug, Clone)]
enum Step {
    Record(Sent),
    RecordMany(Vec<Sent>),
    Pass(u64),
    SetBack(u64),
    Close,
    CloseAll,
    Number,
    Deliver(usize),
    Cut,
    /// All that was not cut is lost.
    Crash,
}

fn sent() -> impl Strategy<Value = Sent> {
    let amount = prop_oneof![-9..9_i64, Just(i64::MAX), Just(i64::MIN), Just(1 << 60)];
    let minutes = MINUTE as i64;
    let at = prop_oneof![4 => -minutes..minutes, 1 => -5 * minutes..7 * minutes];
    let user = prop_oneof![Just(None), (0..40_u64).prop_map(Some)];
    (prop::option::of(0..80_u64), at, (0..3_i64, 0..3_i64), [amount.clone(), amount], user)
        .prop_map(|(id, at, key, amounts, user)| Sent { id, at, key, amounts, user })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => sent().prop_map(Step::Record),
        4 => prop::collection::vec(sent(), 0..20).prop_map(Step::RecordMany),
        4 => (0..2 * MINUTE).prop_map(Step::Pass),
        1 => (0..3 * MINUTE).prop_map(Step::SetBack),
        2 => Just(Step::Close),
        1 => Just(Step::CloseAll),
        3 => Just(Step::Number),
        2 => (0..3_usize).prop_map(Step::Deliver),
        4 => Just(Step::Cut),
        1 => Just(Step::Crash),
    ]
}

/// A meter with a journal, and what its intervals were.
struct Service {
    config: Config,
    part: Part,
    fold: Arc<dyn Fold>,
    meter: Meter,
    opened: u32,
    now: u64,
    /// What of it is on disk: an interval, and what the meter was then.
    intervals: Vec<(Vec<u8>, State)>,
    state: State,
}

/// What there is beside the windows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    seen: Seen,
    ids: BTreeSet<u64>,
    /// Windows that are open.
    open: BTreeSet<u64>,
    newest: u64,
    now: u64,
}

fn stored(config: &Config, part: &Part) -> Meter {
    Meter::stored(config, Seed::new(7), part.clone(), 1).expect("a configuration that is right")
}

fn hash(meter: &Meter, id: u64) -> u64 {
    meter.seed().hash(ad_tally_core::key::Domain::Id, &ad_tally_core::key::integer_words(id as i64))
}

fn record(meter: &Meter, sent: &Sent, now: u64) -> Outcome {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut key = KeyWriter::tuple(&mut room, 2).expect("an arity");
    key.integer(sent.key.0);
    key.integer(sent.key.1);
    let amounts = [0, 1].map(|metric| Add { metric, amount: sent.amounts[metric as usize] });
    let event = Event {
        at: now.saturating_add_signed(sent.at),
        id: sent.id.map(|id| hash(meter, id)),
        key: meter.seed().key(key.finish()),
        amounts: &amounts,
        user: sent.user.map(|user| Coupon::of_integer(user, None)),
    };
    meter.record(&event, || now).expect("a time")
}

fn record_many(meter: &Meter, all: &[Sent], now: u64) -> Outcomes {
    let (mut batch, mut outcomes) = (Batch::default(), Outcomes { counted: Some(Vec::new()), ..Outcomes::default() });
    for sent in all {
        let room = batch.room_for_amounts();
        for (metric, amount) in sent.amounts.into_iter().enumerate() {
            room[metric].write(Add { metric: metric as u32, amount });
        }
        // SAFETY: they were written just now.
        unsafe { batch.keep_amounts(2) };
        let mut writer = KeyWriter::tuple(batch.room(0), 2).expect("an arity");
        writer.integer(sent.key.0);
        writer.integer(sent.key.1);
        let key = meter.seed().key(writer.finish());
        let key = (key.hash, key.words.len());
        let at = now.saturating_add_signed(sent.at);
        let user = sent.user.map(|user| Coupon::of_integer(user, None));
        // SAFETY: the key was written into the room just now.
        unsafe { batch.push(at, sent.id.map(|id| hash(meter, id)), key, user) }.expect("a time");
    }
    assert_eq!(meter.record_batch(&batch, &mut outcomes, || now, || true), all.len());
    outcomes
}

impl Service {
    fn new(config: Config) -> Self {
        let part = part(1);
        let meter = stored(&config, &part);
        let (fold, state) = (meter.fold(), State { now: BEGIN, ..State::default() });
        Self { config, part, fold, meter, opened: 1, now: BEGIN, intervals: Vec::new(), state }
    }

    fn step(&mut self, step: &Step) {
        let (meter, now) = (&self.meter, self.now);
        match step {
            Step::Record(sent) => {
                let outcome = record(meter, sent, now);
                self.note(sent, matches!(outcome, Outcome::Applied | Outcome::Overflow));
            }
            Step::RecordMany(all) => {
                let counted = record_many(meter, all, now).counted.expect("asked for");
                for (at, sent) in all.iter().enumerate() {
                    self.note(sent, counted.contains(&(at as u64)));
                }
            }
            Step::Pass(time) => self.now += time,
            Step::SetBack(time) => self.now -= time,
            Step::Close => while !meter.close(now).is_all {},
            Step::CloseAll => {
                if let Some(last) = meter.last_open() {
                    meter.close_through(meter.bounds(last).0);
                }
            }
            Step::Number => {
                for undelivered in meter.undelivered().iter().filter(|it| it.numbered.is_none()).take(2) {
                    let numbered = Numbered {
                        sequence: meter.sequence() + 1,
                        partial: now < undelivered.end + 2 * MINUTE,
                        node: format!("node{}@nowhere", now % 3).into(),
                        closed_at: now,
                    };
                    assert!(meter.closed(&undelivered.window, numbered.clone()));
                    assert!(!meter.closed(&undelivered.window, Numbered { sequence: 1 << 40, ..numbered }));
                }
            }
            Step::Deliver(which) => {
                let mut numbered = meter.undelivered().into_iter().filter(|it| it.numbered.is_some());
                if let Some(undelivered) = numbered.nth(*which) {
                    meter.delivered(&undelivered.window);
                }
            }
            Step::Cut => self.cut(),
            Step::Crash => self.crash(),
        }
    }

    fn note(&mut self, sent: &Sent, is_counted: bool) {
        if is_counted {
            self.state.ids.extend(sent.id);
            self.state.newest = self.state.newest.max(self.now.saturating_add_signed(sent.at));
        }
    }

    fn cut(&mut self) {
        self.state.seen = Seen::of(&self.meter);
        self.state.open = open(&self.meter);
        self.state.now = self.now;
        self.intervals.push((cut(&self.part, &self.fold), self.state.clone()));
    }

    fn crash(&mut self) {
        self.opened += 1;
        let part = part(self.opened);
        self.state = self.intervals.last().map_or_else(State::default, |(_, state)| state.clone());
        self.meter = restored(&self.config, &part, self.intervals.iter().map(|(run, _)| &run[..]), self.now);
        (self.fold, self.part) = (self.meter.fold(), part);
    }
}

fn restored<'r>(config: &Config, part: &Part, runs: impl Iterator<Item = &'r [u8]>, now: u64) -> Meter {
    let meter = stored(config, part);
    let restoring = meter.restoring([]);
    runs.for_each(|run| take_back(run, &restoring));
    restoring.finish(now);
    meter
}

fn open(meter: &Meter) -> BTreeSet<u64> {
    meter.open_windows(0, usize::MAX).iter().map(|window| window.instance).collect()
}

/// That a meter is what another one was.
fn assert_is(meter: &Meter, state: &State) {
    let seen = Seen::of(meter);
    assert_eq!(seen, state.seen);
    assert_eq!(meter.info().newest, state.newest);
    assert_eq!(open(meter), state.open);
    // An event of long ago is late, unless its id is known.
    for id in 0..80 {
        let sent = Sent { id: Some(id), at: -10_000_000, key: (0, 0), amounts: [0, 0], user: None };
        let expected = if state.ids.contains(&id) { Outcome::Duplicate } else { Outcome::Late };
        assert_eq!(record(meter, &sent, state.now.max(BEGIN)), expected, "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_prefix_of_the_intervals_is_the_meter_as_it_was_when_the_last_of_them_ended(
        steps in prop::collection::vec(step(), 1..150),
        wide in any::<bool>(),
    ) {
        let mut service = Service::new(Config {
            dedupe: Some(dedupe::Config { wide, ..config().dedupe.expect("ids") }),
            ..config()
        });
        steps.iter().for_each(|step| service.step(step));
        service.cut();
        for prefix in 0..=service.intervals.len() {
            let runs: Vec<&[u8]> = service.intervals[..prefix].iter().map(|(run, _)| &run[..]).collect();
            let state = prefix.checked_sub(1).map_or_else(State::default, |last| service.intervals[last].1.clone());
            let compacted = compacted(&runs, &service.fold);
            assert_is(&restored(&service.config, &part(100), runs.into_iter(), state.now), &state);
            let compacted = compacted.iter().map(|run| &run[..]);
            assert_is(&restored(&service.config, &part(100), compacted, state.now), &state);
        }
    }
}

#[test]
fn a_busy_journal_counts_nothing_and_the_end_of_a_list_is_busy() {
    let part = part_within(1, 64 << 10);
    let meter = stored(&config(), &part);
    let sent = |id| Sent { id: Some(id), at: 0, key: (0, 0), amounts: [1, 1], user: Some(id) };
    let mut counted = 0;
    let busy = loop {
        match record(&meter, &sent(counted), BEGIN) {
            Outcome::Applied => counted += 1,
            other => break other,
        }
    };
    assert_eq!(busy, Outcome::Busy);
    let all: Vec<Sent> = (counted..counted + 50).map(sent).collect();
    let mut outcomes = record_many(&meter, &all, BEGIN);
    assert_eq!(outcomes.counts, [0, 0, 0, 0, 0, 0, 50]);
    // Neither are copies known, nor is anything late, without a look at the meter.
    let late = Sent { at: -100_000_000, ..sent(0) };
    assert_eq!(record(&meter, &late, BEGIN), Outcome::Busy);
    let info = meter.info();
    assert_eq!((info.events.applied, info.events.busy, info.events.late), (counted, 52, 0));
    assert!(info.left_out.iter().flatten().all(|amount| *amount == 0));
    let windows = meter.open_windows(0, usize::MAX);
    assert_eq!(windows[0].totals(), [i128::from(counted); 2]);
    // Once it is on disk there is room, and what was busy is counted when it comes again.
    drop(cut(&part, &meter.fold()));
    outcomes = record_many(&meter, &all, BEGIN);
    assert_eq!(outcomes.counts[Outcome::Applied as usize], 50);
    // Windows are numbered and delivered whether or not there is room.
    while record(&meter, &sent(counted + 100 + meter.info().events.applied), BEGIN) != Outcome::Busy {}
    while !meter.close_through(BEGIN).is_all {}
    let undelivered = meter.undelivered();
    let numbered = Numbered { sequence: 1, partial: true, node: "n@h".into(), closed_at: BEGIN };
    assert!(meter.closed(&undelivered[0].window, numbered));
    let before = cut(&part, &meter.fold());
    meter.delivered(&undelivered[0].window);
    let after = cut(&part, &meter.fold());
    let again = restored(&config(), &crate::journal::part(2), [&before[..]].into_iter(), BEGIN);
    assert_eq!((again.undelivered().len(), again.sequence()), (1, 1));
    let again = restored(&config(), &crate::journal::part(3), [&before[..], &after[..]].into_iter(), BEGIN);
    assert_eq!((again.undelivered().len(), again.sequence()), (0, 1));
}

#[test]
fn an_event_that_is_left_out_leaves_nothing_in_the_journal() {
    let part = part(1);
    let meter = stored(&config(), &part);
    let sent = |id, at: u64, now: u64| {
        let sent = Sent { id: Some(id), at: at as i64 - now as i64, key: (0, 0), amounts: [1, 1], user: Some(id) };
        record(&meter, &sent, now)
    };
    assert_eq!(sent(1, BEGIN, BEGIN), Outcome::Applied);
    let first = part.journal.cut();
    assert_eq!(first.len(), 1);
    assert_eq!(sent(1, BEGIN, BEGIN), Outcome::Duplicate);
    assert_eq!(sent(1, BEGIN + 10 * MINUTE, BEGIN), Outcome::Duplicate);
    assert_eq!(sent(2, BEGIN + 10 * MINUTE, BEGIN), Outcome::Future);
    assert_eq!(sent(2, BEGIN - 10 * MINUTE, BEGIN), Outcome::Late);
    let nothing = part.journal.cut();
    assert_eq!((nothing.len(), nothing.bytes()), (0, 0));

    // What is of an event is as long as that of any other, and an id that a copy has renewed is a record of two words.
    let later = BEGIN + 600 * MINUTE;
    assert_eq!(sent(2, later, later), Outcome::Applied);
    assert_eq!(sent(1, later, later), Outcome::Duplicate);
    let second = part.journal.cut();
    assert_eq!((second.len(), second.bytes()), (2, first.bytes() + 3 * size_of::<u64>()));
}

#[test]
fn what_was_in_time_before_a_restart_is_in_time_for_the_lateness_after_it() {
    let (first, config) = (part(1), config());
    let meter = stored(&config, &first);
    let sent = |id, at| Sent { id: Some(id), at, key: (0, 0), amounts: [1, 1], user: None };
    let minutes = MINUTE as i64;
    // A window that was closed by its time, and one that is open.
    assert_eq!(record(&meter, &sent(1, -minutes), BEGIN), Outcome::Applied);
    let now = BEGIN + 2 * MINUTE;
    assert_eq!(record(&meter, &sent(2, 0), now), Outcome::Applied);
    let closed = meter.close(now).windows;
    assert_eq!(closed.len(), 1);
    let numbered = Numbered { sequence: 1, partial: false, node: "n@h".into(), closed_at: now };
    assert!(meter.closed(&closed[0], numbered));
    meter.delivered(&closed[0]);
    let run = cut(&first, &meter.fold());

    // Half an hour later.
    let later = now + 30 * MINUTE;
    let meter = stored(&config, &part(2));
    // So that what is of long ago is late from the beginning, as whoever closes windows does.
    assert!(meter.close(later).windows.is_empty());
    let restoring = meter.restoring([]);
    take_back(&run, &restoring);
    restoring.finish(later);
    let before = |at: u64| at as i64 - later as i64;
    assert!(meter.close(later).windows.is_empty());
    assert_eq!(record(&meter, &sent(1, before(BEGIN - MINUTE)), later), Outcome::Duplicate);
    assert_eq!(record(&meter, &sent(3, before(BEGIN - MINUTE)), later), Outcome::Late);
    assert_eq!(record(&meter, &sent(4, before(now)), later), Outcome::Applied);
    // One of a window that had not begun.
    assert_eq!(record(&meter, &sent(5, before(BEGIN)), later), Outcome::Applied);
    assert_eq!(record(&meter, &sent(6, 0), later), Outcome::Applied);
    let last = later + config.lateness - 1;
    assert_eq!(record(&meter, &sent(7, before(BEGIN) - (last - later) as i64), last), Outcome::Applied);
    assert!(meter.close(last).windows.is_empty());
    let numbers: Vec<u64> = meter.close(last + 1).windows.iter().map(|window| window.number * MINUTE).collect();
    assert_eq!(numbers, [BEGIN, now]);
    assert_eq!(record(&meter, &sent(8, before(now)), last + 1), Outcome::Late);
}

/// The meter of the next start, at another time.
fn next(config: &Config, runs: &[&[u8]], opened: u32, now: u64) -> Meter {
    restored(config, &part(opened), runs.iter().copied(), now)
}

#[test]
fn what_was_closed_before_its_time_is_closed_after_a_restart() {
    for max_ahead in [None, Some(5 * MINUTE)] {
        let (first, config) = (part(1), Config { max_ahead, ..config() });
        let meter = stored(&config, &first);
        let sent = |id, at| Sent { id: Some(id), at, key: (0, 0), amounts: [1, 1], user: None };
        let minutes = MINUTE as i64;
        assert_eq!(record(&meter, &sent(1, 0), BEGIN), Outcome::Applied);
        assert_eq!(record(&meter, &sent(2, 2 * minutes), BEGIN), Outcome::Applied);
        let before = cut(&first, &meter.fold());
        assert_eq!(meter.close_through(BEGIN + MINUTE).windows.len(), 1);
        let run = cut(&first, &meter.fold());
        // Also where the clock was set back meanwhile, as long as an event may be of the time of what is closed.
        for now in [BEGIN, BEGIN + SECOND, BEGIN - 4 * MINUTE] {
            let meter = next(&config, &[&before, &run], 2, now);
            let ago = BEGIN as i64 - now as i64;
            assert_eq!(record(&meter, &sent(3, ago), now), Outcome::Late, "{now}");
            // In its minute nothing was counted.
            assert_eq!(record(&meter, &sent(3, ago + minutes), now), Outcome::Late, "{now}");
            assert_eq!(record(&meter, &sent(3, ago + 2 * minutes), now), Outcome::Applied, "{now}");
            assert_eq!(meter.first_open(), BEGIN / MINUTE + 2);
            // It was closed and has no number: it is still to be given one.
            let begins: Vec<u64> = meter.undelivered().iter().map(|it| it.begin).collect();
            assert_eq!(begins, [BEGIN]);
        }
        // What was not on disk has not happened.
        let meter = next(&config, &[&before], 2, BEGIN);
        assert_eq!(record(&meter, &sent(3, 0), BEGIN), Outcome::Applied);
        assert_eq!(meter.open_windows(0, 9).len(), 2);
    }
}

#[test]
fn how_far_windows_were_closed_before_their_time_holds_for_windows_of_another_length() {
    let (first, config) = (part(1), config());
    let meter = stored(&config, &first);
    let sent = |id, at| Sent { id: Some(id), at, key: (0, 0), amounts: [1, 1], user: None };
    assert_eq!(record(&meter, &sent(1, 0), BEGIN), Outcome::Applied);
    while !meter.close_through(BEGIN).is_all {}
    let run = cut(&first, &meter.fold());
    // BEGIN is a multiple of both. A window of two minutes was half closed: it is open.
    for (window, expected) in [(MINUTE / 2, Outcome::Late), (2 * MINUTE, Outcome::Applied)] {
        let of_now = Config { window, ..config.clone() };
        let meter = Meter::stored(&of_now, Seed::new(7), part(2), 2).expect("a configuration that is right");
        let restoring = meter.restoring([(1, Shape::from(&config))]);
        take_back(&run, &restoring);
        restoring.finish(BEGIN);
        assert_eq!(record(&meter, &sent(2, SECOND as i64), BEGIN), expected);
        assert_eq!(record(&meter, &sent(3, MINUTE as i64), BEGIN), Outcome::Applied);
    }
}

#[test]
fn what_a_clock_closed_that_was_far_ahead_is_open_when_it_is_right_again() {
    let (first, config) = (part(1), config());
    let meter = stored(&config, &first);
    let sent = |id| Sent { id: Some(id), at: 0, key: (0, 0), amounts: [1, 1], user: None };
    let wrong = BEGIN + 1_000 * MINUTE;
    assert_eq!(record(&meter, &sent(1), wrong), Outcome::Applied);
    assert_eq!(meter.close_through(wrong).windows.len(), 1);
    let run = cut(&first, &meter.fold());
    let (second, now) = (part(2), BEGIN + SECOND);
    let meter = restored(&config, &second, [&run[..]].into_iter(), BEGIN);
    assert!(meter.close(BEGIN).windows.is_empty());
    assert_eq!(record(&meter, &sent(2), now), Outcome::Applied);
    // What is closed early now counts from now on.
    assert_eq!(meter.close_through(now).windows.len(), 1);
    assert_eq!(record(&meter, &sent(3), now), Outcome::Late);
    let later = cut(&second, &meter.fold());
    let meter = next(&config, &[&run, &later], 3, now);
    assert_eq!(record(&meter, &sent(3), now), Outcome::Late);
    assert_eq!(record(&meter, &sent(3), now + MINUTE), Outcome::Applied);
}

#[test]
fn windows_of_another_configuration_come_back_as_they_were_and_closed() {
    let (first, config) = (part(1), config());
    let meter = stored(&config, &first);
    let sent = Sent { id: Some(1), at: 0, key: (1, 2), amounts: [3, 4], user: Some(5) };
    assert_eq!(record(&meter, &sent, BEGIN), Outcome::Applied);
    let (run, seen) = (cut(&first, &meter.fold()), Seen::of(&meter));
    let of_now = Config { window: 2 * MINUTE, metrics: 3, reach: None, ..config.clone() };
    let meter = Meter::stored(&of_now, Seed::new(7), part(2), 2).expect("a configuration that is right");
    let restoring = meter.restoring([(1, Shape::from(&config))]);
    take_back(&run, &restoring);
    restoring.finish(BEGIN);
    assert_eq!(meter.open_windows(0, usize::MAX).len(), 0);
    let undelivered = meter.undelivered();
    assert_eq!((undelivered.len(), undelivered[0].config), (1, 1));
    assert_eq!((undelivered[0].begin, undelivered[0].end), (BEGIN, BEGIN + MINUTE));
    assert_eq!(Seen::of(&meter), seen);
    // Its events are known, and those that come now are of windows of the present configuration.
    assert_eq!(record(&meter, &sent, BEGIN), Outcome::Duplicate);
    assert_eq!(record(&meter, &Sent { id: Some(2), ..sent }, BEGIN), Outcome::Applied);
    assert_eq!(meter.open_windows(0, usize::MAX)[0].totals(), [3, 4, 0]);
    // One that nobody has said anything of is refused.
    let meter = Meter::stored(&of_now, Seed::new(7), part(3), 2).expect("a configuration that is right");
    let restoring = meter.restoring([]);
    let window = Entry::Window { instance: 1, number: 1, config: 1, state: WindowState::Open };
    assert!(restoring.restore(window).is_err_and(|why| why.contains("configuration 1")));
    let row = Entry::Row { instance: 2, key: &[], sums: &[1] };
    assert!(restoring.restore(row).is_err_and(|why| why.contains("none of its own")));
}
