//! Threads that tell while intervals end: each interval has whole events, and none that depends on a later one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use ad_tally_core::Seed;
use ad_tally_core::attribution::Attribution;

use crate::at_end::AtEnd;
use crate::store::{Run, Stored};
use crate::told::{Answers, BEGIN, Fact, ORDERS, SECOND, config, order, tell};

const THREADS: u64 = 4;
const FACTS: u64 = 300;
/// Kinds of records, see `attribution::journal`.
const TOUCH: u8 = 0;
const ORDER: u8 = 2;

/// Touches and conversions of few users within some minutes, in no order.
fn fact(thread: u64, number: u64) -> Fact {
    let some = Seed::new(thread).hash(ad_tally_core::key::Domain::Id, &[number]);
    let (user, at) = (some % 8, BEGIN + (some >> 8) % 100 * SECOND);
    // Each thread has as many of all orders as the others.
    let touches_of_an_order = FACTS / (ORDERS as u64 / THREADS);
    if number.is_multiple_of(touches_of_an_order) {
        let order = (number / touches_of_an_order * THREADS + thread) as i64;
        return Fact::Convert { order, user, at, action: 0, value: order };
    }
    let id = (number * THREADS + thread) as i64;
    Fact::Touch { id, user, at, kind: (some >> 20 & 1) as u8, campaign: (some >> 24 & 7) as i64 }
}

/// What is in an interval: ids of touches, and hashes of orders.
#[derive(Default, Clone)]
struct Told {
    touches: HashSet<i64>,
    orders: HashSet<u64>,
}

#[test]
fn any_intervals_of_several_threads_are_exactly_the_events_in_them() {
    // Of touches that no user has as many of, the order in which they came makes no difference.
    let config = ad_tally_core::attribution::Config { touches_per_user: 255, ..config() };
    for _round in 0..20 {
        let stored = Stored::new(&config);
        let is_over = AtomicBool::new(false);
        let intervals: Vec<(Run, Told)> = thread::scope(|scope| {
            let at_end = AtEnd(&is_over);
            let cutter = scope.spawn(|| {
                let mut intervals = Vec::new();
                loop {
                    let is_last = is_over.load(Relaxed);
                    let interval = stored.journal.cut();
                    let mut told = Told::default();
                    for record in interval.records() {
                        match record.kind {
                            TOUCH => _ = told.touches.insert(record.words[2] as i64),
                            ORDER => _ = told.orders.insert(record.words[0]),
                            _ => {}
                        }
                    }
                    intervals.push((stored.write(&interval), told));
                    if is_last {
                        return intervals;
                    }
                }
            });
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let stored = &stored;
                    scope.spawn(move || {
                        (0..FACTS).for_each(|number| tell(&stored.attribution, fact(thread, number), &mut Vec::new()));
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            drop(at_end);
            cutter.join().expect("no panic")
        });
        let facts: Vec<Fact> =
            (0..FACTS).flat_map(|number| (0..THREADS).map(move |thread| fact(thread, number))).collect();
        for until in [intervals.len() / 7, intervals.len() / 3, intervals.len() / 2, intervals.len()] {
            let (runs, told): (Vec<Run>, Vec<Told>) = intervals[..until].iter().cloned().unzip();
            let restored = stored.restarted(&runs, 0);
            let twin = Attribution::new(&config, Seed::new(7)).expect("a configuration that is right");
            let is_in = |fact: &&Fact| match **fact {
                Fact::Touch { id, .. } => told.iter().any(|told| told.touches.contains(&id)),
                Fact::Convert { order: number, .. } => {
                    told.iter().any(|told| told.orders.contains(&order(&twin, number)))
                }
                _ => false,
            };
            let (there, lost): (Vec<&Fact>, Vec<&Fact>) = facts.iter().partition(is_in);
            there.iter().for_each(|fact| tell(&twin, **fact, &mut Vec::new()));
            let compare = |when: &str| {
                let answers = |attribution| Answers::of(attribution).without_revisions();
                answers(&restored.attribution).assert_are(&answers(&twin), when);
            };
            compare("right after");
            // What was lost comes again, and so does some of what was not.
            for fact in there.iter().step_by(3).chain(&lost) {
                tell(&restored.attribution, **fact, &mut Vec::new());
            }
            lost.iter().for_each(|fact| tell(&twin, **fact, &mut Vec::new()));
            compare("at the end");
        }
    }
}
