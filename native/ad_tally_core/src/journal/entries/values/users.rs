//! Users of a sketch's key: coupons, or registers once there are more than a sketch keeps.

use crate::journal::{SketchRef, Users};
use crate::sketch::{Coupon, Coupons, Sketch};

/// The users of several entries of one key.
#[derive(Debug)]
pub(in crate::journal::entries) struct UserUnion {
    sketch: Sketch,
    /// Its coupons in order, for an entry.
    coupons: Vec<Coupon>,
}

impl UserUnion {
    /// None, under a precision that a sketch can have.
    pub(in crate::journal::entries) fn of_nobody(precision: u8) -> Self {
        let sketch = Sketch::of_coupons(precision, None, Coupons::default());
        Self { sketch, coupons: Vec::new() }
    }

    /// Has it be one of nobody.
    pub(in crate::journal::entries) fn clear(&mut self, precision: u8) {
        self.sketch = Sketch::of_coupons(precision, None, Coupons::default());
    }

    /// Adds a user.
    pub(in crate::journal::entries) fn insert(&mut self, coupon: Coupon) {
        self.sketch.insert(coupon);
    }

    /// Adds those of another one. Of two precisions the lower one stays.
    pub(in crate::journal::entries) fn add(&mut self, other: SketchRef<'_>) {
        self.sketch.fold(other.precision);
        match other.users {
            Users::Coupons(coupons) => coupons.iter().for_each(|coupon| self.sketch.insert(*coupon)),
            Users::Registers(registers) => self.sketch.raise_all(registers),
        }
    }

    /// Puts its coupons in order, once all users are there.
    pub(in crate::journal::entries) fn settle(&mut self) {
        let Self { sketch, coupons } = self;
        coupons.clear();
        coupons.extend(sketch.coupons().into_iter().flat_map(|own| own.iter()));
        coupons.sort_unstable();
    }

    /// All users that were there when it was settled.
    pub(in crate::journal::entries) fn users(&self) -> SketchRef<'_> {
        let users = self.sketch.registers().map_or(Users::Coupons(&self.coupons), Users::Registers);
        SketchRef { precision: self.sketch.precision(), users }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Users of a few precisions, so that some are folded.
    fn sketch() -> impl Strategy<Value = Sketch> {
        (4..9_u8, prop::collection::vec(0..200_u64, 1..40), any::<bool>()).prop_map(|(precision, users, registers)| {
            let mut sketch = Sketch::new(precision, None).expect("a precision");
            users.iter().for_each(|user| sketch.insert(Coupon::of_integer(*user, None)));
            if registers {
                sketch.to_registers();
            }
            sketch
        })
    }

    fn union(sketches: &[Sketch]) -> Sketch {
        let mut all: Option<UserUnion> = None;
        for sketch in sketches {
            let mut alone = UserUnion { sketch: sketch.clone(), coupons: Vec::new() };
            alone.settle();
            match &mut all {
                None => all = Some(alone),
                Some(all) => all.add(alone.users()),
            }
        }
        all.expect("one at least").sketch
    }

    proptest! {
        #[test]
        fn users_come_to_the_same_in_any_order_and_grouping(sketches in prop::collection::vec(sketch(), 2..6), cut in any::<prop::sample::Index>()) {
            let cut = 1 + cut.index(sketches.len() - 1);
            let expected = union(&sketches);
            prop_assert_eq!(&union(&[union(&sketches[..cut]), union(&sketches[cut..])]), &expected);
            let reversed: Vec<Sketch> = sketches.iter().rev().cloned().collect();
            prop_assert_eq!(&union(&reversed), &expected);
        }
    }
}
