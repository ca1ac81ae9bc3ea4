//! A campaign's row: what every request for it reads, and hardly any writes.
//!
//! ```text
//! cell 0   pass: a request takes part if its hash is below this; u64::MAX: all do
//! cell 1   head   bits 0..32  the number of the book that money is taken of now, 0: none
//!                 bit  32     installed: the campaign is known
//!                 bit  33     wanting: a request found no money since the last report
//!                 bit  34     learning: requests that take part are counted
//!                 bit  35     earlier: live reservations may hold money of books of before
//!                 bit  36     looking: a report is reading the book, to note `denied`. A reservation that is made meanwhile clears
//!                             this bit, and then nothing is noted
//!                 bits 37..64 denied: requests for this amount or more get no money, and the campaign has no live reservation.
//!                             0: not known, look at the book
//! cell 2   begin  when the book's period begins, and
//! cell 3   until  when it ends, in Unix milliseconds
//! cell 4   passed: requests that took part by their rate, where it is learning
//! cell 5   asked: the largest amount there was no money for, since the last report
//! ```
//!
//! With the key of an integer behind it that is one cache line. Another book becomes the current one in this order: head without a
//! book, begin, until, head with it. Whoever takes money reads the head before and after that, so it knows which period it has.
//!
//! `denied` is noted when a campaign is reported, if a request found no money since the last report, and nothing is reserved or pending
//! ([`Row::note_denied`]). A request that is denied after that reads no line but this one. While nothing is reserved or pending, only a
//! grant can add money. So a grant clears `denied`. A new reservation clears it too: its request must find it again, and its money may
//! come back. A denial reads the head once, and may have the times of the next book: that has no money yet.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::book::Book;
use crate::sync::{AtomicU64, fence};

/// Cells of a row.
pub(super) const CELLS: usize = 6;

const PASS: usize = 0;
const HEAD: usize = 1;
const BEGIN: usize = 2;
const UNTIL: usize = 3;
const PASSED: usize = 4;
const ASKED: usize = 5;

const BOOK_MASK: u64 = 0xffff_ffff;
const INSTALLED: u64 = 1 << 32;
const WANTING: u64 = 1 << 33;
const LEARNING: u64 = 1 << 34;
const EARLIER: u64 = 1 << 35;
const LOOKING: u64 = 1 << 36;
const DENIED_SHIFT: u32 = 37;
const DENIED_MASK: u64 = u64::MAX << DENIED_SHIFT;
/// The largest amount that fits into `denied`. If a book has that much or more, nothing is noted.
const MOST_DENIED: u64 = u64::MAX >> DENIED_SHIFT;

/// A row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a [AtomicU64]);

/// What a head says.
#[derive(Clone, Copy)]
pub(super) struct Head(u64);

impl Head {
    #[inline(always)]
    pub(super) fn is_installed(self) -> bool {
        self.0 & INSTALLED != 0
    }

    #[inline(always)]
    pub(super) fn book(self) -> Option<u32> {
        let book = (self.0 & BOOK_MASK) as u32;
        (book != 0).then_some(book)
    }

    #[inline(always)]
    pub(super) fn is_learning(self) -> bool {
        self.0 & LEARNING != 0
    }

    #[inline(always)]
    pub(super) fn may_be_earlier(self) -> bool {
        self.0 & EARLIER != 0
    }

    #[inline(always)]
    pub(super) fn is_wanting(self) -> bool {
        self.0 & WANTING != 0
    }

    /// The least amount that is denied without a look at the book; 0: none is.
    #[inline(always)]
    pub(super) fn denied_from(self) -> u64 {
        self.0 >> DENIED_SHIFT
    }
}

