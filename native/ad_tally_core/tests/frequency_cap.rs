//! Frequency caps against an oracle that keeps every moment: never one too many, and never closed for more than a granule
//! longer than the true times say.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ad_tally_core::frequency_cap::{Config, Decision, Reason};
use ad_tally_core::time::Zone;
use ad_tally_core::{Error, FrequencyCap, Rule, Rules, Seed, Window};
use proptest::prelude::*;

#[path = "support/days.rs"]
mod days;

use days::{ZONES, changes, naive_day, zone};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;

fn config() -> Config {
    Config {
        capacity: 1_000,
        max_capacity: 4_000,
        tiers: vec![(5 * MINUTE, 14 * DAY)],
        lifetime: false,
        strict: false,
        max_ahead: None,
    }
}

fn caps(config: &Config) -> FrequencyCap {
    FrequencyCap::new(config).expect("a table")
}

fn rules(rules: &[(u32, Window)]) -> Rules {
    Rules::new(rules.iter().map(|(max, window)| Rule { max: *max, window: *window }).collect()).expect("rules")
}

fn pair(scope: u64, user: u64) -> u64 {
    Seed::new(0).pair(scope, user)
}

/// A hash, for the test's own pairs.
fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Every other event takes the fast way, if there is one.
fn admit(caps: &FrequencyCap, pair: u64, rules: &Rules, at: u64) -> Decision {
    let is_fast = mix(pair ^ at) & 1 == 0;
    let decision = if is_fast { caps.admit(pair, rules, at, || at) } else { caps.admit_locked(pair, rules, at, || at) };
    decision.expect("rules of the table")
}

/// The same without counting, which must be the same both ways.
fn check(caps: &FrequencyCap, pair: u64, rules: &Rules, at: u64) -> Decision {
    let slow = caps.check_slowly(pair, rules, at, || at).expect("rules of the table");
    let fast = caps.check(pair, rules, at, || at).expect("rules of the table");
    assert_eq!(fast, slow);
    slow
}

/// Whether one more event at `at` would be too many in some window, each kept open for `longer` more where it ends at `at`: that
/// moment is known. Where it ends with a later event, that one is known to a granule as well, and it is twice as much.
fn blocks(rule: (u32, Window), times: &[u64], at: u64, longer: u64) -> bool {
    let max = rule.0 as usize;
    match rule.1 {
        Window::Rolling(window) => {
            let is_too_many = |end: u64, window: u64| {
                let within = |time: &&u64| **time <= end && end - **time < window;
                times.iter().filter(within).count() >= max
            };
            let later = times.iter().filter(|time| **time > at && **time - at < window + 2 * longer);
            is_too_many(at, window + longer) || later.into_iter().any(|end| is_too_many(*end, window + 2 * longer))
        }
        Window::Day(zone) => {
            let day = |time| naive_day(zone, time);
            times.iter().filter(|time| day(**time) == day(at)).count() >= max
        }
        Window::Lifetime => times.len() >= max,
    }
}

/// What came of a run: admissions that were one too many, denials that nothing explains, denials by rounding, admissions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged {
    missed: usize,
    unexplained: usize,
    rounded: usize,
    admitted: usize,
}

