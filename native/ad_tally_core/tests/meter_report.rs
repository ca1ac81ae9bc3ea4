//! Reports of several meters as one: those of the others come as frames, and the sum is what one meter has that saw all.
#![cfg(not(loom))]

#[path = "support/frames.rs"]
#[allow(dead_code, reason = "the other kinds")]
mod frames;
#[path = "support/mod.rs"]
mod support;

use std::borrow::Cow;
use std::collections::BTreeMap;

use ad_tally_core::codec::{Frame, FrameError, FrameWriter, Kind, MAX_FRAME_BYTES, Reader, StreamId};
use ad_tally_core::key::{AtomFault, AtomNames, atom_hash};
use ad_tally_core::meter::report::{Columns, Order, Query, Report, ReportRows};
use ad_tally_core::meter::{Config, Event, ReachConfig};
use ad_tally_core::sketch::{Coupon, Secret, Sketch};
use ad_tally_core::{Add, Meter, reach};
use proptest::prelude::*;
use support::{Key, Part};

const MINUTE: u64 = 60_000;
const BEGIN: u64 = 1_780_272_000_000;
const ATOMS: [&str; 3] = ["us", "ca", "spring sale"];

/// Knows three atoms.
struct Atoms;

impl AtomNames for Atoms {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        ATOMS.iter().find(|text| atom_hash(text) == hash).map(|text| Cow::Borrowed(*text))
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        if ATOMS.contains(&text) { Ok(atom_hash(text)) } else { Err(AtomFault::TooMany(3)) }
    }
}

#[derive(Debug, Clone)]
struct Sent {
    at: u64,
    key: Vec<Part>,
    amounts: [i64; 2],
    user: Option<u64>,
}

#[derive(Debug, Clone)]
struct Asked {
    by: Vec<usize>,
    reach_by: Vec<usize>,
    precision: u8,
    max_keys: usize,
    max_sketches: usize,
}

impl Asked {
    fn meter(&self) -> Meter {
        let Self { reach_by, precision, max_keys, max_sketches, .. } = self;
        let reach = ReachConfig { by: reach_by.clone(), precision: *precision, max_keys: *max_sketches, secret: None };
        let config = Config {
            window: MINUTE,
            lateness: 5 * MINUTE,
            max_ahead: None,
            metrics: 2,
            max_keys: *max_keys,
            max_open_windows: 1_000,
            reach: Some(reach),
            dedupe: None,
        };
        Meter::new(&config).expect("a configuration that is right")
    }

    fn has_users(&self) -> bool {
        self.by.iter().all(|place| self.reach_by.contains(place))
    }

    fn columns(&self) -> Columns {
        let names = ["campaign", "creative", "country"];
        Columns {
            by: self.by.iter().map(|place| names[*place].to_owned()).collect(),
            metrics: vec!["clicks".to_owned(), "spend_micros".to_owned()],
            reach: self.has_users().then_some(reach::Config { precision: self.precision, secret: None }),
        }
    }

    /// Without rows.
    fn report(&self, meter: &Meter) -> Report {
        let place = |place: &usize| self.reach_by.iter().position(|by| by == place).expect("one that sketches have");
        let sketch_by = self.has_users().then(|| self.by.iter().map(place).collect());
        Report::new(Query { by: self.by.clone(), filters: Vec::new(), sketch_by, metrics: 2 }, meter.seed().clone())
    }

    /// Of all that a meter has.
    fn read(&self, meter: &Meter) -> Report {
        let mut report = self.report(meter);
        for window in meter.open_windows(0, 1_000) {
            while report.read(&window, || true) {}
        }
        report
    }

    fn frames(&self, report: Report) -> Vec<Vec<u8>> {
        let mut frames = report.into_frames(&self.columns());
        std::iter::from_fn(|| frames.next_frame(&Atoms)).collect()
    }

