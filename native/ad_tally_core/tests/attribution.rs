//! Attribution against plain lists: whatever the order in which touches and conversions come, the credits are those of the set.
#![cfg(not(loom))]

use ad_tally_core::attribution::{
    Attribution, Change, Config, Conversion, Counting, Credits, DatedBy, Group, Model, Net, OrderCredits, Outcome,
    PARTS, PathQuery, Paths, Posting, Query, Report, Step, Sums, Touch, Unchanged, VALUES, Window,
};
use ad_tally_core::key::integer_words;
use ad_tally_core::{HashedKey, KeyRef, Seed};
use proptest::prelude::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;
const CLICK: u8 = 0;
const VIEW: u8 = 1;
const EVERY: u8 = 0;
const ONCE_PER_USER: u8 = 1;
const ONCE_PER_TOUCH: u8 = 2;

fn config() -> Config {
    Config {
        window: MINUTE,
        lateness: 5 * MINUTE,
        max_ahead: Some(10 * MINUTE),
        lookbacks: vec![HOUR, 10 * MINUTE],
        prevail: true,
        collapse: false,
        models: vec![Model::LastTouch, Model::Linear],
        actions: vec![Counting::Every, Counting::OncePerUser, Counting::OncePerTouch],
        touches_per_user: 16,
        users: 1_000,
        orders: 1_000,
        adjustable_for: 24 * HOUR,
        max_keys: 100,
    }
}

/// An attribution, and what it is told.
struct Told {
    attribution: Attribution,
    now: u64,
}

/// What a test tells.
#[derive(Debug, Clone, Copy)]
struct Click {
    id: i64,
    user: u64,
    at: u64,
    kind: u8,
    campaign: i64,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    order: i64,
    user: u64,
    at: u64,
    action: u8,
    value: i64,
}

/// A user's hash, as good as random.
fn user(user: u64) -> u64 {
    Seed::new(1).hash(ad_tally_core::key::Domain::User, &[user])
}

fn campaign(seed: &Seed, campaign: i64) -> (Vec<u64>, u64) {
    let mut words = integer_words(campaign).to_vec();
    // The header of a tuple of one.
    words[0] |= 1;
    let hash = seed.key(&words).hash;
    (words, hash)
}

impl Told {
    fn new(config: &Config) -> Self {
        let attribution = Attribution::new(config, Seed::new(7)).expect("a configuration that is right");
        Self { attribution, now: BEGIN }
    }

    fn touch(&self, touch: Click) -> Outcome {
        let Click { id, user: by, at, kind, campaign: of } = touch;
        let (words, hash) = campaign(self.attribution.seed(), of);
        let dimensions = HashedKey { hash, words: &words };
        let touch = Touch { id, user: user(by), at, kind, dimensions, cost: 10 };
        self.attribution.touch(&touch, || self.now).expect("a time")
    }

    fn convert(&self, conversion: Order) -> Outcome {
        let Order { order, user: by, at, action, value } = conversion;
        let words = integer_words(order);
        let order = self.attribution.seed().key(&words);
        let conversion = Conversion { order, user: user(by), at, action, value };
        self.attribution.convert(&conversion, || self.now).expect("a time")
    }

    fn adjust(&self, order: i64, change: Change, at: u64) -> Result<(), Unchanged> {
        let words = integer_words(order);
        self.attribution.adjust(self.attribution.seed().key(&words), change, at, || self.now).expect("a time")
    }

    fn link(&self, alias: u64, by: u64) {
        if let Some(linking) = self.attribution.link(user(alias), user(by)) {
            assert!(!self.attribution.go_on(&linking, || true));
        }
    }

    fn credits(&self, order: i64) -> Option<OrderCredits> {
        let words = integer_words(order);
        self.attribution.credits(self.attribution.seed().key(&words).hash, || self.now)
    }

    /// The touches and values that an order is credited to by a model, if it counts.
    fn values(&self, order: i64, model: Model) -> Vec<(Option<i64>, i64, i64)> {
        let credits = self.credits(order).expect("an order");
        if credits.counts { values(&credits.posting, model) } else { Vec::new() }
    }

    /// Everything that is closed at a time, with what is booked.
    fn close(&mut self, now: u64) -> Vec<Posting> {
        self.now = now;
        let mut postings = Vec::new();
        loop {
            let closed = self.attribution.close(now);
            postings.extend(closed.windows.iter().flat_map(|window| booked(window)));
            if closed.is_all {
                return postings;
            }
        }
    }

