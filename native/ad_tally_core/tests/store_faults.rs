//! A disk that dies, fails and is full: what was synced is there afterwards, all parts agree, and counting goes on.

mod store_support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use ad_tally_core::journal::Part;
use ad_tally_core::store::{Event, OpenError, Options, RealDisk, SyncError};
use store_support::disk::{FakeDisk, Fault};
use store_support::part::{COUNT, Held, ID, record};
use store_support::{DIR, Opened, Random, files, held, quiet, tries_all};

/// The event of a number: a count of one of eight keys, and its id.
fn event(part: &Part, number: u64) {
    record(part, &[(COUNT, vec![number % 8, 1]), (ID, vec![number, 1])]);
}

/// What the first events come to.
fn events(count: u64) -> Held {
    let mut held = Held::default();
    (0..count).for_each(|number| {
        held.apply(COUNT, &[number % 8, 1]);
        held.apply(ID, &[number, 1]);
    });
    held
}

/// How many of the events there are. They are the first ones, and each is there as a whole.
fn count(held: &Held) -> u64 {
    let count = held.ids.len() as u64;
    assert_eq!(held, &events(count));
    count
}

#[test]
fn after_a_crash_at_any_moment_everything_synced_is_there_and_no_event_is_split() {
    for seed in 0..if tries_all() { 2_000 } else { 60 } {
        let mut random = Random::new(seed);
        let disk = FakeDisk::default();
        let options = Options { segment_bytes: 200 + random.below(2_000), ..quiet() };
        let open = Opened::open(disk.clone(), options).unwrap();
        let part = open.part("ads");
        let (mut recorded, mut synced) = (0, 0);
        for _ in 0..40 {
            for _ in 0..random.below(6) {
                event(&part, recorded);
                recorded += 1;
            }
            match random.below(6) {
                0..3 => {
                    open.sync().unwrap();
                    synced = recorded;
                }
                // While it writes.
                3 => open.store.sync(Box::new(|_| {})),
                4 => {
                    let found = count(&held(disk.after_a_kill(), "ads"));
                    assert!((synced..=recorded).contains(&found), "seed {seed}: {synced} <= {found} <= {recorded}");
                }
                _ => {
                    let found = count(&held(disk.after_a_crash(|| random.next()), "ads"));
                    assert!((synced..=recorded).contains(&found), "seed {seed}: {synced} <= {found} <= {recorded}");
                }
            }
        }
        open.store.stop().unwrap();
        assert_eq!(count(&held(disk, "ads")), recorded, "seed {seed}");
    }
}

#[test]
fn a_new_store_is_there_after_a_crash_whatever_folders_were_made_for_it() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let disk = FakeDisk::default();
        let dir = Path::new("/var/lib/ads");
        let open = Opened::open_in(disk.clone(), dir, quiet()).unwrap();
        let part = open.part("ads");
        event(&part, 0);
        open.sync().unwrap();
        let open = Opened::open_in(disk.after_a_crash(|| random.next()), dir, quiet()).unwrap();
        let part = open.part("ads");
        assert_eq!(count(&open.load(&part).normal()), 1, "seed {seed}");
    }
}

/// A process that is killed has written what it had not synced yet: the next one counts it, so from then on it has to stay.
#[test]
fn what_a_start_finds_after_a_kill_at_any_call_survives_a_crash_after_that_start() {
    for seed in 0..if tries_all() { 500 } else { 40 } {
        let mut random = Random::new(seed);
        let disk = FakeDisk::default();
        let open = Opened::open(disk.clone(), Options { segment_bytes: 300, ..quiet() }).unwrap();
        let part = open.part("ads");
        let before = random.below(4);
        for number in 0..before {
            event(&part, number);
            open.sync().unwrap();
        }
        disk.die_after(random.below(9));
        event(&part, before);
        let synced = before + u64::from(open.sync().is_ok());
        let killed = disk.after_a_kill();

        let open = Opened::open(killed.clone(), quiet()).unwrap();
        let part = open.part("ads");
        let found = count(&open.load(&part).normal());
        assert!((synced..=before + 1).contains(&found), "seed {seed}: {found} events");
        // There is nothing to be written.
        open.sync().unwrap();
        let crashed = killed.after_a_crash(|| random.next());
        assert_eq!(count(&held(crashed, "ads")), found, "seed {seed}");
        // Now the next segment says how much of this one counts.
        event(&part, found);
        open.sync().unwrap();
        let crashed = killed.after_a_crash(|| random.next());
        assert_eq!(opened(&crashed, quiet()), Ok(found + 1), "seed {seed}");
    }
}

