//! What a caller can do wrong, in words that say what would have been right.

/// Why a key or a table was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A tuple key that is empty or too long.
    #[error("a tuple key has one to eight elements, this one has {0}")]
    Arity(usize),
    /// A binary in a key that is too long.
    #[error("a binary in a key has at most 65536 bytes, this one has {0}")]
    BinaryLength(usize),
    /// A table with no metric or too many.
    #[error("a table has one to sixteen metrics, not {0}")]
    Metrics(usize),
    /// A budget of keys that is zero or beyond what the table can address.
    #[error("max_keys is 1 to 1000000000, not {0}")]
    MaxKeys(usize),
    /// A precision that no sketch has.
    #[error("a precision is 4 to 18, not {0}")]
    Precision(u8),
}
