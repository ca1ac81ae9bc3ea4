//! What a meter and tables write into a journal, taken back by fresh ones: any prefix of the intervals is exactly what was recorded in
//! them. There are no files here: an interval is written as a run and read again.
#![cfg(not(loom))]

#[path = "../support/at_end.rs"]
mod at_end;
mod drains;
mod hostile;
#[path = "../support/in_memory.rs"]
mod in_memory;
mod journal;
mod meter;
mod seen;
mod tables;
mod threads;
