//! How often a campaign takes part in requests, so that what is left of its budget lasts until the end of its period.
//!
//! The problem is solved anew in each tick: what is left, by what the traffic that is ahead would cost if the campaign took
//! part in all of it. Nothing is accumulated that an edit of the budget would have to wind down. What a day would cost is
//! estimated from what was spent and from the traffic that was taken part in, lately and in the last day:
//!
//! ```text
//! S <- S 2^(-dt/h) + spent        X <- X 2^(-dt/h) + p traffic             h = 1 h; the same with 24 h
//! k = 2 price / expected          long  = (S_24 + k expected) / (X_24 + k)
//! k = n price / long              short = (S_1 + k long) / (X_1 + k)       n = min(20, 2 + events / 10)
//! p <- left * share / until_end / (short * traffic)                        share and traffic of the next tick
//!      until_end = max(rest - 0.01, min(rest, 0.01), share)
//! ```
//!
//! The rate rises to 1.5 times and falls to half in a minute at most, but for the begin of a period: that has what is wanted.
//! `k` is the weight of what was believed before, as if that many impressions had been seen of it. Where shares are traffic,
//! `p` is what is left by the cost of all that is ahead.

use super::curve::Ahead;

/// The rate that a campaign begins with.
pub const START: f64 = 0.1;
/// The least rate: of requests some must pass, or nothing is learned of what they cost.
pub const LEAST: f64 = 1e-4;

/// Half-lives of what was spent, in milliseconds.
const SHORT: f64 = 3_600_000.0;
const LONG: f64 = 24.0 * SHORT;
/// What `expected` counts for, in impressions: a guess ten times off costs little then.
const TRUST: f64 = 2.0;
/// What the long estimate counts for in the short one, at most.
const MOST_TRUST: f64 = 20.0;
/// The last hundredth of a day's traffic is not counted on, but for what is left by then: what is confirmed later comes too late.
const EARLY: f64 = 0.01;
/// How much the rate changes in a minute at most.
const RISE: f64 = 1.5;
const FALL: f64 = 0.5;
const MINUTE: f64 = 60_000.0;

/// Words of [`Controller::to_words`].
pub const WORDS: usize = 7;

/// The state of one campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Controller {
    /// What was spent, and how many mean days of traffic were taken part in.
    short: Decayed,
    long: Decayed,
    /// Impressions so far, by their mean price.
    events: f64,
    /// What a mean day would cost at `p = 1`, by guess.
    expected: f64,
    p: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Decayed {
    spent: f64,
    exposed: f64,
}

/// What has happened since the tick before, and what is ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// Milliseconds since the tick before.
    pub elapsed: u64,
    /// The traffic that was expected in them, in mean days ([`Curve::traffic`](super::Curve::traffic)).
    pub traffic: f64,
    /// How much more is spent or in flight than was, in micros; less, where more was released.
    pub spent: i64,
    /// What is left of the budget, less what is in flight, in micros.
    pub left: u64,
    /// The mean price of an impression, in micros.
    pub price: u64,
    /// What is ahead of the period.
    pub ahead: Ahead,
    /// Whether a period has begun since the tick before. The rate that the last one ended with is of no use then: it was for what
    /// little was left of it.
    pub begins: bool,
}

impl Controller {
    /// One that has seen nothing, and expects that a mean day would cost so many micros if the campaign took part in all of its
    /// requests. Where nobody knows, that is what a day may spend, by [`START`].
    #[must_use]
    pub fn new(expected: f64) -> Self {
        let expected = if expected.is_finite() { expected.max(1.0) } else { 1.0 };
        Self { short: Decayed::default(), long: Decayed::default(), events: 0.0, expected, p: START }
    }

    /// The rate of now, from [`LEAST`] to 1.
    #[must_use]
    pub fn p(&self) -> f64 {
        self.p
    }

