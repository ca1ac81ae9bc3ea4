//! Messages between pacers: what is written is read, in bytes that do not change, and nothing else is.

#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/change.rs"]
mod change;
#[path = "support/mod.rs"]
mod support;

use std::borrow::Cow;

use ad_tally_core::Seed;
use ad_tally_core::codec::{FrameError, MAX_FRAME_BYTES};
use ad_tally_core::key::{AtomFault, AtomNames, atom_hash};
use ad_tally_core::pacer::message::{
    Grant, Grants, MOST_TOTAL, NodeRef, PlanOf, Plans, Report, Reports, read_grants, read_plans, read_reports,
    write_grants, write_plans, write_reports,
};
use ad_tally_core::pacer::{Pace, Period, Plan};
use ad_tally_core::time::Zone;
use proptest::prelude::*;
use support::{Key, Part};

const ATOM: &str = "spring sale";

/// Knows one atom.
struct Atoms;

impl AtomNames for Atoms {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        (hash == atom_hash(ATOM)).then_some(Cow::Borrowed(ATOM))
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        if text == ATOM { Ok(atom_hash(text)) } else { Err(AtomFault::TooMany(1)) }
    }
}

fn seed() -> Seed {
    Seed::new(7)
}

fn node() -> NodeRef {
    NodeRef { name: 0x1122_3344_5566_7788, incarnation: 9 }
}

fn report() -> Report {
    Report {
        campaign: 0x0102_0304_0506_0708,
        period: 20_786,
        granted: 5_000_000_000,
        spent: 3_000_000_001,
        returned: 70_000,
        reserved: 1_250,
        presumed: 11,
        overspent: 1,
        wanted: 6_250,
        confirms: 2_400_000,
        passed: 300,
    }
}

fn grant() -> Grant {
    Grant {
        campaign: 0x0102_0304_0506_0708,
        period: 20_786,
        begin: 1_795_910_400_000,
        until: 1_795_996_800_000,
        granted: 5_000_012_500,
        spent: 3_000_000_001,
        returned: 70_000,
        keep: 12_500,
        pass: u64::MAX / 3,
        plan: 4,
    }
}

fn reports(reports: Vec<Report>) -> Reports {
    Reports { from: node(), coordinator: 5, has: 3, reports }
}

fn plan_of(version: u32, key: Key, plan: Option<Plan>) -> PlanOf {
    PlanOf { version, key: key.with(&seed(), |key| key.words.into()), plan }
}

fn plan(pace: Pace) -> Plan {
    let zone = Zone::named("America/New_York").expect("a zone");
    Plan { budget: 50_000_000_000, period: Period::Daily, zone, pace, daily_max: Some(1_250_000), price: 1_250 }
}

fn plans() -> Plans {
    let tuple = Key::Tuple(vec![Part::Atom(atom_hash(ATOM)), Part::Bytes(b"banner".to_vec())]);
    let mut weights = Box::new([1; 168]);
    weights[20] = 70_000;
    Plans {
        from: 77,
        after: 2,
        version: 9,
        plans: vec![
            plan_of(3, Key::Bare(Part::Integer(42)), Some(plan(Pace::Traffic(weights)))),
            plan_of(5, tuple, Some(plan(Pace::Even))),
            plan_of(9, Key::Bare(Part::Integer(43)), None),
        ],
    }
}

