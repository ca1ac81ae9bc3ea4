//! Windows that are closed where a conversion comes in, and budgets that it does not fit.

use std::mem::MaybeUninit;

use ad_tally_core::attribution::{Attribution, Change, Config, Conversion, Counting, Names, Outcome, Touch};
use ad_tally_core::codec::{Frame, Imported};
use ad_tally_core::key::{SHORT_KEY_WORDS, integer_words};
use ad_tally_core::{KeyWriter, Seed};

use super::table::{Atoms, BEGIN, Click, HOUR, MINUTE, Order, SECOND, Table, config, names, user};

/// What one table takes for provisional is, where its time has passed, final in another one, which books it.
#[test]
fn a_conversion_whose_window_is_closed_is_final_and_booked() {
    let (one, other) = (Table::new(&config()), Table::new(&config()));
    one.touch(&Click { id: 1, user: 1, at: BEGIN, kind: 0, campaign: 3 });
    one.convert(&Order { order: 1, user: 1, at: BEGIN + SECOND, action: 0, value: 100 });
    let frames = one.frames();
    other.now.set(BEGIN + 10 * MINUTE);
    other.close();
    other.import_all(&frames);
    let credits = other.credits(2)[1].clone().expect("an order");
    assert!(credits.starts_with("(true, false, true)"), "{credits}");
    assert_eq!(other.stop(), one.stop());
    // One whose clock is behind takes none that it would have to keep a window open for.
    let behind = Table::new(&config());
    behind.now.set(BEGIN - 11 * MINUTE);
    assert_eq!(behind.import(&frames[0]), Ok(Imported::Rows { rows: 2, overflow: 1 }));
    assert_eq!((behind.credits(2), behind.attribution.info().open_windows), (vec![None, None], 0));
    // One that was stopped takes none that it would have to book.
    let stopped = Table::new(&config());
    stopped.stop();
    assert_eq!(stopped.import(&frames[0]), Ok(Imported::Rows { rows: 2, overflow: 1 }));
    assert_eq!(stopped.credits(2), [None, None]);
}

#[test]
fn a_final_conversion_is_booked_once_and_can_be_adjusted() {
    let (one, other) = (Table::new(&config()), Table::new(&config()));
    one.touch(&Click { id: 1, user: 1, at: BEGIN, kind: 0, campaign: 3 });
    one.convert(&Order { order: 1, user: 1, at: BEGIN + SECOND, action: 1, value: 100 });
    one.now.set(BEGIN + 10 * MINUTE);
    one.close();
    other.now.set(BEGIN + 10 * MINUTE);
    other.import_all(&one.frames());
    assert_eq!(
        other.convert(&Order { order: 1, user: 1, at: BEGIN + SECOND, action: 1, value: 100 }),
        Outcome::Duplicate
    );
    // The user has converted, by the mark that came along.
    assert_eq!(
        other.convert(&Order { order: 2, user: 1, at: BEGIN + 9 * MINUTE, action: 1, value: 5 }),
        Outcome::Applied
    );
    assert_eq!(other.adjust(1, Change::Restate(30), BEGIN + 9 * MINUTE), Ok(()));
    let booked = other.stop();
    assert_eq!(booked.len(), 1, "{booked:?}");
    assert!(booked[0].contains("Net { value: 100, counts: true }, Net { value: 30, counts: true }"), "{booked:?}");
}

#[test]
fn dimensions_and_orders_beyond_the_budget_are_counted() {
    let one = Table::new(&config());
    for id in 0..10 {
        one.touch(&Click { id, user: id as u64, at: BEGIN, kind: 0, campaign: id * 3 });
        one.convert(&Order { order: id, user: 100, at: BEGIN, action: 0, value: 1 });
    }
    let other = Table::new(&Config { max_keys: 4, orders: 5, ..config() });
    assert_eq!(other.import(&one.frames()[0]), Ok(Imported::Rows { rows: 21, overflow: 6 }));
    let info = other.attribution.info();
    assert_eq!((info.orders, info.evicted_orders, info.dimensions), (5, 5, 4));
    // Those that were used last stay.
    assert_eq!(
        other.credits(10).iter().map(Option::is_some).collect::<Vec<_>>(),
        [vec![false; 5], vec![true; 5]].concat()
    );
}

