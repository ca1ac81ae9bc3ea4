//! Frequency caps: how often a user may be shown something, over windows that roll.
//!
//! ```text
//! FrequencyCap ── tiers ──> Table (ticks of 5 minutes) ──> bucket, bucket, bucket ──> overflow bucket
//!             │             Table (ticks of an hour)
//!             │             Table (counts of a lifetime)
//!             └─ times that can be decided
//! ```
//!
//! A pair of scope and user has its last events in every tier, each as the tick of its time ([`entry`]). Whoever is denied takes
//! no lock, where that can be decided in the fast way ([`fast`]). Otherwise `admit` locks the pair's bucket in each tier (in
//! order, so that nobody waits in a circle), asks every rule, and counts the event in all tiers or in none. Nobody counts
//! without the locks, so no rule is ever passed, however many ask at once. What is approximate is approximate to the safe side:
//! two pairs that look alike count together (one in several thousand, unless the table is strict), and a tick stands for all
//! moments of its granule.
//!
//! * [`entry`], [`ages`], [`seen`]: how events lie in words, and how they are read
//! * [`decide`], [`rules`]: whether a rule blocks, and what becomes of an event
//! * [`table`], [`locked`], [`snapshot`]: the pairs of one tier
//! * [`config`], [`times`], [`caps`]: the table of all tiers
//! * [`tiers`], [`fast`], [`admit`], [`history`], [`info`], [`export`], [`export_frames`]: what is done with it
//! * [`written`], [`fold`], [`restore`]: what is kept of it in files, and how it comes back

#![cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]

mod ages;
mod decide;
mod entry;
#[cfg(all(test, loom))]
#[path = "../../tests/loom/frequency_cap.rs"]
mod interleavings;
mod locked;
mod seen;
mod snapshot;
mod table;

#[cfg(not(loom))]
mod admit;
#[cfg(not(loom))]
mod caps;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
mod export;
#[cfg(not(loom))]
mod export_frames;
#[cfg(not(loom))]
mod fast;
#[cfg(not(loom))]
mod fold;
#[cfg(not(loom))]
mod history;
#[cfg(not(loom))]
mod info;
#[cfg(not(loom))]
mod restore;
#[cfg(not(loom))]
mod rules;
#[cfg(not(loom))]
mod tiers;
#[cfg(not(loom))]
mod times;
#[cfg(not(loom))]
mod written;

#[cfg(not(loom))]
pub use {
    admit::Denial,
    caps::FrequencyCap,
    config::Config,
    decide::{Decision, Reason},
    export::{NotTaken, Part, Parts},
    export_frames::Export,
    fast::{At, BucketRef},
    fold::Fold,
    info::{Info, Load, TierInfo},
    restore::Restoring,
    rules::{MOST_EVENTS, MOST_EVENTS_OF_A_LIFETIME, MOST_RULES, Rule, Rules, Window},
};