/// Records and syncs as well as it can, with a fault at some calls, and again once it is healed: how many calls there were.
fn work_with(fault: Fault, after: u64, lasting: u64, seed: u64) -> u64 {
    let disk = FakeDisk::default();
    let mut random = Random::new(seed ^ after);
    disk.fail(fault, after, lasting);
    let options = || Options { segment_bytes: 300, ..quiet() };
    let (open, part) = loop {
        let Ok(open) = Opened::open(disk.clone(), options()) else {
            disk.heal();
            continue;
        };
        let made = open.store.part("ads", "test", None, "of one kind");
        if made.is_err() {
            disk.heal();
        }
        let part = open.part("ads");
        break (open, part);
    };
    let (mut recorded, mut synced) = (0, 0);
    for _ in 0..6 {
        for _ in 0..5 {
            event(&part, recorded);
            recorded += 1;
        }
        match open.sync() {
            Ok(()) => synced = recorded,
            Err(SyncError::Disk(reason)) => {
                assert_eq!(open.store.info().error.as_ref(), Some(&reason));
                assert!(open.store.info().lag_bytes > 0);
            }
            Err(SyncError::Stopped) => panic!("nobody stopped it"),
        }
        let found = count(&held(disk.after_a_crash(|| random.next()), "ads"));
        assert!((synced..=recorded).contains(&found), "{fault:?} {after}: {synced} <= {found} <= {recorded}");
    }
    disk.heal();
    open.sync().unwrap();
    assert_eq!(open.store.info().error, None);
    assert_eq!(open.store.info().lag_bytes, 0);
    event(&part, recorded);
    open.store.stop().unwrap();
    let calls = disk.calls();
    assert_eq!(count(&held(disk, "ads")), recorded + 1, "{fault:?} {after}");
    calls
}

fn every_call(fault: Fault) {
    for lasting in [1, 4, u64::MAX] {
        let mut after = 0;
        while work_with(fault, after, lasting, lasting) > after {
            // Each call of the start is another one.
            after += if tries_all() || after < 10 { 1 } else { 7 };
        }
        assert!(after > 25, "there are more calls than {after}");
    }
}

#[test]
fn an_error_of_any_call_loses_nothing_and_heals() {
    every_call(Fault::Io);
}

#[test]
fn a_disk_that_is_full_at_any_call_loses_nothing_and_heals() {
    every_call(Fault::Full);
}

#[test]
fn a_write_that_is_short_at_any_call_loses_nothing_and_heals() {
    every_call(Fault::Short);
}

#[test]
fn while_the_disk_is_full_sync_says_so_counting_goes_on_until_the_buffers_are_full_and_then_it_heals() {
    let disk = FakeDisk::default();
    let options = Options { buffer_bytes: 256 << 10, wake_bytes: 64 << 10, ..quiet() };
    let open = Opened::open(disk.clone(), options).unwrap();
    let part = open.part("ads");
    event(&part, 0);
    open.sync().unwrap();
    disk.set_room(Some(disk.bytes() + 10));
    event(&part, 1);
    let error = open.sync().unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
    let mut recorded = 2;
    let begun = Instant::now();
    while part.journal.begin().is_ok() {
        event(&part, recorded);
        recorded += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "the buffers are not full after {recorded} events");
    }
    assert!(recorded > 1_000, "{recorded}");
    let info = open.store.info();
    assert!(info.lag_bytes >= 256 << 10 && info.errors > 0 && info.busy > 0, "{info:?}");
    assert!(open.events.lock().unwrap().iter().any(|event| matches!(event, Event::Failed { .. })));
    let found = count(&held(disk.after_a_kill(), "ads"));
    assert!(found == 1 || found == 2, "{found}");

    disk.set_room(None);
    open.sync().unwrap();
    let info = open.store.info();
    assert_eq!((info.lag_bytes, info.error), (0, None));
    assert!(part.journal.begin().is_ok());
    assert_eq!(count(&held(disk.after_a_kill(), "ads")), recorded);
}

#[test]
fn syncs_while_the_disk_refuses_are_answered_and_do_not_hammer_it() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    disk.set_room(Some(0));
    event(&part, 0);
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < Duration::from_millis(700) {
        open.sync().unwrap_err();
        answers += 1;
    }
    assert!((2..=9).contains(&answers), "{answers} in 0.7 s");
}

/// A store with one segment of some intervals, and where each of them ends.
fn segment(intervals: u64) -> (FakeDisk, Vec<usize>) {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    let mut ends = Vec::new();
    for number in 0..intervals {
        event(&part, number);
        open.sync().unwrap();
        ends.push(disk.read("journal-00000001").len());
    }
    let after = disk.after_a_kill();
    drop(open);
    (after, ends)
}

