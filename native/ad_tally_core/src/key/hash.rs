//! The hash of keys, ids, users and pairs: of a fixed definition, under a table's seed.
//!
//! It is rapidhash V3 nano (Nicoshev, <https://github.com/Nicoshev/rapidhash>) of words as little-endian bytes. The
//! secrets are those that the crate `rapidhash` derives from the seed, because under the published ones there are keys that
//! collide whatever the seed is. The seeds of the domains are the hashes of their names under the seed of keys. Where a hash is all
//! that is wanted, of an id, a user or a scope that is one binary, the bytes themselves are hashed, in domains of their own: with the
//! words of a key written first, asking a dedupe for an id of 26 bytes took 11 % longer.
//!
//! It is no cryptographic hash, and the seed has 64 bits. That is enough for what depends on it: no answer of a table tells a hash or
//! the seed, so who does not know the seed can only try, and finds keys that share a bucket as rarely as by chance. Counters and
//! reach compare whole keys, where a collision costs time and no count. SipHash-1-3 took twice to three times as long:
//!
//! ```text
//! ns to write and hash a key of        2 words    4    6    8   12   20   40   (each waits for the one before)
//! rapidhash V3 nano                      3.8    7.0 10.3  9.7 13.0 14.0 21.3
//! rapidhash V3                           4.1    7.0 10.3 11.9 15.4 16.2 25.1
//! rapidhash V3 micro                     3.9    7.0 10.3 11.9 13.1 19.8 25.9
//! XXH3 with a seed                       6.0    6.8  9.4  9.0 10.7 28.7 32.4
//! wyhash                                 5.8    8.2 11.4 11.3 13.9 19.3 28.0
//! komihash                               8.0    9.5 13.1 11.7 14.9 17.9 24.3
//! SipHash-1-3                           11.5   14.7 18.6 23.0 28.9 42.1 75.5
//! ```
//!
//! Which bits serve what, in [`bits`]:
//!
//! ```text
//! keys of a table   line of the index 0..25   tag 25..32   check 32..40   shard 48..64
//! ids of a dedupe   narrow   fingerprint 3..31   bucket 38..64 in the largest table
//!                   wide     fingerprint 3..64   the bucket's bits are among them
//! pairs of caps     ticks    fingerprint 0..16   bucket 36..64 in the largest table
//!                   strict   fingerprint 0..64   the bucket's bits are among them
//!                   count    fingerprint 0..48   bucket 48..64 up to a capacity of 294,912; above, some are among them
//! ```
//!
//! Two ids or pairs look alike if they have the same bucket and the same fingerprint. So bits of both are wanted once: of a narrow
//! table of any size they are, which is asserted where the tables are laid out. Of a count of more pairs than that, both together
//! are all 64 bits of a hash, which is what a hash can tell apart: more buckets tell no more pairs apart, and lose none. A bucket
//! of caps that is split takes the lowest bits of the fingerprint, and both halves keep it whole: each of up to four splits costs
//! one bit, since the buckets are twice as many and tell no more pairs apart.
//!
//! A sketch counts with the hash of a user alone, which is another one (see `sketch`). A partition over nodes or a sample takes a domain
//! of its own: were it made by bits of these hashes, the keys of one node would have those bits in common.

use std::hash::BuildHasher;

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, RapidSecrets, rapidhash_v3_nano_inline};

/// Which bits of a hash serve what.
pub(crate) mod bits {
    /// The lowest bit of a tag. The line of an index is told by the bits below it.
    pub(crate) const TAG: u32 = 25;
    const TAG_BITS: u32 = 7;
    /// The lowest bit of those beside a row's address.
    pub(crate) const CHECK: u32 = 32;
    const CHECK_BITS: u32 = 8;
    /// The lowest bit of those that tell a shard.
    pub(crate) const SHARD: u32 = 48;
    /// How many those are at most.
    pub(crate) const SHARD_BITS: u32 = 16;

    /// Where the bits end below those that name one of so many buckets. Whatever the bucket is, they can be anything.
    pub(crate) const fn below_bucket(buckets: usize) -> u32 {
        u64::BITS - buckets.next_power_of_two().trailing_zeros()
    }

    // What tells rows of a line of one shard apart is not what they have in common.
    const _: () = assert!(TAG + TAG_BITS <= CHECK);
    const _: () = assert!(CHECK + CHECK_BITS <= SHARD);
    const _: () = assert!(SHARD + SHARD_BITS <= u64::BITS);
}

/// What a hash is of. Equal words have another hash in every domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A key of a table.
    Key,
    /// An id of events.
    Id,
    /// A scope of caps.
    Scope,
    /// A user of caps.
    User,
    /// A scope and a user of caps.
    Pair,
    /// An id that is one binary: its bytes.
    IdBytes,
    /// A scope that is one binary: its bytes.
    ScopeBytes,
    /// A user that is one binary: its bytes.
    UserBytes,
    /// A campaign and a request of a pacer.
    Request,
    /// The words of a reservation's token, which it is checked by.
    Token,
}

/// The names of all but the first one.
const NAMES: [&str; 9] = ["id", "scope", "user", "pair", "id bytes", "scope bytes", "user bytes", "request", "token"];
const DOMAINS: usize = 1 + NAMES.len();

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
        let mut seeds = [secrets.seed; DOMAINS];
        for (seed, name) in seeds[1..].iter_mut().zip(NAMES) {
            *seed = hash(&secrets, name.as_bytes());
        }
        Self { value, seeds, secrets: secrets.secrets }
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

    /// The hash of a pair of caps, of the hashes of its scope and its user.
    #[inline(always)]
    #[must_use]
    pub fn pair(&self, scope: u64, user: u64) -> u64 {
        self.hash(Domain::Pair, &[scope, user])
    }

    /// The hash of words in a domain.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, domain: Domain, words: &[u64]) -> u64 {
        // Little-endian bytes, because the target is: see lib.rs.
        self.hash_bytes(domain, bytemuck::cast_slice(words))
    }

    /// The hash of bytes in a domain.
    #[inline(always)]
    #[must_use]
    pub fn hash_bytes(&self, domain: Domain, bytes: &[u8]) -> u64 {
        hash(&RapidSecrets { seed: self.seeds[domain as usize], secrets: self.secrets }, bytes)
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

/// What stands for the id of a touch that is bytes: their rapidhash V3 nano under its published secrets, as a signed number. It is
/// stored, ordered and given back, so it is the same everywhere, whatever a table's seed is.
#[must_use]
pub fn id_hash(bytes: &[u8]) -> i64 {
    hash(&DEFAULT_RAPID_SECRETS, bytes) as i64
}

/// The hash of words of a fixed definition, whatever a table's seed is: rapidhash V3 nano under its published secrets.
pub(crate) fn fixed_hash(words: &[u64]) -> u64 {
    hash(&DEFAULT_RAPID_SECRETS, bytemuck::cast_slice(words))
}