fn judge(
    caps: &FrequencyCap,
    granularity: u64,
    set: &[(u32, Window)],
    events: impl Iterator<Item = (u64, u64)>,
) -> Judged {
    let compiled = rules(set);
    let mut oracle: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut judged = Judged::default();
    for (pair, at) in events {
        let times = oracle.entry(pair).or_default();
        let is_too_many = set.iter().any(|rule| blocks(*rule, times, at, 0));
        let checked = check(caps, pair, &compiled, at);
        let admitted = admit(caps, pair, &compiled, at);
        assert_eq!(admitted, checked);
        match admitted {
            Decision::Admitted => {
                judged.missed += usize::from(is_too_many);
                judged.admitted += 1;
                times.push(at);
            }
            Decision::Capped { rule, .. } => {
                let explained = blocks(set[rule], times, at, granularity);
                judged.unexplained += usize::from(!explained);
                judged.rounded += usize::from(explained && !is_too_many);
            }
            Decision::Refused(_) => {}
        }
    }
    judged
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_rule_is_passed_and_none_blocks_for_more_than_a_granule_too_long(
        strict in any::<bool>(),
        lifetime in any::<bool>(),
        late in 0..3 * HOUR,
        set in prop::collection::vec((1..6_u32, 5 * MINUTE..7 * DAY), 1..4),
        steps in prop::collection::vec((0..6_u64, 0..4 * HOUR, any::<u64>()), 1..400),
    ) {
        let tiers = vec![(5 * MINUTE, 14 * DAY), (HOUR, 90 * DAY)];
        let caps = caps(&Config { strict, lifetime, tiers, ..config() });
        let set: Vec<_> = set.into_iter().map(|(max, window)| (max, Window::Rolling(window))).collect();
        let mut now = BEGIN;
        let events = steps.into_iter().map(|(user, step, back)| {
            now += step;
            (pair(1, user), now - back % (late + 1))
        });
        let judged = judge(&caps, 5 * MINUTE, &set, events);
        prop_assert_eq!((judged.missed, judged.unexplained), (0, 0), "{:?}", judged);
    }

    /// Where a window reaches back to before what is kept, it must deny: no rule is passed, however late an event is.
    #[test]
    fn no_rule_is_passed_by_events_that_are_days_late(
        set in prop::collection::vec((1..6_u32, 5 * MINUTE..=14 * DAY), 1..4),
        steps in prop::collection::vec((0..3_u64, 0..30 * HOUR, any::<u64>()), 1..200),
    ) {
        let caps = caps(&config());
        let set: Vec<_> = set.into_iter().map(|(max, window)| (max, Window::Rolling(window))).collect();
        let mut now = BEGIN;
        let events = steps.into_iter().map(|(user, step, back)| {
            now += step;
            // Half of them are late, by up to the horizon.
            (pair(1, user), if back % 2 == 0 { now } else { now - back % (14 * DAY) })
        });
        prop_assert_eq!(judge(&caps, 5 * MINUTE, &set, events).missed, 0);
    }

    #[test]
    fn a_day_and_a_lifetime_are_exact(
        offset in -12..13_i64,
        max in 1..5_u32,
        lifetime in 1..40_u32,
        steps in prop::collection::vec((0..3_u64, 0..9 * HOUR), 1..200),
    ) {
        let caps = caps(&Config { lifetime: true, ..config() });
        let set = [(max, Window::Day(Zone::fixed(offset * HOUR as i64))), (lifetime, Window::Lifetime)];
        let mut now = BEGIN;
        let events = steps.into_iter().map(|(user, step)| {
            now += step;
            (pair(1, user), now)
        });
        let judged = judge(&caps, 0, &set, events);
        prop_assert_eq!((judged.missed, judged.unexplained, judged.rounded), (0, 0, 0));
    }

    #[test]
    fn a_day_of_a_zone_is_exact_where_clocks_change(
        of in 0..ZONES.len(),
        change in any::<prop::sample::Index>(),
        max in 1..5_u32,
        steps in prop::collection::vec((0..3_u64, 0..9 * HOUR, 0..4_u64, any::<u64>()), 1..200),
    ) {
        let caps = caps(&config());
        let zone = zone(ZONES[of]);
        let set = [(max, Window::Day(zone))];
        let changes = changes(zone);
        let mut now = changes[change.index(changes.len())] - 2 * DAY;
        let events = steps.into_iter().map(|(user, step, is_late, back)| {
            // Steps of whole half hours reach midnights to the millisecond.
            now += if step % 2 == 0 { step } else { HOUR / 2 - now % (HOUR / 2) };
            (pair(1, user), if is_late == 0 { now - back % (3 * DAY) } else { now })
        });
        let judged = judge(&caps, 0, &set, events);
        prop_assert_eq!((judged.missed, judged.unexplained, judged.rounded), (0, 0, 0));
    }

    #[test]
    fn it_opens_when_it_says(
        of in 0..ZONES.len(),
        change in any::<prop::sample::Index>(),
        max in 1..5_u32,
        window in 5 * MINUTE..3 * DAY,
        steps in prop::collection::vec(0..5 * HOUR, 1..60),
        ask in 0..2 * DAY,
    ) {
        let caps = caps(&config());
        let set = rules(&[(max, Window::Rolling(window)), (3, Window::Day(zone(ZONES[of])))]);
        let changes = changes(zone(ZONES[of]));
        let mut now = changes[change.index(changes.len())] - DAY;
        for step in steps {
            now += step;
            admit(&caps, pair(1, 1), &set, now);
        }
        let at = now + ask;
        let opens = caps.opens_at(pair(1, 1), &set, at).expect("rules").expect("a time");
        prop_assert!(opens >= at);
        let check = |at: u64| caps.check(pair(1, 1), &set, at, || at).expect("rules");
        prop_assert_eq!(check(opens), Decision::Admitted);
        if opens > at {
            prop_assert!(check(opens - 1) != Decision::Admitted);
            prop_assert!(check(at) != Decision::Admitted);
        }
    }
}

/// A line reaches some days back from its newest event. As long as that is far ahead it cannot tell what there was before, but
/// that passes.
#[test]
fn a_line_with_an_event_far_ahead_opens_again() {
    for (max, window, is_day) in [(1, 14 * DAY, false), (3, 13 * DAY + 7 * HOUR + 1, false), (2, DAY, true)] {
        let caps = caps(&Config { capacity: 1, max_capacity: 16, max_ahead: Some(14 * DAY), ..config() });
        let ahead = BEGIN + 13 * DAY + 7 * MINUTE;
        assert_eq!(caps.record(pair(1, 1), ahead, || BEGIN), Ok(Decision::Admitted));
        let rule = if is_day { Window::Day(Zone::fixed(0)) } else { Window::Rolling(window) };
        let set = rules(&[(max, rule)]);
        let mut blocked = 0;
        // Of those some are in its line.
        for user in 2..50 {
            let check = |at: u64| caps.check(pair(1, user), &set, at, || BEGIN).expect("rules");
            let opens = caps.opens_at(pair(1, user), &set, BEGIN).expect("rules").expect("a time");
            assert_eq!(check(BEGIN) == Decision::Admitted, opens == BEGIN);
            if opens > BEGIN {
                blocked += 1;
                assert!(opens <= ahead);
                assert_eq!(check(opens - 1), Decision::Capped { scope: 0, rule: 0 });
            }
            assert_eq!(check(opens), Decision::Admitted, "at {opens}");
        }
        assert!(blocked > 0 || is_day, "{window}");
        let opens = caps.opens_at(pair(1, 2), &set, BEGIN).expect("rules").expect("a time");
        assert_eq!(caps.admit(pair(1, 2), &set, opens, || BEGIN), Ok(Decision::Admitted));
    }
}

