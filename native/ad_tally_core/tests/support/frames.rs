//! Any bytes given to tables as a frame: they are refused and have changed nothing, or the table can be exported, and another one
//! that takes those frames is its equal. The tables are those of test/support/exports.ex, whose frames lie in test/golden. A report of
//! a meter is refused, or is its equal once it was written and read again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use ad_tally_core::attribution::{self, Attribution, Counting, Model};
use ad_tally_core::codec::{Frame, FrameError, Imported, Settings};
use ad_tally_core::frequency_cap::Config;
use ad_tally_core::key::{AtomFault, AtomNames, atom_hash};
use ad_tally_core::meter::report::{Columns, Query, Report};
use ad_tally_core::table::{Drainable, Portable};
use ad_tally_core::{Counters, Dedupe, FrequencyCap, Reach, Seed, dedupe, reach};

const HEADER_BYTES: usize = 44;
/// A time after all that is in those frames.
const NOW: u64 = 1_790_000_000_000;

/// Atoms as they come.
#[derive(Default)]
struct Names(BTreeMap<u64, String>);

impl AtomNames for Names {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        self.0.get(&hash).map(|text| Cow::from(text.as_str()))
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        self.0.insert(atom_hash(text), text.to_owned());
        Ok(atom_hash(text))
    }
}

/// Has bytes agree with themselves: magic, version, lengths and checksum.
pub fn mend(bytes: &mut [u8]) {
    let Some(payload) = bytes.len().checked_sub(HEADER_BYTES + 4) else { return };
    bytes[..10].copy_from_slice(b"\x89AdTally\x01\0");
    bytes[38..40].fill(0);
    let settings = payload.min(usize::from(u16::from_le_bytes([bytes[36], bytes[37]])));
    bytes[36..38].copy_from_slice(&(settings as u16).to_le_bytes());
    bytes[40..44].copy_from_slice(&((payload - settings) as u32).to_le_bytes());
    let end = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&checksum);
}

