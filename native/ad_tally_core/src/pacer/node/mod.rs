//! The pacer on one node: who takes part in a request, and the money for it.
//!
//! ```text
//! key ──rows──> row of a campaign, read-mostly          book, a line that money is taken of
//!               pass | head | begin | until | ...  ──>   available | spent | pending | ...   (`book`)
//!
//! campaign, request ──hash──> bucket of reservations     hash | state, amount | book, expiry  (`entry`, `reservations`)
//! ```
//!
//! A request takes part where the hash of campaign and request is below the campaign's `pass`: so asked again it gets the same
//! answer, on every node. Then its amount is taken of the book of the campaign's current period, in one atomic step, and held by a
//! reservation until that is confirmed, released or expires (`till`). How much a book has is what the coordinator granted; it learns
//! by reports what became of it (`grants`). A request that is denied writes to no line that other requests read.
//!
//! * `reserve`, `settle`: requests, and what becomes of their reservations
//! * `grants`, `usage`: plans, grants and reports; `campaigns`: what of a campaign is not asked for per request
//! * `upkeep`: what is done each second; `status`: numbers to look at
//! * `written`, `fold`, `restore`: what is written to a journal, as which entries, and a node from entries

#![cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]

mod book;
#[cfg(not(loom))]
mod campaigns;
#[cfg(not(loom))]
mod config;
mod entry;
#[cfg(not(loom))]
mod fold;
#[cfg(not(loom))]
mod grants;
#[cfg(all(test, loom))]
#[path = "../../../tests/loom/pacer.rs"]
mod interleavings;
#[cfg(not(loom))]
mod outcome;
mod reservations;
#[cfg(not(loom))]
mod reserve;
#[cfg(not(loom))]
mod restore;
mod row;
#[cfg(not(loom))]
mod settle;
#[cfg(not(loom))]
mod state;
#[cfg(not(loom))]
mod status;
mod till;
#[cfg(not(loom))]
mod upkeep;
#[cfg(not(loom))]
mod usage;
#[cfg(not(loom))]
mod written;

pub use self::book::Totals;
#[cfg(not(loom))]
pub use self::config::{Config, MOST_CAMPAIGNS, MOST_RESERVATIONS, MOST_TTL};
pub use self::entry::MOST_PRICE;
#[cfg(not(loom))]
pub use self::fold::Fold;
#[cfg(not(loom))]
pub use self::outcome::{Confirmed, Counts, Reason, Released, Reserved};
#[cfg(not(loom))]
pub use self::reserve::{Hold, TakingPart};
#[cfg(not(loom))]
pub use self::restore::{Restoring, WithoutRoom};
#[cfg(not(loom))]
pub use self::state::Node;
#[cfg(not(loom))]
pub use self::status::{Info, Status};
#[cfg(not(loom))]
pub use self::upkeep::Noted;
