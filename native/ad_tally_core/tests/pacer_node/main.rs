//! A node of a pacer: against a naive twin, by many threads, over restarts, and what it says to what is wrong.

#[path = "../support/at_end.rs"]
mod at_end;
mod books;
mod forgotten;
#[path = "../support/in_memory.rs"]
mod in_memory;
mod naive;
mod operations;
mod restart;
mod stored;
mod support;
mod threads;
mod told;