/// Whether bytes were imported.
fn try_import<T, S: PartialEq + Debug>(
    new: impl Fn() -> T,
    import: impl Fn(&T, &Frame<'_>) -> Result<Imported, FrameError>,
    export: impl Fn(&T) -> Vec<Vec<u8>>,
    state: impl Fn(&T) -> S,
    bytes: &[u8],
) -> bool {
    let table = new();
    let before = state(&table);
    let imported = Frame::read(bytes).and_then(|frame| import(&table, &frame));
    if let Err(error) = imported {
        assert!(error.at <= bytes.len(), "{error}");
        assert_eq!(state(&table), before, "{error}");
        return false;
    }
    let frame = Frame::read(bytes).expect("it was one");
    assert_eq!(import(&table, &frame), Ok(Imported::AlreadyTaken));
    let other = new();
    for bytes in export(&table) {
        import(&other, &Frame::read(&bytes).expect("a frame")).expect("rows of a table");
    }
    assert_eq!(state(&other), state(&table));
    true
}

fn try_drainable<V: Portable<Overflowed: PartialEq + Debug>>(
    new: impl Fn() -> Drainable<V>,
    settings: impl Fn(&Drainable<V>) -> Settings,
    bytes: &[u8],
) -> bool {
    let names = std::cell::RefCell::new(Names::default());
    try_import(
        new,
        |table, frame| table.import(&settings(table), frame, &mut *names.borrow_mut()),
        |table| {
            let mut export = table.export(&settings(table));
            std::iter::from_fn(|| export.next_frame(&*names.borrow())).collect()
        },
        |table| (table.info().keys, table.info().overflow),
        bytes,
    )
}

/// Gives bytes to counters.
pub fn counters(bytes: &[u8]) -> bool {
    let settings = |table: &Counters| table.settings(vec!["clicks".to_owned(), "Kosten in €".to_owned()]);
    try_drainable(|| Counters::new(2, 500).expect("a table"), settings, bytes)
}

/// Gives bytes to reach.
pub fn reach(bytes: &[u8]) -> bool {
    try_drainable(|| Reach::new(10, 40, None).expect("a table"), Reach::settings, bytes)
}

/// Gives bytes to caps.
pub fn caps(bytes: &[u8]) -> bool {
    let new = |config: Config| move || FrequencyCap::with_seed(&config, Seed::new(7)).expect("a table");
    let import = |table: &FrequencyCap, frame: &Frame<'_>| table.import_frame(frame, NOW);
    let export = |table: &FrequencyCap| {
        let mut export = table.frames();
        std::iter::from_fn(|| export.next_frame(table)).collect()
    };
    let state = |table: &FrequencyCap| {
        let pairs: Vec<usize> = table.info().tiers.iter().map(|tier| tier.pairs).collect();
        (pairs, table.newest())
    };
    let (minute, hour, day) = (60_000, 3_600_000, 86_400_000);
    let tiers = vec![(5 * minute, 14 * day)];
    let config = Config { capacity: 500, max_capacity: 8_000, tiers, lifetime: false, strict: false, max_ahead: None };
    let strict = Config { capacity: 4_000, max_capacity: 8_000, strict: true, ..config.clone() };
    let tiers = vec![(minute, day), (hour, 30 * day)];
    let several = Config { capacity: 4_000, max_capacity: 8_000, tiers, lifetime: true, ..config.clone() };
    [config, strict, several].into_iter().any(|config| try_import(new(config), import, export, state, bytes))
}

/// Gives bytes to dedupe.
pub fn dedupe(bytes: &[u8]) -> bool {
    let new = |wide| {
        let config = dedupe::Config { window: 3_600_000, capacity: 4_000, wide };
        move || Dedupe::with_seed(&config, Seed::new(7)).expect("a table")
    };
    let import = |table: &Dedupe, frame: &Frame<'_>| table.import_frame(frame, || NOW);
    let export = |table: &Dedupe| {
        let mut export = table.frames();
        std::iter::from_fn(|| export.next_frame(table)).collect()
    };
    let state = |table: &Dedupe| (table.info().ids, table.newest());
    try_import(new(false), import, export, state, bytes) || try_import(new(true), import, export, state, bytes)
}

/// Gives bytes to attribution.
pub fn attribution(bytes: &[u8]) -> bool {
    let (hour, day) = (3_600_000, 86_400_000);
    let config = attribution::Config {
        window: 60_000,
        lateness: 7 * day,
        max_ahead: None,
        lookbacks: vec![7 * day, day],
        prevail: true,
        collapse: false,
        models: vec![Model::LastTouch, Model::TimeDecay { half_life: hour }],
        actions: vec![Counting::Every, Counting::OncePerUser, Counting::OncePerTouch],
        touches_per_user: 16,
        users: 4_000,
        orders: 4_000,
        adjustable_for: 30 * day,
        max_keys: 100_000,
    };
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let names = attribution::Names {
        dimensions: 2,
        kinds: texts(&["click", "view"]),
        actions: texts(&["purchase", "signup", "install"]),
    };
    let atoms = std::cell::RefCell::new(Names::default());
    try_import(
        || Attribution::new(&config, Seed::new(7)).expect("a table"),
        |table, frame| table.import_frame(&table.settings(&names), frame, &mut *atoms.borrow_mut(), || NOW),
        |table| {
            let mut export = table.frames(&names);
            std::iter::from_fn(|| export.next_frame(table, &*atoms.borrow())).collect()
        },
        |table| {
            // A final conversion that may not be adjusted any more is taken by nobody else.
            let info = table.info();
            (info.users, info.kept_touches, info.newest)
        },
        bytes,
    )
}

/// What the report of `test/golden/meter_report.frames` has.
pub fn report_columns() -> Columns {
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let reach = Some(reach::Config { precision: 8, secret: None });
    Columns { by: names(["campaign", "country"]), metrics: names(["clicks", "Kosten in €"]), reach }
}

/// Gives bytes to a report of a meter, as the only frame of another one's.
pub fn meter_report(bytes: &[u8]) -> bool {
    let columns = report_columns();
    let mut names = Names::default();
    let mut take = |frames: &[Vec<u8>]| {
        let query = Query { by: vec![0, 1], filters: Vec::new(), sketch_by: Some(vec![0, 1]), metrics: 2 };
        let mut report = Report::new(query, Seed::new(7));
        let mut is_whole = false;
        for bytes in frames {
            is_whole = Frame::read(bytes).and_then(|frame| report.take(&columns, &frame, &mut names))?;
        }
        let mut frames = report.into_frames(&columns);
        let written: Vec<Vec<u8>> = std::iter::from_fn(|| frames.next_frame(&names)).collect();
        Ok::<_, FrameError>((is_whole, written))
    };
    match take(&[bytes.to_vec()]) {
        Err(error) => {
            assert!(error.at <= bytes.len(), "{error}");
            false
        }
        Ok((_, written)) => {
            let (is_whole, again) = take(&written).expect("what was written");
            assert!(is_whole);
            // But for their streams and checksums.
            let rows = |frames: &[Vec<u8>]| -> Vec<Vec<u8>> {
                frames.iter().map(|frame| frame[HEADER_BYTES..frame.len() - 4].to_vec()).collect()
            };
            assert_eq!(rows(&again), rows(&written));
            true
        }
    }
}
