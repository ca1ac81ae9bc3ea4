//! Pairs of a frequency cap that leave a table and come into another one: every decision of the week after is the same.
#![cfg(not(loom))]

#[path = "support/at_end.rs"]
mod at_end;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use ad_tally_core::codec::{Frame, FrameError, Imported};
use ad_tally_core::frequency_cap::{Config, NotTaken, Part, Parts};
use ad_tally_core::time::Zone;
use ad_tally_core::{FrequencyCap, Rule, Rules, Seed, Window};
use at_end::AtEnd;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;

fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

thread_local! {
    /// That of a test, which is printed when it fails.
    static SEED: Seed = {
        let seed = Seed::random();
        println!("pairs are hashed under the seed {}", seed.value());
        seed
    };
}

/// To be asked for in the test's own thread.
fn pair(user: u64) -> u64 {
    SEED.with(|seed| seed.pair(user % 7, user))
}

fn config(capacity: usize) -> Config {
    let tiers = vec![(5 * MINUTE, 7 * DAY)];
    Config { capacity, max_capacity: 8 * capacity, tiers, lifetime: false, strict: false, max_ahead: None }
}

/// One of each kind.
fn configs() -> [Config; 4] {
    let tiers = vec![(5 * MINUTE, 2 * DAY), (HOUR, 14 * DAY)];
    [
        config(300),
        Config { strict: true, ..config(300) },
        Config { tiers, lifetime: true, ..config(300) },
        Config { tiers: Vec::new(), lifetime: true, ..config(300) },
    ]
}

fn windows(config: &Config) -> Vec<Window> {
    let rolling = config
        .tiers
        .iter()
        .flat_map(|tier| [Window::Rolling(HOUR), Window::Rolling(tier.1), Window::Day(Zone::fixed(0))]);
    rolling.chain(config.lifetime.then_some(Window::Lifetime)).collect()
}

fn rules(config: &Config) -> Vec<Rules> {
    let rules = windows(config).into_iter().flat_map(|window| [1, 2, 3, 28].map(|max| vec![Rule { max, window }]));
    rules.map(|rules| Rules::new(rules).expect("rules")).collect()
}

/// A table of so many pairs with 1 to 3 events each over a day and a half, but for some with many.
fn filled(config: &Config, pairs: u64) -> FrequencyCap {
    let caps = FrequencyCap::new(config).expect("a table");
    for user in 0..pairs {
        for event in 0..if user % 50 == 0 { 20 + user % 23 } else { 1 + user % 3 } {
            let at = BEGIN + mix(user * 64 + event) % (36 * HOUR);
            caps.record(pair(user), at, || BEGIN + 36 * HOUR).expect("a time");
        }
    }
    caps
}

/// All parts of all tiers, with their places.
fn export(caps: &FrequencyCap) -> Vec<(usize, Parts, Part)> {
    let mut all = Vec::new();
    for tier in 0..caps.tier_count() {
        let parts = caps.parts(tier);
        for number in 0..parts.count() {
            let mut part = Part::default();
            caps.export_part(tier, parts, number, &mut part);
            all.push((tier, parts, part));
        }
    }
    all
}

fn import<'p>(caps: &FrequencyCap, newest: u64, parts: impl IntoIterator<Item = &'p (usize, Parts, Part)>) {
    assert!(caps.import_newest(newest, newest));
    for (tier, parts, part) in parts {
        let taken = caps.import_part(*tier, *parts, part, newest);
        assert_eq!(taken, Ok(0), "{tier} {parts:?} {part:?} {:?}", caps.info());
    }
}

/// Every answer of both tables about some pairs over the week after, and a little before.
fn assert_alike(one: &FrequencyCap, other: &FrequencyCap, config: &Config, pairs: u64) {
    let rules = rules(config);
    for user in 0..pairs + 20 {
        for at in (0..24).map(|step| BEGIN + 24 * HOUR + step * 8 * HOUR + mix(user + step) % HOUR) {
            for rules in &rules {
                let [one, other] = [one, other].map(|caps| caps.check(pair(user), rules, at, || at));
                assert_eq!(one, other, "{user} at {at}: {rules:?}");
            }
            for window in windows(config) {
                let [one, other] = [one, other].map(|caps| caps.count(pair(user), window, at));
                assert_eq!(one, other, "{user} at {at}: {window:?}");
            }
        }
    }
}

