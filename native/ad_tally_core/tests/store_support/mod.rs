//! What tests of the store have in common.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod disk;
pub mod part;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ad_tally_core::journal;
use ad_tally_core::store::{Disk, Event, OpenError, Options, Store, SyncError};

use self::disk::FakeDisk;
use self::part::{Folding, Held, Restored};

pub const DIR: &str = "/store";

/// Options with which nothing happens by itself.
pub fn quiet() -> Options {
    Options { interval: Duration::from_secs(3_600), ..Options::default() }
}

/// A store with one part, or several.
pub struct Opened {
    pub store: Arc<Store>,
    pub events: Arc<Mutex<Vec<Event>>>,
}

impl Opened {
    pub fn open(disk: impl Disk + 'static, options: Options) -> Result<Self, OpenError> {
        Self::open_in(disk, Path::new(DIR), options)
    }

    pub fn open_in(disk: impl Disk + 'static, dir: &Path, options: Options) -> Result<Self, OpenError> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = events.clone();
        let listener = Box::new(move |event| told.lock().unwrap().push(event));
        let store = Store::open(Arc::new(disk), dir, options, Box::new(|_| None), &mut |_, _| Ok(()), listener)?;
        Ok(Self { store, events })
    }

    /// Makes or finds a part.
    pub fn part(&self, name: &str) -> journal::Part {
        let number = self.store.part(name, "test", None, "of one kind").expect("a part").number;
        self.store.attach(number, Arc::new(Folding(number)));
        journal::Part::new(self.store.journal().clone(), number)
    }

    pub fn load(&self, part: &journal::Part) -> Held {
        let restored = Restored::default();
        self.store.load(part.number, &restored, &|_, _| {}).expect("it loads");
        restored.0.into_inner().unwrap()
    }

    pub fn sync(&self) -> Result<(), SyncError> {
        let (sender, receiver) = mpsc::channel();
        self.store.sync(Box::new(move |result| drop(sender.send(result))));
        receiver.recv_timeout(Duration::from_secs(30)).expect("an answer")
    }

    /// Merges everything into bases.
    pub fn compact(&self) -> Result<(), SyncError> {
        let (sender, receiver) = mpsc::channel();
        self.store.compact(Box::new(move |result| drop(sender.send(result))));
        receiver.recv_timeout(Duration::from_secs(30)).expect("an answer")
    }
}

/// Opens a store, loads a part, and closes it again.
pub fn held(disk: impl Disk + 'static, name: &str) -> Held {
    let open = Opened::open(disk, quiet()).expect("it opens");
    let part = open.part(name);
    let held = open.load(&part);
    open.store.stop().expect("nothing to write");
    held.normal()
}

/// Small random numbers, the same for a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Whether all of something that takes long is to be tried, and not only a sample.
pub fn tries_all() -> bool {
    std::env::var_os("AD_TALLY_STORE_ALL").is_some()
}

/// The files of a store whose names begin so.
pub fn files(disk: &FakeDisk, begin: &str) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.starts_with(begin)).collect()
}
