//! Frames of every kind, changed at random and made to agree with themselves.

#[path = "support/change.rs"]
mod change;
#[path = "support/frames.rs"]
mod frames;

use proptest::prelude::*;

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/../../test/golden/{name}.frames", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Bytes with changes, some of which are parts of them in other places.
fn changed(bytes: &[u8], changes: &[change::Change]) -> Vec<u8> {
    let files = [(String::new(), bytes.to_vec())];
    let mut bytes = bytes.to_vec();
    changes.iter().for_each(|change| change.make(&mut bytes, &files));
    frames::mend(&mut bytes);
    bytes
}

macro_rules! hostile {
    ($test:ident, $import:path, $($file:literal),+) => {
        #[test]
        fn $test() {
            $(
                let bytes = golden($file);
                assert!($import(&bytes), "{} is read as it is", $file);
                let imported = std::cell::Cell::new(0);
                proptest!(ProptestConfig::with_cases(300), |(changes in prop::collection::vec(change::change(), 1..4))| {
                    imported.set(imported.get() + usize::from($import(&changed(&bytes, &changes))));
                });
                assert!(imported.get() < 300, "{} of {}", imported.get(), $file);
            )+
        }
    };
}

hostile!(counters_are_refused_or_whole, frames::counters, "counters");
hostile!(sketches_are_refused_or_whole, frames::reach, "reach");
hostile!(pairs_are_refused_or_whole, frames::caps, "caps", "caps_strict", "caps_tiers");
hostile!(ids_are_refused_or_whole, frames::dedupe, "dedupe", "dedupe_wide");
hostile!(users_and_conversions_are_refused_or_whole, frames::attribution, "attribution");
hostile!(reports_are_refused_or_whole, frames::meter_report, "meter_report");
