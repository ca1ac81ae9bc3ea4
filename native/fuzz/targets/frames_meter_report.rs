//! Any bytes are a frame of a report that is its equal once it was written and read again, or are refused.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

#[path = "../../ad_tally_core/tests/support/frames.rs"]
#[allow(dead_code, reason = "the other kinds")]
mod frames;

fuzz_target!(|bytes: &[u8]| {
    frames::meter_report(bytes);
});

// What was changed is made to agree with itself three times of four. Otherwise none of it would be a frame.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(4) {
        frames::mend(&mut data[..size]);
    }
    size
});
