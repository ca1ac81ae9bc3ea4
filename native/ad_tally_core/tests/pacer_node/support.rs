//! Campaigns, plans and times of these tests.

use ad_tally_core::key::integer_words;
use ad_tally_core::pacer::message::{Grant, Report};
use ad_tally_core::pacer::node::Config;
use ad_tally_core::pacer::{Node, Pace, Period, Plan};
use ad_tally_core::time::Zone;
use ad_tally_core::{HashedKey, Seed};

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;
/// When these tests begin: within a day.
pub const BEGIN: u64 = 20_000 * DAY + 10 * HOUR;

pub fn seed() -> Seed {
    Seed::new(7)
}

pub fn config() -> Config {
    Config { name: 0xabc_def0_1234, max_campaigns: 64, max_reservations: 4_096, ..Config::default() }
}

pub fn node() -> Node {
    Node::new(&config(), seed(), None).expect("a small node")
}

pub fn plan() -> Plan {
    Plan { budget: 1 << 62, period: Period::Daily, zone: Zone::fixed(0), pace: Pace::Asap, daily_max: None, price: 10 }
}

/// The key of a campaign.
pub fn words(campaign: i64) -> Vec<u64> {
    integer_words(campaign).to_vec()
}

/// Does something with the key of a campaign.
pub fn with_key<R>(campaign: i64, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
    act(seed().key(&words(campaign)))
}

pub fn hash(campaign: i64) -> u64 {
    with_key(campaign, |key| key.hash)
}

/// All reports of a node.
pub fn reports(node: &Node, now: u64) -> Vec<Report> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(next) = from {
        from = node.reports(next, 3, now, &mut all);
    }
    all
}

/// A grant of a campaign of a period by which a node may have had so much.
pub fn grant(campaign: i64, period: u64, granted: u64) -> Grant {
    Grant {
        campaign: hash(campaign),
        period: period as u32,
        until: (period + 1) * DAY,
        granted,
        keep: u64::MAX,
        pass: u64::MAX,
        plan: 1,
        ..Grant::default()
    }
}

/// A node with one campaign that has been granted so much.
pub fn funded(granted: u64) -> Node {
    let node = node();
    fund(&node, 1, granted);
    node
}

/// Has a campaign be known and have so much.
pub fn fund(node: &Node, campaign: i64, granted: u64) {
    with_key(campaign, |key| node.install(key, 1, &plan(), BEGIN)).expect("there is room");
    node.apply(&[grant(campaign, BEGIN / DAY, granted)], BEGIN);
}
