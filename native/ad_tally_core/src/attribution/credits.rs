//! What a conversion is credited to as of now, final or not.

use super::Attribution;
use super::journal::Writing;
use super::orders::{Record, State};
use super::posting::{Net, Posting};
use super::ring::Mark;
use super::types::{Counting, Step};
use super::window::Window;

/// The credits of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderCredits {
    /// What is booked for it in all.
    pub posting: Posting,
    /// Whether it counts: of conversions of which only one counts, another one does not.
    pub counts: bool,
    /// Whether it was retracted.
    pub is_retracted: bool,
    /// Whether touches cannot change it any more.
    pub is_final: bool,
}

/// What decides whether a provisional conversion counts.
struct Claim {
    order: u64,
    at: u64,
    action: u8,
    user: u64,
    /// The touch that only one conversion may have.
    touch: Option<i64>,
}

impl Attribution {
    /// The credits of an order as of now, by the hash of its key, if it is known.
    #[must_use]
    pub fn credits(&self, order: u64, now: impl Fn() -> u64) -> Option<OrderCredits> {
        let orders = self.orders.lock(order);
        let record = self.known(&orders, order, now)?;
        let steps = self.steps(record);
        let claim = self.claim_of(order, record, &steps);
        let mut credits = OrderCredits {
            posting: record.posting(&record.words, &steps, record.adjusted_at, Net::default(), record.net),
            counts: record.state != State::Final { counts: false },
            is_retracted: !record.net.counts,
            is_final: !record.is_provisional(),
        };
        drop(orders);
        credits.counts &= claim.is_none_or(|claim| self.is_first(&claim));
        Some(credits)
    }

    /// What a conversion that a window has noted would book as of now: nothing if it does not count. `None` if it is not provisional
    /// any more, and what the window has booked is all of it.
    pub(super) fn provisional(&self, order: u64, window: &Window) -> Option<Vec<Posting>> {
        let orders = self.orders.lock(order);
        let record = orders.get(order).filter(|record| record.is_provisional() && self.is_own(record, window))?;
        let steps = self.steps(record);
        let claim = self.claim_of(order, record, &steps);
        let postings = record.postings(&steps);
        drop(orders);
        Some(if claim.is_none_or(|claim| self.is_first(&claim)) { postings } else { Vec::new() })
    }

    /// The steps that a conversion is credited to.
    fn steps(&self, record: &Record) -> Vec<Step> {
        if record.is_provisional() { self.eligible(&record.steps, record.at) } else { record.steps.clone() }
    }

    /// What is to be asked about a provisional conversion that may not count.
    fn claim_of(&self, order: u64, record: &Record, steps: &[Step]) -> Option<Claim> {
        let user = record.user.filter(|_| record.is_provisional())?;
        let touch = match self.config.actions[usize::from(record.action)] {
            Counting::Every => return None,
            Counting::OncePerUser => None,
            Counting::OncePerTouch => Some(steps.last()?.id),
        };
        Some(Claim { order, at: record.at, action: record.action, user, touch })
    }

    /// Whether a conversion that becomes final counts, and no later one of those of which one counts will.
    pub(super) fn claim(&self, order: u64, record: &Record, writing: Option<&Writing<'_>>) -> bool {
        let Some(Claim { order, at, action, user, touch }) = self.claim_of(order, record, &record.steps) else {
            return true;
        };
        let counts = self.ring.mark(user, action, touch, order, at);
        if counts && let Some(writing) = writing {
            writing.mark(user, &Mark::new(action, touch, order, at));
        }
        counts
    }

    /// Whether a provisional conversion is the first one of those of which one counts.
    fn is_first(&self, claim: &Claim) -> bool {
        !self.ring.is_marked(claim.user, claim.action, claim.touch, claim.order)
            && self
                .ring
                .pending(claim.user)
                .iter()
                .filter(|(order, at)| (*at, *order) < (claim.at, claim.order))
                .all(|(order, _at)| !self.is_rival(*order, claim))
    }

    /// Whether an earlier provisional conversion counts in place of another one.
    fn is_rival(&self, order: u64, claim: &Claim) -> bool {
        let orders = self.orders.lock(order);
        orders.get(order).is_some_and(|record| {
            record.action == claim.action
                && record.is_provisional()
                && (claim.touch.is_none() || self.steps(record).last().map(|step| step.id) == claim.touch)
        })
    }
}
