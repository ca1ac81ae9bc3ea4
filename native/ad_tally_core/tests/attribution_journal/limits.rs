//! Full buffers, full tables, users who are forgotten, other configurations, and frames.

use std::borrow::Cow;
use std::cell::Cell;

use ad_tally_core::Seed;
use ad_tally_core::attribution::{Attribution, Change, Config, Counting, Names, Outcome, Outcomes, Unchanged};
use ad_tally_core::codec::{Frame, Imported};
use ad_tally_core::journal::{self, Entry, Restore};
use ad_tally_core::key::{AtomFault, AtomNames, integer_words};

use crate::in_memory::merged;
use crate::store::{Run, Stored, read};
use crate::told::{Answers, BEGIN, Closed, Fact, HOUR, MINUTE, SECOND, config, convert, order, tell, touch, user};

#[test]
fn where_the_buffers_are_full_nothing_is_taken_until_they_are_not() {
    let bound = journal::Config { buffer_bytes: 1 << 16, wake_bytes: 1 << 16 };
    let stored = Stored::opened(&config(), 1, bound);
    let attribution = &stored.attribution;
    convert(attribution, 1, 1, BEGIN, 0, 100, 0);
    let mut taken = 0;
    while touch(attribution, taken, 1, BEGIN, 0, 1, 0) == Outcome::Applied {
        taken += 1;
    }
    let before = Answers::of(attribution);
    let words = integer_words(1);
    let adjusted = attribution.adjust(attribution.seed().key(&words), Change::Restate(5), BEGIN, || 0);
    assert_eq!(adjusted, Ok(Err(Unchanged::Busy)));
    assert_eq!(convert(attribution, 2, 1, BEGIN, 0, 100, 0), Outcome::Busy);
    assert_eq!(touch(attribution, taken, 1, BEGIN + HOUR, 0, 1, 0), Outcome::Busy);
    // A late one too.
    assert_eq!(touch(attribution, taken, 1, BEGIN - HOUR, 0, 1, 0), Outcome::Busy);
    assert_eq!(Answers::of(attribution), before);
    let info = attribution.info();
    assert_eq!((info.touches.busy, info.conversions.busy, info.touches.applied), (3, 1, taken as u64));
    let run = stored.cut();
    assert_eq!(touch(attribution, taken, 1, BEGIN, 0, 1, 0), Outcome::Applied);
    let restored = stored.restarted(&[run], 0);
    Answers::of(&restored.attribution).assert_are(&before, "of what was taken");
}

#[test]
fn the_end_of_a_list_is_busy() {
    let bound = journal::Config { buffer_bytes: 1 << 16, wake_bytes: 1 << 16 };
    let stored = Stored::opened(&config(), 1, bound);
    let words = integer_words(1).map(|word| word | 1);
    let dimensions = stored.attribution.seed().key(&words);
    let touch = |at: usize| ad_tally_core::attribution::Touch {
        id: at as i64,
        user: user(1),
        at: BEGIN,
        kind: 0,
        dimensions,
        cost: 1,
    };
    let mut outcomes = Outcomes::default();
    assert_eq!(stored.attribution.touch_all(5_000, touch, &mut outcomes, || 0, || true), 5_000);
    let [applied, duplicate, late, future, busy] = outcomes;
    assert!(applied > 0 && busy > 0 && [duplicate, late, future] == [0; 3] && applied + busy == 5_000, "{outcomes:?}");
    // Also once there is room again: what is sent again is the end of the list.
    drop(stored.cut());
    assert_eq!(stored.attribution.touch_all(7, touch, &mut outcomes, || 0, || true), 7);
    assert_eq!(outcomes, [applied, 0, 0, 0, busy + 7]);
    assert_eq!(stored.attribution.info().touches.busy, busy + 7);
}

#[test]
fn the_end_of_a_list_of_conversions_is_busy() {
    let bound = journal::Config { buffer_bytes: 1 << 16, wake_bytes: 1 << 16 };
    let stored = Stored::opened(&config(), 1, bound);
    let orders: Vec<_> = (0..5_000).map(integer_words).collect();
    let conversion = |at: usize| ad_tally_core::attribution::Conversion {
        order: stored.attribution.seed().key(&orders[at]),
        user: user(at as u64),
        at: BEGIN,
        action: 0,
        value: 1,
    };
    let mut outcomes = Outcomes::default();
    assert_eq!(stored.attribution.convert_all(5_000, conversion, &mut outcomes, || 0, || true), 5_000);
    let [applied, duplicate, late, future, busy] = outcomes;
    assert!(applied > 0 && busy > 0 && [duplicate, late, future] == [0; 3] && applied + busy == 5_000, "{outcomes:?}");
    drop(stored.cut());
    assert_eq!(stored.attribution.convert_all(7, conversion, &mut outcomes, || 0, || true), 7);
    assert_eq!(outcomes, [applied, 0, 0, 0, busy + 7]);
    assert_eq!(stored.attribution.info().conversions.busy, busy + 7);
    // Without those, the list is taken as any other, and until it is told to stop.
    assert_eq!(stored.attribution.convert_all(20, conversion, &mut Outcomes::default(), || 0, || false), 8);
}