/// Of events in any order too: whatever is ahead of the time that is asked for.
#[test]
fn it_opens_when_it_says_though_events_are_ahead() {
    let mut random = 7;
    let mut draw = |below: u64| {
        random = mix(random + 1);
        random % below
    };
    for _ in 0..500 {
        let caps = caps(&Config { capacity: 1, max_capacity: 16, max_ahead: Some(14 * DAY), ..config() });
        let window = 5 * MINUTE + draw(14 * DAY - 5 * MINUTE);
        let set = rules(&[(1 + draw(4) as u32, Window::Rolling(window))]);
        for _ in 0..draw(20) {
            let _ = admit(&caps, pair(1, draw(4)), &set, BEGIN + draw(13 * DAY));
        }
        for user in 0..4 {
            let at = BEGIN + draw(13 * DAY);
            let check = |at: u64| caps.check(pair(1, user), &set, at, || at).expect("rules");
            let opens = caps.opens_at(pair(1, user), &set, at).expect("rules").expect("a time");
            assert_eq!(check(opens), Decision::Admitted);
            for some in (0..20).map(|_| at + draw((opens - at).max(1))).chain([opens - 1, at]) {
                assert!(!(at..opens).contains(&some) || check(some) != Decision::Admitted, "at {some} before {opens}");
            }
        }
    }
}

/// A week of events, a few pairs of which have most: in the order of their times, of as many pairs as there are.
fn week(pairs: u64, events: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut random = 0x9e37_79b9_u64;
    (0..events).map(move |event| {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let draw = mix(random);
        // Half of the events go to all pairs alike, half to the first ones: of rank r about 1 / r.
        let uniform = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = if draw & 1 == 0 { (uniform * pairs as f64) as u64 } else { (pairs as f64).powf(uniform) as u64 };
        (pair(rank % 7, rank), BEGIN + event * (7 * DAY / events))
    })
}

const THREE: [(u32, Window); 3] =
    [(1, Window::Rolling(30 * MINUTE)), (3, Window::Rolling(DAY)), (10, Window::Rolling(7 * DAY))];

fn judge_a_week(pairs: u64, events: u64) {
    let capacity = pairs as usize;
    let caps = caps(&Config { capacity, max_capacity: capacity, ..config() });
    let judged = judge(&caps, 5 * MINUTE, &THREE, week(pairs, events));
    println!("{judged:?}, {:?}", caps.info());
    assert_eq!(judged.missed, 0);
    assert!(judged.unexplained * 10_000 <= judged.admitted, "{judged:?}");
    assert!(judged.rounded > 0 && judged.admitted > events as usize / 4);
}

#[test]
fn a_skewed_week_is_decided_as_the_oracle_decides_it() {
    judge_a_week(100_000, 400_000);
}

#[test]
#[ignore = "takes a minute and 2 GB"]
fn a_skewed_week_of_ten_million_pairs() {
    judge_a_week(10_000_000, 20_000_000);
}

#[test]
fn a_table_that_grows_passes_no_rule() {
    for strict in [false, true] {
        let caps = caps(&Config { capacity: 1_000, max_capacity: 16_000, strict, ..config() });
        // Each event grows the table a little; the pairs of before must be found in the lines they were given to.
        let judged = judge(&caps, 5 * MINUTE, &THREE, week(12_000, 60_000));
        assert_eq!(judged.missed, 0);
        assert!(caps.info().tiers[0].grown >= 3, "{:?}", caps.info());
        if strict {
            assert_eq!(judged.unexplained, 0);
        }
    }
}

#[test]
fn lines_that_were_full_give_back_what_they_no_longer_need() {
    for strict in [false, true] {
        let caps = caps(&Config { capacity: 10_000, max_capacity: 10_000, strict, ..config() });
        for user in 0..10_000 {
            assert_eq!(caps.record(pair(1, user), BEGIN, || BEGIN), Ok(Decision::Admitted));
        }
        assert!(caps.info().tiers[0].stash > 100, "{:?}", caps.info());
        let later = BEGIN + 20 * DAY;
        assert_eq!(caps.record(pair(1, 1), later, || later), Ok(Decision::Admitted));
        let (mut from, mut removed) = (Some((0, 0)), 0);
        while let Some(begin) = from {
            let (next, some) = caps.sweep(begin, later).expect("a time");
            (from, removed) = (next, removed + some);
        }
        assert!(removed > 9_900, "{removed}");
        let tier = caps.info().tiers[0];
        assert_eq!((tier.pairs, tier.words, tier.stash), (1, 1, 0));
    }
}

#[test]
fn a_pair_with_more_events_than_are_kept_is_denied_where_the_others_were() {
    for strict in [false, true] {
        let caps = caps(&Config { strict, ..config() });
        let user = pair(1, 1);
        for hour in 0..40 {
            assert_eq!(caps.record(user, BEGIN + hour * HOUR, || BEGIN + hour * HOUR), Ok(Decision::Admitted));
        }
        let now = BEGIN + 39 * HOUR;
        assert_eq!(caps.count(user, Window::Rolling(14 * DAY), now), Ok(28));
        let set = rules(&[(1, Window::Rolling(30 * MINUTE))]);
        // There was an event then, which has been given up: late ones are denied all the same.
        for hour in [0, 5, 11] {
            let late = BEGIN + hour * HOUR + MINUTE;
            assert_eq!(admit(&caps, user, &set, late), Decision::Capped { scope: 0, rule: 0 });
        }
        // Between those that are kept there is room, and after them.
        assert_eq!(admit(&caps, user, &set, BEGIN + 38 * HOUR + 40 * MINUTE), Decision::Capped { scope: 0, rule: 0 });
        assert_eq!(admit(&caps, user, &set, now + 40 * MINUTE), Decision::Admitted);
        assert_eq!(caps.count(user, Window::Rolling(14 * DAY), now + HOUR), Ok(28));
    }
}

