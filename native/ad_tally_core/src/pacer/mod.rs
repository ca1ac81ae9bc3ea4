//! The pacer: budgets that are spent over a period and over nodes, evenly or with the traffic, and never more than they are.
//!
//! * [`plan`]: a budget, the time it is for, and its pace; `plan_bytes`: as bytes
//! * [`curve`]: how much of a period's budget and traffic is for which part of it
//! * [`learned`]: the traffic that a campaign saw, by the hour of the week; `local_hours`: the hours of a zone
//! * [`flight`]: what of a flight's budget is for one of its days
//! * [`controller`]: how often a campaign takes part, decided anew in each tick
//! * [`node`]: requests, their reservations, and the money for them on one node
//! * [`token`]: what a caller keeps of a reservation
//! * [`message`]: what crosses nodes; [`ledger`]: the coordinator, who grants
//! * `part`: both sides of a node as one part of a store

#[cfg(not(loom))]
pub mod controller;
#[cfg(not(loom))]
pub mod curve;
#[cfg(not(loom))]
pub mod flight;
#[cfg(not(loom))]
pub mod learned;
#[cfg(not(loom))]
pub mod ledger;
#[cfg(not(loom))]
mod local_hours;
#[cfg(not(loom))]
pub mod message;
pub mod node;
#[cfg(not(loom))]
mod part;
#[cfg(not(loom))]
pub mod plan;
#[cfg(not(loom))]
mod plan_bytes;
#[cfg(not(loom))]
pub mod token;

#[cfg(not(loom))]
pub use self::controller::{Controller, Tick};
#[cfg(not(loom))]
pub use self::curve::{Ahead, Curve};
#[cfg(not(loom))]
pub use self::flight::{DayBudget, day_budget};
#[cfg(not(loom))]
pub use self::learned::Learned;
pub use self::node::MOST_PRICE;
#[cfg(not(loom))]
pub use self::node::{MOST_TTL, Node};
#[cfg(not(loom))]
pub use self::part::{Pacer, Restoring};
#[cfg(not(loom))]
pub use self::plan::{Pace, Period, PeriodOf, Plan};
#[cfg(not(loom))]
pub use self::token::{TOKEN_BYTES, Token, node_of};
