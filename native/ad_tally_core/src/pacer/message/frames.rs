//! Reports and grants as frames.
//!
//! ```text
//! report   campaign  u64
//!          period    LEB128, below 2^32
//!          granted, spent, returned, reserved, presumed, overspent, wanted, confirms, passed: LEB128, below 2^63
//! grant    campaign  u64
//!          period    LEB128, below 2^32
//!          begin, until: LEB128, at most 2^47
//!          granted, spent, returned: LEB128, below 2^63
//!          keep, pass: LEB128
//!          plan      LEB128, below 2^32
//! ```

use super::{Grant, MOST_TOTAL, NodeRef, Report};
use crate::codec::{Frame, FrameError, FrameWriter, Kind, Name, Reader, Settings, StreamId, Value, Writer};
use crate::error::TIMES;
use crate::key::Seed;

/// What a node has reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// Which node.
    pub from: NodeRef,
    /// Of which coordinator it has plans, as [`Plans::from`](super::Plans::from) said, and up to which version. Of another one it has none.
    pub coordinator: u64,
    /// The version.
    pub has: u32,
    /// Its campaigns, or some of them.
    pub reports: Vec<Report>,
}

/// What a node was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Which node: what was granted to one is nothing to any other, nor to a later incarnation of itself.
    pub to: NodeRef,
    /// Its campaigns, or some of them.
    pub grants: Vec<Grant>,
}

/// A node's reports as frames of at most 1 MiB, one at least.
#[must_use]
pub fn write_reports(seed: &Seed, reports: &Reports) -> Vec<Vec<u8>> {
    let Reports { from, coordinator, has, reports } = reports;
    let more = [(Name::Coordinator, Value::Number(*coordinator)), (Name::Version, Value::Number((*has).into()))];
    write(Kind::PacerReports, &settings(Kind::PacerReports, seed, *from, more), reports, write_report)
}

/// Reads a frame of reports of pacers of that seed.
///
/// # Errors
/// The first field that is wrong. Nothing is to be applied then.
pub fn read_reports(seed: &Seed, bytes: &[u8]) -> Result<Reports, FrameError> {
    let frame = read_frame(Kind::PacerReports, seed, bytes)?;
    let (coordinator, has) = (frame.settings.number(Name::Coordinator), number_of(&frame, Name::Version)?);
    let mut reports = Vec::new();
    frame.check_rows(|reader| read_report(reader).map(|report| reports.push(report)))?;
    Ok(Reports { from: node(&frame), coordinator, has, reports })
}

/// What a node is granted, as frames of at most 1 MiB, one at least.
#[must_use]
pub fn write_grants(seed: &Seed, grants: &Grants) -> Vec<Vec<u8>> {
    let Grants { to, grants } = grants;
    write(Kind::PacerGrants, &settings(Kind::PacerGrants, seed, *to, []), grants, write_grant)
}

/// Reads a frame of grants of pacers of that seed.
///
/// # Errors
/// The first field that is wrong. Nothing is to be applied then.
pub fn read_grants(seed: &Seed, bytes: &[u8]) -> Result<Grants, FrameError> {
    let frame = read_frame(Kind::PacerGrants, seed, bytes)?;
    let mut grants = Vec::new();
    frame.check_rows(|reader| read_grant(reader).map(|grant| grants.push(grant)))?;
    Ok(Grants { to: node(&frame), grants })
}

/// Reads a frame of a kind of pacers of that seed.
pub(super) fn read_frame<'a>(kind: Kind, seed: &Seed, bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
    let frame = Frame::read(bytes)?;
    if frame.kind == kind && frame.settings.number(Name::Seed) != seed.value() {
        // Which one stays unknown.
        return Err(frame.setting_error(Name::Seed, "another one", "that of this pacer"));
    }
    frame.expect(kind, &frame.settings)?;
    Ok(frame)
}

/// A setting that is a number of 32 bits.
pub(super) fn number_of(frame: &Frame<'_>, name: Name) -> Result<u32, FrameError> {
    let number = frame.settings.number(name);
    u32::try_from(number).map_err(|_| frame.setting_error(name, number, "less than 2^32"))
}

