//! A store that opens, commits, and gives back what it was given.

#[path = "support/at_end.rs"]
mod at_end;
mod store_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use ad_tally_core::store::{Event, OpenError, Options, RealDisk, SyncError, backup, inspect};
use at_end::AtEnd;
use store_support::disk::{Call, FakeDisk};
use store_support::part::{COUNT, Held, ID, record};
use store_support::{DIR, Opened, held, quiet};

#[test]
fn what_was_synced_is_there_after_a_kill_and_what_was_not_is_not() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    record(&part, &[(COUNT, vec![1, 10]), (ID, vec![7, 3])]);
    record(&part, &[(COUNT, vec![1, 5])]);
    open.sync().unwrap();
    record(&part, &[(COUNT, vec![1, 1_000]), (ID, vec![8, 1])]);
    let after = disk.after_a_kill();
    let mut expected = Held::default();
    expected.apply(COUNT, &[1, 15]);
    expected.apply(ID, &[7, 3]);
    assert_eq!(held(after, "ads"), expected);
    open.store.stop().unwrap();
    expected.apply(COUNT, &[1, 1_000]);
    expected.apply(ID, &[8, 1]);
    assert_eq!(held(disk, "ads"), expected);
}

#[test]
fn a_part_keeps_its_number_seed_and_epoch_and_each_part_gets_its_own_entries() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let (ads, caps) = (open.part("ads"), open.part("caps"));
    assert_ne!(ads.number, caps.number);
    let first = open.store.part("ads", "test", None, "of one kind").unwrap();
    assert_eq!((first.number, first.is_new, first.config), (ads.number, false, Some(0)));
    record(&ads, &[(COUNT, vec![1, 1])]);
    record(&caps, &[(COUNT, vec![1, 2])]);
    open.store.stop().unwrap();

    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let again = open.store.part("ads", "test", Some(first.seed), "another").unwrap();
    assert_eq!((again.number, again.seed, again.epoch, again.config), (first.number, first.seed, first.epoch, None));
    assert_eq!(open.store.add_config(again.number, "another").unwrap(), 1);
    let again = open.store.part("ads", "test", None, "another").unwrap();
    assert_eq!(again.config, Some(1));
    assert_eq!(again.configs.iter().map(|config| &*config.text).collect::<Vec<_>>(), ["of one kind", "another"]);
    let refused = open.store.part("ads", "caps", None, "").unwrap_err().to_string();
    assert_eq!(refused, "\"ads\" is a test in this store, not a caps: give it another name");
    let refused = open.store.part("ads", "test", Some(first.seed ^ 1), "").unwrap_err().to_string();
    assert!(refused.contains("another seed"), "{refused}");
    assert_eq!(open.load(&open.part("ads")).counts[&1], 1);
    assert_eq!(open.load(&open.part("caps")).counts[&1], 2);
}

#[test]
fn a_second_opener_is_refused_and_the_first_one_goes_on() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let Err(OpenError::Locked { holder, .. }) = Opened::open(disk.clone(), quiet()) else { panic!("it is open") };
    assert_eq!(holder, "process 1");
    record(&open.part("ads"), &[(COUNT, vec![1, 1])]);
    open.store.stop().unwrap();
    assert_eq!(held(disk, "ads").counts[&1], 1);
}