#[test]
fn a_segment_that_is_torn_at_any_byte_gives_all_whole_intervals_and_says_what_was_cut() {
    let (disk, ends) = segment(5);
    let bytes = disk.read("journal-00000001");
    // The manifest names it, so it cannot be that it was just begun.
    for length in 0..=bytes.len() {
        let torn = disk.after_a_kill();
        torn.put("journal-00000001", Some(bytes[..length].to_vec()));
        if length < 68 {
            let error = opened(&torn, quiet()).unwrap_err();
            assert!(error.contains("journal-00000001") && error.contains("has intervals"), "{error}");
            continue;
        }
        let open = Opened::open(torn.clone(), quiet()).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        let found = count(&open.load(&open.part("ads")).normal());
        assert_eq!(found, whole as u64, "cut at {length}");
        let info = open.store.info();
        let last = ends[..whole].last().copied().unwrap_or(68);
        assert_eq!(info.torn_bytes, length.saturating_sub(last) as u64, "cut at {length}");
        let is_told = open.events.lock().unwrap().iter().any(|event| matches!(event, Event::Torn { .. }));
        assert_eq!(is_told, info.torn_bytes > 0);
        // It goes on, and what is recorded then is there the next time.
        event(&open.part("ads"), found);
        open.store.stop().unwrap();
        assert_eq!(count(&held(torn, "ads")), found + 1);
    }
}

/// What a store with some changed bytes gives: how many events, or what it says.
fn opened(disk: &FakeDisk, options: Options) -> Result<u64, String> {
    let open = Opened::open(disk.clone(), options).map_err(|error| error.to_string())?;
    let part = open.part("ads");
    let restored = store_support::part::Restored::default();
    let loaded = open.store.load(part.number, &restored, &|_, _| {});
    let _ = open.store.stop();
    loaded.map_err(|error| error.to_string())?;
    Ok(count(&restored.0.into_inner().unwrap().normal()))
}

/// Flips the bits of a file, one after the other.
fn flipped(disk: &FakeDisk, file: &str, mut each: impl FnMut(usize, Result<u64, String>)) {
    let bytes = disk.read(file);
    let step = if tries_all() { 1 } else { 1 + bytes.len() * 8 / 400 };
    for bit in (0..bytes.len() * 8).step_by(step) {
        let mut wrong = bytes.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let changed = disk.after_a_kill();
        changed.put(file, Some(wrong));
        each(bit / 8, opened(&changed, quiet()));
    }
}

#[test]
fn a_bit_that_is_wrong_in_a_segment_is_found_and_never_costs_more_than_the_last_interval() {
    let (disk, ends) = segment(5);
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    flipped(&disk, "journal-00000001", |byte, result| {
        let what = match result {
            Ok(found) => {
                assert!(found == 4 && byte >= ends[3], "byte {byte}: {found} events");
                "without the last interval"
            }
            Err(error) => {
                assert!(error.contains("journal-00000001") && error.contains("`repair`"), "{error}");
                assert!(byte < ends[3], "byte {byte}: {error}");
                "refused"
            }
        };
        *outcomes.entry(what).or_default() += 1;
    });
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
}

