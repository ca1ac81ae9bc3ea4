//! Any intervals from the first one on are an attribution that was told exactly what is in them.

use ad_tally_core::Seed;
use ad_tally_core::attribution::{Attribution, Change, Config};
use proptest::prelude::*;

use crate::in_memory::merged;
use crate::store::{Run, Stored};
use crate::told::{Answers, BEGIN, Closed, Fact, MINUTE, ORDERS, SECOND, config, tell};

/// Facts around a time that goes on by some seconds each, late ones too.
fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let fact = (0..40_u8, 0..6_u64, 0..6_u64, 0..ORDERS, any::<u16>(), 0..30_u64);
    prop::collection::vec(fact, 0..120).prop_map(|all| {
        let (mut now, mut touches) = (BEGIN, Vec::new());
        let facts = all.into_iter().enumerate().map(|(place, (what, user, other, order, some, step))| {
            now += step * SECOND;
            // Most of it lies up to five minutes back, the window's time included.
            let at = now - u64::from(some) % (5 * MINUTE);
            let (kind, campaign, some) = ((some & 1) as u8, i64::from(some >> 1 & 3), i64::from(some));
            match what {
                0..16 => {
                    touches.push(Fact::Touch { id: place as i64, user, at, kind, campaign });
                    touches[touches.len() - 1]
                }
                // One that comes again.
                16 => touches.get(order as usize).copied().unwrap_or(Fact::Close),
                17..27 => Fact::Convert { order, user, at, action: (some % 3) as u8, value: some },
                27..29 => Fact::Adjust { order, change: Change::Restate(some), at: now },
                29 => Fact::Adjust { order, change: Change::Retract, at: now },
                30..32 => Fact::Link { alias: user, user: other },
                32 => Fact::Forget { user },
                33..36 => Fact::Deliver,
                _ => Fact::Close,
            }
        });
        facts.collect()
    })
}

/// Tells a fact to an attribution with a journal, which keeps what was closed.
fn tell_stored(stored: &Stored, fact: Fact, runs: &mut Vec<Run>) {
    let attribution = &stored.attribution;
    match fact {
        Fact::Forget { user } => {
            let users = attribution.forget(crate::told::user(user));
            runs.push(stored.cut());
            attribution.erase(&users);
        }
        Fact::Deliver => {
            let oldest = attribution.undelivered().into_iter().min_by_key(|undelivered| undelivered.window.number);
            oldest.into_iter().for_each(|undelivered| attribution.delivered(&undelivered.window));
        }
        fact => tell(attribution, fact, &mut Vec::new()),
    }
}

fn undelivered(stored: &Stored) -> Vec<Closed> {
    let mut all: Vec<Closed> =
        stored.attribution.undelivered().iter().map(|of| Closed::of(&stored.attribution, &of.window)).collect();
    all.sort_by_key(|closed| closed.number);
    all
}

fn check(config: &Config, facts: &[Fact], cuts: &[prop::sample::Index], until: prop::sample::Index) {
    let mut stored = Stored::new(config);
    let twin = Attribution::new(config, Seed::new(7)).expect("a configuration that is right");
    let mut closed = Vec::new();
    let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(facts.len() + 1)).collect();
    let until = until.index(facts.len() + 1);
    let mut runs = Vec::new();
    for (place, fact) in facts[..until].iter().enumerate() {
        if cuts.contains(&place) {
            runs.push(stored.cut());
            // What was merged is the same.
            let (fold, merged_from) = (stored.attribution.fold(), place % runs.len());
            if place % 2 == 0 {
                let run = merged(&runs[merged_from..], Some(&*fold), merged_from == 0);
                runs.splice(merged_from.., [run]);
            }
            // Some restarts are before the last one, without anything being lost.
            if place % 3 == 0 {
                stored = stored.restarted(&runs, 0);
            }
        }
        tell_stored(&stored, *fact, &mut runs);
        tell(&twin, *fact, &mut closed);
    }
    runs.push(stored.cut());
    // What comes now is lost.
    facts[until..].iter().for_each(|fact| tell_stored(&stored, *fact, &mut Vec::new()));
    let restored = stored.restarted(&runs, 0);
    closed.sort_by_key(|closed| closed.number);
    Answers::of(&restored.attribution).assert_are(&Answers::of(&twin), "right after");
    assert_eq!(undelivered(&restored), closed);
    for fact in &facts[until..] {
        tell_stored(&restored, *fact, &mut Vec::new());
        tell(&twin, *fact, &mut closed);
    }
    Answers::of(&restored.attribution).assert_are(&Answers::of(&twin), "at the end");
    let stop = |attribution: &Attribution, closed: &mut Vec<Closed>| loop {
        let now = attribution.stop();
        closed.extend(now.windows.iter().map(|window| Closed::of(attribution, window)));
        if now.is_all {
            break;
        }
    };
    stop(&restored.attribution, &mut Vec::new());
    stop(&twin, &mut closed);
    closed.sort_by_key(|closed| closed.number);
    assert_eq!(undelivered(&restored), closed, "all of it");
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

/// Touches in the order of their times, and nobody becomes another one: what was put together is as if it had been so at once.
fn in_order(facts: Vec<Fact>) -> Vec<Fact> {
    let mut now = BEGIN;
    let in_order = |fact| match fact {
        Fact::Touch { at, .. } if at < now => None,
        Fact::Touch { at, .. } => {
            now = at;
            Some(fact)
        }
        Fact::Link { .. } => None,
        other => Some(other),
    };
    facts.into_iter().filter_map(in_order).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_prefix_is_what_was_told_until_then(
        facts in facts(),
        cuts in cuts(),
        until in any::<prop::sample::Index>(),
        prevail in any::<bool>(),
        touches_per_user in prop_oneof![Just(1_usize), Just(4), Just(16)],
        orders in prop_oneof![Just(5_usize), Just(1_000)],
    ) {
        check(&Config { prevail, touches_per_user, orders, ..config() }, &facts, &cuts, until);
    }

    #[test]
    fn touches_that_are_put_together_are_so_after_a_restart_too(
        facts in facts(),
        cuts in cuts(),
        until in any::<prop::sample::Index>(),
        touches_per_user in prop_oneof![Just(5_usize), Just(120)],
    ) {
        let config = Config { collapse: true, touches_per_user, ..config() };
        check(&config, &in_order(facts), &cuts, until);
    }
}
