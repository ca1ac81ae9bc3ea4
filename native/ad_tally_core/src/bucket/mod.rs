//! Buckets of one cache line: a hash table whose entries, fingerprints, stay within one line of memory or nearly so.
//!
//! ```text
//! Buckets ──> bucket, bucket, bucket, ..., | overflow bucket, overflow bucket, ...
//!             │ header: lock, linked, level, version, bits of the policy
//!             └ words:  entries, or entries and the number of an overflow bucket
//! ```
//!
//! The high bits of a hash name its bucket. A bucket that is full goes on in overflow buckets ([`chain`]), which its lock guards
//! too; those come from a free list. Tables that grow split one bucket after the other ([`split`], linear hashing: Litwin 1980).
//! Whoever writes holds the bucket's lock; whoever reads may do without ([`line`], a sequence lock). What an entry is, and
//! when one is given up, is the policy's: it says how entries lie in words ([`Content`]).

#![cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]

mod buckets;
mod chain;
pub(crate) mod free_list;
#[cfg(all(test, loom))]
#[path = "../../tests/loom/bucket.rs"]
mod interleavings;
mod line;
pub(crate) mod population;
#[cfg(not(loom))]
pub(crate) mod simd;
mod split;

pub(crate) use buckets::{Buckets, Content};
pub(crate) use chain::{Chain, Full, Place};
pub(crate) use line::{Bucket, Header};