#[test]
fn every_decision_of_the_week_after_is_the_same() {
    for config in configs() {
        let pairs = 1_000;
        let caps = filled(&config, pairs);
        assert!(caps.info().tiers[0].grown > 0);
        let parts = export(&caps);
        let other = FrequencyCap::new(&config).expect("a table");
        import(&other, caps.newest(), &parts);
        assert_eq!(other.info().tiers[0].pairs, caps.info().tiers[0].pairs);
        assert_alike(&caps, &other, &config, pairs);
        // They go on alike, too.
        let rules = rules(&config);
        for event in 0..4 * pairs {
            let (user, at) = (mix(event) % pairs, BEGIN + 36 * HOUR + event * MINUTE);
            let rules = &rules[event as usize % rules.len()];
            let [one, other] = [&caps, &other].map(|caps| caps.admit(pair(user), rules, at, || at));
            assert_eq!(one, other, "{user} at {at}: {rules:?}");
        }
    }
}

#[test]
fn parts_are_taken_in_any_order() {
    for config in configs() {
        let caps = filled(&config, 500);
        let parts = export(&caps);
        let other = FrequencyCap::new(&config).expect("a table");
        import(&other, caps.newest(), parts.iter().rev().step_by(2));
        import(&other, caps.newest(), parts.iter().rev().skip(1).step_by(2));
        assert_alike(&caps, &other, &config, 500);
        // They are in buckets of other levels: what they have is the same.
        let pairs = |parts: &[(usize, Parts, Part)]| {
            let mut pairs: Vec<_> = parts
                .iter()
                .flat_map(|(tier, parts, part)| {
                    let mut ticks = &part.ticks[..];
                    let place = part.number % parts.first;
                    part.pairs
                        .iter()
                        .map(move |(fingerprint, events)| {
                            let (own, others) = ticks.split_at((*events as usize).min(ticks.len()));
                            ticks = others;
                            (*tier, place, *fingerprint, *events, own.to_vec())
                        })
                        .collect::<Vec<_>>()
                })
                .collect();
            pairs.sort_unstable();
            pairs
        };
        assert_eq!(pairs(&export(&other)), pairs(&parts));
    }
}

/// Two tables that saw events of the same pairs, also at the same times: those of both count.
#[test]
fn a_table_in_use_has_the_events_of_both() {
    let config = config(300);
    let rules: Vec<Rules> =
        (1..=28).map(|max| Rules::new(vec![Rule { max, window: Window::Rolling(7 * DAY) }]).expect("rules")).collect();
    let [one, other, both] = [(); 3].map(|()| FrequencyCap::new(&config).expect("a table"));
    for user in 0..300 {
        for event in 0..user % 12 {
            // Each of a tick of its own.
            let at = BEGIN + event * 3 * HOUR + mix(user * 64 + event) % (2 * HOUR);
            let [ones, others] = [mix(user + event) % 3, mix(user ^ event) % 3];
            for (caps, times) in [(&one, ones), (&other, others), (&both, ones + others)] {
                (0..times).for_each(|_| _ = caps.record(pair(user), at, || BEGIN + 36 * HOUR).expect("a time"));
            }
        }
    }
    import(&one, other.newest(), &export(&other));
    for user in 0..300 {
        for at in (0..20).map(|step| BEGIN + 30 * HOUR + step * 9 * HOUR) {
            for rules in &rules {
                let [one, both] = [&one, &both].map(|caps| caps.check(pair(user), rules, at, || at));
                assert_eq!(one, both, "{user} at {at}: {rules:?}");
            }
        }
    }
}

/// None is let through that the smaller one would not; and others only if they look like a pair that is there.
#[test]
fn a_table_of_another_capacity_takes_the_pairs_to_all_their_places() {
    for config in configs() {
        let caps = filled(&config, 900);
        let parts = export(&caps);
        for capacity in [100, 299, 301, 1_000] {
            let larger = Config { capacity, max_capacity: 16 * capacity, ..config.clone() };
            let other = FrequencyCap::new(&larger).expect("a table");
            import(&other, caps.newest(), &parts);
            let rules = rules(&config);
            let mut others = 0;
            for user in 0..1_000 {
                for at in (0..8).map(|step| BEGIN + 36 * HOUR + step * DAY / 2) {
                    for window in windows(&config) {
                        let [one, other] =
                            [&caps, &other].map(|caps| caps.count(pair(user), window, at).expect("a window"));
                        assert!(other >= one, "{user} at {at}: {window:?} {other} {one}");
                        others += usize::from(other != one);
                    }
                    for rules in &rules {
                        let _ = other.check(pair(user), rules, at, || at).expect("rules");
                    }
                }
            }

            assert!(others < 400, "{others} of {config:?}");
        }
    }
}

