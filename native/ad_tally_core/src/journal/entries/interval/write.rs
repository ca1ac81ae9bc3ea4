//! The entries of an interval, sorted and merged, as a run.

use super::part::{OfPart, Rows, Sketches};
use super::{Atoms, Entries};
use crate::journal::entries::values::users::UserUnion;
use crate::journal::entries::values::{ticks, touches};
use crate::journal::{Entry, MOST_TOUCHES, RunWriter, STORE_PART, SketchRef, TABLES_OF_USERS, Users, WindowState};
use crate::sketch::{Coupon, most_coupons};

impl Entries {
    /// Writes them, and the texts of atoms that the store does not have yet. They stay as they are, but for their order.
    pub fn write(&mut self, atoms: &mut Atoms, run: &mut RunWriter) {
        self.atoms.sort_unstable();
        self.atoms.dedup();
        // Atoms are entries of the store's part, which comes first.
        let mut parts = self.parts.iter_mut().enumerate().filter_map(|(part, own)| Some((part as u16, own.as_mut()?)));
        let first = parts.next();
        match first {
            Some((STORE_PART, own)) => write_part(STORE_PART, own, run, |run| atoms.write(&self.atoms, run)),
            Some((part, own)) => {
                atoms.write(&self.atoms, run);
                write_part(part, own, run, |_| ());
            }
            None => atoms.write(&self.atoms, run),
        }
        parts.for_each(|(part, own)| write_part(part, own, run, |_| ()));
    }
}

fn write_part(part: u16, own: &mut OfPart, run: &mut RunWriter, write_atoms: impl FnOnce(&mut RunWriter)) {
    own.metas.iter().for_each(|(name, value)| run.push(part, &Entry::Meta { name: *name, value: *value }));
    write_atoms(run);
    own.forgotten.sort_unstable();
    own.forgotten.dedup();
    own.forgotten.iter().for_each(|owner| run.push(part, &Entry::Forgotten { owner: *owner }));
    // The last one of a window is the one that is furthest.
    own.windows.sort_unstable();
    let mut gone = Vec::new();
    for windows in own.windows.chunk_by(|one, other| one.instance == other.instance) {
        let Some(window) = windows.last() else { continue };
        let state = window.state.state();
        if state == WindowState::Gone {
            gone.push(window.instance);
        }
        let (number, config) = (window.number, window.config);
        run.push(part, &Entry::Window { instance: window.instance, number, config, state });
    }
    let is_gone = |instance: u64| gone.binary_search(&instance).is_ok();
    write_rows(part, &own.rows, is_gone, run);
    write_sketches(part, &mut own.sketches, is_gone, run);
    sort_ids(&own.ids, &mut own.sorted_ids);
    for ids in own.sorted_ids.chunk_by(|one, other| one.0 == other.0) {
        let Some((hash, generation)) = ids.last() else { continue };
        run.push(part, &Entry::Id { hash: *hash, generation: *generation });
    }
    write_pairs(part, own, run);
    write_touches(part, own, run);
    own.latest.sort_unstable();
    for versions in own.latest.chunk_by(|one, other| (one.table, one.hash) == (other.table, other.hash)) {
        let Some(last) = versions.last() else { continue };
        let (table, hash, version, words) = (last.table, last.hash, last.version, &*last.words);
        run.push(part, &Entry::Latest { table, hash, version, words });
    }
    own.items.sort_unstable();
    for items in
        own.items.chunk_by(|one, other| (one.table, one.owner, &one.key) == (other.table, other.owner, &other.key))
    {
        let Some(item) = items.last().filter(|item| item.table >= TABLES_OF_USERS || !is_gone(item.owner)) else {
            continue;
        };
        let (table, owner) = (item.table, item.owner);
        run.push(part, &Entry::Item { table, owner, key: &item.key, bytes: &item.bytes });
    }
    own.numbers.iter().for_each(|(number, key)| run.push(part, &Entry::Number { number: *number, key }));
}

fn write_rows(part: u16, rows: &Rows, is_gone: impl Fn(u64) -> bool, run: &mut RunWriter) {
    for number in rows.keys.sorted() {
        let (instance, key) = rows.keys.key(number);
        if !is_gone(instance) {
            run.push(part, &Entry::Row { instance, key, sums: rows.sums(number) });
        }
    }
}

