//! How what a table holds leaves it and comes in again: as frames that stand alone.
//!
//! * [`frame`]: the format, and the checks of a whole frame
//! * [`kind`]: what kinds of tables there are frames of
//! * [`settings`], [`name`], [`value`]: what a frame tells of the table it came from, and which of that another table must have too
//! * [`read`], [`write`]: single fields
//! * [`taken`]: which frames a table has taken, so that none is taken twice
//! * [`error`]: what is wrong with a frame, and where

pub mod error;
pub mod frame;
pub mod kind;
pub mod name;
pub mod read;
pub mod settings;
pub mod taken;
pub mod value;
pub mod write;

pub use error::FrameError;
pub use frame::{Frame, FrameWriter, MAX_FRAME_BYTES, StreamId, frame_bytes};
pub use kind::Kind;
pub use name::Name;
pub use read::Reader;
pub use settings::{Setting, Settings};
pub use taken::{Claim, Taken, TakenInfo};
pub use value::{COUNTINGS, MODELS, Said, TIME_DECAY, Value};
pub use write::Writer;

/// What a table became by a frame that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The frame's rows are in the table, as far as it had room.
    Rows {
        /// How many rows the frame has.
        rows: u32,
        /// How many of them went into the overflow, or had no room.
        overflow: u32,
    },
    /// The table had taken the frame before: nothing changed.
    AlreadyTaken,
}