/// It has as many pairs as it has room for, all whole, and tells how many are not.
#[test]
fn a_table_that_is_full_takes_what_it_has_room_for_and_tells_how_many_pairs_it_has_not() {
    for config in configs() {
        let caps = filled(&config, 900);
        let newest = caps.newest();
        let pairs: Vec<usize> = caps.info().tiers.iter().map(|tier| tier.pairs).collect();
        // Users that look like another one share its pair.
        let alike = 900 - pairs.iter().min().expect("tiers");
        for capacity in [10, 50, 300] {
            let smaller = Config { capacity, max_capacity: capacity, ..config.clone() };
            let other = FrequencyCap::with_seed(&smaller, caps.seed().clone()).expect("a table");
            let mut without_room = vec![0; caps.tier_count()];
            assert!(other.import_newest(caps.newest(), caps.newest()));
            for (tier, parts, part) in &export(&caps) {
                without_room[*tier] += other.import_part(*tier, *parts, part, caps.newest()).expect("a part");
            }
            for window in windows(&config) {
                let count = |caps: &FrequencyCap, user| caps.count(pair(user), window, newest).expect("a window");
                let fewer = (0..900).filter(|user| count(&other, *user) < count(&caps, *user)).count();
                assert!(
                    fewer <= without_room.iter().max().expect("tiers") + alike,
                    "{fewer} {window:?} {without_room:?}"
                );
            }
            for (tier, without_room) in without_room.iter().enumerate() {
                let info = &other.info().tiers[tier];
                // In fewer buckets a few more look alike.
                assert!(*without_room >= pairs[tier] - capacity - 5, "{without_room} {info:?}");
                assert!(*without_room <= pairs[tier] - capacity / 2, "{without_room} {info:?}");
            }
            let framed = FrequencyCap::with_seed(&smaller, caps.seed().clone()).expect("a table");
            let imported = frames(&caps).into_iter().map(|frame| import_frame(&framed, &frame).expect("a frame"));
            let overflowed: usize = imported
                .map(|imported| match imported {
                    Imported::Rows { overflow, .. } => overflow as usize,
                    Imported::AlreadyTaken => panic!("it was not"),
                })
                .sum();
            assert_eq!(overflowed, without_room.iter().sum::<usize>());
        }
    }
}

/// A pair that was there when the export began is in it once, whatever is split meanwhile.
#[test]
fn each_pair_is_exported_once_beside_growth() {
    for round in 0..20 {
        let config = Config { capacity: 100, max_capacity: 1_600, strict: true, ..config(100) };
        let caps = FrequencyCap::new(&config).expect("a table");
        let pairs: Vec<u64> = (0..1_400).map(pair).collect();
        let record = |pair: u64| _ = caps.record(pair, BEGIN, || BEGIN).expect("a time");
        let (first, others) = pairs.split_at(100);
        first.iter().copied().for_each(record);
        let is_done = AtomicBool::new(false);
        let mut exported = Vec::new();
        thread::scope(|scope| {
            let at_end = AtEnd(&is_done);
            scope.spawn(|| {
                let mut others = others.iter().copied();
                while !is_done.load(Relaxed) {
                    others.next().map(record);
                }
                others.for_each(record);
            });
            for (_, _, part) in export(&caps) {
                exported.extend(part.pairs);
                if round % 2 == 0 {
                    thread::yield_now();
                }
            }
            drop(at_end);
        });
        for (user, pair) in first.iter().enumerate() {
            assert_eq!(exported.iter().filter(|of| **of == (*pair, 1)).count(), 1, "{user}");
        }
        exported.sort_unstable();
        let count = exported.len();
        exported.dedup();
        assert_eq!(exported.len(), count);
        assert!(caps.info().tiers[0].grown > 0);
    }
}

#[test]
fn a_part_that_no_such_table_can_have_changes_nothing() {
    let config = config(300);
    let caps = filled(&config, 600);
    let parts = caps.parts(0);
    let (_, _, part) = export(&caps).into_iter().find(|(_, _, part)| part.pairs.len() > 1).expect("pairs");
    let now = BEGIN + 36 * HOUR;
    let other = FrequencyCap::new(&config).expect("a table");
    let refused = |change: &dyn Fn(&mut Parts, &mut Part)| {
        let (mut parts, mut part) = (parts, part.clone());
        change(&mut parts, &mut part);
        let taken = other.import_part(0, parts, &part, now);
        assert_eq!(other.info().tiers[0].pairs, 0);
        assert!(export(&other).iter().all(|(_, _, part)| part.is_empty()));
        taken.expect_err("it is wrong")
    };
    let latest = (now + DAY) / (5 * MINUTE);
    assert_eq!(refused(&|parts, _| parts.first = 0), NotTaken::Number);
    assert_eq!(refused(&|parts, _| parts.level = 5), NotTaken::Number);
    assert_eq!(refused(&|parts, part| part.number = parts.count()), NotTaken::Number);
    assert_eq!(refused(&|_, part| part.end += TICKS), NotTaken::End);
    assert_eq!(refused(&|_, part| part.end = u64::MAX), NotTaken::End);
    assert_eq!(refused(&|_, part| part.pairs[1].0 ^= 1), NotTaken::Fingerprint(1));
    assert_eq!(refused(&|_, part| part.pairs[0].0 |= 1 << 16), NotTaken::Fingerprint(0));
    assert_eq!(refused(&|_, part| part.pairs[0].1 = 0), NotTaken::Events(0));
    assert_eq!(refused(&|_, part| part.pairs[0].1 = 30), NotTaken::Events(0));
    assert_eq!(refused(&|_, part| part.ticks.push(latest)), NotTaken::Events(part.pairs.len()));
    assert_eq!(refused(&|_, part| _ = part.ticks.pop()), NotTaken::Events(part.pairs.len() - 1));
    assert_eq!(refused(&|_, part| part.ticks[0] = part.end + 1), NotTaken::Tick(0));
    assert_eq!(refused(&|_, part| part.ticks[1] = part.end - TICKS), NotTaken::Tick(1));
    assert_eq!(other.import_part(1, parts, &part, now), Err(NotTaken::Number));
    assert!(!other.import_newest(now + 3 * DAY, now));
    assert_eq!(other.import_part(0, parts, &part, now), Ok(0));
}

