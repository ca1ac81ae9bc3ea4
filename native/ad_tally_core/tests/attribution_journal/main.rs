//! An attribution that was restored is the one that had been told all that is in the intervals, and nothing else.
#![cfg(not(loom))]

mod prefix;
mod store;
mod told;
