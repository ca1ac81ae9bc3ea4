//! Where a run is: its entries, one after the other.

use std::fmt::{Debug, Display};

use crate::codec::FrameError;
use crate::journal::Entry;
use crate::journal::entries::run::{Decoder, FrameHeader};

/// Where the frames of a run come from.
pub trait Frames {
    /// Why one could not be had.
    type Error: Debug + Display;

    /// The next frame, header and payload, in place of what was in `frame`: whether there is one. Its checksum is right, and it belongs
    /// there.
    ///
    /// # Errors
    /// Why it could not be had.
    fn next(&mut self, frame: &mut Vec<u8>) -> Result<bool, Self::Error>;
}

/// Why runs could not be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError<E: Debug + Display> {
    /// A frame could not be had.
    #[error("{0}")]
    Frames(E),
    /// A frame's entries are wrong.
    #[error("frame {frame} of run {run}: {error}")]
    Entry {
        /// The run's place among those that are merged.
        run: usize,
        /// The frame's place in its run, from 0.
        frame: usize,
        /// What is wrong with it.
        error: FrameError,
    },
}

/// A run and the entry where it is.
pub(super) struct Cursor<S> {
    run: usize,
    frames: S,
    frame: Vec<u8>,
    /// How many frames were had.
    count: usize,
    decoder: Decoder,
    /// The last key of the frame before.
    last: Option<(u128, Vec<u64>, Vec<u8>)>,
    /// Whether the entry is the first one of its frame.
    is_first: bool,
}

impl<S: Frames> Cursor<S> {
    pub(super) fn new(run: usize, frames: S) -> Self {
        let decoder = Decoder::default();
        Self { run, frames, frame: Vec::new(), count: 0, decoder, last: None, is_first: true }
    }

    /// Goes on to the next entry: whether there is one.
    #[inline(always)]
    pub(super) fn advance(&mut self) -> Result<bool, MergeError<S::Error>> {
        loop {
            let is_there = self.count > 0 && self.decoder.next(&self.frame).map_err(|error| self.fault(error))?;
            if is_there {
                if std::mem::take(&mut self.is_first) {
                    self.check_order()?;
                }
                return Ok(true);
            }
            if !self.next_frame()? {
                return Ok(false);
            }
        }
    }

    #[inline(never)]
    fn next_frame(&mut self) -> Result<bool, MergeError<S::Error>> {
        if self.count > 0 && !self.is_first {
            let (words, bytes) = self.rest();
            self.last = Some((self.order(), words.to_vec(), bytes.to_vec()));
        }
        if !self.frames.next(&mut self.frame).map_err(MergeError::Frames)? {
            return Ok(false);
        }
        self.count += 1;
        let header = FrameHeader::read(&self.frame).map_err(|error| self.fault(error))?;
        self.decoder.begin(&header);
        self.is_first = true;
        Ok(true)
    }

    /// Within a frame the order is checked by whoever reads it.
    fn check_order(&self) -> Result<(), MergeError<S::Error>> {
        let Some((order, words, bytes)) = &self.last else { return Ok(()) };
        if (*order, (&**words, &**bytes)) < (self.order(), self.rest()) {
            return Ok(());
        }
        let expected = "more than the last one of the frame before";
        Err(self.fault(FrameError::new("key", 0, format_args!("{:?}", self.entry()), expected)))
    }

    #[cold]
    fn fault(&self, error: FrameError) -> MergeError<S::Error> {
        MergeError::Entry { run: self.run, frame: self.count.saturating_sub(1), error }
    }
}

impl<S> Cursor<S> {
    /// The part of the entry.
    #[inline(always)]
    pub(super) fn part(&self) -> u16 {
        self.decoder.group.part
    }

    /// The entry.
    #[inline(always)]
    pub(super) fn entry(&self) -> Entry<'_> {
        self.decoder.entry(&self.frame)
    }

    /// What keys are ordered by first.
    #[inline(always)]
    pub(super) fn order(&self) -> u128 {
        u128::from(self.decoder.group.number()) << 64 | u128::from(self.decoder.lead)
    }

    /// What they are ordered by then.
    #[inline(always)]
    pub(super) fn rest(&self) -> (&[u64], &[u8]) {
        self.decoder.rest(&self.frame)
    }
}
