//! The functions of `AdTally.FrequencyCap`.

use std::sync::Arc;
use std::time::Instant;

use ad_tally_core::frequency_cap::{Config, Decision, Info, Reason, TierInfo};
use ad_tally_core::journal::Fold;
use ad_tally_core::{FrequencyCap, Rule, Rules, Window};
use arrayvec::ArrayVec;
use rustler::{Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::clock::now;
use crate::decode::{
    self, BadArgument, Layout, Raw, bad_argument,
    keys::{self, Hashed, Scope, User},
    with_layout, zone,
};
use crate::encode;
use crate::hot::{At, Index, hot};
use crate::metered::{Metered, named, numbers};
use crate::owner::Owner;
use crate::resource::{self, resource};
use crate::steps;
use crate::store::{Durable, Given, Load, Place, PlaceTerm, Refusal, Stored, unless_over};

/// A table of caps.
pub struct Table(pub(crate) FrequencyCap, Owner, Option<Box<Stored>>);

/// Rules that were looked at.
pub struct RuleSet(Rules);

resource!(Table, c"frequency_cap", "an AdTally.FrequencyCap table", owner: 1);
resource!(
    RuleSet,
    c"frequency_cap_rules",
    "rules that AdTally.FrequencyCap.rules!/1 has compiled on this node, or a list of {max, window}"
);

/// Candidates that one call looks at: as many as scopes can be admitted together, and one more to see that there are too many.
const CANDIDATES: usize = 65;

impl RuleSet {
    /// The rules.
    #[inline(always)]
    pub fn rules(&self) -> &Rules {
        &self.0
    }
}

impl Table {
    #[inline(always)]
    fn hash<'a, R: Hashed>(&self, env: Env<'a>, key: Raw<'a>) -> Result<u64, BadArgument> {
        keys::hash::<R>(env, self.0.seed(), key)
    }

    #[inline(always)]
    pub fn pair<'a>(&self, env: Env<'a>, scope: Raw<'a>, user: Raw<'a>) -> Result<u64, BadArgument> {
        Ok(self.0.seed().pair(self.hash::<Scope>(env, scope)?, self.hash::<User>(env, user)?))
    }
}

hot! {
    /// Asks every rule, and counts an event that none blocks.
    fn caps_admit(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, rules: &RuleSet, at: At) {
        decided(env, table, table.0.admit(table.pair(env, scope, user)?, &rules.0, at.0, now)?)
    }

    /// The same now.
    fn caps_admit(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, rules: &RuleSet) {
        decided(env, table, table.0.admit(table.pair(env, scope, user)?, &rules.0, now(), now)?)
    }

    /// Asks every rule, and counts nothing.
    fn caps_check(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, rules: &RuleSet, at: At) {
        decided(env, table, table.0.check(table.pair(env, scope, user)?, &rules.0, at.0, now)?)
    }

    /// Counts an event that happened anyway.
    fn caps_record(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, at: At) {
        let decision = table.0.record(table.pair(env, scope, user)?, at.0, now)?;
        decided(env, table, decision)
    }

    /// Takes an event back.
    fn caps_release(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, at: At) {
        let released = table.0.release(table.pair(env, scope, user)?, at.0)?;
        unless_over(env, table)?;
        Ok(if released { atoms::ok() } else { atoms::not_found() }.to_term(env))
    }

    /// Counts events of a window, `window` as in `caps_rules`.
    fn caps_count(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, window: Term<'a>, at: At) {
        let count = table.0.count(table.pair(env, scope, user)?, self::window(window)?, at.0)?;
        Ok(count.encode(env))
    }

    /// When every rule would let an event through.
    fn caps_opens_at(env, table: &Table, scope: Raw<'a>, user: Raw<'a>, rules: &RuleSet, at: At) {
        let opens = table.0.opens_at(table.pair(env, scope, user)?, &rules.0, at.0)?;
        Ok(opens.map_or_else(|| atoms::never().to_term(env), |at| at.encode(env)))
    }

    /// Asks the rules of several scopes, and counts an event that none blocks under all of them.
    fn caps_admit_all(env, table: &Table, scopes: Raw<'a>, user: Raw<'a>, at: At) {
        let (scopes, mut candidates) = ((scopes, 0), Candidates::new());
        let read = with_layout!(L => read_candidates::<L, _>(env, table, scopes, user, |pair| pair, &mut candidates));
        if let Err(why) = read {
            return unread(env, why);
        }
        let pairs: Vec<(u64, &Rules)> = candidates.iter().map(|candidate| (candidate.pair, candidate.rules)).collect();
        match table.0.admit_all(&pairs, at.0, now)? {
            Decision::Capped { scope, rule } => Ok((scope, rule).encode(env)),
            decision => decided(env, table, decision),
        }
    }

    /// Which scopes of a list have rules that would let an event through: those, or those and the rest of a long list.
    fn caps_admissible(env, table: &Table, scopes: Raw<'a>, user: Raw<'a>, at: At, from: Index) {
        admissible(env, table, (scopes, from.0), user, (at.0, now), |_scope| Ok(true))
    }

    /// Removes what is too old from some lines: where to go on, or `done`, and how many words became empty.
    fn caps_sweep(env, table: &Table, from: Term<'a>, at: At) {
        let begin = Instant::now();
        let from: (usize, usize) = from.decode().map_err(|_| bad_argument::item(from, "place"))?;
        let (next, removed) = table.0.sweep(from, at.0)?;
        steps::consume_timeslice(env, begin.elapsed());
        let next = next.map_or_else(|| atoms::done().to_term(env), |next| next.encode(env));
        Ok((next, removed).encode(env))
    }
}

