//! A table, and what is done with it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;

use ad_tally_core::attribution::{
    Attribution, Change, Closed, Config, Conversion, Counting, Model, Names, Outcome, Posting, Touch, Unchanged, Window,
};
use ad_tally_core::codec::{Frame, FrameError, Imported};
use ad_tally_core::key::{AtomFault, AtomNames, Domain, SHORT_KEY_WORDS, atom_hash, integer_words};
use ad_tally_core::{KeyWriter, Seed};

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
/// Monday, 1 June 2026.
pub const BEGIN: u64 = 1_780_272_000_000;

pub fn config() -> Config {
    Config {
        window: MINUTE,
        lateness: 5 * MINUTE,
        max_ahead: Some(10 * MINUTE),
        lookbacks: vec![HOUR, 10 * MINUTE],
        prevail: true,
        collapse: false,
        models: vec![Model::LastTouch, Model::TimeDecay { half_life: HOUR }],
        actions: vec![Counting::Every, Counting::OncePerUser, Counting::OncePerTouch],
        touches_per_user: 16,
        users: 1_000,
        orders: 1_000,
        adjustable_for: 24 * HOUR,
        max_keys: 100,
    }
}

/// Atoms as they come.
#[derive(Default)]
pub struct Atoms(BTreeMap<u64, String>);

impl AtomNames for Atoms {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        self.0.get(&hash).map(|text| Cow::from(text.as_str()))
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        self.0.insert(atom_hash(text), text.to_owned());
        Ok(atom_hash(text))
    }
}

/// A table, with what it calls its own.
pub struct Table {
    pub attribution: Attribution,
    atoms: RefCell<Atoms>,
    pub now: Cell<u64>,
    /// What was booked in windows that are closed.
    pub booked: RefCell<Vec<Shown>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Click {
    pub id: i64,
    pub user: u64,
    pub at: u64,
    pub kind: u8,
    pub campaign: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub order: i64,
    pub user: u64,
    pub at: u64,
    pub action: u8,
    pub value: i64,
}

pub fn user(user: u64) -> u64 {
    Seed::new(1).hash(Domain::User, &[user])
}

pub fn names() -> Names {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Names { dimensions: 1, kinds: texts(&["click", "view"]), actions: texts(&["purchase", "signup", "install"]) }
}

/// An order's credits, in words that do not depend on the table.
pub type Shown = String;

impl Table {
    pub fn new(config: &Config) -> Self {
        let attribution = Attribution::new(config, Seed::new(7)).expect("a configuration that is right");
        Self { attribution, atoms: RefCell::default(), now: Cell::new(BEGIN + 4 * MINUTE), booked: RefCell::default() }
    }

    pub fn link(&self, alias: u64, by: u64) {
        if let Some(linking) = self.attribution.link(user(alias), user(by)) {
            assert!(!self.attribution.go_on(&linking, || true));
        }
    }

    pub fn touch(&self, touch: &Click) -> Outcome {
        let Click { id, user: by, at, kind, campaign } = *touch;
        let mut room = [MaybeUninit::uninit(); 2 * SHORT_KEY_WORDS];
        let mut key = KeyWriter::tuple(&mut room, 1).expect("an arity");
        match campaign % 3 {
            0 => key.integer(campaign),
            1 => key.atom(self.atoms.borrow_mut().atom(&format!("campaign {campaign}")).expect("an atom")),
            _ => key.bytes(&vec![b'a'; campaign as usize * 10]).expect("bytes"),
        }
        let dimensions = self.attribution.seed().key(key.finish());
        let touch = Touch { id, user: user(by), at, kind, dimensions, cost: 10 };
        self.attribution.touch(&touch, || self.now.get()).expect("a time")
    }

    pub fn convert(&self, conversion: &Order) -> Outcome {
        let Order { order, user: by, at, action, value } = *conversion;
        let words = integer_words(order);
        let order = self.attribution.seed().key(&words);
        let conversion = Conversion { order, user: user(by), at, action, value };
        self.attribution.convert(&conversion, || self.now.get()).expect("a time")
    }

    pub fn adjust(&self, order: i64, change: Change, at: u64) -> Result<(), Unchanged> {
        let words = integer_words(order);
        let order = self.attribution.seed().key(&words);
        self.attribution.adjust(order, change, at, || self.now.get()).expect("a time")
    }

    pub fn close(&self) {
        self.keep(|| self.attribution.close(self.now.get()));
    }

    /// All that was booked once everything is closed.
    pub fn stop(&self) -> Vec<Shown> {
        self.keep(|| self.attribution.stop());
        let mut booked = self.booked.take();
        booked.sort();
        booked
    }

    fn keep(&self, step: impl Fn() -> Closed) {
        loop {
            let Closed { windows, is_all } = step();
            self.booked.borrow_mut().extend(windows.iter().flat_map(|window| self.booked(window)));
            if is_all {
                break;
            }
        }
    }

    fn booked(&self, window: &Window) -> Vec<Shown> {
        window.postings(0, usize::MAX).iter().map(|posting| self.shown(posting)).collect()
    }

    /// What is booked in open windows by now.
    pub fn booked_open(&self) -> Vec<Shown> {
        self.attribution.open_windows(0, 10_000).iter().flat_map(|window| self.booked(window)).collect()
    }

    fn shown(&self, posting: &Posting) -> Shown {
        let words = |number| self.attribution.dimensions().words(number);
        let steps: Vec<_> = posting
            .steps
            .iter()
            .map(|step| (step.id, step.at, step.first_at, step.kind, words(step.dimensions), step.repeats))
            .collect();
        let Posting { order, at, adjusted_at, action, before, after, truncated, revision, .. } = posting;
        format!("{:?}", (order, at, adjusted_at, action, steps, before, after, truncated, revision))
    }

    /// The credits of orders.
    pub fn credits(&self, orders: i64) -> Vec<Option<Shown>> {
        let credits = |order| {
            let order = self.attribution.seed().key(&integer_words(order)).hash;
            let credits = self.attribution.credits(order, || self.now.get())?;
            let flags = (credits.counts, credits.is_retracted, credits.is_final);
            // A final one has no words of its order.
            let posting = Posting { order: Box::default(), ..credits.posting };
            Some(format!("{flags:?} {}", self.shown(&posting)))
        };
        (0..orders).map(credits).collect()
    }

    pub fn frames(&self) -> Vec<Vec<u8>> {
        let mut export = self.attribution.frames(&names());
        std::iter::from_fn(|| export.next_frame(&self.attribution, &*self.atoms.borrow())).collect()
    }

    pub fn import(&self, bytes: &[u8]) -> Result<Imported, FrameError> {
        let settings = self.attribution.settings(&names());
        let (frame, atoms) = (Frame::read(bytes)?, &mut *self.atoms.borrow_mut());
        self.attribution.import_frame(&settings, &frame, atoms, || self.now.get())
    }

    pub fn import_all(&self, frames: &[Vec<u8>]) {
        for frame in frames {
            let imported = self.import(frame).expect("a frame");
            assert!(matches!(imported, Imported::Rows { overflow: 0, .. }), "{imported:?}");
        }
    }
}
