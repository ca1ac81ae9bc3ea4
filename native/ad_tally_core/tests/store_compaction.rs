//! Merging: what a store holds stays the same, what is to go is in no file any more, and whatever happens meanwhile does no harm.

mod store_support;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ad_tally_core::journal::{Entries, Entry, Fold, Part, Record};
use ad_tally_core::key::{SHORT_KEY_WORDS, atom_hash};
use ad_tally_core::store::{Event, Options, Store, SyncError};
use ad_tally_core::{KeyWriter, Seed};
use store_support::disk::{Call, FakeDisk, Fault};
use store_support::part::{COUNT, FORGET, Folding, GONE, Held, ID, ITEM, ROW, record};
use store_support::{Opened, Random, files, held, quiet, tries_all};

/// Records something, and notes what it comes to. What was forgotten or is gone is in an interval of its own.
fn random_event(open: &Opened, part: &Part, random: &mut Random, held: &mut Held) {
    let (kind, words) = match random.below(20) {
        0..8 => (COUNT, vec![random.below(50), random.below(1_000)]),
        8..12 => (ID, vec![random.below(100), random.below(10)]),
        12..15 => (ITEM, vec![random.below(20), random.below(4)]),
        15..18 => {
            let window = random.below(30);
            if held.gone.contains(&window) {
                return;
            }
            (ROW, vec![window, random.below(1_000)])
        }
        18 => (FORGET, vec![random.below(20)]),
        _ => (GONE, vec![random.below(30)]),
    };
    if matches!(kind, FORGET | GONE) {
        open.sync().unwrap();
    }
    record(part, &[(kind, words.clone())]);
    held.apply(kind, &words);
    if matches!(kind, FORGET | GONE) {
        open.sync().unwrap();
    }
}

#[test]
fn what_is_merged_comes_to_the_same_in_whatever_steps() {
    for seed in 0..if tries_all() { 500 } else { 25 } {
        let mut random = Random::new(seed);
        let disk = FakeDisk::default();
        let mut expected = Held::default();
        for _ in 0..4 {
            let options = Options { segment_bytes: 100 + random.below(4_000), ..quiet() };
            let open = Opened::open(disk.clone(), options).unwrap();
            let part = open.part("ads");
            assert_eq!(open.load(&part).normal(), expected.clone().normal(), "seed {seed}");
            for _ in 0..random.below(200) {
                random_event(&open, &part, &mut random, &mut expected);
                match random.below(30) {
                    0 => open.compact().unwrap(),
                    1..4 => open.sync().unwrap(),
                    4 => {
                        open.sync().unwrap();
                        let held = open.load(&part).normal();
                        assert_eq!(held, expected.clone().normal(), "seed {seed}, while it is open");
                    }
                    _ => {}
                }
            }
            open.store.stop().unwrap();
        }
        assert_eq!(held(disk, "ads"), expected.normal(), "seed {seed}");
    }
}

#[test]
fn segments_that_are_full_are_merged_by_themselves_and_the_directory_stays_small() {
    let disk = FakeDisk::default();
    let segment_bytes = 4_000;
    let options = Options { segment_bytes, ..quiet() };
    let open = Opened::open(disk.clone(), options).unwrap();
    let part = open.part("ads");
    let mut expected = Held::default();
    for number in 0..20_000_u64 {
        let words = [number % 500, 1];
        record(&part, &[(COUNT, words.to_vec())]);
        expected.apply(COUNT, &words);
        if number % 100 == 0 {
            open.sync().unwrap();
        }
    }
    open.sync().unwrap();
    let begun = Instant::now();
    while files(&disk, "journal-").len() > 1 || files(&disk, "run-").len() > 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", disk.names());
        std::thread::sleep(Duration::from_millis(5));
    }
    let info = open.store.info();
    assert!(info.compactions > 10 && info.compaction_errors == 0, "{info:?}");
    let (base, all) = (info.base_bytes, info.base_bytes + info.run_bytes + info.segment_bytes);
    assert!(all <= 2 * base + 2 * segment_bytes, "{info:?}");
    assert!(disk.bytes() as u64 <= all + 2_000, "{} bytes, {info:?}", disk.bytes());
    assert!(open.events.lock().unwrap().iter().any(|event| matches!(event, Event::Compacted { is_base: true, .. })));
    assert_eq!(open.load(&part).normal(), expected.clone().normal());
    open.store.stop().unwrap();
    assert_eq!(held(disk, "ads"), expected.normal());
}

/// Whether some bytes are in a file.
fn are_in(disk: &FakeDisk, wanted: &[u8]) -> bool {
    disk.names().iter().any(|name| disk.read(name).windows(wanted.len()).any(|window| window == wanted))
}