    fn take(&self, meter: &Meter, frames: &[Vec<u8>]) -> Result<Report, FrameError> {
        let mut report = self.report(meter);
        for (at, bytes) in frames.iter().enumerate() {
            let is_whole = report.take(&self.columns(), &Frame::read(bytes)?, &mut Atoms)?;
            assert_eq!(is_whole, at + 1 == frames.len());
        }
        Ok(report)
    }
}

fn record(meter: &Meter, sent: &Sent) {
    Key::Tuple(sent.key.clone()).with(meter.seed(), |key| {
        let event = Event {
            at: sent.at,
            id: None,
            key,
            amounts: &[0, 1].map(|metric| Add { metric, amount: sent.amounts[metric as usize] }),
            user: sent.user.map(|user| Coupon::of_integer(user, None)),
        };
        meter.record(&event, || 0).expect("a time");
    });
}

/// A group as its frame has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    flags: u8,
    sums: Vec<i128>,
    sketch: Option<Vec<u8>>,
}

/// What frames have, read field by field as the format says: groups by the bytes of their keys, `None` of what had no row.
fn groups(frames: &[Vec<u8>], by: usize) -> BTreeMap<Option<Vec<u8>>, Group> {
    let mut groups = BTreeMap::new();
    for bytes in frames {
        let frame = Frame::read(bytes).expect("a frame");
        assert!(frame.kind == Kind::MeterReport && bytes.len() <= MAX_FRAME_BYTES);
        frame
            .check_rows(|reader| {
                let (key, group) = read_group(reader, by)?;
                assert_eq!(groups.insert(key, group), None, "each once");
                Ok(())
            })
            .expect("rows");
    }
    groups
}

fn read_group(reader: &mut Reader<'_>, by: usize) -> Result<(Option<Vec<u8>>, Group), FrameError> {
    let is_overflow = reader.u8("row")? == 1;
    let flags = reader.u8("flags")?;
    let begin = reader.at();
    if by > 0 && !is_overflow {
        reader.key(&mut Atoms, &mut Vec::new())?;
    }
    let key = (!is_overflow).then(|| reader.all()[begin..reader.at()].to_vec());
    let sums = vec![reader.signed("sum")?, reader.signed("sum")?];
    let sketch = if flags & 4 == 0 {
        None
    } else {
        let length = reader.number("length", 0..=u64::MAX)?;
        Some(reader.bytes("sketch", length as usize)?.to_vec())
    };
    Ok((key, Group { flags, sums, sketch }))
}

/// The sum of groups, as anybody would write it.
fn sum(parts: &[BTreeMap<Option<Vec<u8>>, Group>]) -> BTreeMap<Option<Vec<u8>>, Group> {
    let mut all: BTreeMap<Option<Vec<u8>>, Group> = BTreeMap::new();
    for (key, group) in parts.iter().flatten() {
        let own = all.entry(key.clone()).or_insert_with(|| Group { sums: vec![0; 2], ..Group::default() });
        own.flags |= group.flags;
        own.sums.iter_mut().zip(&group.sums).for_each(|(sum, more)| *sum += more);
        let read = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| Sketch::from_bytes(bytes).expect("a sketch"));
        own.sketch = match (read(&own.sketch), read(&group.sketch)) {
            (Some(mut own), Some(more)) => {
                own.merge(&more).expect("no secrets");
                Some(own.to_bytes())
            }
            (own, more) => own.or(more).map(|sketch| sketch.to_bytes()),
        };
    }
    all
}

/// The rows that somebody sees: values, sums, and the estimate of users with its bounds.
fn rows(mut rows: ReportRows) -> Vec<String> {
    while rows.sort(|hash| Atoms.text(hash).expect("an atom").into_owned()) {}
    let mut shown = Vec::new();
    while let Some(row) = rows.next_row() {
        let values: Vec<_> = row.values().collect();
        shown.push(format!("{values:?} {} {} {:?}", row.sum(0), row.sum(1), row.reach()));
    }
    shown.push(format!("{:?}", rows.overflow()));
    shown
}

