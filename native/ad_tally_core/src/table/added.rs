//! What became of an add.

/// Where something that was added went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Into the key's own row.
    Row,
    /// Into the overflow: the key is new and the budget is used up, or the row has no room for so large a total.
    Overflow,
    /// Nowhere: the journal has no room until more of it is on disk.
    Busy,
}

impl Added {
    /// Into a row if there was one.
    #[inline(always)]
    pub(crate) fn of<R>(row: Option<R>) -> Self {
        if row.is_some() { Self::Row } else { Self::Overflow }
    }
}
