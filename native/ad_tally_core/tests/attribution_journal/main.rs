//! An attribution that was restored is the one that had been told all that is in the intervals, and nothing else.
#![cfg(not(loom))]

#[path = "../support/at_end.rs"]
mod at_end;
mod crash;
mod hostile;
#[path = "../support/in_memory.rs"]
mod in_memory;
mod limits;
mod measure;
mod prefix;
mod store;
mod threads;
mod told;
