//! A name that no zone has.

use std::fmt;

use super::named::names;

/// Names that are offered instead.
const MOST_NEAR: usize = 3;
/// Letters of a name that are shown: names have at most 32.
const MOST_SHOWN: usize = 64;

/// No zone has that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownZone {
    name: String,
    near: Vec<String>,
}

impl UnknownZone {
    pub(super) fn new(name: &str) -> Self {
        let mut shown: String = name.chars().take(MOST_SHOWN).collect();
        let near = if shown.len() == name.len() { near(name) } else { Vec::new() };
        if shown.len() < name.len() {
            shown.push_str("...");
        }
        Self { name: shown, near }
    }

    /// The names that it may be meant for, the nearest first.
    #[must_use]
    pub fn near(&self) -> &[String] {
        &self.near
    }
}

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no time zone is named {:?}", self.name)?;
        match &self.near[..] {
            [] => write!(f, ": names are those of the IANA database, such as \"Europe/Berlin\" or \"Etc/UTC\""),
            [near] => write!(f, ": did you mean {near:?}?"),
            [some @ .., last] => {
                f.write_str(": did you mean ")?;
                some.iter().try_for_each(|near| write!(f, "{near:?}, "))?;
                write!(f, "or {last:?}?")
            }
        }
    }
}

impl std::error::Error for UnknownZone {}

/// Names at most a third of whose letters are wrong, or whose last part is: a city without its continent.
fn near(name: &str) -> Vec<String> {
    let wanted = simple(name);
    let mut near: Vec<(usize, String)> = names()
        .into_iter()
        .filter_map(|known| {
            let simple = simple(&known);
            let city = simple.rsplit('/').next().unwrap_or_default();
            let (whole, part) = (edits(&wanted, &simple), edits(&wanted, city));
            let is_near = |edits: usize, of: &str| edits * 3 <= of.chars().count().min(wanted.chars().count());
            // A city is as good as one wrong letter of a whole name.
            let best = [(whole, is_near(whole, &simple)), (part + 1, is_near(part, city))];
            best.into_iter().filter(|(_, is_near)| *is_near).map(|(edits, _)| edits).min().map(|edits| (edits, known))
        })
        .collect();
    near.sort_unstable();
    let least = near.first().map_or(0, |(edits, _)| *edits);
    // Those that are much further away are no help beside one that is near.
    near.into_iter().filter(|(edits, _)| *edits <= least + 1).take(MOST_NEAR).map(|(_, name)| name).collect()
}

/// In small letters, with underscores for spaces.
fn simple(name: &str) -> String {
    name.trim().to_lowercase().replace(' ', "_")
}

/// How many letters have to be inserted, deleted or replaced, or two exchanged, to make one text of another.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let first: Vec<usize> = (0..=other.len()).collect();
    let (mut before, mut last, mut previous) = (first.clone(), first, None);
    for (row, letter) in one.chars().enumerate() {
        let mut next = vec![row + 1];
        for (at, &of) in other.iter().enumerate() {
            let mut least = (last[at] + usize::from(letter != of)).min(last[at + 1] + 1).min(next[at] + 1);
            if at > 0 && previous == Some(of) && letter == other[at - 1] {
                least = least.min(before[at - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
        previous = Some(letter);
    }
    last[other.len()]
}
