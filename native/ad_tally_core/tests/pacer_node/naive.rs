//! A node that is obviously right: one map of reservations, one of books, and no thread but one.

use std::collections::BTreeMap;

use ad_tally_core::pacer::node::{Confirmed, Released, Totals};

use super::support::{BEGIN, DAY, config};

/// A campaign's money in a period.
#[derive(Debug, Clone, Default)]
pub struct Book {
    pub totals: Totals,
    pub is_closed: bool,
    /// What the coordinator knows: granted, spent, returned.
    pub told: [u64; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Live,
    Gone,
    Confirmed,
}

#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub amount: u64,
    pub expires: u64,
    pub period: u64,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    New { amount: u64, expires: u64 },
    Again { amount: u64, expires: u64 },
    Paced,
    NoBudget,
    Unknown,
    Future,
}

#[derive(Debug)]
pub struct Naive {
    pub now: u64,
    pub books: BTreeMap<(i64, u64), Book>,
    pub held: BTreeMap<(i64, u64), Held>,
    pub installed: BTreeMap<i64, u32>,
    pub versions: BTreeMap<i64, u32>,
}

impl Naive {
    pub fn new() -> Self {
        Self {
            now: BEGIN,
            books: BTreeMap::new(),
            held: BTreeMap::new(),
            installed: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    pub fn period(&self) -> u64 {
        self.now / DAY
    }

    pub fn install(&mut self, campaign: i64, version: u32) {
        if self.versions.get(&campaign).is_none_or(|known| *known < version) {
            self.versions.insert(campaign, version);
            self.installed.insert(campaign, version);
        }
        self.roll();
    }

    pub fn remove(&mut self, campaign: i64, version: u32) {
        if self.versions.get(&campaign).is_some_and(|known| *known <= version) {
            self.versions.insert(campaign, version);
            self.installed.remove(&campaign);
        }
        self.roll();
    }

    /// Books of other periods, and of campaigns that are not known, are closed; the others are open.
    pub fn roll(&mut self) {
        let period = self.period();
        for ((campaign, of), book) in &mut self.books {
            let is_current = *of == period && self.installed.contains_key(campaign);
            book.is_closed = !is_current;
            if book.is_closed {
                book.totals.returned += std::mem::take(&mut book.totals.available);
            }
        }
    }

    pub fn grant(&mut self, campaign: i64, period: u64, granted: u64, keep: u64) {
        if !self.versions.contains_key(&campaign) {
            return;
        }
        let is_current = period == self.period() && self.installed.contains_key(&campaign);
        if !self.books.contains_key(&(campaign, period)) && (!is_current || granted == 0) {
            return;
        }
        let book = self.books.entry((campaign, period)).or_default();
        let totals = &mut book.totals;
        if granted >= totals.granted {
            let more = granted - totals.granted;
            totals.granted = granted;
            if is_current {
                totals.available += more;
                let above = totals.available.saturating_sub(keep);
                totals.available -= above;
                totals.returned += above;
            } else {
                totals.returned += more;
            }
        }
        book.told[0] = book.told[0].max(granted);
    }

    fn give(&mut self, campaign: i64, period: u64, amount: u64) {
        let book = self.books.get_mut(&(campaign, period)).expect("what is reserved has a book");
        if book.is_closed {
            book.totals.returned += amount;
        } else {
            book.totals.available += amount;
        }
    }

    /// Time goes on, and all is swept.
    pub fn advance(&mut self, by: u64) {
        self.now += by;
        self.expire();
        let (now, remember) = (self.now, config().remember);
        self.held.retain(|_, held| held.state == State::Live || held.expires + remember >= now);
        self.roll();
    }

    fn expire(&mut self) {
        let due = self.held.iter().filter(|(_, held)| held.state == State::Live && held.expires < self.now);
        let due: Vec<((i64, u64), Held)> = due.map(|(key, held)| (*key, *held)).collect();
        for (key, held) in due {
            self.held.insert(key, Held { state: State::Gone, ..held });
            self.give(key.0, held.period, held.amount);
        }
    }

    pub fn reserve(&mut self, campaign: i64, request: u64, passes: bool, amount: u64, at: u64, ttl: u64) -> Asked {
        if !self.installed.contains_key(&campaign) {
            return Asked::Unknown;
        }
        if !passes {
            return Asked::Paced;
        }
        if at > self.now + config().max_ahead {
            return Asked::Future;
        }
        let before = self.held.get(&(campaign, request)).copied();
        if let Some(Held { state: State::Live, amount, expires, .. }) = before {
            return Asked::Again { amount, expires };
        }
        let period = self.period();
        let book = self.books.get_mut(&(campaign, period)).filter(|_| at / DAY == period);
        let Some(book) = book.filter(|book| book.totals.available >= amount) else { return Asked::NoBudget };
        book.totals.available -= amount;
        let expires = (at.max(self.now) + ttl).max(before.map_or(0, |before| before.expires + 1));
        self.held.insert((campaign, request), Held { amount, expires, period, state: State::Live });
        Asked::New { amount, expires }
    }

    pub fn confirm(&mut self, campaign: i64, request: u64, expires: u64, price: u64, at: u64) -> Confirmed {
        let held = self.held.get(&(campaign, request)).copied().filter(|held| held.expires == expires);
        let Some(held) = held else { return Confirmed::Unknown };
        if held.state == State::Confirmed {
            return Confirmed::Duplicate;
        }
        self.held.insert((campaign, request), Held { state: State::Confirmed, ..held });
        let is_in_time = held.state == State::Live && at <= expires;
        if held.state == State::Live {
            let back = if is_in_time { held.amount.saturating_sub(price) } else { held.amount };
            self.give(campaign, held.period, back);
        }
        let over = if is_in_time { price.saturating_sub(held.amount) } else { price };
        let totals = &mut self.books.get_mut(&(campaign, held.period)).expect("it has a book").totals;
        totals.spent += price;
        totals.overspent += over;
        totals.confirms += 1;
        match (is_in_time, over) {
            (false, _) => Confirmed::Expired,
            (true, 0) => Confirmed::Confirmed,
            (true, _) => Confirmed::OverPrice,
        }
    }

    pub fn release(&mut self, campaign: i64, request: u64, expires: u64) -> Released {
        let held = self.held.get(&(campaign, request)).copied().filter(|held| held.expires == expires);
        match held {
            None => Released::Unknown,
            Some(Held { state: State::Confirmed, .. }) => Released::Confirmed,
            Some(Held { state: State::Gone, .. }) => Released::Released,
            Some(held) => {
                self.held.insert((campaign, request), Held { state: State::Gone, ..held });
                self.give(campaign, held.period, held.amount);
                Released::Released
            }
        }
    }

    /// What live reservations of a campaign's period hold.
    pub fn reserved(&self, campaign: i64, period: u64) -> u64 {
        let of = |(key, held): (&(i64, u64), &Held)| {
            (key.0 == campaign && held.period == period && held.state == State::Live).then_some(held.amount)
        };
        self.held.iter().filter_map(of).sum()
    }

    /// Whether all money is somewhere, and none is in two places.
    pub fn check(&self) {
        for ((campaign, period), Book { totals, .. }) in &self.books {
            let reserved = self.reserved(*campaign, *period);
            let all = totals.available + reserved + (totals.spent - totals.overspent) + totals.returned;
            assert_eq!(totals.granted, all, "campaign {campaign} in {period}");
        }
    }
}
