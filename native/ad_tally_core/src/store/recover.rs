//! What a store finds in its directory: the manifest, its runs, and which segments count and how far.
//!
//! Segments are read whole, because only that tells where the last one ends. Runs are read when their part is loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::{Damage, Error, OpenError};
use super::manifest::{self, FORMAT, Folded, Manifest, ReadError, RunMeta, file_number, segment_file};
use super::segment::{FileHeader, FileKind, Segment, Tail, has_intervals, scan};

/// Bytes that were cut off the last segment, because the process had died before it had synced them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment's name.
    pub file: String,
    /// How many bytes.
    pub bytes: u64,
}

/// What a damaged store was opened without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// What was wrong.
    pub damage: Damage,
    /// How many bytes of segments count no more. How many intervals those were cannot always be told.
    pub bytes: u64,
}

/// A store as it was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub manifest: Manifest,
    /// In the order of time.
    pub segments: Vec<Segment>,
    pub torn: Option<Torn>,
    pub dropped: Option<Dropped>,
    /// A number that no file has.
    pub next_segment: u64,
}

impl Recovered {
    /// That of a directory that is no store yet.
    pub(super) fn nothing(manifest: Manifest) -> Self {
        Self { manifest, segments: Vec::new(), torn: None, dropped: None, next_segment: 1 }
    }

    pub(super) fn next_interval(&self) -> u64 {
        self.segments.last().map_or(self.manifest.folded.interval + 1, Segment::next_interval)
    }
}

/// Reads what there is. `None` if it is no store yet.
pub(super) fn recover(disk: &dyn Disk, dir: &Path, repair: bool) -> Result<Option<Recovered>, OpenError> {
    let names = disk.list(dir).map_err(|error| OpenError::Disk(Error::disk("list", dir)(error)))?;
    let numbers: Vec<u64> = names.iter().filter_map(|name| file_number(name, "journal-")).collect();
    let Some(manifest) = read_manifest(disk, dir)? else {
        let is_new = numbers.is_empty() && !names.iter().any(|name| file_number(name, "run-").is_some());
        return if is_new { Ok(None) } else { Err(no_manifest(dir)) };
    };
    for run in &manifest.runs {
        check_run(disk, dir, &manifest, run)
            .map_err(|error| refused(error, "What it held is in no other file: go on with a backup.".to_owned()))?;
    }
    let next_segment = numbers.iter().copied().max().unwrap_or(0).max(manifest.folded.segment) + 1;
    let found = Found { disk, dir, id: manifest.id(), folded: manifest.folded, numbers };
    let strict = found.headers(false).and_then(|headers| found.read(headers, &manifest.segments));
    let (segments, torn, dropped) = match strict {
        Ok((segments, torn)) => (segments, torn, None),
        Err(Error::Damaged(damage)) if repair => {
            let segments = found.what_is_whole().map_err(OpenError::Disk)?;
            let bytes = found.bytes_beside(&segments).map_err(OpenError::Disk)?;
            (segments, None, Some(Dropped { damage, bytes }))
        }
        Err(error) => {
            let repair =
                "Go on with a backup, or open it with the option `repair`: that keeps all before the damage and drops \
                          what was recorded after it."
                    .to_owned();
            return Err(refused(error, repair));
        }
    };
    Ok(Some(Recovered { manifest, segments, torn, dropped, next_segment }))
}

fn refused(error: Error, repair: String) -> OpenError {
    match error {
        Error::Damaged(damage) => OpenError::Corrupt { damage, repair },
        Error::Version { file, found, known } => OpenError::Version { file, found, known },
        error => OpenError::Disk(error),
    }
}

fn read_manifest(disk: &dyn Disk, dir: &Path) -> Result<Option<Manifest>, OpenError> {
    Manifest::read(disk, dir).map_err(|error| match error {
        ReadError::Version(found) => OpenError::Version { file: dir.join(manifest::NAME), found, known: FORMAT },
        ReadError::Error(error) => refused(error, "It says which files count: go on with a backup.".to_owned()),
    })
}

fn no_manifest(dir: &Path) -> OpenError {
    let damage = Damage::missing(&dir.join(manifest::NAME), ", and there are journals or runs beside it");
    OpenError::Corrupt { damage, repair: "It says which files count: go on with a backup.".to_owned() }
}

/// Whether a run is there, as long as it was written, and begins as one.
fn check_run(disk: &dyn Disk, dir: &Path, manifest: &Manifest, run: &RunMeta) -> Result<(), Error> {
    let path = dir.join(run.file());
    let file = open(disk, &path)?;
    let size = file.size().map_err(Error::disk("read", &path))?;
    if size != run.bytes {
        let what = format!("{size} bytes, expected {} as the manifest says", run.bytes);
        return Err(Error::damaged(&path, size.min(run.bytes), what));
    }
    let header = FileHeader::read(&*file, &path, FileKind::Run, manifest.id())?;
    let header = header.map_err(|wrong| Error::damaged(&path, wrong.at, wrong.what))?;
    if header.number != run.number {
        return Err(Error::damaged(&path, 32, format!("number: {}, expected {}", header.number, run.number)));
    }
    Ok(())
}