#[test]
fn a_bit_that_is_wrong_in_a_run_or_the_manifest_is_found() {
    let (disk, _) = segment(5);
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    open.part("ads");
    open.compact().unwrap();
    open.store.stop().unwrap();
    let run = files(&disk, "run-").pop().expect("a base");
    assert_eq!(files(&disk, "journal-"), [""; 0]);
    for file in [run, "MANIFEST".to_owned()] {
        flipped(&disk, &file, |byte, result| {
            let error = result.expect_err("it is found");
            assert!(error.contains(&file), "byte {byte} of {file}: {error}");
        });
        let bytes = disk.read(&file);
        for length in (0..bytes.len()).step_by(if tries_all() { 1 } else { 7 }) {
            let changed = disk.after_a_kill();
            changed.put(&file, Some(bytes[..length].to_vec()));
            let error = opened(&changed, quiet()).expect_err("it is found");
            assert!(error.contains(&file), "{length} bytes of {file}: {error}");
        }
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let (disk, _) = segment(3);
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    open.compact().unwrap();
    event(&part, 3);
    open.sync().unwrap();
    // Whatever is durable is missed, from the first interval of a segment on.
    let kept = disk.after_a_kill();
    open.store.stop().unwrap();
    for file in kept.names().into_iter().filter(|name| name != "LOCK") {
        let changed = kept.after_a_kill();
        changed.put(&file, None);
        let error = opened(&changed, quiet()).expect_err("it is missed");
        assert!(error.contains(&file) && error.contains("missing"), "without {file}: {error}");
    }
    assert_eq!(opened(&kept, quiet()), Ok(4));
}

/// Nor is it taken for a file that had got nothing of worth when the process died, which is removed.
#[test]
fn a_file_of_a_later_version_is_told_as_such_and_is_neither_repaired_nor_removed() {
    let (disk, _) = segment(3);
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    open.compact().unwrap();
    event(&part, 3);
    open.sync().unwrap();
    open.store.stop().unwrap();
    let run = files(&disk, "run-").pop().expect("a base");
    let segment = files(&disk, "journal-").pop().expect("a segment");
    for file in [run, segment] {
        let mut later = disk.read(&file);
        later[8] += 1;
        let checksum = crc32c::crc32c(&later[..64]);
        later[64..68].copy_from_slice(&checksum.to_le_bytes());
        // Its frames are others too.
        for frames in [&later[68..], &[7; 1_000][..], &[]] {
            let changed = disk.after_a_kill();
            let file_of_later = [&later[..68], frames].concat();
            changed.put(&file, Some(file_of_later.clone()));
            for repair in [false, true] {
                let error = Opened::open(changed.clone(), Options { repair, ..quiet() }).map(drop).unwrap_err();
                // A run is also of a length that the manifest says.
                if frames.len() == later.len() - 68 || file.starts_with("journal-") {
                    assert!(matches!(error, OpenError::Version { found: 2, known: 1, .. }), "{error}");
                }
                assert!(error.to_string().contains(&file), "{error}");
                assert_eq!(changed.read(&file), file_of_later);
            }
        }
    }
}

#[test]
fn with_repair_what_is_before_the_damage_is_kept_and_what_is_dropped_is_told() {
    let (disk, ends) = segment(5);
    let bytes = disk.read("journal-00000001");
    let mut wrong = bytes.clone();
    wrong[ends[1] + 40] ^= 1;
    disk.put("journal-00000001", Some(wrong));
    let error = opened(&disk, quiet()).unwrap_err();
    assert!(error.starts_with(&format!("{DIR}/journal-00000001 is damaged at byte {}", ends[1] + 4)), "{error}");
    assert_eq!(opened(&disk.after_a_kill(), Options { repair: true, ..quiet() }), Ok(2));

    let open = Opened::open(disk.clone(), Options { repair: true, ..quiet() }).unwrap();
    let told = open.events.lock().unwrap().clone();
    let dropped = (bytes.len() - ends[1]) as u64;
    assert!(matches!(&told[..], [Event::Repaired { bytes, .. }] if *bytes == dropped), "{told:?}");
    assert_eq!(open.store.info().dropped_bytes, dropped);
    event(&open.part("ads"), 2);
    // From then on it needs no repair, whatever becomes of the process.
    let after = disk.after_a_crash(|| 1);
    assert_eq!(opened(&after, quiet()), Ok(2));
    open.store.stop().unwrap();
    assert_eq!(opened(&disk, quiet()), Ok(3));
}

/// A tmpfs that is unmounted again.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn of_bytes(bytes: usize) -> Self {
        let path = std::env::temp_dir().join(format!("ad_tally_tmpfs_{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={bytes}");
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status();
        assert!(mount.unwrap().success(), "only root mounts");
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Takes all room that there is, but for so many bytes.
fn fill(filler: &Path, but: u64) {
    let mut file = File::create(filler).unwrap();
    let mut bytes = 0;
    while let Ok(written) = file.write(&[1; 1 << 16]) {
        bytes += written as u64;
    }
    file.set_len(bytes.saturating_sub(but)).unwrap();
}

#[test]
#[ignore = "mounts a tmpfs, which only root may: cargo test --test store_faults -- --ignored"]
fn a_real_disk_that_is_full_loses_nothing_and_heals() {
    let mounted = Mounted::of_bytes(4 << 20);
    let dir = mounted.0.join("store");
    let options = || Options { segment_bytes: 256 << 10, buffer_bytes: 1 << 20, ..quiet() };
    let open = Opened::open_in(RealDisk, &dir, options()).unwrap();
    let part = open.part("ads");
    let filler = mounted.0.join("filler");
    let mut recorded = 0;
    for round in 0..5 {
        let mut errors = 0;
        fill(&filler, 200 << 10);
        while errors < 3 {
            (0..20_000).for_each(|_| {
                event(&part, recorded);
                recorded += 1;
            });
            match open.sync() {
                Ok(()) => {}
                Err(error) => {
                    assert!(error.to_string().contains("No space left on device"), "{error}");
                    errors += 1;
                }
            }
            assert!(recorded < 2_000_000, "it is never full");
        }
        assert!(open.store.info().lag_bytes > 0);
        std::fs::remove_file(&filler).unwrap();
        open.sync().unwrap();
        open.compact().unwrap();
        assert_eq!(count(&open.load(&part).normal()), recorded, "round {round}");
    }
    open.store.stop().unwrap();
    let open = Opened::open_in(RealDisk, &dir, options()).unwrap();
    assert_eq!(count(&open.load(&open.part("ads")).normal()), recorded);
    open.store.stop().unwrap();
}
