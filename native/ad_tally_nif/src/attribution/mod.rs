//! The functions of `AdTally.Attribution`.
//!
//! * `parts`: the parts of touches and conversions, decoded; `record`, `record_many`: one of them, and lists
//! * `orders`: credits, refunds and restatements; `users`: links, and users that are forgotten
//! * `close`: windows that are closed or read; `rows`: what is in one
//! * `report`, `paths`: what windows come to
//! * `in_store`, `stored`: an attribution that a store has, and its closed windows that are not delivered
//! * `info`: the attribution's numbers; `refusals`: some of them

mod close;
mod in_store;
mod info;
mod orders;
mod parts;
mod paths;
mod record;
mod record_many;
mod refusals;
mod report;
mod rows;
mod stored;
mod users;

use std::sync::Arc;

use ad_tally_core::attribution::{Attribution, Config, Counting, Dimensions, Model, Window};
use ad_tally_core::windows::WindowRef;
use rustler::{Atom, Decoder, Encoder, Env, Error, NifResult, Term};

use self::in_store::InStore;
pub use self::parts::{TouchParts, time, touch_id};
pub use self::paths::Paths;
use self::refusals::{Adjustments, Refusals};
pub use self::report::Report;
pub use self::users::Linking;
use crate::atoms;
use crate::decode::{BadArgument, keys};
use crate::owner::Owner;
use crate::resource::{self, resource};

/// An attribution, with the labels of its rows.
pub struct Table {
    /// Aligned to more than the VM aligns a resource to.
    pub(crate) attribution: Box<Attribution>,
    pub(crate) labels: Labels,
    /// How many dimensions a touch has.
    dimensions: usize,
    /// What was refused.
    touches: Refusals,
    conversions: Refusals,
    adjustments: Adjustments,
    pub(crate) owner: Owner,
    /// Where it is kept, if it is.
    in_store: Option<Box<InStore>>,
}

/// What stands in rows for the places and numbers in credits.
#[derive(Clone)]
pub struct Labels {
    pub(crate) kinds: Arc<[Atom]>,
    pub(crate) actions: Arc<[Atom]>,
    models: Arc<[Model]>,
    dimensions: Arc<Dimensions>,
}

/// A window of an attribution. It has all that its rows need, so that whoever holds one when the attribution ends does not hold
/// all users and their touches.
pub struct Period {
    window: WindowRef<Window>,
    labels: Labels,
}

resource!(Table, c"attribution", "an AdTally.Attribution", owner: owner);
resource!(Period, c"attribution_window", "a window of an AdTally.Attribution");

/// What is asked for of an attribution: windows, names, what is kept.
type Times = (u64, u64, Option<u64>);
type Names = (usize, Vec<(Atom, u64)>, Vec<(Atom, CountingTerm)>, Vec<ModelTerm>);
type Options = (bool, bool, usize, usize, usize, u64, usize);

#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_new<'a>(
    env: Env<'a>,
    times: Times,
    names: Names,
    options: Options,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    let dimensions = names.0;
    let (config, names) = config(times, names, options);
    let attribution = Attribution::new(&config, keys::seed(seed)).map_err(BadArgument::from)?;
    Ok(resource::make(env, table(attribution, dimensions, names, None)))
}

/// What it is to be, and the names of kinds and actions.
fn config(
    (window, lateness, max_ahead): Times,
    (_dimensions, kinds, actions, models): Names,
    (prevail, collapse, touches_per_user, users, orders, adjustable_for, max_keys): Options,
) -> (Config, [Vec<Atom>; 2]) {
    let (kinds, lookbacks): (Vec<Atom>, Vec<u64>) = kinds.into_iter().unzip();
    let (actions, countings): (Vec<Atom>, Vec<CountingTerm>) = actions.into_iter().unzip();
    let config = Config {
        window,
        lateness,
        max_ahead,
        lookbacks,
        prevail,
        collapse,
        models: models.into_iter().map(|model| model.0).collect(),
        actions: countings.into_iter().map(|counting| counting.0).collect(),
        touches_per_user,
        users,
        orders,
        adjustable_for,
        max_keys,
    };
    (config, [kinds, actions])
}

fn table(
    attribution: Attribution,
    dimensions: usize,
    [kinds, actions]: [Vec<Atom>; 2],
    in_store: Option<Box<InStore>>,
) -> Table {
    let labels = Labels {
        kinds: kinds.into(),
        actions: actions.into(),
        models: attribution.config().models.clone().into(),
        dimensions: attribution.dimensions().clone(),
    };
    Table {
        attribution: Box::new(attribution),
        labels,
        dimensions,
        touches: Refusals::default(),
        conversions: Refusals::default(),
        adjustments: Adjustments::default(),
        owner: Owner::nobody("AdTally.Attribution"),
        in_store,
    }
}

/// A model as Elixir names it.
#[derive(Clone, Copy)]
struct ModelTerm(Model);

impl<'a> Decoder<'a> for ModelTerm {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if let Ok((name, half_life)) = term.decode::<(Atom, u64)>()
            && name == atoms::time_decay()
        {
            return Ok(Self(Model::TimeDecay { half_life }));
        }
        let name: Atom = term.decode()?;
        let models = [Model::LastTouch, Model::FirstTouch, Model::Linear, Model::PositionBased];
        models.into_iter().find(|model| name_of(*model) == name).map(Self).ok_or(Error::BadArg)
    }
}

impl Encoder for ModelTerm {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self.0 {
            Model::TimeDecay { half_life } => (name_of(self.0), half_life).encode(env),
            model => name_of(model).to_term(env),
        }
    }
}

fn name_of(model: Model) -> Atom {
    match model {
        Model::LastTouch => atoms::last_touch(),
        Model::FirstTouch => atoms::first_touch(),
        Model::Linear => atoms::linear(),
        Model::PositionBased => atoms::position_based(),
        Model::TimeDecay { .. } => atoms::time_decay(),
    }
}

/// Which conversions of an action count, as Elixir names it.
struct CountingTerm(Counting);

impl<'a> Decoder<'a> for CountingTerm {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let name: Atom = term.decode()?;
        let names = [
            (atoms::every(), Counting::Every),
            (atoms::once_per_user(), Counting::OncePerUser),
            (atoms::once_per_touch(), Counting::OncePerTouch),
        ];
        names.into_iter().find(|(known, _)| *known == name).map(|(_, counting)| Self(counting)).ok_or(Error::BadArg)
    }
}
