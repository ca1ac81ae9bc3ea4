//! Keys as words and as bytes, and their hashes.

mod support;

use std::borrow::Cow;
use std::collections::HashMap;

use ad_tally_core::key::{
    AtomFault, AtomNames, Domain, KeyBytesError, KeyBytesFault, MAX_BYTES, atom_hash, decode_key, encode_key, id_hash,
    is_key,
};
use ad_tally_core::{KeyRef, Seed};
use proptest::prelude::*;

use self::support::{Key, Part};

/// Atoms of a VM, of which some are new ones.
#[derive(Default)]
struct Atoms(HashMap<u64, String>);

/// As many as there may be.
const MOST_ATOMS: usize = 100;

impl AtomNames for Atoms {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        self.0.get(&hash).map(|text| Cow::from(text.as_str()))
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        if text.chars().count() > 255 {
            return Err(AtomFault::Length);
        }
        let hash = atom_hash(text);
        if self.0.len() >= MOST_ATOMS && !self.0.contains_key(&hash) {
            return Err(AtomFault::TooMany(MOST_ATOMS));
        }
        self.0.entry(hash).or_insert_with(|| text.to_owned());
        Ok(hash)
    }
}

fn words(key: &Key) -> Vec<u64> {
    key.with(&Seed::new(0), |key| key.words.to_vec())
}

fn encoded(key: &Key, atoms: &Atoms) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(&words(key), atoms, &mut bytes).expect("known atoms");
    bytes
}

fn decoded(bytes: &[u8], atoms: &mut Atoms) -> Result<(Key, usize), KeyBytesError> {
    let mut words = Vec::new();
    decode_key(bytes, atoms, &mut words).map(|length| (Key::read(KeyRef::new(&words)), length))
}

fn atom(text: &str, atoms: &mut Atoms) -> Part {
    Part::Atom(atoms.atom(text).expect("an atom"))
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{0,12}", "\\PC{0,40}"]
}

fn keys() -> impl Strategy<Value = (Key, Vec<String>)> {
    let part = prop_oneof![
        any::<i64>().prop_map(|value| (Part::Integer(value), None)),
        (-100..100_i64).prop_map(|value| (Part::Integer(value), None)),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| (Part::Bytes(bytes), None)),
        texts().prop_map(|text| (Part::Atom(atom_hash(&text)), Some(text))),
    ];
    let parts = prop_oneof![
        part.clone().prop_map(|part| (false, vec![part])),
        prop::collection::vec(part, 1..=8).prop_map(|parts| (true, parts))
    ];
    parts.prop_map(|(is_tuple, parts)| {
        let (mut parts, texts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let key = if is_tuple { Key::Tuple(parts) } else { Key::Bare(parts.remove(0)) };
        (key, texts.into_iter().flatten().collect())
    })
}

proptest! {
    #[test]
    fn words_are_those_of_a_key_or_refused((key, _texts) in keys(), flip in any::<(prop::sample::Index, u8)>(), cut in any::<prop::sample::Index>()) {
        let right = words(&key);
        prop_assert!(is_key(&right));
        // No key's words are the beginning of another's.
        prop_assert!(!is_key(&right[..cut.index(right.len())]));
        prop_assert!(!is_key(&[&right[..], &[0]].concat()));
        for at in [flip.0.index(right.len()), 0] {
            let mut other = right.clone();
            other[at] ^= 1 << (flip.1 % 64);
            if is_key(&other) {
                prop_assert_eq!(words(&Key::read(KeyRef::new(&other))), other);
            }
        }
    }

    #[test]
    fn bytes_of_a_key_are_read_as_that_key((key, texts) in keys(), behind in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut atoms = Atoms::default();
        for text in &texts {
            atoms.atom(text).expect("an atom");
        }
        let mut bytes = encoded(&key, &atoms);
        let length = bytes.len();
        bytes.extend(behind);
        // In a VM that has none of the atoms yet.
        prop_assert_eq!(decoded(&bytes, &mut Atoms::default()), Ok((key, length)));
    }

    #[test]
    fn bytes_that_are_cut_or_changed_are_refused_or_another_key((key, texts) in keys(), flip in any::<(usize, u8)>()) {
        let mut atoms = Atoms::default();
        for text in &texts {
            atoms.atom(text).expect("an atom");
        }
        let bytes = encoded(&key, &atoms);
        for cut in 0..bytes.len() {
            let error = decoded(&bytes[..cut], &mut atoms).expect_err("cut");
            prop_assert_eq!(error.at, cut);
            prop_assert!(matches!(error.fault, KeyBytesFault::End(_)), "{}", error);
        }
        let mut other = bytes.clone();
        let at = flip.0 % other.len();
        other[at] ^= flip.1.max(1);
        match decoded(&other, &mut atoms) {
            Ok((other_key, _length)) => prop_assert_ne!(other_key, key),
            Err(error) => prop_assert!(error.at <= bytes.len()),
        }
    }

    #[test]
    fn any_bytes_are_a_key_with_these_bytes_or_refused(bytes in prop::collection::vec(0..12_u8, 0..60)) {
        let mut atoms = Atoms::default();
        if let Ok((key, length)) = decoded(&bytes, &mut atoms) {
            prop_assert_eq!(encoded(&key, &atoms), &bytes[..length]);
        }
    }
}

