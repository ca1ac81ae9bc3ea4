//! The twin of merging: what all intervals come to, one after the other, in a map of whole values.

use std::collections::{BTreeMap, BTreeSet};

use ad_tally_core::journal::{Entries, MOST_TICKS, NO_KEY, TABLES_OF_USERS, TickChange, TouchEntry, WindowState};
use ad_tally_core::sketch::most_coupons;
use ad_tally_core::{Coupon, HashedKey, Seed, Sketch};

use crate::owned::{Key, State, Value};

/// What happens in an interval.
#[derive(Debug, Clone)]
pub enum Op {
    Meta(u8, u64),
    Window(u64, u64, u32, State),
    Row(u64, Vec<u64>, Vec<i64>),
    Sums(u64, Vec<u64>, Vec<i128>),
    Coupon(u64, Vec<u64>, u8, u64),
    Sketch(u64, Vec<u64>, u8, Vec<u64>, bool),
    Id(u64, u64),
    Ticks(u8, u64, Vec<u64>),
    Release(u8, u64, u64),
    Count(u8, u64, i64),
    Touch(u64, TouchEntry),
    Evicted(u64, u64),
    Latest(u8, u64, u64, Vec<u64>),
    Item(u8, u64, Vec<u8>, Vec<u8>),
    Number(u32, Vec<u64>),
    Forgotten(u64),
    Gone(u64),
}

fn sketch(precision: u8, users: &[u64], registers: bool) -> Sketch {
    let mut sketch = Sketch::new(precision, None).expect("a precision");
    users.iter().for_each(|user| sketch.insert(Coupon::of_integer(*user, None)));
    if registers {
        sketch.to_registers();
    }
    sketch
}

impl Op {
    pub fn add(&self, part: u16, into: &mut Entries) {
        let seed = Seed::new(7);
        let hashed = |words: &'static [u64]| if words.is_empty() { NO_KEY } else { seed.key(words) };
        // Keys live as long as the test, so that the arms below stay short.
        let key = |words: &Vec<u64>| -> HashedKey<'static> { hashed(Box::leak(words.clone().into_boxed_slice())) };
        match self {
            Self::Meta(name, value) => into.meta(part, *name, *value),
            Self::Window(instance, number, config, state) => {
                let state = match state {
                    State::Open => WindowState::Open,
                    State::Closed(sequence, partial, node, at) => {
                        WindowState::Closed { sequence: *sequence, partial: *partial, node, closed_at: *at }
                    }
                    State::Gone => WindowState::Gone,
                };
                into.window(part, *instance, *number, *config, state);
            }
            Self::Row(instance, words, amounts) => {
                into.row(part, *instance, key(words), amounts.len(), amounts.iter().copied().enumerate());
            }
            Self::Sums(instance, words, sums) => into.row_sums(part, *instance, key(words), sums),
            Self::Coupon(instance, words, precision, user) => {
                into.coupon(part, *instance, key(words), *precision, Coupon::of_integer(*user, None));
            }
            Self::Sketch(instance, words, precision, users, registers) => {
                into.sketch(part, *instance, key(words), &sketch(*precision, users, *registers));
            }
            Self::Id(hash, generation) => into.id(part, *hash, *generation),
            Self::Ticks(tier, pair, ticks) => ticks.iter().for_each(|tick| into.tick(part, *tier, *pair, *tick)),
            Self::Release(tier, pair, tick) => into.release(part, *tier, *pair, *tick),
            Self::Count(tier, pair, change) => into.count(part, *tier, *pair, *change),
            Self::Touch(user, touch) => into.touch(part, *user, *touch),
            Self::Evicted(user, at) => into.evicted(part, *user, *at),
            Self::Latest(table, hash, version, words) => into.latest(part, *table, *hash, *version, words),
            Self::Item(table, owner, key, bytes) => into.item(part, *table, *owner, key, bytes),
            Self::Number(number, key) => into.number(part, *number, key),
            Self::Forgotten(owner) => into.forgotten(part, *owner),
            Self::Gone(instance) => into.gone(part, *instance),
        }
    }
}

/// Users of a key.
#[derive(Debug, Clone)]
struct Users {
    precision: u8,
    coupons: BTreeSet<Coupon>,
    registers: Vec<Vec<u8>>,
}

