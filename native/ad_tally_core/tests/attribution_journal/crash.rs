//! What was being done when the process died is done after the restart.

use ad_tally_core::attribution::{Change, Config, Outcome};
use ad_tally_core::key::integer_words;

use crate::store::Stored;
use crate::told::{BEGIN, Closed, HOUR, MINUTE, SECOND, config, convert, order, touch, user};

/// Kinds of records, see `attribution::journal`.
const ORDER: u8 = 2;
const CLOSING: u8 = 8;

fn undelivered(stored: &Stored) -> Vec<Closed> {
    let all = stored.attribution.undelivered();
    all.iter().map(|undelivered| Closed::of(&stored.attribution, &undelivered.window)).collect()
}

#[test]
fn a_window_that_was_closed_and_not_wholly_settled_is_settled_with_the_same_result() {
    let stored = Stored::new(&config());
    let attribution = &stored.attribution;
    for id in 0..6 {
        touch(attribution, id, id as u64 % 3, BEGIN + id as u64 * SECOND, 0, id, 0);
    }
    // Of each user the first one counts, and they are not in the order of their times.
    for number in 0..9_u64 {
        let at = BEGIN + 7 * SECOND + (number * 4 % 9) * SECOND;
        assert_eq!(convert(attribution, number as i64, number % 3, at, 1, 100, 0), Outcome::Applied);
    }
    touch(attribution, 9, 9, BEGIN + 10 * MINUTE, 0, 1, 0);
    let mut runs = vec![stored.cut()];
    assert_eq!(attribution.close(0).windows.len(), 1);
    let closed = undelivered(&stored);
    assert_eq!(closed[0].postings.len(), 3);
    let interval = stored.journal.cut();
    let kinds: Vec<u8> = interval.records().map(|record| record.kind).collect();
    // It died right after the window was closed, or after some conversions were final.
    let deaths: Vec<usize> = (0..kinds.len()).filter(|at| [ORDER, CLOSING].contains(&kinds[*at])).collect();
    assert_eq!(deaths.len(), 10);
    for death in deaths {
        runs.push(stored.write_some(&interval, death + 1));
        let restored = stored.restarted(&runs, 0);
        assert_eq!(undelivered(&restored), closed, "after {death} records");
        // What was done meanwhile is durable too, so it is done once.
        let again = [runs.clone(), vec![restored.cut()]].concat();
        assert_eq!(undelivered(&restored.restarted(&again, 0)), closed, "after {death} records, again");
        runs.pop();
    }
    // Before it was closed nothing is final.
    assert_eq!(undelivered(&stored.restarted(&runs, 0)), []);
}

#[test]
fn a_link_that_was_not_finished_is_finished() {
    let stored = Stored::new(&config());
    let attribution = &stored.attribution;
    touch(attribution, 1, 1, BEGIN, 0, 1, 0);
    (8..11).for_each(|number| _ = convert(attribution, number, 2, BEGIN + SECOND, 0, 100, 0));
    let linking = attribution.link(user(2), user(1)).expect("two users");
    assert!(attribution.go_on(&linking, || false), "one conversion of three");
    let restored = stored.restarted(&[stored.cut()], 0);
    let credited = |stored: &Stored| {
        (8..11)
            .filter(|number| {
                let credits = stored.attribution.credits(order(&stored.attribution, *number), || 0);
                credits.expect("an order").posting.steps.len() == 1
            })
            .count()
    };
    assert_eq!((credited(&stored), credited(&restored)), (1, 3));
    // And is known to be.
    touch(&restored.attribution, 2, 2, BEGIN + SECOND, 0, 1, 0);
    assert_eq!(restored.attribution.info().users, 1);
}

