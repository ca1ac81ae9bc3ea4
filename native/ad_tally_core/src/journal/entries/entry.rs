//! An entry: a key and its value, what a file of the store is made of.
//!
//! Two values of one key merge to one, in a way that the kind says. Entries are ordered by part, kind, and what follows in their
//! key, as numbers. Kinds that decide about others (the newest time, users that are to be forgotten, windows that are gone) come first,
//! so that they are known when the others are read.

use crate::sketch::{Coupon, Coupons, SketchCow};

/// The part that the store itself is: entries of atoms are its own. Those of a table begin at 1.
pub const STORE_PART: u16 = 0;
/// [`Entry::Meta`] of this name is the newest time that a part has seen.
pub const META_NEWEST: u8 = 0;
/// [`Entry::Meta`] of this name is the number of windows that a part has closed.
pub const META_SEQUENCE: u8 = 1;
/// Tables of [`Entry::Item`] and [`Entry::Latest`] from this number on belong to users: what they have of a user is forgotten with it.
pub const TABLES_OF_USERS: u8 = 128;
/// Ticks that are kept of a pair, the newest ones.
pub const MOST_TICKS: usize = 29;
/// The most touches that are kept of a user, whatever a part says.
pub const MOST_TOUCHES: usize = 255;

/// What kind an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// [`Entry::Meta`].
    Meta = 0,
    /// [`Entry::Atom`].
    Atom = 1,
    /// [`Entry::Forgotten`].
    Forgotten = 2,
    /// [`Entry::Window`].
    Window = 3,
    /// [`Entry::Row`].
    Row = 4,
    /// [`Entry::Sketch`].
    Sketch = 5,
    /// [`Entry::Id`].
    Id = 6,
    /// [`Entry::Ticks`].
    Ticks = 7,
    /// [`Entry::Count`].
    Count = 8,
    /// [`Entry::Touches`].
    Touches = 9,
    /// [`Entry::Latest`].
    Latest = 10,
    /// [`Entry::Item`].
    Item = 11,
    /// [`Entry::Number`].
    Number = 12,
}

impl EntryKind {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::Meta,
        Self::Atom,
        Self::Forgotten,
        Self::Window,
        Self::Row,
        Self::Sketch,
        Self::Id,
        Self::Ticks,
        Self::Count,
        Self::Touches,
        Self::Latest,
        Self::Item,
        Self::Number,
    ];

    /// In words, for people who look into a store.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Atom => "atoms",
            Self::Forgotten => "forgotten users",
            Self::Window => "windows",
            Self::Row => "rows",
            Self::Sketch => "sketches",
            Self::Id => "ids",
            Self::Ticks => "pairs",
            Self::Count => "lifetime counts",
            Self::Touches => "users with touches",
            Self::Latest => "records",
            Self::Item => "items",
            Self::Number => "dimensions",
        }
    }
}

/// An entry of a part, as it was read or is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A number of the part. The greatest stays.
    Meta {
        /// Which: [`META_NEWEST`], [`META_SEQUENCE`], or one of the part's own.
        name: u8,
        /// The number.
        value: u64,
    },
    /// What the hash of an atom stands for. Of [`STORE_PART`] only.
    Atom {
        /// [`atom_hash`](crate::key::atom_hash) of the text.
        hash: u64,
        /// The text.
        text: &'a str,
    },
    /// A user is to be forgotten: what older intervals have of it goes.
    Forgotten {
        /// The hash of the user.
        owner: u64,
    },
    /// A window, or a generation of a table without windows. The state that is further stays.
    Window {
        /// By which rows and sketches name it.
        instance: u64,
        /// Its number: which span of time it is of.
        number: u64,
        /// The number of the configuration that it was begun with.
        config: u32,
        /// How far it is.
        state: WindowState<'a>,
    },
    /// Sums of a key in a window. They are added.
    Row {
        /// The window.
        instance: u64,
        /// The words of the key, none for what had no row.
        key: &'a [u64],
        /// A sum for each metric.
        sums: &'a [i128],
    },
    /// Users of a key in a window. They are united.
    Sketch {
        /// The window.
        instance: u64,
        /// The words of the key, none for what had no row.
        key: &'a [u64],
        /// The users.
        sketch: SketchRef<'a>,
    },
    /// When an id was last seen. The greatest generation stays.
    Id {
        /// The id's hash.
        hash: u64,
        /// The generation.
        generation: u64,
    },
    /// What became of a pair's ticks, in the order in which it is to be done. The newest [`MOST_TICKS`] stay.
    Ticks {
        /// Which tier they are of.
        tier: u8,
        /// The hash of the pair.
        pair: u64,
        /// See [`TickChange`].
        changes: &'a [TickChange],
    },
    /// How a count of a pair has changed. Changes are added.
    Count {
        /// Which tier it is of.
        tier: u8,
        /// The hash of the pair.
        pair: u64,
        /// By how much.
        change: i64,
    },
    /// Touches of a user. They are a set by their ids, of which the newest stay.
    Touches {
        /// The hash of the user.
        user: u64,
        /// The touches, the oldest one first, and of the same time the one with the smallest id.
        touches: &'a [TouchEntry],
        /// The newest time of those that did not stay, 0 if all did.
        evicted: u64,
    },
    /// A record of which the greatest version stays.
    Latest {
        /// Which table of the part it is in: a user's from [`TABLES_OF_USERS`] on.
        table: u8,
        /// By what it is known: the user's hash in a user's table.
        hash: u64,
        /// Its version.
        version: u64,
        /// What it says. None: it was removed.
        words: &'a [u64],
    },
    /// One of a set.
    Item {
        /// Which table of the part it is in: a user's from [`TABLES_OF_USERS`] on.
        table: u8,
        /// The window that it goes with, or the hash of the user.
        owner: u64,
        /// By what it is known among those of its owner.
        key: &'a [u8],
        /// What it says.
        bytes: &'a [u8],
    },
    /// What a number stands for in a part's touches.
    Number {
        /// The number.
        number: u32,
        /// The words of the key.
        key: &'a [u64],
    },
}

