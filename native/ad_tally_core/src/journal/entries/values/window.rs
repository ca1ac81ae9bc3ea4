//! A window, of whose states the furthest one stays.

use crate::journal::WindowState;

/// A window's state, in the order of which the furthest one stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::journal::entries) struct OwnWindow {
    pub(in crate::journal::entries) instance: u64,
    pub(in crate::journal::entries) state: OwnState,
    pub(in crate::journal::entries) number: u64,
    pub(in crate::journal::entries) config: u32,
}

/// A [`WindowState`] with a text of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::journal::entries) enum OwnState {
    #[default]
    Open,
    Closed {
        sequence: u64,
        partial: bool,
        node: Box<str>,
        closed_at: u64,
    },
    Gone,
}

impl OwnWindow {
    pub(in crate::journal::entries) fn new(instance: u64, number: u64, config: u32, state: WindowState<'_>) -> Self {
        Self { instance, state: OwnState::of(state), number, config }
    }
}

impl OwnState {
    fn of(state: WindowState<'_>) -> Self {
        match state {
            WindowState::Open => Self::Open,
            WindowState::Closed { sequence, partial, node, closed_at } => {
                Self::Closed { sequence, partial, node: node.into(), closed_at }
            }
            WindowState::Gone => Self::Gone,
        }
    }

    pub(in crate::journal::entries) fn state(&self) -> WindowState<'_> {
        match self {
            Self::Open => WindowState::Open,
            Self::Closed { sequence, partial, node, closed_at } => {
                WindowState::Closed { sequence: *sequence, partial: *partial, node, closed_at: *closed_at }
            }
            Self::Gone => WindowState::Gone,
        }
    }
}