#[test]
fn a_full_table_keeps_every_value_whole_over_restarts() {
    let config = Config { users: 8, orders: 6, touches_per_user: 3, max_keys: 2, ..config() };
    let mut stored = Stored::new(&config);
    let (mut runs, mut values, mut costs) = (Vec::new(), 0, 0);
    let (mut delivered, mut spent) = (0, 0);
    for number in 0..400_i64 {
        let at = BEGIN + number as u64 * 7 * SECOND;
        assert_eq!(touch(&stored.attribution, number, number as u64 % 31, at, 0, number % 5, 0), Outcome::Applied);
        costs += i128::from(10 + number);
        if number % 4 == 0 {
            let outcome = convert(&stored.attribution, number, number as u64 % 31, at, 0, 100 + number, 0);
            assert_eq!(outcome, Outcome::Applied);
            values += i128::from(100 + number);
        }
        if number % 50 == 49 {
            runs.push(stored.cut());
            stored = stored.restarted(&runs, 0);
            tell(&stored.attribution, Fact::Close, &mut Vec::new());
            for undelivered in stored.attribution.undelivered() {
                let closed = Closed::of(&stored.attribution, &undelivered.window);
                delivered += closed.value();
                spent += closed.cost();
                stored.attribution.delivered(&undelivered.window);
            }
        }
    }
    while !stored.attribution.stop().is_all {}
    for undelivered in stored.attribution.undelivered() {
        let closed = Closed::of(&stored.attribution, &undelivered.window);
        delivered += closed.value();
        spent += closed.cost();
    }
    assert_eq!((delivered, spent), (values, costs));
}

#[test]
fn a_full_table_evicts_the_same_order_after_a_restart() {
    let stored = Stored::new(&Config { orders: 2, ..config() });
    let tell = |stored: &Stored, fact| tell(&stored.attribution, fact, &mut Vec::new());
    let restate = |order, value, at| Fact::Adjust { order, change: Change::Restate(value), at };
    for order in [0, 1] {
        convert(&stored.attribution, order, 1, BEGIN, 0, 100, 0);
    }
    // The last change of the first order is older than the one before it, and changes nothing.
    for (order, at) in [(0, BEGIN + 2), (1, BEGIN + 2), (0, BEGIN + 1)] {
        tell(&stored, restate(order, 50, at));
    }
    let runs = [stored.cut()];
    let restored = stored.restarted(&runs, 0);
    for stored in [&stored, &restored] {
        convert(&stored.attribution, 2, 1, BEGIN, 0, 100, 0);
        let is_known = |of| stored.attribution.credits(order(&stored.attribution, of), || 0).is_some();
        assert_eq!([0, 1, 2].map(is_known), [false, true, true]);
    }
}

#[test]
fn nothing_of_a_user_who_is_forgotten_is_in_any_file_once_they_are_merged() {
    let stored = Stored::new(&config());
    let attribution = &stored.attribution;
    let mut runs = Vec::new();
    for by in 1..4 {
        touch(attribution, by as i64, by, BEGIN, 0, 1, 0);
        convert(attribution, by as i64, by, BEGIN + SECOND, 1, 100, 0);
    }
    tell(attribution, Fact::Link { alias: 2, user: 1 }, &mut Vec::new());
    runs.push(stored.cut());
    // Marks as well, and a conversion that is provisional.
    touch(attribution, 9, 2, BEGIN + HOUR, 0, 1, 0);
    attribution.close(0);
    convert(attribution, 9, 2, BEGIN + HOUR, 2, 100, 0);
    let users = attribution.forget(user(2));
    runs.push(stored.cut());
    attribution.erase(&users);
    let before = Answers::of(attribution);
    runs.push(stored.cut());
    let has = |run: &Run, by: u64| {
        let named = Named { user: user(by), is_named: Cell::new(false) };
        read(run, &named).expect("entries");
        named.is_named.get()
    };
    assert!(has(&runs[0], 1) && has(&runs[0], 2) && has(&runs[2], 1), "before");
    let base = merged(&runs, Some(&*attribution.fold()), true);
    assert_eq!([1, 2, 3].map(|by| has(&base, by)), [false, false, true]);
    for runs in [runs, vec![base]] {
        let restored = stored.restarted(&runs, 0);
        Answers::of(&restored.attribution).assert_are(&before, "without it");
        assert_eq!(restored.attribution.info().users, 1);
    }
}

