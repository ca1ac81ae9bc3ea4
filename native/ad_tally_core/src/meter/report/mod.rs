//! Reports: rows of windows, grouped by some elements of their keys.
//!
//! ```text
//! Report ── windows, one after the other ──> groups: sums and users by the key they have in common
//!        ├─ into_rows ──> Rows: groups in order, one after the other
//!        └─ into_frames ──> Frames ── another node ──> take, merge
//! ```
//!
//! A window is read in steps: rows of its counters, then its sketches, and where users had no sketch also which keys those may
//! be. Between two steps a report has a share of the window and holds nothing of it, so what is recorded meanwhile is in it or
//! is not. Its memory goes with its groups.
//!
//! * `groups`: the groups, by key; `filter`: the values that rows may have; `order`: the groups one
//!   after the other; `words`: the order of values
//! * `frames`: groups as frames; `merge`: reports of several nodes as one

mod filter;
mod frames;
mod groups;
mod merge;
mod order;
mod words;

use self::filter::Filter;
use self::frames::Taking;
pub use self::frames::{Columns, Frames};
use self::groups::{Group, Groups};
pub use self::order::{Order, Reach, Row, Rows as ReportRows};
use super::window::Window;
use crate::counters::Cells;
use crate::key::{Element, Parts, Seed};
use crate::reach::Sketches;
use crate::sketch::{Sketch, Union};
use crate::table::{Generation, RowRef, Rows};

/// What a report is to be.
#[derive(Debug, Clone)]
pub struct Query {
    /// The elements of a key that rows are grouped by.
    pub by: Vec<usize>,
    /// Those that are filtered by, and where each one is in the keys of sketches. Rows have a value that was allowed in each.
    pub filters: Vec<(usize, Option<usize>)>,
    /// Where the elements of `by` are in the keys of sketches, if users are asked for. Those keys have all of `by` and `filters`
    /// then.
    pub sketch_by: Option<Vec<usize>>,
    /// How many metrics a key has.
    pub metrics: usize,
}

/// A report in the making.
pub struct Report {
    query: Query,
    filters: Vec<Filter>,
    seed: Seed,
    groups: Groups,
    overflow: Overflow,
    reading: Option<Reading>,
    /// Frames of another report.
    taking: Taking,
    merging: Option<Merging>,
    /// The words of a group's key.
    key: Vec<u64>,
}

/// What had no row.
struct Overflow {
    sums: Vec<i128>,
    users: Option<Union>,
}

/// How far the groups of another report were added.
struct Merging {
    groups: Groups,
    last: Option<Group>,
}

/// How far a window was read.
enum Reading {
    Counters(Rows<Cells>),
    Sketches(Rows<Sketches>, bool),
    Incomplete(Rows<Cells>),
}

impl Report {
    /// Of windows of a meter with that seed; nothing is read yet.
    #[must_use]
    pub fn new(query: Query, seed: Seed) -> Self {
        let filters = query.filters.iter().map(|(place, sketch_place)| Filter::new(*place, *sketch_place)).collect();
        Self {
            filters,
            seed,
            groups: Groups::new(query.metrics, query.sketch_by.is_some()),
            overflow: Overflow { sums: vec![0; query.metrics], users: None },
            reading: None,
            taking: Taking::default(),
            merging: None,
            key: Vec::new(),
            query,
        }
    }

    /// Allows a value in the element of a filter, the first of which is number 0.
    ///
    /// # Panics
    /// If there is no such filter.
    pub fn allow(&mut self, filter: usize, value: Element<'_>) {
        self.filters[filter].allow(value);
    }

    /// Reads on in a window, from its beginning unless the last call has left off in it, for as long as `go_on` says so, which is
    /// asked every few rows. Whether it is to be called again with this window.
    pub fn read(&mut self, window: &Window, mut go_on: impl FnMut() -> bool) -> bool {
        let mut reading = self.reading.take().unwrap_or_else(|| self.begin(window));
        loop {
            let more = match &mut reading {
                Reading::Counters(rows) => rows.each(&mut go_on, |table, row| self.count(table, row)),
                Reading::Sketches(rows, _) => rows.each(&mut go_on, |table, row| self.unite(table, row)),
                Reading::Incomplete(rows) => {
                    rows.each(&mut go_on, |table, row| self.look_for_users(window, table, row))
                }
            };
            if more {
                self.reading = Some(reading);
                return true;
            }
            match self.next(reading, window) {
                Some(next) => reading = next,
                None => return false,
            }
        }
    }

