//! What attribution is told, and what it answers.

use crate::key::HashedKey;

/// The most kinds of touches. Each has two metrics in a row of spend.
pub const MAX_KINDS: usize = 8;
/// The most actions of conversions.
pub const MAX_ACTIONS: usize = 64;
/// The most touches of a user that are kept.
pub const MAX_TOUCHES: usize = 255;
/// Values and costs are below this, either way: the difference of two of them is within 64 bits.
pub const VALUES: i64 = 1 << 62;
/// Parts that every conversion is split into.
pub const PARTS: i64 = 1_000_000;

/// What attribution is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Milliseconds of a window.
    pub window: u64,
    /// Milliseconds that a window stays open past its end.
    pub lateness: u64,
    /// How many milliseconds past the system's time a touch or conversion may be; `None` where time is that of the events.
    pub max_ahead: Option<u64>,
    /// The lookback of each kind of touches in milliseconds, the strongest kind first.
    pub lookbacks: Vec<u64>,
    /// Whether eligible touches of the strongest kind exclude all others.
    pub prevail: bool,
    /// Whether neighbours in a path that have dimensions and kind in common are one touch.
    pub collapse: bool,
    /// How credit is given, each model beside the others.
    pub models: Vec<Model>,
    /// How the conversions of each action are counted.
    pub actions: Vec<Counting>,
    /// The most touches of a user that are kept, the newest ones.
    pub touches_per_user: usize,
    /// The most users that are kept.
    pub users: usize,
    /// The most orders that are kept.
    pub orders: usize,
    /// For how many milliseconds after its conversion an order may be adjusted.
    pub adjustable_for: u64,
    /// The most different dimensions of touches.
    pub max_keys: usize,
}

/// How a conversion's credit is divided among its touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// All of it to the last one.
    LastTouch,
    /// All of it to the first one.
    FirstTouch,
    /// The same to each.
    Linear,
    /// Two fifths to the first and to the last one, the rest to those between, equally.
    PositionBased,
    /// Half as much for every half-life that a touch is older.
    TimeDecay {
        /// Milliseconds.
        half_life: u64,
    },
}

/// Which conversions of an action count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Every one.
    Every,
    /// The first one of a user.
    OncePerUser,
    /// The first one of those that have the last touch in common.
    OncePerTouch,
}

/// Somebody saw or clicked something.
#[derive(Debug, Clone, Copy)]
pub struct Touch<'a> {
    /// Which touch: by it copies are recognised, and touches of the same time ordered.
    pub id: i64,
    /// The hash of the user.
    pub user: u64,
    /// When.
    pub at: u64,
    /// The place of its kind among [`Config::lookbacks`].
    pub kind: u8,
    /// Of what, under `Attribution::seed`.
    pub dimensions: HashedKey<'a>,
    /// What it has cost, in micros: from 0 to below [`VALUES`].
    pub cost: i64,
}

/// Somebody did what the promotion is for.
#[derive(Debug, Clone, Copy)]
pub struct Conversion<'a> {
    /// Which one, a bare key under `Attribution::seed`.
    pub order: HashedKey<'a>,
    /// The hash of the user.
    pub user: u64,
    /// When.
    pub at: u64,
    /// The place of its action among [`Config::actions`].
    pub action: u8,
    /// What it is worth, in micros, within [`VALUES`] either way.
    pub value: i64,
}

/// What became of a touch or a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Applied,
    /// It was taken before.
    Duplicate,
    /// Its window is closed: a touch is kept for conversions to come, a conversion is final at once.
    Late,
    /// It is too far ahead of the system's time, and was not taken.
    Future,
    /// The journal has no room until more of it is on disk. Nothing was taken, and it is to be sent again.
    Busy,
}

/// A change of a conversion that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is worth so much, in micros.
    Restate(i64),
    /// It did not happen.
    Retract,
}

/// Why a conversion could not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// There is no such order, or not any more.
    Unknown,
    /// It was retracted.
    Retracted,
    /// The time of the change is too far ahead of the system's.
    Future,
    /// The journal has no room until more of it is on disk: the change is to be sent again.
    Busy,
}

/// A touch in a path. Paths are in the order of time and, of the same time, of id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its id.
    pub id: i64,
    /// When it was.
    pub at: u64,
    /// When the first one was of those that were put together with it: the same time unless they were.
    pub first_at: u64,
    /// The place of its kind.
    pub kind: u8,
    /// The number of its dimensions, see `dimensions`.
    pub dimensions: u32,
    /// How many touches after it were put together with it, or with the touch before it.
    pub repeats: u16,
}

impl Step {
    /// By what paths are ordered.
    #[inline(always)]
    #[must_use]
    pub fn order(&self) -> (u64, i64) {
        (self.at, self.id)
    }
}