#[test]
fn what_a_user_did_is_in_no_file_once_it_is_forgotten_and_merged() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), Options { segment_bytes: 500, ..quiet() }).unwrap();
    let part = open.part("ads");
    let secret = 0x5ec2_e700_1122_3344_u64;
    for user in 0..50 {
        record(&part, &[(ITEM, vec![user, if user == 17 { secret } else { user }])]);
        if user % 5 == 0 {
            open.sync().unwrap();
        }
    }
    open.compact().unwrap();
    assert!(are_in(&disk, &secret.to_be_bytes()), "it is there before");
    record(&part, &[(FORGET, vec![17])]);
    open.sync().unwrap();
    assert!(are_in(&disk, &secret.to_be_bytes()), "and until it is merged");
    open.compact().unwrap();
    assert!(!are_in(&disk, &secret.to_be_bytes()));
    let held = open.load(&part);
    assert_eq!(held.items.len(), 49);
    assert!(held.gone.is_empty());
}

#[test]
fn what_is_forgotten_goes_by_itself_within_the_bound() {
    let disk = FakeDisk::default();
    let options = Options { max_age: Duration::from_millis(400), ..quiet() };
    let open = Opened::open(disk.clone(), options).unwrap();
    let part = open.part("ads");
    let secret = 0x5ec2_e700_1122_3344_u64;
    record(&part, &[(ITEM, vec![17, secret])]);
    (0..1_000).for_each(|user| record(&part, &[(ITEM, vec![100 + user, user])]));
    open.compact().unwrap();
    record(&part, &[(FORGET, vec![17])]);
    open.sync().unwrap();
    assert!(are_in(&disk, &secret.to_be_bytes()));
    let begun = Instant::now();
    while are_in(&disk, &secret.to_be_bytes()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", open.store.info());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(open.load(&part).items.len(), 1_000);
}

#[test]
fn a_part_that_nobody_attaches_keeps_all_that_it_has() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let (ads, caps) = (open.part("ads"), open.part("caps"));
    let mut expected = Held::default();
    for number in 0..500 {
        record(&ads, &[(ID, vec![number, 1])]);
        record(&caps, &[(ID, vec![number, 2])]);
        expected.apply(ID, &[number, 2]);
    }
    open.store.stop().unwrap();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    open.part("ads");
    open.compact().unwrap();
    open.compact().unwrap();
    let attached: Vec<(String, bool)> =
        open.store.info().parts.into_iter().map(|part| (part.name, part.is_attached)).collect();
    assert_eq!(attached, [("ads".to_owned(), true), ("caps".to_owned(), false)]);
    open.store.stop().unwrap();
    assert_eq!(held(disk, "caps"), expected);
}

/// A store with a base, a run and two segments, and what it holds.
fn some_files() -> (FakeDisk, Held) {
    let disk = FakeDisk::default();
    let mut random = Random::new(5);
    let mut expected = Held::default();
    for round in 0..4 {
        let open = Opened::open(disk.clone(), quiet()).unwrap();
        let part = open.part("ads");
        for _ in 0..60 {
            random_event(&open, &part, &mut random, &mut expected);
        }
        if round < 2 {
            open.compact().unwrap();
        }
        open.store.stop().unwrap();
    }
    (disk, expected.normal())
}

#[test]
fn merging_that_is_interrupted_at_any_call_changes_nothing_of_what_is_held() {
    let (disk, expected) = some_files();
    let step = if tries_all() { 1 } else { 3 };
    for lasting in [1, u64::MAX] {
        let mut after = 0;
        loop {
            let copy = disk.after_a_kill();
            copy.fail(Fault::Io, after, lasting);
            let open = Opened::open(copy.clone(), quiet());
            let _ = open.as_ref().map(Opened::compact);
            let is_over = copy.heal() == 0;
            let mut random = Random::new(after);
            assert_eq!(held(copy.after_a_kill(), "ads"), expected, "killed after {after}");
            assert_eq!(held(copy.after_a_crash(|| random.next()), "ads"), expected, "crashed after {after}");
            // And it goes on, as if nothing had been.
            let open = open.or_else(|_| Opened::open(copy.clone(), quiet())).unwrap();
            let part = open.part("ads");
            open.compact().unwrap();
            assert_eq!(open.load(&part).normal(), expected, "after {after}");
            assert_eq!((files(&copy, "run-").len(), files(&copy, "journal-")), (1, Vec::new()), "after {after}");
            open.store.stop().unwrap();
            if is_over {
                break;
            }
            after += step;
        }
        assert!(after > 20, "there are more calls than {after}");
    }
}

