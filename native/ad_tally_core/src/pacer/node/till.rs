//! The till: books and the reservations that hold money of them, and how money goes from one to the other.
//!
//! ```text
//! available ──reserve──> reserved ──confirm──> spent, and the rest ──> pending or available
//!                            └─release, expire──> pending or available
//! ```
//!
//! What becomes of one reservation is decided under the lock of its bucket. Money itself moves by atomic steps of its book, so
//! reservations of one campaign in different buckets do not wait for each other. With a journal, a change enters the
//! interval while it holds the bucket's lock and before it changes anything. So no record is in an earlier interval than the
//! state it was based on. What is given back may be used again once that is on disk (`pending`): else a crash
//! could bring back a reservation whose money was spent by another one.

use super::book::{Book, Booked};
use super::entry::{Entry, State};
use super::reservations::{At, Held, Reservations};
use crate::bucket::Full;
use crate::journal::Busy;
use crate::memory::Lines;

/// Who writes down what has become of a reservation.
pub(crate) trait Note {
    fn note(&self, entry: &Entry, change: Change);
}

impl Note for () {
    #[inline(always)]
    fn note(&self, _: &Entry, _: Change) {}
}

/// What has changed in a book beside what is reserved and pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change {
    pub(crate) spent: u64,
    pub(crate) overspent: u64,
    pub(crate) presumed: i64,
    pub(crate) confirms: u64,
}

impl Change {
    fn of(booked: Booked, presumed: u64) -> Self {
        let Booked { spent, overspent, presumed: taken } = booked;
        Self { spent, overspent, presumed: presumed as i64 - taken as i64, confirms: 1 }
    }
}

/// What became of an attempt to reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is there now.
    New(Entry),
    /// It was there, and lives.
    Again(Entry),
    /// There is too little money.
    NoMoney,
    /// There is no room for it.
    Full,
    /// The journal has none.
    Busy,
}

/// What became of an attempt to settle a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// As it was meant.
    Done,
    /// It was booked, above what was reserved.
    Over,
    /// It was booked, though nothing was reserved any more.
    Late,
    /// It was confirmed before.
    Confirmed,
    /// No such reservation is known.
    Missing,
    /// The journal has no room.
    Busy,
}

/// What is to be reserved: a reservation of a hash that lives so long, and the book that it is to be of, which may change.
pub(crate) struct Ask<B> {
    pub(crate) hash: u64,
    pub(crate) amount: u64,
    pub(crate) expires: u64,
    /// The book that money may be taken of now.
    pub(crate) book: B,
}

/// Books and reservations.
pub(crate) struct Till {
    books: Lines<Book>,
    pub(super) reservations: Reservations,
    /// Whether what is given back has to be on disk before it is used.
    is_durable: bool,
}

impl Till {
    pub(crate) fn new(books: Lines<Book>, reservations: Reservations, is_durable: bool) -> Self {
        Self { books, reservations, is_durable }
    }

    #[inline(always)]
    pub(crate) fn book(&self, number: u32) -> &Book {
        &self.books.all()[number as usize]
    }

    /// How many books there can be.
    pub(crate) fn books(&self) -> usize {
        self.books.all().len()
    }

