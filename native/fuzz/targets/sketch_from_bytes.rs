//! Any bytes are a sketch, of which everything holds that holds of sketches, or are refused with an error.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

#[path = "../../ad_tally_core/tests/support/hostile.rs"]
mod hostile;

fuzz_target!(|bytes: &[u8]| {
    let _ = hostile::read(bytes);
});

// Every second time what was changed is made to agree with itself. Otherwise hardly any of it would be a sketch.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if seed.is_multiple_of(2) {
        return size;
    }
    let mut bytes = data[..size].to_vec();
    hostile::mend::mend(&mut bytes);
    if bytes.len() > max_size {
        return size;
    }
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
});
