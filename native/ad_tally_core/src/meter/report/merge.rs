//! Reports of several nodes as one: each of another node is taken from its frames first, whole, and then added to the own one.

use super::frames::{Columns, Frames, Row};
use super::{Merging, Report};
use crate::codec::{Frame, FrameError};
use crate::key::AtomNames;
use crate::sketch::{Coupons, Sketch};

/// What is done between two looks at the clock: so many groups of counters, or registers in the same time.
const COST_OF_THE_CLOCK: usize = 64;
const REGISTERS_A_GROUP: usize = 1 << 10;

impl Report {
    /// Its groups as frames.
    #[must_use]
    pub fn into_frames(mut self, columns: &Columns) -> Frames {
        let (groups, sums, users) = self.end();
        Frames::new(groups, columns, sums, users)
    }

    /// Adds the groups of a frame, which is the first one of another report or the one after the last: whether it was that one's last.
    ///
    /// # Errors
    /// The first field that is wrong. The report is of no use then: it may have some of the frame's groups.
    pub fn take(
        &mut self,
        columns: &Columns,
        frame: &Frame<'_>,
        atoms: &mut impl AtomNames,
    ) -> Result<bool, FrameError> {
        let mut taking = std::mem::take(&mut self.taking);
        let taken = taking.read(columns, frame, atoms, |key, row| self.add_row(key, row));
        self.taking = taking;
        taken.map(|()| self.taking.is_whole())
    }

    fn add_row(&mut self, key: &[u64], row: Row) {
        let Row { is_group, is_counted, is_incomplete, sums, sketch } = row;
        if !is_group {
            super::add(&mut self.overflow.sums, sums);
            sketch.iter().filter(|users| !users.is_empty()).for_each(|users| self.overflow.unite(users));
            return;
        }
        let group = self.groups.group(self.seed.key(key));
        self.groups.add(group, |metric| sums[metric]);
        if let Some(users) = self.groups.users_mut(group) {
            users.is_counted |= is_counted;
            users.is_incomplete |= is_incomplete;
            sketch.into_iter().for_each(|sketch| unite(&mut users.sketch, Box::new(sketch)));
        }
    }

    /// Begins to add the groups of another report of the same columns, which was taken whole or read here.
    ///
    /// # Panics
    /// If the groups of one before are not all added yet, if it was not taken whole, or the columns differ.
    pub fn begin_merge(&mut self, mut other: Self) {
        assert!(self.merging.is_none() && other.merging.is_none(), "one after the other");
        assert!(other.taking.is_none_or_whole(), "of another node it has all groups or none");
        assert_eq!(self.query.metrics, other.query.metrics, "of the same columns");
        assert_eq!(self.groups.has_users(), other.groups.has_users(), "of the same columns");
        let (groups, sums, users) = other.end();
        super::add(&mut self.overflow.sums, sums);
        users.iter().for_each(|users| self.overflow.unite(users));
        self.merging = Some(Merging { groups, last: None });
    }

    /// Adds some of those groups, for as long as `go_on` says so, which is asked now and then. Whether there are more.
    pub fn merge(&mut self, mut go_on: impl FnMut() -> bool) -> bool {
        let Some(Merging { groups: others, last }) = &mut self.merging else { return false };
        let mut cost = COST_OF_THE_CLOCK;
        loop {
            if cost >= COST_OF_THE_CLOCK {
                if !go_on() {
                    return true;
                }
                cost = 0;
            }
            let Some(other) = others.next(*last) else { break };
            *last = Some(other);
            cost += 1;
            let group = self.groups.group(self.seed.key(others.key(other)));
            self.groups.add(group, |metric| others.sum(other, metric));
            let (Some(users), Some(more)) = (self.groups.users_mut(group), others.users_mut(other)) else { continue };
            users.is_counted |= more.is_counted;
            users.is_incomplete |= more.is_incomplete;
            if let Some(sketch) = more.sketch.take() {
                cost += sketch.registers().map_or(0, <[u8]>::len) / REGISTERS_A_GROUP;
                cost += sketch.coupons().map_or(0, Coupons::len) / COST_OF_THE_CLOCK;
                unite(&mut users.sketch, sketch);
            }
        }
        self.merging = None;
        false
    }
}

/// Adds the users of a sketch of the same precision and secret.
fn unite(own: &mut Option<Box<Sketch>>, other: Box<Sketch>) {
    let Some(own) = own else {
        *own = Some(other);
        return;
    };
    if let Some(registers) = other.registers() {
        own.raise_all(registers);
    }
    if let Some(coupons) = other.coupons() {
        own.insert_all(coupons.len(), coupons.iter());
    }
}