#[test]
fn a_user_who_was_forgotten_while_the_disk_refused_is_erased_with_all_aliases_the_next_time() {
    let stored = Stored::new(&config());
    let attribution = &stored.attribution;
    for by in 1..4 {
        touch(attribution, by as i64, by, BEGIN, 0, 1, 0);
    }
    tell(attribution, Fact::Link { alias: 2, user: 1 }, &mut Vec::new());
    let mut runs = vec![stored.cut()];
    let users = attribution.forget(user(1));
    attribution.keep_unerased(user(1), users);
    // Of somebody else, and of the alias, who is one of its own by now.
    touch(attribution, 9, 2, BEGIN + SECOND, 0, 1, 0);
    let others = attribution.forget(user(3));
    assert!(!others.contains(&user(2)));
    let users = attribution.forget(user(1));
    assert!(users.contains(&user(1)) && users.contains(&user(2)), "{users:?}");
    runs.push(stored.cut());
    attribution.erase(&[users, others].concat());
    runs.push(stored.cut());
    assert_eq!(attribution.info().users, 0);
    assert_eq!(stored.restarted(&runs, 0).attribution.info().users, 0);
    // And once only.
    assert!(!attribution.forget(user(1)).contains(&user(2)));
}

#[test]
fn what_is_merged_is_restored_as_what_it_was_merged_from() {
    let stored = Stored::new(&Config { touches_per_user: 3, ..config() });
    let attribution = &stored.attribution;
    let mut runs = Vec::new();
    for number in 0..200_i64 {
        let (by, at) = (number as u64 % 7, BEGIN + number as u64 * 5 * SECOND);
        touch(attribution, number, by, at, (number % 2) as u8, number % 4, 0);
        match number % 10 {
            3 => _ = convert(attribution, number / 10, by, at - MINUTE, (number % 3) as u8, number, 0),
            5 => tell(attribution, Fact::Close, &mut Vec::new()),
            7 => {
                let oldest = attribution.undelivered().into_iter().next();
                oldest.into_iter().for_each(|undelivered| attribution.delivered(&undelivered.window));
            }
            9 => runs.push(stored.cut()),
            _ => {}
        }
    }
    runs.push(stored.cut());
    let merged = merged(&runs, Some(&*attribution.fold()), true);
    assert!(merged.len() < runs.iter().map(Vec::len).sum::<usize>());
    let restored = [runs, vec![merged]].map(|runs| stored.restarted(&runs, 0));
    for restored in &restored {
        Answers::of(&restored.attribution).assert_are(&Answers::of(attribution), "restored");
        let undelivered = |stored: &Stored| -> Vec<Closed> {
            let all = stored.attribution.undelivered();
            all.iter().map(|of| Closed::of(&stored.attribution, &of.window)).collect()
        };
        assert_eq!(undelivered(restored), undelivered(&stored));
    }
}

/// A configuration with a kind more, and other windows.
#[test]
fn windows_of_another_configuration_are_closed_as_they_were_and_all_else_goes_on() {
    let stored = Stored::new(&config());
    let attribution = &stored.attribution;
    touch(attribution, 1, 1, BEGIN, 1, 1, 0);
    convert(attribution, 1, 1, BEGIN + SECOND, 0, 100, 0);
    let mut longer = Config { window: 5 * MINUTE, ..config() };
    longer.lookbacks.push(MINUTE);
    longer.actions.push(Counting::Every);
    let runs = [stored.cut()];
    let restored = stored.restarted_as(&longer, 1, &runs, 0).expect("entries that are right");
    let undelivered = restored.attribution.undelivered();
    assert_eq!(undelivered.len(), 1);
    let of = &undelivered[0];
    assert_eq!((of.config, of.begin, of.end, of.numbered.clone()), (0, BEGIN, BEGIN + MINUTE, None));
    let closed = Closed::of(&restored.attribution, &of.window);
    assert_eq!((closed.value(), closed.cost(), closed.postings[0].steps.len()), (100, 11, 1));
    let credits = restored.attribution.credits(order(&restored.attribution, 1), || 0).expect("an order");
    assert!(credits.is_final);
    // The touch is still the user's.
    assert_eq!(convert(&restored.attribution, 2, 1, BEGIN + 2 * SECOND, 3, 100, 0), Outcome::Applied);
    let credits = restored.attribution.credits(order(&restored.attribution, 2), || 0).expect("an order");
    assert_eq!(credits.posting.steps.iter().map(|step| step.id).collect::<Vec<_>>(), [1]);
    // A kind less than what is there is refused by what is wrong.
    let fewer = Config { lookbacks: vec![HOUR], ..config() };
    let refused = stored.restarted_as(&fewer, 1, &runs, 0).map(|_| ());
    assert_eq!(refused, Err("kind is below 1, not 1".to_owned()));
}