/// Opens a file that has to be there.
pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Box<dyn DiskFile>, Error> {
    disk.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Damage::missing(path, "").into(),
        _ => Error::disk("open", path)(error),
    })
}

/// The segments of a directory.
struct Found<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    id: u128,
    folded: Folded,
    numbers: Vec<u64>,
}

type Headers = BTreeMap<u64, FileHeader>;

impl Found<'_> {
    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file(number))
    }

    /// The headers of the segments that have become no runs yet. One that is wrong is left out if it is the newest one, and got no
    /// interval, or if it does not matter.
    fn headers(&self, any_way: bool) -> Result<Headers, Error> {
        let mut headers = Headers::new();
        let mut numbers: Vec<u64> =
            self.numbers.iter().copied().filter(|number| *number > self.folded.segment).collect();
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            let path = self.path(number);
            let file = open(self.disk, &path)?;
            let read = FileHeader::read(&*file, &path, FileKind::Segment, self.id)?;
            let wrong = match read {
                Ok(header) if header.number == number && header.previous < number => {
                    headers.insert(number, header);
                    continue;
                }
                Ok(header) => Error::damaged(&path, 32, format!("number: {}, expected {number}", header.number)),
                Err(wrong) => Error::damaged(&path, wrong.at, wrong.what),
            };
            if headers.is_empty() && !any_way && has_intervals(&*file).map_err(Error::disk("read", &path))? {
                return Err(wrong);
            }
        }
        Ok(headers)
    }

    /// Follows the segments from the newest one back, and reads them in the order of time.
    fn read(&self, headers: Headers, known: &[u64]) -> Result<(Vec<Segment>, Option<Torn>), Error> {
        let mut chain = Vec::new();
        let mut next = headers.keys().next_back().copied();
        let mut limit = None;
        while let Some(number) = next.filter(|number| *number > self.folded.segment) {
            let Some(header) = headers.get(&number) else {
                let path = self.path(number);
                return Err(Damage::missing(&path, ", or its header is damaged").into());
            };
            chain.push((*header, limit));
            (next, limit) = (Some(header.previous), Some(header.previous_length));
        }
        if let Some(missing) = known
            .iter()
            .find(|number| **number > self.folded.segment && !chain.iter().any(|(header, _)| header.number == **number))
        {
            let why = ", and the manifest says that it has intervals";
            return Err(Damage::missing(&self.path(*missing), why).into());
        }
        let (mut segments, mut torn) = (Vec::new(), None);
        let mut expected = self.folded.interval + 1;
        for (header, limit) in chain.into_iter().rev() {
            let path = self.path(header.number);
            if header.first_interval != expected {
                let what = format!("first interval: {}, expected {expected}", header.first_interval);
                return Err(Error::damaged(&path, 56, what));
            }
            let file = open(self.disk, &path)?;
            let (segment, tail) = scan(&*file, &path, header, limit, |_| {})?;
            match tail {
                Tail::Clean => {}
                Tail::Torn { bytes, .. } if limit.is_none() => {
                    torn = Some(Torn { file: segment_file(header.number), bytes })
                }
                Tail::Torn { wrong, .. } | Tail::Damaged(wrong) => {
                    return Err(Error::damaged(&path, wrong.at, wrong.what));
                }
            }
            expected = segment.next_interval();
            segments.push(segment);
        }
        Ok((segments, torn))
    }

    /// The segments from the oldest one on, as far as they are whole.
    fn what_is_whole(&self) -> Result<Vec<Segment>, Error> {
        let headers = self.headers(true)?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut previous = self.folded.segment;
        let mut expected = self.folded.interval + 1;
        loop {
            // Of several the newest: a segment that was given up before it got an interval has a later one in its place.
            let follows = |header: &&FileHeader| {
                let is_next = header.previous == previous || segments.is_empty() && header.previous <= previous;
                is_next && header.first_interval == expected
            };
            let Some(header) = headers.values().rev().find(follows) else { return Ok(segments) };
            let after = headers.values().rev().find(|after| after.previous == header.number);
            let path = self.path(header.number);
            let file = open(self.disk, &path)?;
            let size = file.size().map_err(Error::disk("read", &path))?;
            let limit = after.map(|after| after.previous_length).filter(|limit| *limit <= size);
            let (segment, tail) = scan(&*file, &path, *header, limit, |_| {})?;
            let is_whole = tail == Tail::Clean && limit.is_some();
            (previous, expected) = (header.number, segment.next_interval());
            segments.push(segment);
            if !is_whole {
                return Ok(segments);
            }
        }
    }

    /// How many bytes of the files do not count.
    fn bytes_beside(&self, segments: &[Segment]) -> Result<u64, Error> {
        let mut bytes = 0;
        for number in self.numbers.iter().filter(|number| **number > self.folded.segment) {
            let path = self.path(*number);
            let size = open(self.disk, &path)?.size().map_err(Error::disk("read", &path))?;
            let counted = segments.iter().find(|segment| segment.header.number == *number);
            bytes += size.saturating_sub(counted.map_or(0, |segment| segment.bytes));
        }
        Ok(bytes)
    }
}
