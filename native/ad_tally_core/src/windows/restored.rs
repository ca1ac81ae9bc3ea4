//! Windows while their entries are taken back after a restart.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::RwLock;

use super::undelivered::Numbered;
use crate::error::TIMES;
use crate::journal::WindowState;

/// Windows that are taken back, each as a `W` that threads may share. What a window is follows from the shape `S` of its
/// configuration.
pub(crate) struct RestoredWindows<S, W> {
    /// By the number of a configuration.
    shapes: HashMap<u32, S>,
    /// By instance. `None` for one that is gone.
    windows: RwLock<HashMap<u64, Option<Restored<W>>>>,
}

/// A window that is taken back.
pub(crate) struct Restored<W> {
    /// What it has.
    pub(crate) window: W,
    /// The number of its configuration.
    pub(crate) config: u32,
    /// Of one that is closed and has a number.
    pub(crate) numbered: Option<Numbered>,
}

/// Whether a time can be in the window of that number, of windows of so many milliseconds: so its begin and end are times as well.
pub(crate) fn check_number(instance: u64, number: u64, length: u64) -> Result<(), String> {
    let last = (TIMES - 1) / length;
    if number <= last {
        return Ok(());
    }
    Err(format!("window {instance} has number {number}, and {last} is the last one of windows of {length} ms"))
}

impl<S, W> RestoredWindows<S, W> {
    /// None yet, of configurations with these numbers.
    pub(crate) fn new(shapes: impl IntoIterator<Item = (u32, S)>) -> Self {
        Self { shapes: shapes.into_iter().collect(), windows: RwLock::default() }
    }

    /// Takes an entry of a window back. The first one makes the window, by the shape of its configuration.
    pub(crate) fn restore(
        &self,
        instance: u64,
        config: u32,
        state: WindowState<'_>,
        make: impl FnOnce(&S) -> Result<W, String>,
    ) -> Result<(), String> {
        let mut windows = self.windows.write();
        if state == WindowState::Gone {
            windows.insert(instance, None);
            return Ok(());
        }
        let restored = match windows.entry(instance) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(none) => {
                let shape = self.shapes.get(&config);
                let window =
                    make(shape.ok_or_else(|| {
                        format!("window {instance} is of configuration {config}, which is not known")
                    })?)?;
                none.insert(Some(Restored { window, config, numbered: None }))
            }
        };
        if let (Some(restored), WindowState::Closed { sequence, partial, node, closed_at }) = (restored, state) {
            restored.numbered = Some(Numbered { sequence, partial, node: node.into(), closed_at });
        }
        Ok(())
    }

    /// Does something with a window that is not gone.
    pub(crate) fn with(&self, instance: u64, act: impl FnOnce(&W) -> Result<(), String>) -> Result<(), String> {
        match self.windows.read().get(&instance) {
            Some(Some(restored)) => act(&restored.window),
            Some(None) => Ok(()),
            None => Err(format!("window {instance} has entries, but none of its own")),
        }
    }

    /// Those that are not gone, from old to new, with their instances.
    pub(crate) fn into_sorted(self) -> Vec<(u64, Restored<W>)> {
        let windows = self.windows.into_inner().into_iter();
        let mut windows: Vec<_> = windows.filter_map(|(instance, restored)| Some((instance, restored?))).collect();
        windows.sort_unstable_by_key(|(instance, _)| *instance);
        windows
    }
}
