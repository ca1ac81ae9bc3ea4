//! Touches of a user: a set by their ids, of which the newest stay.

use crate::journal::TouchEntry;

/// Has touches that came in any order be a set, in order: of those with one id the greatest stays, and of all of them so many, the
/// newest ones. `evicted` is the newest time of those that went.
pub(in crate::journal::entries) fn settle(touches: &mut Vec<TouchEntry>, evicted: &mut u64, most: usize) {
    let is_settled = touches.len() <= 1;
    if !is_settled {
        touches.sort_unstable_by_key(|touch| (touch.id, std::cmp::Reverse(*touch)));
        touches.dedup_by(|other, stays| {
            let is_same = other.id == stays.id;
            if is_same && other.at != stays.at {
                *evicted = other.at.max(*evicted);
            }
            is_same
        });
        touches.sort_unstable();
    }
    let surplus = touches.len().saturating_sub(most);
    if let Some(last) = touches.drain(..surplus).next_back() {
        *evicted = last.at.max(*evicted);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch() -> impl Strategy<Value = TouchEntry> {
        (0..30_u64, -5..5_i64, 0..3_u8, 0..2_u16).prop_map(|(at, id, kind, repeats)| TouchEntry {
            at,
            id,
            kind,
            repeats,
            ..TouchEntry::default()
        })
    }

    proptest! {
        #[test]
        fn touches_come_to_the_same_in_any_grouping(all in prop::collection::vec(touch(), 0..40), cut in any::<prop::sample::Index>()) {
            let most = 4;
            let cut = cut.index(all.len() + 1);
            let mut evicted = [0; 2];
            let mut older = all[..cut].to_vec();
            settle(&mut older, &mut evicted[0], most);
            older.extend_from_slice(&all[cut..]);
            settle(&mut older, &mut evicted[0], most);
            let mut together = all;
            settle(&mut together, &mut evicted[1], most);
            prop_assert_eq!(older, together);
            prop_assert_eq!(evicted[0], evicted[1]);
        }
    }

    #[test]
    fn the_newest_touches_stay_and_the_newest_that_went_is_known() {
        let touch = |at, id| TouchEntry { at, id, ..TouchEntry::default() };
        let (mut touches, mut evicted) = (vec![touch(9, 1), touch(3, 2), touch(9, 1), touch(5, 3), touch(4, 4)], 2);
        settle(&mut touches, &mut evicted, 2);
        assert_eq!(touches, [touch(5, 3), touch(9, 1)]);
        assert_eq!(evicted, 4);
    }
}