/// Without the random number of the stream, and the checksum over it.
fn hexadecimal(mut bytes: Vec<u8>) -> String {
    bytes[16..32].fill(0);
    bytes.truncate(bytes.len() - 4);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn only(mut frames: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// Frames of nothing, which say so, count as well: a node that has no campaign yet asks for plans by one.
#[test]
fn messages_are_read_as_they_were_written() {
    for sent in [reports(vec![report(), Report { campaign: 2, ..Report::default() }]), reports(Vec::new())] {
        assert_eq!(read_reports(&seed(), &only(write_reports(&seed(), &sent))), Ok(sent));
    }
    for grants in [vec![grant(), Grant { campaign: 2, ..Grant::default() }], Vec::new()] {
        let sent = Grants { to: node(), grants };
        assert_eq!(read_grants(&seed(), &only(write_grants(&seed(), &sent))), Ok(sent));
    }
    for sent in [plans(), Plans { from: 77, after: 2, version: 2, plans: Vec::new() }] {
        let bytes = only(write_plans(&seed(), &sent, &Atoms).expect("atoms that are known"));
        assert_eq!(read_plans(&seed(), &bytes, &mut Atoms), Ok((sent, Vec::new())));
    }
}

#[test]
fn bytes_of_messages_do_not_change() {
    let grants = Grants { to: node(), grants: vec![grant()] };
    let all = [
        hexadecimal(only(write_reports(&seed(), &reports(vec![report()])))),
        hexadecimal(only(write_grants(&seed(), &grants))),
        hexadecimal(only(write_plans(&seed(), &plans(), &Atoms).expect("atoms that are known"))),
    ];
    let golden = include_str!("golden/pacer_messages.txt");
    assert_eq!(all.join("\n"), golden.trim_end(), "what was written before cannot be read any more");
}

#[test]
fn many_are_several_frames_and_each_stands_alone() {
    let many: Vec<Report> = (0..40_000).map(|campaign| Report { campaign, ..report() }).collect();
    let frames = write_reports(&seed(), &reports(many.clone()));
    assert!(frames.len() > 1 && frames.iter().all(|frame| frame.len() <= MAX_FRAME_BYTES));
    let mut read = Vec::new();
    for frame in frames.iter().rev() {
        read.extend(read_reports(&seed(), frame).expect("a frame").reports);
    }
    read.sort_unstable_by_key(|report| report.campaign);
    assert_eq!(read, many);
}

/// Each frame says from where on it has all versions, so a lost one is missed.
#[test]
fn plans_of_several_frames_follow_each_other_without_a_gap() {
    let long = |version: u32| Key::Bare(Part::Bytes(vec![version as u8; 60_000]));
    let many = (3..60_u32).map(|version| plan_of(2 * version, long(version), Some(plan(Pace::Even)))).collect();
    let sent = Plans { from: 77, after: 4, version: 200, plans: many };
    let frames = write_plans(&seed(), &sent, &Atoms).expect("no atoms");
    assert!(frames.len() > 3 && frames.iter().all(|frame| frame.len() <= MAX_FRAME_BYTES));
    let (mut has, mut read) = (4, Vec::new());
    for frame in &frames {
        let (plans, _) = read_plans(&seed(), frame, &mut Atoms).expect("a frame");
        assert_eq!((plans.from, plans.after), (77, has));
        has = plans.version;
        read.extend(plans.plans);
    }
    assert_eq!((has, read), (200, sent.plans));
}

#[test]
fn a_message_of_another_kind_seed_or_node_is_told_apart() {
    let bytes = only(write_reports(&seed(), &reports(vec![report()])));
    let of_another = read_reports(&Seed::new(8), &bytes).expect_err("another seed").to_string();
    assert_eq!(of_another, "seed: another one, expected that of this pacer (byte 44 of the frame)");
    let as_grants = read_grants(&seed(), &bytes).expect_err("no grants").to_string();
    assert_eq!(as_grants, "kind: pacer_reports, expected pacer_grants (byte 10 of the frame)");
    let grants = Grants { to: NodeRef { incarnation: 10, ..node() }, grants: vec![grant()] };
    assert_ne!(read_grants(&seed(), &only(write_grants(&seed(), &grants))).expect("grants").to, node());
}

#[test]
fn amounts_that_no_account_has_are_refused() {
    let refused = |report: Report| {
        let bytes = only(write_reports(&seed(), &reports(vec![report])));
        read_reports(&seed(), &bytes).expect_err("an account that cannot be").field
    };
    assert_eq!(refused(Report { returned: 5_000_000_001, ..report() }), "returned");
    assert_eq!(refused(Report { overspent: 3_000_000_002, ..report() }), "overspent");
    assert_eq!(refused(Report { granted: MOST_TOTAL, ..report() }), "granted");
    assert_eq!(refused(Report { wanted: u64::MAX, ..report() }), "wanted");
    let bytes =
        only(write_grants(&seed(), &Grants { to: node(), grants: vec![Grant { returned: 9, granted: 8, ..grant() }] }));
    assert_eq!(read_grants(&seed(), &bytes).expect_err("an account that cannot be").field, "returned");
}

#[test]
fn plans_out_of_order_or_past_their_version_are_refused() {
    let refused = |change: fn(&mut Plans)| {
        let mut sent = plans();
        change(&mut sent);
        let bytes = only(write_plans(&seed(), &sent, &Atoms).expect("atoms that are known"));
        read_plans(&seed(), &bytes, &mut Atoms).expect_err("wrong versions").to_string()
    };
    assert!(refused(|plans| plans.plans.swap(0, 1)).starts_with("version: 3, expected above 5 and at most 9"));
    assert!(refused(|plans| plans.after = 3).starts_with("version: 3, expected above 3"));
    assert!(refused(|plans| plans.version = 8).starts_with("version: 9, expected above 5 and at most 8"));
    assert!(refused(|plans| plans.version = 1).starts_with("version of plans: 1, expected 2 or more"));
}

/// One that only its coordinator can read must not keep back those that come with it and after it.
#[test]
fn a_plan_that_cannot_be_read_is_apart_and_the_others_are_there() {
    let mut sent = plans();
    let of_later_version = Plan { budget: 0, ..plan(Pace::Even) };
    sent.plans[1].plan = Some(of_later_version);
    let bytes = only(write_plans(&seed(), &sent, &Atoms).expect("atoms that are known"));
    let (read, unreadable) = read_plans(&seed(), &bytes, &mut Atoms).expect("a frame");
    let kept_back = sent.plans.remove(1);
    assert_eq!(read, sent);
    let of: Vec<_> = unreadable.iter().map(|one| (one.version, &one.key)).collect();
    assert_eq!(of, [(kept_back.version, &kept_back.key)]);
    assert!(unreadable[0].error.to_string().starts_with("budget: 0, expected 1 to"), "{}", unreadable[0].error);
}

#[test]
fn an_atom_without_a_text_is_no_message() {
    let mut sent = plans();
    sent.plans[0] = plan_of(3, Key::Bare(Part::Atom(atom_hash("another"))), None);
    assert_eq!(write_plans(&seed(), &sent, &Atoms), Err(atom_hash("another")));
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.len().checked_sub(4) {
        let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
    }
    bytes
}

/// What a zone takes that is in a plan, or is not found and is compared with all names.
const ZONE_BYTES: usize = 256 << 10;

/// Reads bytes as all three: what they are refused for names a field, and whatever they are, little is allocated.
fn read_any(bytes: &[u8]) -> bool {
    read_as(bytes, 0, |bytes| read_reports(&seed(), bytes))
        | read_as(bytes, 0, |bytes| read_grants(&seed(), bytes))
        | read_as(bytes, ZONE_BYTES, |bytes| read_plans(&seed(), bytes, &mut Atoms))
}

fn read_as<M>(bytes: &[u8], more: usize, read: impl FnOnce(&[u8]) -> Result<M, FrameError>) -> bool {
    let (read, peak) = allocations::peak(|| read(bytes).map(drop));
    assert!(peak <= 64 * bytes.len() + 4_096 + more, "{peak} bytes were allocated for {}", bytes.len());
    if let Err(error) = &read {
        assert!(!error.field.is_empty() && error.at <= bytes.len(), "{error:?}");
    }
    read.is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_change_of_a_message_is_refused_or_another_message(
        which in 0..3_usize,
        changes in prop::collection::vec(change::change(), 1..4),
        is_mended: bool,
    ) {
        let golden = include_str!("golden/pacer_messages.txt");
        let hex = golden.lines().nth(which).expect("three messages");
        let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
        let mut bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digits).chain([0; 4]).collect();
        bytes = with_checksum(bytes);
        prop_assert!(read_any(&bytes));
        let files = [(String::new(), bytes.clone())];
        let before = bytes.clone();
        changes.iter().for_each(|change| change.make(&mut bytes, &files));
        if is_mended {
            read_any(&with_checksum(bytes));
        } else {
            prop_assert_eq!(read_any(&bytes), bytes == before);
        }
    }
}