fn frames(caps: &FrequencyCap) -> Vec<Vec<u8>> {
    let mut export = caps.frames();
    std::iter::from_fn(|| export.next_frame(caps)).collect()
}

fn import_frame(caps: &FrequencyCap, bytes: &[u8]) -> Result<Imported, FrameError> {
    caps.import_frame(&Frame::read(bytes)?, BEGIN + 36 * HOUR)
}

#[test]
fn a_table_that_took_frames_decides_as_the_one_that_they_are_of() {
    for config in configs() {
        let caps = filled(&config, 800);
        let other = FrequencyCap::with_seed(&config, caps.seed().clone()).expect("a table");
        for frame in &frames(&caps) {
            let imported = import_frame(&other, frame).expect("a frame");
            assert!(matches!(imported, Imported::Rows { overflow: 0, .. }));
            assert_eq!(import_frame(&other, frame), Ok(Imported::AlreadyTaken));
        }
        assert_eq!(other.newest(), caps.newest());
        assert_alike(&caps, &other, &config, 800);
    }
}

#[test]
fn rejects_rows_that_are_wrong_and_changes_nothing() {
    for config in configs() {
        let config = Config { capacity: 20, max_capacity: 40, ..config };
        let caps = filled(&config, 12);
        let frame = frames(&caps).remove(0);
        let mut refused = 0;
        for at in 32..frame.len() - 4 {
            for change in [1, 8, 0x80, 0xff] {
                let mut bytes = frame.clone();
                bytes[at] ^= change;
                let end = bytes.len() - 4;
                let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
                bytes[end..].copy_from_slice(&checksum);
                let other = FrequencyCap::with_seed(&config, caps.seed().clone()).expect("a table");
                let imported = import_frame(&other, &bytes);
                assert_eq!(imported.is_err(), other.taken().info().frames == 0);
                if let Err(error) = imported {
                    assert!(error.at <= bytes.len());
                    assert!(export(&other).iter().all(|(_, _, part)| part.is_empty()), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }
}

#[test]
fn a_table_takes_no_frame_of_other_tiers_or_of_one_that_is_too_small() {
    let config = config(300);
    let caps = filled(&config, 100);
    let frame = frames(&caps).remove(0);
    let field = |config: &Config| {
        let other = FrequencyCap::with_seed(config, caps.seed().clone()).expect("a table");
        import_frame(&other, &frame).map_err(|error| error.field)
    };
    assert_eq!(field(&Config { tiers: vec![(MINUTE, DAY)], ..config.clone() }), Err("tiers"));
    assert_eq!(field(&Config { lifetime: true, ..config.clone() }), Err("lifetime"));
    assert_eq!(field(&Config { strict: true, ..config.clone() }), Err("fingerprint_bits"));
    assert_eq!(field(&Config { capacity: 100_000, max_capacity: 100_000, ..config.clone() }), Err("places"));
    assert!(field(&Config { capacity: 70_000, max_capacity: 70_000, ..config.clone() }).is_ok());
    let other = FrequencyCap::new(&config).expect("a table");
    assert_eq!(import_frame(&other, &frame).expect_err("another seed").field, "seed");
    let other = FrequencyCap::with_seed(&config, caps.seed().clone()).expect("a table");
    let early = other.import_frame(&Frame::read(&frame).expect("a frame"), BEGIN);
    assert_eq!(early.expect_err("a clock that is late").field, "newest");
}

/// As many as a bucket can tell apart.
const TICKS: u64 = 4_095;