    /// The rate until the next tick, from [`LEAST`] to 1. For a pace that spends whatever it can, it is 1 without asking.
    ///
    /// A new budget or end needs nothing but the tick that says what is left and ahead. A new period goes on with all that was
    /// seen in the one before.
    pub fn tick(&mut self, tick: &Tick) -> f64 {
        let price = tick.price.max(1) as f64;
        let exposed = self.p * amount(tick.traffic);
        self.short.add(tick, exposed, SHORT);
        self.long.add(tick, exposed, LONG);
        self.events = (self.events + (tick.spent.max(0) as f64) / price).min(f64::from(u32::MAX));

        let minutes = tick.elapsed as f64 / MINUTE;
        // Where nothing can be spent the rate says nothing: it is kept for when there can be.
        if tick.left < tick.price {
            return self.p;
        }
        let wanted = self.wanted(tick, price);
        if tick.begins && self.events > 0.0 {
            self.p = wanted;
            return wanted;
        }
        let least = (self.p * FALL.powf(minutes)).max(LEAST);
        // After a long time there is no limit, and a power without one is no number that is of use.
        let most = (self.p * RISE.powf(minutes.min(100.0))).min(1.0);
        self.p = wanted.clamp(least, most);
        self.p
    }

    fn wanted(&self, tick: &Tick, price: f64) -> f64 {
        let long = self.long.believing(self.expected, TRUST * price / self.expected);
        let trust = MOST_TRUST.min(TRUST + self.events / 10.0);
        let day = self.short.believing(long, trust * price / long);
        let Ahead { share, rest, traffic, days } = tick.ahead;
        let [share, rest, traffic, days] = [share, rest, traffic, days].map(amount);
        // A minute without traffic has the rate of a mean one: there may be requests after all.
        let of_traffic = if traffic > 0.0 && share > 0.0 { share / traffic } else { 1.0 / days };
        // What is not spent early is spent until the end.
        let early = EARLY / days.max(1.0);
        let until_end = (rest - early).max(rest.min(early)).max(share);
        let wanted = tick.left as f64 * of_traffic / (until_end * day);
        // Nothing of the period is left: what the last minutes had is as good as anything.
        if wanted.is_nan() { self.p } else { wanted.clamp(LEAST, 1.0) }
    }

    /// The state as words, for the journal.
    #[must_use]
    pub fn to_words(&self) -> [u64; WORDS] {
        let Self { short, long, events, expected, p } = self;
        [short.spent, short.exposed, long.spent, long.exposed, *events, *expected, *p].map(f64::to_bits)
    }

    /// What was written as words, or `None` where these were not.
    #[must_use]
    pub fn from_words(words: [u64; WORDS]) -> Option<Self> {
        let words = words.map(f64::from_bits);
        let is_state = words.iter().all(|word| word.is_finite() && *word >= 0.0);
        let [spent, exposed, long_spent, long_exposed, events, expected, p] = words;
        (is_state && expected >= 1.0 && (LEAST..=1.0).contains(&p)).then_some(Self {
            short: Decayed { spent, exposed },
            long: Decayed { spent: long_spent, exposed: long_exposed },
            events,
            expected,
            p,
        })
    }
}

impl Decayed {
    fn add(&mut self, tick: &Tick, exposed: f64, half_life: f64) {
        let less = (-(tick.elapsed as f64) / half_life).exp2();
        self.spent = (self.spent * less + tick.spent as f64).max(0.0);
        self.exposed = self.exposed * less + exposed;
    }

    /// What a day costs, where so much exposure is believed to have cost as a day of `believed` does.
    fn believing(&self, believed: f64, exposed: f64) -> f64 {
        (self.spent + exposed * believed) / (self.exposed + exposed)
    }
}

/// What is no amount is none.
fn amount(number: f64) -> f64 {
    if number.is_finite() { number.max(0.0) } else { 0.0 }
}

/// A rate as the threshold that hashes of 64 bits are below: all bits set for 1, which lets all through.
#[must_use]
pub fn threshold(p: f64) -> u64 {
    // 2^64, exactly. What is larger than any word becomes the largest, and what is no number none.
    (p * 18_446_744_073_709_551_616.0) as u64
}
