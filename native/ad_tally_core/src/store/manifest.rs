//! The manifest: which parts a store has, and which of its files count. It is one file of JSON, which is replaced whole.
//!
//! ```text
//! {"checksum":"1d82b6f3",
//! "manifest":{"format":1,"id":"...","opened":3,...}}
//! ```
//!
//! The checksum is the CRC-32C of the bytes behind `"manifest":` but for the last brace. A new one is written beside the old one,
//! synced, renamed, and the folder is synced: whenever the process dies there is one of the two, whole.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, read_full, write_all};
use super::error::Error;
use crate::journal::STORE_PART;

pub(super) const FORMAT: u32 = 1;
pub(super) const NAME: &str = "MANIFEST";
pub(super) const NEW_NAME: &str = "MANIFEST.new";
const MAX_BYTES: u64 = 64 << 20;

/// What a store consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub format: u32,
    /// 32 hexadecimal digits, in the header of every file.
    pub id: String,
    /// How often the store was opened.
    pub opened: u32,
    /// The number of the next run.
    pub next_run: u64,
    pub folded: Folded,
    pub parts: Vec<PartMeta>,
    pub runs: Vec<RunMeta>,
    /// Segments that are known to have intervals. There may be newer ones, of a disk that refused to say so.
    pub segments: Vec<u64>,
}

/// Up to where segments have become runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folded {
    /// The number of the last such segment.
    pub segment: u64,
    /// Its last interval.
    pub interval: u64,
}

/// A part of the service, as a meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartMeta {
    /// Its number in all files.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// What it is, as `meter`.
    pub kind: String,
    /// The seed of its hashes.
    pub seed: u64,
    /// When it was made, in microseconds since 1970: the epoch of its windows.
    pub epoch: u64,
    /// Its configurations, the newest last.
    pub configs: Vec<ConfigMeta>,
}

/// A configuration that a part had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigMeta {
    /// Its number, by which windows name it.
    pub number: u32,
    /// What the part wrote.
    pub text: String,
}

/// A run: sorted entries of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunMeta {
    pub part: u16,
    /// 0 the base, 1 a segment's entries.
    pub level: u8,
    pub number: u64,
    /// The intervals that it has.
    pub from: u64,
    pub to: u64,
    pub bytes: u64,
    pub entries: u64,
    /// How many of them say that something older is no more.
    pub tombstones: u64,
    /// The checksum of its last frame, on which all before it depend.
    pub checksum: u32,
    /// When it was written, in milliseconds since 1970.
    pub written: u64,
}

impl RunMeta {
    pub(super) fn file(&self) -> String {
        run_file(self.number)
    }
}

pub(super) fn run_file(number: u64) -> String {
    format!("run-{number:08}")
}

pub(super) fn segment_file(number: u64) -> String {
    format!("journal-{number:08}")
}

/// The number in the name of a run or segment.
pub(super) fn file_number(name: &str, begin: &str) -> Option<u64> {
    let digits = name.strip_prefix(begin)?;
    let number = digits.parse().ok()?;
    // Only names as they are written here, so that each file has one.
    (format!("{number:08}") == digits).then_some(number)
}

impl Manifest {
    /// That of a new store.
    pub(super) fn new(id: u128) -> Self {
        Self {
            format: FORMAT,
            id: format!("{id:032x}"),
            opened: 0,
            next_run: 1,
            folded: Folded::default(),
            parts: Vec::new(),
            runs: Vec::new(),
            segments: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> u128 {
        u128::from_str_radix(&self.id, 16).unwrap_or_default()
    }

    /// The runs of a part, the oldest first.
    pub(super) fn runs_of(&self, part: u16) -> impl Iterator<Item = &RunMeta> {
        self.runs.iter().filter(move |run| run.part == part)
    }

    /// Reads it. `None` where there is none.
    pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, ReadError> {
        let path = dir.join(NAME);
        let refused = |error| ReadError::Error(Error::disk("read", &path)(error));
        let file = match disk.open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(refused)?,
        };
        let size = file.size().map_err(refused)?;
        if size > MAX_BYTES {
            let what = format!("{size} bytes, expected at most {MAX_BYTES}");
            return Err(ReadError::Error(Error::damaged(&path, MAX_BYTES, what)));
        }
        let mut bytes = vec![0; size as usize];
        let read = read_full(&*file, &mut bytes, 0).map_err(refused)?;
        bytes.truncate(read);
        let json = unwrap(&bytes).map_err(|(at, what)| Error::damaged(&path, at, what))?;
        let Format { format } =
            serde_json::from_slice(json).map_err(|error| Error::damaged(&path, 0, error.to_string()))?;
        if format != FORMAT {
            return Err(ReadError::Version(format));
        }
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|error| Error::damaged(&path, error.column() as u64, error.to_string()))?;
        manifest.check().map_err(|what| Error::damaged(&path, 0, what))?;
        Ok(Some(manifest))
    }

