//! The last value that was read from behind a lock, for callers that must not wait for it.

use std::time::Duration;

use parking_lot::Mutex;

/// How long a thread waits that holds a scheduler of the VM: a tenth of the time that it may take.
const PATIENCE: Duration = Duration::from_micros(100);

/// A copy of a value, as of when it was read last.
pub struct LastSeen<T>(Mutex<Option<T>>);

impl<T: Copy> LastSeen<T> {
    /// It was not read yet.
    pub fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What is read of `locked`, or what was read last if others have that for long. Only the first time this waits for them.
    pub fn read<L>(&self, locked: &Mutex<L>, read: impl FnOnce(&L) -> T) -> T {
        let locked = match locked.try_lock_for(PATIENCE) {
            Some(locked) => locked,
            None => {
                let last = *self.0.lock();
                if let Some(last) = last {
                    return last;
                }
                locked.lock()
            }
        };
        let now = read(&locked);
        *self.0.lock() = Some(now);
        now
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

    #[test]
    fn the_first_one_waits_until_there_is_a_value() {
        let (numbers, seen) = (Mutex::new(1), LastSeen::new());
        std::thread::scope(|scope| {
            let mut locked = numbers.lock();
            let first = scope.spawn(|| seen.read(&numbers, |number| *number));
            std::thread::sleep(10 * PATIENCE);
            *locked = 2;
            drop(locked);
            assert_eq!(first.join().expect("no fault"), 2);
        });
    }
}
