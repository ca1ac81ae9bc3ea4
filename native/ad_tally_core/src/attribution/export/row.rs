//! The rows of a frame of attribution.
//!
//! ```text
//! every row       u8             0 a user, 1 a conversion
//!                 dimensions     LEB128, how many different ones the row has; of each its key's bytes, see `key::bytes`
//! 0 a user        bucket         LEB128, below the setting `buckets`
//!                 fingerprint    5 bytes, the low 40 bits of the user's hash
//!                 evicted        LEB128, the time of the newest touch that was evicted, 0 if none was
//!                 converted      u8, 1 if it has converted; LEB128, when it last did
//!                 touches        LEB128, how many
//!   each          at, kind       LEB128, milliseconds since 1970; u8, the place of its kind
//!                 id             u64, two's complement
//!                 repeats        LEB128
//!                 before         LEB128, how long before it the first one was of those that were put together with it
//!                 dimensions     LEB128: the place of its dimensions in the row, from 1 on; 0 for none
//!                 marks          LEB128, how many
//!   each          at, action     LEB128; u8, its place
//!                 touch          u8, 1 if there is one; u64, its id
//!                 order          u32, the low 30 bits of its hash
//!                 aliases        LEB128, how many; of each u64, its hash
//! 1 a conversion  state          u8: 0 provisional, 1 final, 2 final and not counted
//!                 order          its key's bytes if it is provisional, or else u64, its hash
//!                 user           u8, 1 if there is one; u64, the hash
//!                 at             LEB128
//!                 action         u8, its place
//!                 truncated      u8, 0 or 1
//!                 revision       LEB128, 1 or more
//!                 value          LEB128 in zigzag, micros at first
//!                 changes        LEB128, how many that are not booked yet (of a final one none)
//!   each          at, net        LEB128; u8, 1 if it counts, and then its value
//!                 net            as of each change
//!                 adjusted       u8, 1 if it was changed; LEB128, when it last was
//!                 steps          LEB128, how many, from old to new
//!   each                         as a touch
//! ```
//!
//! What is known of a user may be in several rows, so that none is too long for a frame.

use super::super::types::{MAX_ACTIONS, MAX_TOUCHES};

pub(super) const USER: u8 = 0;
pub(super) const CONVERSION: u8 = 1;

/// Bytes of a fingerprint.
pub(super) const FINGERPRINT_BYTES: usize = 5;
/// The low bits of an order's hash that a mark has.
pub(super) const MARK_ORDERS: u32 = 1 << 30;
/// The most marks of a user: for each action one, and of as many touches as are kept.
pub(super) const MOST_MARKS: u64 = (MAX_ACTIONS * (1 + MAX_TOUCHES)) as u64;
/// The most aliases of a user.
pub(super) const MOST_ALIASES: u64 = 255;
/// Bytes after which a user's touches go on in another row.
pub(super) const FULL: usize = 1 << 16;
/// The most bytes of all dimensions of a row, so that a frame has room for it: those of a path beyond these leave as none.
pub(super) const MOST_DIMENSIONS: usize = 3 << 18;
/// The most changes of a provisional conversion that leave, the newest ones: what those before them have changed is in the first
/// one that does.
pub(super) const MOST_CHANGES: usize = 1_000;