fn merge(into: &mut Report, other: Report, step: usize) {
    into.begin_merge(other);
    loop {
        let mut left = step;
        let more = into.merge(|| {
            left = left.saturating_sub(1);
            left > 0
        });
        if !more {
            return;
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        (0..6_i64).prop_map(Part::Integer),
        prop::sample::select(&ATOMS[..]).prop_map(|text| Part::Atom(atom_hash(text))),
        prop::sample::select(&["", "creative-1", "a text that is longer than thirty bytes"][..])
            .prop_map(|text| Part::Bytes(text.as_bytes().to_vec())),
    ]
}

fn sent(has_large: bool) -> impl Strategy<Value = Sent> {
    let large = if has_large { i64::MAX } else { 7 };
    let amount = prop_oneof![0..5_000_i64, Just(large), Just(if has_large { i64::MIN } else { 0 })];
    (0..4_u64, [part(), part(), part()], [amount.clone(), amount], prop::option::of(0..400_u64))
        .prop_map(|(minute, key, amounts, user)| Sent { at: BEGIN + minute * MINUTE, key: key.into(), amounts, user })
}

fn asked() -> impl Strategy<Value = Asked> {
    let places = |least| prop::sample::subsequence(vec![0, 1, 2], least..=3).prop_shuffle();
    let most = || prop_oneof![1..8_usize, Just(10_000)];
    (places(0), prop::sample::subsequence(vec![0, 1, 2], 1..=3), 4..=10_u8, most(), most()).prop_map(
        |(by, reach_by, precision, max_keys, max_sketches)| Asked { by, reach_by, precision, max_keys, max_sketches },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever had no room where, and in whatever order and steps they are added.
    #[test]
    fn the_sum_of_reports_is_that_of_their_groups(
        asked in asked(),
        nodes in any::<bool>().prop_flat_map(|has_large| {
            prop::collection::vec(prop::collection::vec(sent(has_large), 0..120), 1..5)
        }),
        first in 0..4_usize,
        step in 2..4_usize,
        order_by in prop::option::of(0..2_usize),
        limit in 1..12_usize,
    ) {
        let meters: Vec<Meter> = nodes.iter().map(|_| asked.meter()).collect();
        meters.iter().zip(&nodes).for_each(|(meter, sent)| sent.iter().for_each(|sent| record(meter, sent)));
        let written: Vec<_> = meters.iter().map(|meter| asked.frames(asked.read(meter))).collect();
        let parts: Vec<_> = written.iter().map(|frames| groups(frames, asked.by.len())).collect();

        // As a node does that has read its own windows, and got the frames of the others.
        let own = first % meters.len();
        let united = || {
            let mut united = asked.read(&meters[own]);
            for (at, frames) in written.iter().enumerate().filter(|(at, _)| *at != own).rev() {
                let other = asked.take(&meters[own], frames).unwrap_or_else(|error| panic!("{at}: {error}"));
                merge(&mut united, other, step);
            }
            united
        };
        let got = groups(&asked.frames(united()), asked.by.len());
        prop_assert_eq!(&got, &sum(&parts));

        // One that saw all has the same, and the same rows in the same order, unless something had no room: a key, or a total of 64
        // bits of a window.
        let is_small = nodes.iter().flatten().flat_map(|sent| sent.amounts).all(|amount| (0..5_000).contains(&amount));
        if is_small && asked.max_keys.min(asked.max_sketches) == 10_000 {
            let all = asked.meter();
            nodes.iter().flatten().for_each(|sent| record(&all, sent));
            prop_assert_eq!(&got, &groups(&asked.frames(asked.read(&all)), asked.by.len()));
            let order = order_by.map_or(Order::Key, Order::Metric);
            let shown = |report: Report| rows(report.into_rows(order, limit));
            prop_assert_eq!(shown(united()), shown(asked.read(&all)));
        }
    }
}

fn campaigns(precision: u8) -> Asked {
    Asked { by: vec![0], reach_by: vec![0], precision, max_keys: 100_000, max_sketches: 100_000 }
}

fn click(campaign: i64, user: u64) -> Sent {
    let key = vec![Part::Integer(campaign), Part::Integer(1), Part::Atom(atom_hash("us"))];
    Sent { at: BEGIN, key, amounts: [1, 1_250], user: Some(user) }
}

#[test]
fn a_report_of_many_groups_is_several_frames_of_a_megabyte_at_most() {
    let (asked, meter) = (campaigns(12), campaigns(12).meter());
    for campaign in 0..40_000 {
        record(&meter, &click(campaign, campaign as u64 % 700));
    }
    // Registers in some of them.
    for user in 0..100_000 {
        record(&meter, &click(user as i64 % 50, user));
    }
    let frames = asked.frames(asked.read(&meter));
    assert!(frames.len() > 1 && frames.iter().all(|frame| frame.len() <= MAX_FRAME_BYTES));
    let taken = asked.take(&meter, &frames).expect("all of them");
    assert_eq!(groups(&asked.frames(taken), 1), groups(&frames, 1));
    // In order, each once, and all of one report.
    let refused = |frames: &[Vec<u8>]| {
        let mut report = asked.report(&meter);
        let take = |bytes: &Vec<u8>| report.take(&asked.columns(), &Frame::read(bytes).expect("a frame"), &mut Atoms);
        frames.iter().map(take).find_map(Result::err).expect("no report").field
    };
    assert_eq!(refused(&frames[1..]), "number");
    assert_eq!(refused(&[frames[0].clone(), frames[0].clone()]), "number");
    let others = asked.frames(asked.read(&meter));
    assert_eq!(refused(&[frames[0].clone(), others[1].clone()]), "stream");
    let after_the_last: Vec<_> = frames.iter().chain(frames.last()).cloned().collect();
    assert_eq!(refused(&after_the_last), "number");
}

#[test]
fn frames_of_other_columns_are_refused() {
    let (asked, meter) = (campaigns(8), campaigns(8).meter());
    record(&meter, &click(7, 1));
    let frame = asked.frames(asked.read(&meter)).remove(0);
    let refused = |change: fn(&mut Columns)| {
        let mut columns = asked.columns();
        change(&mut columns);
        let frame = Frame::read(&frame).expect("a frame");
        asked.report(&meter).take(&columns, &frame, &mut Atoms).expect_err("other columns").to_string()
    };
    let metrics = refused(|columns| columns.metrics = vec!["clicks".to_owned(), "spend".to_owned()]);
    assert!(metrics.starts_with("metrics: [:clicks, :spend_micros], expected the table's"), "{metrics}");
    assert!(refused(|columns| columns.by = vec!["country".to_owned()]).starts_with("by: [:campaign]"));
    let precision = refused(|columns| columns.reach = Some(reach::Config { precision: 9, secret: None }));
    assert!(precision.starts_with("precision: 8, expected the table's, 9"), "{precision}");
    assert!(refused(|columns| columns.reach = None).starts_with("precision: 8"));
    let secret = Some(Secret::new([1; 16]));
    let hidden = asked.report(&meter).take(
        &Columns { reach: Some(reach::Config { precision: 8, secret }), ..asked.columns() },
        &Frame::read(&frame).expect("a frame"),
        &mut Atoms,
    );
    assert!(hidden.expect_err("a secret").to_string().starts_with("secret: none, expected the table's"));
}

/// A frame that is whole, of rows that no report has.
fn forged(columns: &Columns, is_last: bool, rows: &[&[u8]]) -> Result<bool, String> {
    let mut writer = FrameWriter::new(Kind::MeterReport, StreamId([9; 16]), &columns.settings());
    for row in rows {
        assert!(writer.row(|writer| writer.bytes(row)));
    }
    let bytes = writer.finish(is_last);
    let asked = campaigns(8);
    let frame = Frame::read(&bytes).expect("a frame");
    asked
        .report(&asked.meter())
        .take(columns, &frame, &mut Atoms)
        .map_err(|error| format!("{}: {}", error.field, error.reason))
}

#[test]
fn rows_that_no_report_has_are_refused() {
    let columns = campaigns(8).columns();
    let forged = |is_last, rows: &[&[u8]]| forged(&columns, is_last, rows);
    let group = |flags: u8, rest: &[u8]| [&[0, flags, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0], rest].concat();
    let overflow = [1, 0, 0, 0];
    let is = |got: Result<bool, String>, expected: &str| assert_eq!(got, Err(expected.to_owned()));
    assert_eq!(forged(true, &[&group(1, &[2, 2]), &overflow]), Ok(true));
    assert_eq!(forged(false, &[&group(1, &[2, 2])]), Ok(false));
    let end = "payload: the end, expected what had no row as the last row of the last frame, and of no other one";
    is(forged(true, &[&group(1, &[2, 2])]), end);
    is(forged(false, &[&overflow]), end);
    is(forged(true, &[&overflow, &overflow]), "row: one, expected none after that of what had no row");
    is(forged(true, &[&[2, 0]]), "row: 2, expected 0, of a group, or 1, of what had no row");
    is(forged(true, &[&group(8, &[2, 2]), &overflow]), "flags: 8, expected such as are in 7");
    is(forged(true, &[&[1, 2, 0, 0]]), "flags: 2, expected such as are in 5");
    let two = [0, 1, 2, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 2];
    is(forged(true, &[&two, &overflow]), "key: of another number of elements, expected a tuple of 1");
    let bare = [0, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 2];
    is(forged(true, &[&bare, &overflow]), "key: of another number of elements, expected a tuple of 1");
    // Sums of which a sum could overflow.
    let large = [[0x80; 13].as_slice(), &[0x80, 0x01]].concat();
    let large = forged(true, &[&group(1, &[&large, &[0][..]].concat()), &overflow]);
    assert!(large.expect_err("too large").contains("expected less than 2^96 either way"));
    // A sketch of another precision.
    let sketch = Sketch::new(9, None).expect("a sketch").to_bytes();
    let sketch = [&[2, 2, sketch.len() as u8], &sketch[..]].concat();
    is(forged(true, &[&group(5, &sketch), &overflow]), "sketch: of precision 9, expected 8");
    let text = [[0, 1, 1, 2, 2, 0].as_slice(), b"de", &[2, 2]].concat();
    let atom = forged(true, &[&text, &overflow]);
    assert!(atom.expect_err("an atom").contains("not yet atoms of this VM"));
}

/// What a node of this version writes, one of a later version can read.
#[test]
fn bytes_of_a_report_do_not_change() {
    let columns = frames::report_columns();
    let asked = Asked { by: vec![0, 2], reach_by: vec![0, 2], precision: 8, max_keys: 4, max_sketches: 3 };
    let meter = asked.meter();
    for user in 0..200 {
        record(&meter, &Sent { amounts: [1, i64::MAX], ..click([7, 7, 7, 8, 9][user as usize % 5], user) });
    }
    for campaign in [10, 11] {
        record(&meter, &click(campaign, 1));
    }
    let mut written = asked.read(&meter).into_frames(&columns);
    let mut bytes = written.next_frame(&Atoms).expect("a frame");
    assert!(written.next_frame(&Atoms).is_none());
    bytes[16..32].fill(0);
    frames::mend(&mut bytes);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/golden/meter_report.frames");
    let golden = std::fs::read(path).expect("a file");
    let begin = |bytes: &[u8]| bytes[..44 + usize::from(u16::from_le_bytes([bytes[36], bytes[37]]))].to_vec();
    assert_eq!(begin(&bytes), begin(&golden));
    // Groups come in the order of the index, which depends on the seed.
    assert!(frames::meter_report(&golden));
    assert_eq!(groups(&[bytes], 2), groups(&[golden], 2));
}
