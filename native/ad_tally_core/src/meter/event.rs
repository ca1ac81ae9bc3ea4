//! An event as it is recorded, and what becomes of it.

use crate::counters::Add;
use crate::key::HashedKey;
use crate::sketch::Coupon;
use crate::table::Spilled;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// When.
    pub at: u64,
    /// The hash of its id, under [`crate::Meter::seed`].
    pub id: Option<u64>,
    /// What is counted, under [`super::Meter::seed`].
    pub key: HashedKey<'a>,
    /// What is added to its metrics.
    pub amounts: &'a [Add],
    /// Who is inserted into its sketch, if the meter has any.
    pub user: Option<Coupon>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was counted.
    Applied,
    /// It was counted before.
    Duplicate,
    /// Its window is closed, or would be if it had begun.
    Late,
    /// It is too far ahead of the system's time.
    Future,
    /// Its window has not begun, and as many are open as may be.
    NoWindow,
    /// Its key, or the key of its sketch, is new and there is no room for it: it is counted in the window's overflow instead.
    Overflow,
    /// The journal has no room until more of it is on disk. Nothing was counted, and it is to be sent again.
    Busy,
}

impl From<Spilled> for Outcome {
    #[inline(always)]
    fn from(spilled: Spilled) -> Self {
        if spilled == Spilled::NOTHING { Self::Applied } else { Self::Overflow }
    }
}

pub(super) const OUTCOMES: usize = 7;
