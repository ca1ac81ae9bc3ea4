//! The coordinator's side of a node: plans and grants that come, reports that go.

use super::Node;
use super::book::Totals;
use super::campaigns::{Campaign, OfBook};
use super::outcome::Kind;
use super::written::{Sums, Writing};
use crate::error::Error;
use crate::key::HashedKey;
use crate::pacer::message::{Grant, MOST_TOTAL, Report};
use crate::pacer::plan::{Pace, PeriodOf, Plan};

impl Node {
    /// Whether there is room for a campaign, if no other one takes it meanwhile.
    #[must_use]
    pub fn has_room(&self, key: HashedKey<'_>) -> bool {
        self.row(key).is_some() || self.rows.keys() < self.config.max_campaigns
    }

    /// Makes a campaign known, or changes its plan, which came with that version. Older plans than the one that is known are
    /// not taken.
    ///
    /// # Errors
    /// [`Error::MaxCampaigns`] where there is no room for another one.
    pub fn install(&self, key: HashedKey<'_>, version: u32, plan: &Plan, now: u64) -> Result<(), Error> {
        self.reach(now);
        let row = self.rows.insert(key).ok_or(Error::MaxCampaigns(self.config.max_campaigns))?;
        let mut campaigns = self.campaigns.lock();
        let campaign = campaigns.put(key.hash, key.words);
        let is_new = campaign.version < version || version == 0 && campaign.plan.is_none();
        if !is_new {
            return Ok(());
        }
        let was_known = campaign.plan.is_some();
        (campaign.version, campaign.plan) = (version, Some(plan.clone()));
        if let Some(journal) = &self.journal {
            journal.begin_anyway().campaign(key.hash, version, key.words, &plan.to_bytes());
        }
        let row = self.row_at(row);
        if !was_known {
            // How often it takes part is not known before the first grant, without which it has no money.
            row.set_pass(u64::MAX);
        }
        row.install(true, plan.pace == Pace::Learned);
        self.roll(campaign, now);
        campaigns.with_plan += usize::from(!was_known);
        Ok(())
    }

    /// Has a campaign be unknown from now on, whose plan was removed with that version. What it has available is returned.
    pub fn remove(&self, key: HashedKey<'_>, version: u32, now: u64) {
        let mut campaigns = self.campaigns.lock();
        let Some(campaign) = campaigns.get(key.hash).filter(|campaign| campaign.version <= version) else { return };
        campaign.version = version;
        if campaign.plan.take().is_none() {
            return;
        }
        if let Some(journal) = &self.journal {
            journal.begin_anyway().campaign(key.hash, version, key.words, &[]);
        }
        if let Some(row) = self.row(key) {
            row.install(false, false);
        }
        self.roll(campaign, now);
        campaigns.with_plan -= 1;
    }

    /// The versions that campaigns' plans came with, or went.
    #[must_use]
    pub fn versions(&self) -> Vec<(u64, u32)> {
        self.campaigns.lock().all.iter().map(|campaign| (campaign.hash, campaign.version)).collect()
    }

    /// The period that a campaign is in now: money is taken of its book from now on, if it has one, and no more of any other.
    pub(super) fn roll(&self, campaign: &mut Campaign, now: u64) {
        let period = campaign.plan.as_ref().and_then(|plan| plan.period_at(now));
        if period == campaign.period {
            return;
        }
        campaign.period = period;
        let Some(row) = self.row(HashedKey { hash: campaign.hash, words: &campaign.key }) else { return };
        for book in &mut campaign.books {
            book.passed = self.passed(book, row.passed());
        }
        let current = period.and_then(|period| {
            let book = campaign.book(period.number)?;
            (book.closed, book.counted) = (None, row.passed());
            Some((book.number, period))
        });
        match current {
            Some((number, PeriodOf { begin, end, .. })) => {
                self.till.book(number).reopen();
                row.set_book(number, begin, end);
            }
            None => row.set_book(0, 0, 0),
        }
        for book in campaign.books.iter_mut().filter(|book| current.is_none_or(|(number, _)| number != book.number)) {
            self.till.book(book.number).close();
            book.closed = book.closed.or(Some(now));
        }
    }

