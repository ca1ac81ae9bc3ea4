//! What became of touches and conversions, and what attribution takes.

use std::sync::atomic::Ordering::Relaxed;

use super::Attribution;
use super::stats::Kind;

/// How many touches or conversions had an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "they are the outcomes' names")]
pub struct Counts {
    pub applied: u64,
    pub duplicate: u64,
    pub late: u64,
    pub future: u64,
    pub busy: u64,
    /// What [`Attribution::refuse_touches`] or [`Attribution::refuse_conversions`] was told of.
    pub refused: u64,
}

/// An attribution's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Touches by outcome.
    pub touches: Counts,
    /// Conversions by outcome.
    pub conversions: Counts,
    /// What late touches, and those too far ahead, have cost, in micros: it is in no window.
    pub excluded_cost: i128,
    /// Touches whose dimensions have no number, because there are too many.
    pub without_dimensions: u64,
    /// How often touches that came late have changed the credits of a provisional conversion.
    pub revised: u64,
    /// Conversions that are final and have a touch; that have none; that do not count, because only the first one does.
    pub attributed: u64,
    /// See `attributed`.
    pub unattributed: u64,
    /// See `attributed`.
    pub repeated: u64,
    /// Conversions that became final before their time, because too many orders were known.
    pub final_early: u64,
    /// Orders that were forgotten before their time.
    pub evicted_orders: u64,
    /// Changes of conversions, and those of them that a newer one was known of.
    pub adjusted: u64,
    /// See `adjusted`.
    pub superseded: u64,
    /// How often users were linked, and how often one was forgotten.
    pub linked: u64,
    /// See `linked`.
    pub forgotten: u64,
    /// Users that have touches or conversions.
    pub users: usize,
    /// Touches that are kept.
    pub kept_touches: usize,
    /// Touches that were evicted, because their user has newer ones.
    pub evicted_touches: u64,
    /// Users that were evicted, because there are too many.
    pub evicted_users: u64,
    /// Orders that are known.
    pub orders: usize,
    /// Different dimensions.
    pub dimensions: usize,
    /// Windows in which something has happened and that are open.
    pub open_windows: usize,
    /// The newest time of a touch or a conversion.
    pub newest: u64,
    /// Memory of touches.
    pub ring_bytes: usize,
    /// Memory of orders.
    pub order_bytes: usize,
    /// Memory of dimensions.
    pub dimension_bytes: usize,
    /// Memory of windows that are closed and that somebody still refers to.
    pub closed_bytes: usize,
}

impl Attribution {
    /// Notes that so many touches were none that could be taken.
    pub fn refuse_touches(&self, touches: u64) {
        self.stats.refuse(Kind::TouchRefused, touches);
    }

    /// Notes that so many conversions were none that could be taken.
    pub fn refuse_conversions(&self, conversions: u64) {
        self.stats.refuse(Kind::ConversionRefused, conversions);
    }

    /// The times of the last touch that was late and of the last one that was too far ahead, 0 if none was; and those of
    /// conversions.
    #[must_use]
    pub fn last_late_and_future(&self) -> [(u64, u64); 2] {
        self.stats.last_late_and_future()
    }

    /// The numbers now. It reads all orders' shards, and what the ring reads.
    #[must_use]
    pub fn info(&self) -> Info {
        let get = |kind| self.stats.get(kind);
        let ring = self.ring.info();
        Info {
            touches: Counts {
                applied: get(Kind::TouchApplied),
                duplicate: get(Kind::TouchDuplicate),
                late: get(Kind::TouchLate),
                future: get(Kind::TouchFuture),
                busy: get(Kind::TouchBusy),
                refused: get(Kind::TouchRefused),
            },
            conversions: Counts {
                applied: get(Kind::ConversionApplied),
                duplicate: get(Kind::ConversionDuplicate),
                late: get(Kind::ConversionLate),
                future: get(Kind::ConversionFuture),
                busy: get(Kind::ConversionBusy),
                refused: get(Kind::ConversionRefused),
            },
            excluded_cost: self.stats.excluded(),
            without_dimensions: get(Kind::WithoutDimensions),
            revised: get(Kind::Revised),
            attributed: get(Kind::Attributed),
            unattributed: get(Kind::Unattributed),
            repeated: get(Kind::Repeated),
            final_early: get(Kind::FinalEarly),
            evicted_orders: get(Kind::EvictedOrder),
            adjusted: get(Kind::Adjusted),
            superseded: get(Kind::Superseded),
            linked: get(Kind::Linked),
            forgotten: get(Kind::Forgotten),
            users: ring.users,
            kept_touches: ring.touches,
            evicted_touches: ring.evicted_touches,
            evicted_users: ring.evicted_users,
            orders: self.orders.count(),
            dimensions: self.dimensions.count(),
            open_windows: self.windows.count(),
            newest: self.windows.newest(),
            ring_bytes: ring.bytes,
            order_bytes: self.orders.bytes(),
            dimension_bytes: self.dimensions.bytes(),
            closed_bytes: self.closed_bytes.load(Relaxed),
        }
    }
}