/// A scope of a list, and its rules.
struct Candidate<'a, P> {
    scope: Raw<'a>,
    /// Its pair with the user, or the bucket of that.
    pair: P,
    rules: &'a Rules,
}

/// Those that one call looks at.
type Candidates<'a, P> = ArrayVec<Candidate<'a, P>, CANDIDATES>;

/// Why candidates are not read: one is refused, or `None` where its rules are a plain list. The caller compiles those and
/// calls again, so that nothing is looked at twice where they are compiled already. As a part of what is read, an `Option` of a
/// candidate, it would be asked for of each one: 39 ns an item of `admissible/3` instead of 35.
type Unread = Option<BadArgument>;

/// What is answered, or raised, then.
#[cold]
fn unread<'a>(env: Env<'a>, why: Unread) -> Result<Term<'a>, BadArgument> {
    why.map_or_else(|| Ok(atoms::compile().to_term(env)), Err)
}

#[inline(always)]
fn rule_set<'a>(env: Env<'a>, rules: Raw<'a>, compiled: Raw<'a>) -> Result<&'a Rules, Unread> {
    match resource::read::<RuleSet>(env, compiled) {
        Ok(set) => Ok(&set.0),
        Err(_) if rules.in_env(env).is_list() => Err(None),
        Err(error) => Err(Some(error)),
    }
}

const ITEM: &str = "{scope, rules}";

#[inline(always)]
fn candidate<'a, L: Layout, P>(
    env: Env<'a>,
    table: &Table,
    item: Raw<'a>,
    user: u64,
    find: impl Fn(u64) -> P,
    last: &mut Option<(u64, &'a Rules)>,
) -> Result<Candidate<'a, P>, Unread> {
    let Some([scope, rules]) = decode::tuple::<L>(env, item) else {
        return Err(Some(bad_argument::item(item.in_env(env), ITEM)));
    };
    let rules = match last {
        // Many candidates have the same rules as the one before.
        Some((word, last)) if *word == rules.word() => *last,
        _ => {
            // Rules are a pair of those compiled here and what is answered where one of them blocks.
            let parts = decode::tuple::<L>(env, *rules);
            let compiled = parts.and_then(|parts| parts.first()).unwrap_or(rules);
            let set = rule_set(env, *rules, *compiled)?;
            *last = Some((rules.word(), set));
            set
        }
    };
    let seed = table.0.seed();
    let pair = find(seed.pair(keys::hash_laid_out::<L, Scope>(env, seed, *scope)?, user));
    Ok(Candidate { scope: *scope, pair, rules })
}

/// Reads the first scopes of a list of `{scope, rules}`, with the index of the first one: the rest of it.
#[inline(always)]
fn read_candidates<'a, L: Layout, P>(
    env: Env<'a>,
    table: &Table,
    (list, from): (Raw<'a>, usize),
    user: Raw<'a>,
    find: impl Fn(u64) -> P,
    candidates: &mut Candidates<'a, P>,
) -> Result<Raw<'a>, Unread> {
    let user = table.hash::<User>(env, user)?;
    let (mut rest, mut last) = (list, None);
    while !candidates.is_full() {
        let Some([item, tail]) = decode::list_cell::<L>(env, rest) else {
            let at_end = with_layout!(L => decode::is_empty_list::<L>(env, rest));
            let index = from + candidates.len();
            return if at_end { Ok(rest) } else { Err(Some(bad_argument::list(rest.in_env(env), ITEM, index))) };
        };
        match candidate::<L, P>(env, table, item, user, &find, &mut last) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => return Err(why.map(|error| error.at_index(from + candidates.len()))),
        }
        rest = tail;
    }
    Ok(rest)
}