impl Entry<'_> {
    /// Its kind.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Meta { .. } => EntryKind::Meta,
            Self::Atom { .. } => EntryKind::Atom,
            Self::Forgotten { .. } => EntryKind::Forgotten,
            Self::Window { .. } => EntryKind::Window,
            Self::Row { .. } => EntryKind::Row,
            Self::Sketch { .. } => EntryKind::Sketch,
            Self::Id { .. } => EntryKind::Id,
            Self::Ticks { .. } => EntryKind::Ticks,
            Self::Count { .. } => EntryKind::Count,
            Self::Touches { .. } => EntryKind::Touches,
            Self::Latest { .. } => EntryKind::Latest,
            Self::Item { .. } => EntryKind::Item,
            Self::Number { .. } => EntryKind::Number,
        }
    }

    /// Whether it is there to have something of older runs go: at the base there is nothing older, and it goes as well.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Forgotten { .. } | Self::Window { state: WindowState::Gone, .. } => true,
            Self::Latest { words, .. } => words.is_empty(),
            _ => false,
        }
    }

    /// The window that it goes with, where it goes with one.
    #[must_use]
    pub fn instance(&self) -> Option<u64> {
        match self {
            Self::Row { instance, .. } | Self::Sketch { instance, .. } => Some(*instance),
            Self::Item { table, owner, .. } if *table < TABLES_OF_USERS => Some(*owner),
            _ => None,
        }
    }

    /// The user that it is forgotten with, where it is of one.
    #[must_use]
    pub fn user(&self) -> Option<u64> {
        match self {
            Self::Touches { user, .. } => Some(*user),
            Self::Latest { table, hash: owner, .. } | Self::Item { table, owner, .. } if *table >= TABLES_OF_USERS => {
                Some(*owner)
            }
            _ => None,
        }
    }
}

/// How far a window is. Each state is further than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowState<'a> {
    /// It is counted in.
    Open,
    /// It is final, and not yet with everybody who is to have it.
    Closed {
        /// Its place among the windows that the part has closed.
        sequence: u64,
        /// Whether it was closed before its time.
        partial: bool,
        /// The node that closed it.
        node: &'a str,
        /// When.
        closed_at: u64,
    },
    /// Everybody has it: all that goes with it goes.
    Gone,
}

/// What became of a tick of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickChange {
    /// It was counted: at most [`MOST_TICKS`] stay, the newest ones.
    Added(u64),
    /// One that is equal was taken back, if there is one.
    Released(u64),
}

/// A touch of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TouchEntry {
    /// When it was, in Unix milliseconds.
    pub at: u64,
    /// Its id.
    pub id: i64,
    /// The place of its kind.
    pub kind: u8,
    /// The number of its dimensions.
    pub dimensions: u32,
    /// How many touches it stands for beside itself.
    pub repeats: u16,
}

/// The users of an entry: a sketch whose parts lie elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SketchRef<'a> {
    /// The precision of the sketch.
    pub precision: u8,
    /// The users.
    pub users: Users<'a>,
}

/// Users as coupons, or, once there are more than a sketch keeps, as registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users<'a> {
    /// One to [`most_coupons`](crate::sketch::most_coupons), each once, from the smallest to the largest.
    Coupons(&'a [Coupon]),
    /// As many registers as the precision says.
    Registers(&'a [u8]),
}

impl<'a> SketchRef<'a> {
    /// The sketch, whose users are hidden under the secret of that check.
    #[must_use]
    pub fn sketch(self, secret_check: Option<u64>) -> SketchCow<'a> {
        match self.users {
            Users::Coupons(coupons) => {
                let mut set = Coupons::default();
                set.reserve(coupons.len());
                set.extend(coupons.iter().copied());
                SketchCow::of_coupons(self.precision, secret_check, set)
            }
            Users::Registers(registers) => SketchCow::of_registers(self.precision, secret_check, registers.into()),
        }
    }
}
