//! A copy of a store, which may be open meanwhile: all of it as it was at one moment.

use std::path::Path;

use super::disk::{Disk, DiskFile, create_folders, read_full, write_all};
use super::error::{Error, OpenError};
use super::inspect::{again_while_files_go, inspect, no_store};
use super::manifest::segment_file;
use super::recover::{Recovered, open, recover};
use super::segment::numbers;

/// What is copied at once.
const STEP_BYTES: usize = 1 << 20;

/// A backup that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// How many files were copied, beside the manifest.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// The last interval that it has.
    pub interval: u64,
}

/// Copies a store to another directory, which is made or empty, and reads the copy whole. It can be opened as any store.
///
/// # Errors
/// That there is no store, that it is damaged, that the directory has files, or what the disk says.
pub fn backup(disk: &dyn Disk, from: &Path, to: &Path) -> Result<Backup, OpenError> {
    create_folders(disk, to).map_err(|error| OpenError::Disk(Error::disk("create", to)(error)))?;
    let there = disk.list(to).map_err(|error| OpenError::Disk(Error::disk("list", to)(error)))?;
    if let Some(name) = there.first() {
        let error = std::io::Error::other(format!("it has files, as {name}: give an empty directory"));
        return Err(OpenError::Disk(Error::Disk { what: "write a backup to", path: to.to_owned(), error }));
    }
    let backup = again_while_files_go(|| {
        let found = recover(disk, from, false)?.ok_or_else(|| no_store(from))?;
        let copied = copy(disk, from, to, &found);
        if copied.is_err() {
            // Of an attempt that is repeated nothing is to be left.
            for name in disk.list(to).unwrap_or_default() {
                let _ = disk.remove(&to.join(name));
            }
        }
        copied.map_err(|error| match error {
            Error::Damaged(damage) => OpenError::Corrupt { damage, repair: "Go on with an older backup.".to_owned() },
            error => OpenError::Disk(error),
        })
    })?;
    let report = inspect(disk, to)?;
    match report.damages.into_iter().next() {
        None => Ok(backup),
        Some(damage) => {
            Err(OpenError::Corrupt { damage, repair: "The backup is not one: look at the disk.".to_owned() })
        }
    }
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path, found: &Recovered) -> Result<Backup, Error> {
    let mut manifest = found.manifest.clone();
    let mut backup = Backup { files: 0, bytes: 0, interval: found.next_interval() - 1 };
    let runs = manifest.runs.iter().map(|run| (run.file(), run.bytes));
    // Of a segment that is written to all whole intervals.
    let segments = found.segments.iter().map(|segment| (segment_file(segment.header.number), segment.bytes));
    for (name, bytes) in runs.chain(segments) {
        copy_file(disk, &from.join(&name), &to.join(&name), bytes)?;
        backup.files += 1;
        backup.bytes += bytes;
    }
    disk.sync_folder(to).map_err(Error::disk("sync", to))?;
    manifest.segments = numbers(&found.segments);
    manifest.replace(disk, to)?;
    Ok(backup)
}

fn copy_file(disk: &dyn Disk, from: &Path, to: &Path, bytes: u64) -> Result<(), Error> {
    let source = open(disk, from)?;
    let mut copy: Box<dyn DiskFile> = disk.create(to).map_err(Error::disk("create", to))?;
    let mut step = vec![0; STEP_BYTES];
    let mut at = 0;
    while at < bytes {
        let wanted = usize::try_from(bytes - at).map_or(STEP_BYTES, |left| left.min(STEP_BYTES));
        let read = read_full(&*source, &mut step[..wanted], at).map_err(Error::disk("read", from))?;
        if read == 0 {
            return Err(Error::damaged(from, at, format!("cut off, expected {bytes} bytes")));
        }
        write_all(&mut *copy, &step[..read]).map_err(Error::disk("write", to))?;
        at += read as u64;
    }
    copy.sync().map_err(Error::disk("sync", to))
}
