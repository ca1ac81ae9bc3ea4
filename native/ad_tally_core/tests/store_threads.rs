//! Many callers and one disk: a sync is shared, begins at once, and nobody waits for the disk who has not asked for it.

mod store_support;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ad_tally_core::store::{Disk, DiskFile, Lock, Options, RealDisk};
use store_support::disk::FakeDisk;
use store_support::part::{COUNT, Held, ID, Restored, record};
use store_support::{Opened, held, quiet};

/// A disk whose syncs take long.
#[derive(Clone)]
struct SlowDisk {
    disk: FakeDisk,
    takes: Duration,
    syncs: Arc<AtomicU64>,
}

impl SlowDisk {
    fn new(takes: Duration) -> Self {
        Self { disk: FakeDisk::default(), takes, syncs: Arc::default() }
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(SlowFile { file, disk: self.clone() })
    }
}

struct SlowFile {
    file: Box<dyn DiskFile>,
    disk: SlowDisk,
}

impl DiskFile for SlowFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.disk.takes);
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(bytes, at)
    }
}

impl Disk for SlowDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.disk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_folder(path)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Result<Lock, String>> {
        self.disk.lock(path, holder)
    }
}

const CALLERS: u64 = 16;
const SYNCS: u64 = 12;

#[test]
fn callers_share_a_sync_and_wait_for_at_most_two() {
    let takes = Duration::from_millis(40);
    let disk = SlowDisk::new(takes);
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    record(&part, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    let before = disk.syncs.load(Ordering::Relaxed);
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (open, part) = (&open, &part);
                scope.spawn(move || {
                    let mut waits = Vec::new();
                    for number in 0..SYNCS {
                        record(part, &[(ID, vec![caller * 1_000 + number, 1])]);
                        let begun = Instant::now();
                        open.sync().unwrap();
                        waits.push(begun.elapsed());
                    }
                    waits
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let syncs = disk.syncs.load(Ordering::Relaxed) - before;
    assert!(syncs <= 2 * SYNCS + 2, "{syncs} for {} calls", CALLERS * SYNCS);
    // One caller in ten may have been kept from its core.
    waits.sort_unstable();
    let most = waits[waits.len() * 9 / 10];
    assert!(most < 3 * takes, "{most:?} of a sync of {takes:?}");
    assert_eq!(held(disk.disk.after_a_kill(), "ads").ids.len() as u64, CALLERS * SYNCS);
}

#[test]
fn nobody_else_waits_while_the_disk_is_slow() {
    let disk = SlowDisk::new(Duration::from_secs(2));
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    record(&part, &[(COUNT, vec![1, 1])]);
    let is_synced = Arc::new(AtomicBool::new(false));
    let told = is_synced.clone();
    open.store.sync(Box::new(move |_| told.store(true, Ordering::Relaxed)));
    // Its first sync is under way for two seconds from now on.
    let before = disk.syncs.load(Ordering::Relaxed);
    let begun = Instant::now();
    while disk.syncs.load(Ordering::Relaxed) == before && begun.elapsed() < Duration::from_secs(1) {
        std::thread::yield_now();
    }
    let begun = Instant::now();
    for _ in 0..100 {
        let _ = open.store.info();
        let _ = open.store.parts();
        open.store.sync(Box::new(|_| {}));
        open.store.barrier(Box::new(|_| {}));
        open.store.attach(part.number, Arc::new(store_support::part::Folding(part.number)));
        record(&part, &[(COUNT, vec![1, 1])]);
    }
    let took = begun.elapsed();
    assert!(!is_synced.load(Ordering::Relaxed), "the disk was too fast for this test");
    assert!(took < Duration::from_millis(500), "{took:?}");
    std::thread::sleep(Duration::from_millis(5));
    let info = open.store.info();
    assert!(info.lag_ms > 0 && info.lag_bytes > 0, "{info:?}");
}

#[test]
fn a_store_that_is_dropped_writes_what_was_recorded_and_unlocks_by_itself() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    record(&open.part("ads"), &[(COUNT, vec![1, 1])]);
    drop(open);
    let begun = Instant::now();
    let again = loop {
        match Opened::open(disk.clone(), quiet()) {
            Ok(open) => break open,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(again.load(&again.part("ads")).counts[&1], 1);
}

#[test]
fn a_record_that_nobody_can_fold_ends_the_store_and_everybody_is_told() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    record(&part, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    record(&part, &[(COUNT, vec![1, 1]), (99, vec![])]);
    let error = open.sync().unwrap_err().to_string();
    assert!(error.contains("no record of kind 99"), "{error}");
    open.sync().unwrap_err();
    assert!(open.store.is_stopped() && open.store.info().error.is_some());
    assert!(part.journal.begin().is_err(), "what is recorded now is refused");
    open.store.stop().unwrap_err();
    assert_eq!(held(disk, "ads").counts[&1], 1);
}

#[test]
fn a_million_entries_are_loaded_with_progress_from_files_and_segments() {
    const IDS: u64 = 1_000_000;
    let dir = std::env::temp_dir().join(format!("ad_tally_store_million_{}", std::process::id()));
    let open = Opened::open_in(RealDisk, &dir, Options { segment_bytes: 2 << 20, ..quiet() }).unwrap();
    let part = open.part("ads");
    for id in 0..IDS {
        record(&part, &[(ID, vec![id.wrapping_mul(0x9e37_79b9_7f4a_7c15), id % 7])]);
        if id % 50_000 == 0 {
            open.sync().unwrap();
        }
        if id == IDS / 2 {
            open.compact().unwrap();
        }
    }
    open.store.stop().unwrap();
    let open = Opened::open_in(RealDisk, &dir, quiet()).unwrap();
    let part = open.part("ads");
    let told = std::sync::Mutex::new(Vec::new());
    let restored = Restored::default();
    let begun = Instant::now();
    let loaded = open.store.load(part.number, &restored, &|done, of| told.lock().unwrap().push((done, of))).unwrap();
    println!("{loaded:?} in {:?}, {:.1} bytes an id", begun.elapsed(), loaded.bytes as f64 / IDS as f64);
    let told = told.into_inner().unwrap();
    assert!(told.len() > 10 && told.is_sorted() && told[0].0 == 0, "{told:?}");
    assert_eq!(told.last(), Some(&(loaded.bytes, loaded.bytes)));
    assert_eq!(loaded.entries, IDS);
    let expected = (0..IDS).fold(Held::default(), |mut held, id| {
        held.ids.insert(id.wrapping_mul(0x9e37_79b9_7f4a_7c15), id % 7);
        held
    });
    assert!(restored.0.into_inner().unwrap() == expected);
    open.store.stop().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}
