//! Where a key's row and registers most likely lie, to ask for their cache lines before anything else is done.
//!
//! ```text
//! entry, of so many that the low bits of a hash choose from
//!   row         address of the row
//!   registers   bits 0..6 and 48..64   bits of the hash: whose they are
//!               bits 6..48             address of the registers, which is that of a cache line
//! ```
//!
//! An add waits for three cache lines, each named by the one before it: index, row, register. The register, one of
//! thousands of a key, is hardly ever near, and between two calls the VM does more than a processor looks ahead, so all of
//! that waiting shows. With the lines of row and register asked for beforehand, an add to one of 1,000 keys takes 60 ns
//! instead of 75 (through the NIF, 20 users a key; with 100 users, which no near cache holds the registers of, 60 to 100
//! instead of 80 and more).
//!
//! Nothing but prefetches comes of it, and those may go astray: an entry may be of another key of the same bits, or of a
//! table that was drained and freed. Entries are written when a key gets registers and not again, so that no line of
//! theirs moves between cores.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::keyed::fetch;
use crate::sketch::Coupon;
use crate::sync::AtomicU64;

/// Entries at most, 64 KiB: with 1,000 keys that have registers nine in ten have an entry to themselves.
const MOST: usize = 4_096;
const ADDRESS: u64 = 0x0000_ffff_ffff_ffc0;
/// The table's shards and lines take their bits from both ends of the hash, but nothing counts with these.
const ENTRY_SHIFT: u32 = 12;

struct Entry {
    row: AtomicU64,
    registers: AtomicU64,
}

#[derive(Clone)]
pub(super) struct Hints(Arc<[Entry]>);

impl Hints {
    /// None yet, with as much room as `max_keys` keys can use.
    pub(super) fn new(max_keys: usize) -> Self {
        let entry = |_| Entry { row: AtomicU64::new(0), registers: AtomicU64::new(0) };
        Self((0..max_keys.next_power_of_two().min(MOST)).map(entry).collect())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Entry]>(&self.0)
    }

    #[inline(always)]
    fn entry(&self, hash: u64) -> &Entry {
        &self.0[(hash >> ENTRY_SHIFT) as usize & (self.0.len() - 1)]
    }

    /// Asks for the lines that a user of the hash's key needs, if they are known.
    #[inline(always)]
    pub(super) fn fetch(&self, hash: u64, user: Coupon, count: usize) {
        let entry = self.entry(hash);
        let registers = entry.registers.load(Relaxed);
        let register = (registers & ADDRESS) as usize + user.register(count);
        // Chosen without a branch, which would be mispredicted where some keys have entries and others have not.
        let known = (registers ^ hash) & !ADDRESS == 0;
        fetch(std::ptr::without_provenance::<u8>(if known { register } else { std::ptr::from_ref(entry).addr() }));
        fetch(std::ptr::without_provenance::<u8>(entry.row.load(Relaxed) as usize));
    }

    /// Remembers where a key's row and registers lie.
    pub(super) fn note(&self, hash: u64, row: &[AtomicU64], registers: u64) {
        let entry = self.entry(hash);
        entry.row.store(row.as_ptr().addr() as u64, Relaxed);
        entry.registers.store(registers & ADDRESS | hash & !ADDRESS, Relaxed);
    }
}
