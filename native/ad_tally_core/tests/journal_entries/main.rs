//! Entries: what is written is read, and every byte that is changed or missing is found.

mod any;
mod interval;
mod merges;
mod naive;
mod owned;
mod runs;
