//! What all campaigns have together is the sum of what each has.

use ad_tally_core::key::integer_words;
use ad_tally_core::pacer::ledger::{Lease, Sums};
use ad_tally_core::pacer::message::Report;
use ad_tally_core::pacer::{Pace, Plan};
use proptest::prelude::*;

use crate::support::{BEGIN, DAY, Durable, SECOND, TODAY, daily, flight, node, seed};

const CAMPAIGNS: u64 = 4;

#[derive(Debug, Clone)]
enum Operation {
    Put { campaign: u64, budget: u64, pace: Pace, is_flight: bool },
    Delete { campaign: u64 },
    Renew { campaign: u64, node: u64, wanted: u64, spent: u64, reserved: u64, is_look: bool },
    Advance { by: u64 },
    Die,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let campaign = || 0..CAMPAIGNS;
    let budget = prop_oneof![4 => 1..1_000_000_u64, 1 => Just(1 << 62)];
    let pace = prop_oneof![Just(Pace::Asap), Just(Pace::Even)];
    prop_oneof![
        4 => (campaign(), budget, pace, any::<bool>())
            .prop_map(|(campaign, budget, pace, is_flight)| Put { campaign, budget, pace, is_flight }),
        1 => campaign().prop_map(|campaign| Delete { campaign }),
        12 => (campaign(), 1..3_u64, 0..100_000_u64, 0..200_000_u64, 0..1_000_u64, prop::bool::weighted(0.2)).prop_map(
            |(campaign, node, wanted, spent, reserved, is_look)| {
                Renew { campaign, node, wanted, spent, reserved, is_look }
            }
        ),
        3 => prop_oneof![3 => 0..60 * SECOND, 1 => 0..3 * DAY].prop_map(|by| Advance { by }),
        1 => Just(Die),
    ]
}

/// What the statuses of all campaigns add up to.
fn naive(durable: &Durable, now: u64) -> Sums {
    let mut sums = Sums::default();
    for campaign in 0..CAMPAIGNS {
        let words = integer_words(campaign as i64);
        let Some(status) = durable.ledger.status(seed().key(&words), now) else { continue };
        let money = status.money;
        sums.campaigns += 1;
        for (sum, part) in [
            (&mut sums.money.budget, money.budget),
            (&mut sums.money.target, money.target),
            (&mut sums.money.spent, money.spent),
            (&mut sums.money.overspent, money.overspent),
            (&mut sums.money.reserved, money.reserved),
            (&mut sums.money.leased, money.leased),
            (&mut sums.money.presumed, money.presumed),
        ] {
            *sum = sum.saturating_add(part);
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn sums_are_those_of_all_campaigns_whatever_is_done(operations in prop::collection::vec(operation(), 1..60)) {
        let (mut durable, mut now) = (Durable::new(Lease::Shared { nodes: 2 }), BEGIN);
        let mut spent_by = std::collections::HashMap::new();
        for operation in operations {
            match operation {
                Operation::Put { campaign, budget, pace, is_flight } => {
                    let plan = Plan { pace, ..if is_flight { flight(budget) } else { daily(budget) } };
                    durable.ledger.put(seed().key(&integer_words(campaign as i64)), plan, now).expect("a plan");
                }
                Operation::Delete { campaign } => {
                    durable.ledger.delete(seed().key(&integer_words(campaign as i64)), now).expect("there is room");
                }
                Operation::Renew { campaign, node: name, wanted, spent, reserved, is_look } => {
                    let words = integer_words(campaign as i64);
                    let period = TODAY + ((now - BEGIN) / DAY) as u32;
                    let so_far: &mut u64 = spent_by.entry((campaign, name, period)).or_default();
                    *so_far += spent;
                    let report = Report {
                        campaign: seed().key(&words).hash,
                        period,
                        granted: *so_far,
                        spent: *so_far,
                        overspent: spent / 3,
                        reserved,
                        presumed: reserved / 2,
                        wanted,
                        ..Report::default()
                    };
                    if is_look {
                        durable.ledger.look(node(name), &report, now).expect("there is room");
                    } else {
                        durable.ledger.renew(node(name), &[report], now).expect("there is room");
                    }
                }
                Operation::Advance { by } => {
                    now += by;
                    // Those that nobody reports are as of the last tick.
                    prop_assert!(durable.ledger.tick(now, || true));
                }
                Operation::Die => {
                    durable.sync();
                    durable = durable.die(now);
                }
            }
            prop_assert_eq!(durable.ledger.sums(), naive(&durable, now));
        }
    }
}
