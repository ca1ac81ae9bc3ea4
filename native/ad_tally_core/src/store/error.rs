//! What can go wrong with a store, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

/// A file that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {at}: {what}", .file.display())]
pub struct Damage {
    /// Which file.
    pub file: PathBuf,
    /// Where what is wrong begins.
    pub at: u64,
    /// What is wrong, and what would have been right.
    pub what: String,
}

const MISSING: &str = "missing";

impl Damage {
    /// A file that is not there.
    pub(super) fn missing(file: &Path, why: &str) -> Self {
        Self { file: file.to_owned(), at: 0, what: format!("{MISSING}{why}") }
    }

    /// Whether the file is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.what.starts_with(MISSING)
    }
}

/// Why a store, or something of it, could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("{what} {}: {error}", .path.display())]
    Disk {
        /// What was tried, as `write`.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not as it was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A file is of another version.
    #[error("{}", other_version(.file, *.found, *.known))]
    Version {
        /// Which file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// What is read here.
        known: u32,
    },
    /// A part was made with another kind or seed.
    #[error("{0}")]
    Part(String),
    /// Whoever restores does not take an entry.
    #[error("{0}")]
    Restore(String),
    /// The store is stopped.
    #[error("the store is stopped")]
    Stopped,
}

impl Error {
    /// For what the system said of a file.
    pub(super) fn disk<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |error| Self::Disk { what, path: path.to_owned(), error }
    }

    pub(super) fn damaged(file: &Path, at: u64, what: impl Into<String>) -> Self {
        Self::Damaged(Damage { file: file.to_owned(), at, what: what.into() })
    }
}

fn other_version(file: &Path, found: u32, known: u32) -> String {
    format!("{}: format {found}, and this version reads format {known}: use the version that wrote it", file.display())
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is open already.
    #[error("{} is open already, by {holder}: a store has one owner", .dir.display())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// Who has it, as that one wrote it.
        holder: String,
    },
    /// A file is not as it was written.
    #[error("{damage}. {repair}")]
    Corrupt {
        /// Which, where and how.
        damage: Damage,
        /// What can be done.
        repair: String,
    },
    /// It was written by a later version.
    #[error("{}", other_version(.file, *.found, *.known))]
    Version {
        /// The file that says so.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// What is read here.
        known: u32,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(Error),
}

/// Why what was recorded is not on disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// The disk refused. Nothing is lost: what was recorded is kept in memory and written once the disk takes it.
    #[error("not on disk: {0}")]
    Disk(String),
    /// The store is stopped.
    #[error("the store is stopped")]
    Stopped,
}
