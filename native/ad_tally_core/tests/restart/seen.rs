//! What can be seen of a meter, to be compared.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ad_tally_core::Meter;
use ad_tally_core::meter::{Numbered, Window};

/// All that is in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub number: u64,
    pub rows: BTreeMap<String, Vec<i128>>,
    pub overflow: Vec<i128>,
    /// The bytes of each sketch.
    pub sketches: BTreeMap<String, Vec<u8>>,
    pub sketch_overflow: Option<Vec<u8>>,
}

impl Contents {
    pub fn of(window: &Window) -> Self {
        let (mut rows, mut sketches) = (BTreeMap::new(), BTreeMap::new());
        window.counters().walk(|key, totals| {
            rows.insert(format!("{:?}", key.elements().collect::<Vec<_>>()), totals.clone());
            ControlFlow::Continue(())
        });
        if let Some(mut reach) = window.reach() {
            reach.walk(|key, sketch| {
                sketches.insert(format!("{:?}", key.elements().collect::<Vec<_>>()), sketch.to_bytes());
                ControlFlow::Continue(())
            });
        }
        let sketch_overflow = window.reach_overflow().map(|sketch| sketch.to_bytes());
        Self { number: window.number, rows, overflow: window.overflow(), sketches, sketch_overflow }
    }
}

/// A meter's windows that are not gone, by instance, and the greatest number that one was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    pub windows: BTreeMap<u64, (Contents, Option<Numbered>)>,
    pub sequence: u64,
}

impl Seen {
    /// What there is now. Windows without events are nothing.
    pub fn of(meter: &Meter) -> Self {
        let open = meter.open_windows(0, usize::MAX);
        let open = open.iter().filter(|window| !window.is_empty());
        let open = open.map(|window| (window.instance, (Contents::of(window), None)));
        let undelivered = meter.undelivered().into_iter();
        let undelivered = undelivered.map(|it| (it.window.instance, (Contents::of(&it.window), it.numbered)));
        Self { windows: open.chain(undelivered).collect(), sequence: meter.sequence() }
    }
}
