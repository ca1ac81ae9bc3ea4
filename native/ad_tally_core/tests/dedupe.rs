//! Dedupe against an oracle that keeps every id: no copy passes within the window, and fresh ids are hardly ever dropped.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ad_tally_core::dedupe::{Config, Dedupe, ExportedId};
use ad_tally_core::{Error, key};
use proptest::prelude::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;

fn config() -> Config {
    Config { window: 10 * MINUTE, capacity: 10_000, wide: false }
}

fn dedupe(config: &Config) -> Dedupe {
    Dedupe::new(config).expect("a configuration that is right")
}

/// Under a hash that is always the same, by which none of the ids of these tests looks like another one in its bucket.
fn first(dedupe: &Dedupe, id: u64, at: u64) -> bool {
    first_now(dedupe, id, at, u64::MAX)
}

fn first_now(dedupe: &Dedupe, id: u64, at: u64, now: u64) -> bool {
    dedupe.first(mixed(id), at, || now).expect("a time")
}

/// A step of SplitMix64.
fn mixed(id: u64) -> u64 {
    let id = id.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    id ^ (id >> 31)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Few ids, so that they come again, at times that go on and back. Where there is little room buckets go on in others.
    #[test]
    fn no_copy_passes_within_the_window_and_none_is_dropped_that_is_new(
        wide in any::<bool>(),
        capacity in prop_oneof![Just(60_usize), Just(500)],
        window in 1..20 * MINUTE,
        events in prop::collection::vec((0_u64..400, 0_u64..2 * MINUTE, 0_u64..MINUTE), 1..2_000),
    ) {
        let dedupe = dedupe(&Config { window, capacity, wide });
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let (mut now, mut newest) = (BEGIN, 0);
        for (id, on, back) in events {
            now += on;
            let at = now - back;
            newest = newest.max(at);
            let is_first = first(&dedupe, id, at);
            match seen.get(&id) {
                None => prop_assert!(is_first, "{id} is new"),
                // What there was no room for may pass.
                Some(_) if capacity == 60 && dedupe.info().forgotten > 0 => {}
                Some(then) if newest - then <= window => prop_assert!(!is_first, "{id} was there {} ms ago", newest - then),
                Some(_) => {}
            }
            seen.insert(id, newest);
        }
        prop_assert!(capacity == 60 || dedupe.info().forgotten == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// More ids than there is room for: of those that are within the window no more pass than were forgotten.
    #[test]
    fn what_is_forgotten_early_is_counted(
        wide in any::<bool>(),
        capacity in 1..30_usize,
        bursts in prop::collection::vec((0_u64..900, 1_u64..400, 0_u64..4), 1..40),
    ) {
        let window = 4_000;
        let dedupe = dedupe(&Config { window, capacity, wide });
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let (mut at, mut passed) = (BEGIN, 0);
        for (begin, count, quarters) in bursts {
            at += quarters * window / 4;
            for id in begin..begin + count {
                let is_first = first(&dedupe, id, at);
                let is_copy = seen.insert(id, at).is_some_and(|then| at - then <= window);
                passed += u64::from(is_first && is_copy);
            }
            let forgotten = dedupe.info().forgotten;
            prop_assert!(passed <= forgotten, "{passed} passed, {forgotten} were forgotten");
        }
    }
}

/// Fresh ids and a copy of each within the window, as many of both as there is room for: how many fresh ones were dropped, and
/// how many copies passed.
fn stream(config: &Config, windows: u64) -> (usize, usize) {
    let dedupe = dedupe(config);
    let a_window = config.capacity as u64 / 2;
    let quarter = a_window / 4;
    let (mut dropped, mut passed) = (0, 0);
    // Under the hash that ids have, which is another one in every run.
    let hash = |id: u64| dedupe.seed().hash(key::Domain::Id, &key::integer_words(id as i64));
    let first = |dedupe: &Dedupe, id, at| dedupe.first(hash(id), at, || u64::MAX).expect("a time");
    for id in 0..windows * a_window {
        let at = BEGIN + id * config.window / a_window;
        dropped += usize::from(!first(&dedupe, id, at));
        // Copies come a quarter to a whole window later.
        if id >= a_window {
            let copied = if id.is_multiple_of(2) { id - a_window + 1 } else { id - quarter };
            passed += usize::from(first(&dedupe, copied, at));
        }
    }
    let info = dedupe.info();
    println!("{info:?}");
    assert_eq!(info.forgotten, 0);
    (dropped, passed)
}

#[test]
fn of_two_million_fresh_ids_and_their_copies_none_goes_wrong_but_by_chance() {
    let (dropped, passed) = stream(&Config { capacity: 800_000, ..config() }, 5);
    assert!(dropped <= 3, "{dropped}");
    assert_eq!(passed, 0);
    assert_eq!(stream(&Config { capacity: 200_000, wide: true, ..config() }, 5), (0, 0));
}

#[test]
#[ignore = "takes half a minute"]
fn of_a_hundred_million_fresh_ids_and_their_copies_none_goes_wrong_but_by_chance() {
    let (dropped, passed) = stream(&Config { capacity: 20_000_000, ..config() }, 10);
    println!("{dropped} dropped");
    assert!(dropped <= 20, "{dropped}");
    assert_eq!(passed, 0);
}

#[test]
fn of_32_copies_at_once_one_is_first() {
    const THREADS: usize = 32;
    const IDS: u64 = 10_000;
    for wide in [false, true] {
        // Little room, so that buckets go on in others meanwhile.
        let dedupe = dedupe(&Config { capacity: IDS as usize * 3 / 4, wide, ..config() });
        let firsts: Vec<AtomicUsize> = (0..IDS).map(|_| AtomicUsize::new(0)).collect();
        let together = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let (dedupe, firsts, together) = (&dedupe, &firsts, &together);
                scope.spawn(move || {
                    for id in 0..IDS {
                        if id.is_multiple_of(100) {
                            together.wait();
                        }
                        if first(dedupe, id, BEGIN) {
                            firsts[id as usize].fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert!(firsts.iter().all(|firsts| firsts.load(Relaxed) == 1));
        let info = dedupe.info();
        assert_eq!((info.ids, info.duplicates), (IDS as usize, IDS * (THREADS as u64 - 1)));
        assert!(info.overflow_buckets > 0);
    }
}

/// Some copies of an id move time on to the next generation, and others, of before, come at the same moment.
#[test]
fn of_copies_that_come_while_a_generation_begins_one_is_first() {
    copies_while_a_generation_begins(true, 10_000, 1);
    copies_while_a_generation_begins(false, 10_000, 1);
    // One bucket, which goes on in others.
    copies_while_a_generation_begins(false, 1, 60);
}

fn copies_while_a_generation_begins(wide: bool, capacity: usize, ids_of_a_generation: u64) {
    const THREADS: usize = 8;
    const IDS: u64 = 10_000;
    let dedupe = dedupe(&Config { window: 4_000, capacity, wide });
    let firsts: Vec<AtomicUsize> = (0..IDS).map(|_| AtomicUsize::new(0)).collect();
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let (dedupe, firsts, together) = (&dedupe, &firsts, &together);
            scope.spawn(move || {
                for id in 0..IDS {
                    together.wait();
                    if first(dedupe, id, BEGIN + (id / ids_of_a_generation + thread % 2) * 1_000) {
                        firsts[id as usize].fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    let wrong = firsts.iter().filter(|firsts| firsts.load(Relaxed) != 1).count();
    assert_eq!(wrong, 0);
}

#[test]
fn an_id_is_forgotten_some_time_after_its_window() {
    for wide in [false, true] {
        let dedupe = dedupe(&Config { wide, ..config() });
        assert!(first(&dedupe, 7, BEGIN));
        assert!(!first(&dedupe, 7, BEGIN + 10 * MINUTE));
        // It is remembered for a window after that, and forgotten a quarter of one later.
        assert!(!first(&dedupe, 7, BEGIN + 20 * MINUTE));
        assert!(first(&dedupe, 7, BEGIN + 32 * MINUTE + 30 * SECOND));
        assert!(!first(&dedupe, 7, BEGIN + 40 * MINUTE));
        assert_eq!(dedupe.info().ids, 1);
    }
}

#[test]
fn what_there_is_no_room_for_is_forgotten_early_and_never_dropped() {
    for wide in [false, true] {
        let dedupe = dedupe(&Config { capacity: 100, wide, ..config() });
        assert!((0..10_000).all(|id| first(&dedupe, id, BEGIN + id)));
        let info = dedupe.info();
        assert_eq!(info.ids, info.entries, "all of it is in use");
        assert_eq!(info.forgotten as usize, 10_000 - info.ids);
        // Those that came last are there yet, as many as there is room for but for some buckets.
        let there = (9_900..10_000).filter(|id| !first(&dedupe, *id, BEGIN + 10_000)).count();
        assert!(there > if wide { 25 } else { 95 }, "{there}");
    }
}

#[test]
fn what_came_after_others_were_forgotten_is_not_forgotten_before_its_time() {
    // A bucket and 16 that it may go on in, each of 30 ids, or 28 beside the number of the next one.
    let dedupe = dedupe(&Config { window: 4_000, capacity: 1, wide: false });
    let at = |quarter: u64| BEGIN + quarter * 1_000;
    let new = |ids: std::ops::Range<u64>, quarter| ids.for_each(|id| assert!(first(&dedupe, id, at(quarter)), "{id}"));
    new(0..31, 0);
    new(31..478, 1);
    assert_eq!(dedupe.info().forgotten, 0);
    new(478..483, 4);
    assert_eq!(dedupe.info().forgotten, 5);
    // What is left of the first ones is too old by now.
    new(483..484, 5);
    // By now the others that came before the last ones are, too.
    new(484..485, 6);
    assert!((478..485).all(|id| !first(&dedupe, id, at(6))));
    assert_eq!(dedupe.info().forgotten, 5);
}

/// Ids that look alike are the same one, wherever they lie: what is remembered of both is remembered of each.
#[test]
fn ids_that_look_alike_do_so_in_a_bucket_and_behind_it() {
    let first = |dedupe: &Dedupe, hash: u64, quarter: u64| {
        dedupe.first(hash, BEGIN + quarter * 1_000, || u64::MAX).expect("a time")
    };
    // Bits that are neither the bucket's nor the fingerprint's.
    for (one, alike) in [(0x1234_5678, 0x9234_5678), (0x1234_5678, 0x1234_567f)] {
        for before in [0, 31, 100] {
            let dedupe = dedupe(&Config { window: 4_000, capacity: 1, wide: false });
            (0..before).for_each(|id| assert!(first(&dedupe, 0x4000_0000 | id << 8, 0)));
            assert!(first(&dedupe, one, 0));
            (0..40).for_each(|id| assert!(first(&dedupe, 0x5000_0000 | id << 8, 0)));
            for quarter in 0..12 {
                assert!(!first(&dedupe, alike, quarter), "{alike:x} behind {before} in quarter {quarter}");
                assert!(!first(&dedupe, one, quarter), "{one:x} behind {before} in quarter {quarter}");
            }
        }
    }
}

#[test]
fn a_bucket_that_nobody_comes_to_for_long_remembers_no_longer_than_others() {
    for quarters in 1..20 {
        for count in [1, 31, 32, 100] {
            let dedupe = dedupe(&Config { window: 4_000, capacity: 1, wide: false });
            (0..count).for_each(|id| assert!(first(&dedupe, id, BEGIN)));
            let firsts = (0..count).filter(|id| first(&dedupe, *id, BEGIN + quarters * 1_000)).count() as u64;
            let is_remembered = quarters < 5;
            assert_eq!(firsts, if is_remembered { 0 } else { count }, "{count} after {quarters} quarters");
            assert!((0..count).all(|id| !first(&dedupe, id, BEGIN + (quarters + 4) * 1_000)));
            assert_eq!(dedupe.info().ids as u64, count);
        }
    }
}

#[test]
fn an_id_of_eight_generations_ago_does_not_seem_one_of_now() {
    for (wide, count) in [(false, 3), (false, 100), (true, 3), (true, 100)] {
        let dedupe = dedupe(&Config { window: 4_000, capacity: 1, wide });
        for (quarter, ids) in [(0, 0..count), (4, 1_000..1_001)] {
            ids.for_each(|id| assert!(first(&dedupe, id, BEGIN + quarter * 1_000)));
        }
        assert!(first(&dedupe, 1_001, BEGIN + 8_000));
        assert_eq!(dedupe.info().ids, 2);
        assert!((0..count).all(|id| first(&dedupe, id, BEGIN + 8_000)));
    }
}

#[test]
fn buckets_give_back_overflow_buckets_that_they_no_longer_need() {
    let dedupe = dedupe(&Config { capacity: 2_000, ..config() });
    let mut id = 0;
    for window in 0..100 {
        for at in 0..2_000 {
            id += 1;
            assert!(first(&dedupe, id, BEGIN + window * 10 * MINUTE + at * 300));
        }
    }
    let info = dedupe.info();
    assert_eq!(info.forgotten, 0);
    // Buckets that nobody came to since remember what is older.
    assert!(info.ids >= 2_000 && info.ids <= 2_600, "{info:?}");
}

#[test]
fn a_time_that_cannot_be_true_has_nothing_forgotten() {
    let dedupe = dedupe(&config());
    assert!(first_now(&dedupe, 1, BEGIN, BEGIN));
    assert!(first_now(&dedupe, 2, BEGIN + 1_000 * MINUTE, BEGIN));
    assert!(!first_now(&dedupe, 1, BEGIN, BEGIN));
    assert!(!first_now(&dedupe, 2, BEGIN, BEGIN));
    assert_eq!(dedupe.info().future, 1);
    // Up to a window ahead may be true.
    assert!(first_now(&dedupe, 3, BEGIN + 10 * MINUTE, BEGIN));
    assert_eq!(dedupe.info().future, 1);
    assert_eq!(dedupe.first(0, u64::MAX, || BEGIN), Err(Error::Time(u64::MAX)));
}

#[test]
fn a_configuration_that_is_wrong_is_refused() {
    let refused = |config| Dedupe::new(&config).err();
    assert_eq!(refused(Config { capacity: 0, ..config() }), Some(Error::DedupeCapacity(0)));
    assert_eq!(refused(Config { capacity: 1_000_000_001, ..config() }), Some(Error::DedupeCapacity(1_000_000_001)));
    assert_eq!(refused(Config { window: 0, ..config() }), Some(Error::DedupeWindow(0)));
    assert_eq!(refused(Config { window: 1 << 47, ..config() }), Some(Error::DedupeWindow(1 << 47)));
    assert_eq!(refused(Config { window: 1, capacity: 1, wide: true }), None);
}

/// What is remembered of a table of some ids, exported in steps of some buckets.
fn exported(dedupe: &Dedupe, most: u64) -> Vec<ExportedId> {
    let (mut ids, mut from) = (Vec::new(), Some(0));
    while let Some(next) = from {
        from = dedupe.export(next, most, |id| ids.push(id));
    }
    ids
}

fn import(dedupe: &Dedupe, ids: &[ExportedId], buckets: u64) {
    ids.iter().for_each(|id| assert!(dedupe.import(id, buckets, || u64::MAX), "{id:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Of a table that ids came to at several times, in two halves in any order, one of them twice. A table of as many buckets
    /// then is the same one, and one of others knows all ids until they are forgotten.
    #[test]
    fn imported_ids_are_remembered_as_long_as_in_the_table_they_are_from(
        wide in any::<bool>(),
        capacity in 1..400_usize,
        other in 1..2_000_usize,
        events in prop::collection::vec((0_u64..300, 0..3_000_u64), 1..600),
        most in 1..50_u64,
        later_first in any::<bool>(),
        quarters in 0..8_u64,
    ) {
        let config = Config { window: 4_000, capacity: capacity.max(300), wide };
        let from = dedupe(&config);
        let (mut at, mut seen) = (BEGIN, HashMap::new());
        for (id, on) in events {
            at += on;
            first(&from, id, at);
            seen.insert(id, at);
        }
        let ids = exported(&from, most);
        prop_assert_eq!(ids.len(), from.info().ids);
        let mut halves: Vec<&[ExportedId]> = ids.chunks(ids.len().div_ceil(2)).collect();
        if later_first {
            halves.reverse();
        }
        halves.extend_from_within(..1);
        let (same, another) = (dedupe(&config), dedupe(&Config { capacity: other.max(600), ..config }));
        for half in halves {
            import(&same, half, from.buckets());
            import(&another, half, from.buckets());
        }
        prop_assert_eq!(same.newest(), from.newest());
        let sorted = |mut ids: Vec<ExportedId>| { ids.sort(); ids };
        prop_assert_eq!(sorted(exported(&same, most)), sorted(ids));
        prop_assert_eq!(another.info().forgotten, 0);
        at += quarters * 1_000;
        for (id, then) in seen {
            let is_first = first(&from, id, at);
            prop_assert!(!is_first || at - then > config.window);
            prop_assert_eq!(first(&same, id, at), is_first, "{} of {} ms ago", id, at - then);
            prop_assert_eq!(first(&another, id, at), is_first, "{} of {} ms ago", id, at - then);
        }
        // And no others.
        prop_assert!((1_000..1_200).all(|id| first(&same, id, at) && first(&another, id, at)));
    }
}

#[test]
fn ids_are_imported_into_a_table_in_use() {
    let config = Config { window: 4_000, ..config() };
    for wide in [false, true] {
        let (from, into) = (dedupe(&Config { wide, ..config }), dedupe(&Config { wide, ..config }));
        let at = |quarter: u64| BEGIN + quarter * 1_000;
        // The first one is too old there, the second one newer here, the third one newer there.
        let insert = |dedupe, id, quarter| assert!(first(dedupe, id, at(quarter)));
        [(1, 0), (2, 1), (3, 3)].into_iter().for_each(|(id, quarter)| insert(&from, id, quarter));
        [(3, 2), (2, 5)].into_iter().for_each(|(id, quarter)| insert(&into, id, quarter));
        import(&into, &exported(&from, 7), from.buckets());
        let mut there: Vec<u64> = exported(&into, 1_000).iter().map(|id| id.generation - at(0) / 1_000).collect();
        there.sort_unstable();
        assert_eq!(there, [3, 5]);
        assert_eq!(into.info().duplicates, 0, "what is imported is no copy");
        // A table that is behind moves on.
        import(&from, &exported(&into, 1_000), into.buckets());
        assert_eq!(from.newest(), into.newest());
        assert!(!first(&from, 2, at(8)));
    }
}

#[test]
fn an_imported_generation_that_cannot_be_true_has_nothing_forgotten() {
    let (ahead, into) = (dedupe(&config()), dedupe(&config()));
    first(&ahead, 1, BEGIN + 1_000 * MINUTE);
    first_now(&into, 2, BEGIN, BEGIN);
    for id in exported(&ahead, 1_000_000) {
        assert!(into.import(&id, ahead.buckets(), || BEGIN));
    }
    // It has come now.
    assert!(!first_now(&into, 1, BEGIN, BEGIN) && !first_now(&into, 2, BEGIN, BEGIN));
    assert_eq!((into.info().future, into.info().ids), (0, 2));
}

#[test]
fn an_id_that_no_table_exports_is_not_imported() {
    for wide in [false, true] {
        let dedupe = dedupe(&Config { wide, ..config() });
        first(&dedupe, 1, BEGIN);
        let id = exported(&dedupe, 1_000_000)[0];
        let buckets = dedupe.buckets();
        let refuses = |id: ExportedId, buckets| {
            assert!(!dedupe.import(&id, buckets, || u64::MAX), "{id:?} of {buckets}");
        };
        refuses(ExportedId { bucket: buckets, ..id }, buckets);
        refuses(id, 0);
        refuses(ExportedId { fingerprint: id.fingerprint | 1, ..id }, buckets);
        refuses(ExportedId { fingerprint: 0, ..id }, buckets);
        refuses(ExportedId { generation: u64::MAX, ..id }, buckets);
        if wide {
            refuses(ExportedId { bucket: (id.bucket + 1) % buckets, ..id }, buckets);
        } else {
            refuses(ExportedId { fingerprint: id.fingerprint | 1 << 32, ..id }, buckets);
            refuses(ExportedId { bucket: 0, ..id }, 1);
        }
        assert_eq!(exported(&dedupe, 1), [id]);
        assert!(dedupe.import(&id, buckets, || u64::MAX));
        assert_eq!(exported(&dedupe, 1), [id]);
    }
}

/// Time stands still until the clock has caught up, and nothing becomes too old meanwhile. Then those that came last are kept.
#[test]
fn while_time_stands_still_the_ids_that_came_first_are_forgotten_first() {
    for wide in [false, true] {
        let capacity = 20_000;
        let dedupe = dedupe(&Config { capacity, wide, ..config() });
        first(&dedupe, u64::MAX, BEGIN + 300 * MINUTE);
        let (mut passed, windows) = (0, 10);
        for id in 0..windows * capacity as u64 {
            assert!(first(&dedupe, id, BEGIN));
            let before = id.saturating_sub(capacity as u64 * 3 / 4);
            if id >= capacity as u64 {
                passed += usize::from(first(&dedupe, before, BEGIN));
            }
        }
        let copies = (windows - 1) as usize * capacity;
        // Those of buckets that more ids than usual came to.
        assert!(passed < copies / 40, "{passed} of {copies}");
    }
}