/// Whether any entry names a user.
struct Named {
    user: u64,
    is_named: Cell<bool>,
}

impl Restore for Named {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        let bytes: Vec<u8> = match entry {
            Entry::Latest { hash, words, .. } => {
                [hash].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
            }
            Entry::Item { owner, key, bytes, .. } => [&owner.to_le_bytes(), key, bytes].concat(),
            Entry::Touches { user, .. } | Entry::Forgotten { owner: user } => user.to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        let forms = [self.user.to_le_bytes(), self.user.to_be_bytes()];
        self.is_named.set(self.is_named.get() || bytes.windows(8).any(|bytes| forms.iter().any(|form| form == bytes)));
        Ok(())
    }
}

struct NoAtoms;

impl AtomNames for NoAtoms {
    fn text(&self, _hash: u64) -> Option<Cow<'_, str>> {
        None
    }

    fn atom(&mut self, _text: &str) -> Result<u64, AtomFault> {
        unreachable!("there are none")
    }
}

#[test]
fn what_frames_bring_is_there_after_a_restart() {
    let names = Names {
        dimensions: 1,
        kinds: vec!["click".into(), "view".into()],
        actions: vec!["every".into(), "user".into(), "touch".into()],
    };
    let other = Attribution::new(&config(), Seed::new(7)).expect("a configuration that is right");
    for id in 0..8 {
        touch(&other, id, id as u64 % 2, BEGIN + id as u64 * SECOND, 0, id % 3, 0);
    }
    (0..4).for_each(|number| _ = convert(&other, number, number as u64 % 2, BEGIN + 9 * SECOND, 1, 100, 0));
    tell(&other, Fact::Link { alias: 5, user: 1 }, &mut Vec::new());
    // Some are final, and one is not.
    touch(&other, 20, 3, BEGIN + HOUR, 0, 1, 0);
    other.close(0);
    convert(&other, 9, 1, BEGIN + HOUR, 0, 100, 0);
    let stored = Stored::new(&config());
    let settings = stored.attribution.settings(&names);
    let mut export = other.frames(&names);
    let mut frames = Vec::new();
    while let Some(bytes) = export.next_frame(&other, &NoAtoms) {
        frames.push(bytes);
    }
    for bytes in &frames {
        let frame = Frame::read(bytes).expect("a frame");
        let imported = stored.attribution.import_frame(&settings, &frame, &mut NoAtoms, || 0);
        assert!(matches!(imported, Ok(Imported::Rows { overflow: 0, .. })));
    }
    let mut runs = vec![stored.cut()];
    let restored = stored.restarted(&runs, 0);
    Answers::of(&restored.attribution).assert_are(&Answers::of(&stored.attribution), "restored");
    // Only the first one of a user counts, wherever it has counted.
    assert_eq!(convert(&restored.attribution, 30, 5, BEGIN + HOUR, 1, 100, 0), Outcome::Applied);
    let credits = restored.attribution.credits(order(&restored.attribution, 30), || 0).expect("an order");
    assert!(!credits.counts);
    for bytes in &frames {
        let frame = Frame::read(bytes).expect("a frame");
        let imported = restored.attribution.import_frame(&settings, &frame, &mut NoAtoms, || 0);
        assert!(matches!(imported, Ok(Imported::AlreadyTaken)));
    }
    // An imported user is forgotten as well, by the hash that it has here.
    let users = restored.attribution.forget(user(1));
    runs.push(restored.cut());
    restored.attribution.erase(&users);
    runs.push(restored.cut());
    let again = restored.restarted(&runs, 0);
    assert_eq!(again.attribution.info().users, restored.attribution.info().users);
}
