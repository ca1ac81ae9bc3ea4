//! Interleavings of requests for one campaign with each other, with the end of a reservation's time, and with the coordinator:
//! money is neither lost nor given out twice. The real `Till`, `Book` and buckets on loom's atomics.

use loom::sync::Arc;
use loom::thread;

use super::book::{Book, Totals};
use super::reservations::Reservations;
use super::row::{CELLS, Row};
use super::till::{Ask, Settled, Taken, Till};
use crate::journal::Busy;
use crate::memory::Lines;
use crate::sync::AtomicU64;

/// When all events are.
const AT: u64 = 5;

/// A till, and the row of the campaign.
struct Node {
    till: Till,
    row: [AtomicU64; CELLS],
}

impl Node {
    /// Whose first book, the current one, has been granted so much.
    fn new(granted: u64, is_durable: bool) -> Arc<Self> {
        let books = Lines::<Book>::new(3).expect("there is room");
        let till = Till::new(books, Reservations::new(1, 1 << 20).expect("there is room"), is_durable);
        till.book(1).grant(granted);
        till.book(1).give(granted);
        let node = Self { till, row: std::array::from_fn(|_| AtomicU64::new(0)) };
        node.begin(1);
        node.row().end_earlier(1);
        Arc::new(node)
    }

    /// Which has granted 2, of which 3 were wanted.
    fn wanting() -> Arc<Self> {
        let node = Self::new(2, false);
        node.row().want(3);
        node
    }

    /// Has the current one be another book.
    fn begin(&self, book: u32) {
        self.row().set_book(book, 0, AT + 1);
    }

    fn row(&self) -> Row<'_> {
        Row(&self.row)
    }

    fn reserve(&self, hash: u64, amount: u64) -> Taken {
        let ask = Ask { hash, amount, expires: AT, book: || self.row().book(AT) };
        let taken: Result<Taken, ()> = self.till.reserve(&ask, 1, nothing, || {
            self.row().clear_denied();
            Ok(())
        });
        taken.expect("nobody denies it")
    }

    fn confirm(&self, hash: u64, price: u64) -> Settled {
        self.till.confirm(hash, AT, price, AT, nothing)
    }

    /// All money of a book is somewhere, and what nobody has accounted for is what live reservations hold.
    fn check(&self, book: u32, reserved: u64) -> Totals {
        let totals = self.till.book(book).totals();
        let all = totals.available + totals.pending + totals.returned + totals.presumed + totals.spent;
        assert_eq!(totals.granted + totals.overspent, all + reserved, "{totals:?}");
        totals
    }
}

fn nothing() -> Result<(), Busy> {
    Ok(())
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    check_with(2, model);
}

