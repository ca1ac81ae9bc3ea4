//! Which frames of which streams a table has taken, so that none is taken twice.
//!
//! Of a stream the numbers are kept as ranges: of one that came in order there is one range, however long it is. There are at most
//! [`MAX_RANGES`] in a table. A frame that would need one more is refused: to forget a stream would let its frames in again.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{Frame, FrameError, StreamId};

/// The most ranges of all streams of a table: 3 MB.
pub const MAX_RANGES: usize = 1 << 16;

/// What a table has taken.
#[derive(Default)]
pub struct Taken(Mutex<Streams>);

#[derive(Default)]
struct Streams {
    by_id: HashMap<StreamId, Stream, ahash::RandomState>,
    ranges: usize,
    frames: u64,
}

#[derive(Default)]
struct Stream {
    /// First and last number of each range, in order, with a gap between any two.
    ranges: Vec<(u32, u32)>,
    /// The number of the stream's last frame, once that came.
    last: Option<u32>,
}

/// Whether a frame is to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is: nobody has before, and nobody else will.
    New,
    /// It was taken before.
    AlreadyTaken,
}

/// How much was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenInfo {
    /// Streams of which there is a frame.
    pub streams: usize,
    /// Frames of all of them.
    pub frames: u64,
    /// Memory of the record.
    pub memory_bytes: usize,
}

impl Taken {
    /// Claims a frame, of which everything was checked: from now on it counts as taken.
    ///
    /// # Errors
    /// If the stream has ended before the frame, or there are too many ranges.
    pub fn claim(&self, frame: &Frame<'_>) -> Result<Claim, FrameError> {
        let mut streams = self.0.lock();
        let Streams { by_id, ranges, .. } = &*streams;
        let known = by_id.get(&frame.stream);
        if known.is_some_and(|stream| stream.has(frame.number)) {
            return Ok(Claim::AlreadyTaken);
        }
        known.map_or(Ok(()), |stream| stream.check_end(frame))?;
        if *ranges >= MAX_RANGES && known.is_none_or(|stream| stream.joined(frame.number) == 0) {
            let found = "one of too many that the table has parts of";
            return Err(frame.stream_error(found, format_args!("at most {MAX_RANGES} parts of streams in all")));
        }
        streams.add(frame.stream, frame.number, frame.is_last);
        Ok(Claim::New)
    }

    /// Takes a frame for taken that was so before, in whatever order. Between them there may be more ranges than in the end.
    pub fn restore(&self, stream: StreamId, number: u32, is_last: bool) {
        let mut streams = self.0.lock();
        if streams.by_id.get(&stream).is_none_or(|stream| !stream.has(number)) {
            streams.add(stream, number, is_last);
        }
    }

    /// Whether all frames of a stream were taken.
    #[must_use]
    pub fn is_complete(&self, stream: StreamId) -> bool {
        let streams = self.0.lock();
        streams.by_id.get(&stream).is_some_and(|stream| stream.last.is_some_and(|last| stream.ranges == [(0, last)]))
    }

    /// How much was taken.
    #[must_use]
    pub fn info(&self) -> TakenInfo {
        let streams = self.0.lock();
        let memory_bytes = streams.by_id.capacity() * size_of::<(StreamId, Stream)>()
            + streams.by_id.values().map(|stream| stream.ranges.capacity() * size_of::<(u32, u32)>()).sum::<usize>();
        TakenInfo { streams: streams.by_id.len(), frames: streams.frames, memory_bytes }
    }
}

impl Streams {
    fn add(&mut self, id: StreamId, number: u32, is_last: bool) {
        let stream = self.by_id.entry(id).or_default();
        self.ranges -= stream.ranges.len();
        stream.add(number);
        self.ranges += stream.ranges.len();
        self.frames += 1;
        if is_last {
            stream.last = Some(number);
        }
    }
}

impl Stream {
    /// The first range that does not end before a number.
    fn position(&self, number: u32) -> usize {
        self.ranges.partition_point(|range| range.1 < number)
    }

    fn has(&self, number: u32) -> bool {
        self.ranges.get(self.position(number)).is_some_and(|range| range.0 <= number)
    }

    /// Whether the range before a number that is not there ends at it, and whether the one after it begins there.
    fn neighbours(&self, number: u32) -> (bool, bool) {
        let at = self.position(number);
        let before = at.checked_sub(1).is_some_and(|before| self.ranges[before].1 + 1 == number);
        let after = self.ranges.get(at).is_some_and(|range| range.0 - 1 == number);
        (before, after)
    }

    /// How many ranges such a number joins.
    fn joined(&self, number: u32) -> usize {
        let (before, after) = self.neighbours(number);
        usize::from(before) + usize::from(after)
    }