    /// Reserves, unless the same reservation lives. `also` is asked once there is money and room: where it says no nothing has
    /// changed.
    #[inline(always)]
    pub(crate) fn reserve<N: Note, D>(
        &self,
        ask: &Ask<impl Fn() -> Option<u32>>,
        clock: u64,
        begin: impl Fn() -> Result<N, Busy>,
        also: impl FnOnce() -> Result<(), D>,
    ) -> Result<Taken, D> {
        let mut chain = self.reservations.lock(ask.hash);
        let before = self.reservations.find(&chain, ask.hash);
        if let Some((place, entry)) = before {
            if entry.state.is_live() && entry.expires >= clock {
                return Ok(Taken::Again(entry));
            }
            if entry.state.is_live() {
                let Ok(note) = begin() else { return Ok(Taken::Busy) };
                self.expire(&mut chain, place, entry, &note);
            }
        }
        let Some(book) = self.take(ask) else { return Ok(Taken::NoMoney) };
        let give_back = |taken| {
            // It was never reserved by what is on disk.
            self.book(book).give(ask.amount);
            Ok(taken)
        };
        let Ok(note) = begin() else { return give_back(Taken::Busy) };
        // One that is made later expires later, so that the two are told apart.
        let expires = before.map_or(ask.expires, |(_, before)| ask.expires.max(before.expires + 1));
        let entry = Entry { hash: ask.hash, state: State::Live, book, amount: ask.amount, expires };
        match before {
            Some((place, before)) => {
                self.reservations.set(&mut chain, place, entry);
                if let Err(denied) = also() {
                    let before = if before.state.is_live() { before.with(State::Expired) } else { before };
                    self.reservations.set(&mut chain, place, before);
                    self.book(book).give(ask.amount);
                    return Err(denied);
                }
            }
            None => {
                if self.reservations.insert(&mut chain, entry, clock) == Err(Full) {
                    return give_back(Taken::Full);
                }
                if let Err(denied) = also() {
                    self.remove(&mut chain, ask.hash);
                    self.book(book).give(ask.amount);
                    return Err(denied);
                }
            }
        }
        note.note(&entry, Change::default());
        Ok(Taken::New(entry))
    }

    /// Takes money of the book that is the current one then.
    #[inline(always)]
    fn take(&self, ask: &Ask<impl Fn() -> Option<u32>>) -> Option<u32> {
        let mut book = (ask.book)()?;
        loop {
            if !self.book(book).take(ask.amount) {
                return None;
            }
            match (ask.book)() {
                Some(now) if now == book => return Some(book),
                now => {
                    self.book(book).give(ask.amount);
                    book = now?;
                }
            }
        }
    }