#[test]
fn rejects_bytes_that_are_no_key_and_names_the_place() {
    let refused = |bytes: &[u8]| decoded(bytes, &mut Atoms::default()).expect_err("no key").to_string();
    assert_eq!(refused(b""), "byte 0 of the key: the bytes end here, and 1 more are needed");
    assert_eq!(refused(b"\x09"), "byte 0 of the key: an arity is 0 to 8, not 9");
    assert_eq!(refused(b"\x00\x03"), "byte 1 of the key: a kind is 0, 1 or 2, not 3");
    assert_eq!(refused(b"\x00\x00\x01\x00"), "byte 4 of the key: the bytes end here, and 6 more are needed");
    let mut long = b"\x01\x01".to_vec();
    long.extend((MAX_BYTES as u32 + 1).to_le_bytes());
    assert_eq!(refused(&long), "byte 2 of the key: a binary has at most 65536 bytes, not 65537");
    assert_eq!(refused(b"\x00\x02\xfd\x03"), "byte 2 of the key: an atom's text has at most 1020 bytes, not 1021");
    assert_eq!(refused(b"\x00\x02\x02\x00\xc3\x28"), "byte 4 of the key: an atom's text is not UTF-8");
    let mut atom = b"\x00\x02\x00\x01".to_vec();
    atom.extend([b'a'; 256]);
    assert_eq!(refused(&atom), "byte 4 of the key: an atom: an atom has at most 255 characters");
}

#[test]
fn makes_no_more_atoms_than_it_may() {
    let (mut there, mut atoms) = (Atoms::default(), Atoms::default());
    let keys: Vec<Vec<u8>> = (0..MOST_ATOMS + 1)
        .map(|at| {
            if at == MOST_ATOMS {
                there.0.clear()
            }
            let key = Key::Bare(atom(&at.to_string(), &mut there));
            encoded(&key, &there)
        })
        .collect();
    let results: Vec<_> = keys.iter().map(|bytes| decoded(bytes, &mut atoms).is_ok()).collect();
    assert_eq!(results.iter().filter(|is_ok| **is_ok).count(), MOST_ATOMS);
    let fault = KeyBytesFault::Atom(AtomFault::TooMany(MOST_ATOMS));
    assert_eq!(decoded(&keys[MOST_ATOMS], &mut atoms), Err(KeyBytesError { at: 4, fault }));
}

#[test]
fn an_atom_without_a_text_is_refused_and_nothing_appended() {
    let words = words(&Key::Tuple(vec![Part::Integer(1), Part::Atom(7)]));
    let mut bytes = vec![1, 2, 3];
    assert_eq!(encode_key(&words, &Atoms::default(), &mut bytes), Err(7));
    assert_eq!(bytes, [1, 2, 3]);
}

