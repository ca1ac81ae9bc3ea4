//! The hard cap of one campaign's day, and what becomes of reservations: apart from every controller, and the same for all.

use super::random::mix;
use super::world::PRICE;

/// Confirms come within so many minutes.
pub const MINUTES_TO_CONFIRM: usize = 5;

/// What a request would be: its price, and after how many minutes it is confirmed, or else expires.
#[derive(Debug, Clone, Copy)]
pub struct Impression {
    price: u64,
    minutes: usize,
    is_confirmed: bool,
}

impl Impression {
    /// That of a request, by its hash.
    pub fn of(request: u64) -> Self {
        let bits = mix(request ^ 0x5851_f42d_4c95_7f2d);
        let is_confirmed = !(bits >> 32).is_multiple_of(10);
        let minutes = (bits >> 16 & 0xffff) as usize % MINUTES_TO_CONFIRM;
        Self {
            // Half to one and a half of the mean.
            price: PRICE / 2 + ((PRICE * (bits & 0xffff)) >> 16),
            minutes: if is_confirmed { minutes } else { MINUTES_TO_CONFIRM - 1 },
            is_confirmed,
        }
    }
}

/// The money of a day.
#[derive(Debug, Clone, Default)]
pub struct Money {
    pub budget: u64,
    pub spent: u64,
    pub reserved: u64,
    /// By the minute in which they end: what reservations hold, and what of it will be spent.
    ending: [(u64, u64); MINUTES_TO_CONFIRM],
}

impl Money {
    pub fn new(budget: u64) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Takes the price from the budget, if it is there.
    pub fn reserve(&mut self, minute: usize, impression: Impression) {
        if self.booked() + impression.price > self.budget {
            return;
        }
        self.reserved += impression.price;
        let (held, spent) = &mut self.ending[(minute + impression.minutes) % MINUTES_TO_CONFIRM];
        *held += impression.price;
        *spent += if impression.is_confirmed { impression.price } else { 0 };
    }

    /// Ends the reservations of a minute.
    pub fn end(&mut self, minute: usize) {
        let (held, spent) = std::mem::take(&mut self.ending[minute % MINUTES_TO_CONFIRM]);
        self.reserved -= held;
        self.spent += spent;
    }

    /// What is spent, and what may be by what is in flight.
    pub fn booked(&self) -> u64 {
        self.spent + self.reserved
    }

    pub fn left(&self) -> u64 {
        self.budget.saturating_sub(self.booked())
    }
}