    #[cold]
    fn remove<'t>(&'t self, chain: &mut Held<'t>, hash: u64) {
        if let Some((place, _)) = self.reservations.find(chain, hash) {
            chain.set(place, Entry::default());
        }
    }

    /// Puts a reservation there that was kept.
    #[cfg(not(loom))]
    pub(crate) fn put(&self, entry: Entry, clock: u64) -> Result<(), Full> {
        let mut chain = self.reservations.lock(entry.hash);
        match self.reservations.find(&chain, entry.hash) {
            Some(_) => Ok(()),
            None => self.reservations.insert(&mut chain, entry, clock),
        }
    }

    /// The reservation of a hash, if it lives.
    pub(crate) fn live(&self, hash: u64, clock: u64) -> Option<Entry> {
        let chain = self.reservations.lock(hash);
        let found = self.reservations.find(&chain, hash).map(|(_, entry)| entry);
        found.filter(|entry| entry.state.is_live() && entry.expires >= clock)
    }

    /// Books the price of a reservation that expires then.
    #[inline(always)]
    pub(crate) fn confirm<N: Note>(
        &self,
        hash: u64,
        expires: u64,
        price: u64,
        at: u64,
        begin: impl Fn() -> Result<N, Busy>,
    ) -> Settled {
        let mut chain = self.reservations.lock(hash);
        let Some((place, entry)) = self.reservations.find(&chain, hash) else { return Settled::Missing };
        if entry.expires != expires {
            return Settled::Missing;
        }
        if entry.state == State::Confirmed {
            return Settled::Confirmed;
        }
        let Ok(note) = begin() else { return Settled::Busy };
        let book = self.book(entry.book);
        let confirmed = entry.with(State::Confirmed);
        self.reservations.set(&mut chain, place, confirmed);
        if entry.state.is_live() && at <= expires {
            let booked = book.confirm(entry.amount, price);
            self.give_back(book, entry.amount.saturating_sub(price));
            note.note(&confirmed, Change::of(booked, 0));
            return if price > entry.amount { Settled::Over } else { Settled::Done };
        }
        let presumed = if entry.state.is_live() { self.let_go(&entry) } else { 0 };
        note.note(&confirmed, Change::of(book.confirm_late(price), presumed));
        Settled::Late
    }

    /// Books the price of a reservation that is not known, if a crash may have lost it: then its amount is presumed in one of
    /// the books.
    #[cold]
    pub(crate) fn confirm_lost<N: Note>(
        &self,
        lost: Entry,
        books: impl IntoIterator<Item = u32>,
        price: u64,
        clock: u64,
        begin: impl Fn() -> Result<N, Busy>,
    ) -> Settled {
        let mut chain = self.reservations.lock(lost.hash);
        if self.reservations.find(&chain, lost.hash).is_some() {
            return Settled::Missing;
        }
        let Ok(note) = begin() else { return Settled::Busy };
        if self.reservations.insert(&mut chain, lost.with(State::Confirmed), clock).is_err() {
            return Settled::Missing;
        }
        let booked = books.into_iter().find_map(|book| Some((book, self.book(book).confirm_lost(lost.amount, price)?)));
        let Some((book, booked)) = booked else {
            self.remove(&mut chain, lost.hash);
            return Settled::Missing;
        };
        let confirmed = Entry { book, ..lost }.with(State::Confirmed);
        if let Some((place, _)) = self.reservations.find(&chain, lost.hash) {
            self.reservations.set(&mut chain, place, confirmed);
        }
        note.note(&confirmed, Change::of(booked, 0));
        if price > lost.amount { Settled::Over } else { Settled::Done }
    }

    /// Gives back what a reservation that expires then holds. `also` is called unless it was released before, even if its time
    /// has ended: whether a sweep has seen that makes no difference.
    #[inline(always)]
    pub(crate) fn release<N: Note>(
        &self,
        hash: u64,
        expires: u64,
        begin: impl Fn() -> Result<N, Busy>,
        also: impl FnOnce(),
    ) -> Settled {
        let mut chain = self.reservations.lock(hash);
        match self.reservations.find(&chain, hash) {
            Some((_, entry)) if entry.expires != expires => Settled::Missing,
            Some((_, entry)) if entry.state == State::Confirmed => Settled::Confirmed,
            Some((place, entry)) if entry.state != State::Released => {
                let Ok(note) = begin() else { return Settled::Busy };
                let released = entry.with(State::Released);
                self.reservations.set(&mut chain, place, released);
                if entry.state.is_live() {
                    self.give_back(self.book(entry.book), entry.amount);
                }
                also();
                note.note(&released, Change::default());
                Settled::Done
            }
            Some(_) => Settled::Done,
            None => Settled::Missing,
        }
    }

    /// Expires what is due in a bucket, and forgets what need not be remembered: how many expired.
    pub(crate) fn sweep<N: Note>(&self, at: usize, now: u64, begin: impl Fn() -> N) -> usize {
        if !self.reservations.is_due(at, now) {
            return 0;
        }
        let mut chain = self.reservations.lock_at(at);
        let mut due = Vec::new();
        chain.visit(|place, entry| {
            if entry.state.is_live() && entry.expires < now {
                due.push((place, entry));
            }
        });
        for (place, entry) in &due {
            self.expire(&mut chain, *place, *entry, &begin());
        }
        self.reservations.forget(&mut chain, now);
        due.len()
    }

    #[cold]
    fn expire<'t>(&'t self, chain: &mut Held<'t>, place: At<'t>, entry: Entry, note: &impl Note) {
        let expired = entry.with(State::Expired);
        self.reservations.set(chain, place, expired);
        let presumed = self.let_go(&entry) as i64;
        note.note(&expired, Change { presumed, ..Change::default() });
    }

    /// Lets go of the money of a reservation that was not confirmed in time: how much of it is presumed to be spent.
    fn let_go(&self, entry: &Entry) -> u64 {
        let book = self.book(entry.book);
        if entry.state == State::Survived {
            book.presume(entry.amount);
            return entry.amount;
        }
        self.give_back(book, entry.amount);
        0
    }

    #[inline(always)]
    fn give_back(&self, book: &Book, amount: u64) {
        if amount == 0 {
        } else if self.is_durable {
            book.put_aside(amount);
        } else {
            book.give(amount);
        }
    }
}
