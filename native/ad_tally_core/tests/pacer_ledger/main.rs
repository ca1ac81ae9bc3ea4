//! The coordinator of budgets: what it grants, to whom, and what it knows after a restart.
#![cfg(not(loom))]

#[path = "../support/in_memory.rs"]
mod in_memory;

mod durable;
mod edits;
mod grants;
mod messages;
mod periods;
mod sums;
mod support;
