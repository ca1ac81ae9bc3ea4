//! What is told to attributions, and what they answer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ad_tally_core::attribution::{
    Attribution, Change, Config, Conversion, Counting, DatedBy, Group, Model, OrderCredits, Outcome, PathQuery, Paths,
    Posting, Query, Report, Spend, Sums, Touch, Window,
};
use ad_tally_core::key::{Domain, integer_words};
use ad_tally_core::{HashedKey, Seed};

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
/// Monday, 1 June 2026.
pub const BEGIN: u64 = 1_780_272_000_000;
/// As many orders as there are in any test.
pub const ORDERS: i64 = 40;

pub fn config() -> Config {
    Config {
        window: MINUTE,
        lateness: 2 * MINUTE,
        max_ahead: None,
        // No touch of any test is too old for all conversions to come: those go when room is needed, sooner or later.
        lookbacks: vec![4 * HOUR, 3 * MINUTE],
        prevail: true,
        collapse: false,
        models: models().to_vec(),
        actions: vec![Counting::Every, Counting::OncePerUser, Counting::OncePerTouch],
        touches_per_user: 4,
        users: 1_000,
        orders: 1_000,
        adjustable_for: 24 * HOUR,
        max_keys: 100,
    }
}

pub fn models() -> [Model; 5] {
    [Model::LastTouch, Model::FirstTouch, Model::Linear, Model::PositionBased, Model::TimeDecay { half_life: MINUTE }]
}

/// What may be told.
#[derive(Debug, Clone, Copy)]
pub enum Fact {
    Touch {
        id: i64,
        user: u64,
        at: u64,
        kind: u8,
        campaign: i64,
    },
    Convert {
        order: i64,
        user: u64,
        at: u64,
        action: u8,
        value: i64,
    },
    Adjust {
        order: i64,
        change: Change,
        at: u64,
    },
    Link {
        alias: u64,
        user: u64,
    },
    Forget {
        user: u64,
    },
    /// Closes what has passed.
    Close,
    /// Has the oldest closed window be delivered.
    Deliver,
}

/// A user's hash, as good as random.
pub fn user(user: u64) -> u64 {
    Seed::new(1).hash(Domain::User, &[user])
}

pub fn order(attribution: &Attribution, order: i64) -> u64 {
    attribution.seed().key(&integer_words(order)).hash
}

pub fn touch(attribution: &Attribution, id: i64, by: u64, at: u64, kind: u8, campaign: i64, now: u64) -> Outcome {
    let mut words = integer_words(campaign).to_vec();
    // The header of a tuple of one.
    words[0] |= 1;
    let dimensions = HashedKey { hash: attribution.seed().key(&words).hash, words: &words };
    let touch = Touch { id, user: user(by), at, kind, dimensions, cost: 10 + id };
    attribution.touch(&touch, || now).expect("a time")
}

pub fn convert(attribution: &Attribution, of: i64, by: u64, at: u64, action: u8, value: i64, now: u64) -> Outcome {
    let words = integer_words(of);
    let order = attribution.seed().key(&words);
    let conversion = Conversion { order, user: user(by), at, action, value };
    attribution.convert(&conversion, || now).expect("a time")
}

/// Tells something by the events' time. What is closed by it is put to `closed`.
pub fn tell(attribution: &Attribution, fact: Fact, closed: &mut Vec<Closed>) {
    match fact {
        Fact::Touch { id, user, at, kind, campaign } => _ = touch(attribution, id, user, at, kind, campaign, 0),
        Fact::Convert { order, user, at, action, value } => {
            _ = convert(attribution, order, user, at, action, value, 0);
        }
        Fact::Adjust { order, change, at } => {
            let words = integer_words(order);
            _ = attribution.adjust(attribution.seed().key(&words), change, at, || 0).expect("a time");
        }
        Fact::Link { alias, user: of } => {
            if let Some(linking) = attribution.link(user(alias), user(of)) {
                assert!(!attribution.go_on(&linking, || true));
            }
        }
        Fact::Forget { user: by } => drop(attribution.forget(user(by))),
        Fact::Close => loop {
            let now = attribution.close(0);
            closed.extend(now.windows.iter().map(|window| Closed::of(attribution, window)));
            if now.is_all {
                break;
            }
        },
        Fact::Deliver => {
            closed.sort_by_key(|closed| closed.number);
            if !closed.is_empty() {
                closed.remove(0);
            }
        }
    }
}

