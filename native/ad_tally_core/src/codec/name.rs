//! The names of settings: which a kind of table has, and which of them another table must have the same value of.

use super::Kind;

/// The name of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are the tables' options")]
pub enum Name {
    Seed = 1,
    Metrics = 2,
    MaxKeys = 3,
    Precision = 4,
    SecretCheck = 5,
    Window = 6,
    Capacity = 7,
    FingerprintBits = 8,
    MaxCapacity = 9,
    Tiers = 10,
    Lifetime = 11,
    MaxAhead = 12,
    Newest = 13,
    Buckets = 14,
    Places = 15,
    Users = 16,
    TouchesPerUser = 17,
    Touches = 18,
    Prevail = 19,
    Collapse = 20,
    Models = 21,
    Conversions = 22,
    Dimensions = 23,
    Orders = 24,
    AdjustableFor = 25,
    Node = 26,
    Incarnation = 27,
    After = 28,
    Version = 29,
    Coordinator = 30,
    By = 31,
}

impl Name {
    /// The name, as an option of a table has it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Metrics => "metrics",
            Self::MaxKeys => "max_keys",
            Self::Precision => "precision",
            Self::SecretCheck => "secret",
            Self::Window => "window",
            Self::Capacity => "capacity",
            Self::FingerprintBits => "fingerprint_bits",
            Self::MaxCapacity => "max_capacity",
            Self::Tiers => "tiers",
            Self::Lifetime => "lifetime",
            Self::MaxAhead => "max_ahead",
            Self::Newest => "newest",
            Self::Buckets => "buckets",
            Self::Places => "places",
            Self::Users => "users",
            Self::TouchesPerUser => "touches_per_user",
            Self::Touches => "touches",
            Self::Prevail => "prevail",
            Self::Collapse => "collapse",
            Self::Models => "models",
            Self::Conversions => "conversions",
            Self::Dimensions => "dimensions",
            Self::Orders => "orders",
            Self::AdjustableFor => "adjustable_for",
            Self::Node => "node",
            Self::Incarnation => "incarnation",
            Self::After => "after",
            Self::Version => "version of plans",
            Self::Coordinator => "coordinator",
            Self::By => "by",
        }
    }

    /// Whether only a table of the same value takes the frame. Sizes may differ. The seed of keys does not matter to counters and
    /// reach, whose frames have the keys themselves.
    pub(super) fn must_be_equal(self, kind: Kind) -> bool {
        match self {
            Self::MaxKeys
            | Self::Capacity
            | Self::MaxCapacity
            | Self::MaxAhead
            | Self::Newest
            | Self::Places
            | Self::Orders
            | Self::AdjustableFor
            | Self::Node
            | Self::Incarnation
            | Self::After
            | Self::Version
            | Self::Coordinator => false,
            Self::Seed => !matches!(kind, Kind::Counters | Kind::Reach),
            Self::Buckets => kind == Kind::Attribution,
            _ => true,
        }
    }
}

impl Kind {
    /// The settings of a table of this kind, in the order in which they are written.
    pub(super) fn names(self) -> &'static [Name] {
        match self {
            Self::Counters => &[Name::Seed, Name::MaxKeys, Name::Metrics],
            Self::Reach => &[Name::Seed, Name::MaxKeys, Name::Precision, Name::SecretCheck],
            Self::Dedupe => {
                &[Name::Seed, Name::Capacity, Name::Window, Name::FingerprintBits, Name::Buckets, Name::Newest]
            }
            Self::FrequencyCap => &[
                Name::Seed,
                Name::Capacity,
                Name::MaxCapacity,
                Name::Tiers,
                Name::Lifetime,
                Name::FingerprintBits,
                Name::MaxAhead,
                Name::Places,
                Name::Newest,
            ],
            Self::Attribution => &[
                Name::Seed,
                Name::Dimensions,
                Name::Touches,
                Name::Prevail,
                Name::Collapse,
                Name::Models,
                Name::Conversions,
                Name::TouchesPerUser,
                Name::Users,
                Name::Buckets,
                Name::Orders,
                Name::AdjustableFor,
                Name::MaxKeys,
                Name::Newest,
            ],
            Self::PacerReports => &[Name::Seed, Name::Node, Name::Incarnation, Name::Coordinator, Name::Version],
            Self::PacerGrants => &[Name::Seed, Name::Node, Name::Incarnation],
            Self::PacerPlans => &[Name::Seed, Name::Coordinator, Name::After, Name::Version],
            Self::MeterReport => &[Name::Metrics, Name::By, Name::Precision, Name::SecretCheck],
        }
    }
}