/// The first scopes of a list of `{scope, rules}` that may be shown to a user by their rules and by `also`: those, or those, the
/// rest of a long list and the index of that.
#[inline(always)]
pub fn admissible<'a>(
    env: Env<'a>,
    table: &Table,
    (list, from): (Raw<'a>, usize),
    user: Raw<'a>,
    (at, now): (u64, impl Fn() -> u64 + Copy),
    also: impl Fn(Raw<'a>) -> Result<bool, BadArgument>,
) -> Result<Term<'a>, BadArgument> {
    let at = table.0.at(at);
    let find = |pair| {
        // All are read later: until then the buckets of many are on their way.
        let bucket = at.find(pair);
        bucket.fetch();
        bucket
    };
    let mut candidates = Candidates::new();
    let rest = match with_layout!(L => read_candidates::<L, _>(env, table, (list, from), user, find, &mut candidates)) {
        Ok(rest) => rest,
        Err(why) => return unread(env, why),
    };
    let mut admissible = ArrayVec::<Raw<'a>, CANDIDATES>::new();
    for candidate in &candidates {
        match at.check(candidate.pair, candidate.rules, now)? {
            Decision::Admitted if also(candidate.scope)? => admissible.push(candidate.scope),
            Decision::Admitted | Decision::Capped { .. } => {}
            Decision::Refused(reason) => return Ok(refused(env, reason)),
        }
    }
    let admissible = encode::list(env, &admissible);
    if candidates.is_full() {
        Ok((admissible, rest.in_env(env), from + CANDIDATES).encode(env))
    } else {
        Ok(admissible)
    }
}

/// `ok`, the number of the rule that blocks, or an error. A rule is not named here: on the other side it lies there already.
#[inline(always)]
fn decided<'a>(env: Env<'a>, table: &Table, decision: Decision) -> Result<Term<'a>, BadArgument> {
    Ok(match decision {
        Decision::Admitted => atoms::ok().to_term(env),
        Decision::Capped { rule, .. } => rule.encode(env),
        Decision::Refused(reason) => {
            if reason == Reason::Busy {
                resource::check_owner_again(env, table)?;
            }
            refused(env, reason)
        }
    })
}

