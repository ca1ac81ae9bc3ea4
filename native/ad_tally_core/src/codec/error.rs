//! What is wrong with a frame, and where.

/// A frame that was refused. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, expected {expected} (byte {at} of the frame)")]
pub struct FrameError {
    /// The field that was wrong.
    pub field: &'static str,
    /// Where it begins, in bytes from the frame's first.
    pub at: usize,
    /// What is there.
    pub found: String,
    /// What would have been right.
    pub expected: String,
}

impl FrameError {
    /// Of a field that begins at a byte.
    #[cold]
    pub fn new(field: &'static str, at: usize, found: impl ToString, expected: impl ToString) -> Self {
        Self { field, at, found: found.to_string(), expected: expected.to_string() }
    }
}
