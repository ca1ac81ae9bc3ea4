//! What a meter is to be.

use crate::dedupe;
use crate::sketch::Secret;

/// What a meter is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Milliseconds of a window.
    pub window: u64,
    /// Milliseconds that a window stays open past its end.
    pub lateness: u64,
    /// How many milliseconds past the system's time an event may be; `None` where time is that of the events.
    pub max_ahead: Option<u64>,
    /// How many metrics a key has.
    pub metrics: usize,
    /// The most keys of a window.
    pub max_keys: usize,
    /// The most windows that are open at a time.
    pub max_open_windows: usize,
    /// Sketches of users, if wanted.
    pub reach: Option<ReachConfig>,
    /// Ids of events, if wanted.
    pub dedupe: Option<dedupe::Config>,
}

/// What windows of a configuration are.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Milliseconds of a window.
    pub window: u64,
    /// How many metrics a key has.
    pub metrics: usize,
    /// The most keys of a window.
    pub max_keys: usize,
    /// Sketches of users, if any.
    pub reach: Option<ReachConfig>,
}

impl From<&Config> for Shape {
    fn from(config: &Config) -> Self {
        let Config { window, metrics, max_keys, .. } = *config;
        Self { window, metrics, max_keys, reach: config.reach.clone() }
    }
}

/// What a meter's sketches are to be.
#[derive(Debug, Clone)]
pub struct ReachConfig {
    /// Which elements of an event's key make the key of its sketch, a tuple. All keys have them.
    pub by: Vec<usize>,
    /// Their precision.
    pub precision: u8,
    /// The most keys of a window that have one.
    pub max_keys: usize,
    /// What users are hidden under.
    pub secret: Option<Secret>,
}