/// `{:error, reason}`.
#[cold]
pub fn refused(env: Env<'_>, reason: Reason) -> Term<'_> {
    let reason = match reason {
        Reason::Future => atoms::future(),
        Reason::TooOld => atoms::too_old(),
        Reason::Full => atoms::full(),
        Reason::Busy => atoms::busy(),
    };
    (atoms::error(), reason).encode(env)
}

/// `{0, milliseconds}`, `{1, a zone or its offset}` or `{2, _}` for a lifetime.
fn window(term: Term<'_>) -> Result<Window, BadArgument> {
    let no_window = |_| bad_argument::item(term, "window");
    let (kind, of): (u8, Term<'_>) = term.decode().map_err(no_window)?;
    Ok(match kind {
        0 => Window::Rolling(of.decode::<i64>().map_err(no_window)?.max(0) as u64),
        1 => Window::Day(zone::zone(of)?),
        _ => Window::Lifetime,
    })
}

#[rustler::nif]
fn caps_rules<'a>(env: Env<'a>, rules: Vec<(u32, Term<'a>)>) -> NifResult<Term<'a>> {
    let rule = |(max, window)| Ok(Rule { max, window: self::window(window)? });
    let rules: Vec<Rule> = rules.into_iter().map(rule).collect::<Result<_, BadArgument>>()?;
    let rules = Rules::new(rules).map_err(BadArgument::from)?;
    Ok(resource::make(env, RuleSet(rules)))
}

/// The least capacity and the most, and the tiers.
type Sizes = (usize, usize);
type Tiers = Vec<(u64, u64)>;

#[rustler::nif(schedule = "DirtyCpu")]
fn caps_new<'a>(
    env: Env<'a>,
    (capacity, max_capacity): Sizes,
    tiers: Tiers,
    lifetime: bool,
    strict: bool,
    max_ahead: Option<u64>,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    let config = Config { capacity, max_capacity, tiers, lifetime, strict, max_ahead };
    let caps = FrequencyCap::with_seed(&config, keys::seed(seed)).map_err(BadArgument::from)?;
    Ok(resource::make(env, Table(caps, Owner::nobody("AdTally.FrequencyCap"), None)))
}

/// The table that is a part of a store: that of a process which has crashed, or one that is made.
#[rustler::nif(schedule = "DirtyIo")]
#[expect(clippy::too_many_arguments, reason = "those of `caps_new`, and which part it is")]
fn caps_new_in<'a>(
    env: Env<'a>,
    place: PlaceTerm<'a>,
    (capacity, max_capacity): Sizes,
    tiers: Tiers,
    lifetime: bool,
    strict: bool,
    max_ahead: Option<u64>,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    Place::read(place)?.table(env, seed, |Given { seed, stored, .. }| {
        let config = Config { capacity, max_capacity, tiers, lifetime, strict, max_ahead };
        let part = Some(stored.part.clone());
        let caps = FrequencyCap::with_journal(&config, seed, part).map_err(BadArgument::from)?;
        Ok(Table(caps, Owner::nobody("AdTally.FrequencyCap"), Some(Box::new(stored))))
    })
}

impl Durable for Table {
    const PART: &'static str = "frequency_cap";

    fn stored(&self) -> Option<&Stored> {
        self.2.as_deref()
    }

    fn fold(&self) -> Arc<dyn Fold> {
        Arc::new(self.0.fold())
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        let restoring = self.0.restoring();
        load.take(&restoring)?;
        load.tell_without_room(restoring.finish());
        Ok(())
    }
}

/// The table's numbers, and those of its tiers.
#[rustler::nif(schedule = "DirtyCpu")]
fn caps_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let Info { tiers, denied_by_rule, denied_by_rounding, refused, memory_bytes } = table.0.info();
    let [future, too_old, full, busy] = refused;
    let denied = [(atoms::rule(), denied_by_rule), (atoms::rounding(), denied_by_rounding)];
    let refused =
        [(atoms::future(), future), (atoms::too_old(), too_old), (atoms::full(), full), (atoms::busy(), busy)];
    let sum = |of: fn(&TierInfo) -> usize| tiers.iter().map(of).sum::<usize>();
    let huge_bytes = tiers.iter().map(|tier| tier.huge_bytes).sum::<Option<usize>>();
    let tier_terms: Vec<Term<'a>> = tiers.iter().map(|tier| tier_term(env, tier)).collect::<NifResult<_>>()?;
    let pairs = [
        (atoms::pairs(), tiers.iter().map(|tier| tier.pairs).max().unwrap_or(0).encode(env)),
        (atoms::words(), sum(|tier| tier.words).encode(env)),
        (atoms::load(), tiers.iter().map(load).fold(0.0, f64::max).encode(env)),
        (atoms::stash(), sum(|tier| tier.stash).encode(env)),
        (atoms::grown(), tiers.iter().map(|tier| tier.grown).max().unwrap_or(0).encode(env)),
        (atoms::memory_bytes(), memory_bytes.encode(env)),
        (atoms::huge_bytes(), huge_bytes.encode(env)),
        (atoms::denied(), Term::map_from_pairs(env, &denied)?),
        (atoms::refused(), Term::map_from_pairs(env, &refused)?),
        (atoms::tiers(), tier_terms.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}

fn load(tier: &TierInfo) -> f64 {
    tier.words as f64 / tier.slots as f64
}

fn tier_term<'a>(env: Env<'a>, tier: &TierInfo) -> NifResult<Term<'a>> {
    let name = tier.tier.map_or_else(|| atoms::lifetime().to_term(env), |tier| tier.encode(env));
    let pairs = [
        (atoms::tier(), name),
        (atoms::pairs(), tier.pairs.encode(env)),
        (atoms::words(), tier.words.encode(env)),
        (atoms::load(), load(tier).encode(env)),
        (atoms::stash(), tier.stash.encode(env)),
        (atoms::grown(), tier.grown.encode(env)),
        (atoms::memory_bytes(), tier.memory_bytes.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        let [rule, rounding, future, too_old, full, busy] = self.0.not_admitted();
        let denials = [
            ("rule", rule),
            ("rounding", rounding),
            ("future", future),
            ("too_old", too_old),
            ("full", full),
            ("busy", busy),
        ];
        named(env, &[("denials", numbers(env, &denials))])
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let load = self.0.load();
        let pairs = [
            ("pairs", load.pairs.encode(env)),
            ("load", load.load.encode(env)),
            ("stash", load.stash.encode(env)),
            ("memory_bytes", load.memory_bytes.encode(env)),
        ];
        named(env, &pairs)
    }
}