#[test]
fn a_store_that_dies_while_it_merges_is_what_it_was_and_leaves_no_files_behind() {
    let (disk, expected) = some_files();
    let mut after = 0;
    loop {
        let copy = disk.after_a_kill();
        copy.die_after(after);
        let open = Opened::open(copy.clone(), quiet());
        let is_done = open.as_ref().is_ok_and(|open| open.compact().is_ok());
        let mut random = Random::new(after);
        let after_it = copy.after_a_crash(|| random.next());
        let again = Opened::open(after_it.clone(), quiet()).unwrap();
        let part = again.part("ads");
        assert_eq!(again.load(&part).normal(), expected, "died after {after}");
        again.compact().unwrap();
        assert_eq!((files(&after_it, "run-").len(), files(&after_it, "journal-")), (1, Vec::new()));
        again.store.stop().unwrap();
        let _ = open.map(|open| open.store.stop());
        if is_done {
            break;
        }
        after += if tries_all() { 1 } else { 2 };
    }
    assert!(after > 20, "there are more calls than {after}");
}

#[test]
fn runs_are_synced_with_their_names_before_a_manifest_names_them_and_nothing_is_removed_before_that() {
    let (disk, _) = some_files();
    disk.log();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    open.part("ads");
    open.compact().unwrap();
    let log = disk.log();
    let at = |wanted: fn(&Call) -> bool| (0..log.len()).filter(|at| wanted(&log[*at])).collect::<Vec<_>>();
    let renames = at(|call| matches!(call, Call::Rename(_, to) if to == "MANIFEST"));
    assert!(renames.len() >= 2, "{log:?}");
    for created in at(|call| matches!(call, Call::Create(name) if name.starts_with("run-"))) {
        let Call::Create(name) = &log[created] else { unreachable!() };
        let named = renames.iter().copied().find(|rename| *rename > created).expect("a manifest names it");
        let synced = log.iter().rposition(|call| *call == Call::Sync(name.clone())).expect("it is synced");
        let written = log.iter().rposition(|call| matches!(call, Call::Write(file, _) if file == name)).unwrap();
        assert!(written < synced && synced < named, "{log:?}");
        assert!(log[synced..named].contains(&Call::SyncFolder), "{log:?}");
    }
    for removed in at(|call| matches!(call, Call::Remove(_))) {
        let named = renames.iter().copied().rfind(|rename| *rename < removed).expect("a manifest without it");
        assert!(log[named..removed].contains(&Call::SyncFolder), "{log:?}");
    }
}

#[test]
fn many_small_intervals_are_merged_too() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    let mut expected = Held::default();
    for number in 0..3_000 {
        record(&part, &[(COUNT, vec![number % 7, 1])]);
        expected.apply(COUNT, &[number % 7, 1]);
        open.sync().unwrap();
    }
    open.compact().unwrap();
    assert_eq!(open.load(&part).normal(), expected);
    assert_eq!(open.store.info().segment_bytes, 0);
}

#[test]
fn a_disk_that_is_full_while_it_merges_keeps_no_half_of_a_run_and_heals() {
    let (disk, expected) = some_files();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    // What the start has begun to merge is merged.
    open.compact().unwrap();
    (0..2_000).for_each(|number| record(&part, &[(ID, vec![1_000 + number, 1])]));
    open.sync().unwrap();
    let runs = files(&disk, "run-");
    disk.set_room(Some(disk.bytes() + 4_000));
    assert!(open.compact().unwrap_err().to_string().contains("No space left on device"));
    assert_eq!(files(&disk, "run-"), runs);
    assert!(open.store.info().compaction_errors > 0);
    disk.set_room(None);
    open.compact().unwrap();
    let held = open.load(&part).normal();
    assert_eq!(held.ids.len(), expected.ids.len() + 2_000);
    assert_eq!(held.counts, expected.counts);
}

/// The segments that the newest manifests name, but for so many before.
fn named_segments(disk: &FakeDisk, before: usize) -> Vec<Vec<u64>> {
    let manifests = disk.versions("MANIFEST").into_iter().skip(before);
    let numbers = |manifest: Vec<u8>| {
        let text = String::from_utf8(manifest).unwrap();
        let (_, rest) = text.split_once("\"segments\":[").expect("a manifest");
        let (numbers, _) = rest.split_once(']').unwrap();
        numbers.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().unwrap()).collect()
    };
    manifests.map(numbers).collect()
}

