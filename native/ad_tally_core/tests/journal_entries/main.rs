//! Entries: what is written is read, every byte that is changed or missing is found, and runs come to what a plain map says.

#[path = "../support/allocations.rs"]
mod allocations;
mod any;
#[path = "../support/change.rs"]
mod change;
#[path = "../support/entries.rs"]
mod entries;
mod golden;
mod hostile;
#[path = "../support/in_memory.rs"]
mod in_memory;
mod interval;
mod merges;
mod naive;
mod owned;
mod page;
mod runs;
