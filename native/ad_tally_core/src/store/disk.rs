//! What the store wants of a disk, as a trait, so that tests can have one that fails; and the real one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Folders and files by name.
pub trait Disk: Send + Sync {
    /// Makes a folder in one that is there.
    ///
    /// # Errors
    /// That there is one ([`ErrorKind::AlreadyExists`]), that the one it is to be in is not there ([`ErrorKind::NotFound`]), or what
    /// else the system says.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// The names of a folder's files. Those that are no UTF-8 are none of the store's and are left out.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// An empty file to be written, in place of what had its name.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file to be read.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of what had that.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names of a folder's files and folders durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Locks a file, which is made where it is not there and gets `holder` as its text, until what is returned is dropped. Where
    /// somebody else has it locked, what that one wrote.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Result<Lock, String>>;
}

/// A lock that is held.
pub type Lock = Box<dyn Send + Sync>;

/// A file that is open.
pub trait DiskFile: Send + Sync {
    /// Appends as many of the bytes as the system takes at once.
    ///
    /// # Errors
    /// What the system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the system says. The file is in no known state then, and no later call tells of it: do not use it any more.
    fn sync(&mut self) -> io::Result<()>;

    /// How many bytes there are.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads as many bytes of a place as the system gives at once, none at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
}

/// Makes a folder and those that it is in, where they are not there, and their names durable: what is synced in a folder is lost with
/// the folder's name.
///
/// # Errors
/// What the system says.
pub fn create_folders(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    // The parent of a name alone is where the process is.
    let parent = path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
    let made = match (disk.create_folder(path), parent) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            create_folders(disk, parent)?;
            disk.create_folder(path)
        }
        (made, _) => made,
    };
    match (made, parent) {
        (Ok(()), Some(parent)) => disk.sync_folder(parent),
        // Whoever has made it may have been killed before its name was durable, or was told that the disk refuses.
        (Err(error), Some(parent)) if error.kind() == ErrorKind::AlreadyExists => match disk.sync_folder(parent) {
            // Nobody who may not even read a folder has made another one in it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        },
        (Err(error), _) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Appends all of the bytes.
pub(super) fn write_all(file: &mut dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the bytes are filled or the file ends: how many it were.
pub(super) fn read_full(file: &dyn DiskFile, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The system's own disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Result<Lock, String>> {
        use std::io::Write;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(Err(fs::read_to_string(path).unwrap_or_default())),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // What the file says is for whoever is refused. A disk that is full must not keep the store from being opened.
        let _ = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Ok(Box::new(file)))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.0, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, bytes, at)
    }
}