    /// Requests that took part in the period of a book.
    fn passed(&self, book: &OfBook, counted: u64) -> u64 {
        if book.closed.is_some() { book.passed } else { book.passed + counted.saturating_sub(book.counted) }
    }

    /// Takes grants that are for this node.
    pub fn apply(&self, grants: &[Grant], now: u64) {
        self.reach(now);
        let mut campaigns = self.campaigns.lock();
        for grant in grants.iter().filter(|grant| grant.granted < MOST_TOTAL) {
            if let Some(number) = campaigns.number(grant.campaign) {
                let writing = self.journal.as_ref().map(|journal| journal.begin_anyway());
                let (campaign, mut numbers) = campaigns.with_books(number);
                self.roll(campaign, now);
                self.apply_one(campaign, || numbers.take(self.till.books()), grant, writing.as_ref());
            }
        }
    }

    fn apply_one(
        &self,
        campaign: &mut Campaign,
        take_number: impl FnOnce() -> Option<u32>,
        grant: &Grant,
        writing: Option<&Writing<'_>>,
    ) {
        let is_current = campaign.period.is_some_and(|period| period.number == grant.period);
        let key = HashedKey { hash: campaign.hash, words: &campaign.key };
        let Some(row) = self.row(key) else { return };
        if campaign.book(grant.period).is_none() {
            let Some(period) = campaign.period.filter(|_| is_current && grant.granted > 0) else { return };
            let Some(number) = take_number() else {
                self.counts.add(Kind::NoBook as usize);
                return;
            };
            let book = OfBook::new(number, period.number, period.end, row.passed());
            self.begin_book(number, campaign.hash, &book, writing);
            campaign.books.push(book);
            row.set_book(number, period.begin, period.end);
        }
        let Some(of_book) = campaign.book(grant.period) else { return };
        let book = self.till.book(of_book.number);
        let mut sums = Sums::default();
        let known = book.totals();
        if let Some(more) = grant.granted.checked_sub(known.granted) {
            let used = used_before(&known, grant).min(more);
            book.grant(more);
            book.presume(used);
            (sums.granted, sums.presumed) = (more as i64, used as i64);
            if !is_current || self.journal.is_none() {
                book.give(more - used);
            } else {
                book.put_aside(more - used);
            }
            if more > used && is_current {
                row.clear_denied();
            }
        }
        if grant.spent > 0 || grant.returned > 0 {
            let learned = book.learn(grant.spent, grant.returned);
            (sums.spent, sums.returned) = (learned.spent as i64, learned.returned as i64);
            sums.presumed -= learned.presumed as i64;
            of_book.written[0] += learned.returned;
        }
        if grant.granted >= known.granted && is_current {
            row.set_pass(grant.pass);
            book.return_above(grant.keep);
        }
        for (told, now) in of_book.told.iter_mut().zip([grant.granted, grant.spent, grant.returned]) {
            *told = now.max(*told);
        }
        if let Some(writing) = writing {
            writing.sums(of_book.number, &sums);
        }
    }

    fn begin_book(&self, number: u32, campaign: u64, book: &OfBook, writing: Option<&Writing<'_>>) {
        self.till.book(number).set(&Totals::default(), false);
        if let (Some(journal), Some(writing)) = (&self.journal, writing) {
            journal.set_instance(number, journal.part.journal.instance());
            writing.book(number, campaign, book.period, book.end);
        }
    }

    /// What there is to say of at least `most` campaigns from number `from` on, if there are so many: the number to go on with, unless that was all.
    pub fn reports(&self, from: usize, most: usize, now: u64, into: &mut Vec<Report>) -> Option<usize> {
        self.reach(now);
        let mut campaigns = self.campaigns.lock();
        let end = campaigns.all.len().min(from.saturating_add(most));
        for number in from..end {
            let writing = self.journal.as_ref().map(|journal| journal.begin_anyway());
            let (campaign, mut numbers) = campaigns.with_books(number);
            self.roll(campaign, now);
            self.note_current(campaign);
            self.report(campaign, now, writing.as_ref(), into);
            self.let_go(campaign, now, |number| numbers.give_back(number), writing.as_ref());
        }
        (end < campaigns.all.len()).then_some(end)
    }

