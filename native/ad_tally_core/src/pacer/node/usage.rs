//! How much money a campaign uses, and so how much it would like to have at hand.

use super::book::Totals;

/// Time in which an older use counts for half of what it did, about.
const MEMORY_MS: f64 = 10_000.0;
/// So much of the use is wanted at hand.
const WANTED_MS: f64 = 5_000.0;
/// And so many prices, however little is used.
const LEAST_PRICES: u64 = 5;

/// The use of late: an exponentially weighted mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Usage {
    /// Of which book.
    book: u32,
    at: u64,
    /// What was reserved or spent of it by then.
    used: u64,
    /// Micros a millisecond.
    rate: f64,
}

impl Usage {
    /// Looks at the totals of a book.
    pub(super) fn look(&mut self, book: u32, totals: &Totals, now: u64) {
        let used = totals.reserved() + (totals.spent - totals.overspent.min(totals.spent));
        if self.at == 0 || now < self.at {
            *self = Self { book, at: now, used, rate: 0.0 };
            return;
        }
        let more = if book == self.book { used.saturating_sub(self.used) } else { used };
        let elapsed = (now - self.at) as f64;
        // What comes within no time counts as if it came within a millisecond.
        let share = 1.0 - (-elapsed.max(1.0) / MEMORY_MS).exp();
        let rate = self.rate + (more as f64 / elapsed.max(1.0) - self.rate) * share;
        *self = Self { book, at: now, used, rate };
    }

    /// What is wanted at hand, where an impression costs about `price` and there was no money for `asked`. Twice that where there
    /// was not enough.
    pub(super) fn wanted(&self, price: u64, asked: u64, is_wanting: bool) -> u64 {
        let of_use = (self.rate * WANTED_MS) as u64;
        let of_prices = price.max(asked).saturating_mul(LEAST_PRICES);
        of_use.max(of_prices).saturating_mul(if is_wanting { 2 } else { 1 })
    }
}