#[test]
fn windows_have_their_numbers_until_they_are_delivered() {
    let stored = Stored::new(&config());
    for minute in 0..4 {
        touch(&stored.attribution, minute, 1, BEGIN + minute as u64 * MINUTE, 0, 1, 0);
    }
    touch(&stored.attribution, 9, 1, BEGIN + HOUR, 0, 1, 0);
    stored.attribution.close(0);
    let numbered = |sequence| ad_tally_core::windows::Numbered {
        sequence,
        partial: sequence == 2,
        node: "shop@host".into(),
        closed_at: BEGIN + HOUR,
    };
    let undelivered = stored.attribution.undelivered();
    for (place, sequence) in [(1, 1), (0, 2), (2, 3)] {
        assert!(stored.attribution.closed(&undelivered[place].window, numbered(sequence)));
        assert!(!stored.attribution.closed(&undelivered[place].window, numbered(9)));
    }
    stored.attribution.delivered(&undelivered[2].window);
    let restored = stored.restarted(&[stored.cut()], 0);
    let begins: Vec<_> = restored.attribution.undelivered().iter().map(|of| (of.begin, of.numbered.clone())).collect();
    let expected = [(BEGIN + MINUTE, Some(numbered(1))), (BEGIN, Some(numbered(2))), (BEGIN + 3 * MINUTE, None)];
    assert_eq!(begins, expected);
    assert_eq!(restored.attribution.sequence(), 3);
    // A window that is closed stays so.
    assert_eq!(touch(&restored.attribution, 20, 1, BEGIN, 0, 1, 0), Outcome::Late);
    assert_eq!(touch(&restored.attribution, 21, 1, BEGIN + HOUR, 0, 1, 0), Outcome::Applied);
}

/// By the system's time, which has gone on meanwhile.
#[test]
fn what_was_in_time_before_the_restart_is_in_time_for_as_long_as_windows_stay_open() {
    let config = Config { max_ahead: Some(MINUTE), ..config() };
    let stored = Stored::new(&config);
    let now = BEGIN + 90 * SECOND;
    touch(&stored.attribution, 1, 1, BEGIN + SECOND, 0, 1, now);
    convert(&stored.attribution, 1, 1, BEGIN + 2 * SECOND, 0, 100, now);
    let runs = [stored.cut()];
    let later = now + HOUR;
    let restored = stored.restarted(&runs, later);
    let attribution = &restored.attribution;
    assert_eq!(touch(attribution, 2, 1, BEGIN + 2 * SECOND, 0, 2, later), Outcome::Applied);
    assert_eq!(touch(attribution, 1, 1, BEGIN + SECOND, 0, 1, later), Outcome::Duplicate);
    assert_eq!(attribution.close(later + MINUTE).windows.len(), 0);
    let closed = attribution.close(later + config.lateness);
    assert_eq!(closed.windows[0].postings(0, 9)[0].steps.len(), 2);
    assert_eq!(touch(attribution, 3, 1, BEGIN + 2 * SECOND, 0, 2, later + config.lateness), Outcome::Late);
}

#[test]
fn an_adjustment_after_a_restart_is_in_the_window_that_it_would_be_in_without() {
    for max_ahead in [None, Some(MINUTE)] {
        let stored = Stored::new(&Config { max_ahead, ..config() });
        let attribution = &stored.attribution;
        let now = BEGIN + SECOND;
        touch(attribution, 1, 1, BEGIN, 0, 1, now);
        convert(attribution, 1, 1, now, 0, 100, now);
        assert_eq!(attribution.close_through(now).windows.len(), 1);
        let restored = stored.restarted(&[stored.cut()], now);
        let numbers = [&stored, &restored].map(|stored| {
            let attribution = &stored.attribution;
            assert_eq!(touch(attribution, 2, 1, BEGIN, 0, 1, now), Outcome::Late);
            let words = integer_words(1);
            _ = attribution.adjust(attribution.seed().key(&words), Change::Retract, now, || now).expect("a time");
            let open = attribution.open_windows(0, 9);
            open.iter().map(|window| (window.number, window.postings(0, 9).len())).collect::<Vec<_>>()
        });
        assert_eq!(numbers, [[(BEGIN / MINUTE + 1, 1)], [(BEGIN / MINUTE + 1, 1)]]);
    }
}
