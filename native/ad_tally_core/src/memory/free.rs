//! Freeing on a thread of its own.
//!
//! Whoever drops the last reference to something large (a garbage collection, or a process that ends, on a scheduler that others
//! wait for) has not asked for that: a million rows take 10 ms, gigabytes a tenth of a second, and 40,000 windows that a meter
//! kept all of a second. To leave something here takes some 50 ns, and now and then as long as a thread takes to start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use parking_lot::Mutex;

struct Waiting {
    /// What is still to be dropped.
    garbage: Vec<Box<dyn Send>>,
    /// Whether there is a thread that takes it from here.
    is_freed: bool,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { garbage: Vec::new(), is_freed: false });

/// Has something dropped by another thread. There is one while anything waits for it, and none otherwise: most programs free
/// something large once in a while, and some never.
pub(crate) fn later(garbage: impl Send + 'static) {
    leave(Box::new(garbage));
}

fn leave(garbage: Box<dyn Send>) {
    let mut waiting = WAITING.lock();
    waiting.garbage.push(garbage);
    if !waiting.is_freed {
        waiting.is_freed = thread::Builder::new().name("ad_tally free".into()).spawn(free_all).is_ok();
        if !waiting.is_freed {
            // Without a thread to be had it is dropped here.
            let garbage = std::mem::take(&mut waiting.garbage);
            drop(waiting);
            drop(garbage);
        }
    }
}

fn free_all() {
    loop {
        let garbage = {
            let mut waiting = WAITING.lock();
            if waiting.garbage.is_empty() {
                waiting.is_freed = false;
                return;
            }
            std::mem::take(&mut waiting.garbage)
        };
        for some in garbage {
            // If that panics all others are still to be dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(some)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    struct Told(mpsc::Sender<ThreadId>, bool);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).expect("somebody listens");
            assert!(self.1, "on request");
        }
    }

    #[test]
    fn all_is_dropped_by_another_thread_once() {
        let (sender, receiver) = mpsc::channel();
        for round in 0..3 {
            (0..1_000).for_each(|number| later(Told(sender.clone(), number != 7)));
            for _ in 0..1_000 {
                assert_ne!(receiver.recv().expect("a thread that drops it"), thread::current().id(), "{round}");
            }
        }
        drop(sender);
        assert!(receiver.recv().is_err(), "nothing is dropped twice");
    }
}