/// What a closed window has, in an order that does not depend on that of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    pub number: u64,
    pub postings: Vec<Posting>,
    spend: BTreeMap<Option<Vec<u64>>, Vec<Spend>>,
}

impl Closed {
    /// The value of all that was booked.
    pub fn value(&self) -> i128 {
        let change = |posting: &Posting| i128::from(posting.after.value) - i128::from(posting.before.value);
        self.postings.iter().map(change).sum()
    }

    /// What was spent.
    pub fn cost(&self) -> i128 {
        self.spend.values().flatten().map(|spend| spend.cost).sum()
    }

    pub fn of(attribution: &Attribution, window: &Window) -> Self {
        let postings = window.postings(0, usize::MAX);
        let mut postings: Vec<Posting> = postings.iter().map(|of| with_campaigns(attribution, of)).collect();
        postings.sort_by(|one, other| key(one).cmp(&key(other)));
        let mut spend = BTreeMap::new();
        window.spend_rows().walk(|key, kinds| {
            spend.insert(Some(key.words().to_vec()), kinds.to_vec());
            ControlFlow::Continue(())
        });
        spend.insert(None, window.spend_overflow());
        Self { number: window.number, postings, spend }
    }
}

/// A posting whose touches have campaigns for the numbers of their dimensions: those depend on all that was ever told.
fn with_campaigns(attribution: &Attribution, posting: &Posting) -> Posting {
    let mut posting = posting.clone();
    for step in &mut posting.steps {
        let words = attribution.dimensions().words(step.dimensions);
        step.dimensions = words.map_or(u32::MAX, |words| words[1] as u32);
    }
    posting
}

fn key(posting: &Posting) -> (&[u64], Option<u64>, i64) {
    (&posting.order, posting.adjusted_at, posting.after.value)
}

fn credits(attribution: &Attribution, number: i64) -> Option<OrderCredits> {
    let credits = attribution.credits(order(attribution, number), || 0)?;
    let posting = with_campaigns(attribution, &credits.posting);
    Some(OrderCredits { posting, ..credits })
}

/// Whatever can be asked of an attribution whose windows are closed by the events' time.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    pub credits: Vec<Option<OrderCredits>>,
    reports: Vec<Vec<(Group, Sums)>>,
    paths: Vec<(Box<[u64]>, i128, i128, u64)>,
    users: usize,
    touches: usize,
    newest: u64,
}

impl Answers {
    /// Asserts that they are those of another one, and says which one is not.
    pub fn assert_are(&self, other: &Self, when: &str) {
        for (order, (one, other)) in self.credits.iter().zip(&other.credits).enumerate() {
            assert_eq!(one, other, "order {order} {when}");
        }
        self.reports.iter().zip(&other.reports).for_each(|(one, other)| assert_eq!(one, other, "a report {when}"));
        assert_eq!(self.paths, other.paths, "paths {when}");
        assert_eq!((self.users, self.touches, self.newest), (other.users, other.touches, other.newest), "{when}");
    }

    /// How often credits have changed depends on the order in which touches came.
    pub fn without_revisions(mut self) -> Self {
        self.credits.iter_mut().flatten().for_each(|credits| credits.posting.revision = 0);
        self
    }

    pub fn of(attribution: &Attribution) -> Self {
        let open = attribution.open_windows(0, usize::MAX);
        let mut reports = Vec::new();
        for model in models() {
            for dated_by in [DatedBy::Touch, DatedBy::Conversion] {
                let query =
                    Query { by: vec![0], by_kind: true, by_action: false, model, dated_by, from: 0, to: u64::MAX };
                let mut report = Report::new(query);
                open.iter().for_each(|window| report.read(attribution, window));
                let groups = report.into_groups().filter(|(_, sums)| *sums != Sums::default());
                let mut groups: Vec<(Group, Sums)> = groups.collect();
                groups.sort_by_key(|(group, _)| {
                    (group.dimensions.clone(), group.kind, group.action, group.is_unattributed)
                });
                reports.push(groups);
            }
        }
        let mut paths = Paths::new(PathQuery { by: vec![0], from: 0, to: u64::MAX });
        open.iter().for_each(|window| paths.read(attribution, window));
        while paths.read_users(attribution) {}
        let paths = paths.into_paths().map(|(words, led)| (words, led.conversions, led.value, led.none));
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        let info = attribution.info();
        Self {
            credits: (0..ORDERS).map(|number| credits(attribution, number)).collect(),
            reports,
            paths,
            users: info.users,
            touches: info.kept_touches,
            newest: info.newest,
        }
    }
}