fn write_sketches(part: u16, own: &mut Sketches, is_gone: impl Fn(u64) -> bool, run: &mut RunWriter) {
    let (begins, mut grouped) = by_number(&own.coupons, own.keys.len());
    own.registers.sort_unstable();
    let mut coupons = Vec::new();
    for number in own.keys.sorted() {
        let (instance, key) = own.keys.key(number);
        let precision = own.precisions[number];
        let registers = {
            let begin = own.registers.partition_point(|(other, _)| (*other as usize) < number);
            let count = own.registers[begin..].iter().take_while(|(other, _)| *other as usize == number).count();
            &own.registers[begin..begin + count]
        };
        let words = &mut grouped[begins[number]..begins[number + 1]];
        words.sort_unstable();
        coupons.clear();
        coupons.extend(words.iter().filter_map(|word| Coupon::from_word(*word)));
        coupons.dedup();
        if is_gone(instance) || coupons.is_empty() && registers.is_empty() {
            continue;
        }
        if registers.is_empty() && coupons.len() <= most_coupons(precision) {
            let sketch = SketchRef { precision, users: Users::Coupons(&coupons) };
            run.push(part, &Entry::Sketch { instance, key, sketch });
            continue;
        }
        let mut union = UserUnion::of_nobody(precision);
        coupons.iter().for_each(|coupon| union.insert(*coupon));
        registers.iter().for_each(|(_, registers)| {
            let precision = registers.len().trailing_zeros() as u8;
            union.add(SketchRef { precision, users: Users::Registers(registers) });
        });
        union.settle();
        run.push(part, &Entry::Sketch { instance, key, sketch: union.users() });
    }
}

/// Sorts ids by their hashes, which are spread evenly: those of each 2^-n of all hashes lie together first, some eight of them.
fn sort_ids(ids: &[(u64, u64)], sorted: &mut Vec<(u64, u64)>) {
    let bits = (ids.len() / 8).max(2).ilog2();
    let place = |hash: u64| (hash >> (u64::BITS - bits)) as usize;
    let mut ends = vec![0; (1 << bits) + 1];
    ids.iter().for_each(|(hash, _)| ends[place(*hash) + 1] += 1);
    (1..ends.len()).for_each(|at| ends[at] += ends[at - 1]);
    sorted.clear();
    sorted.resize(ids.len(), (0, 0));
    for id in ids {
        let end = &mut ends[place(id.0)];
        sorted[*end] = *id;
        *end += 1;
    }
    let mut begin = 0;
    for end in &ends[..1 << bits] {
        sorted[begin..*end].sort_unstable();
        begin = *end;
    }
}

/// Coupons in the order of the numbers of their keys, and where those of each number begin.
fn by_number(coupons: &[u64], numbers: usize) -> (Vec<usize>, Vec<u32>) {
    let number_of = |word: u64| (word >> 32) as usize;
    let mut begins = vec![0; numbers + 1];
    coupons.iter().for_each(|word| begins[number_of(*word) + 1] += 1);
    (1..begins.len()).for_each(|at| begins[at] += begins[at - 1]);
    let (mut ends, mut grouped) = (begins.clone(), vec![0; coupons.len()]);
    for word in coupons {
        let end = &mut ends[number_of(*word)];
        grouped[*end] = *word as u32;
        *end += 1;
    }
    (begins, grouped)
}

fn write_pairs(part: u16, own: &mut OfPart, run: &mut RunWriter) {
    own.ticks.sort_unstable();
    let (mut added, mut released, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for of_pair in own.ticks.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        for (_, _, tick, is_released) in of_pair {
            if *is_released { released.push(*tick) } else { added.push(*tick) }
        }
        ticks::of_interval(&mut added, &mut released, &mut changes);
        if !changes.is_empty() {
            let (tier, pair, ..) = of_pair[0];
            run.push(part, &Entry::Ticks { tier, pair, changes: &changes });
        }
    }
    own.counts.sort_unstable();
    for of_pair in own.counts.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        let change = of_pair.iter().fold(0, |sum: i64, (_, _, change)| sum.wrapping_add(*change));
        if change != 0 {
            let (tier, pair, _) = of_pair[0];
            run.push(part, &Entry::Count { tier, pair, change });
        }
    }
}

fn write_touches(part: u16, own: &mut OfPart, run: &mut RunWriter) {
    own.touches.sort_unstable();
    own.evicted.sort_unstable();
    let mut of_users = own.touches.chunk_by(|one, other| one.0 == other.0).peekable();
    let mut evictions = own.evicted.chunk_by(|one, other| one.0 == other.0).peekable();
    let mut own_touches = Vec::new();
    loop {
        let users = [of_users.peek().map(|touches| touches[0].0), evictions.peek().map(|evicted| evicted[0].0)];
        let Some(user) = users.into_iter().flatten().min() else { return };
        own_touches.clear();
        if let Some(touches) = of_users.next_if(|touches| touches[0].0 == user) {
            own_touches.extend(touches.iter().map(|(_, touch)| *touch));
        }
        let last = evictions.next_if(|evicted| evicted[0].0 == user).and_then(<[_]>::last);
        let mut evicted = last.map_or(0, |(_, at)| *at);
        touches::settle(&mut own_touches, &mut evicted, MOST_TOUCHES);
        run.push(part, &Entry::Touches { user, touches: &own_touches, evicted });
    }
}