#[test]
fn the_real_disk_keeps_everything_and_says_who_has_it() {
    let dir = std::env::temp_dir().join(format!("ad_tally_store_{}", std::process::id()));
    let open = Opened::open_in(RealDisk, &dir, quiet()).unwrap();
    let part = open.part("ads");
    let refused = match Opened::open_in(RealDisk, &dir, quiet()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it is open"),
    };
    let expected = format!("{} is open already, by process {}", dir.display(), std::process::id());
    assert!(refused.starts_with(&expected), "{refused}");
    for number in 0..10_000 {
        record(&part, &[(COUNT, vec![number % 100, 1])]);
    }
    open.sync().unwrap();
    record(&part, &[(ID, vec![1, 1])]);
    open.store.stop().unwrap();
    let open = Opened::open_in(RealDisk, &dir, quiet()).unwrap();
    let held = open.load(&open.part("ads"));
    assert_eq!(held.counts.values().sum::<i64>(), 10_000);
    assert_eq!(held.ids.len(), 1);
    open.store.stop().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn files_are_synced_before_the_manifest_names_them_and_the_folder_after_a_name_has_changed() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    let log = disk.log();
    let replaced = |log: &[Call]| {
        let new = || "MANIFEST.new".to_owned();
        matches!(log, [Call::Create(a), Call::Write(b, _), Call::Sync(c), Call::Rename(d, e), Call::SyncFolder]
            if [a, b, c, d].iter().all(|name| **name == new()) && e == "MANIFEST")
    };
    assert!(replaced(&log[log.len() - 5..]), "{log:?}");
    // Then the thread that merges sleeps. Where it wakes nevertheless it replaces the manifest, which syncs the folder too.
    open.compact().unwrap();
    disk.log();
    let of_segments = |log: Vec<Call>| {
        let renames = log.iter().filter(|call| matches!(call, Call::Rename(..))).count();
        let folder_syncs = log.iter().filter(|call| **call == Call::SyncFolder).count();
        let is_other = |call: &Call| match call {
            Call::Create(name) | Call::Write(name, _) | Call::Sync(name) => name.starts_with("MANIFEST"),
            Call::Rename(..) | Call::SyncFolder => true,
            Call::Remove(_) => false,
        };
        (log.into_iter().filter(|call| !is_other(call)).collect::<Vec<_>>(), folder_syncs.saturating_sub(renames))
    };
    record(&part, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    let (calls, folder_syncs) = of_segments(disk.log());
    assert!(matches!(&calls[..], [Call::Create(_), Call::Write(..), Call::Write(..), Call::Sync(_)]), "{calls:?}");
    assert_eq!(folder_syncs, 1);
    record(&part, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    let (calls, folder_syncs) = of_segments(disk.log());
    let file = "journal-00000001";
    assert!(matches!(&calls[..], [Call::Write(..), Call::Sync(synced)] if synced == file), "{calls:?}");
    assert_eq!(folder_syncs, 0);
}

#[test]
fn an_interval_is_written_by_itself_and_nothing_is_written_where_nothing_was_recorded() {
    let disk = FakeDisk::default();
    let options = Options { interval: Duration::from_millis(5), ..Options::default() };
    let open = Opened::open(disk.clone(), options).unwrap();
    let part = open.part("ads");
    disk.log();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(disk.log(), []);
    record(&part, &[(COUNT, vec![1, 1])]);
    let begun = std::time::Instant::now();
    while open.store.info().intervals == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", open.store.info());
        std::thread::sleep(Duration::from_millis(1));
    }
    let info = open.store.info();
    assert_eq!((info.records, info.intervals, info.lag_bytes, info.lag_ms), (1, 1, 0, 0));
    let committed =
        open.events.lock().unwrap().iter().any(|event| matches!(event, Event::Committed { records: 1, .. }));
    assert!(committed);
}

#[test]
fn after_a_stop_a_sync_is_refused_and_so_is_what_is_recorded() {
    let open = Opened::open(FakeDisk::default(), quiet()).unwrap();
    let part = open.part("ads");
    open.store.stop().unwrap();
    assert_eq!(open.sync(), Err(SyncError::Stopped));
    assert!(part.journal.begin().is_err());
    assert_eq!(open.store.stop(), Err(SyncError::Stopped));
}

#[test]
fn a_barrier_is_answered_once_the_interval_is_ended() {
    let open = Opened::open(FakeDisk::default(), quiet()).unwrap();
    let part = open.part("ads");
    record(&part, &[(COUNT, vec![1, 1])]);
    let (sender, receiver) = mpsc::channel();
    open.store.barrier(Box::new(move |result| drop(sender.send(result))));
    receiver.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    assert_eq!(part.journal.stats().cut_records, 1);
}

#[test]
fn a_report_tells_all_that_a_store_holds_while_it_is_open() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let (ads, caps) = (open.part("ads"), open.part("caps"));
    (0..100).for_each(|number| record(&ads, &[(COUNT, vec![number, 1]), (ID, vec![number % 10, 1])]));
    open.compact().unwrap();
    record(&ads, &[(COUNT, vec![1, 1])]);
    record(&caps, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    let report = inspect(&disk, Path::new(DIR)).unwrap();
    let entries: Vec<_> = report.parts.iter().map(|part| (&*part.name, part.entries.clone())).collect();
    let expected = [
        ("", BTreeMap::new()),
        ("ads", BTreeMap::from([("lifetime counts", 101), ("ids", 10)])),
        ("caps", BTreeMap::from([("lifetime counts", 1)])),
    ];
    assert_eq!(entries, expected);
    let files: Vec<_> = report.files.iter().map(|file| (file.part.as_deref(), file.is_base, file.intervals)).collect();
    assert_eq!(files, [(Some("ads"), true, (1, 1)), (None, false, (2, 2))]);
    assert_eq!((report.opened, report.torn_bytes, report.damages.len()), (1, 0, 0));

    let base = store_support::files(&disk, "run-").remove(0);
    let mut bytes = disk.read(&base);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.put(&base, Some(bytes));
    let damages = inspect(&disk, Path::new(DIR)).unwrap().damages;
    assert!(damages.len() == 1 && damages[0].file.ends_with(base), "{damages:?}");
    assert!(inspect(&FakeDisk::default(), Path::new(DIR)).unwrap_err().to_string().contains("there is no store"));
}

#[test]
fn a_backup_that_is_taken_while_everything_goes_on_is_a_store_of_one_moment() {
    let disk = FakeDisk::default();
    let options = Options { segment_bytes: 2_000, interval: Duration::from_millis(1), ..Options::default() };
    let open = Opened::open(disk.clone(), options).unwrap();
    let part = open.part("ads");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_end = AtEnd(&is_over);
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                record(&part, &[(COUNT, vec![number % 8, 1]), (ID, vec![number, 1])]);
                number += 1;
                if number % 64 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            number
        });
        let mut before = 0;
        for number in 0..30 {
            let to = PathBuf::from(format!("/backup_{number}"));
            backup(&disk, Path::new(DIR), &to).unwrap();
            let copy = Opened::open_in(disk.clone(), &to, quiet()).unwrap();
            let held = copy.load(&copy.part("ads")).normal();
            copy.store.stop().unwrap();
            let ids = held.ids.len() as u64;
            assert_eq!(held.ids.keys().next_back().copied(), ids.checked_sub(1));
            assert_eq!(held.counts.values().sum::<i64>() as u64, ids);
            assert!(ids >= before, "{ids} after {before}");
            before = ids;
        }
        let refused = backup(&disk, Path::new(DIR), Path::new("/backup_3")).unwrap_err().to_string();
        assert!(refused.contains("give an empty directory"), "{refused}");
        drop(at_end);
        assert!(writer.join().unwrap() >= before && before > 0);
    });
}