#[test]
fn a_window_that_reaches_back_to_events_that_are_gone_denies() {
    let set = rules(&[(1, Window::Rolling(14 * DAY))]);
    for late in (11..60).map(|minute| BEGIN + minute * MINUTE) {
        // One line, so that the other pair's event has it look through the first one's.
        let caps = caps(&Config { capacity: 1, max_capacity: 4, ..config() });
        assert_eq!(admit(&caps, pair(1, 1), &set, BEGIN), Decision::Admitted);
        assert_eq!(admit(&caps, pair(1, 2), &set, BEGIN + 14 * DAY + 10 * MINUTE), Decision::Admitted);
        assert_eq!(caps.info().tiers[0].pairs, 1, "the first one's event is gone");
        let capped = Decision::Capped { scope: 0, rule: 0 };
        assert_eq!([check(&caps, pair(1, 1), &set, late), admit(&caps, pair(1, 1), &set, late)], [capped; 2]);
    }
}

#[test]
fn a_full_table_says_so_and_counts_on_for_pairs_it_has() {
    let caps = caps(&Config { capacity: 10, max_capacity: 10, ..config() });
    let set = rules(&[(28, Window::Rolling(DAY))]);
    let decided: Vec<_> = (0..20).map(|user| admit(&caps, pair(1, user), &set, BEGIN)).collect();
    let full = Decision::Refused(Reason::Full);
    assert_eq!(decided.iter().filter(|decision| **decision == Decision::Admitted).count(), 10);
    assert_eq!(decided.iter().filter(|decision| **decision == full).count(), 10);
    assert_eq!(admit(&caps, pair(1, 0), &set, BEGIN + MINUTE), Decision::Admitted);
    assert_eq!(caps.count(pair(1, 0), Window::Rolling(DAY), BEGIN + MINUTE), Ok(2));
    assert_eq!(caps.info().refused[2], 10);
    // A month later all is over, and there is room again.
    let later = BEGIN + 30 * DAY;
    admit(&caps, pair(1, 0), &set, later);
    let mut from = Some((0, 0));
    let mut removed = 0;
    while let Some(begin) = from {
        let (next, some) = caps.sweep(begin, later).expect("a time");
        (from, removed) = (next, removed + some);
    }
    assert_eq!(caps.info().tiers[0].pairs, 1, "{removed} were removed: {:?}", caps.info());
    assert_eq!(admit(&caps, pair(1, 15), &set, later), Decision::Admitted);
}

#[test]
fn what_was_not_shown_after_all_is_taken_back_once() {
    let caps = caps(&Config { lifetime: true, tiers: vec![(MINUTE, DAY), (HOUR, 30 * DAY)], ..config() });
    let set = rules(&[(2, Window::Rolling(HOUR)), (2, Window::Rolling(20 * DAY)), (2, Window::Lifetime)]);
    let user = pair(1, 1);
    assert_eq!(caps.release(user, BEGIN), Ok(false));
    assert_eq!(admit(&caps, user, &set, BEGIN), Decision::Admitted);
    assert_eq!(admit(&caps, user, &set, BEGIN + 1), Decision::Admitted);
    assert_eq!(admit(&caps, user, &set, BEGIN + 2), Decision::Capped { scope: 0, rule: 0 });
    assert_eq!(caps.release(user, BEGIN + HOUR), Ok(false));
    assert_eq!(caps.release(user, BEGIN), Ok(true));
    for window in [Window::Rolling(HOUR), Window::Rolling(20 * DAY), Window::Lifetime] {
        assert_eq!(caps.count(user, window, BEGIN + 3), Ok(1));
    }
    assert_eq!(admit(&caps, user, &set, BEGIN + 3), Decision::Admitted);
    assert_eq!(caps.release(user, BEGIN), Ok(true));
    assert_eq!(caps.release(user, BEGIN), Ok(true));
    assert_eq!(caps.release(user, BEGIN), Ok(false));
    assert_eq!(caps.count(user, Window::Lifetime, BEGIN), Ok(0));
}

#[test]
fn what_was_not_counted_in_a_tick_of_the_finest_tier_is_not_taken_back() {
    let tiers = vec![(5 * MINUTE, 14 * DAY), (HOUR, 90 * DAY)];
    let caps = caps(&Config { lifetime: true, tiers, ..config() });
    let once = rules(&[(1, Window::Lifetime)]);
    let user = pair(1, 1);
    assert_eq!(admit(&caps, user, &once, BEGIN), Decision::Admitted);
    // The same hour, and the lifetime's count, but no such five minutes.
    assert_eq!(caps.release(user, BEGIN + 20 * MINUTE), Ok(false));
    assert_eq!(admit(&caps, user, &once, BEGIN + 20 * MINUTE), Decision::Capped { scope: 0, rule: 0 });
    for window in [Window::Rolling(HOUR), Window::Rolling(20 * DAY), Window::Lifetime] {
        assert_eq!(caps.count(user, window, BEGIN + 20 * MINUTE), Ok(1));
    }
    assert_eq!(caps.release(user, BEGIN + 4 * MINUTE), Ok(true));
    assert_eq!(admit(&caps, user, &once, BEGIN), Decision::Admitted);
}

