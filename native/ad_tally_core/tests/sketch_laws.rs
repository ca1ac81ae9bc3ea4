//! What holds of sketches for whatever users: against a naive twin, among themselves, and against the `datasketches` crate.
#![cfg(not(loom))]

use std::collections::{BTreeMap, BTreeSet};

use ad_tally_core::sketch::{Coupons, MAX_PRECISION, MIN_PRECISION, Union, relative_standard_error};
use ad_tally_core::{Coupon, Sketch};
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use proptest::prelude::*;

fn empty(precision: u8) -> Sketch {
    Sketch::new(precision, None).expect("a precision of 4 to 18")
}

fn coupons(users: &[u64]) -> Vec<Coupon> {
    users.iter().map(|user| Coupon::of_integer(*user, None)).collect()
}

fn sketch_of(precision: u8, users: &[u64]) -> Sketch {
    let mut sketch = empty(precision);
    coupons(users).into_iter().for_each(|coupon| sketch.insert(coupon));
    sketch
}

fn union(a: &Sketch, b: &Sketch) -> Sketch {
    let mut union = a.clone();
    union.merge(b).expect("no secrets");
    union
}

/// All at once.
fn union_of(sketches: &[Sketch]) -> Sketch {
    let mut union = Union::new(&sketches[0]);
    sketches[1..].iter().for_each(|sketch| union.merge(sketch).expect("no secrets"));
    union.sketch()
}

fn folded(sketch: &Sketch, precision: u8) -> Sketch {
    let mut sketch = sketch.clone();
    sketch.fold(precision);
    sketch
}

/// Equal as values and bit for bit.
fn same(a: &Sketch, b: &Sketch) -> Result<(), TestCaseError> {
    prop_assert_eq!(a, b);
    prop_assert_eq!(a.to_bytes(), b.to_bytes());
    prop_assert_eq!(a.estimate().to_bits(), b.estimate().to_bits());
    Ok(())
}

/// A sketch as plainly as it can be written: the set of its coupons' words, and all else computed from that.
struct Naive {
    precision: u8,
    words: BTreeSet<u32>,
}

#[derive(Debug, PartialEq)]
enum Content {
    Coupons(BTreeSet<u32>),
    Registers(Vec<u8>),
}

impl Naive {
    fn new(precision: u8, users: impl IntoIterator<Item = u64>) -> Self {
        Self { precision, words: users.into_iter().map(|user| Coupon::of_integer(user, None).word()).collect() }
    }

    fn content(&self) -> Content {
        // DataSketches: a list of eight slots is left when it is full; a set of up to an eighth as many slots as there are
        // registers is left when more than three quarters of them are taken.
        let fits = match self.precision {
            4..8 => self.words.len() < 8,
            precision => self.words.len() <= (1 << precision) / 8 * 3 / 4,
        };
        if fits { Content::Coupons(self.words.clone()) } else { Content::Registers(self.registers()) }
    }

    fn registers(&self) -> Vec<u8> {
        let mut largest = BTreeMap::new();
        for word in &self.words {
            let (slot, value) = (word % (1 << 26) % (1 << self.precision), (word >> 26) as u8);
            let register = largest.entry(slot).or_insert(0);
            *register = value.max(*register);
        }
        (0..1 << self.precision).map(|slot| largest.get(&slot).copied().unwrap_or(0)).collect()
    }
}

fn content(sketch: &Sketch) -> Content {
    match (sketch.coupons(), sketch.registers()) {
        (Some(coupons), None) => Content::Coupons(coupons.iter().map(Coupon::word).collect()),
        (None, Some(registers)) => Content::Registers(registers.to_vec()),
        _ => panic!("a sketch is either of coupons or of registers"),
    }
}

/// Mostly those whose sketches of a few thousand users are of registers; now and then one of the others.
fn precision() -> impl Strategy<Value = u8> {
    prop_oneof![8 => MIN_PRECISION..=13, 1 => 14..=MAX_PRECISION]
}

/// From none to a few thousand, many of them those of others as well.
fn users() -> impl Strategy<Value = Vec<u64>> {
    let count = prop_oneof![Just(0), 1..10_u64, 20..30_u64, 1..800_u64, 1..4_000_u64];
    (0..2_000_u64, count).prop_map(|(first, count)| (first..first + count).collect())
}

/// Users of one sketch of a union.
#[derive(Debug, Clone)]
struct Part {
    precision: u8,
    users: Vec<u64>,
    /// Made of registers though there may be few users, as sketches of a table's overflow are.
    early: bool,
}

