//! What a touch costs with a journal. `cargo test --release --test attribution_journal measure -- --ignored --nocapture`

use std::time::{Duration, Instant};

use ad_tally_core::attribution::{Attribution, Config, Outcome, Touch};
use ad_tally_core::journal::{self};
use ad_tally_core::key::{Domain, integer_words};
use ad_tally_core::{HashedKey, Seed};

use crate::store::Stored;
use crate::told::{BEGIN, HOUR, config};

const TOUCHES: u64 = 200_000;
const ROUNDS: u64 = 40;

/// Nanoseconds a touch in a round of new touches of random users. What is beside them is left out.
fn round(attribution: &Attribution, keys: &[(Vec<u64>, u64)], round: u64, users: u64, in_a_list: bool) -> f64 {
    let seed = attribution.seed();
    let touches: Vec<Touch<'_>> = (0..TOUCHES)
        .map(|number| {
            let number = round * TOUCHES + number;
            let hash = seed.hash(Domain::User, &[number]);
            let (words, key) = &keys[(hash >> 32) as usize % keys.len()];
            let dimensions = HashedKey { hash: *key, words };
            let user = seed.hash(Domain::User, &[hash % users]);
            Touch { id: number as i64, user, at: BEGIN + number / 100, kind: 0, dimensions, cost: 10 }
        })
        .collect();
    let begin = Instant::now();
    if in_a_list {
        let mut outcomes = [0; 5];
        attribution.touch_all(touches.len(), |at| touches[at], &mut outcomes, || 0, || true);
        assert_eq!(outcomes[Outcome::Applied as usize], TOUCHES);
    } else {
        for touch in &touches {
            assert_eq!(attribution.touch(touch, || 0), Ok(Outcome::Applied));
        }
    }
    begin.elapsed().as_secs_f64() * 1e9 / TOUCHES as f64
}

#[test]
#[ignore = "a measurement"]
fn a_touch_with_a_journal_by_turns() {
    for (users, in_a_list) in [(1_000, false), (1_000_000, false), (1_000_000, true)] {
        let config = Config { window: HOUR, users: users as usize, max_keys: 10_000, touches_per_user: 16, ..config() };
        let bound = journal::Config { buffer_bytes: 1 << 30, wake_bytes: 1 << 30 };
        let stored = Stored::opened(&config, 1, bound);
        let without = Attribution::new(&config, Seed::new(7)).expect("a configuration that is right");
        let keys: Vec<(Vec<u64>, u64)> = (0..1_000)
            .map(|campaign| {
                let mut words = integer_words(campaign).to_vec();
                words[0] |= 1;
                let hash = without.seed().key(&words).hash;
                (words, hash)
            })
            .collect();
        let (mut times, mut folding, mut records) = ([Vec::new(), Vec::new()], Duration::ZERO, 0);
        let mut bytes = 0;
        for number in 0..ROUNDS {
            times[0].push(round(&without, &keys, number, users, in_a_list));
            times[1].push(round(&stored.attribution, &keys, number, users, in_a_list));
            let interval = stored.journal.cut();
            let begin = Instant::now();
            bytes += stored.write(&interval).len();
            folding += begin.elapsed();
            records += interval.len();
        }
        let [without, with] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        let folding = folding.as_secs_f64() * 1e9 / records as f64;
        println!(
            "{users} users, in a list: {in_a_list}: {without:.1} ns a touch, {with:.1} with a journal, {:.2} x; \
             {folding:.0} ns to fold and write one, {:.1} bytes",
            with / without,
            bytes as f64 / records as f64
        );
    }
}
