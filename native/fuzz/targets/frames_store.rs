//! Any bytes are a frame of a store, whose entries are written as the same bytes, or are refused.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

#[path = "../../ad_tally_core/tests/support/allocations.rs"]
mod allocations;
#[path = "../../ad_tally_core/tests/support/entries.rs"]
mod entries;

fuzz_target!(|bytes: &[u8]| {
    let _ = entries::read(bytes);
});

// What was changed is made to agree with itself three times of four. Otherwise none of it would be a frame.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(4) {
        entries::mend(&mut data[..size]);
    }
    size
});
