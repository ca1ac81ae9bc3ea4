//! Rules: how often a pair may be admitted.

use std::borrow::Cow;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::decide::{Compiled, Kind};
use super::entry::HORIZON_TICKS;
use crate::error::Error;
use crate::time::{DAY, Zone};

/// The most events that a rule on ticks can allow: as many are kept of a pair.
pub const MOST_EVENTS: u32 = 28;
/// The most events that a lifetime's rule can allow.
pub const MOST_EVENTS_OF_A_LIFETIME: u32 = 65_535;
/// Rules that are asked together.
pub const MOST_RULES: usize = 16;

/// The longest horizon there can be: 4032 ticks of a day.
const LONGEST_HORIZON: u64 = HORIZON_TICKS * DAY;

/// Over what a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// Any so many milliseconds, wherever they begin.
    Rolling(u64),
    /// A calendar day of a time zone, of however many hours.
    Day(Zone),
    /// All that was admitted since the table was made.
    Lifetime,
}

/// At most `max` events in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The most events.
    pub max: u32,
    /// Over what they are counted.
    pub window: Window,
}

/// Some rules, to be asked one after the other.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// What they became for the first table they were used with, which is nearly always the only one.
    compiled: OnceLock<Fitted>,
}

#[derive(Debug)]
struct Fitted {
    tiers: usize,
    rules: Vec<Compiled>,
}

/// What a table is made of, as far as rules have to know.
#[derive(Debug, Clone)]
pub(super) struct Tiers {
    /// Granularity and horizon in milliseconds, the finest first.
    pub(super) ticks: Vec<(u64, u64)>,
    pub(super) lifetime: bool,
    /// A number that all alike have and no others, so that it need not be looked at what they are for every event.
    id: usize,
}

/// Granularities and horizons, and whether there is a lifetime.
type Shape = (Vec<(u64, u64)>, bool);

impl Tiers {
    pub(super) fn new(ticks: Vec<(u64, u64)>, lifetime: bool) -> Self {
        static KNOWN: Mutex<Vec<Shape>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock();
        let id = known.iter().position(|(of, with)| *of == ticks && *with == lifetime).unwrap_or_else(|| {
            known.push((ticks.clone(), lifetime));
            known.len() - 1
        });
        Self { ticks, lifetime, id }
    }
}

impl Rules {
    /// Some rules.
    ///
    /// # Errors
    /// [`Error::Rules`] unless they are 1 to [`MOST_RULES`], [`Error::Max`] and [`Error::Window`] for one that no table
    /// could keep.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Error> {
        if rules.is_empty() || rules.len() > MOST_RULES {
            return Err(Error::Rules(rules.len()));
        }
        for rule in &rules {
            let most = if rule.window == Window::Lifetime { MOST_EVENTS_OF_A_LIFETIME } else { MOST_EVENTS };
            if rule.max == 0 || rule.max > most {
                return Err(Error::Max { max: rule.max, most });
            }
            match rule.window {
                Window::Rolling(0) => return Err(Error::Window { window: 0, most: LONGEST_HORIZON }),
                Window::Day(zone) => match zone.fixed_offset() {
                    Some(offset) if offset.unsigned_abs() >= DAY => return Err(Error::Offset(offset)),
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(Self { rules, compiled: OnceLock::new() })
    }

    /// What they are for a table of these tiers, if that is known already.
    #[inline(always)]
    pub(super) fn fitted(&self, tiers: &Tiers) -> Option<&[Compiled]> {
        self.compiled.get().filter(|fitted| fitted.tiers == tiers.id).map(|fitted| &fitted.rules[..])
    }

    /// What they are for a table of these tiers.
    pub(super) fn fit(&self, tiers: &Tiers) -> Result<Cow<'_, [Compiled]>, Error> {
        if let Some(rules) = self.fitted(tiers) {
            return Ok(Cow::Borrowed(rules));
        }
        let rules: Vec<Compiled> = self.rules.iter().map(|rule| rule.fit(tiers)).collect::<Result<_, _>>()?;
        // Rules that another table was first with are fitted to this one again at every call: slower, and as right.
        let _ = self.compiled.set(Fitted { tiers: tiers.id, rules: rules.clone() });
        Ok(Cow::Owned(rules))
    }
}

impl Rule {
    /// What it is for a table of these tiers: it is served by the finest one that covers it.
    ///
    /// Here, and not for every event, it is found out whether the tiers can serve it at all.
    pub(super) fn fit(self, tiers: &Tiers) -> Result<Compiled, Error> {
        let Self { max, window } = self;
        let longest = tiers.ticks.last().map_or(0, |tier| tier.1);
        match window {
            Window::Rolling(length) => {
                let Some(tier) = tiers.ticks.iter().position(|(_, horizon)| *horizon >= length) else {
                    return Err(Error::Window { window: length, most: longest });
                };
                let granularity = tiers.ticks[tier].0;
                if length < granularity {
                    return Err(Error::Granule { window: length, granularity });
                }
                let kind = Kind::Rolling {
                    window: length,
                    ticks: length / granularity,
                    rest: length % granularity,
                    span: if length < 2 { 0 } else { (length - 2) / granularity + 1 },
                };
                Ok(Compiled { tier, max, kind })
            }
            Window::Day(zone) => {
                let (most, granularity) = (zone.longest_day(), zone.granularity());
                let serves = |tier: &(u64, u64)| tier.1 >= most && granularity.is_multiple_of(tier.0);
                let Some(tier) = tiers.ticks.iter().position(serves) else {
                    return Err(match zone.fixed_offset() {
                        Some(_) if longest < most => Error::Window { window: most, most: longest },
                        Some(offset) => Error::Midnight(offset),
                        None if longest < most => Error::LongestDay { zone: zone.name(), day: most, most: longest },
                        None => Error::Midnights { zone: zone.name(), day: most, granularity },
                    });
                };
                Ok(Compiled { tier, max, kind: Kind::Day { zone } })
            }
            Window::Lifetime if tiers.lifetime => Ok(Compiled { tier: tiers.ticks.len(), max, kind: Kind::Lifetime }),
            Window::Lifetime => Err(Error::NoLifetime),
        }
    }
}
