//! What holds for any bytes, whoever made them. The tests assert it of bytes that they change, the fuzzer in `native/fuzz`
//! of all that it finds.

use ad_tally_core::Sketch;
use ad_tally_core::sketch::{FormatError, MIN_PRECISION};

mod allocations;
pub mod mend;

/// Reads bytes, and asserts of what comes of it all that has to hold.
pub fn read(bytes: &[u8]) -> Result<Sketch, FormatError> {
    let (read, peak) = allocations::peak(|| Sketch::from_bytes(bytes));
    // The smallest set of coupons takes 64 bytes, and the first one brings along what all of them are hashed with.
    assert!(peak <= 8 * bytes.len() + 256, "{peak} bytes were allocated for {}", bytes.len());
    match &read {
        Ok(sketch) => hold(sketch),
        Err(error) => tell(error),
    }
    read
}

/// An error names the field, and says more than that.
fn tell(error: &FormatError) {
    assert!(!error.field().is_empty(), "{error:?}");
    assert!(error.to_string().len() > error.field().len(), "{error:?}");
}

/// A sketch that was read is as good as any other.
fn hold(sketch: &Sketch) {
    let estimate = sketch.estimate();
    assert!(estimate.is_finite() && estimate >= 0.0, "{estimate}");
    for deviations in 1..=3 {
        let (low, high) = sketch.bounds(deviations);
        assert!(0.0 <= low && low <= estimate && estimate <= high && high.is_finite(), "{low} {estimate} {high}");
    }

    let written = sketch.to_bytes();
    let again = Sketch::from_bytes(&written).expect("what is written can be read");
    assert_eq!(&again, sketch);
    assert_eq!(again.to_bytes(), written);

    let mut union = sketch.clone();
    union.merge(sketch).expect("no secrets");
    assert_eq!(&union, sketch);

    let overlap = sketch.overlap(sketch, 2).expect("no secrets");
    let (low, high) = (overlap.low, overlap.high);
    assert!(0.0 <= low && low <= overlap.estimate && overlap.estimate <= high && high.is_finite(), "{overlap:?}");

    let mut coarse = sketch.clone();
    coarse.fold(MIN_PRECISION.max(sketch.precision() - 2));
    assert_eq!(Sketch::from_bytes(&coarse.to_bytes()).as_ref(), Ok(&coarse));
}