/// Keys that differ in one bit, in a length, a kind, or in being a tuple, are told apart by any 20 bits of their hashes as often as
/// numbers are that were drawn, in every domain, and so are the domains.
#[test]
fn hashes_are_spread() {
    let seed = Seed::random();
    let mut keys = Vec::new();
    for length in 0..100 {
        let bytes = vec![0; length];
        keys.push(Key::Bare(Part::Bytes(bytes.clone())));
        keys.push(Key::Tuple(vec![Part::Bytes(bytes.clone())]));
        for bit in 0..8 * length {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            keys.push(Key::Bare(Part::Bytes(other)));
        }
    }
    for bit in 0..64 {
        keys.extend([Part::Integer(1 << bit), Part::Atom(1 << bit)].map(Key::Bare));
        keys.extend(
            (0..8).map(|at| Key::Tuple((0..8).map(|part| Part::Integer(i64::from(part == at) << bit)).collect())),
        );
    }
    let domains = [Domain::Key, Domain::Id, Domain::Scope, Domain::User, Domain::Pair, Domain::IdBytes];
    let mut hashes: Vec<u64> = keys
        .iter()
        .flat_map(|key| {
            let words = words(key);
            domains.map(|domain| seed.hash(domain, &words))
        })
        .collect();
    let count = hashes.len() as f64;
    for shift in [0, 20, 44] {
        let mut part: Vec<u64> = hashes.iter().map(|hash| hash >> shift & 0xf_ffff).collect();
        part.sort_unstable();
        let alike = part.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
        // Numbers of those that were drawn that are the same as another one before.
        let values = f64::from(1 << 20);
        let expected = count - values * (1.0 - (1.0 - 1.0 / values).powf(count));
        assert!(
            (alike - expected).abs() < 10.0 * expected.sqrt(),
            "seed {}: {alike} of {expected} at {shift}",
            seed.value()
        );
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len() as f64, count, "seed {}", seed.value());
}

/// The vectors, which are checked through the NIF as well: what a key's bytes are, and its hash in each domain under a seed.
#[test]
fn keys_have_the_hashes_of_the_vectors() {
    let mut atoms = Atoms::default();
    let vectors = include_str!("golden/keys.txt").lines().filter(|line| !line.starts_with('#'));
    let count = vectors
        .map(|line| {
            let mut fields = line.splitn(5, ' ');
            let mut field = || fields.next().expect("five fields");
            let (role, seed, hash, bytes) = (field(), field().parse::<u64>().expect("a seed"), field(), field());
            let bytes: Vec<u8> = (0..bytes.len() / 2)
                .map(|at| u8::from_str_radix(&bytes[2 * at..][..2], 16).expect("hexadecimal digits"))
                .collect();
            let (key, length) = decoded(&bytes, &mut atoms).expect(line);
            assert_eq!((length, encoded(&key, &atoms)), (bytes.len(), bytes), "{line}");
            let hash = u64::from_str_radix(hash, 16).expect("a hash");
            if role == "touch" {
                let Key::Bare(Part::Bytes(bytes)) = &key else { panic!("{line}") };
                assert_eq!(id_hash(bytes), hash as i64, "{line}");
                return;
            }
            let (domain, of_bytes) = match role {
                "key" => (Domain::Key, None),
                "id" => (Domain::Id, Some(Domain::IdBytes)),
                "scope" => (Domain::Scope, Some(Domain::ScopeBytes)),
                _ => (Domain::User, Some(Domain::UserBytes)),
            };
            let seed = Seed::new(seed);
            let found = match (&key, of_bytes) {
                (Key::Bare(Part::Bytes(bytes)), Some(domain)) => seed.hash_bytes(domain, bytes),
                _ => seed.hash(domain, &words(&key)),
            };
            assert_eq!(found, hash, "{line}");
        })
        .count();
    assert!(count > 60, "{count}");
}

#[test]
fn atoms_and_pairs_have_these_hashes() {
    let atoms = ["", "nil", "ab", "ü 🎯", "Elixir.Enum"].map(atom_hash);
    assert_eq!(
        atoms,
        [232177599295442350, 5990109607284441205, 8872296267850602869, 5921378676901117580, 7093932830732928588]
    );
    let pairs = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (u64::MAX, 1, u64::MAX)];
    let pairs = pairs.map(|(seed, scope, user)| Seed::new(seed).pair(scope, user));
    assert_eq!(pairs, [12370385415284549042, 1419340177197240041, 8302934654293617119, 12368435830099307954]);
}
