//! A disk in memory that can die, fail, be full, and take less than it is given.
//!
//! What was not synced may be gone after it has died: of a file all behind what was synced, or some of it, any change of a name
//! since the folder was synced, and a folder with all in it since the one that it is in was. After a sync has failed what had been written counts as synced to whoever asks again, and is not: as
//! Linux does it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use ad_tally_core::store::{Disk, DiskFile, Lock};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// "Input/output error", of every call.
    Io,
    /// "No space left on device", of calls that would take room.
    Full,
    /// A write takes half of what it is given, and the one after it fails.
    Short,
}

/// A call of the disk that changes something, and the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Create(String),
    Write(String, usize),
    Sync(String),
    Rename(String, String),
    Remove(String),
    SyncFolder,
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    /// As after the last sync of the folder.
    durable: BTreeMap<PathBuf, usize>,
    /// Changes of names since then.
    changes: Vec<Vec<(PathBuf, Option<usize>)>>,
    /// Folders, and whether their names are durable.
    folders: BTreeMap<PathBuf, bool>,
    locked: BTreeSet<PathBuf>,
    calls: u64,
    log: Vec<Call>,
    /// What goes wrong from which call on, and of how many.
    fault: Option<(Fault, u64, u64)>,
    /// Calls that went wrong.
    failed: u64,
    /// Bytes that all files may have.
    room: Option<usize>,
    /// From which call on it is dead: nothing works, and nothing changes.
    dies_at: Option<u64>,
    /// Files that got another name, and which.
    renamed: Vec<(PathBuf, usize)>,
    /// Whether files get no other name for now, and how many callers wait for that.
    holds_renames: bool,
    held: usize,
}

#[derive(Default, Clone)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
    /// A sync has failed.
    is_lost: bool,
}

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub struct FakeDisk(Arc<Mutex<State>>);

