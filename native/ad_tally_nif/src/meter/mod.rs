//! The functions of `AdTally.Meter`.
//!
//! * `event`: an event's parts, decoded
//! * `record`, `record_many`: an event, and a list of them; `touch`: what an attribution is told of them
//! * `close`: windows that are closed or read; `in_store`, `stored`: a meter that a store has, and its closed windows that are not delivered
//! * `report`: rows of windows, grouped
//! * `info`: the meter's numbers; `top`: totals of the largest values of a dimension

mod close;
mod event;
mod in_store;
mod info;
mod record;
mod record_many;
mod report;
mod stored;
mod top;
mod touch;

use std::sync::Arc;

use ad_tally_core::meter::{Config, ReachConfig, WindowRef};
use ad_tally_core::{Meter, Secret, dedupe};
use parking_lot::Mutex;
use rustler::{Atom, Binary, Env, NifResult, Term};

use self::in_store::InStore;
pub use self::report::Report;
use crate::decode::{BadArgument, keys};
use crate::owner::Owner;
use crate::resource::{self, resource};

/// A meter, with the names of its metrics.
pub struct Table {
    meter: Meter,
    metrics: Arc<[Atom]>,
    /// Where it is kept, if it is.
    in_store: Option<Box<InStore>>,
    /// How many dimensions an event has.
    dimensions: usize,
    /// What of events is their touches'.
    touches: Option<TouchPlaces>,
    /// The last event that was refused.
    refused: Mutex<Option<Refused>>,
    pub(crate) owner: Owner,
}

/// What of an event is its touch's.
struct TouchPlaces {
    /// Where among the event's dimensions those of the attribution are.
    dimensions: Box<[usize]>,
    /// Which metric is the cost, if any.
    cost: Option<usize>,
}

/// Why an event was refused.
struct Refused {
    /// Its time, where that is what was wrong and is an integer.
    at: Option<i64>,
    reason: String,
}

/// A window of a meter.
pub struct Period {
    window: WindowRef,
    metrics: Arc<[Atom]>,
}

resource!(Table, c"meter", "an AdTally.Meter", owner: owner);
resource!(Period, c"meter_window", "a window of an AdTally.Meter");

/// What is asked for of a meter: windows, names, sketches, ids, touches.
type Times = (u64, u64, Option<u64>, usize);
type Names = (Vec<Atom>, usize, usize);
type Sketches<'a> = Option<(Vec<usize>, u8, usize, Option<Binary<'a>>)>;
type Ids = Option<(u64, usize, bool)>;
/// Where among its dimensions those of an attribution are, and which metric is the cost of a touch.
type Touches = Option<(Vec<usize>, Option<usize>)>;

#[rustler::nif(schedule = "DirtyCpu")]
fn meter_new<'a>(
    env: Env<'a>,
    times: Times,
    names: Names,
    sketches: Sketches<'a>,
    ids: Ids,
    touches: Touches,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    let config = config(times, &names, sketches, ids);
    let meter = Meter::with_seed(&config, keys::seed(seed)).map_err(BadArgument::from)?;
    Ok(resource::make(env, table(meter, names.0, names.1, touches, None)))
}

fn config(
    (window, lateness, max_ahead, max_open_windows): Times,
    (metrics, _dimensions, max_keys): &Names,
    sketches: Sketches<'_>,
    ids: Ids,
) -> Config {
    let dedupe = ids.map(|(window, capacity, wide)| dedupe::Config { window, capacity, wide });
    let (metrics, max_keys) = (metrics.len(), *max_keys);
    let reach = sketches.map(reach);
    Config { window, lateness, max_ahead, metrics, max_keys, max_open_windows, reach, dedupe }
}

fn reach((by, precision, max_keys, secret): (Vec<usize>, u8, usize, Option<Binary<'_>>)) -> ReachConfig {
    let secret = secret.and_then(|secret| <[u8; 16]>::try_from(secret.as_slice()).ok()).map(Secret::new);
    ReachConfig { by, precision, max_keys, secret }
}

fn table(
    meter: Meter,
    metrics: Vec<Atom>,
    dimensions: usize,
    touches: Touches,
    in_store: Option<Box<InStore>>,
) -> Table {
    let touches = touches.map(|(places, cost)| TouchPlaces { dimensions: places.into(), cost });
    let owner = Owner::nobody("AdTally.Meter");
    Table { meter, metrics: metrics.into(), in_store, dimensions, touches, refused: Mutex::default(), owner }
}
