//! Ticks of a pair, of which the newest [`MOST_TICKS`] stay, and of which some were taken back.
//!
//! What intervals do to a pair is a list of changes in steps: a step takes ticks back, then adds some, and the newest stay. Steps that
//! only add come to one. A step that takes back stays one of its own: a tick that it takes had its place when those before it were
//! trimmed, so an older tick that had to go for it does not come back. So it makes no difference in which order neighbouring
//! intervals are merged. At the base, where nothing older is left, the steps are gone through, and what stays are ticks.
//!
//! A pair with [`MOST_TICKS`] is full: it may have had any number of ticks that are no newer than its oldest one. It stays so when
//! one is taken back, by its oldest one in the place of that, as it does in the table of caps: else it would say that it knows all
//! its ticks, and let through what those that it lost do not allow.

use crate::journal::{MOST_TICKS, TickChange};

/// The changes of one interval, in which releases and their ticks come in any order. Both lists are emptied.
pub(in crate::journal::entries) fn of_interval(
    added: &mut Vec<u64>,
    released: &mut Vec<u64>,
    changes: &mut Vec<TickChange>,
) {
    added.sort_unstable();
    released.sort_unstable();
    changes.clear();
    // A release that finds no tick in its own interval is of one in an older interval.
    let mut left = added.iter().copied().peekable();
    let mut kept = Vec::new();
    for tick in released.drain(..) {
        while let Some(before) = left.next_if(|own| *own < tick) {
            kept.push(before);
        }
        if left.next_if_eq(&tick).is_none() {
            changes.push(TickChange::Released(tick));
        }
    }
    kept.extend(left);
    added.clear();
    changes.extend(newest(&kept).iter().map(|tick| TickChange::Added(*tick)));
}

/// Changes, and then newer ones.
pub(in crate::journal::entries) fn append(changes: &mut Vec<TickChange>, newer: &[TickChange]) {
    let is_added = |change: &TickChange| matches!(change, TickChange::Added(_));
    let Some(kind) = newer.first().map(is_added) else { return };
    // Of the last step of the older ones and the first of the newer ones what is of one kind comes to one.
    let begin = changes.len() - changes.iter().rev().take_while(|change| is_added(change) == kind).count();
    let count = newer.iter().take_while(|change| is_added(change) == kind).count();
    let mut both: Vec<u64> = changes.drain(begin..).chain(newer[..count].iter().copied()).map(tick).collect();
    both.sort_unstable();
    if kind {
        changes.extend(newest(&both).iter().map(|tick| TickChange::Added(*tick)));
    } else {
        changes.extend(both.into_iter().map(TickChange::Released));
    }
    changes.extend_from_slice(&newer[count..]);
}

/// What is left where there is nothing older.
pub(in crate::journal::entries) fn resolve(changes: &mut Vec<TickChange>) {
    if changes.iter().all(|change| matches!(change, TickChange::Added(_))) {
        return;
    }
    let mut ticks: Vec<u64> = Vec::new();
    for change in changes.drain(..) {
        match change {
            TickChange::Added(tick) => {
                ticks.insert(ticks.partition_point(|own| *own <= tick), tick);
                let surplus = ticks.len().saturating_sub(MOST_TICKS);
                ticks.drain(..surplus);
            }
            TickChange::Released(tick) => {
                if let Ok(at) = ticks.binary_search(&tick) {
                    let (oldest, is_full) = (ticks[0], ticks.len() == MOST_TICKS);
                    ticks.remove(at);
                    if is_full {
                        ticks.insert(0, oldest);
                    }
                }
            }
        }
    }
    changes.extend(ticks.into_iter().map(TickChange::Added));
}

fn newest(ticks: &[u64]) -> &[u64] {
    &ticks[ticks.len().saturating_sub(MOST_TICKS)..]
}

fn tick(change: TickChange) -> u64 {
    match change {
        TickChange::Added(tick) | TickChange::Released(tick) => tick,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TickChange::{Added, Released};
    use super::*;

    fn interval() -> impl Strategy<Value = Vec<TickChange>> {
        let ticks = || prop::collection::vec(0..40_u64, 0..20);
        (ticks(), ticks()).prop_map(|(mut added, mut released)| {
            let mut changes = Vec::new();
            of_interval(&mut added, &mut released, &mut changes);
            changes
        })
    }

    fn merged(intervals: &[Vec<TickChange>]) -> Vec<TickChange> {
        let mut changes = Vec::new();
        intervals.iter().for_each(|interval| append(&mut changes, interval));
        changes
    }

    proptest! {
        #[test]
        fn intervals_come_to_the_same_in_any_grouping(intervals in prop::collection::vec(interval(), 0..8), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(intervals.len() + 1);
            let (mut older, newer) = (merged(&intervals[..cut]), merged(&intervals[cut..]));
            append(&mut older, &newer);
            let all = merged(&intervals);
            prop_assert_eq!(&older, &all);

            // The same as one interval after the other applied to ticks.
            let mut one_by_one = Vec::new();
            for interval in &intervals {
                append(&mut one_by_one, interval);
                resolve(&mut one_by_one);
            }
            let mut resolved = all;
            resolve(&mut resolved);
            prop_assert_eq!(resolved, one_by_one);
        }
    }

    #[test]
    fn a_release_takes_a_tick_of_its_own_interval_or_else_an_older_one() {
        let mut changes = Vec::new();
        of_interval(&mut vec![7, 5, 7], &mut vec![7, 3], &mut changes);
        assert_eq!(changes, [Released(3), Added(5), Added(7)]);
        let mut all = vec![Added(3), Added(4)];
        append(&mut all, &changes);
        assert_eq!(all, [Added(3), Added(4), Released(3), Added(5), Added(7)]);
        resolve(&mut all);
        assert_eq!(all, [Added(4), Added(5), Added(7)]);
    }

    #[test]
    fn a_pair_that_may_have_lost_ticks_stays_so_when_some_are_taken_back() {
        let full: Vec<TickChange> = (1..=29).map(Added).collect();
        for (released, expected) in [(29, [1, 1, 2, 28]), (1, [1, 2, 3, 29]), (7, [1, 1, 2, 29]), (30, [1, 2, 3, 29])] {
            let mut changes = merged(&[full.clone(), vec![Released(released)]]);
            resolve(&mut changes);
            assert_eq!(changes.len(), 29);
            assert_eq!([changes[0], changes[1], changes[2], changes[28]], expected.map(Added), "{released}");
        }
        let mut changes = merged(&[full[1..].to_vec(), vec![Released(29)]]);
        resolve(&mut changes);
        assert_eq!(changes, full[1..28]);
    }

    #[test]
    fn a_tick_that_was_taken_back_had_its_place() {
        let full: Vec<TickChange> = (1..=29).map(Added).collect();
        let steps = merged(&[full.clone(), vec![Added(30)], vec![Released(30)]]);
        let mut resolved = steps;
        resolve(&mut resolved);
        let without: Vec<TickChange> = [Added(2)].into_iter().chain(full[1..].iter().copied()).collect();
        assert_eq!(resolved, without);
        // Merged before the others are known it is so, too.
        let mut later = merged(&[vec![Added(30)], vec![Released(30)]]);
        assert_eq!(later, [Added(30), Released(30)]);
        let mut all = full.clone();
        append(&mut all, &later);
        resolve(&mut all);
        assert_eq!(all, without);
        resolve(&mut later);
        assert_eq!(later, []);
    }
}