    /// Writes it in place of the one before.
    pub(super) fn replace(&self, disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        let (path, new) = (dir.join(NAME), dir.join(NEW_NAME));
        // What would be refused at the next start is refused while the one before is still there.
        self.check().map_err(|what| Error::damaged(&new, 0, what))?;
        let mut file = disk.create(&new).map_err(Error::disk("create", &new))?;
        write_all(&mut *file, &self.bytes()).map_err(Error::disk("write", &new))?;
        file.sync().map_err(Error::disk("sync", &new))?;
        drop(file);
        disk.rename(&new, &path).map_err(Error::disk("rename", &new))?;
        disk.sync_folder(dir).map_err(Error::disk("sync", dir))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("names and numbers are JSON");
        format!("{{\"checksum\":\"{:08x}\",\n\"manifest\":{json}}}\n", crc32c::crc32c(json.as_bytes())).into_bytes()
    }

    /// Whether it makes sense: a checksum that is right says only that these are the bytes that were written.
    fn check(&self) -> Result<(), String> {
        if self.id.len() != 32 || u128::from_str_radix(&self.id, 16).is_err() {
            return Err(format!("id: {:?}, expected 32 hexadecimal digits", self.id));
        }
        let numbers: BTreeSet<u16> = self.parts.iter().map(|part| part.number).collect();
        let names: BTreeSet<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        if numbers.len() != self.parts.len() || names.len() != self.parts.len() {
            return Err("parts: two of one number or name, expected each once".to_owned());
        }
        let files: BTreeSet<u64> = self.runs.iter().map(|run| run.number).collect();
        if files.len() != self.runs.len() || files.last().is_some_and(|last| *last >= self.next_run) {
            return Err(format!("runs: {files:?}, expected each once and below next_run, {}", self.next_run));
        }
        for run in &self.runs {
            // The store's own part has the texts of atoms, and no name.
            if run.part != STORE_PART && !numbers.contains(&run.part) {
                return Err(format!("{}: part {}, expected one of {numbers:?}", run.file(), run.part));
            }
            if run.from > run.to || run.to > self.folded.interval {
                let folded = self.folded.interval;
                return Err(format!(
                    "{}: intervals {} to {}, expected some up to {folded}",
                    run.file(),
                    run.from,
                    run.to
                ));
            }
        }
        for part in numbers.iter().chain(&[STORE_PART]) {
            let runs: Vec<&RunMeta> = self.runs_of(*part).collect();
            if let Some(pair) = runs.windows(2).find(|pair| pair[0].to >= pair[1].from || pair[1].level == 0) {
                let (one, other) = (pair[0].file(), pair[1].file());
                return Err(format!(
                    "{one} and {other}: expected the base first, then the others in the order of time"
                ));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Why a manifest was not read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It is of another format.
    Version(u32),
    Error(Error),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The manifest within its checksum.
fn unwrap(bytes: &[u8]) -> Result<&[u8], (u64, String)> {
    const BEFORE: &[u8] = b"{\"checksum\":\"";
    const BETWEEN: &[u8] = b"\",\n\"manifest\":";
    const BEHIND: &[u8] = b"}\n";
    let parts = bytes.strip_prefix(BEFORE).and_then(|rest| {
        let (digits, rest) = rest.split_at_checked(8)?;
        Some((digits, rest.strip_prefix(BETWEEN)?.strip_suffix(BEHIND)?))
    });
    let Some((digits, json)) = parts else {
        return Err((0, r#"expected {"checksum":"8 digits", a new line, and "manifest":"#.to_owned()));
    };
    let right = format!("{:08x}", crc32c::crc32c(json));
    if right.as_bytes() != digits {
        let there = String::from_utf8_lossy(digits);
        return Err((BEFORE.len() as u64, format!("checksum: {there:?}, expected {right:?}, that of the manifest")));
    }
    Ok(json)
}
