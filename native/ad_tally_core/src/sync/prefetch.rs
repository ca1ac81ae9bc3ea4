//! Asking for memory ahead.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_NTA as ONCE, _MM_HINT_T0 as AGAIN, _mm_prefetch};

#[cfg(not(target_arch = "x86_64"))]
const ONCE: i32 = 0;
#[cfg(not(target_arch = "x86_64"))]
const AGAIN: i32 = 1;

/// Asks for the cache line at an address, and does not wait for it.
#[inline(always)]
pub(crate) fn fetch<T>(at: *const T) {
    ask::<AGAIN, T>(at);
}

/// The same of a line that is used once: it need not push others out of the caches.
#[inline(always)]
pub(crate) fn fetch_once<T>(at: *const T) {
    ask::<ONCE, T>(at);
}

#[inline(always)]
fn ask<const HINT: i32, T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that a program could see, whatever the address.
    unsafe {
        _mm_prefetch::<HINT>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
