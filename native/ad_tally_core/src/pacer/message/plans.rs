//! Plans as frames.
//!
//! ```text
//! plan     version   LEB128, below 2^32: above `after` and that of the plan before, at most the frame's `version`
//!          key       see `key::bytes`
//!          bytes     LEB128, 0 if the campaign was deleted; as many bytes, see `plan_bytes`
//! ```
//!
//! A frame has all plans of versions above `after` up to its own. So a node takes it if it has all up to `after`, and has all up to its version
//! then. One that was lost is missed by that, and comes again.

use super::frames::{number_of, read_frame, read_u32};
use crate::codec::{FrameError, FrameWriter, Kind, MAX_FRAME_BYTES, Name, Reader, Settings, StreamId, Value, Writer};
use crate::key::{AtomNames, Seed, encode_key};
use crate::pacer::plan::Plan;

/// The plan that a campaign has since some version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOf {
    /// The version of the coordinator's plans that it came with.
    pub version: u32,
    /// The words of the campaign's key.
    pub key: Box<[u64]>,
    /// None: the campaign was deleted.
    pub plan: Option<Plan>,
}

/// Plans of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans {
    /// Whose: each coordinator has versions of its own, and without a store each time that it is started.
    pub from: u64,
    /// These are for who has all plans up to this version,
    pub after: u32,
    /// and has all up to this one then.
    pub version: u32,
    /// In the order of their versions.
    pub plans: Vec<PlanOf>,
}

/// The plans of a coordinator as frames of at most 1 MiB, one at least. `plans` are all of versions above `after` up to `version`, in their order.
///
/// # Errors
/// The hash of an atom in a key whose text is not known.
pub fn write_plans(seed: &Seed, plans: &Plans, atoms: &impl AtomNames) -> Result<Vec<Vec<u8>>, u64> {
    let Plans { from, after, version, plans } = plans;
    let (mut frames, mut rows, mut bytes, mut begin, mut last) = (Vec::new(), Vec::new(), 0, *after, *after);
    for plan in plans {
        let row = row(plan, atoms)?;
        if bytes + row.len() > MOST_ROW_BYTES {
            frames.push(frame(seed, *from, [begin, last], &rows));
            rows.clear();
            (bytes, begin) = (0, last);
        }
        bytes += row.len();
        last = plan.version;
        rows.push(row);
    }
    frames.push(frame(seed, *from, [begin, *version], &rows));
    Ok(frames)
}

/// A plan that this node cannot read: of a time zone that its database does not have, or of a later version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The version of the coordinator's plans that it came with.
    pub version: u32,
    /// The words of the campaign's key.
    pub key: Box<[u64]>,
    /// Why.
    pub error: FrameError,
}

/// Reads a frame of plans of pacers of that seed. Plans that cannot be read are apart, and keep back no others.
///
/// # Errors
/// The first field that is wrong beside plans. Nothing is to be applied then, but atoms may have been made.
pub fn read_plans(
    seed: &Seed,
    bytes: &[u8],
    atoms: &mut impl AtomNames,
) -> Result<(Plans, Vec<Unreadable>), FrameError> {
    let frame = read_frame(Kind::PacerPlans, seed, bytes)?;
    let (from, after) = (frame.settings.number(Name::Coordinator), number_of(&frame, Name::After)?);
    let version = number_of(&frame, Name::Version)?;
    if version < after {
        return Err(frame.setting_error(Name::Version, version, format_args!("{after} or more, which it comes after")));
    }
    let (mut plans, mut unreadable) = (Vec::new(), Vec::new());
    let mut last = after;
    frame.check_rows(|reader| {
        let (version, key, plan) = read_row(reader, last, version, atoms)?;
        last = version;
        match plan {
            Ok(plan) => plans.push(PlanOf { version, key, plan }),
            Err(error) => unreadable.push(Unreadable { version, key, error }),
        }
        Ok(())
    })?;
    Ok((Plans { from, after, version, plans }, unreadable))
}

/// What a frame has room for beside its header and settings.
const MOST_ROW_BYTES: usize = MAX_FRAME_BYTES - 1_024;

fn row(plan: &PlanOf, atoms: &impl AtomNames) -> Result<Vec<u8>, u64> {
    let mut writer = Writer::default();
    writer.number(plan.version.into());
    writer.with(|bytes| encode_key(&plan.key, atoms, bytes))?;
    let bytes = plan.plan.as_ref().map(Plan::to_bytes).unwrap_or_default();
    writer.number(bytes.len() as u64);
    writer.bytes(&bytes);
    Ok(writer.into_bytes())
}

fn frame(seed: &Seed, from: u64, [after, version]: [u32; 2], rows: &[Vec<u8>]) -> Vec<u8> {
    let numbers = [
        (Name::Seed, seed.value()),
        (Name::Coordinator, from),
        (Name::After, after.into()),
        (Name::Version, version.into()),
    ];
    let settings = Settings::new(Kind::PacerPlans, numbers.map(|(name, number)| (name, Value::Number(number))));
    let mut writer = FrameWriter::new(Kind::PacerPlans, StreamId::random(), &settings);
    for row in rows {
        let has_room = writer.row(|writer| writer.bytes(row));
        assert!(has_room, "rows of at most {MOST_ROW_BYTES} bytes have room");
    }
    writer.finish(true)
}

type Row = (u32, Box<[u64]>, Result<Option<Plan>, FrameError>);

fn read_row(reader: &mut Reader<'_>, last: u32, most: u32, atoms: &mut impl AtomNames) -> Result<Row, FrameError> {
    let at = reader.at();
    let version = read_u32(reader, "version")?;
    if version <= last || version > most {
        return Err(FrameError::new("version", at, version, format_args!("above {last} and at most {most}")));
    }
    let mut key = Vec::new();
    reader.key(atoms, &mut key)?;
    let length = reader.number("plan", 0..=reader.rest().len() as u64)? as usize;
    let at = reader.at();
    let bytes = reader.bytes("plan", length)?;
    let plan = match bytes {
        [] => Ok(None),
        bytes => Plan::from_bytes(bytes).map(Some).map_err(|error| FrameError { at: at + error.at, ..error }),
    };
    Ok((version, key.into(), plan))
}
