//! Attribution, out as frames and in again: two tables that were told one half each are, united, one that was told all.
#![cfg(not(loom))]

#[path = "../support/at_end.rs"]
mod at_end;
mod limits;
mod refusals;
mod table;
mod threads;

use ad_tally_core::attribution::{Change, Config};
use proptest::prelude::*;

use self::table::{BEGIN, Click, MINUTE, Order, SECOND, Shown, Table, config, user};

/// Touches within four minutes, of users and of their aliases, and which of two tables are told.
fn touches() -> impl Strategy<Value = Vec<(Click, u8)>> {
    let touch = (0..6_u64, 0..4 * MINUTE / SECOND, 0..2_u8, 0..7_i64, 1..4_u8);
    prop::collection::vec(touch, 0..60).prop_map(|touches| {
        let touches = touches.into_iter().enumerate();
        let click = |(id, (user, at, kind, campaign, tables))| {
            (Click { id: id as i64, user, at: BEGIN + at / 8 * 8 * SECOND, kind, campaign }, tables)
        };
        touches.map(click).collect()
    })
}

fn conversions() -> impl Strategy<Value = Vec<Order>> {
    let conversion = (0..6_u64, 0..4 * MINUTE / SECOND, 0..3_u8, -1_000..1_000_i64);
    prop::collection::vec(conversion, 1..12).prop_map(|conversions| {
        let conversions = conversions.into_iter().enumerate();
        let order = |(order, (user, at, action, value))| Order {
            order: order as i64,
            user,
            at: BEGIN + at * SECOND,
            action,
            value,
        };
        conversions.map(order).collect()
    })
}

/// What a table may be told.
#[derive(Debug, Clone)]
enum Act {
    Touch(Click),
    Convert(Order),
    Restate(i64, i64, u64),
    Retract(i64, u64),
    Link(u64),
    Forget(u64),
    Pass(u64),
}

const ORDERS: i64 = 20;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let offset = 0..6 * MINUTE / SECOND;
    // A touch that comes again is the same.
    let touch = (0..40_i64, 0..6_u64).prop_map(|(id, user)| {
        let at = BEGIN + id as u64 * 97 % 360 * SECOND;
        Act::Touch(Click { id, user, at, kind: (id % 2) as u8, campaign: id % 7 })
    });
    let convert =
        (0..ORDERS, 0..6_u64, offset.clone(), 0..3_u8, -100..100_i64).prop_map(|(order, user, at, action, value)| {
            Act::Convert(Order { order, user, at: BEGIN + at * SECOND, action, value })
        });
    let act = prop_oneof![
        10 => touch,
        5 => convert,
        2 => (0..ORDERS, -100..100_i64, offset.clone()).prop_map(|(order, value, at)| Act::Restate(order, value, BEGIN + at * SECOND)),
        1 => (0..ORDERS, offset).prop_map(|(order, at)| Act::Retract(order, BEGIN + at * SECOND)),
        1 => (0..3_u64).prop_map(Act::Link),
        1 => (0..6_u64).prop_map(Act::Forget),
        1 => (0..4 * MINUTE).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 0..80)
}

impl Table {
    /// What it answers. Windows whose time has passed are closed, since no export says which of those are not yet.
    fn act(&self, act: &Act) -> String {
        let answer = match act {
            Act::Touch(touch) => format!("{:?}", self.touch(touch)),
            Act::Convert(conversion) => format!("{:?}", self.convert(conversion)),
            Act::Restate(order, value, at) => format!("{:?}", self.adjust(*order, Change::Restate(*value), *at)),
            Act::Retract(order, at) => format!("{:?}", self.adjust(*order, Change::Retract, *at)),
            Act::Link(of) => format!("{:?}", self.link(of + 3, *of)),
            Act::Forget(of) => format!("{:?}", self.attribution.forget(user(*of))),
            Act::Pass(time) => {
                self.now.set(self.now.get() + time);
                String::new()
            }
        };
        self.close();
        answer
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whichever table was told of a touch or a link, or both were.
    #[test]
    fn two_halves_are_one_that_was_told_all(
        touches in touches(),
        links in prop::collection::vec((0..3_u64, 1..4_u8), 0..4),
        conversions in conversions(),
        touches_per_user in prop_oneof![Just(3_usize), Just(40)],
        prevail in any::<bool>(),
        is_turned in any::<bool>(),
    ) {
        let config = Config { touches_per_user, prevail, ..config() };
        let [one, other, third, all] = [(); 4].map(|()| Table::new(&config));
        let tables = |which: u8| [(&one, 1), (&other, 2)].into_iter().filter(move |(_, bit)| which & bit != 0);
        for (touch, which) in &touches {
            all.touch(touch);
            tables(*which).for_each(|(table, _)| { table.touch(touch); });
        }
        for (of, which) in links {
            all.link(of + 3, of);
            tables(which).for_each(|(table, _)| table.link(of + 3, of));
        }
        let mut frames = [one.frames(), other.frames()].concat();
        if is_turned {
            frames.reverse();
        }
        third.import_all(&frames);
        for conversion in &conversions {
            prop_assert_eq!(third.convert(conversion), all.convert(conversion));
        }
        let orders = conversions.len() as i64;
        prop_assert_eq!(third.credits(orders), all.credits(orders));
        prop_assert_eq!(third.stop(), all.stop());
    }

    /// One table's touches come after the other's conversions.
    #[test]
    fn touches_that_are_imported_change_provisional_conversions(
        touches in touches(),
        conversions in conversions(),
    ) {
        // Nobody has more touches than that.
        let config = Config { touches_per_user: 60, ..config() };
        let [one, other, all] = [(); 3].map(|()| Table::new(&config));
        for (touch, which) in &touches {
            all.touch(touch);
            let table = if which & 1 == 1 { &one } else { &other };
            table.touch(touch);
        }
        for conversion in &conversions {
            all.convert(conversion);
            one.convert(conversion);
        }
        one.import_all(&other.frames());
        // How often it was revised depends on the order.
        let without_revision = |credits: Vec<Option<Shown>>| -> Vec<Option<String>> {
            credits.into_iter().map(|credits| Some(credits?.rsplit_once(", ")?.0.to_owned())).collect()
        };
        let orders = conversions.len() as i64;
        prop_assert_eq!(without_revision(one.credits(orders)), without_revision(all.credits(orders)));
    }

    #[test]
    fn a_table_answers_as_the_one_whose_frames_it_took(
        before in acts(),
        after in acts(),
        touches_per_user in prop_oneof![Just(3_usize), Just(16)],
        max_ahead in prop_oneof![Just(None), Just(Some(10 * MINUTE))],
        collapse in any::<bool>(),
    ) {
        let config = Config { touches_per_user, max_ahead, collapse, ..config() };
        let (one, other) = (Table::new(&config), Table::new(&config));
        before.iter().for_each(|act| drop(one.act(act)));
        one.booked.take();
        let booked = one.booked_open();
        other.now.set(one.now.get());
        other.import_all(&one.frames());
        prop_assert_eq!(other.credits(ORDERS), one.credits(ORDERS));
        for act in &after {
            prop_assert_eq!(other.act(act), one.act(act), "{:?}", act);
        }
        prop_assert_eq!(other.credits(ORDERS), one.credits(ORDERS));
        let mut expected = one.stop();
        for posting in booked {
            let at = expected.iter().position(|other| *other == posting).expect("it is still booked");
            expected.remove(at);
        }
        prop_assert_eq!(other.stop(), expected);
    }
}
