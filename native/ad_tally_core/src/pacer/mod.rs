//! The pacer: budgets that are spent over a period and over nodes, evenly or with the traffic, and never more than they are.
//!
//! * [`plan`]: a budget, the time it is for, and its pace; `plan_bytes`: as bytes
//! * [`curve`]: how much of a period's budget and traffic is for which part of it
//! * [`learned`]: the traffic that a campaign saw, by the hour of the week; `local_hours`: the hours of a zone
//! * [`flight`]: what of a flight's budget is for one of its days
//! * [`controller`]: how often a campaign takes part, decided anew in each tick
//! * [`token`]: what a caller keeps of a reservation
//! * [`message`]: what crosses nodes; [`ledger`]: the coordinator, who grants

pub mod controller;
pub mod curve;
pub mod flight;
pub mod learned;
pub mod ledger;
mod local_hours;
pub mod message;
pub mod plan;
mod plan_bytes;
pub mod token;

pub use self::controller::{Controller, Tick};
pub use self::curve::{Ahead, Curve};
pub use self::flight::{DayBudget, day_budget};
pub use self::learned::Learned;
pub use self::plan::{Pace, Period, PeriodOf, Plan};
pub use self::token::{TOKEN_BYTES, Token, node_of};
