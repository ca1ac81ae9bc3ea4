//! Controllers: ours, which is the library's own, and four that others have published, written here from what was
//! published of them. All are told the same each minute.
//!
//! * LinkedIn: Agarwal, Ghosh, Wei, You, "Budget Pacing for Targeted Online Advertisements at LinkedIn", KDD 2014. Also as it
//!   is used there: the budget is to be spent by 22 of 24 hours.
//! * Mystique: the rule by which the rate is updated, of github.com/yahoo/BudgetPacingSimulation (WWW 2024), towards the same
//!   forecast as the others.
//! * AuctionNet: the PID baseline of github.com/alimama-tech/AuctionNet.

use ad_tally_core::pacer::controller::{LEAST, START};
use ad_tally_core::pacer::{Ahead, Controller, Tick};

use super::money::Money;
use super::world::{MINUTE, MINUTES, PRICE};

pub const NAMES: [&str; 5] = ["ours", "LinkedIn", "LinkedIn, 22 h", "Mystique", "AuctionNet"];
pub const OURS: usize = 0;
pub const LINKEDIN: usize = 1;
pub const MYSTIQUE: usize = 3;

/// What a controller is told between two minutes.
pub struct Now<'a> {
    /// Minutes of the day that are over.
    pub minute: usize,
    pub money: &'a Money,
    /// How much more is spent or in flight than a minute ago, in micros.
    pub change: i64,
    /// The share of the budget that the forecast has until now, and until 22 h.
    pub target: f64,
    pub target_at_22: f64,
    /// The traffic that was forecast for the last minute, in mean days.
    pub traffic: f64,
    pub ahead: Ahead,
}

impl Now<'_> {
    fn spent_share(&self) -> f64 {
        self.money.booked() as f64 / self.money.budget as f64
    }
}

pub enum Pacing {
    Ours(Controller),
    LinkedIn { p: f64, spends_early: bool },
    Mystique(Mystique),
    AuctionNet(AuctionNet),
}

/// All of them, in the order of [`NAMES`]. Only ours asks what a day would cost; if nobody knows, it is told what it would be
/// if the rate it starts with were right.
pub fn all(budget: u64, expected: Option<f64>) -> [Pacing; NAMES.len()] {
    [
        Pacing::Ours(Controller::new(expected.unwrap_or(budget as f64 / START))),
        Pacing::LinkedIn { p: START, spends_early: false },
        Pacing::LinkedIn { p: START, spends_early: true },
        Pacing::Mystique(Mystique::default()),
        Pacing::AuctionNet(AuctionNet { p: START, spent: 0.0, target: 0.0 }),
    ]
}

impl Pacing {
    /// The rate of the first minute.
    pub fn start(&self) -> f64 {
        match self {
            Self::Ours(controller) => controller.p(),
            Self::LinkedIn { p, .. } => *p,
            Self::AuctionNet(net) => net.p,
            Self::Mystique(mystique) => mystique.p,
        }
    }

    /// The rate of the next minute.
    pub fn tick(&mut self, now: &Now<'_>) -> f64 {
        match self {
            Self::Ours(controller) => controller.tick(&Tick {
                elapsed: MINUTE,
                traffic: now.traffic,
                spent: now.change,
                left: now.money.left(),
                price: PRICE,
                ahead: now.ahead,
                begins: now.minute == 0,
            }),
            Self::LinkedIn { p, spends_early } => {
                let target = if *spends_early { (now.target / now.target_at_22).min(1.0) } else { now.target };
                *p = (*p * if now.spent_share() < target { 1.1 } else { 0.9 }).clamp(LEAST, 1.0);
                *p
            }
            Self::Mystique(mystique) => mystique.tick(now),
            Self::AuctionNet(net) => net.tick(now),
        }
    }
}

/// Every half an hour: what would be spent until the end as in that half an hour, by what is left.
pub struct AuctionNet {
    p: f64,
    spent: f64,
    target: f64,
}

impl AuctionNet {
    fn tick(&mut self, now: &Now<'_>) -> f64 {
        if now.minute.is_multiple_of(30) {
            let (spent, target) = (now.spent_share(), now.target);
            if now.minute > 0 {
                let until_end = (spent - self.spent) / (target - self.target).max(1e-9) * (1.0 - target);
                let ratio = until_end / (1.0 - spent).max(1e-9);
                let factor = if ratio < 0.7 {
                    1.2
                } else if ratio > 1.1 {
                    0.7
                } else {
                    1.0
                };
                self.p = (self.p * factor).clamp(LEAST, 1.0);
            }
            (self.spent, self.target) = (spent, target);
        }
        self.p
    }
}

/// Corrects the rate by the error of what is spent and by that of how fast it is spent.
pub struct Mystique {
    p: f64,
    last_positive: f64,
    /// Of the rates while less than 95 % of the budget were spent: the next day begins with their mean.
    sum: f64,
    count: f64,
}

impl Default for Mystique {
    fn default() -> Self {
        Self { p: 1e-4, last_positive: 1e-4, sum: 0.0, count: 0.0 }
    }
}

impl Mystique {
    /// The most that one error corrects the rate by, and the least that that of the speed does.
    const MOST: f64 = 0.025;
    const LEAST: f64 = 0.01;

    fn tick(&mut self, now: &Now<'_>) -> f64 {
        if now.minute == 0 {
            self.p = (self.sum / self.count.max(1.0)).clamp(1e-4, 1.0);
            self.last_positive = self.p;
            (self.sum, self.count) = (0.0, 0.0);
            return self.p;
        }
        // The rate of a spent budget is kept as it was.
        if now.money.left() >= PRICE / 2 {
            self.p = self.corrected(now);
            if self.p > 0.0 {
                self.last_positive = self.p;
            }
        }
        if now.spent_share() < 0.95 {
            self.sum += self.p;
            self.count += 1.0;
        }
        self.p
    }

    fn corrected(&self, now: &Now<'_>) -> f64 {
        let day = MINUTES as f64;
        let error = now.spent_share() - now.target;
        let speed = now.change as f64 / now.money.budget as f64 * day;
        let faster = speed - now.ahead.share * day;
        let minutes_until_hit = if faster.abs() < 1e-9 { day + 1.0 } else { -day * error / faster };
        if faster > 12.0 && minutes_until_hit < 3_600.0 && now.spent_share() > now.target.min(1.0) {
            return 0.0;
        }
        let weight = if minutes_until_hit < 0.0 { 0.5 } else { (0.2 * minutes_until_hit).min(0.9) };
        let by_error = Self::MOST * (error.abs() / 0.25).min(1.0) * sign(error);
        let by_speed = (Self::MOST * faster.abs().min(1.0) / 1.5).max(Self::LEAST) * sign(faster);
        (self.last_positive - weight * by_error - (1.0 - weight) * by_speed).clamp(1e-4, 1.0)
    }
}

/// That of 0 is 0.
fn sign(number: f64) -> f64 {
    if number == 0.0 { 0.0 } else { number.signum() }
}