fn settings<const N: usize>(kind: Kind, seed: &Seed, node: NodeRef, more: [(Name, Value); N]) -> Settings {
    let own = [
        (Name::Seed, Value::Number(seed.value())),
        (Name::Node, Value::Number(node.name)),
        (Name::Incarnation, Value::Number(node.incarnation)),
    ];
    Settings::new(kind, own.into_iter().chain(more))
}

fn node(frame: &Frame<'_>) -> NodeRef {
    let [name, incarnation] = [Name::Node, Name::Incarnation].map(|name| frame.settings.number(name));
    NodeRef { name, incarnation }
}

fn write<R>(kind: Kind, settings: &Settings, rows: &[R], write: impl Fn(&R, &mut Writer)) -> Vec<Vec<u8>> {
    let mut writer = FrameWriter::new(kind, StreamId::random(), settings);
    let mut frames = Vec::new();
    for row in rows {
        if !writer.row(|writer| write(row, writer)) {
            frames.push(writer.finish(false));
        }
    }
    frames.push(writer.finish(true));
    frames
}

fn write_report(report: &Report, writer: &mut Writer) {
    writer.u64(report.campaign);
    writer.number(report.period.into());
    let totals = [
        report.granted,
        report.spent,
        report.returned,
        report.reserved,
        report.presumed,
        report.overspent,
        report.wanted,
        report.confirms,
        report.passed,
    ];
    totals.into_iter().for_each(|total| writer.number(total));
}

fn read_report(reader: &mut Reader<'_>) -> Result<Report, FrameError> {
    let report = Report {
        campaign: reader.u64("campaign")?,
        period: read_u32(reader, "period")?,
        granted: read_total(reader, "granted")?,
        spent: read_total(reader, "spent")?,
        returned: read_total(reader, "returned")?,
        reserved: read_total(reader, "reserved")?,
        presumed: read_total(reader, "presumed")?,
        overspent: read_total(reader, "overspent")?,
        wanted: read_total(reader, "wanted")?,
        confirms: read_total(reader, "confirms")?,
        passed: read_total(reader, "passed")?,
    };
    let Report { granted, spent, returned, overspent, .. } = report;
    check_part(reader, "returned", returned, ("granted", granted))?;
    check_part(reader, "overspent", overspent, ("spent", spent))?;
    Ok(report)
}

fn write_grant(grant: &Grant, writer: &mut Writer) {
    writer.u64(grant.campaign);
    let numbers = [
        grant.period.into(),
        grant.begin,
        grant.until,
        grant.granted,
        grant.spent,
        grant.returned,
        grant.keep,
        grant.pass,
        grant.plan.into(),
    ];
    numbers.into_iter().for_each(|number| writer.number(number));
}

fn read_grant(reader: &mut Reader<'_>) -> Result<Grant, FrameError> {
    let grant = Grant {
        campaign: reader.u64("campaign")?,
        period: read_u32(reader, "period")?,
        begin: reader.number("begin", 0..=TIMES)?,
        until: reader.number("until", 0..=TIMES)?,
        granted: read_total(reader, "granted")?,
        spent: read_total(reader, "spent")?,
        returned: read_total(reader, "returned")?,
        keep: reader.number("keep", 0..=u64::MAX)?,
        pass: reader.number("pass", 0..=u64::MAX)?,
        plan: read_u32(reader, "plan")?,
    };
    let Grant { granted, returned, .. } = grant;
    check_part(reader, "returned", returned, ("granted", granted))?;
    Ok(grant)
}

pub(super) fn read_u32(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, FrameError> {
    reader.number(field, 0..=u32::MAX.into()).map(|number| number as u32)
}

/// Checks that a total is not above the one that it is a part of.
fn check_part(
    reader: &Reader<'_>,
    field: &'static str,
    total: u64,
    (of, whole): (&str, u64),
) -> Result<(), FrameError> {
    if total <= whole {
        return Ok(());
    }
    Err(FrameError::new(field, reader.at(), total, format_args!("at most what was {of}, {whole}")))
}

fn read_total(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, FrameError> {
    reader.number(field, 0..=MOST_TOTAL - 1)
}
