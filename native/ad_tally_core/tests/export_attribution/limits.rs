//! Windows that are closed where a conversion comes in, and budgets that it does not fit.

use std::mem::MaybeUninit;

use ad_tally_core::KeyWriter;
use ad_tally_core::attribution::{Change, Config, Outcome, Touch};
use ad_tally_core::codec::Imported;
use ad_tally_core::key::{SHORT_KEY_WORDS, integer_words};

use super::table::{BEGIN, Click, MINUTE, Order, SECOND, Table, config, user};

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
