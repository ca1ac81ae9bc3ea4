//! Reports and grants that are lost, come twice, late and in another order, and a coordinator that dies meanwhile: what
//! nodes have together is never more than the budget.

use std::collections::HashMap;

use ad_tally_core::pacer::Plan;
use ad_tally_core::pacer::ledger::Lease;
use ad_tally_core::pacer::message::{Grant, NodeRef, Report};
use proptest::prelude::*;

use crate::support::{BEGIN, DAY, Durable, MINUTE, TODAY, daily, flight, key, report};

const NODES: usize = 3;

/// What a node really has of a day, whatever anybody believes.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    granted: u64,
    spent: u64,
    returned: u64,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A node spends part of what it has, in hundredths.
    Spend { node: usize, part: u64 },
    /// A node gives part of it back.
    Return { node: usize, part: u64 },
    /// A node starts anew, without a store.
    Restart { node: usize },
    /// A node reports: the message is on its way.
    Report { node: usize, wanted: u64 },
    /// One of the reports on their way arrives, and stays for another time or not; the coordinator syncs before it answers.
    Arrive { which: usize, again: bool },
    /// The coordinator answers a report, and dies before it has synced.
    Die { which: usize },
    /// One of the answers arrives.
    Grant { which: usize, again: bool },
    /// Time goes on.
    Wait { minutes: u64 },
    /// The budget becomes another one.
    Edit { budget: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (node, part) = (0..NODES, 1..=100_u64);
    prop_oneof![
        4 => (node.clone(), part.clone()).prop_map(|(node, part)| Step::Spend { node, part }),
        1 => (node.clone(), part).prop_map(|(node, part)| Step::Return { node, part }),
        1 => node.clone().prop_map(|node| Step::Restart { node }),
        6 => (node, 0..60_000_u64).prop_map(|(node, wanted)| Step::Report { node, wanted }),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, again)| Step::Arrive { which, again }),
        1 => any::<usize>().prop_map(|which| Step::Die { which }),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, again)| Step::Grant { which, again }),
        1 => (1..600_u64).prop_map(|minutes| Step::Wait { minutes }),
        1 => (1..200_000_u64).prop_map(|budget| Step::Edit { budget }),
    ]
}

struct World {
    durable: Durable,
    is_flight: bool,
    now: u64,
    budget: u64,
    nodes: [NodeRef; NODES],
    held: HashMap<(NodeRef, u32), Held>,
    reports: Vec<(NodeRef, Report)>,
    grants: Vec<(NodeRef, Grant)>,
    /// What nodes may have together of each day, and of all, because it was out when the budget became smaller.
    allowed: HashMap<u32, u64>,
    allowed_in_all: u64,
}

impl World {
    fn new(is_flight: bool) -> Self {
        let mut durable = Durable::new(Lease::Shared { nodes: NODES as u32 });
        durable.ledger.put(key(), Self::plan(is_flight, 100_000), BEGIN).expect("a plan");
        durable.sync();
        Self {
            durable,
            is_flight,
            now: BEGIN,
            budget: 100_000,
            nodes: std::array::from_fn(|name| NodeRef { name: name as u64, incarnation: 1 }),
            held: HashMap::new(),
            reports: Vec::new(),
            grants: Vec::new(),
            allowed: HashMap::new(),
            allowed_in_all: 0,
        }
    }

    fn plan(is_flight: bool, budget: u64) -> Plan {
        if is_flight { flight(budget) } else { daily(budget) }
    }

    fn day(&self) -> u32 {
        TODAY + ((self.now - BEGIN) / DAY) as u32
    }

    /// What is out as an outsider sees it: answers that were sent count, whether they have arrived or not.
    fn out(&self, of: impl Fn(u32) -> bool) -> u64 {
        let mut granted: HashMap<(NodeRef, u32), u64> = HashMap::new();
        for (key, held) in &self.held {
            granted.insert(*key, held.granted);
        }
        for (node, grant) in &self.grants {
            let own = granted.entry((*node, grant.period)).or_default();
            *own = grant.granted.max(*own);
        }
        let returned = |key: &(NodeRef, u32)| self.held.get(key).map_or(0, |held| held.returned);
        granted.iter().filter(|((_, period), _)| of(*period)).map(|(key, granted)| granted - returned(key)).sum()
    }

    fn check(&self) {
        let (in_all, allowed) = (self.out(|_| true), self.budget.max(self.allowed_in_all));
        assert!(!self.is_flight || in_all <= allowed, "{in_all} of {allowed}");
        for day in TODAY..=self.day() {
            let out = self.out(|period| period == day);
            let allowed = self.budget.max(self.allowed.get(&day).copied().unwrap_or(0));
            assert!(out <= allowed, "{out} of {allowed} on day {}", day - TODAY);
        }
    }

    fn step(&mut self, step: &Step) {
        let day = self.day();
        match *step {
            Step::Spend { node, part } => {
                let held = self.held.entry((self.nodes[node], day)).or_default();
                held.spent += (held.granted - held.spent - held.returned) * part / 100;
            }
            Step::Return { node, part } => {
                let held = self.held.entry((self.nodes[node], day)).or_default();
                held.returned += (held.granted - held.spent - held.returned) * part / 100;
            }
            Step::Restart { node } => self.nodes[node].incarnation += 1,
            Step::Report { node, wanted } => {
                for (period, wanted) in [(day, wanted), (day - 1, 0)] {
                    let held = self.held.get(&(self.nodes[node], period)).copied().unwrap_or_default();
                    let Held { granted, spent, returned } = held;
                    let confirms = spent / 1_000;
                    let report = Report { period, spent, returned, confirms, ..report(granted, wanted) };
                    self.reports.push((self.nodes[node], report));
                }
            }
            Step::Arrive { which, again } => {
                if let Some((node, report)) = take(&mut self.reports, which, again) {
                    let grants = self.durable.ledger.renew(node, &[report], self.now).expect("room");
                    self.durable.sync();
                    self.grants.extend(grants.into_iter().map(|grant| (node, grant)));
                }
            }
            Step::Die { which } => {
                if let Some((node, report)) = take(&mut self.reports, which, false) {
                    self.durable.ledger.renew(node, &[report], self.now).expect("room");
                }
                let other = World::new(self.is_flight).durable;
                self.durable = std::mem::replace(&mut self.durable, other).die(self.now);
            }
            Step::Grant { which, again } => {
                if let Some((node, grant)) = take(&mut self.grants, which, again) {
                    let held = self.held.entry((node, grant.period)).or_default();
                    held.granted = held.granted.max(grant.granted);
                }
            }
            Step::Wait { minutes } => {
                self.now += minutes * MINUTE;
                assert!(self.durable.ledger.tick(self.now, || true));
            }
            Step::Edit { budget } => {
                for day in TODAY..=self.day() {
                    let out = self.out(|period| period == day);
                    let allowed = self.allowed.entry(day).or_default();
                    *allowed = out.max(*allowed);
                }
                self.allowed_in_all = self.out(|_| true).max(self.allowed_in_all);
                self.durable.ledger.put(key(), Self::plan(self.is_flight, budget), self.now).expect("a plan");
                self.durable.sync();
                self.budget = budget;
            }
        }
    }
}

fn take<M: Copy>(messages: &mut Vec<M>, which: usize, again: bool) -> Option<M> {
    let at = which.checked_rem(messages.len())?;
    Some(if again { messages[at] } else { messages.swap_remove(at) })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_becomes_of_messages_no_more_than_the_budget_is_out(
        is_flight: bool,
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut world = World::new(is_flight);
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}
