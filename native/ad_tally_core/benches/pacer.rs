//! A pacer's node: requests that reserve and confirm, and those that are denied.
//!
//! ```text
//! reserve_confirm     a request that gets money, and its price: 10,000 campaigns in no order, one hot one on one and two threads
//! paced, no_budget    requests that are denied, of 10,000 campaigns
//! open                one of a list of candidates
//! ```

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use ad_tally_core::key::integer_words;
use ad_tally_core::pacer::message::Grant;
use ad_tally_core::pacer::node::{Config, Confirmed, Reserved};
use ad_tally_core::pacer::{Node, Pace, Period, Plan};
use ad_tally_core::time::Zone;
use ad_tally_core::{HashedKey, Seed};
use criterion::{Criterion, Throughput};

mod support;
use support::{mixed, time};

const CAMPAIGNS: u64 = 10_000;
/// Requests of one iteration, so that starting threads costs next to nothing.
const REQUESTS: u64 = 10_000;
const NOW: u64 = 1_700_000_000_000;

struct Bench {
    node: Node,
    keys: Vec<Vec<u64>>,
    hashes: Vec<u64>,
    next: AtomicU64,
}

impl Bench {
    /// Campaigns with so much money, that take part in requests below `pass`.
    fn new(campaigns: u64, granted: u64, pass: u64) -> Self {
        // Full of what is settled, as a busy one is: what expired a while ago makes room.
        let config = Config { max_reservations: 1 << 20, remember: 0, ..Config::default() };
        let node = Node::new(&config, Seed::new(1), None).expect("there is room");
        let plan = Plan {
            budget: 1 << 62,
            period: Period::Lifetime,
            zone: Zone::fixed(0),
            pace: Pace::Asap,
            daily_max: None,
            price: 1_000,
        };
        let keys: Vec<Vec<u64>> =
            (0..campaigns).map(|campaign| integer_words(mixed(campaign, 1) as i64).to_vec()).collect();
        let mut hashes = Vec::new();
        for key in &keys {
            let key = node.seed().key(key);
            node.install(key, 1, &plan, NOW).expect("there is room");
            let grant = Grant { campaign: key.hash, granted, pass, keep: u64::MAX, plan: 1, ..Grant::default() };
            node.apply(&[grant], NOW);
            hashes.push(key.hash);
        }
        // As its server does each second.
        node.reports(0, usize::MAX, NOW, &mut Vec::new());
        Self { node, keys, hashes, next: AtomicU64::new(0) }
    }

    fn key(&self, campaign: u64) -> HashedKey<'_> {
        let at = campaign as usize;
        HashedKey { hash: self.hashes[at], words: &self.keys[at] }
    }

    /// Numbers that no other iteration has, and how late it is by then.
    fn requests(&self) -> (u64, u64) {
        let begin = self.next.fetch_add(REQUESTS, Relaxed);
        // A second is over after 100,000 requests.
        (begin, NOW + begin / 100)
    }

    fn reserve_and_confirm(&self, campaigns: u64) {
        let (begin, now) = self.requests();
        for number in begin..begin + REQUESTS {
            let campaign = self.key(mixed(number, 2) % campaigns);
            let reserved = self.node.reserve(campaign, mixed(number, 3), 1_000, now, 1_000, || now);
            let Reserved::Reserved(token) = reserved else { panic!("{reserved:?}") };
            assert_eq!(self.node.confirm(&token, 1_000, now), Confirmed::Confirmed);
        }
        // As its server does.
        self.node.sweep(now, || true);
    }

    fn denied(&self, expected: Reserved) {
        let (begin, now) = self.requests();
        for number in begin..begin + REQUESTS {
            let campaign = self.key(mixed(number, 2) % CAMPAIGNS);
            let reserved = self.node.reserve(campaign, mixed(number, 3), 1_000, now, 1_000, || now);
            assert_eq!(reserved, expected);
        }
    }

    fn open(&self) {
        let (begin, now) = self.requests();
        for number in begin..begin + REQUESTS {
            let campaign = self.key(mixed(number, 2) % CAMPAIGNS);
            black_box(self.node.is_open(campaign, mixed(number, 3), now));
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("pacer");
    let mut bench = |name: &str, threads: usize, once: &(dyn Fn() + Sync)| {
        group.throughput(Throughput::Elements(REQUESTS * threads as u64));
        group.bench_function(name, |bencher| bencher.iter_custom(|iterations| time(threads, iterations, once)));
    };
    let rich = Bench::new(CAMPAIGNS, 1 << 50, u64::MAX);
    bench("reserve_confirm", 1, &|| rich.reserve_and_confirm(CAMPAIGNS));
    bench("reserve_confirm_two_threads", 2, &|| rich.reserve_and_confirm(CAMPAIGNS));
    let hot = Bench::new(1, 1 << 62, u64::MAX);
    bench("reserve_confirm_hot", 1, &|| hot.reserve_and_confirm(1));
    bench("reserve_confirm_hot_two_threads", 2, &|| hot.reserve_and_confirm(1));
    let paced = Bench::new(CAMPAIGNS, 1 << 50, 1);
    bench("paced", 1, &|| paced.denied(Reserved::Paced));
    let poor = Bench::new(CAMPAIGNS, 1, u64::MAX);
    bench("no_budget", 1, &|| poor.denied(Reserved::NoBudget));
    bench("open", 1, &|| rich.open());
    group.finish();
}
