//! The numbers of the overflow buckets that nobody uses.

use crate::sync::Mutex;

/// Numbers below a most, each of which is one bucket's at a time.
pub(crate) struct FreeList(Mutex<Numbers>);

struct Numbers {
    free: Vec<u32>,
    used: u32,
    most: u32,
}

impl FreeList {
    /// None of which is taken.
    pub(crate) fn new(most: u32) -> Self {
        Self(Mutex::new(Numbers { free: Vec::new(), used: 0, most }))
    }

    /// One that nobody has, if there is any.
    pub(crate) fn take(&self) -> Option<u32> {
        let mut numbers = self.0.lock();
        if let Some(number) = numbers.free.pop() {
            return Some(number);
        }
        let number = numbers.used;
        if number == numbers.most {
            return None;
        }
        numbers.used += 1;
        Some(number)
    }

    /// Takes some back. Their buckets are empty.
    pub(crate) fn give_back(&self, numbers: impl IntoIterator<Item = u32>) {
        self.0.lock().free.extend(numbers);
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        let numbers = self.0.lock();
        numbers.used as usize - numbers.free.len()
    }

    /// How many were ever taken: their buckets are in memory.
    pub(crate) fn touched(&self) -> usize {
        self.0.lock().used as usize
    }
}