    fn report(&self, dated_by: DatedBy, model: Model) -> Vec<(Group, Sums)> {
        let query = Query { by: vec![0], by_kind: false, by_action: false, model, dated_by, from: 0, to: u64::MAX };
        let mut report = Report::new(query);
        self.attribution.open_windows(0, 1_000).iter().for_each(|window| report.read(&self.attribution, window));
        report.into_groups().collect()
    }
}

fn booked(window: &Window) -> Vec<Posting> {
    window.postings(0, usize::MAX).iter().map(|posting| (**posting).clone()).collect()
}

fn values(posting: &Posting, model: Model) -> Vec<(Option<i64>, i64, i64)> {
    let mut credits = Vec::new();
    posting.credits(model, &mut Credits::default(), |credit| {
        credits.push((credit.step.map(|step| step.id), credit.value, credit.parts));
    });
    credits
}

fn click(id: i64, user: u64, at: u64) -> Click {
    Click { id, user, at, kind: CLICK, campaign: id % 5 }
}

fn order(order: i64, user: u64, at: u64) -> Order {
    Order { order, user, at, action: EVERY, value: 100 }
}

/// The steps that are eligible of all touches of a user, newest `most` of them.
fn eligible(touches: &[Click], conversion: &Order, config: &Config) -> Vec<(u64, i64)> {
    let mut own: Vec<&Click> =
        touches.iter().filter(|touch| touch.user == conversion.user && touch.at <= conversion.at).collect();
    own.sort_by_key(|touch| (touch.at, touch.id));
    let newest = &own[own.len().saturating_sub(config.touches_per_user)..];
    let in_time = |touch: &&&Click| conversion.at - touch.at <= config.lookbacks[touch.kind as usize];
    let in_time: Vec<&Click> = newest.iter().filter(in_time).copied().collect();
    let strongest = in_time.iter().map(|touch| touch.kind).min();
    let prevails = |touch: &&Click| !config.prevail || Some(touch.kind) == strongest;
    in_time.into_iter().filter(prevails).map(|touch| (touch.at, touch.id)).collect()
}

#[derive(Debug, Clone, Copy)]
enum Fact {
    Touch(Click),
    Conversion(Order),
}

