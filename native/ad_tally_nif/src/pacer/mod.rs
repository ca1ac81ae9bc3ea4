//! The functions of `AdTally.Pacer`.
//!
//! * `arguments`: amounts, times to live, reservations
//! * `reserve`: what is called for every request
//! * `plan`: what a campaign is to spend; `edit`: plans that come and go
//! * `rounds`: what this node reports to coordinators and is granted, and what it grants as one
//! * `status`: what is told of campaigns and of the node

mod arguments;
mod edit;
mod plan;
mod reserve;
mod rounds;
mod status;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use ad_tally_core::Seed;
use ad_tally_core::journal::Fold;
use ad_tally_core::key::atom_hash;
use ad_tally_core::pacer::ledger::{self, Lease, Ledger};
use ad_tally_core::pacer::message::NodeRef;
use ad_tally_core::pacer::node::{self, Node};
use ad_tally_core::pacer::{Pacer, Restoring, node_of};
use parking_lot::Mutex;
use rustler::{Atom, Env, LocalPid, NifResult, Term};

pub use self::arguments::{MaxPrice, Reservation, Ttl};
pub use self::reserve::{error, released, reservation};
pub use self::rounds::NotedMoney;
use crate::atoms;
use crate::clock;
use crate::decode::{
    BadArgument, Raw, bad_argument, interner,
    keys::{self, Request},
};
use crate::messages;
use crate::owner::Owner;
use crate::resource::{self, resource};
use crate::store::{Durable, Given, Load, Place, PlaceTerm, Refusal, Stored, answer, wait_for_sync};

/// A pacer on this node.
pub struct Table {
    pub(crate) core: Pacer,
    nodes: Vec<Member>,
    /// Which of them this one is.
    own: usize,
    /// The number that tells this node from what it was before a start without a store.
    incarnation: u64,
    /// The number that tells the versions of plans of this start from those of others, without a store.
    start: u64,
    /// With a clock of its own, what time that is, 0 before it was told.
    manual: Option<AtomicU64>,
    wake: Arc<Wake>,
    /// Whether a node with a store has begun, see `begin`.
    has_begun: AtomicBool,
    owner: Owner,
    /// Where it is kept, if it is.
    stored: Option<Box<Stored>>,
}

resource!(Table, c"pacer", "an AdTally.Pacer", owner: owner);

/// A node of a pacer.
struct Member {
    atom: Atom,
    /// What it is known by: the hash of its name, or its store's epoch.
    name: u64,
    /// Which plans of it this node has: of which start of it, and up to which version.
    plans: Mutex<(u64, u32)>,
    /// Up to which version this start has sent it plans.
    sent: AtomicU32,
}

/// Whom to tell that a budget has no money here.
#[derive(Default)]
struct Wake {
    server: Mutex<Option<LocalPid>>,
    /// Whether it was told, and has not had a round since.
    is_told: AtomicBool,
}

impl Wake {
    fn wake(&self) {
        if !self.is_told.load(Relaxed)
            && !self.is_told.swap(true, Relaxed)
            && let Some(server) = *self.server.lock()
        {
            messages::send(server, |env| atoms::ad_tally_pacer_wake().to_term(env));
        }
    }
}

/// What a pacer is made with: nodes and which of them is this one; whether its clock is its own, and milliseconds between ticks; the
/// most campaigns and reservations, and how far ahead of the clock events may be; its seed.
type Options = ((Vec<Atom>, usize), (bool, u64), (usize, usize, u64), u64);

#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_new<'a>(env: Env<'a>, options: Options) -> NifResult<Term<'a>> {
    let seed = Seed::new(options.3);
    Ok(resource::make(env, Table::new(env, options, seed, None, None)?))
}

/// The pacer that is a part of a store: that of a process which has crashed, or one that is made.
#[rustler::nif(schedule = "DirtyIo")]
fn pacer_new_in<'a>(env: Env<'a>, place: PlaceTerm<'a>, options: Options) -> NifResult<Term<'a>> {
    let seed = Some(options.3);
    Place::read(place)?.table(env, seed, |Given { seed, stored, epoch, .. }| {
        Table::new(env, options, seed, Some(Box::new(stored)), Some(epoch))
    })
}

/// Has a pacer with a store begin: it writes that it has, which is in the store then. To be called before it is used, also where nothing
/// is stored of it. `ok`, or why not.
#[rustler::nif(schedule = "DirtyIo")]
fn pacer_begin<'a>(env: Env<'a>, pacer: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let begun = match &pacer.stored {
        Some(stored) => pacer.begin(stored, || pacer.core.restoring()).map(drop),
        None => Ok(()),
    };
    Ok(answer(env, begun.map(|()| atoms::ok())))
}

/// Has the calling process told when a budget has no money here.
#[rustler::nif]
fn pacer_wake<'a>(env: Env<'a>, pacer: Term<'a>) -> NifResult<Atom> {
    let pacer: &Table = resource::expect(pacer)?;
    *pacer.wake.server.lock() = Some(env.pid());
    Ok(atoms::ok())
}

impl Table {
    pub(crate) fn seed(&self) -> &Seed {
        self.core.node.seed()
    }

