//! A run that is being written.

use std::path::PathBuf;

use super::disk::{DiskFile, write_all};
use super::error::Error;
use super::manifest::{RunMeta, run_file};
use super::segment::{FILE_HEADER_BYTES, FileHeader, FileKind};
use super::shared::{Shared, now_ms};
use crate::journal::Chain;

/// A file of frames, which counts for nothing until a manifest names it.
pub(super) struct NewRun {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    number: u64,
    bytes: u64,
    /// Where its frames begin.
    chain: Chain,
}

impl NewRun {
    pub(super) fn create(shared: &Shared) -> Result<Self, Error> {
        let number = {
            let mut files = shared.files.lock();
            files.next_run += 1;
            files.next_run - 1
        };
        let path = shared.dir.join(run_file(number));
        let header = FileHeader {
            kind: FileKind::Run,
            opened: shared.opened,
            id: shared.id,
            number,
            previous: 0,
            previous_length: 0,
            first_interval: 0,
        };
        let (begin, chain) = header.write();
        let file = shared.disk.create(&path).map_err(Error::disk("create", &path))?;
        let mut this = Self { path, file, number, bytes: 0, chain };
        this.write(&begin)?;
        debug_assert_eq!(this.bytes, FILE_HEADER_BYTES as u64);
        Ok(this)
    }

    /// The chain that its first frame belongs to.
    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        write_all(&mut *self.file, bytes).map_err(Error::disk("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable, but for its name. `chain` is behind its last frame.
    pub(super) fn finish(mut self, chain: Chain, meta: RunMeta) -> Result<RunMeta, Error> {
        self.file.sync().map_err(Error::disk("sync", &self.path))?;
        let (number, bytes, checksum) = (self.number, self.bytes, chain.checksum);
        Ok(RunMeta { number, bytes, checksum, written: now_ms(), ..meta })
    }
}
