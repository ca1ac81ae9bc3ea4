//! What attribution knows, as frames: touches, aliases and marks of users, and conversions.
//!
//! What was booked stays behind: windows leave by sinks, and who takes a final conversion in does not book it once more. A
//! provisional one is booked by whoever has it when its window is closed.
//!
//! * `row`: the format of rows; `write`, `read`: rows out of a table, and into what `import` unites with another one

mod import;
mod read;
mod row;
mod write;

use self::write::RowWriter;
use super::Attribution;
use super::ring::{Key, Owned};
use super::types::{Counting, Model};
use crate::codec::{COUNTINGS, FrameWriter, Kind, MODELS, Name, Said, Settings, StreamId, TIME_DECAY, Value};
use crate::key::AtomNames;

/// What kinds, actions and dimensions are called beside the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// How many dimensions a touch has.
    pub dimensions: usize,
    /// The kinds of touches, in the order of their lookbacks.
    pub kinds: Vec<String>,
    /// The actions of conversions, in their order.
    pub actions: Vec<String>,
}

/// An export of an attribution.
pub struct Export {
    frames: FrameWriter,
    row: RowWriter,
    /// The bucket of users that is next, if there is one, and users of the one before.
    bucket: Option<u64>,
    users: Vec<(Key, Owned)>,
    /// The shard of orders that is next, and those of the one before.
    shard: usize,
    orders: Vec<u64>,
    is_done: bool,
}

impl Export {
    /// The next frame. `None` after the last one. `of` is the attribution that the export was begun of.
    ///
    /// # Panics
    /// If an atom in dimensions has no text.
    pub fn next_frame(&mut self, of: &Attribution, atoms: &impl AtomNames) -> Option<Vec<u8>> {
        while let Some(user) = self.next_user(of) {
            if !self.write_user(user, of, atoms) {
                return Some(self.frames.finish(false));
            }
        }
        while let Some(order) = self.next_order(of) {
            if !self.write_conversion(order, of, atoms) {
                return Some(self.frames.finish(false));
            }
        }
        (!std::mem::replace(&mut self.is_done, true)).then(|| self.frames.finish(true))
    }

    /// The next user.
    fn next_user(&mut self, of: &Attribution) -> Option<(Key, Owned)> {
        while self.users.is_empty()
            && let Some(bucket) = self.bucket
        {
            self.bucket = of.ring.visit(bucket, 1, |key, owned| self.users.push((key, owned)));
        }
        self.users.pop()
    }

    /// Writes as much of a user as a row has. False if it had no room in the frame.
    fn write_user(&mut self, (key, mut owned): (Key, Owned), of: &Attribution, atoms: &impl AtomNames) -> bool {
        let Self { frames, row, users, .. } = self;
        let mut is_left = false;
        let has_room = frames.row(|writer| is_left = row.user(key, &mut owned, of, atoms, writer));
        if is_left {
            users.push((key, owned));
        }
        has_room
    }

    /// The next order. Those that were used longest ago come first, so that the others stay where there is less room.
    fn next_order(&mut self, of: &Attribution) -> Option<u64> {
        while self.orders.is_empty() && self.shard < of.orders.shards() {
            self.orders.extend(of.orders.lock_shard(self.shard).iter().map(|(order, _record)| order));
            self.orders.reverse();
            self.shard += 1;
        }
        self.orders.pop()
    }

    /// Writes a conversion, if it is still known. False if it had no room in the frame.
    fn write_conversion(&mut self, order: u64, of: &Attribution, atoms: &impl AtomNames) -> bool {
        let Self { frames, row, .. } = self;
        let Some(record) = of.orders.lock(order).get(order).cloned() else { return true };
        frames.row(|writer| row.conversion(order, &record, of, atoms, writer))
    }
}

impl Attribution {
    /// The settings of its frames now.
    #[must_use]
    pub fn settings(&self, names: &Names) -> Settings {
        let config = &self.config;
        let touches = names.kinds.iter().zip(&config.lookbacks);
        let touches = touches.map(|(name, lookback)| (name.clone(), Said::Number(*lookback)));
        let conversions = names.actions.iter().zip(&config.actions);
        let conversions = conversions.map(|(name, counting)| (name.clone(), Said::Word(word(*counting).to_owned())));
        let number = |number: usize| Value::Number(number as u64);
        Settings::new(
            Kind::Attribution,
            [
                (Name::Seed, Value::Number(self.seed.value())),
                (Name::Dimensions, number(names.dimensions)),
                (Name::Touches, Value::Named(touches.collect())),
                (Name::Prevail, Value::Flag(config.prevail)),
                (Name::Collapse, Value::Flag(config.collapse)),
                (Name::Models, Value::Named(config.models.iter().map(|model| said(*model)).collect())),
                (Name::Conversions, Value::Named(conversions.collect())),
                (Name::TouchesPerUser, number(config.touches_per_user)),
                (Name::Users, number(config.users)),
                (Name::Buckets, Value::Number(self.ring.buckets())),
                (Name::Orders, number(config.orders)),
                (Name::AdjustableFor, Value::Number(config.adjustable_for)),
                (Name::MaxKeys, number(config.max_keys)),
                (Name::Newest, Value::Number(self.windows.newest())),
            ],
        )
    }

    /// Begins an export of what there is from now on.
    #[must_use]
    pub fn frames(&self, names: &Names) -> Export {
        let frames = FrameWriter::new(Kind::Attribution, StreamId::random(), &self.settings(names));
        let (users, orders) = (Vec::new(), Vec::new());
        Export { frames, row: RowWriter::default(), bucket: Some(0), users, shard: 0, orders, is_done: false }
    }
}

fn word(counting: Counting) -> &'static str {
    match counting {
        Counting::Every => COUNTINGS[0],
        Counting::OncePerUser => COUNTINGS[1],
        Counting::OncePerTouch => COUNTINGS[2],
    }
}

fn said(model: Model) -> (String, Said) {
    let (name, said) = match model {
        Model::LastTouch => (MODELS[0], Said::Nothing),
        Model::FirstTouch => (MODELS[1], Said::Nothing),
        Model::Linear => (MODELS[2], Said::Nothing),
        Model::PositionBased => (MODELS[3], Said::Nothing),
        Model::TimeDecay { half_life } => (TIME_DECAY, Said::Number(half_life)),
    };
    (name.to_owned(), said)
}
