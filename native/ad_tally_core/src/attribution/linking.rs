//! What is left to be done of two users that are one.

use std::vec;

use parking_lot::{Mutex, MutexGuard};

use super::types::Step;

/// Two users whose touches are united already, and whose provisional conversions are credited to the touches of both one after
/// the other: of 255 touches and as many conversions that takes milliseconds.
///
/// Whoever has begun it does it, in steps. What nobody has done when windows are closed, because its process was killed, is
/// done then, before conversions become final.
pub struct Linking(Mutex<Work>);

pub(super) struct Work {
    /// Who has become an alias, and whose.
    pub(super) users: (Option<u64>, u64),
    /// The touches of both.
    pub(super) steps: Vec<Step>,
    /// When the newest one was that is missing, 0 if none is.
    pub(super) evicted: u64,
    /// Orders that are still to be done, and of those whether touches to come are not told of them any more.
    pub(super) orders: vec::IntoIter<(u64, bool)>,
}

impl Linking {
    /// With all orders left.
    pub(super) fn new(users: (Option<u64>, u64), steps: Vec<Step>, evicted: u64, orders: Vec<(u64, bool)>) -> Self {
        Self(Mutex::new(Work { users, steps, evicted, orders: orders.into_iter() }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Work> {
        self.0.lock()
    }
}