/// Waits for what another thread does.
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_segment_that_was_begun_while_a_manifest_was_changed_is_named_by_the_next_one() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    open.compact().unwrap();
    // The first segment has its name, both its writes and both its syncs; and then no manifest names it.
    disk.fail(Fault::Io, 5, 1);
    record(&part, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    assert_eq!(disk.heal(), 1);
    assert_eq!(named_segments(&disk, 0).pop(), Some(vec![]));

    disk.hold_renames(true);
    let before = disk.versions("MANIFEST").len();
    let store = open.store.clone();
    let maker = std::thread::spawn(move || store.part("caps", "test", None, "of one kind").map(drop));
    wait_until(|| disk.held() == 1);
    // Once nobody reads files the thread that merges looks which segments there are. It has to wait for that manifest.
    assert_eq!(open.load(&part).counts[&1], 1);
    std::thread::sleep(Duration::from_millis(100));
    // Meanwhile a second segment begins.
    let (sender, merged) = mpsc::channel();
    open.store.compact(Box::new(move |result| drop(sender.send(result))));
    open.sync().unwrap();
    record(&part, &[(COUNT, vec![1, 1])]);
    let (sender, synced) = mpsc::channel();
    open.store.sync(Box::new(move |result| drop(sender.send(result))));
    wait_until(|| open.store.info().files == 3);
    disk.hold_renames(false);
    maker.join().unwrap().unwrap();
    synced.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    merged.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    let named = named_segments(&disk, before);
    assert_eq!(named[0], [0_u64; 0], "that of the part, which was there before");
    assert!(named.len() > 1 && named[1..].iter().all(|segments| segments.contains(&2)), "{named:?}");
}

/// A part whose records are rows under a key with an atom.
struct OfAtoms(u16);

const ATOM: &str = "campaign";

impl Fold for OfAtoms {
    fn fold(&self, _record: Record<'_>, into: &mut Entries) {
        let mut room = [std::mem::MaybeUninit::uninit(); SHORT_KEY_WORDS];
        let mut writer = KeyWriter::bare(&mut room);
        writer.atom(atom_hash(ATOM));
        into.row(self.0, 0, Seed::new(7).key(writer.finish()), 1, [(0, 1)]);
    }
}

/// A part of which nobody can tell what is kept.
struct Panics(Folding);

impl Fold for Panics {
    fn fold(&self, record: Record<'_>, into: &mut Entries) {
        self.0.fold(record, into);
    }

    fn keeps(&self, _entry: &Entry<'_>, _newest: u64) -> bool {
        panic!("it keeps nothing in mind")
    }
}

#[test]
fn who_waits_for_a_merge_that_panics_is_told_why_and_the_store_goes_on() {
    let disk = FakeDisk::default();
    let open = Opened::open(disk.clone(), quiet()).unwrap();
    let part = open.part("ads");
    open.store.attach(part.number, Arc::new(Panics(Folding(part.number))));
    record(&part, &[(COUNT, vec![1, 1])]);
    let reason = "the thread that merges has panicked: it keeps nothing in mind".to_owned();
    // Whoever asks while it panics, or after that.
    for _ in 0..2 {
        assert_eq!(open.compact(), Err(SyncError::Disk(reason.clone())));
    }
    wait_until(|| open.store.info().compaction_errors == 1);
    let told =
        open.events.lock().unwrap().iter().any(|event| *event == Event::CompactionFailed { reason: reason.clone() });
    assert!(told, "{:?}", open.events.lock().unwrap());
    record(&part, &[(COUNT, vec![1, 1])]);
    open.sync().unwrap();
    open.store.stop().unwrap();
    assert_eq!(held(disk, "ads").counts[&1], 2);
}

#[test]
fn texts_of_atoms_that_were_merged_are_known_to_the_next_start() {
    let disk = FakeDisk::default();
    for _ in 0..3 {
        let texts = Box::new(|hash| (hash == atom_hash(ATOM)).then(|| ATOM.to_owned()));
        let mut claimed = Vec::new();
        let mut claim = |hash, text: &str| {
            claimed.push((hash, text.to_owned()));
            Ok(())
        };
        let dir = Path::new(store_support::DIR);
        let store = Store::open(Arc::new(disk.clone()), dir, quiet(), texts, &mut claim, Box::new(|_| {})).unwrap();
        let number = store.part("ads", "test", None, "").unwrap().number;
        store.attach(number, Arc::new(OfAtoms(number)));
        let open = Opened { store, events: Arc::default() };
        if claimed.is_empty() {
            assert_eq!(open.store.info().opened, 1, "the first one has nothing to read");
        } else {
            assert_eq!(claimed, [(atom_hash(ATOM), ATOM.to_owned())]);
        }
        record(&Part::new(open.store.journal().clone(), number), &[(ROW, vec![])]);
        open.sync().unwrap();
        open.compact().unwrap();
        open.store.stop().unwrap();
    }
}
