//! Writes the rows of a frame, as `row` says.

use super::super::Attribution;
use super::super::fields::{
    write_adjustments, write_net, write_optional, write_optional_time, write_state, write_step,
};
use super::super::orders::{Record, State};
use super::super::ring::{Key, Owned};
use super::super::types::Step;
use super::row::{CONVERSION, FINGERPRINT_BYTES, FULL, MOST_CHANGES, MOST_DIMENSIONS, USER};
use crate::codec::Writer;
use crate::key::{AtomNames, encode_key};

/// Writes a row: its dimensions and what follows them side by side.
#[derive(Default)]
pub(super) struct RowWriter {
    /// The numbers of the dimensions in the order of their places.
    numbers: Vec<u32>,
    keys: Vec<u8>,
    rest: Writer,
}

impl RowWriter {
    /// The place of dimensions in the row.
    fn place(&mut self, number: u32, of: &Attribution, atoms: &impl AtomNames) -> u64 {
        if let Some(at) = self.numbers.iter().position(|other| *other == number) {
            return at as u64 + 1;
        }
        let Some(words) = of.dimensions.words(number) else { return 0 };
        let begin = self.keys.len();
        encode_key(&words, atoms, &mut self.keys).expect("atoms of dimensions have texts");
        if self.keys.len() > MOST_DIMENSIONS {
            self.keys.truncate(begin);
            return 0;
        }
        self.numbers.push(number);
        self.numbers.len() as u64
    }

    fn touch(&mut self, step: &Step, of: &Attribution, atoms: &impl AtomNames) {
        let place = self.place(step.dimensions, of, atoms);
        write_step(&mut self.rest, step, place);
    }

    /// Writes a user. What is left for another row stays in `owned`: whether that is anything.
    pub(super) fn user(
        &mut self,
        key: Key,
        owned: &mut Owned,
        of: &Attribution,
        atoms: &impl AtomNames,
        into: &mut Writer,
    ) -> bool {
        let Owned { touches, pending: _, marks, aliases, evicted, converted } = std::mem::take(owned);
        let mut written = 0_u64;
        let mut left = touches.into_iter();
        while self.keys.len() + self.rest.len() < FULL
            && let Some(step) = left.next()
        {
            self.touch(&step, of, atoms);
            written += 1;
        }
        owned.touches = left.collect();
        let touches = std::mem::take(&mut self.rest).into_bytes();
        let rest = &mut self.rest;
        rest.number(key.bucket);
        rest.bytes(&key.fingerprint.to_le_bytes()[..FINGERPRINT_BYTES]);
        rest.number(evicted);
        write_optional_time(rest, converted);
        rest.number(written);
        rest.bytes(&touches);
        rest.number(marks.len() as u64);
        for mark in marks {
            rest.number(mark.at);
            rest.u8(mark.action);
            write_optional(rest, mark.touch.map(|id| id as u64));
            rest.u32(mark.order);
        }
        rest.number(aliases.len() as u64);
        aliases.iter().for_each(|alias| rest.u64(*alias));
        self.finish(USER, into);
        !owned.touches.is_empty()
    }

    /// Writes a conversion.
    pub(super) fn conversion(
        &mut self,
        order: u64,
        record: &Record,
        of: &Attribution,
        atoms: &impl AtomNames,
        into: &mut Writer,
    ) {
        let Record { words, user, at, action, state, truncated, revision, steps, value, .. } = record;
        let Record { net, adjusted_at, adjustments, .. } = record;
        let rest = &mut self.rest;
        write_state(rest, *state);
        match state {
            State::Provisional => {
                rest.with(|bytes| encode_key(words, atoms, bytes)).expect("an order has no atoms");
            }
            State::Final { .. } => rest.u64(order),
        }
        write_optional(rest, *user);
        rest.number(*at);
        rest.u8(*action);
        rest.u8(u8::from(*truncated));
        rest.number(u64::from(*revision));
        rest.signed((*value).into());
        write_adjustments(rest, &adjustments[adjustments.len().saturating_sub(MOST_CHANGES)..]);
        write_net(rest, *net);
        write_optional_time(rest, *adjusted_at);
        rest.number(steps.len() as u64);
        steps.iter().for_each(|step| self.touch(step, of, atoms));
        self.finish(CONVERSION, into);
    }

    fn finish(&mut self, tag: u8, into: &mut Writer) {
        into.u8(tag);
        into.number(self.numbers.len() as u64);
        into.bytes(&self.keys);
        into.bytes(&std::mem::take(&mut self.rest).into_bytes());
        self.numbers.clear();
        self.keys.clear();
    }
}
