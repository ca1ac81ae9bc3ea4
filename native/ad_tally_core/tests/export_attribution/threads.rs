//! Exports and imports beside threads that tell of touches and conversions: nothing is lost, and nothing is booked twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ad_tally_core::attribution::{Attribution, Config, Conversion, Outcome, Touch};
use ad_tally_core::codec::{Frame, Imported};
use ad_tally_core::key::integer_words;
use ad_tally_core::{HashedKey, Seed};

use super::at_end::AtEnd;
use super::table::{Atoms, BEGIN, MINUTE, config, names, user};

const USERS: u64 = 50;
const TOUCHES: i64 = 5_000;
const ORDERS: i64 = 1_000;

/// Tells of every so many-th touch and conversion.
fn tell(attribution: &Attribution, part: i64, parts: i64) {
    let mut words = integer_words(1).to_vec();
    // The header of a tuple of one.
    words[0] |= 1;
    let dimensions = HashedKey { hash: attribution.seed().key(&words).hash, words: &words };
    for number in (0..TOUCHES).filter(|number| number % parts == part) {
        let (user, at) = (user(number as u64 % USERS), BEGIN + number as u64);
        let touch = Touch { id: number, user, at, kind: 0, dimensions, cost: 1 };
        assert_eq!(attribution.touch(&touch, || BEGIN), Ok(Outcome::Applied));
        if number < ORDERS {
            let order = integer_words(number);
            let order = attribution.seed().key(&order);
            let conversion = Conversion { order, user, at: BEGIN + MINUTE, action: 0, value: 1_000 };
            assert_eq!(attribution.convert(&conversion, || BEGIN), Ok(Outcome::Applied));
        }
    }
}

fn frames(attribution: &Attribution) -> Vec<Vec<u8>> {
    let mut export = attribution.frames(&names());
    std::iter::from_fn(|| export.next_frame(attribution, &Atoms::default())).collect()
}

fn import(attribution: &Attribution, frames: &[Vec<u8>]) {
    for bytes in frames {
        let (frame, settings) = (Frame::read(bytes).expect("a frame"), attribution.settings(&names()));
        let imported = attribution.import_frame(&settings, &frame, &mut Atoms::default(), || BEGIN);
        assert!(matches!(imported, Ok(Imported::Rows { overflow: 0, .. })), "{imported:?}");
    }
}

#[test]
fn touches_and_conversions_go_on_beside_exports_and_imports() {
    let config = Config { touches_per_user: 255, ..config() };
    let [one, other] = [(); 2].map(|()| Attribution::new(&config, Seed::new(7)).expect("a table"));
    tell(&other, 3, 4);
    let half = frames(&other);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let tellers: Vec<_> = (0..3)
            .map(|part| {
                scope.spawn({
                    let one = &one;
                    move || tell(one, part, 4)
                })
            })
            .collect();
        // What it has by now comes back: all of that is known.
        scope.spawn(|| {
            while !done.load(Relaxed) {
                import(&one, &frames(&one))
            }
        });
        scope.spawn(|| half.iter().for_each(|frame| import(&one, std::slice::from_ref(frame))));
        tellers.into_iter().for_each(|teller| teller.join().expect("a teller"));
        drop(at_end);
    });
    let info = one.info();
    assert_eq!((info.users, info.kept_touches, info.orders), (USERS as usize, TOUCHES as usize, ORDERS as usize));
    // The newest touch of each user.
    let last = |user: i64| TOUCHES - USERS as i64 + user;
    let mut booked = BTreeSet::new();
    loop {
        let closed = one.stop();
        for posting in closed.windows.iter().flat_map(|window| window.postings(0, usize::MAX)) {
            let order = posting.order[1] as i64;
            assert!(booked.insert(order), "{order} was booked before");
            let steps: Vec<i64> = posting.steps.iter().map(|step| step.id).collect();
            assert_eq!((steps.len(), steps.last()), (100, Some(&last(order % USERS as i64))));
        }
        if closed.is_all {
            break;
        }
    }
    assert_eq!(booked.len(), ORDERS as usize);
}
