//! The parts that a store has: by name, each with a number, a seed, and the configurations that it had.

use super::error::Error;
use super::manifest::{ConfigMeta, PartMeta};
use super::shared::{Shared, now_us};
use super::{Info, PartInfo, Store};
use crate::codec::StreamId;

/// A part of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its number, which its records have.
    pub number: u16,
    /// The number of the configuration that was given, if the part had it before, or is new. Otherwise
    /// [`Store::add_config`] gives it one.
    pub config: Option<u32>,
    /// The seed of its hashes.
    pub seed: u64,
    /// When it was made, in microseconds since 1970.
    pub epoch: u64,
    /// Whether the store did not know it.
    pub is_new: bool,
    /// All configurations that it had, from the first one to the newest.
    pub configs: Vec<ConfigMeta>,
}

impl Store {
    /// Finds a part by its name, or makes it, which is durable then. Without a seed it has its own, random at first.
    ///
    /// # Errors
    /// That it is of another kind or has another seed, that there are too many, or what the disk says. Nothing is changed then.
    pub fn part(&self, name: &str, kind: &str, seed: Option<u64>, config: &str) -> Result<Opened, Error> {
        let manifest = self.shared.manifest();
        if let Some(part) = manifest.parts.iter().find(|part| part.name == name) {
            return found(part, kind, seed, config);
        }
        self.shared.change(
            |manifest| {
                // Another caller may have made it meanwhile.
                if let Some(part) = manifest.parts.iter().find(|part| part.name == name) {
                    return found(part, kind, seed, config);
                }
                let number = manifest.parts.iter().map(|part| part.number).max().unwrap_or(0).checked_add(1);
                let number = number.ok_or_else(|| Error::Part("a store has at most 65535 parts".to_owned()))?;
                let random = random();
                let (low, high) = (random as u64, (random >> 64) as u64);
                let part = PartMeta {
                    number,
                    name: name.to_owned(),
                    kind: kind.to_owned(),
                    seed: seed.unwrap_or(low ^ high.rotate_left(32)),
                    epoch: now_us(),
                    configs: vec![ConfigMeta { number: 0, text: config.to_owned() }],
                };
                let opened = found(&part, kind, seed, config)?;
                manifest.parts.push(part);
                Ok(Opened { is_new: true, ..opened })
            },
            |_| {},
        )
    }

    /// Notes a configuration of a part, which is its newest one: its number. It is durable then.
    ///
    /// # Errors
    /// That there is no such part, or what the disk says.
    pub fn add_config(&self, part: u16, config: &str) -> Result<u32, Error> {
        self.shared.change(
            |manifest| {
                let part = manifest.parts.iter_mut().find(|other| other.number == part);
                let part = part.ok_or_else(|| Error::Part("the store has no such part".to_owned()))?;
                let number = part.configs.last().map_or(0, |last| last.number + 1);
                part.configs.push(ConfigMeta { number, text: config.to_owned() });
                Ok(number)
            },
            |_| {},
        )
    }

    /// All parts. Never waits for the disk.
    #[must_use]
    pub fn parts(&self) -> Vec<PartMeta> {
        self.shared.manifest().parts.clone()
    }
}

fn found(part: &PartMeta, kind: &str, seed: Option<u64>, config: &str) -> Result<Opened, Error> {
    let PartMeta { number, name, seed: own, epoch, configs, kind: own_kind } = part;
    if own_kind != kind {
        return Err(Error::Part(format!("{name:?} is a {own_kind} in this store, not a {kind}: give it another name")));
    }
    if seed.is_some_and(|seed| seed != *own) {
        return Err(Error::Part(format!(
            "{name:?} has another seed in this store: leave the seed away, or give it that one"
        )));
    }
    Ok(Opened {
        number: *number,
        config: configs.iter().rev().find(|known| known.text == config).map(|known| known.number),
        seed: *own,
        epoch: *epoch,
        is_new: false,
        configs: configs.clone(),
    })
}

/// A random number.
pub(super) fn random() -> u128 {
    u128::from_le_bytes(StreamId::random().0)
}

impl Shared {
    pub(super) fn info(&self) -> Info {
        let progress = self.progress.lock().clone();
        let journal = self.journal.stats();
        let files = self.files.lock();
        let manifest = &files.manifest;
        let sum = |is_base| manifest.runs.iter().filter(|run| (run.level == 0) == is_base).map(|run| run.bytes).sum();
        let part = |part: &PartMeta| PartInfo {
            name: part.name.clone(),
            kind: part.kind.clone(),
            is_attached: self.fold(part.number).is_some(),
            entries: manifest.runs_of(part.number).map(|run| run.entries).sum(),
            bytes: manifest.runs_of(part.number).map(|run| run.bytes).sum(),
        };
        let lag_bytes = journal.waiting_bytes as u64 + progress.waiting_bytes;
        let lag = progress.waiting_since.or((lag_bytes > 0).then_some(progress.last_cut).flatten());
        Info {
            opened: self.opened,
            lag_ms: lag.map_or(0, |since| since.elapsed().as_millis() as u64),
            lag_bytes,
            records: progress.records,
            busy: journal.refusals,
            intervals: progress.intervals,
            written_bytes: progress.written_bytes,
            syncs: progress.syncs,
            last_sync_us: progress.last_sync_us,
            max_sync_us: progress.max_sync_us,
            sync_times: progress.sync_times,
            errors: progress.errors,
            error: progress.error,
            files: 1 + (manifest.runs.len() + files.segments.len()) as u64,
            segment_bytes: files.segments.iter().map(|segment| segment.bytes).sum(),
            run_bytes: sum(false),
            base_bytes: sum(true),
            compactions: progress.compactions,
            compaction_errors: progress.compaction_errors,
            compacted_bytes: progress.compacted_bytes,
            torn_bytes: progress.torn_bytes,
            dropped_bytes: progress.dropped_bytes,
            parts: manifest.parts.iter().map(part).collect(),
        }
    }
}