impl Part {
    fn sketch(&self) -> Sketch {
        let mut sketch = sketch_of(self.precision, &self.users);
        if self.early {
            sketch.to_registers();
        }
        sketch
    }

    fn has_registers(&self) -> bool {
        self.early || matches!(Naive::new(self.precision, self.users.iter().copied()).content(), Content::Registers(_))
    }
}

fn part() -> impl Strategy<Value = Part> {
    (precision(), users(), 0..5_u8).prop_map(|(precision, users, form)| Part { precision, users, early: form == 0 })
}

fn sketch() -> impl Strategy<Value = Sketch> {
    part().prop_map(|part| part.sketch())
}

fn nobody() -> impl Strategy<Value = Sketch> {
    part().prop_map(|part| Part { users: vec![], ..part }.sketch())
}

/// The lowest of those with registers, else the highest of those that hold users, else the highest.
fn precision_of_union(parts: &[Part]) -> u8 {
    let holders: Vec<&Part> = parts.iter().filter(|part| !part.users.is_empty()).collect();
    let registers = holders.iter().filter(|part| part.has_registers()).map(|part| part.precision).min();
    let highest = |parts: &mut dyn Iterator<Item = u8>| parts.max();
    registers
        .or_else(|| highest(&mut holders.iter().map(|part| part.precision)))
        .or_else(|| highest(&mut parts.iter().map(|part| part.precision)))
        .unwrap_or(MIN_PRECISION)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_sketch_is_what_its_naive_twin_is(precision in precision(), users in users()) {
        let (mut sketch, naive) = (sketch_of(precision, &users), Naive::new(precision, users));
        prop_assert_eq!(content(&sketch), naive.content());
        sketch.to_registers();
        prop_assert_eq!(content(&sketch), Content::Registers(naive.registers()));
    }

    #[test]
    fn a_union_is_the_sketch_of_all_users_in_any_order_and_only_registers_lower_its_precision(
        (parts, shuffled) in prop::collection::vec(part(), 1..6).prop_flat_map(|parts| {
            (Just(parts.clone()), Just(parts).prop_shuffle())
        }),
    ) {
        let union = union_of(&shuffled.iter().map(Part::sketch).collect::<Vec<_>>());
        let naive = Naive::new(precision_of_union(&parts), parts.iter().flat_map(|part| part.users.iter().copied()));
        prop_assert_eq!(union.precision(), naive.precision);
        let has_registers = parts.iter().any(|part| !part.users.is_empty() && part.has_registers());
        if has_registers {
            prop_assert_eq!(content(&union), Content::Registers(naive.registers()));
        } else if !naive.words.is_empty() {
            prop_assert_eq!(content(&union), naive.content());
        }
    }

    #[test]
    fn unions_are_commutative_and_idempotent_and_nobody_is_neutral(a in sketch(), b in sketch(), nobody in nobody()) {
        same(&union(&a, &b), &union(&b, &a))?;
        same(&union(&a, &a), &a)?;
        same(&union(&union(&a, &b), &b), &union(&a, &b))?;
        if !a.is_empty() {
            same(&union(&a, &nobody), &a)?;
            same(&union(&nobody, &a), &a)?;
        }
        same(&union_of(&[a.clone(), nobody.clone(), b.clone()]), &union_of(&[a, b, nobody]))?;
    }

    #[test]
    fn unions_are_associative_but_for_the_precision_of_few_users_that_became_registers_on_the_way(
        a in sketch(),
        b in sketch(),
        c in sketch(),
    ) {
        let at_once = union_of(&[a.clone(), b.clone(), c.clone()]);
        for nested in [union(&union(&a, &b), &c), union(&a, &union(&b, &c)), union(&union(&a, &c), &b)] {
            prop_assert!(nested.precision() <= at_once.precision());
            same(&folded(&at_once, nested.precision()), &nested)?;
        }
    }

    #[test]
    fn unions_of_one_precision_are_associative(precision in precision(), parts in [part(), part(), part()]) {
        let [a, b, c] = parts.map(|part| Part { precision, ..part }.sketch());
        same(&union(&union(&a, &b), &c), &union(&a, &union(&b, &c)))?;
        same(&union(&union(&a, &b), &c), &union_of(&[a, b, c]))?;
    }

    #[test]
    fn an_overlap_is_looked_for_at_the_precision_of_registers(a in sketch(), b in sketch()) {
        let of_registers = |sketch: &Sketch| sketch.registers().map(|_| sketch.precision());
        let Some(precision) = [of_registers(&a), of_registers(&b)].into_iter().flatten().min() else { return Ok(()) };
        let at_once = |sketch: &Sketch| {
            let mut nobody = empty(precision);
            nobody.to_registers();
            sketch.coupons().into_iter().flat_map(Coupons::iter).for_each(|coupon| nobody.insert(coupon));
            if sketch.registers().is_some() { folded(sketch, precision) } else { nobody }
        };
        prop_assert_eq!(a.overlap(&b, 2), at_once(&a).overlap(&at_once(&b), 2));
    }

    #[test]
    fn a_sketch_depends_on_its_users_and_not_on_their_order_or_how_often_they_come(
        precision in precision(),
        (users, shuffled) in users().prop_flat_map(|users| {
            let twice: Vec<u64> = users.iter().chain(&users[..users.len() / 2]).copied().collect();
            (Just(users), Just(twice).prop_shuffle())
        }),
    ) {
        same(&sketch_of(precision, &shuffled), &sketch_of(precision, &users))?;
    }

    #[test]
    fn it_is_the_same_to_fold_before_a_union_or_after_it(
        (a, b) in prop_oneof![9 => (sketch(), sketch()), 1 => (nobody(), nobody())],
        to in precision(),
        between in precision(),
    ) {
        same(&folded(&union(&a, &b), to), &union(&folded(&a, to), &folded(&b, to)))?;
        same(&folded(&union(&a, &b), to), &folded(&union(&folded(&a, to), &b), to))?;
        same(&folded(&folded(&a, to.max(between)), to), &folded(&a, to))?;
    }

    #[test]
    fn an_estimate_grows_with_every_coupon_and_never_falls_while_registers_are_raised(
        precision in precision(),
        users in users(),
    ) {
        let (mut sketch, mut count, mut estimate) = (empty(precision), 0, 0.0);
        for coupon in coupons(&users) {
            sketch.insert(coupon);
            let Some(coupons) = sketch.coupons() else { break };
            prop_assert_eq!(coupons.len() > count, sketch.estimate() > estimate);
            (count, estimate) = (coupons.len(), sketch.estimate());
            prop_assert!(estimate - count as f64 <= 1e-3 * estimate, "{} for {}", estimate, count);
        }
        let mut sketch = empty(precision);
        sketch.to_registers();
        let mut estimate = 0.0;
        for some in coupons(&users).chunks(1 + users.len() / 50) {
            some.iter().for_each(|coupon| sketch.insert(*coupon));
            prop_assert!(sketch.estimate() >= estimate * (1.0 - 1e-12));
            estimate = sketch.estimate();
        }
    }
}