/// Facts within four minutes, which are provisional for all of that.
fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let touch = (0..3_u64, 0..4 * MINUTE / SECOND, 0..2_u8, 0..5_i64);
    let conversion = (0..3_u64, 0..4 * MINUTE / SECOND, 0..3_u8, -1_000..1_000_i64);
    let touches = prop::collection::vec(touch, 0..40);
    (touches, prop::collection::vec(conversion, 0..12)).prop_flat_map(|(touches, conversions)| {
        let touches = touches.into_iter().enumerate().map(|(id, (user, at, kind, campaign))| {
            // Some of the same time.
            Fact::Touch(Click { id: id as i64, user, at: BEGIN + at / 8 * 8 * SECOND, kind, campaign })
        });
        let conversions = conversions.into_iter().enumerate().map(|(order, (user, at, action, value))| {
            Fact::Conversion(Order { order: order as i64, user, at: BEGIN + at * SECOND, action, value })
        });
        Just(touches.chain(conversions).collect::<Vec<Fact>>()).prop_shuffle()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn credits_are_those_of_the_set_in_whatever_order_it_comes(facts in facts(), prevail in any::<bool>()) {
        // Nobody has more touches than that.
        let config = Config { prevail, touches_per_user: 40, ..config() };
        let mut told = Told::new(&config);
        let (mut touches, mut conversions) = (Vec::new(), Vec::new());
        for fact in &facts {
            match fact {
                Fact::Touch(touch) => {
                    prop_assert_eq!(told.touch(*touch), Outcome::Applied);
                    touches.push(*touch);
                }
                Fact::Conversion(conversion) => {
                    prop_assert_eq!(told.convert(*conversion), Outcome::Applied);
                    conversions.push(*conversion);
                }
            }
        }
        // The first by time and then by the order's hash is the one that counts.
        conversions.sort_by_key(|conversion| {
            let words = integer_words(conversion.order);
            (conversion.at, told.attribution.seed().key(&words).hash)
        });
        let mut claimed = Vec::new();
        let mut expected = Vec::new();
        for conversion in &conversions {
            let steps = eligible(&touches, conversion, &config);
            let last = steps.last().map(|(_at, id)| *id);
            let claim = match conversion.action {
                ONCE_PER_USER => Some((conversion.action, conversion.user, None)),
                ONCE_PER_TOUCH => last.map(|last| (conversion.action, 0, Some(last))),
                _ => None,
            };
            let counts = claim.is_none_or(|claim| !claimed.contains(&claim));
            claimed.extend(claim);
            let credits = told.credits(conversion.order).expect("an order");
            prop_assert_eq!(credits.counts, counts);
            let own: Vec<(u64, i64)> = credits.posting.steps.iter().map(|step| (step.at, step.id)).collect();
            prop_assert_eq!(&own, &steps);
            for model in [Model::LastTouch, Model::FirstTouch, Model::Linear, Model::PositionBased] {
                let values = values(&credits.posting, model);
                prop_assert_eq!(values.iter().map(|(_, value, _)| value).sum::<i64>(), conversion.value);
                prop_assert_eq!(values.iter().map(|(_, _, parts)| parts).sum::<i64>(), PARTS);
            }
            if counts {
                expected.push((conversion.at, credits.posting.steps, conversion.value));
            }
        }
        // What is booked once they are final is the same.
        let report = told.report(DatedBy::Conversion, Model::Linear);
        let value: i128 = report.iter().map(|(_, sums)| sums.value).sum();
        prop_assert_eq!(value, expected.iter().map(|(_, _, value)| i128::from(*value)).sum::<i128>());
        let touched: i128 = report.iter().map(|(_, sums)| sums.touches).sum();
        prop_assert_eq!(touched, touches.len() as i128);
        let mut booked: Vec<_> =
            told.close(BEGIN + HOUR).into_iter().map(|posting| (posting.at, posting.steps, posting.after.value)).collect();
        let by_time = |a: &(u64, Box<[Step]>, i64), b: &(u64, Box<[Step]>, i64)| (a.0, a.2).cmp(&(b.0, b.2));
        booked.sort_by(by_time);
        expected.sort_by(by_time);
        prop_assert_eq!(booked, expected);
    }
}

#[test]
fn a_touch_that_comes_after_the_conversion_changes_it_until_it_is_final() {
    let mut told = Told::new(&config());
    told.touch(click(1, 1, BEGIN));
    told.convert(order(9, 1, BEGIN + 10 * SECOND));
    assert_eq!(told.values(9, Model::LastTouch), [(Some(1), 100, PARTS)]);
    assert_eq!(told.touch(click(2, 1, BEGIN + 5 * SECOND)), Outcome::Applied);
    // Too old, and after it: neither changes it.
    assert_eq!(told.touch(Click { kind: VIEW, ..click(3, 1, BEGIN + 2 * SECOND) }), Outcome::Applied);
    assert_eq!(told.touch(click(4, 1, BEGIN + 11 * SECOND)), Outcome::Applied);
    assert_eq!(told.values(9, Model::LastTouch), [(Some(2), 100, PARTS)]);
    assert_eq!(told.credits(9).expect("an order").posting.revision, 2);
    let booked = told.close(BEGIN + MINUTE + 5 * MINUTE);
    assert_eq!(booked.len(), 1);
    assert_eq!((booked[0].before, booked[0].after), (Net::default(), Net { value: 100, counts: true }));
    assert_eq!(booked[0].order.as_ref(), integer_words(9).as_slice());
    // From now on it is late, and stays in the ring.
    assert_eq!(told.touch(click(5, 1, BEGIN + 9 * SECOND)), Outcome::Late);
    assert_eq!(told.touch(click(5, 1, BEGIN + 9 * SECOND)), Outcome::Duplicate);
    assert_eq!(told.values(9, Model::LastTouch), [(Some(2), 100, PARTS)]);
    told.convert(order(10, 1, BEGIN + 10 * MINUTE));
    assert_eq!(told.values(10, Model::LastTouch), [(Some(4), 100, PARTS)]);
    let info = told.attribution.info();
    assert_eq!((info.touches.applied, info.touches.late, info.touches.duplicate, info.excluded_cost), (4, 1, 1, 10));
    assert_eq!((info.revised, info.attributed), (1, 1));
}

#[test]
fn a_late_conversion_is_final_at_once_and_booked_in_a_window_that_is_open() {
    let mut told = Told::new(&config());
    told.touch(click(1, 1, BEGIN));
    assert_eq!(told.close(BEGIN + 10 * MINUTE), []);
    assert_eq!(told.convert(order(9, 1, BEGIN + SECOND)), Outcome::Late);
    assert_eq!(told.convert(order(9, 1, BEGIN + SECOND)), Outcome::Duplicate);
    let credits = told.credits(9).expect("an order");
    assert!(credits.is_final && credits.counts);
    assert_eq!(
        told.report(DatedBy::Conversion, Model::LastTouch).iter().map(|(_, sums)| sums.value).sum::<i128>(),
        100
    );
    let booked = told.close(BEGIN + 20 * MINUTE);
    assert_eq!(booked.iter().map(|posting| posting.at).collect::<Vec<_>>(), [BEGIN + SECOND]);
    assert_eq!(told.close(BEGIN + 30 * MINUTE), []);
}

#[test]
fn a_late_conversion_says_that_touches_too_old_for_others_may_be_missing() {
    // Both users are in one bucket, which has ten entries.
    for (others, credits) in [(9, [(Some(1), 100, PARTS)]), (10, [(None, 100, PARTS)])] {
        let mut told = Told::new(&Config { users: 2, ..config() });
        told.touch(click(1, 1, BEGIN));
        told.close(BEGIN + 2 * HOUR);
        (0..others).for_each(|id| assert_eq!(told.touch(click(id, 2, BEGIN + 2 * HOUR)), Outcome::Applied));
        assert_eq!(told.convert(order(8, 1, BEGIN + SECOND)), Outcome::Late);
        assert_eq!(told.values(8, Model::LastTouch), credits);
        assert_eq!(told.credits(8).expect("an order").posting.truncated, others == 10);
        // One that comes in time cannot have had it.
        assert_eq!(told.convert(order(9, 1, BEGIN + 2 * HOUR)), Outcome::Applied);
        assert!(!told.credits(9).expect("an order").posting.truncated);
    }
}

#[test]
fn a_conversion_is_late_before_anybody_has_closed_its_window_too_and_is_booked() {
    let mut told = Told::new(&config());
    told.now = BEGIN + 10 * MINUTE;
    assert_eq!(told.touch(click(1, 1, BEGIN)), Outcome::Late);
    assert_eq!(told.convert(order(9, 1, BEGIN + SECOND)), Outcome::Late);
    assert_eq!(told.values(9, Model::LastTouch), [(Some(1), 100, PARTS)]);
    assert_eq!(told.close(BEGIN + 20 * MINUTE).len(), 1);
}

#[test]
fn after_the_end_nothing_is_taken() {
    let mut told = Told::new(&config());
    told.convert(order(8, 1, BEGIN));
    assert!(told.attribution.stop().is_all);
    assert_eq!(told.convert(order(9, 1, BEGIN)), Outcome::Late);
    assert_eq!(told.credits(9), None);
    assert_eq!(told.adjust(8, Change::Retract, BEGIN), Err(Unchanged::Unknown));
    assert!(!told.credits(8).expect("an order").is_retracted);
    assert_eq!(told.close(BEGIN + HOUR), []);
}

#[test]
fn both_ends_of_a_lookback_belong_to_it() {
    for (back, is_in) in [(0, true), (HOUR, true), (HOUR + 1, false)] {
        let told = Told::new(&config());
        told.touch(click(1, 1, BEGIN - back));
        told.convert(order(9, 1, BEGIN));
        let expected = if is_in { Some(1) } else { None };
        assert_eq!(told.values(9, Model::LastTouch), [(expected, 100, PARTS)], "{back} ms before");
    }
}

#[test]
fn changes_are_booked_as_differences_in_the_order_of_their_times() {
    let mut told = Told::new(&config());
    for id in 1..=3 {
        told.touch(click(id, 1, BEGIN + id as u64));
    }
    told.convert(order(9, 1, BEGIN + SECOND));
    told.close(BEGIN + 10 * MINUTE);
    let at = told.now;
    assert_eq!(told.adjust(9, Change::Restate(50), at), Ok(()));
    // Older than that, and of the same time and less: they change nothing.
    assert_eq!(told.adjust(9, Change::Restate(70), at - 1), Ok(()));
    assert_eq!(told.adjust(9, Change::Restate(49), at), Ok(()));
    assert_eq!(told.attribution.info().superseded, 2);
    assert_eq!(told.adjust(9, Change::Restate(-7), at + 1), Ok(()));
    assert_eq!(told.adjust(9, Change::Retract, at + 2), Ok(()));
    assert_eq!(told.adjust(9, Change::Retract, at + 2), Err(Unchanged::Retracted));
    assert_eq!(told.adjust(9, Change::Restate(1), at + 3), Err(Unchanged::Retracted));
    assert_eq!(told.adjust(8, Change::Retract, at), Err(Unchanged::Unknown));
    assert_eq!(told.adjust(9, Change::Retract, at + HOUR), Err(Unchanged::Future));
    assert!(told.credits(9).expect("an order").is_retracted);
    let booked = told.close(at + 10 * MINUTE);
    let differences: Vec<_> = booked.iter().map(|posting| values(posting, Model::Linear)).collect();
    let id = Some;
    // 34, 33, 33 at first, to the later touch of equal remainders: 33, 33, 34.
    assert_eq!(differences[0], [(id(1), -17, 0), (id(2), -16, 0), (id(3), -17, 0)]);
    assert_eq!(differences[1].iter().map(|(_, value, _)| value).sum::<i64>(), -57);
    assert_eq!(
        differences[2].iter().map(|(_, value, parts)| (*value, *parts)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        (7, -PARTS)
    );
    assert_eq!(
        booked.iter().map(|posting| posting.adjusted_at).collect::<Vec<_>>(),
        [Some(at), Some(at + 1), Some(at + 2)]
    );
}

#[test]
fn changes_of_a_provisional_conversion_are_booked_after_it() {
    let mut told = Told::new(&config());
    told.convert(order(9, 1, BEGIN));
    assert_eq!(told.adjust(9, Change::Restate(VALUES - 1), BEGIN), Ok(()));
    assert_eq!(told.adjust(9, Change::Restate(1 - VALUES), BEGIN + 1), Ok(()));
    let booked = told.close(BEGIN + 10 * MINUTE);
    let differences: Vec<_> =
        booked.iter().map(|posting| (posting.adjusted_at, values(posting, Model::Linear)[0].1)).collect();
    assert_eq!(differences, [(None, 100), (Some(BEGIN), VALUES - 101), (Some(BEGIN + 1), (1 - VALUES) - (VALUES - 1))]);
}

#[test]
fn users_that_are_linked_are_one_and_a_forgotten_one_is_nobody() {
    let told = Told::new(&config());
    told.touch(click(1, 1, BEGIN));
    told.touch(click(2, 2, BEGIN + 1));
    told.convert(order(8, 1, BEGIN + 2));
    told.convert(order(9, 2, BEGIN + 2));
    told.link(2, 1);
    assert_eq!(told.values(8, Model::LastTouch), [(Some(2), 100, PARTS)]);
    assert_eq!(told.values(9, Model::FirstTouch), [(Some(1), 100, PARTS)]);
    told.touch(click(3, 2, BEGIN + 1));
    assert_eq!(told.values(8, Model::LastTouch), [(Some(3), 100, PARTS)]);
    told.attribution.forget(user(2));
    told.convert(order(10, 1, BEGIN + 3));
    told.convert(order(11, 2, BEGIN + 3));
    assert_eq!(told.values(10, Model::LastTouch), [(None, 100, PARTS)]);
    assert_eq!(told.values(11, Model::LastTouch), [(None, 100, PARTS)]);
    assert_eq!(told.values(8, Model::LastTouch), [(Some(3), 100, PARTS)]);
}

/// Whoever links may be killed between two steps.
#[test]
fn a_link_is_finished_before_conversions_become_final_if_nobody_else_does() {
    let mut told = Told::new(&config());
    told.touch(click(1, 1, BEGIN));
    (8..11).for_each(|number| assert_eq!(told.convert(order(number, 2, BEGIN + 1)), Outcome::Applied));
    let linking = told.attribution.link(user(2), user(1)).expect("two users");
    assert!(told.attribution.go_on(&linking, || false), "one conversion of three");
    let credited =
        |told: &Told| (8..11).filter(|number| told.values(*number, Model::LastTouch)[0].0 == Some(1)).count();
    assert_eq!(credited(&told), 1);
    drop(linking);
    assert_eq!(told.close(BEGIN + 10 * MINUTE).len(), 3);
    assert_eq!(credited(&told), 3);
    assert!(told.attribution.link(user(2), user(1)).is_none());
}

#[test]
fn of_too_many_orders_a_provisional_one_is_final_before_its_time_and_none_is_lost() {
    let mut told = Told::new(&Config { orders: 3, ..config() });
    told.touch(click(1, 1, BEGIN));
    for number in 0..10 {
        assert_eq!(told.convert(order(number, 1, BEGIN + 1)), Outcome::Applied);
    }
    let info = told.attribution.info();
    assert_eq!((info.orders, info.final_early, info.evicted_orders), (3, 7, 7));
    assert_eq!(told.adjust(0, Change::Retract, BEGIN + 2), Err(Unchanged::Unknown));
    assert_eq!(told.report(DatedBy::Touch, Model::LastTouch)[0].1.value, 1_000);
    assert_eq!(told.close(BEGIN + 10 * MINUTE).len(), 10);
}

/// The value and the parts of conversions that a report of open windows sums up to.
fn reported(told: &Told) -> (i128, i128) {
    let report = told.report(DatedBy::Conversion, Model::Linear);
    (report.iter().map(|(_, sums)| sums.value).sum(), report.iter().map(|(_, sums)| sums.parts).sum())
}

#[test]
fn a_report_has_conversions_that_were_final_early_once() {
    let mut told = Told::new(&config());
    told.touch(click(1, 1, BEGIN));
    for number in 0..300 {
        told.convert(order(number, 1, BEGIN + number as u64));
        told.adjust(number, Change::Restate(101), BEGIN + SECOND).expect("an order");
    }
    assert_eq!(told.attribution.info().final_early, 45);
    assert_eq!(reported(&told), (300 * 101, 300 * i128::from(PARTS)));
    let closed = told.close(BEGIN + 10 * MINUTE);
    assert_eq!(closed.iter().flat_map(|posting| values(posting, Model::Linear)).map(|of| of.1).sum::<i64>(), 300 * 101);
}

/// An order that is not known any more is another one when it comes again.
#[test]
fn an_order_that_was_forgotten_and_comes_again_is_booked_once_more_and_with_its_own_window() {
    for again in [BEGIN + 1, BEGIN + MINUTE] {
        let mut told = Told::new(&Config { orders: 1, ..config() });
        for (number, at) in [(1, BEGIN), (2, BEGIN), (1, again)] {
            assert_eq!(told.convert(order(number, 1, at)), Outcome::Applied);
        }
        assert_eq!(reported(&told), (300, 3 * i128::from(PARTS)));
        let first = told.close(BEGIN + 6 * MINUTE);
        assert_eq!(told.credits(1).expect("an order").is_final, again < BEGIN + MINUTE);
        assert_eq!(first.len() + told.close(BEGIN + 7 * MINUTE).len(), 3);
    }
}

#[test]
fn an_order_that_may_not_be_adjusted_any_more_is_unknown() {
    let mut told = Told::new(&Config { adjustable_for: HOUR, ..config() });
    told.convert(order(9, 1, BEGIN));
    told.close(BEGIN + HOUR);
    assert_eq!(told.adjust(9, Change::Restate(1), BEGIN + HOUR), Ok(()));
    told.now += 1;
    assert_eq!(told.adjust(9, Change::Restate(2), BEGIN + HOUR + 1), Err(Unchanged::Unknown));
    assert_eq!(told.credits(9), None);
    told.close(BEGIN + HOUR + 1);
    assert_eq!(told.attribution.info().orders, 0);
}

#[test]
fn a_path_that_was_cut_says_so() {
    let told = Told::new(&Config { touches_per_user: 2, ..config() });
    for id in 1..=3 {
        told.touch(click(id, 1, BEGIN + id as u64));
    }
    told.convert(order(8, 1, BEGIN + 1 + HOUR / 60));
    assert!(told.credits(8).expect("an order").posting.truncated);
    assert_eq!(told.attribution.info().evicted_touches, 1);
}

#[test]
fn touches_of_too_many_dimensions_are_spent_and_credited_without_any_in_whatever_window() {
    let told = Told::new(&Config { max_keys: 1, ..config() });
    told.touch(click(1, 1, BEGIN));
    told.touch(click(2, 1, BEGIN + MINUTE));
    told.convert(order(8, 1, BEGIN + 2 * MINUTE));
    let mut report: Vec<_> = told
        .report(DatedBy::Conversion, Model::LastTouch)
        .into_iter()
        .map(|(group, sums)| (group.dimensions.is_some(), sums.value, sums.touches, sums.cost))
        .collect();
    report.sort_unstable();
    assert_eq!(report, [(false, 100, 1, 10), (true, 0, 1, 10)]);
}

/// Paths of campaigns, with conversions, value, and users who did not convert.
fn paths(told: &Told) -> Vec<(String, i128, i128, u64)> {
    let mut paths = Paths::new(PathQuery { by: vec![0], from: 0, to: u64::MAX });
    told.attribution.open_windows(0, 100).iter().for_each(|window| paths.read(&told.attribution, window));
    while paths.read_users(&told.attribution) {}
    let shown = |touch: KeyRef<'_>| match touch.words() {
        [0] => "none".to_owned(),
        _ => format!("{:?}", touch.elements().collect::<Vec<_>>()),
    };
    let mut all: Vec<_> = paths
        .into_paths()
        .map(|(words, led)| {
            let touches: Vec<String> = Paths::touches(&words).map(shown).collect();
            (touches.join(" "), led.conversions, led.value, led.none)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn paths_have_touches_without_dimensions_and_no_conversions_without_touches() {
    let told = Told::new(&Config { max_keys: 1, ..config() });
    for (id, by) in [(1, 1), (2, 1), (3, 1), (6, 1), (2, 2), (3, 2)] {
        told.touch(click(id, by, BEGIN + id as u64));
    }
    told.convert(order(8, 1, BEGIN + SECOND));
    told.convert(order(9, 7, BEGIN + SECOND));
    let expected = [("[Integer(1)] none none [Integer(1)]".to_owned(), 1, 100, 0), ("none none".to_owned(), 0, 0, 1)];
    assert_eq!(paths(&told), expected);
}

#[test]
fn paths_tell_what_led_to_conversions_and_what_did_not() {
    let told = Told::new(&config());
    for (id, by) in [(1, 1), (2, 1), (1 + 5, 2), (2 + 5, 2), (3, 3)] {
        told.touch(click(id, by, BEGIN + id as u64));
    }
    told.convert(order(8, 1, BEGIN + SECOND));
    told.convert(order(9, 2, BEGIN + SECOND));
    told.adjust(9, Change::Retract, BEGIN + SECOND).expect("an order");
    let expected = [("[Integer(1)] [Integer(2)]".to_owned(), 1, 100, 0), ("[Integer(3)]".to_owned(), 0, 0, 1)];
    assert_eq!(paths(&told), expected);
}

/// Nothing is lost or credited twice by threads that touch, convert, link and close at once.
#[test]
fn threads_that_tell_at_once_leave_every_value_whole() {
    const ORDERS: i64 = 20_000;
    let config = Config { max_ahead: None, lateness: MINUTE, orders: 100_000, users: 10_000, ..config() };
    let told = Told::new(&config);
    let closed: std::sync::Mutex<Vec<Posting>> = std::sync::Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let told = &told;
            scope.spawn(move || {
                for number in 0..ORDERS {
                    let at = BEGIN + number as u64 * 20;
                    let id = 2 * number + thread;
                    told.touch(click(id, id as u64 % 97, at));
                    if number % 3 == 0 {
                        told.convert(Order { action: EVERY, ..order(id, id as u64 % 97, at) });
                    }
                    if number % 1_000 == 0 {
                        told.link(id as u64 % 97, (id as u64 + 1) % 97);
                    }
                }
            });
        }
        let (told, closed) = (&told, &closed);
        scope.spawn(move || {
            for _ in 0..200 {
                closed
                    .lock()
                    .expect("nobody panics")
                    .extend(told.attribution.close(0).windows.iter().flat_map(|window| booked(window)));
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
    });
    let mut all = closed.into_inner().expect("nobody panics");
    loop {
        let closed = told.attribution.stop();
        all.extend(closed.windows.iter().flat_map(|window| booked(window)));
        if closed.is_all {
            break;
        }
    }
    let info = told.attribution.info();
    let taken = info.conversions.applied + info.conversions.late;
    assert_eq!(all.len() as u64, taken);
    assert_eq!(taken, 2 * (ORDERS as u64).div_ceil(3));
    let mut orders: Vec<_> = all.iter().map(|posting| posting.order.clone()).collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len() as u64, taken);
    for posting in &all {
        assert_eq!(values(posting, Model::Linear).iter().map(|(_, value, _)| value).sum::<i64>(), 100);
    }
}