/// Keys of 65,536 bytes: a user takes several rows, and some of them a frame.
#[test]
fn users_of_many_large_dimensions_take_several_frames() {
    let (one, other) = (Table::new(&config()), Table::new(&config()));
    let (most, seed) = (16_u8, one.attribution.seed());
    for id in 0..most {
        let mut room = vec![MaybeUninit::uninit(); 2 * SHORT_KEY_WORDS + (1 << 16) / 8];
        let mut key = KeyWriter::tuple(&mut room, 1).expect("an arity");
        key.bytes(&vec![id; 1 << 16]).expect("bytes");
        let dimensions = seed.key(key.finish());
        let touch = Touch { id: id.into(), user: user(1), at: BEGIN, kind: 0, dimensions, cost: 0 };
        assert_eq!(one.attribution.touch(&touch, || BEGIN), Ok(Outcome::Applied));
    }
    one.convert(&Order { order: 1, user: 1, at: BEGIN + SECOND, action: 0, value: 100 });
    let frames = one.frames();
    assert!(frames.len() > 1, "{} frames", frames.len());
    other.import_all(&frames);
    let order = Order { order: 2, user: 1, at: BEGIN + SECOND, action: 0, value: 100 };
    [&one, &other].iter().for_each(|table| assert_eq!(table.convert(&order), Outcome::Applied));
    assert_eq!(other.credits(3)[2], one.credits(3)[2], "all of them");
    let steps = |table: &Table| {
        let order = table.attribution.seed().key(&integer_words(1)).hash;
        let steps = table.attribution.credits(order, || BEGIN).expect("an order").posting.steps;
        (steps.len(), steps.iter().filter(|step| step.dimensions > 0).count())
    };
    assert_eq!((steps(&one), steps(&other)), ((16, 16), (16, 11)), "a path's own are bounded");
}

/// As many as a user may have, in one row with the largest dimensions, under the longest names: it has room in a frame.
#[test]
fn a_user_of_many_marks_leaves_as_a_whole() {
    const TOUCHES: i64 = 255;
    // Of more touches go first.
    const MARKED_ACTIONS: i64 = 8;
    let now = BEGIN + TOUCHES as u64 * MINUTE;
    let actions = vec![Counting::OncePerTouch; 64];
    let config = Config { actions, touches_per_user: 255, orders: 64, lateness: 24 * HOUR, ..config() };
    let actions = (10..74).map(|action| format!("{action}{}", "\u{10ffff}".repeat(253))).collect();
    let names = Names { dimensions: 8, actions, ..names() };
    let [one, other] = [(); 2].map(|()| Attribution::new(&config, Seed::new(7)).expect("a table"));
    let mut room = vec![MaybeUninit::uninit(); 2 * SHORT_KEY_WORDS + (8 << 16) / 8];
    let mut key = KeyWriter::tuple(&mut room, 8).expect("an arity");
    (0..8).for_each(|_| key.bytes(&[7; 1 << 16]).expect("bytes"));
    let dimensions = one.seed().key(key.finish());
    for id in 0..TOUCHES {
        let at = BEGIN + id as u64 * MINUTE;
        let touch = Touch { id, user: user(1), at, kind: 0, dimensions, cost: 0 };
        assert_eq!(one.touch(&touch, || now), Ok(Outcome::Applied));
        for action in 0..MARKED_ACTIONS {
            let words = integer_words(id * MARKED_ACTIONS + action);
            let order = one.seed().key(&words);
            let conversion = Conversion { order, user: user(1), at, action: action as u8, value: 1 };
            assert_eq!(one.convert(&conversion, || now), Ok(Outcome::Applied));
        }
        while !one.close_through(at).is_all {}
    }
    let mut export = one.frames(&names);
    while let Some(bytes) = export.next_frame(&one, &Atoms::default()) {
        let frame = Frame::read(&bytes).expect("a frame");
        let imported = other.import_frame(&other.settings(&names), &frame, &mut Atoms::default(), || now);
        assert!(matches!(imported, Ok(Imported::Rows { overflow: 0, .. })), "{imported:?}");
    }
    // Marks come along: of a touch and action that have one another conversion does not count.
    for number in 0..TOUCHES * MARKED_ACTIONS {
        let words = integer_words(-1 - number);
        let (order, action) = (one.seed().key(&words), (number % MARKED_ACTIONS) as u8);
        let at = BEGIN + (number / MARKED_ACTIONS) as u64 * MINUTE;
        let conversion = Conversion { order, user: user(1), at, action, value: 1 };
        for table in [&one, &other] {
            table.convert(&conversion, || now).expect("a time");
            assert!(!table.credits(order.hash, || now).expect("an order").counts, "{number}");
        }
    }
}
