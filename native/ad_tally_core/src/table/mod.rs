//! Rows by key: what every keyed structure has in common. A row is some cells, zero at first, and its key's words.
//!
//! A key belongs to a shard by the high bits of its hash. A shard is small enough (a few thousand keys) that growing
//! its index takes tens of microseconds, on whichever thread adds the key that makes it grow, and only new keys of
//! the same shard wait meanwhile. A row neither moves nor goes away before the whole table does.
//!
//! A table may begin with one shard only, and be divided into all that its budget asks for once it has a few hundred keys: of
//! tens of thousands of windows most have few, and the shards of a budget of a million keys take 22 KB. Its rows stay where they are then,
//! and so does its index, for whoever is looking there.

mod added;
mod arena;
mod batch;
mod cursor;
mod drainable;
mod durable;
mod export;
mod generation;
mod index;
mod insert;
mod keyed;
mod merge;
mod restore;
mod row_ref;
mod rows;
mod shards;
mod spilled;
mod stored;

pub use self::added::Added;
pub use self::batch::Batch;
pub use self::drainable::{Drainable, Drained, Info, MAX_KEYS, check_max_keys};
pub use self::durable::{Durable, Of};
pub use self::export::{Export, Portable};
pub use self::generation::{Generation, Value};
pub(crate) use self::index::Line;
pub(crate) use self::keyed::Keyed;
pub use self::restore::Restoring;
pub use self::row_ref::RowRef;
pub use self::rows::Rows;
pub use self::spilled::Spilled;
pub(crate) use self::stored::{Stored, Writer, fold_taken, record_taken, restore_taken};