#[test]
fn the_estimate_of_no_users_is_zero() {
    for precision in MIN_PRECISION..=MAX_PRECISION {
        let mut sketch = empty(precision);
        for _ in 0..2 {
            assert_eq!(sketch.estimate().to_bits(), 0.0_f64.to_bits(), "precision {precision}");
            assert_eq!(sketch.bounds(3), (0.0, 0.0), "precision {precision}");
            sketch.to_registers();
        }
    }
}

// --- Against the crate `datasketches`.

const TYPES: [HllType; 3] = [HllType::Hll4, HllType::Hll6, HllType::Hll8];

/// Users as that crate is shown them, and as this one is.
#[derive(Debug, Clone, Copy)]
enum Family {
    Integers,
    Strings,
}

impl Family {
    fn sketches(self, precision: u8, kind: HllType, users: &[u64]) -> (Sketch, HllSketch) {
        let (mut ours, mut theirs) = (empty(precision), HllSketch::new(precision, kind).expect("a precision"));
        for user in users {
            match self {
                Self::Integers => {
                    ours.insert(Coupon::of_integer(*user, None));
                    theirs.update(*user);
                }
                Self::Strings => {
                    let name = format!("user-{user}");
                    ours.insert(Coupon::of_bytes(name.as_bytes(), None));
                    // Its `update(&str)` hashes an end mark too.
                    theirs.update(raw_bytes::from_str(&name));
                }
            }
        }
        (ours, theirs)
    }
}

/// Its bytes are our sketch, and ours are one to it that is our sketch again.
fn agree(ours: &Sketch, theirs: &HllSketch) {
    assert_eq!(Sketch::from_bytes(&theirs.serialize()).as_ref(), Ok(ours));
    let read = HllSketch::deserialize(&ours.to_bytes()).expect("it reads ours");
    assert_eq!(Sketch::from_bytes(&read.serialize()).as_ref(), Ok(ours));
    // It estimates in another way: where it goes from one formula to another, at about 0.7 users a register, it is off
    // ours by as much as one standard error.
    let (here, there) = (ours.estimate(), read.estimate());
    let error = relative_standard_error(1 << ours.precision());
    assert!(
        (here - there).abs() <= 2.0 * error * here,
        "{here} here, {there} there, at precision {}",
        ours.precision()
    );
}