    /// What had no row first: what comes afterwards is in it or is not, as in the rows.
    fn begin(&mut self, window: &Window) -> Reading {
        add(&mut self.overflow.sums, window.overflow());
        Reading::Counters(window.counters())
    }

    /// What is read of a window after that. Counters come first: a key that has a row, and no sketch afterwards, had no room for
    /// one or has no users.
    fn next(&mut self, read: Reading, window: &Window) -> Option<Reading> {
        match read {
            Reading::Counters(_) if self.groups.has_users() => {
                let users = window.reach_overflow().filter(|users| !users.is_empty());
                if let Some(users) = &users {
                    self.overflow.unite(users);
                }
                Some(Reading::Sketches(window.reach()?, users.is_some()))
            }
            // Who had no sketch may be of any key without one.
            Reading::Sketches(_, true) => Some(Reading::Incomplete(window.counters())),
            _ => None,
        }
    }

    #[inline(always)]
    fn count(&mut self, table: &Generation<Cells>, row: RowRef<'_>) {
        let Some(group) = self.group_of(table.keyed.key_of(row)) else { return };
        if let Some(users) = self.groups.users_mut(group) {
            users.is_counted = true;
        }
        let row = table.row(row);
        self.groups.add(group, |metric| row.total(metric));
    }

    /// The group of a row of counters that meets the filters.
    #[inline(always)]
    fn group_of(&mut self, words: &[u64]) -> Option<Group> {
        let key = Parts::of(words);
        if !self.filters.iter().all(|filter| filter.is_met(&key)) {
            return None;
        }
        key.project(&self.query.by, &mut self.key);
        Some(self.groups.group(self.seed.key(&self.key)))
    }

    fn unite(&mut self, table: &Generation<Sketches>, row: RowRef<'_>) {
        let key = Parts::of(table.keyed.key_of(row));
        let Some(by) = &self.query.sketch_by else { return };
        if !self.filters.iter().all(|filter| filter.is_met_by_sketch(&key)) {
            return;
        }
        key.project(by, &mut self.key);
        let group = self.groups.group(self.seed.key(&self.key));
        let Some(users) = self.groups.users_mut(group) else { return };
        let sketch = users.sketch.get_or_insert_with(|| Box::new(table.value.empty.clone()));
        table.sketch(row).merge_into(sketch);
    }

    fn look_for_users(&mut self, window: &Window, table: &Generation<Cells>, row: RowRef<'_>) {
        let words = table.keyed.key_of(row);
        if !window.has_sketch(words)
            && let Some(group) = self.group_of(words)
            && let Some(users) = self.groups.users_mut(group)
        {
            users.is_incomplete = true;
        }
    }

    /// The groups in that order, the first ones if there is a limit.
    #[must_use]
    pub fn into_rows(mut self, order: Order, limit: usize) -> ReportRows {
        let (groups, sums, users) = self.end();
        ReportRows::new(groups, self.query.by.len(), order, limit, sums, users)
    }

    /// Its groups, and the sums and users of what had no row.
    fn end(&mut self) -> (Groups, Vec<i128>, Option<Sketch>) {
        debug_assert!(self.merging.is_none(), "all of another one was added");
        let groups = std::mem::replace(&mut self.groups, Groups::new(0, false));
        let users = self.overflow.users.take().map(|users| users.sketch());
        (groups, std::mem::take(&mut self.overflow.sums), users)
    }
}

impl Overflow {
    fn unite(&mut self, users: &Sketch) {
        match &mut self.users {
            Some(union) => {
                union.merge(users).unwrap_or_else(|_| unreachable!("sketches of a meter have one secret"));
            }
            None => self.users = Some(Union::new(users)),
        }
    }
}

fn add(sums: &mut [i128], more: Vec<i128>) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}