impl FakeDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Lets calls fail from the next `after` on, `count` of them.
    pub fn fail(&self, fault: Fault, after: u64, count: u64) {
        let mut state = self.state();
        state.failed = 0;
        state.fault = Some((fault, state.calls + after, count));
    }

    /// No call fails any more. How many did.
    pub fn heal(&self) -> u64 {
        let mut state = self.state();
        state.fault = None;
        state.failed
    }

    /// There is room for so many bytes in all.
    pub fn set_room(&self, room: Option<usize>) {
        self.state().room = room;
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        let state = self.state();
        state.names.values().map(|file| state.files[*file].bytes.len()).sum()
    }

    /// How many calls there were that can fail.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The calls since it was asked last.
    pub fn log(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().log)
    }

    /// What is there after the machine has lost its power: `random` decides what of all that was not synced.
    pub fn after_a_crash(&self, mut random: impl FnMut() -> u64) -> Self {
        let state = self.state();
        let mut names = state.durable.clone();
        for change in &state.changes {
            if random().is_multiple_of(2) {
                change.iter().for_each(|(name, file)| match file {
                    Some(file) => drop(names.insert(name.clone(), *file)),
                    None => drop(names.remove(name)),
                });
            }
        }
        let mut files = state.files.clone();
        for file in &mut files {
            let behind = file.bytes.len() - file.synced;
            let kept = if behind == 0 { 0 } else { (random() % (behind as u64 + 1)) as usize };
            file.bytes.truncate(file.synced + kept);
            // Pages are written in any order.
            if kept > 0 && random().is_multiple_of(2) {
                let from = file.synced + (random() % kept as u64) as usize;
                let to = file.bytes.len().min(from + 512);
                file.bytes[from..to].fill(0);
            }
            (file.synced, file.is_lost) = (file.bytes.len(), false);
        }
        let mut folders = state.folders.clone();
        folders.retain(|_, is_durable| std::mem::replace(is_durable, true) || random().is_multiple_of(2));
        let is_there = |path: &Path| {
            path.ancestors().skip(1).all(|folder| folder.parent().is_none() || folders.contains_key(folder))
        };
        names.retain(|path, _| is_there(path));
        Self(Arc::new(Mutex::new(State { files, durable: names.clone(), names, folders, ..State::default() })))
    }

    /// What is there after the process was killed: all that was written.
    pub fn after_a_kill(&self) -> Self {
        let state = self.state();
        let files = state.files.clone();
        let (names, durable, changes) = (state.names.clone(), state.durable.clone(), state.changes.clone());
        let folders = state.folders.clone();
        Self(Arc::new(Mutex::new(State { files, names, durable, changes, folders, ..State::default() })))
    }

    /// After so many calls none works, as after a kill: the threads that still use it do no more harm.
    pub fn die_after(&self, calls: u64) {
        let mut state = self.state();
        state.dies_at = Some(state.calls + calls);
    }

    /// Has whoever gives a file another name wait, or wait no longer.
    pub fn hold_renames(&self, holds: bool) {
        self.state().holds_renames = holds;
    }

    /// How many callers wait for that.
    pub fn held(&self) -> usize {
        self.state().held
    }

    /// The bytes of all files that were renamed so, the oldest first.
    pub fn versions(&self, wanted: &str) -> Vec<Vec<u8>> {
        let state = self.state();
        let renamed = state.renamed.iter().filter(|(path, _)| name(path) == wanted);
        renamed.map(|(_, file)| state.files[*file].bytes.clone()).collect()
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().map(|path| name(path)).collect()
    }

    /// The bytes of a file.
    pub fn read(&self, wanted: &str) -> Vec<u8> {
        let state = self.state();
        let file = state.names.iter().find(|(path, _)| name(path) == wanted).map(|(_, file)| *file);
        state.files[file.unwrap_or_else(|| panic!("there is no {wanted}"))].bytes.clone()
    }

    /// Gives a file other bytes, or removes it.
    pub fn put(&self, wanted: &str, bytes: Option<Vec<u8>>) {
        let mut state = self.state();
        let path = state.names.keys().find(|path| name(path) == wanted).expect("there is one").clone();
        let file = bytes.map(|bytes| {
            state.files.push(File { synced: bytes.len(), bytes, is_lost: false });
            state.files.len() - 1
        });
        match file {
            Some(file) => drop((state.names.insert(path.clone(), file), state.durable.insert(path, file))),
            None => drop((state.names.remove(&path), state.durable.remove(&path))),
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl State {
    /// Whether the last call came after the process was killed.
    fn is_dead(&self) -> bool {
        self.dies_at.is_some_and(|dies_at| self.calls > dies_at)
    }

    /// Counts a call, and lets it fail where it is to.
    fn call(&mut self, takes_room: bool) -> io::Result<Option<Fault>> {
        let at = self.calls;
        self.calls += 1;
        if self.is_dead() {
            return Err(Error::other("the process was killed"));
        }
        let Some((fault, from, count)) = self.fault else { return Ok(None) };
        if at < from || at >= from.saturating_add(count) || fault == Fault::Full && !takes_room {
            return Ok(None);
        }
        self.failed += 1;
        match fault {
            Fault::Io => Err(Error::from_raw_os_error(5)),
            Fault::Full => Err(Error::from_raw_os_error(28)),
            Fault::Short => Ok(Some(Fault::Short)),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Vec<(PathBuf, Option<usize>)>) {
        for (name, file) in &change {
            match file {
                Some(file) => drop(self.names.insert(name.clone(), *file)),
                None => drop(self.names.remove(name)),
            }
        }
        self.changes.push(change);
    }
}

impl Disk for FakeDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        let is_known = |path: &Path| path == Path::new("/") || state.folders.contains_key(path);
        match path.parent() {
            _ if is_known(path) => Err(ErrorKind::AlreadyExists.into()),
            Some(parent) if !is_known(parent) => Err(ErrorKind::NotFound.into()),
            _ => {
                state.folders.insert(path.to_owned(), false);
                Ok(())
            }
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call(false)?;
        Ok(state.names.keys().filter(|path| path.parent() == Some(folder)).map(|path| name(path)).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(true)?;
        state.log.push(Call::Create(name(path)));
        state.files.push(File::default());
        let file = state.files.len() - 1;
        state.change(vec![(path.to_owned(), Some(file))]);
        Ok(Box::new(FakeFile { disk: self.clone(), file, name: name(path), was_short: false }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(false)?;
        let file = state.find(path)?;
        Ok(Box::new(FakeFile { disk: self.clone(), file, name: name(path), was_short: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().held += 1;
        while self.state().holds_renames {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut state = self.state();
        state.held -= 1;
        state.call(true)?;
        let file = state.find(from)?;
        state.renamed.push((to.to_owned(), file));
        state.log.push(Call::Rename(name(from), name(to)));
        state.change(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(false)?;
        state.find(path)?;
        state.log.push(Call::Remove(name(path)));
        state.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        let mut has_folders = false;
        for (_, is_durable) in state.folders.iter_mut().filter(|(folder, _)| folder.parent() == Some(path)) {
            (*is_durable, has_folders) = (true, true);
        }
        if has_folders {
            // No store lies in the same folder as another one.
            return Ok(());
        }
        state.log.push(Call::SyncFolder);
        state.durable = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn lock(&self, path: &Path, _holder: &str) -> io::Result<Result<Lock, String>> {
        let mut state = self.state();
        state.call(true)?;
        if !state.locked.insert(path.to_owned()) {
            return Ok(Err("process 1".to_owned()));
        }
        Ok(Ok(Box::new(Held(self.clone(), path.to_owned()))))
    }
}

struct Held(FakeDisk, PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().locked.remove(&self.1);
    }
}

struct FakeFile {
    disk: FakeDisk,
    file: usize,
    name: String,
    /// The last write took only a part.
    was_short: bool,
}

impl DiskFile for FakeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let is_short = state.call(true)?.is_some();
        if std::mem::replace(&mut self.was_short, is_short) {
            return Err(Error::from_raw_os_error(28));
        }
        let mut length = if is_short { bytes.len() / 2 } else { bytes.len() };
        if let Some(room) = state.room {
            let taken: usize = state.names.values().map(|file| state.files[*file].bytes.len()).sum();
            length = length.min(room.saturating_sub(taken));
            if length == 0 {
                return Err(Error::from_raw_os_error(28));
            }
        }
        if length == 0 && !bytes.is_empty() {
            return Err(Error::from_raw_os_error(28));
        }
        state.log.push(Call::Write(self.name.clone(), length));
        state.files[self.file].bytes.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let called = state.call(true);
        if state.is_dead() {
            // Nobody has asked the system.
            return called.map(drop);
        }
        let file = &mut state.files[self.file];
        if called.is_err() {
            file.is_lost = true;
        } else if !file.is_lost {
            file.synced = file.bytes.len();
        }
        called?;
        state.log.push(Call::Sync(self.name.clone()));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.call(false)?;
        Ok(state.files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.call(false)?;
        let file = &state.files[self.file].bytes;
        let rest = file.get(at as usize..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}