impl Users {
    fn value(&self) -> Value {
        let few = self.registers.is_empty() && self.coupons.len() <= most_coupons(self.precision);
        if few {
            return Value::Coupons(self.precision, self.coupons.iter().copied().collect());
        }
        let mut own = vec![0; 1 << self.precision];
        let mut raise =
            |at: usize, value: u8| own[at % (1 << self.precision)] = value.max(own[at % (1 << self.precision)]);
        self.coupons.iter().for_each(|coupon| raise(coupon.register(1 << 18), coupon.value()));
        self.registers.iter().for_each(|all| all.iter().enumerate().for_each(|(at, value)| raise(at, *value)));
        Value::Registers(self.precision, own)
    }
}

/// What a part's intervals have come to.
#[derive(Debug, Clone, Default)]
pub struct Naive {
    values: BTreeMap<Key, Value>,
    users: BTreeMap<Key, Users>,
    ticks: BTreeMap<Key, Vec<u64>>,
}

impl Naive {
    /// An interval has come. `most` touches of a user stay.
    pub fn apply(&mut self, ops: &[Op], most: usize) {
        for op in ops {
            if let Op::Forgotten(owner) = op {
                self.values.retain(|key, _| !is_of_user(key, *owner));
            }
        }
        // Ticks are multisets: those that are taken back are taken from the interval's own first.
        let mut released = Vec::new();
        let mut added: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Ticks(tier, pair, ticks) => added.entry(Key::Ticks(*tier, *pair)).or_default().extend(ticks),
                Op::Release(tier, pair, tick) => released.push((Key::Ticks(*tier, *pair), *tick)),
                _ => self.apply_one(op),
            }
        }
        for (key, tick) in released {
            let is_own = |ticks: &mut Vec<u64>| ticks.iter().position(|own| *own == tick).map(|at| ticks.remove(at));
            if added.get_mut(&key).and_then(is_own).is_some() {
                continue;
            }
            // One that is full may have lost some that are no newer than its oldest one, and stays full.
            let Some(ticks) = self.ticks.get_mut(&key) else { continue };
            let oldest = ticks.first().copied().filter(|_| ticks.len() == MOST_TICKS);
            if is_own(ticks).is_some() {
                oldest.inspect(|oldest| ticks.insert(0, *oldest));
            }
        }
        for (key, ticks) in added {
            let own = self.ticks.entry(key).or_default();
            own.extend(ticks);
            own.sort_unstable();
            own.drain(..own.len().saturating_sub(MOST_TICKS));
        }
        for value in self.values.values_mut() {
            if let Value::Touches(touches, evicted) = value {
                while touches.len() > most {
                    *evicted = touches.remove(0).at.max(*evicted);
                }
            }
        }
        for op in ops {
            if let Op::Gone(instance) | Op::Window(instance, _, _, State::Gone) = op {
                self.values.retain(|key, _| !goes_with(key, *instance));
                self.users.retain(|key, _| !goes_with(key, *instance));
            }
        }
    }

    fn apply_one(&mut self, op: &Op) {
        let mut greatest = |key: Key, value: Value| {
            let order = |value: &Value| match value {
                Value::Number(number) => (*number, vec![]),
                Value::Version(version, words) => (*version, words.clone()),
                Value::Words(words) => (0, words.clone()),
                Value::Bytes(bytes) => (0, bytes.iter().map(|byte| 1 + u64::from(*byte)).collect()),
                _ => panic!("not the greatest stays of {value:?}"),
            };
            if self.values.get(&key).is_none_or(|own| order(own) < order(&value)) {
                self.values.insert(key, value);
            }
        };
        match op {
            Op::Meta(name, value) => greatest(Key::Meta(*name), Value::Number(*value)),
            Op::Id(hash, generation) => greatest(Key::Id(*hash), Value::Number(*generation)),
            Op::Latest(table, hash, version, words) => {
                greatest(Key::Latest(*table, *hash), Value::Version(*version, words.clone()));
            }
            Op::Item(table, owner, key, bytes) => {
                greatest(Key::Item(*table, *owner, key.clone()), Value::Bytes(bytes.clone()));
            }
            Op::Number(number, key) => greatest(Key::Number(*number), Value::Words(key.clone())),
            Op::Window(instance, number, config, state) => {
                let window = |value: &Value| match value {
                    Value::Window { number, config, state } => (state.clone(), *number, *config),
                    _ => panic!("{value:?} is no window"),
                };
                let new = Value::Window { number: *number, config: *config, state: state.clone() };
                let own = self.values.entry(Key::Window(*instance)).or_insert_with(|| new.clone());
                if window(own) < window(&new) {
                    *own = new;
                }
            }
            Op::Row(instance, key, amounts) => {
                self.add(*instance, key, amounts.iter().map(|amount| i128::from(*amount)).collect());
            }
            Op::Sums(instance, key, sums) => self.add(*instance, key, sums.clone()),
            Op::Coupon(instance, key, precision, user) => {
                self.unite(*instance, key, &sketch(*precision, &[*user], false));
            }
            Op::Sketch(instance, key, precision, users, registers) => {
                self.unite(*instance, key, &sketch(*precision, users, *registers));
            }
            Op::Count(tier, pair, change) => {
                match self.values.entry(Key::Count(*tier, *pair)).or_insert(Value::Change(0)) {
                    Value::Change(own) => *own = own.wrapping_add(*change),
                    other => panic!("{other:?} is no count"),
                }
            }
            Op::Touch(user, touch) => self.touch(*user, Some(*touch), 0),
            Op::Evicted(user, at) => self.touch(*user, None, *at),
            Op::Ticks(..) | Op::Release(..) | Op::Forgotten(_) | Op::Gone(_) => {}
        }
    }

    fn add(&mut self, instance: u64, key: &[u64], sums: Vec<i128>) {
        match self.values.entry(Key::Row(instance, key.to_vec())).or_insert(Value::Sums(vec![])) {
            Value::Sums(own) => {
                own.resize(own.len().max(sums.len()), 0);
                own.iter_mut().zip(sums).for_each(|(own, sum)| *own = own.wrapping_add(sum));
            }
            other => panic!("{other:?} is no row"),
        }
    }

    fn unite(&mut self, instance: u64, key: &[u64], sketch: &Sketch) {
        let key = Key::Sketch(instance, key.to_vec());
        let nobody = Users { precision: 18, coupons: BTreeSet::new(), registers: vec![] };
        let own = self.users.entry(key).or_insert(nobody);
        own.precision = own.precision.min(sketch.precision());
        own.coupons.extend(sketch.coupons().into_iter().flat_map(|coupons| coupons.iter()));
        own.registers.extend(sketch.registers().map(<[u8]>::to_vec));
    }

    fn touch(&mut self, user: u64, touch: Option<TouchEntry>, at: u64) {
        let Value::Touches(touches, evicted) =
            self.values.entry(Key::Touches(user)).or_insert(Value::Touches(vec![], 0))
        else {
            panic!("no touches")
        };
        *evicted = at.max(*evicted);
        let Some(touch) = touch else { return };
        if let Some(place) = touches.iter().position(|own| own.id == touch.id) {
            // The greater one stays, and one of another time has gone.
            let own = touches.remove(place);
            let (less, greater) = (own.min(touch), own.max(touch));
            if less.at != greater.at {
                *evicted = less.at.max(*evicted);
            }
            touches.push(greater);
        } else {
            touches.push(touch);
        }
        touches.sort_unstable();
    }

    /// All that is there, as a base has it.
    pub fn state(&self) -> BTreeMap<Key, Value> {
        let users = self.users.iter().map(|(key, users)| (key.clone(), users.value()));
        let ticks = self.ticks.iter().filter(|(_, ticks)| !ticks.is_empty()).map(|(key, ticks)| {
            (key.clone(), Value::Changes(ticks.iter().map(|tick| TickChange::Added(*tick)).collect()))
        });
        let values = self.values.iter().filter(|(_, value)| !is_nothing(value));
        values.map(|(key, value)| (key.clone(), value.clone())).chain(users).chain(ticks).collect()
    }
}

/// Whether a value is there only to have others go.
pub fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Change(0)) || matches!(value, Value::Version(_, words) if words.is_empty())
}

fn is_of_user(key: &Key, user: u64) -> bool {
    match key {
        Key::Touches(own) => *own == user,
        Key::Latest(table, own) | Key::Item(table, own, _) => *table >= TABLES_OF_USERS && *own == user,
        _ => false,
    }
}

fn goes_with(key: &Key, instance: u64) -> bool {
    match key {
        Key::Window(own) | Key::Row(own, _) | Key::Sketch(own, _) => *own == instance,
        Key::Item(table, own, _) => *table < TABLES_OF_USERS && *own == instance,
        _ => false,
    }
}
