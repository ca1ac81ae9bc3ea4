//! The coordinator of budgets: it grants money to nodes, and decides each tick how often campaigns take part.
//!
//! # Why no more than the budget is ever spent
//!
//! **The invariant.** Each node has an *account* of each campaign and period (a local day, or the whole flight). In it are two totals that
//! only rise: what it was *granted* and what it has *returned*. What a node has spent in time and at most at the reserved price, what its
//! living reservations hold, and what it may still reserve are together at most `granted - returned`. The ledger grants only while, of
//! all accounts of a period together, `granted - returned + overspent` is at most the period's wall, and of all periods of
//! a flight at most its budget. So the sum of everything that was spent or may be is at most the budget.
//!
//! **Who writes what, and when.** Only the ledger raises `granted`. It writes that down in its journal before [`Ledger::renew`] returns,
//! and whoever calls it syncs the store before the answer is sent, or used on the same node. Only the node raises
//! `returned`: the money leaves what it may reserve first, and is reported then. The ledger has both as totals, takes the greater of
//! what it knows and what it is told, and counts as returned at most what it has granted.
//!
//! *A message that is lost, comes twice, late or in another order* brings totals that are known already, or none. A node that did not get
//! a grant is told the same total again. What the ledger has granted and the node does not know of is out all the same, and counts.
//!
//! *The coordinator dies* at any point. What it granted and had not synced was not sent to anybody, so nobody has it. What it had synced it
//! finds again, and the node is told the same total, not the same amount once more. That money was returned it may forget: then less is free
//! until the node reports again. If its store is a copy of an older time, nodes report more `granted` than it knows of, and it believes that.
//!
//! *A node dies.* What it was granted stays granted. Without a store it starts as another incarnation with new accounts, and takes no
//! grants of those before. With a store it goes on with the state that was synced last, which may be older than what it did:
//!
//! * Money that a grant brought, or that a reservation left, is used only after the record of it is synced. So a grant that it does not
//!   remember was not used, and may be granted as if it came for the first time.
//! * Of what it remembers as available or reserved the lost interval may have spent any part. It counts as spent (`presumed`), and
//!   only confirms of reservations of that time are booked from it.
//! * That it has returned something it may forget. It remembers it as available then, which is presumed spent now, so it is not
//!   used again. The ledger does not forget it.
//!
//! *A node or the coordinator is cut off, or stops.* The node uses what it has, and gets no more. Nothing is taken back because time
//! has passed: a clock that is wrong makes nobody give the same money twice.
//!
//! *A day begins.* The new period has accounts of its own, from 0 on, and a wall of its own. A node uses the money of a period
//! only within it, by its own clock. What is reserved of yesterday is confirmed on yesterday's account. The ledger
//! grants money of the period that its own clock is in; if that jumps and comes back, the accounts of both periods are still there, because
//! they are only closed two days later, and a period that was closed is not granted from any more. Of a flight every account of every
//! period counts against the budget, open or closed: what a closed one had not returned is spent.
//!
//! *An edit* changes the wall and the budget that the next grants are compared with, at once. Where more is out than that, nothing is
//! granted, and nodes are told how much they may keep; what is reserved or spent by then stays so. A campaign that is deleted keeps its
//! accounts. If it is put again within two days it goes on where it was.
//!
//! *Overspend*, confirms after the reservation has expired or above its price, is in no grant, and the only thing by which
//! the budget can be exceeded. It is reported by itself, and what is still free is less by it.
//!
//! # Files
//!
//! * `account`: what a node has of a period; `campaign`: periods and walls; `grant`: how much a node gets; `rate`: the controller's call
//! * `renew`, `tick`, `status`: what is asked of a ledger; `edit`: plans that come and go
//! * `journal`, `restore`: what survives, and how it comes back

mod account;
mod campaign;
mod config;
mod edit;
mod grant;
mod journal;
mod money;
mod rate;
mod renew;
mod restore;
mod status;
mod sums;
mod tick;

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use self::campaign::Campaign;
pub use self::config::{Config, Lease};
pub use self::edit::PutError;
pub(super) use self::journal::{FIRST_KIND, FIRST_TABLE};
pub use self::money::Money;
pub use self::restore::Restoring;
pub use self::status::{NodeLease, Status};
pub use self::sums::{Seen, Sums};
use crate::journal::Part;
use crate::key::Seed;
use crate::sync::last_seen::LastSeen;

/// The coordinator of the budgets of some campaigns.
pub struct Ledger {
    config: Config,
    seed: Seed,
    journal: Option<Part>,
    state: Mutex<State>,
    seen: LastSeen<Seen>,
}

#[derive(Default)]
struct State {
    /// By the hashes of their keys.
    /// Boxed, so that the map stays small. Those that are put one after another mostly lie so in memory, and are read in that order.
    campaigns: HashMap<u64, Box<Campaign>>,
    /// By the versions of their plans.
    by_version: BTreeMap<u32, u64>,
    /// The last version that was given.
    version: u32,
    /// What that was when the ledger was made or restored, or gave versions anew.
    first: u32,
    /// Up to which version campaigns had their tick, while one is going on.
    ticked: u32,
    /// What all campaigns have together. Boxed, as its numbers are aligned to more than what has the ledger may be.
    sums: Box<sums::Summed>,
}

impl State {
    fn seen(&self) -> Seen {
        let by_hash = self.campaigns.capacity() * size_of::<(u64, Box<Campaign>)>();
        let by_version = self.by_version.len() * size_of::<(u32, u64)>();
        let bytes = size_of::<Ledger>() + size_of::<sums::Summed>() + by_hash + by_version + self.sums.bytes;
        Seen { sums: self.sums.all(), campaigns: self.campaigns.len(), bytes }
    }
}

impl Ledger {
    /// An empty one. Its seed is that of all pacers of the same name.
    #[must_use]
    pub fn new(config: Config, seed: Seed, journal: Option<Part>) -> Self {
        Self { config, seed, journal, state: Mutex::default(), seen: LastSeen::new() }
    }

    /// The seed that hashes of campaigns are of.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// How it grants.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
