//! Times, and the clock of a machine, which is wrong.

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// A midnight in Greenwich.
pub const MIDNIGHT: u64 = 1_780_272_000_000;
/// A run begins so long before midnight.
const BEFORE: u64 = 2 * HOUR;
pub const BEGIN: u64 = MIDNIGHT - BEFORE;

/// A clock that is off, goes too fast or too slow, and may be set.
pub struct Clock {
    /// How far it is off.
    offset: i64,
    /// How many millionths it is too fast.
    drift: i64,
    /// The greatest time that it has shown.
    newest: u64,
}

impl Clock {
    pub fn new(offset: i64, drift: i64) -> Self {
        Self { offset, drift, newest: 0 }
    }

    /// What it shows.
    pub fn show(&mut self, at: u64) -> u64 {
        let drift = (at - BEGIN) as i64 * self.drift / 1_000_000;
        let shown = at.saturating_add_signed(self.offset + drift);
        self.newest = self.newest.max(shown);
        shown
    }

    /// The greatest time that it has shown.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Sets it, by so much.
    pub fn jump(&mut self, by: i64) {
        self.offset += by;
    }
}
