//! What is in a window of an attribution: credits, and spend.

use std::ops::ControlFlow;

use ad_tally_core::KeyRef;
use ad_tally_core::attribution::{Credit, Credits, Model, Posting, Spend};
use rustler::types::tuple::make_tuple;
use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::{Labels, ModelTerm, Period};
use crate::atoms;
use crate::encode;
use crate::resource::{self, Kept};
use crate::steps::{self, Page};

/// Memory that a window takes.
#[rustler::nif]
fn attribution_window_bytes<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, .. } = resource::expect(period)?;
    Ok(window.bytes().encode(env))
}

/// Bookings that are looked at together.
const AT_ONCE: usize = 64;

/// A walk over the credits of a window, for `walk_rows`. Those of a booking come together.
#[rustler::nif]
fn attribution_window_credits<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let period = Kept::<Period>::of(period)?;
    let (mut next, mut room) = (0, Credits::default());
    Ok(steps::walk(env, move |page| {
        loop {
            let postings = period.window.postings(next, AT_ONCE);
            for posting in &postings {
                next += 1;
                if period.labels.put_credits(page, posting, &mut room).is_break() {
                    return true;
                }
            }
            if postings.len() < AT_ONCE {
                return false;
            }
        }
    }))
}

/// A walk over the spend of a window, for `walk_rows`, and what had no row.
#[rustler::nif]
fn attribution_window_touches<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, labels } = resource::expect(period)?;
    let kinds = labels.kinds.clone();
    let mut rows = window.spend_rows();
    let walk = steps::walk(env, move |page| {
        let env = page.env();
        rows.walk(|key, spends| {
            let dimensions = encode::key(env, key);
            let mut flow = ControlFlow::Continue(());
            for (kind, touches, cost) in by_kind(env, &kinds, spends) {
                if page.push((dimensions, kind, touches, cost).encode(env), 1).is_break() {
                    flow = ControlFlow::Break(());
                }
            }
            flow
        })
    });
    let overflow: Vec<_> = by_kind(env, &labels.kinds, &window.spend_overflow()).collect();
    Ok((walk, overflow).encode(env))
}

/// Touches and cost of each kind that has some. In an overflow there may be a cost alone, which has made that of a row pass 64 bits.
fn by_kind<'a>(env: Env<'a>, kinds: &[Atom], spends: &[Spend]) -> impl Iterator<Item = (Atom, Term<'a>, Term<'a>)> {
    let spends = kinds.iter().zip(spends).filter(|(_, spend)| **spend != Spend::default());
    spends.map(move |(kind, spend)| (*kind, encode::total(env, spend.touches), encode::total(env, spend.cost)))
}

/// A window's numbers: rows, value and conversions that it has booked, touches, what they have cost, and bytes. Reads all of it.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_window_totals<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, .. } = resource::expect(period)?;
    let (mut value, mut conversions, mut next) = (0_i128, 0_i64, 0);
    loop {
        let postings = window.postings(next, AT_ONCE);
        for Posting { before, after, .. } in postings.iter().map(|posting| &**posting) {
            value += i128::from(after.value) - i128::from(before.value);
            conversions += i64::from(after.counts) - i64::from(before.counts);
        }
        next += postings.len();
        if postings.len() < AT_ONCE {
            break;
        }
    }
    let mut total = Spend::default();
    let mut add = |spends: &[Spend]| {
        for spend in spends {
            total.touches += spend.touches;
            total.cost += spend.cost;
        }
    };
    window.spend_rows().walk(|_key, spends| {
        add(spends);
        ControlFlow::Continue(())
    });
    add(&window.spend_overflow());
    let [value, touches, cost] = [value, total.touches, total.cost].map(|sum| encode::total(env, sum));
    Ok((window.rows(), value, conversions, touches, cost, window.bytes()).encode(env))
}

impl Labels {
    /// Puts the credits of a booking on a page, by all models.
    fn put_credits(&self, page: &mut Page<'_>, posting: &Posting, room: &mut Credits) -> ControlFlow<()> {
        let env = page.env();
        let order = encode::key(env, KeyRef::new(&posting.order));
        let mut flow = ControlFlow::Continue(());
        for model in &*self.models {
            posting.credits(*model, room, |credit| {
                let row = self.credit_row(env, *model, order, posting, &credit);
                if page.push(row, 2).is_break() {
                    flow = ControlFlow::Break(());
                }
            });
        }
        flow
    }

    fn credit_row<'a>(
        &self,
        env: Env<'a>,
        model: Model,
        order: Term<'a>,
        posting: &Posting,
        credit: &Credit,
    ) -> Term<'a> {
        let step = credit.step;
        make_tuple(
            env,
            &[
                ModelTerm(model).encode(env),
                order,
                self.actions[usize::from(posting.action)].to_term(env),
                step.map(|step| self.kinds[usize::from(step.kind)]).encode(env),
                step.map(|step| step.id).encode(env),
                step.map_or_else(|| atoms::nil().to_term(env), |step| self.dimensions_of(env, step.dimensions)),
                step.map(|step| step.at).encode(env),
                posting.at.encode(env),
                posting.adjusted_at.encode(env),
                credit.parts.encode(env),
                credit.value.encode(env),
                posting.truncated.encode(env),
                posting.revision.encode(env),
            ],
        )
    }

    /// The tuple of dimensions of a number, or nil where there were too many.
    pub(super) fn dimensions_of<'a>(&self, env: Env<'a>, number: u32) -> Term<'a> {
        let words = self.dimensions.words(number);
        words.map_or_else(|| atoms::nil().to_term(env), |words| encode::key(env, KeyRef::new(words.as_ref())))
    }
}
