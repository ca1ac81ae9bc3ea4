//! Runs: each has users of its own, and says what was estimated at every size.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// User `index` of a run: no other run has it. Consecutive, as ids from a sequence are.
pub fn user(run: u64, index: u64) -> u64 {
    run << 32 | index
}

/// Shows the users of a run to a subject, and reads it at every size. Sizes ascend.
pub fn pass<S, R>(
    run: u64,
    sizes: &[u64],
    subject: &mut S,
    show: impl Fn(&mut S, u64),
    read: impl Fn(&mut S, u64) -> R,
) -> Vec<R> {
    let mut shown = 0;
    let mut read_at = |size: u64| {
        (shown..size).for_each(|index| show(subject, user(run, index)));
        shown = size;
        read(subject, size)
    };
    sizes.iter().map(|size| read_at(*size)).collect()
}

/// What so many runs give, in their order, worked out by as many threads as there are cores. `done` is told how many
/// are finished.
pub fn in_parallel<T: Send>(runs: u64, done: &(impl Fn(u64) + Sync), run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (next, finished) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut results = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= runs {
                return results;
            }
            results.push((number, run(number)));
            done(finished.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut results: Vec<(u64, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a run does not panic")).collect()
    });
    // A sum of floats depends on the order, and threads have none.
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Relative errors over all runs: 0.01 is one per cent of the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    pub runs: usize,
    pub mean: f64,
    /// The root of the mean of their squares.
    pub rmse: f64,
}

impl Errors {
    pub fn of(truth: u64, estimates: impl IntoIterator<Item = f64>) -> Self {
        let errors: Vec<f64> = estimates.into_iter().map(|estimate| estimate / truth as f64 - 1.0).collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / errors.len() as f64;
        Self {
            runs: errors.len(),
            mean: mean(&mut errors.iter().copied()),
            rmse: mean(&mut errors.iter().map(|error| error * error)).sqrt(),
        }
    }
}

/// How many more or fewer than `expected` there may be of something by chance: four standard deviations of a number
/// whose variance is its mean, and two, so that it holds for what is so rare that most runs have none.
pub fn slack(expected: f64) -> f64 {
    4.0 * expected.sqrt() + 2.0
}

/// Whether something that has this probability was so in as large a share of the runs, but for chance.
pub fn as_often(share: f64, probability: f64, runs: usize) -> bool {
    let (expected, not) = ((1.0 - probability) * runs as f64, (1.0 - share) * runs as f64);
    not <= expected + slack(expected)
}

/// The share of runs in which something is so.
pub fn share(runs: impl IntoIterator<Item = bool>) -> f64 {
    let (mut all, mut so) = (0_u32, 0_u32);
    for run in runs {
        all += 1;
        so += u32::from(run);
    }
    f64::from(so) / f64::from(all)
}
