//! What a caller can do wrong, in words that say what would have been right.

/// Times are below this, some 4,400 years after 1970.
pub const TIMES: u64 = 1 << 47;

/// Whether there is such a time.
pub(crate) fn check_time(at: u64) -> Result<(), Error> {
    if at < TIMES { Ok(()) } else { Err(Error::Time(at)) }
}

/// The same of one that was read from a file.
#[cfg(not(loom))]
pub(crate) fn check_restored_time(at: u64) -> Result<(), String> {
    check_time(at).map_err(|error| error.to_string())
}

/// Why a table, or a call of one, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A table with no metric or too many.
    #[error("a table has one to sixteen metrics, not {0}")]
    Metrics(usize),
    /// A budget of keys that is zero or beyond what the table can address.
    #[error("max_keys is 1 to 1000000000, not {0}")]
    MaxKeys(usize),
    /// A precision that no sketch has.
    #[error("a precision is 4 to 18, not {0}")]
    Precision(u8),
    /// A frequency cap's capacity that is zero or beyond what the table can address.
    #[error("a capacity is 1 to 1000000000 pairs, not {0}")]
    Capacity(usize),
    /// A frequency cap that is to grow too far.
    #[error("max_capacity is from capacity to 16 times that ({least} to {most}), not {max_capacity}")]
    MaxCapacity {
        /// What was asked for.
        max_capacity: usize,
        /// The capacity.
        least: usize,
        /// The most.
        most: usize,
    },
    /// Too many tiers, or none and no lifetime either.
    #[error("a frequency cap has one to three tiers, or only a lifetime, not {0} tiers")]
    Tiers(usize),
    /// A tier that cannot be kept.
    #[error(
        "a tier has a granularity of 1000 to 86400000 ms and a horizon of one to 4032 times that, \
         not {granularity} ms and {horizon} ms"
    )]
    Tier {
        /// Milliseconds of a tick.
        granularity: u64,
        /// Milliseconds that ticks are kept.
        horizon: u64,
    },
    /// Tiers that are not each coarser and longer than the one before.
    #[error("tiers go from fine to coarse: each has a larger granularity and a longer horizon than the one before")]
    TierOrder,
    /// No rules, or too many.
    #[error("one to sixteen rules are asked together, not {0}")]
    Rules(usize),
    /// A rule that allows nothing, or more than is kept.
    #[error("a rule allows 1 to {most} events, not {max}")]
    Max {
        /// What was asked for.
        max: u32,
        /// The most.
        most: u32,
    },
    /// A window that no tier covers.
    #[error("a window is 1 to {most} ms, the longest horizon of the table's tiers, not {window}")]
    Window {
        /// What was asked for.
        window: u64,
        /// The most.
        most: u64,
    },
    /// A window that is shorter than the ticks it would be counted in.
    #[error(
        "a window of {window} ms is shorter than a granule of the tier that serves it, {granularity} ms, and would stay \
         closed for all of that: a rule's window is at least as long"
    )]
    Granule {
        /// What was asked for.
        window: u64,
        /// Milliseconds of a tick.
        granularity: u64,
    },
    /// A frequency cap that believes events too far ahead.
    #[error("max_ahead is 0 to 140737488355327 ms, not {0}")]
    MaxAhead(u64),
    /// An offset from UTC of a day or more.
    #[error("an offset from UTC is less than a day (86400000 ms) either way, not {0}")]
    Offset(i64),
    /// A midnight that lies within a tick.
    #[error(
        "midnight at an offset of {0} ms from UTC is the begin of a tick in no tier that covers a day: choose a \
         granularity that divides both"
    )]
    Midnight(i64),
    /// A zone with a day that is longer than any tier keeps events.
    #[error(
        "a day of {zone} may be {day} ms long, and the longest horizon of the table's tiers is {most}: choose one of at \
         least {day} ms"
    )]
    LongestDay {
        /// Its name.
        zone: &'static str,
        /// Milliseconds of its longest day.
        day: u64,
        /// Those that are kept.
        most: u64,
    },
    /// A zone with midnights that lie within a tick.
    #[error(
        "days of {zone} begin at multiples of {granularity} ms, and those are no begin of a tick in any tier that covers \
         its longest day of {day} ms: choose a granularity that divides {granularity}"
    )]
    Midnights {
        /// Its name.
        zone: &'static str,
        /// Milliseconds of its longest day.
        day: u64,
        /// What divides the times of its midnights.
        granularity: u64,
    },
    /// A lifetime's rule for a table that keeps none.
    #[error("the table keeps no lifetime counts: make it with lifetime: true")]
    NoLifetime,
    /// A scope that is in a list twice.
    #[error("a scope is in the list twice")]
    DuplicateScope,
    /// Too many scopes at once, or none.
    #[error("one to 64 scopes are admitted together, not {0}")]
    Scopes(usize),
    /// A time beyond what ticks can tell.
    #[error("a time is 0 to 140737488355327 ms since 1970, not {0}")]
    Time(u64),
    /// A dedupe's capacity that is zero or beyond what the table can address.
    #[error("a capacity is 1 to 1000000000 ids, not {0}")]
    DedupeCapacity(usize),
    /// A dedupe's window that is zero or longer than times are.
    #[error("a window is 1 to 140737488355327 ms, not {0}")]
    DedupeWindow(u64),
    /// A meter's window that is zero or longer than times are.
    #[error("a window is 1 to 140737488355327 ms, not {0}")]
    MeterWindow(u64),
    /// Users that are counted by no dimension, or by too many.
    #[error("users are counted by one to eight dimensions, not {0}")]
    ReachBy(usize),
    /// A lateness longer than times are.
    #[error("a lateness is 0 to 140737488355327 ms, not {0}")]
    Lateness(u64),
    /// No kinds of touches, or too many.
    #[error("there are one to eight kinds of touches, not {0}")]
    Kinds(usize),
    /// No actions of conversions, or too many.
    #[error("there are one to 64 actions of conversions, not {0}")]
    Actions(usize),
    /// No models, or too many.
    #[error("there are one to eight models, not {0}")]
    Models(usize),
    /// A bound of touches that is zero or more than a count of one byte.
    #[error("touches_per_user is 1 to 255, not {0}")]
    TouchesPerUser(usize),
    /// A budget of users that is zero or beyond what the table can address.
    #[error("users is 1 to 1000000000, not {0}")]
    Users(usize),
    /// A budget of orders that is zero or beyond what the table can address.
    #[error("orders is 1 to 1000000000, not {0}")]
    Orders(usize),
    /// A budget of dimensions that is zero or beyond what a touch can tell.
    #[error("max_keys is 1 to 16777215, not {0}")]
    MaxDimensions(usize),
    /// A budget that is zero or more than amounts are.
    #[error("a budget is 1 to 4611686018427387904 micros, not {0}")]
    Budget(u64),
    /// A price that is zero or more than amounts are.
    #[error("a price is 1 to 4611686018427387904 micros, not {0}")]
    Price(u64),
    /// A flight that ends before it begins, or long after.
    #[error(
        "a flight ends after it begins, and within ten years (315619200000 ms), not at {to} when it begins at {from}"
    )]
    Flight {
        /// When it begins.
        from: u64,
        /// When it ends.
        to: u64,
    },
    /// A day of a flight that is to spend less than planned, or far more.
    #[error("a daily_max is 1000000 to 100000000 millionths, not {0}")]
    DailyMax(u32),
    /// A line that falls below nothing.
    #[error("a pace is front-loaded by 0 to 1000000 millionths, not {0}")]
    FrontLoaded(u32),
    /// A profile without traffic.
    #[error("one of a profile's weights at least is not 0")]
    Weights,
    /// A pace for what has no end.
    #[error("a budget for a lifetime has no end that it could be spread over: its pace is asap")]
    LifetimePace,
    /// A budget of campaigns that is zero or more than a pacer has.
    #[error("max_campaigns is 1 to 4000000, not {0}, with those that were deleted")]
    MaxCampaigns(usize),
    /// A budget of reservations that is zero or beyond what a pacer can address.
    #[error("max_reservations is 1 to 1000000000, not {0}")]
    MaxReservations(usize),
    /// The journal has no room until more of it is on disk.
    #[error("what was recorded is not on disk yet, and there is no room for more until it is: try again")]
    Busy,
    /// The system has no room for the table.
    #[error("the system has no room for a table of {0} bytes")]
    Memory(usize),
}
