//! What kinds of tables there are frames of.

/// What kind of table a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are the tables' names")]
pub enum Kind {
    Counters = 1,
    Reach = 2,
    Dedupe = 3,
    FrequencyCap = 4,
    Attribution = 5,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Counters, Self::Reach, Self::Dedupe, Self::FrequencyCap, Self::Attribution];

    /// The kind in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Reach => "reach",
            Self::Dedupe => "dedupe",
            Self::FrequencyCap => "frequency_cap",
            Self::Attribution => "attribution",
        }
    }
}