/// With more preemptions.
fn check_with(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn of_two_requests_one_gets_the_last_money() {
    check(|| {
        let node = Node::new(3, false);
        let other = node.clone();
        let thread = thread::spawn(move || matches!(other.reserve(1, 2), Taken::New(_)));
        let here = matches!(node.reserve(2, 2), Taken::New(_));
        let there = thread.join().expect("no panic");
        assert!(here != there);
        assert_eq!(node.confirm(if here { 2 } else { 1 }, 2), Settled::Done);
        assert_eq!(node.confirm(if here { 1 } else { 2 }, 2), Settled::Missing);
        let totals = node.check(1, 0);
        assert_eq!((totals.spent, totals.available), (2, 1));
    });
}

#[test]
fn the_same_request_reserves_once() {
    check(|| {
        let node = Node::new(4, false);
        let other = node.clone();
        let thread = thread::spawn(move || other.reserve(1, 2));
        let here = node.reserve(1, 2);
        let there = thread.join().expect("no panic");
        let news = [here, there].iter().filter(|taken| matches!(taken, Taken::New(_))).count();
        assert_eq!(news, 1);
        assert_eq!(node.check(1, 2).available, 2);
    });
}

#[test]
fn a_reservation_is_confirmed_or_expires() {
    check(|| {
        let node = Node::new(3, true);
        assert!(matches!(node.reserve(1, 3), Taken::New(_)));
        let other = node.clone();
        let thread = thread::spawn(move || other.till.sweep(0, 2_000, || ()));
        let settled = node.confirm(1, 2);
        let expired = thread.join().expect("no panic");
        let totals = node.check(1, 0);
        match settled {
            Settled::Done => assert_eq!((expired, totals.overspent, totals.pending), (0, 0, 1)),
            Settled::Late => assert_eq!((expired, totals.overspent, totals.pending), (1, 2, 3)),
            other => panic!("{other:?}"),
        }
        assert_eq!(totals.spent, 2);
    });
}

#[test]
fn a_price_is_booked_once() {
    check(|| {
        let node = Node::new(3, false);
        assert!(matches!(node.reserve(1, 3), Taken::New(_)));
        let other = node.clone();
        let thread = thread::spawn(move || other.confirm(1, 2));
        let here = node.confirm(1, 2);
        let there = thread.join().expect("no panic");
        assert!([here, there].contains(&Settled::Done) && [here, there].contains(&Settled::Confirmed));
        assert_eq!(node.check(1, 0).spent, 2);
    });
}

#[test]
fn a_period_ends_while_its_money_is_reserved_or_given_back() {
    check(|| {
        let node = Node::new(4, false);
        assert!(matches!(node.reserve(1, 2), Taken::New(_)));
        let other = node.clone();
        let thread = thread::spawn(move || {
            other.till.book(2).grant(2);
            other.begin(2);
            other.till.book(1).close();
            other.till.book(2).give(2);
        });
        let settled = node.till.release(1, AT, nothing, || ());
        let taken = node.reserve(2, 2);
        thread.join().expect("no panic");
        assert_eq!(settled, Settled::Done);
        let of = |book| match taken {
            Taken::New(entry) if entry.book == book => 2,
            _ => 0,
        };
        // Nothing of a book that is closed may be used, and all that was not is returned.
        assert_eq!((node.check(1, of(1)).available, node.check(1, of(1)).returned), (0, 4 - of(1)));
        node.check(2, of(2));
    });
}

#[test]
fn money_is_granted_freed_and_returned_while_it_is_reserved() {
    check(|| {
        let node = Node::new(2, true);
        assert!(matches!(node.reserve(1, 2), Taken::New(_)));
        let other = node.clone();
        let thread = thread::spawn(move || {
            let book = other.till.book(1);
            book.grant(1);
            book.put_aside(1);
            let pending = book.totals().pending;
            book.free(pending);
            book.return_above(1);
        });
        let settled = node.confirm(1, 1);
        let taken = node.reserve(2, 1);
        thread.join().expect("no panic");
        assert_eq!(settled, Settled::Done);
        let totals = node.check(1, u64::from(matches!(taken, Taken::New(_))));
        assert!(totals.spent == 1 && totals.overspent == 0);
    });
}

#[test]
fn what_is_reserved_is_never_read_as_less() {
    type Change = fn(&Book);
    let changes: [Change; 5] = [
        // A grant, which may be used once it is on disk.
        |book| {
            book.grant(2);
            book.put_aside(2);
            book.free(2);
        },
        // Another reservation: its price is booked, and the rest given back.
        |book| {
            assert!(book.take(2));
            book.confirm(2, 1);
            book.give(1);
        },
        // A price that was presumed, and one that is in no grant.
        |book| {
            book.confirm_late(2);
            book.confirm_late(1);
        },
        // What is forgotten, and the end of the period.
        |book| {
            book.learn(1, 2);
            book.return_above(0);
            book.close();
        },
        // Money that was pending is reserved, and given back.
        |book| {
            book.free(2);
            assert!(book.take(4));
            book.put_aside(4);
        },
    ];
    for change in changes {
        check(move || {
            let node = Node::new(10, false);
            assert!(matches!(node.reserve(1, 3), Taken::New(_)));
            assert!(node.till.book(1).take(4));
            node.till.book(1).presume(2);
            node.till.book(1).put_aside(2);
            let other = node.clone();
            let thread = thread::spawn(move || change(other.till.book(1)));
            let totals = node.till.book(1).totals();
            assert!(totals.reserved() + totals.available.min(totals.pending) >= 3, "{totals:?}");
            thread.join().expect("no panic");
            node.check(1, 3);
        });
    }
}

#[test]
fn a_book_of_which_something_is_reserved_denies_nothing_by_itself() {
    check_with(4, || {
        let node = Node::new(4, true);
        assert!(matches!(node.reserve(1, 2), Taken::New(_)));
        // What is left waits for the disk.
        assert!(node.till.book(1).take(2));
        node.till.book(1).put_aside(2);
        let other = node.clone();
        let thread = thread::spawn(move || {
            let book = other.till.book(1);
            book.free(2);
            assert!(book.take(2));
            book.put_aside(2);
        });
        assert_eq!(node.till.book(1).least_denied(), None);
        thread.join().expect("no panic");
        assert_eq!(node.till.book(1).least_denied(), None);
        node.check(1, 2);
    });
}

#[test]
fn whoever_has_a_reservation_is_not_denied_it_by_what_was_noted_before_or_meanwhile() {
    for is_noted in [false, true] {
        check_with(3, move || {
            let node = Node::wanting();
            if is_noted {
                node.row().note_denied(node.till.book(1));
                assert!(node.row().is_denied(3, AT));
            }
            let other = node.clone();
            let thread = thread::spawn(move || {
                assert!(matches!(other.reserve(1, 2), Taken::New(_)));
                assert!(!other.row().is_denied(3, AT));
            });
            node.row().note_denied(node.till.book(1));
            thread.join().expect("no panic");
            assert!(!node.row().is_denied(3, AT));
            node.check(1, 2);
        });
    }
}

#[test]
fn what_is_noted_once_all_is_settled_is_what_is_left() {
    check(|| {
        let node = Node::wanting();
        let other = node.clone();
        let thread = thread::spawn(move || {
            assert!(matches!(other.reserve(1, 2), Taken::New(_)));
            assert_eq!(other.confirm(1, 1), Settled::Done);
        });
        node.row().note_denied(node.till.book(1));
        thread.join().expect("no panic");
        // As it was before, not at all, or as it is.
        assert!([0, 3, 2].contains(&node.row().head().denied_from()));
        assert!(!node.row().is_denied(1, AT));
        node.row().note_denied(node.till.book(1));
        assert_eq!(node.row().head().denied_from(), 2);
    });
}

#[test]
fn whoever_finds_a_reservation_again_is_not_denied_it() {
    check(|| {
        let node = Node::wanting();
        node.row().note_denied(node.till.book(1));
        assert!(node.row().is_denied(3, AT));
        let other = node.clone();
        let thread = thread::spawn(move || other.reserve(1, 2));
        if matches!(node.reserve(1, 2), Taken::Again(_)) {
            assert!(!node.row().is_denied(3, AT));
        }
        thread.join().expect("no panic");
    });
}

#[test]
fn whoever_has_a_reservation_is_not_denied_it_by_what_is_noted_of_the_next_period() {
    check_with(3, || {
        let node = Node::wanting();
        let other = node.clone();
        let thread = thread::spawn(move || {
            // As a node does it that reports after midnight.
            let (row, before) = (other.row(), other.till.book(1));
            other.begin(2);
            before.close();
            if before.totals().reserved() == 0 {
                row.end_earlier(2);
            }
            row.note_denied(other.till.book(2));
        });
        let is_reserved = matches!(node.reserve(1, 2), Taken::New(_));
        assert!(!is_reserved || !node.row().is_denied(3, AT));
        thread.join().expect("no panic");
        assert!(!is_reserved || !node.row().is_denied(3, AT));
        node.check(1, if is_reserved { 2 } else { 0 });
        node.check(2, 0);
    });
}