    fn report(&self, campaign: &mut Campaign, now: u64, writing: Option<&Writing<'_>>, into: &mut Vec<Report>) {
        let key = HashedKey { hash: campaign.hash, words: &campaign.key };
        let Some(row) = self.row(key) else { return };
        let (is_wanting, asked) = row.take_wanted();
        let current = campaign.period.map(|period| period.number);
        let hash = campaign.hash;
        let report = |period, totals: &Totals, passed, wanted| Report { wanted, passed, ..totals.report(hash, period) };
        let price = campaign.price();
        let is_first = current.is_some_and(|period| campaign.books.iter().all(|book| book.period != period));
        if let Some(period) = current.filter(|_| is_first) {
            let wanted = campaign.usage.wanted(price, asked, is_wanting);
            into.push(report(period, &Totals::default(), 0, wanted));
        }
        let mut usage = campaign.usage;
        for of_book in &mut campaign.books {
            let passed = self.passed(of_book, row.passed());
            let totals = self.write_rest(of_book, passed, writing);
            let is_current = current == Some(of_book.period);
            if is_current {
                usage.look(of_book.number, &totals, now);
                let price = totals.price().unwrap_or(price);
                into.push(report(of_book.period, &totals, passed, usage.wanted(price, asked, is_wanting)));
            } else if !of_book.is_settled(&totals) {
                into.push(report(of_book.period, &totals, passed, 0));
            }
        }
        campaign.usage = usage;
    }

    /// Writes what was returned and counted since that was last written: it is not written where it happens.
    pub(super) fn write_rest(&self, of_book: &mut OfBook, passed: u64, writing: Option<&Writing<'_>>) -> Totals {
        let totals = self.till.book(of_book.number).totals();
        if let Some(writing) = writing {
            let [returned, counted] = of_book.written;
            let sums = Sums {
                returned: totals.returned.saturating_sub(returned) as i64,
                passed: passed.saturating_sub(counted) as i64,
                ..Sums::default()
            };
            writing.sums(of_book.number, &sums);
            of_book.written = [totals.returned, passed];
        }
        totals
    }

    /// Notes once no earlier book has a reservation, and which amounts the current one has no money for.
    fn note_current(&self, campaign: &mut Campaign) {
        let current = campaign.period.and_then(|period| campaign.book(period.number)).map(|book| book.number);
        let Some(current) = current else { return };
        let Some(row) = self.row(HashedKey { hash: campaign.hash, words: &campaign.key }) else { return };
        // They are closed, so whoever has taken money of one has done so before this is asked.
        let is_reserved = |book: &OfBook| self.till.book(book.number).totals().reserved() > 0;
        let is_earlier = |book: &OfBook| book.number != current && is_reserved(book);
        if row.head().may_be_earlier() && !campaign.books.iter().any(is_earlier) {
            row.end_earlier(current);
        }
        row.note_denied(self.till.book(current));
    }

    /// Lets go of books that are long over: nothing that may still come is of them.
    fn let_go(&self, campaign: &mut Campaign, now: u64, mut give_back: impl FnMut(u32), writing: Option<&Writing<'_>>) {
        let kept = self.config.keeps_books();
        let is_removed = campaign.plan.is_none();
        campaign.books.retain(|book| {
            let totals = self.till.book(book.number).totals();
            // Nobody answers for a campaign that was removed.
            let is_settled = book.is_settled(&totals) || is_removed && totals.pending == 0 && totals.reserved() == 0;
            let is_over =
                is_settled && book.closed.is_some_and(|closed| closed.max(book.end).saturating_add(kept) < now);
            if is_over {
                if let Some(writing) = writing {
                    writing.gone(book.number);
                }
                give_back(book.number);
            }
            !is_over
        });
    }
}

/// How much of what a grant brings this node has used before, as far as it has forgotten that: if its store is an older one, or had no
/// room for the book. What a crash has lost is presumed already, so it does not count here.
fn used_before(known: &Totals, grant: &Grant) -> u64 {
    if grant.spent.saturating_add(grant.returned) > known.granted.saturating_add(known.overspent) {
        // More than this node has ever got, as it knows: it has forgotten grants, and may have used all of them.
        return u64::MAX;
    }
    let forgotten = grant.spent.saturating_sub(known.spent) + grant.returned.saturating_sub(known.returned);
    forgotten.saturating_sub(known.presumed)
}
