//! Events that are touches as well: what an attribution is told of those that were counted.

use std::cell::RefCell;

use ad_tally_core::Batch;
use ad_tally_core::attribution::VALUES;
use ad_tally_core::key::MAX_ARITY;
use rustler::Env;

use super::{Refused, Table};
use crate::attribution::{self, TouchParts};
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument, events::EventTerm, keys::Parts};
use crate::steps;

impl Table {
    /// The touch that an event is but for its dimensions. `long` is how many bytes were hashed that are not short.
    #[inline(always)]
    pub(super) fn touch_parts<'a, L: Layout>(
        &self,
        env: Env<'a>,
        attribution: &attribution::Table,
        event: &EventTerm<'a>,
        long: &mut usize,
    ) -> Result<TouchParts, BadArgument> {
        Ok(TouchParts {
            kind: attribution.touch_kind(env, event.touch)?,
            id: attribution::touch_id::<L>(env, event.id, long)?,
            user: attribution.user::<L>(env, event.user, long)?,
            // Of a time that is none the event is refused when it is counted, and nothing is made of this one.
            at: attribution::time::<L>(env, event.at).unwrap_or(0),
            cost: self.cost::<L>(env, event.metrics)?,
        })
    }

    /// What an event has cost: the sum of that metric's amounts. Of a list that is none the event is refused when it is counted.
    #[inline(always)]
    fn cost<'a, L: Layout>(&self, env: Env<'a>, metrics: Raw<'a>) -> Result<i64, BadArgument> {
        let Some(place) = self.touches.as_ref().and_then(|touches| touches.cost) else { return Ok(0) };
        let (metric, mut cost, mut rest) = (self.metrics[place], 0_i128, metrics);
        while let Some([item, tail]) = decode::list_cell::<L>(env, rest) {
            match decode::tuple_of::<L, 2>(env, item) {
                Some([name, amount]) if *name == metric => {
                    cost += i128::from(decode::integer::<L>(env, *amount).unwrap_or(0));
                }
                _ => {}
            }
            rest = tail;
        }
        let in_range = i64::try_from(cost).ok().filter(|cost| (0..VALUES).contains(cost));
        in_range.ok_or_else(|| bad_argument::cost(metric.to_term(env), cost, metrics.in_env(env)))
    }

    /// The elements of the dimensions of the touch that an event is, in the room.
    #[inline(always)]
    pub(super) fn touch_elements<'r, 'a, L: Layout>(
        &self,
        env: Env<'a>,
        attribution: &attribution::Table,
        dimensions: Raw<'a>,
        room: &'r mut [Raw<'a>; MAX_ARITY],
    ) -> Result<&'r [Raw<'a>], BadArgument> {
        let elements = decode::tuple::<L>(env, dimensions).filter(|elements| elements.len() == self.dimensions);
        let elements =
            elements.ok_or_else(|| bad_argument::dimensions(dimensions.in_env(env), self.dimensions, "meter"))?;
        let places = self.touches.as_ref().map_or(&[][..], |touches| &touches.dimensions);
        if places.len() != attribution.dimensions() {
            return Err(bad_argument::other_dimensions(places.len(), attribution.dimensions()));
        }
        for (element, place) in room.iter_mut().zip(places) {
            *element = elements[*place];
        }
        Ok(&room[..places.len()])
    }

    /// What is raised for an event that is no touch, which is noted as well.
    #[cold]
    pub(super) fn bad_touch(&self, error: BadArgument) -> BadArgument {
        *self.refused.lock() = Some(Refused { at: None, reason: error.message().to_owned() });
        error
    }
}

/// The touches that events of a list are.
pub(super) struct Touches<'t> {
    pub(super) attribution: &'t attribution::Table,
    batch: &'t mut Batch<TouchParts>,
    /// Which event each of them is, counted from 0.
    events: &'t mut Vec<u64>,
}

/// Does something with touches for an attribution, if there is one.
pub(super) fn with_touches<R>(
    attribution: Option<&attribution::Table>,
    act: impl FnOnce(Option<Touches<'_>>) -> R,
) -> R {
    thread_local! {
        static ROOM: RefCell<(Batch<TouchParts>, Vec<u64>)> = RefCell::default();
    }
    let Some(attribution) = attribution else { return act(None) };
    ROOM.with_borrow_mut(|(batch, events)| act(Some(Touches { attribution, batch, events })))
}

impl Touches<'_> {
    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.events.clear();
    }

    /// Reads the touch that an event is, if it is one.
    #[inline(always)]
    pub(super) fn read<'a, L: Layout>(
        &mut self,
        env: Env<'a>,
        table: &Table,
        event: &EventTerm<'a>,
        number: usize,
        long: &mut usize,
    ) -> Result<(), BadArgument> {
        if decode::is_nil(event.touch) {
            return Ok(());
        }
        let parts = table.touch_parts::<L>(env, self.attribution, event, long)?;
        let mut room = [event.dimensions; MAX_ARITY];
        let elements = table.touch_elements::<L>(env, self.attribution, event.dimensions, &mut room)?;
        let seed = self.attribution.attribution.seed();
        steps::push_parts::<L, _>(env, self.batch, seed, Parts::of_tuple(elements), parts)
            .map_err(|fault| bad_argument::key(event.dimensions.in_env(env), fault))?;
        self.events.push(number as u64);
        Ok(())
    }

    /// Tells the attribution of the touches that are among these events, in ascending order.
    pub(super) fn take(&self, counted: impl Iterator<Item = u64>) {
        let mut counted = counted.peekable();
        let mut is_counted = |event: &u64| {
            while counted.next_if(|counted| counted < event).is_some() {}
            counted.next_if_eq(event).is_some()
        };
        let events = self.events.iter().enumerate();
        let touches: Vec<usize> = events.filter(|(_, event)| is_counted(event)).map(|(touch, _)| touch).collect();
        self.attribution.touch_all(self.batch, touches.len(), |at| touches[at], &mut Default::default(), || true);
    }
}
