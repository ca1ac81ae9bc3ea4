//! A run: entries in their order, as frames. An interval is a run, and so is a file that compaction writes.
//!
//! * [`frame`]: how a frame begins, and what ties it to the one before; `pair`: two numbers in few bytes
//! * [`write`]: entries become frames; [`read`]: and entries again

mod frame;
mod pair;
mod read;
mod write;

pub use self::frame::{
    Chain, FRAME_HEADER_BYTES, FULL_FRAME_BYTES, FrameHeader, MAX_RUN_FRAME_BYTES, RunFrame, frame_magic_at, rechain,
    run_frame_bytes,
};
pub(super) use self::read::Decoder;
pub use self::read::FrameEntries;
pub use self::write::RunWriter;