#[test]
fn nothing_is_taken_back_by_a_tick_that_lies_across_two_of_another_tier() {
    let caps = caps(&Config { tiers: vec![(7 * SECOND, 6 * HOUR), (MINUTE, 2 * DAY)], ..config() });
    // The tick from 56 to 63 seconds after a minute began that both tiers' ticks begin with.
    let begin = BEGIN - BEGIN % (7 * MINUTE);
    let user = pair(1, 1);
    for second in [57, 61] {
        assert_eq!(caps.record(user, begin + second * SECOND, || BEGIN), Ok(Decision::Admitted));
        assert_eq!(caps.release(user, begin + second * SECOND), Ok(false));
    }
    assert_eq!(caps.count(user, Window::Rolling(DAY), begin + 2 * MINUTE), Ok(2));
    assert_eq!(caps.record(user, begin + 63 * SECOND, || BEGIN), Ok(Decision::Admitted));
    assert_eq!(caps.release(user, begin + 63 * SECOND), Ok(true));
    assert_eq!(caps.count(user, Window::Rolling(DAY), begin + 2 * MINUTE), Ok(2));
}

#[test]
fn a_release_of_a_pair_with_more_events_than_are_kept_passes_no_rule() {
    for (strict, lifetime) in [(false, false), (true, true)] {
        let caps = caps(&Config { strict, lifetime, ..config() });
        let user = pair(1, 1);
        for hour in 0..40 {
            assert_eq!(caps.record(user, BEGIN + hour * HOUR, || BEGIN + hour * HOUR), Ok(Decision::Admitted));
        }
        let now = BEGIN + 40 * HOUR;
        let set = rules(&[(28, Window::Rolling(2 * DAY))]);
        for hour in 30..40 {
            assert_eq!(caps.release(user, BEGIN + hour * HOUR), Ok(true));
            assert_eq!(caps.release(user, BEGIN + hour * HOUR), Ok(false));
            assert_eq!(admit(&caps, user, &set, now), Decision::Capped { scope: 0, rule: 0 });
        }
        // Those that are gone, and the oldest of those that are kept: there may be more of its tick, or it was moved there.
        for hour in 0..12 {
            assert_eq!(caps.release(user, BEGIN + hour * HOUR), Ok(false));
        }
        assert_eq!(admit(&caps, user, &set, now), Decision::Capped { scope: 0, rule: 0 });
        if lifetime {
            assert_eq!(caps.count(user, Window::Lifetime, now), Ok(30));
        }
        // When the oldest are too old, all that is left is known again.
        let later = BEGIN + 20 * DAY;
        assert_eq!(admit(&caps, user, &set, later), Decision::Admitted);
        assert_eq!(caps.release(user, later), Ok(true));
    }
}

#[test]
fn as_many_events_as_a_rule_can_allow_are_taken_back_exactly() {
    for strict in [false, true] {
        let caps = caps(&Config { strict, lifetime: true, ..config() });
        let set = rules(&[(28, Window::Rolling(DAY))]);
        let user = pair(1, 1);
        let admit = |at| admit(&caps, user, &set, at);
        (0..28).for_each(|minute| assert_eq!(admit(BEGIN + minute * MINUTE), Decision::Admitted));
        for minute in 0..28 {
            let at = BEGIN + minute * MINUTE;
            assert_eq!(admit(BEGIN + HOUR), Decision::Capped { scope: 0, rule: 0 });
            assert_eq!(caps.release(user, at), Ok(true), "{minute}");
            assert_eq!(caps.count(user, Window::Rolling(DAY), BEGIN + HOUR), Ok(27));
            assert_eq!(admit(BEGIN + HOUR), Decision::Admitted);
        }
    }
}

#[test]
fn a_late_event_counts_those_of_its_windows_first_tick_that_were_given_up() {
    let caps = caps(&config());
    let user = pair(1, 1);
    let first = BEGIN + 2 * MINUTE;
    for at in [first, BEGIN + HOUR] {
        (0..20).for_each(|_| assert_eq!(caps.record(user, at, || BEGIN), Ok(Decision::Admitted)));
    }
    // Eight of the first twenty are kept at most; the window begins within their tick.
    let set = rules(&[(10, Window::Rolling(7 * MINUTE))]);
    assert_eq!(admit(&caps, user, &set, BEGIN + 8 * MINUTE), Decision::Capped { scope: 0, rule: 0 });
}

#[test]
fn an_event_that_one_scope_has_no_room_for_leaves_the_others_as_they_were() {
    let caps = caps(&Config {
        capacity: 10,
        max_capacity: 10,
        tiers: vec![(MINUTE, DAY), (HOUR, 30 * DAY)],
        lifetime: true,
        ..config()
    });
    let set = rules(&[(28, Window::Rolling(2 * MINUTE))]);
    let user = pair(1, 0);
    for minute in 0..40 {
        assert_eq!(caps.record(user, BEGIN + minute * MINUTE, || BEGIN), Ok(Decision::Admitted));
    }
    (1..10).for_each(|other| assert_eq!(caps.record(pair(1, other), BEGIN, || BEGIN), Ok(Decision::Admitted)));
    // In the minutes' tier it would take the place of the oldest event, and in the hours' tier it would not be kept.
    for _ in 0..5 {
        let all = [(user, &set), (pair(1, 10), &set)];
        assert_eq!(caps.admit_all(&all, BEGIN + 50 * MINUTE, || BEGIN), Ok(Decision::Refused(Reason::Full)));
    }
    for window in [HOUR, 20 * DAY] {
        let set = rules(&[(28, Window::Rolling(window))]);
        assert_eq!(admit(&caps, user, &set, BEGIN + 51 * MINUTE), Decision::Capped { scope: 0, rule: 0 });
    }
    assert_eq!(caps.count(user, Window::Lifetime, BEGIN + HOUR), Ok(40));
}

