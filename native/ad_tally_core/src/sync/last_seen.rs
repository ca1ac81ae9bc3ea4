//! Numbers that lie behind a lock, for who may not wait for it.

use std::time::Duration;

use parking_lot::Mutex;

/// How long a thread waits that holds a scheduler of the VM: a tenth of the time that it may take.
const PATIENCE: Duration = Duration::from_micros(100);

/// A copy of some numbers, as of when they were read last.
pub struct LastSeen<T>(Mutex<T>);

impl<T: Copy + Default> LastSeen<T> {
    /// None were read yet.
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// What is read of `locked`. If others have that for longer than this may wait, it is what was read last.
    pub fn read<L>(&self, locked: &Mutex<L>, read: impl FnOnce(&L) -> T) -> T {
        let Some(locked) = locked.try_lock_for(PATIENCE) else { return *self.0.lock() };
        let seen = read(&locked);
        *self.0.lock() = seen;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_it_locked_has_what_was_read_last() {
        let (numbers, seen) = (Mutex::new(1), LastSeen::new());
        assert_eq!(seen.read(&numbers, |number| *number), 1);
        let mut locked = numbers.lock();
        *locked = 2;
        assert_eq!(seen.read(&numbers, |number| *number), 1);
        drop(locked);
        assert_eq!(seen.read(&numbers, |number| *number), 2);
    }
}
