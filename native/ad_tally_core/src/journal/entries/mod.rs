//! Entries: what files of a store are made of. Records, which live only in memory, are folded into them.
//!
//! * [`entry`]: a key and its value; [`fold`]: what a part does for the store
//! * [`interval`]: the entries of an interval; [`values`]: how values of one key come to one
//! * [`run`]: entries in their order, as frames; [`merge`]: several runs become one

mod entry;
mod fold;
mod interval;
mod merge;
mod run;
mod values;

pub use self::entry::{
    Entry, EntryKind, META_NEWEST, META_SEQUENCE, MOST_TICKS, MOST_TOUCHES, STORE_PART, SketchRef, TABLES_OF_USERS,
    TickChange, TouchEntry, Users, WindowState,
};
pub use self::fold::{Fold, Restore};
pub use self::interval::{Atoms, Entries, NO_KEY};
pub use self::merge::{Frames, Merge, MergeError};
pub use self::run::{
    Chain, FRAME_HEADER_BYTES, FULL_FRAME_BYTES, FrameEntries, FrameHeader, MAX_RUN_FRAME_BYTES, RunFrame, RunWriter,
    frame_magic_at, rechain, run_frame_bytes,
};
