//! What a store holds, for people: every frame is checked, and nothing is changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::disk::Disk;
use super::error::{Damage, Error, OpenError};
use super::frame::{FrameReader, RawFrame};
use super::load::{Place, RunFile, each_entry, each_frame_of_segment, fault};
use super::manifest::{Manifest, PartMeta, segment_file};
use super::recover::{Recovered, recover};
use crate::journal::EntryKind;

/// A store as it lies on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// 32 hexadecimal digits, the same in all files of a store.
    pub id: String,
    /// How often it was opened.
    pub opened: u32,
    /// The parts, the store's own first: that has the texts of atoms.
    pub parts: Vec<PartReport>,
    /// The files that count.
    pub files: Vec<FileReport>,
    /// Bytes at the end of the last segment that do not count: of a store that is open they may be on their way.
    pub torn_bytes: u64,
    /// What is wrong with runs. A part that one is of cannot be loaded.
    pub damages: Vec<Damage>,
}

/// A part of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReport {
    /// Its number.
    pub number: u16,
    /// Its name, empty for the store's own.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// How many configurations it has had.
    pub configs: usize,
    /// Entries by what they are. One that is in several files counts in each.
    pub entries: BTreeMap<&'static str, u64>,
    /// Bytes of its frames.
    pub bytes: u64,
}

/// A file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Whose it is: of a run, the name of its part.
    pub part: Option<String>,
    /// Whether it is a base.
    pub is_base: bool,
    /// The intervals that it has, from the first to the last. None of them: the last is before the first.
    pub intervals: (u64, u64),
    /// How many bytes count.
    pub bytes: u64,
    /// Frames and entries in them.
    pub frames: u64,
    /// See `frames`.
    pub entries: u64,
}

impl Report {
    /// About how long a start takes on two cores: 200 ns an entry, and the bytes at 200 MB a second.
    #[must_use]
    pub fn start_takes(&self) -> Duration {
        let entries: u64 = self.files.iter().map(|file| file.entries).sum();
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        Duration::from_nanos(entries * 200 + bytes * 5)
    }
}

/// Reads a store whole, which may be open meanwhile.
///
/// # Errors
/// That there is none, that a segment or the manifest is damaged, or what the disk says.
pub fn inspect(disk: &dyn Disk, dir: &Path) -> Result<Report, OpenError> {
    again_while_files_go(|| {
        let found = recover(disk, dir, false)?.ok_or_else(|| no_store(dir))?;
        report(disk, dir, &found)
    })
}

/// Tries again when a file has gone that the manifest named: a store that is open may have merged it meanwhile.
pub(super) fn again_while_files_go<R>(mut act: impl FnMut() -> Result<R, OpenError>) -> Result<R, OpenError> {
    const TIMES: usize = 10;
    let mut result = act();
    for _ in 0..TIMES {
        match &result {
            Err(OpenError::Corrupt { damage, .. }) if damage.is_missing() => result = act(),
            _ => break,
        }
    }
    result
}

pub(super) fn no_store(dir: &Path) -> OpenError {
    let error = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no store");
    OpenError::Disk(Error::Disk { what: "read", path: dir.to_owned(), error })
}

fn report(disk: &dyn Disk, dir: &Path, found: &Recovered) -> Result<Report, OpenError> {
    let manifest = &found.manifest;
    let place = Place { disk, dir, id: manifest.id() };
    let mut report = Report {
        id: manifest.id.clone(),
        opened: manifest.opened,
        parts: parts(manifest),
        torn_bytes: found.torn.as_ref().map_or(0, |torn| torn.bytes),
        ..Report::default()
    };
    for meta in &manifest.runs {
        let mut file = FileReport {
            name: meta.file(),
            part: report.parts.iter().find(|part| part.number == meta.part).map(|part| part.name.clone()),
            is_base: meta.level == 0,
            intervals: (meta.from, meta.to),
            bytes: meta.bytes,
            frames: 0,
            entries: 0,
        };
        let read = RunFile::open(place, meta).and_then(|run| {
            let mut frames: FrameReader<'_> = run.frames();
            let mut frame = RawFrame::empty();
            while frames.next(&mut frame).map_err(|wrong| fault(&run.path, wrong))? {
                count(&mut report.parts, &mut file, &run.path, &frame)?;
            }
            run.check_end(&frames)
        });
        report.files.push(file);
        if let Err(error) = read {
            report.damages.push(damage(error)?);
        }
    }
    for segment in &found.segments {
        let mut file = FileReport {
            name: segment_file(segment.header.number),
            part: None,
            is_base: false,
            intervals: (segment.header.first_interval, segment.next_interval() - 1),
            bytes: segment.bytes,
            frames: 0,
            entries: 0,
        };
        let read =
            each_frame_of_segment(place, segment, |path, frame| count(&mut report.parts, &mut file, path, frame));
        report.files.push(file);
        if let Err(error) = read {
            report.damages.push(damage(error)?);
        }
    }
    Ok(report)
}

/// What is missing may only have been merged meanwhile, so all of it is read again.
fn damage(error: Error) -> Result<Damage, OpenError> {
    match error {
        Error::Damaged(damage) if damage.is_missing() => {
            Err(OpenError::Corrupt { damage, repair: "Go on with a backup.".to_owned() })
        }
        Error::Damaged(damage) => Ok(damage),
        error => Err(OpenError::Disk(error)),
    }
}

fn parts(manifest: &Manifest) -> Vec<PartReport> {
    let part = |part: &PartMeta| PartReport {
        number: part.number,
        name: part.name.clone(),
        kind: part.kind.clone(),
        configs: part.configs.len(),
        entries: BTreeMap::new(),
        bytes: 0,
    };
    let own = PartReport {
        number: crate::journal::STORE_PART,
        name: String::new(),
        kind: "store".to_owned(),
        configs: 0,
        entries: BTreeMap::new(),
        bytes: 0,
    };
    std::iter::once(own).chain(manifest.parts.iter().map(part)).collect()
}

fn count(parts: &mut [PartReport], file: &mut FileReport, path: &Path, frame: &RawFrame) -> Result<(), Error> {
    let mut kinds: BTreeMap<EntryKind, u64> = BTreeMap::new();
    each_entry(path, frame, |entry| {
        *kinds.entry(entry.kind()).or_default() += 1;
        Ok(())
    })?;
    file.frames += 1;
    file.entries += u64::from(frame.header.entries);
    let part = parts.iter_mut().find(|part| part.number == frame.header.part);
    let Some(part) = part else {
        let what = format!("part: {}, expected one that the manifest has", frame.header.part);
        return Err(Error::damaged(path, frame.at, what));
    };
    part.bytes += frame.bytes.len() as u64;
    for (kind, count) in kinds {
        *part.entries.entry(kind.text()).or_default() += count;
    }
    Ok(())
}