#[test]
fn times_that_cannot_be_decided_are_refused_and_count_nothing() {
    let caps = caps(&config());
    let set = rules(&[(1, Window::Rolling(HOUR))]);
    let at = |at, now| caps.admit(pair(1, 1), &set, at, || now).expect("rules");
    assert_eq!(at(BEGIN + DAY + 1, BEGIN), Decision::Refused(Reason::Future));
    assert_eq!(caps.check(pair(1, 1), &set, BEGIN + DAY + 1, || BEGIN), Ok(Decision::Refused(Reason::Future)));
    assert_eq!(caps.record(pair(1, 1), BEGIN + DAY + 1, || BEGIN), Ok(Decision::Refused(Reason::Future)));
    assert_eq!(caps.admit_all(&[(pair(1, 1), &set)], BEGIN + DAY + 1, || BEGIN), Ok(Decision::Refused(Reason::Future)));
    assert_eq!(at(BEGIN, BEGIN), Decision::Admitted);
    assert_eq!(at(BEGIN + DAY, BEGIN), Decision::Admitted);
    // It is the system's time that counts, not what other events claim.
    assert_eq!(at(BEGIN + DAY + HOUR, BEGIN), Decision::Refused(Reason::Future));
    // An idle week.
    assert_eq!(at(BEGIN + 8 * DAY, BEGIN + 8 * DAY), Decision::Admitted);
    assert_eq!(at(BEGIN + 8 * DAY - 14 * DAY - 1, BEGIN + 8 * DAY), Decision::Refused(Reason::TooOld));
    assert_eq!(caps.info().refused, [5, 1, 0, 0]);
    assert_eq!(caps.count(pair(1, 1), Window::Rolling(14 * DAY), BEGIN + 8 * DAY), Ok(3));
    assert_eq!(caps.admit(pair(1, 1), &set, u64::MAX, || 0), Err(Error::Time(u64::MAX)));
}

#[test]
fn an_event_is_believed_as_far_ahead_as_leaves_the_table_open_for_others() {
    let set = rules(&[(1, Window::Rolling(10 * MINUTE))]);
    let horizons = [(SECOND, HOUR, 15 * MINUTE), (5 * MINUTE, 14 * DAY, DAY), (HOUR, 2 * DAY, 12 * HOUR)];
    for (granularity, horizon, ahead) in horizons {
        let caps = caps(&Config { tiers: vec![(granularity, horizon)], ..config() });
        let set = if granularity == HOUR {
            rules(&[(1, Window::Rolling(HOUR))])
        } else {
            rules(&[(1, Window::Rolling(10 * MINUTE))])
        };
        let future = Decision::Refused(Reason::Future);
        assert_eq!(caps.admit(pair(1, 1), &set, BEGIN + ahead + 1, || BEGIN), Ok(future));
        assert_eq!(caps.info().tiers[0].pairs, 0);
        assert_eq!(caps.admit(pair(1, 1), &set, BEGIN + ahead, || BEGIN), Ok(Decision::Admitted));
        (2..500).for_each(|user| assert_eq!(admit(&caps, pair(1, user), &set, BEGIN), Decision::Admitted));
    }
    // As far as is asked for, or not at all.
    let caps = caps(&Config { max_ahead: Some(0), ..config() });
    assert_eq!(caps.record(pair(1, 1), BEGIN + 1, || BEGIN), Ok(Decision::Refused(Reason::Future)));
    assert_eq!(caps.record(pair(1, 1), BEGIN, || BEGIN), Ok(Decision::Admitted));
    let caps = FrequencyCap::new(&Config { max_ahead: Some(7 * DAY), ..config() }).expect("a table");
    assert_eq!(caps.admit(pair(1, 1), &set, BEGIN + 7 * DAY, || BEGIN), Ok(Decision::Admitted));
    assert_eq!(caps.admit(pair(1, 2), &set, BEGIN + 7 * DAY + 1, || BEGIN), Ok(Decision::Refused(Reason::Future)));
    let most = FrequencyCap::new(&Config { max_ahead: Some(1 << 47), ..config() });
    assert_eq!(most.err(), Some(Error::MaxAhead(1 << 47)));
}

#[test]
fn the_systems_time_is_asked_for_once_in_as_long_as_events_are_believed_ahead() {
    let caps = caps(&Config { tiers: vec![(SECOND, HOUR)], ..config() });
    let asked = AtomicUsize::new(0);
    for second in 0..HOUR / SECOND {
        let at = BEGIN + second * SECOND;
        let now = || {
            asked.fetch_add(1, Relaxed);
            at
        };
        assert_eq!(caps.record(pair(1, second), at, now), Ok(Decision::Admitted));
    }
    // Within a quarter of an hour each.
    assert_eq!(asked.load(Relaxed), 4);
}

#[test]
fn what_was_seen_before_the_systems_time_was_set_back_makes_nothing_too_old() {
    let caps = caps(&Config { tiers: vec![(SECOND, HOUR)], ..config() });
    let set = rules(&[(1, Window::Rolling(MINUTE))]);
    let wrong = BEGIN + 5 * HOUR;
    assert_eq!(caps.admit(pair(1, 0), &set, wrong, || wrong), Ok(Decision::Admitted));
    assert_eq!(caps.admit(pair(1, 1), &set, BEGIN, || wrong), Ok(Decision::Refused(Reason::TooOld)));
    let open = (1..100).filter(|user| admit(&caps, pair(1, *user), &set, BEGIN) == Decision::Admitted).count();
    // But for those whose line has seen the wrong time: what it knew of this one is gone.
    assert!(open > 90, "{open}");
    assert_eq!(caps.admit(pair(1, 0), &set, BEGIN, || BEGIN), Ok(Decision::Capped { scope: 0, rule: 0 }));
    assert_eq!(caps.record(pair(1, 0), BEGIN, || BEGIN), Ok(Decision::Admitted));
    assert_eq!(caps.count(pair(1, 0), Window::Rolling(HOUR), wrong), Ok(1), "it is too old for the line");
    let ahead = BEGIN + 15 * MINUTE + 1;
    assert_eq!(caps.admit(pair(1, 200), &set, ahead, || BEGIN), Ok(Decision::Refused(Reason::Future)));
}

