//! The hash of keys, ids, users and pairs: of a fixed definition, under a table's seed.
//!
//! It is rapidhash V3 nano (Nicoshev, <https://github.com/Nicoshev/rapidhash>) of words as little-endian bytes. The
//! secrets are those that the crate `rapidhash` derives from the seed, because under the published ones there are keys that
//! collide whatever the seed is. The seeds of the domains are the hashes of their names under the seed of keys.

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, RapidSecrets, rapidhash_v3_nano_inline};
use std::hash::BuildHasher;

/// What a hash is of. Equal words have another hash in every domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A key of a table, or a scope of caps.
    Key,
    /// An id of events.
    Id,
    /// A user of caps.
    User,
    /// A scope and a user of caps.
    Pair,
}

const DOMAINS: usize = 4;

/// The seed under which a table hashes. Who does not know it cannot choose keys that collide.
#[derive(Debug, Clone)]
pub struct Seed {
    value: u64,
    /// One for each domain.
    seeds: [u64; DOMAINS],
    secrets: [u64; 7],
}

/// A key's words and their hash under one table's seed.
#[derive(Debug, Clone, Copy)]
pub struct HashedKey<'a> {
    /// The hash of `words`.
    pub hash: u64,
    /// The canonical words.
    pub words: &'a [u64],
}

impl Seed {
    /// The seed of that number.
    #[must_use]
    pub fn new(value: u64) -> Self {
        let secrets = RapidSecrets::seed(value);
        let seed_of = |name: &str| hash(&secrets, name.as_bytes());
        Self { value, seeds: [secrets.seed, seed_of("id"), seed_of("user"), seed_of("pair")], secrets: secrets.secrets }
    }

    /// A seed of a random number.
    #[must_use]
    pub fn random() -> Self {
        // The standard library's keys are the system's random numbers.
        Self::new(std::hash::RandomState::new().hash_one("seed"))
    }

    /// The number.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Words with their hash as a key.
    #[inline(always)]
    #[must_use]
    pub fn key<'a>(&self, words: &'a [u64]) -> HashedKey<'a> {
        HashedKey { hash: self.hash(Domain::Key, words), words }
    }

    /// The hash of words in a domain.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, domain: Domain, words: &[u64]) -> u64 {
        let secrets = RapidSecrets { seed: self.seeds[domain as usize], secrets: self.secrets };
        // Little-endian bytes, because the target is: see lib.rs.
        hash(&secrets, bytemuck::cast_slice(words))
    }
}

#[inline(always)]
fn hash(secrets: &RapidSecrets, bytes: &[u8]) -> u64 {
    rapidhash_v3_nano_inline::<true, false>(bytes, secrets)
}

/// The hash of an atom's text, by which it is a word of keys: rapidhash V3 nano under its published secrets. That is the
/// same everywhere, whatever a table's seed is.
#[must_use]
pub fn atom_hash(text: &str) -> u64 {
    hash(&DEFAULT_RAPID_SECRETS, text.as_bytes())
}