impl Row<'_> {
    #[inline(always)]
    pub(super) fn head(self) -> Head {
        Head(self.0[HEAD].load(Acquire))
    }

    #[inline(always)]
    pub(super) fn pass(self) -> u64 {
        self.0[PASS].load(Relaxed)
    }

    /// Whether the campaign takes part in a request, by the hash of its reservation.
    #[inline(always)]
    pub(super) fn takes_part(self, hash: u64) -> bool {
        // No hash is as large as the largest rate.
        hash.min(u64::MAX - 1) < self.pass()
    }

    /// The book that money for an event at that time is taken of.
    #[inline(always)]
    pub(super) fn book(self, at: u64) -> Option<u32> {
        self.book_of(self.head(), at)
    }

    /// Whether it is noted that there is no money for an amount, and no live reservation.
    #[inline(always)]
    pub(super) fn is_denied(self, amount: u64, at: u64) -> bool {
        let head = self.head();
        head.denied_from() != 0 && amount >= head.denied_from() && self.book_of(head, at).is_some()
    }

    #[inline(always)]
    fn book_of(self, head: Head, at: u64) -> Option<u32> {
        let is_in_time = self.0[BEGIN].load(Acquire) <= at && at < self.0[UNTIL].load(Acquire);
        head.book().filter(|_| is_in_time)
    }

    /// Notes which amounts the current book has no money for, if a request found none since the last report. The caller holds the lock of
    /// the campaigns, so nobody else does that, grants, or sets another book.
    pub(super) fn note_denied(self, book: &Book) {
        let head = self.head();
        if !head.is_wanting() && head.denied_from() == 0 {
            return;
        }
        if head.denied_from() == self.least_denied_of(book) {
            return;
        }
        self.0[HEAD].fetch_or(LOOKING, AcqRel);
        // See `clear_denied`.
        fence(SeqCst);
        let denied = self.least_denied_of(book);
        self.change_head(|head| {
            let was_cleared = head & LOOKING == 0;
            if was_cleared { head } else { head & !(LOOKING | DENIED_MASK) | denied << DENIED_SHIFT }
        });
    }

    fn least_denied_of(self, book: &Book) -> u64 {
        let denied = book.least_denied().filter(|least| *least <= MOST_DENIED && !self.head().may_be_earlier());
        denied.unwrap_or(0)
    }

    /// Clears `denied`. To be called after money was granted, and after a reservation was made, before anybody else can find that.
    #[inline(always)]
    pub(super) fn clear_denied(self) {
        // `Book::take` and this load are `SeqCst`, and `note_denied` has a fence between its change of the head and its reads of the
        // book. So either it sees that money was taken, or this sees that it is looking. loom takes `SeqCst` loads and changes for
        // `AcqRel`: a model needs a fence here.
        #[cfg(loom)]
        fence(SeqCst);
        if self.0[HEAD].load(SeqCst) & (LOOKING | DENIED_MASK) != 0 {
            self.clear_denied_slowly();
        }
    }

    #[cold]
    fn clear_denied_slowly(self) {
        self.0[HEAD].fetch_and(!(LOOKING | DENIED_MASK), AcqRel);
    }

    /// Notes that no reservation that lives is of a book but the current one, as long as that is this one.
    pub(super) fn end_earlier(self, book: u32) {
        self.change_head(|head| if head & BOOK_MASK == u64::from(book) { head & !EARLIER } else { head });
    }

    /// Counts a request that took part.
    #[inline(always)]
    pub(super) fn count_passed(self) {
        self.0[PASSED].fetch_add(1, Relaxed);
    }

    pub(super) fn passed(self) -> u64 {
        self.0[PASSED].load(Relaxed)
    }

    /// Notes that there was no money for an amount: whether that is the first time since the last report.
    #[inline(always)]
    pub(super) fn want(self, amount: u64) -> bool {
        if self.0[ASKED].load(Relaxed) < amount {
            self.0[ASKED].fetch_max(amount, Relaxed);
        }
        !self.head().is_wanting() && self.0[HEAD].fetch_or(WANTING, AcqRel) & WANTING == 0
    }

    /// Takes what was noted since the last report: whether there was anything, and the largest amount.
    pub(super) fn take_wanted(self) -> (bool, u64) {
        let asked = self.0[ASKED].swap(0, Relaxed);
        (self.0[HEAD].fetch_and(!WANTING, AcqRel) & WANTING != 0, asked)
    }

    pub(super) fn set_pass(self, pass: u64) {
        self.0[PASS].store(pass, Relaxed);
    }

    /// Makes it known, or not known any more.
    pub(super) fn install(self, is_installed: bool, is_learning: bool) {
        let flags = if is_installed { INSTALLED } else { 0 } | if is_learning { LEARNING } else { 0 };
        self.change_head(|head| head & !(INSTALLED | LEARNING) | flags);
    }

    /// Has money be taken of another book, for events from `begin` to before `until`; of none for 0.
    pub(super) fn set_book(self, book: u32, begin: u64, until: u64) {
        self.change_head(|head| head & !(BOOK_MASK | LOOKING | DENIED_MASK));
        self.0[BEGIN].store(begin, Release);
        self.0[UNTIL].store(until, Release);
        self.change_head(|head| head & !BOOK_MASK | EARLIER | u64::from(book));
    }

    fn change_head(self, change: impl Fn(u64) -> u64) {
        let mut head = self.0[HEAD].load(Relaxed);
        while let Err(now) = self.0[HEAD].compare_exchange(head, change(head), AcqRel, Relaxed) {
            head = now;
        }
    }
}