#[test]
fn a_window_shorter_than_the_ticks_it_would_be_counted_in_is_refused() {
    let tiers = vec![(5 * MINUTE, DAY), (6 * HOUR, 90 * DAY)];
    let caps = caps(&Config { tiers, ..config() });
    for (window, granularity) in
        [(1, 5 * MINUTE), (5 * MINUTE - 1, 5 * MINUTE), (5 * MINUTE, 0), (DAY, 0), (DAY + 1, 0)]
    {
        let set = rules(&[(1, Window::Day(Zone::fixed(0))), (1, Window::Rolling(window))]);
        let error = (granularity > 0).then_some(Error::Granule { window, granularity });
        let user = pair(1, window);
        assert_eq!(caps.admit(user, &set, BEGIN, || BEGIN).err(), error);
        assert_eq!(caps.check(user, &set, BEGIN, || BEGIN).err(), error);
        assert_eq!(caps.opens_at(user, &set, BEGIN).err(), error);
        assert_eq!(caps.count(user, Window::Rolling(window), BEGIN).err(), error);
        assert_eq!(caps.admit_all(&[(pair(2, window), &set)], BEGIN, || BEGIN).err(), error);
        assert_eq!(caps.count(user, Window::Day(Zone::fixed(0)), BEGIN), Ok(usize::from(error.is_none())));
    }
    // Ticks of a day serve nothing shorter, though a finer tier would if it reached back as far.
    let caps =
        FrequencyCap::new(&Config { tiers: vec![(SECOND, HOUR), (DAY, 90 * DAY)], ..config() }).expect("a table");
    let set = rules(&[(1, Window::Rolling(2 * HOUR))]);
    let error = Error::Granule { window: 2 * HOUR, granularity: DAY };
    assert_eq!(caps.check(pair(1, 1), &set, BEGIN, || BEGIN), Err(error));
    assert_eq!(
        error.to_string(),
        "a window of 7200000 ms is shorter than a granule of the tier that serves it, 86400000 ms, and would stay closed for \
         all of that: a rule's window is at least as long"
    );
}

#[test]
fn a_day_of_25_hours_is_one_day() {
    let caps = caps(&config());
    let berlin = zone("Europe/Berlin");
    // 25 October 2026.
    let day = berlin.day_of(20_751);
    let set = rules(&[(3, Window::Day(berlin))]);
    let user = pair(1, 1);
    for hours in [0, 12, 24] {
        assert_eq!(admit(&caps, user, &set, day.begin + hours * HOUR), Decision::Admitted);
    }
    assert_eq!(admit(&caps, user, &set, day.end - 1), Decision::Capped { scope: 0, rule: 0 });
    assert_eq!(caps.count(user, Window::Day(berlin), day.end - 1), Ok(3));
    assert_eq!(caps.opens_at(user, &set, day.begin + 24 * HOUR), Ok(Some(day.end)));
    assert_eq!(admit(&caps, user, &set, day.end), Decision::Admitted);
    assert_eq!(caps.count(user, Window::Day(berlin), day.end), Ok(1));
    // Where clocks are always two hours ahead the next day has begun with the third event, and has the fourth.
    assert_eq!(caps.count(user, Window::Day(Zone::fixed(2 * HOUR as i64)), day.end - 1), Ok(2));
}

#[test]
fn a_zone_needs_a_tier_that_covers_its_longest_day_and_begins_with_it() {
    let table = |tiers: &[(u64, u64)]| caps(&Config { tiers: tiers.to_vec(), ..config() });
    let refused = |tiers: &[(u64, u64)], name: &str| {
        let window = Window::Day(zone(name));
        let error = table(tiers).count(pair(1, 1), window, BEGIN).err();
        assert_eq!(table(tiers).admit(pair(1, 1), &rules(&[(1, window)]), BEGIN, || BEGIN).err(), error);
        error.map(|error| error.to_string())
    };
    let longest = |zone: &str, day: u64| {
        format!(
            "a day of {zone} may be {day} ms long, and the longest horizon of the table's tiers is 86400000: choose one of at \
             least {day} ms"
        )
    };
    assert_eq!(refused(&[(5 * MINUTE, DAY)], "Europe/Berlin"), Some(longest("Europe/Berlin", 90_000_000)));
    assert_eq!(refused(&[(5 * MINUTE, DAY)], "Antarctica/Casey"), Some(longest("Antarctica/Casey", 97_200_000)));
    assert_eq!(refused(&[(5 * MINUTE, 25 * HOUR)], "Europe/Berlin"), None);
    assert_eq!(refused(&[(5 * MINUTE, DAY)], "Etc/UTC"), None);
    assert_eq!(refused(&[(DAY, 90 * DAY)], "Etc/UTC"), None);
    let midnights = "days of Asia/Kathmandu begin at multiples of 900000 ms, and those are no begin of a tick in any tier that covers \
                     its longest day of 86400000 ms: choose a granularity that divides 900000";
    assert_eq!(refused(&[(HOUR, 90 * DAY)], "Asia/Kathmandu").as_deref(), Some(midnights));
    assert_eq!(refused(&[(15 * MINUTE, 14 * DAY), (HOUR, 90 * DAY)], "Asia/Kathmandu"), None);
    // The finest tier that covers a day serves it.
    assert_eq!(refused(&[(7 * MINUTE, 14 * DAY), (HOUR, 90 * DAY)], "Europe/Berlin"), None);
    assert!(refused(&[(MINUTE, DAY), (2 * HOUR, 90 * DAY)], "Europe/Berlin").is_some());
}

