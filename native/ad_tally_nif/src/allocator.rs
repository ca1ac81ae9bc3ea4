//! Where Rust's memory comes from: mimalloc, which gives what is free back to the system.
//!
//! A table is made by whichever schedulers add to it, and freed by another thread. The C library of GNU keeps such memory in
//! its arenas: 500 tables of 4,000 rows took 300 MB, and all of it stayed resident when they were dropped. `malloc_trim` would
//! free it, but holds each arena meanwhile, and with it whichever scheduler allocates.
//!
//! The VM's own memory is not mimalloc's: nothing is allocated by one and freed by the other.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Its option `mi_option_purge_delay`, which has that number in its versions 2 and 3.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    /// Of mimalloc.h.
    fn mi_option_set(option: c_int, value: c_long);
}

/// Has pages given back as soon as nothing in them is in use. By default it waits for a second, and then for the next time
/// that somebody allocates, which may be never.
pub fn give_back_at_once() {
    // SAFETY: it stores a number, at any time.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}