    fn add(&mut self, number: u32) {
        let at = self.position(number);
        match self.neighbours(number) {
            (true, true) => self.ranges[at - 1].1 = self.ranges.remove(at).1,
            (true, false) => self.ranges[at - 1].1 = number,
            (false, true) => self.ranges[at].0 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
    }

    /// Whether a frame that is not there can be one of this stream.
    fn check_end(&self, frame: &Frame<'_>) -> Result<(), FrameError> {
        let number = frame.number;
        let newest = self.ranges.last().map_or(0, |range| range.1);
        let (found, expected) = match self.last {
            Some(last) if frame.is_last => (format!("{number}, of another last frame"), format!("only {last}")),
            Some(last) if number > last => (number.to_string(), format!("at most {last}, the last one's")),
            None if frame.is_last && number < newest => {
                (format!("{number}, of the last frame"), format!("more than {newest}, which was taken"))
            }
            _ => return Ok(()),
        };
        Err(frame.number_error(found, expected))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::{FrameWriter, Kind, Name, Settings, Value};
    use super::*;

    /// The frames of a stream, of no rows.
    fn stream(count: u32) -> Vec<Vec<u8>> {
        let settings = [
            (Name::Seed, Value::Number(7)),
            (Name::MaxKeys, Value::Number(1)),
            (Name::Metrics, Value::Texts(vec!["clicks".to_owned()])),
        ];
        let mut writer = FrameWriter::new(Kind::Counters, StreamId::random(), &Settings::new(Kind::Counters, settings));
        (1..=count).map(|number| writer.finish(number == count)).collect()
    }

    fn claim(taken: &Taken, bytes: &[u8]) -> Result<Claim, String> {
        taken.claim(&Frame::read(bytes).expect("a frame")).map_err(|error| error.to_string())
    }

    proptest! {
        #[test]
        fn a_frame_is_taken_once_whatever_the_order(
            numbers in prop::collection::vec((0..2_usize, 0..12_usize), 0..60),
        ) {
            let streams = [stream(12), stream(12)];
            let (taken, mut twin) = (Taken::default(), HashSet::new());
            for (which, number) in numbers {
                let expected = if twin.insert((which, number)) { Claim::New } else { Claim::AlreadyTaken };
                prop_assert_eq!(claim(&taken, &streams[which][number]), Ok(expected));
                let id = Frame::read(&streams[which][0]).expect("a frame").stream;
                let is_complete = (0..12).all(|number| twin.contains(&(which, number)));
                prop_assert_eq!(taken.is_complete(id), is_complete);
            }
            prop_assert_eq!(taken.info().frames, twin.len() as u64);
        }
    }

    #[test]
    fn frames_that_were_taken_before_a_restart_are_not_taken_again() {
        let frames = stream(4);
        let id = Frame::read(&frames[0]).expect("a frame").stream;
        let taken = Taken::default();
        for (number, is_last) in [(3, true), (0, false), (1, false), (0, false)] {
            taken.restore(id, number, is_last);
        }
        assert_eq!(taken.info().frames, 3);
        let claims: Vec<_> = frames.iter().map(|frame| claim(&taken, frame)).collect();
        assert_eq!(claims, [Claim::AlreadyTaken, Claim::AlreadyTaken, Claim::New, Claim::AlreadyTaken].map(Ok));
        assert!(taken.is_complete(id));
    }

    #[test]
    fn a_stream_that_comes_in_order_takes_no_more_memory_the_longer_it_is() {
        let bytes = |count| {
            let taken = Taken::default();
            stream(count).iter().for_each(|frame| assert_eq!(claim(&taken, frame), Ok(Claim::New)));
            taken.info().memory_bytes
        };
        assert_eq!(bytes(2), bytes(2_000));
    }

    #[test]
    fn rejects_frames_past_the_last_one_of_their_stream() {
        let (short, long) = (stream(2), stream(5));
        // As if the short stream's frames had the other one's number.
        let id = Frame::read(&long[0]).expect("a frame").stream;
        let of_long = |bytes: &[u8]| {
            let mut bytes = bytes[..bytes.len() - 4].to_vec();
            bytes[16..32].copy_from_slice(&id.0);
            let checksum = crc32c::crc32c(&bytes);
            [bytes, checksum.to_le_bytes().to_vec()].concat()
        };
        let last_of_short = of_long(&short[1]);
        let taken = Taken::default();
        assert_eq!(claim(&taken, &last_of_short), Ok(Claim::New));
        let message = "number: 3, expected at most 1, the last one's (byte 12 of the frame)";
        assert_eq!(claim(&taken, &long[3]), Err(message.to_owned()));
        let message = "number: 4, of another last frame, expected only 1 (byte 12 of the frame)";
        assert_eq!(claim(&taken, &long[4]), Err(message.to_owned()));

        let taken = Taken::default();
        assert_eq!(claim(&taken, &long[3]), Ok(Claim::New));
        let message = "number: 1, of the last frame, expected more than 3, which was taken (byte 12 of the frame)";
        assert_eq!(claim(&taken, &last_of_short), Err(message.to_owned()));
    }

    #[test]
    fn rejects_streams_once_there_are_parts_of_too_many() {
        let taken = Taken::default();
        taken.0.lock().ranges = MAX_RANGES - 1;
        let (one, other) = (stream(4), stream(4));
        assert_eq!(claim(&taken, &one[0]), Ok(Claim::New));
        assert!(claim(&taken, &other[0]).expect_err("no room").contains("at most 65536 parts of streams"));
        assert!(claim(&taken, &one[2]).is_err());
        // What needs no further part still has room.
        assert_eq!([claim(&taken, &one[1]), claim(&taken, &one[2])], [Ok(Claim::New), Ok(Claim::New)]);
        assert_eq!(claim(&taken, &one[0]), Ok(Claim::AlreadyTaken));
    }
}
