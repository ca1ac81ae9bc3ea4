//! What is wrong with a frame, and where.

use std::fmt::Display;

/// A frame that was refused. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason} (byte {at} of the frame)")]
pub struct FrameError {
    /// The field that was wrong.
    pub field: &'static str,
    /// Where it begins, in bytes from the frame's first.
    pub at: usize,
    /// What is there, and what would have been right.
    pub reason: String,
}

impl FrameError {
    /// Of a field that begins at a byte.
    #[cold]
    pub fn new(field: &'static str, at: usize, found: impl Display, expected: impl Display) -> Self {
        Self::because(field, at, format_args!("{found}, expected {expected}"))
    }

    /// For a reason that says what would have been right.
    #[cold]
    pub fn because(field: &'static str, at: usize, reason: impl ToString) -> Self {
        Self { field, at, reason: reason.to_string() }
    }
}