/// Before 1972 clocks in Liberia were 44 minutes and 30 seconds behind UTC.
#[test]
fn where_a_day_begins_within_a_tick_no_rule_is_passed() {
    let monrovia = zone("Africa/Monrovia");
    let begin = monrovia.day_of(600).begin;
    assert_ne!(begin % (5 * MINUTE), 0);
    let mut random = 3;
    let mut draw = |below: u64| {
        random = mix(random + 1);
        random % below
    };
    for max in 1..4 {
        let caps = caps(&config());
        let set = [(max, Window::Day(monrovia))];
        let mut now = begin - DAY;
        let events: Vec<(u64, u64)> = (0..400)
            .map(|_| {
                now += if draw(2) == 0 { draw(5 * MINUTE) } else { draw(7 * HOUR) };
                (pair(1, draw(2)), if draw(4) == 0 { now - draw(DAY) } else { now })
            })
            .chain((0..40).map(|at| (pair(2, 1), begin + at * MINUTE / 2 - 10 * MINUTE)))
            .collect();
        let judged = judge(&caps, 5 * MINUTE, &set, events.into_iter());
        assert_eq!(judged.missed, 0);
        assert!(judged.admitted > 40, "{judged:?}");
    }
}

#[test]
fn one_event_under_several_scopes_counts_in_all_or_in_none() {
    let caps = caps(&Config { lifetime: true, ..config() });
    let (one, two) = (rules(&[(1, Window::Rolling(HOUR))]), rules(&[(2, Window::Rolling(HOUR))]));
    let all = [(pair(1, 1), &two), (pair(2, 1), &two), (pair(3, 1), &one)];
    let admit_all = |at| caps.admit_all(&all, at, || at).expect("rules");
    assert_eq!(admit_all(BEGIN), Decision::Admitted);
    assert_eq!(admit_all(BEGIN + 1), Decision::Capped { scope: 2, rule: 0 });
    for (pair, _) in &all {
        assert_eq!(caps.count(*pair, Window::Lifetime, BEGIN), Ok(1));
        assert_eq!(caps.count(*pair, Window::Rolling(HOUR), BEGIN), Ok(1));
    }
    assert_eq!(caps.admit_all(&[all[0], all[0]], BEGIN, || BEGIN), Err(Error::DuplicateScope));
    assert_eq!(caps.admit_all(&[], BEGIN, || BEGIN), Err(Error::Scopes(0)));
}

/// Threads that ask about the same pairs at once.
fn contend(pairs: u64, max: u32) {
    const THREADS: u64 = 32;
    let set = rules(&[(max, Window::Rolling(HOUR)), (20, Window::Rolling(DAY))]);
    for round in 0..1_000 {
        let caps = caps(&Config { capacity: 100, max_capacity: 100, ..config() });
        let admitted: Vec<AtomicUsize> = (0..pairs).map(|_| AtomicUsize::new(0)).collect();
        let together = Barrier::new(THREADS as usize);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (caps, set, admitted, together) = (&caps, &set, &admitted, &together);
                scope.spawn(move || {
                    together.wait();
                    for user in 0..pairs {
                        let user = (user + thread) % pairs;
                        if admit(caps, pair(round, user), set, BEGIN + thread) == Decision::Admitted {
                            admitted[user as usize].fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        let info = caps.info();
        assert_eq!(info.denied_by_rule + info.denied_by_rounding, (THREADS - u64::from(max)) * pairs, "round {round}");
        for (user, admitted) in admitted.iter().enumerate() {
            assert_eq!(admitted.load(Relaxed), max as usize, "round {round}");
            let left = caps.count(pair(round, user as u64), Window::Rolling(DAY), BEGIN + HOUR).expect("a window");
            assert_eq!(left, max as usize);
        }
    }
}

#[test]
fn threads_that_race_for_one_pair_admit_as_many_as_the_rule_allows() {
    contend(1, 3);
}

#[test]
fn threads_that_race_for_ten_pairs_admit_as_many_as_the_rule_allows() {
    contend(10, 2);
}

#[test]
fn threads_that_race_for_scopes_they_share_leave_what_they_admitted() {
    const THREADS: u64 = 32;
    let set = rules(&[(3, Window::Rolling(HOUR))]);
    for round in 0..1_000 {
        let caps = caps(&Config { capacity: 100, max_capacity: 100, lifetime: true, ..config() });
        let admitted: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
        let together = Barrier::new(THREADS as usize);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (caps, set, admitted, together) = (&caps, &set, &admitted, &together);
                scope.spawn(move || {
                    // Three neighbours of five scopes, in another order in every other thread.
                    let mut scopes: Vec<u64> = (0..3).map(|next| (thread + next) % 5).collect();
                    if thread % 2 == 1 {
                        scopes.reverse();
                    }
                    let pairs: Vec<_> = scopes.iter().map(|scope| (pair(*scope, round), set)).collect();
                    together.wait();
                    if caps.admit_all(&pairs, BEGIN + thread, || BEGIN) == Ok(Decision::Admitted) {
                        for scope in &scopes {
                            admitted[*scope as usize].fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        for (scope, admitted) in admitted.iter().enumerate() {
            let admitted = admitted.load(Relaxed);
            assert!(admitted <= 3, "round {round}");
            for window in [Window::Rolling(DAY), Window::Lifetime] {
                let left = caps.count(pair(scope as u64, round), window, BEGIN + HOUR).expect("a window");
                assert_eq!(left, admitted, "round {round}, scope {scope}");
            }
        }
    }
}
