//! The pacer: budgets that are spent over a period and over nodes, evenly or with the traffic, and never more than they are.
//!
//! * [`token`]: what a caller keeps of a reservation

pub mod token;

pub use self::token::{TOKEN_BYTES, Token, node_of};