    #[inline(always)]
    pub(crate) fn node(&self) -> &Node {
        &self.core.node
    }

    fn ledger(&self) -> &Ledger {
        &self.core.ledger
    }

    /// The hash of a request.
    #[inline(always)]
    pub(crate) fn request<'a>(&self, env: Env<'a>, request: Raw<'a>) -> Result<u64, BadArgument> {
        keys::hash::<Request>(env, self.seed(), request)
    }

    /// What time it is.
    pub(crate) fn now(&self) -> u64 {
        self.manual.as_ref().map_or_else(clock::now, |time| time.load(Relaxed))
    }

    /// What time it is where an event is of that time: with a clock of its own no event is ahead of it.
    #[inline(always)]
    pub(crate) fn now_at(&self, at: u64) -> u64 {
        self.manual.as_ref().map_or_else(clock::now, |time| time.load(Relaxed).max(at))
    }

    /// The node that coordinates the budget of a campaign: the first one by a hash of both.
    fn coordinator(&self, campaign: u64) -> usize {
        if self.nodes.len() == 1 {
            return 0;
        }
        let weight = |member: &Member| self.seed().pair(campaign, member.name);
        (0..self.nodes.len()).max_by_key(|at| weight(&self.nodes[*at])).unwrap_or(0)
    }

    /// The node that a reservation is of.
    pub(crate) fn node_of(&self, node: u64) -> Option<Atom> {
        self.nodes.iter().find(|member| node_of(member.name) == node).map(|member| member.atom)
    }

    fn member(&self, node: Atom) -> Result<&Member, BadArgument> {
        let found = self.nodes.iter().find(|member| member.atom == node);
        found.ok_or_else(|| bad_argument::refused(String::from("expected a node of this pacer")))
    }

    /// This node, as coordinators know it.
    fn own_ref(&self) -> NodeRef {
        NodeRef { name: self.nodes[self.own].name, incarnation: self.incarnation }
    }

    /// `epoch` is that of the part, which no other part has.
    fn new(
        env: Env<'_>,
        options: Options,
        seed: Seed,
        stored: Option<Box<Stored>>,
        epoch: Option<u64>,
    ) -> Result<Self, BadArgument> {
        let ((nodes, own), (is_manual, tick), (max_campaigns, max_reservations, max_ahead), _seed) = options;
        // A node alone with a store is known by that, whatever its name is at a start.
        let alone = epoch.filter(|_| nodes.len() == 1);
        let member = |atom: Atom| {
            let name = alone.unwrap_or_else(|| atom_hash(&interner::text(atom.to_term(env))));
            Member { atom, name, plans: Mutex::default(), sent: AtomicU32::default() }
        };
        let nodes: Vec<Member> = nodes.into_iter().map(member).collect();
        let config =
            node::Config { name: nodes[own].name, max_campaigns, max_reservations, max_ahead, ..Default::default() };
        // A node alone without a store loses all that it has leased, whatever it leases.
        let lease = match (&nodes[..], &stored) {
            ([_], None) => Lease::Whole,
            (nodes, _) => Lease::Shared { nodes: nodes.len() as u32 },
        };
        let ledger = ledger::Config { lease, max_campaigns, tick };
        let part = stored.as_ref().map(|stored| stored.part.clone());
        let core = Pacer::new(&config, ledger, &seed, part)?;
        let wake = Arc::<Wake>::default();
        let waker = wake.clone();
        core.node.set_waker(Box::new(move || waker.wake()));
        // With a store a node stays who it is.
        let random = || Seed::random().value();
        Ok(Self {
            core,
            nodes,
            own,
            incarnation: epoch.unwrap_or_else(random),
            start: epoch.unwrap_or_else(random),
            manual: is_manual.then(AtomicU64::default),
            wake,
            has_begun: AtomicBool::default(),
            owner: Owner::nobody("AdTally.Pacer"),
            stored,
        })
    }

    /// Fills it with what was read, and writes that it has begun, once: for how much there was no room.
    fn begin<'p>(&'p self, stored: &Stored, restoring: impl FnOnce() -> Restoring<'p>) -> Result<u64, Refusal> {
        if self.has_begun.swap(true, Relaxed) {
            return Ok(0);
        }
        let without_room = restoring().finish(self.now());
        // Of no start that there is, so that all are sent again. Their coordinator has to know of them if it has forgotten them.
        for (campaign, version) in self.node().versions() {
            let mut plans = self.nodes[self.coordinator(campaign)].plans.lock();
            plans.1 = plans.1.max(version);
        }
        wait_for_sync(&stored.core)?;
        Ok(without_room.campaigns + without_room.books + without_room.reservations)
    }
}

impl Durable for Table {
    const PART: &'static str = "pacer";

    fn stored(&self) -> Option<&Stored> {
        self.stored.as_deref()
    }

    fn fold(&self) -> Arc<dyn Fold> {
        self.core.fold()
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        let restoring = self.core.restoring();
        load.take(&restoring)?;
        if let Some(stored) = &self.stored {
            load.tell_without_room(self.begin(stored, || restoring)?);
        }
        Ok(())
    }

    fn leaving(&self) -> bool {
        self.core.node.leave();
        true
    }
}