#[test]
fn bytes_of_the_datasketches_crate_are_ours_at_every_precision() {
    for precision in MIN_PRECISION..=MAX_PRECISION {
        // To where a list becomes a set, a set registers, and all registers are raised at the coarser precisions.
        for count in [0, 1, 7, 8, 9, 24, 25, 384, 385, 5_000] {
            let users: Vec<u64> = (1..=count).collect();
            for kind in TYPES {
                for family in [Family::Integers, Family::Strings] {
                    let (ours, theirs) = family.sketches(precision, kind, &users);
                    agree(&ours, &theirs);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn bytes_of_the_datasketches_crate_are_ours_for_any_users(
        precision in precision(),
        kind in prop::sample::select(&TYPES[..]),
        family in prop::sample::select(&[Family::Integers, Family::Strings][..]),
        users in prop::collection::vec(any::<u64>(), 0..8_000),
    ) {
        let (ours, theirs) = family.sketches(precision, kind, &users);
        agree(&ours, &theirs);
    }

    #[test]
    fn unions_of_the_datasketches_crate_are_ours(
        precision in precision(),
        (a, b) in (users(), users()),
        (kind_a, kind_b) in (prop::sample::select(&TYPES[..]), prop::sample::select(&TYPES[..])),
    ) {
        let (ours_a, theirs_a) = Family::Integers.sketches(precision, kind_a, &a);
        let (ours_b, theirs_b) = Family::Integers.sketches(precision, kind_b, &b);
        let mut theirs = HllUnion::new(precision).expect("a precision");
        theirs.update(&theirs_a);
        theirs.update(&theirs_b);
        for kind in TYPES {
            prop_assert_eq!(Sketch::from_bytes(&theirs.to_sketch(kind).serialize()), Ok(union(&ours_a, &ours_b)));
        }
    }

    /// Its precision is bounded by the one that its union was made with, ours by the finest there is.
    #[test]
    fn unions_of_the_datasketches_crate_have_the_precision_of_ours(parts in prop::collection::vec(part(), 1..5)) {
        let parts: Vec<Part> = parts.into_iter().map(|part| Part { early: false, ..part }).collect();
        let mut theirs = HllUnion::new(MAX_PRECISION).expect("a precision");
        for part in &parts {
            theirs.update(&Family::Integers.sketches(part.precision, HllType::Hll8, &part.users).1);
        }
        let theirs = Sketch::from_bytes(&theirs.to_sketch(HllType::Hll8).serialize()).expect("a sketch");
        let ours = union_of(&parts.iter().map(Part::sketch).collect::<Vec<_>>());
        if parts.iter().any(|part| part.has_registers()) {
            prop_assert_eq!(theirs, ours);
        } else {
            prop_assert_eq!(folded(&theirs, ours.precision()), ours);
        }
    }
}

/// DataSketches answers 100,562 at precision 14.
#[test]
fn a_few_users_or_none_at_a_low_precision_leave_many_at_a_high_one_as_they_are() {
    let many = sketch_of(14, &(0..100_000).collect::<Vec<_>>());
    for count in [0, 1, 7] {
        let few = sketch_of(4, &(0..count).collect::<Vec<_>>());
        assert_eq!(union(&many, &few), many);
        assert_eq!(union(&few, &many), many);
    }
    assert!((many.estimate() - 100_000.0).abs() < 1_000.0, "{}", many.estimate());
}

/// More coupons than a sketch of any precision keeps, before the highest precision of them is known.
#[test]
fn coupons_that_were_too_many_for_the_first_sketches_keep_the_precision_of_the_last() {
    let users: Vec<u64> = (0..60_000).collect();
    let mut parts: Vec<Sketch> = users.chunks(300).map(|users| sketch_of(12, users)).collect();
    parts.push(sketch_of(17, &[1]));
    let mut expected = sketch_of(17, &users);
    assert_eq!(union_of(&parts), expected);
    parts.rotate_right(1);
    assert_eq!(union_of(&parts), expected);
    parts.push(sketch_of(8, &(0..1_000).collect::<Vec<_>>()));
    expected.fold(8);
    assert_eq!(union_of(&parts), expected);
}
