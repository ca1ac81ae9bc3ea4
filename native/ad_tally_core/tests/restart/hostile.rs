//! Entries that nobody has written are refused, whatever numbers are in them, and those around them are taken.

use ad_tally_core::journal::{Entry, META_NEWEST, Restore, WindowState};
use ad_tally_core::meter::{Config, TIMES};
use ad_tally_core::{Dedupe, Meter, Seed, dedupe};

use crate::journal::part;

const WINDOW: u64 = 60_000;
/// The number of the last window.
const LAST: u64 = (TIMES - 1) / WINDOW;
const META_NEWEST_EVENT: u8 = 2;

fn ids() -> dedupe::Config {
    dedupe::Config { window: 1_000, capacity: 1_000, wide: true }
}

fn meter() -> Meter {
    let config = Config {
        window: WINDOW,
        lateness: 0,
        max_ahead: Some(WINDOW),
        metrics: 1,
        max_keys: 4,
        max_open_windows: 10,
        reach: None,
        dedupe: Some(ids()),
    };
    Meter::stored(&config, Seed::new(7), part(1), 1).expect("a configuration that is right")
}

fn window(number: u64) -> Entry<'static> {
    Entry::Window { instance: 1 + number % 10, number, config: 1, state: WindowState::Open }
}

#[test]
fn a_window_that_no_time_is_in_is_refused() {
    let meter = meter();
    let restoring = meter.restoring([]);
    for number in [LAST + 1, u64::MAX / WINDOW, u64::MAX] {
        let refused = restoring.restore(window(number)).expect_err("no time is in it");
        let expected = format!(
            "window {} has number {number}, and {LAST} is the last one of windows of {WINDOW} ms",
            1 + number % 10
        );
        assert_eq!(refused, expected);
    }
    restoring.restore(window(LAST)).expect("the last times are in it");
    restoring.finish(0);
    assert_eq!(meter.last_open(), Some(LAST));
}

#[test]
fn the_newest_event_and_the_newest_id_have_times_that_there_are() {
    let meter = meter();
    let restoring = meter.restoring([]);
    for name in [META_NEWEST, META_NEWEST_EVENT] {
        for value in [TIMES, u64::MAX] {
            assert!(restoring.restore(Entry::Meta { name, value }).is_err(), "{name} is {value}");
        }
        restoring.restore(Entry::Meta { name, value: TIMES - 1 }).expect("a time");
    }
    restoring.finish(0);
    assert_eq!(meter.info().newest, TIMES - 1);
}

#[test]
fn an_id_of_a_generation_past_all_times_is_refused_and_compacted_without_a_panic() {
    let dedupe = Dedupe::stored(&ids(), Seed::new(7), part(1)).expect("in range");
    let id = Entry::Id { hash: 1, generation: u64::MAX };
    assert!(dedupe.restore(id).is_err());
    assert!(dedupe.fold().keeps(&id, TIMES - 1));
    assert!(dedupe.first(1, 1_000, || 1_000).expect("a time"));
}
