//! Whoever waits until what was recorded is on disk: a process by a message, a thread that may wait by waiting.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;

use ad_tally_core::store::{Store as Core, SyncError};
use rustler::{Encoder, Env, NifResult, Term};

use super::Store;
use super::refusal::Refusal;
use crate::atoms;
use crate::messages::Receiver;
use crate::resource::{self, resource};

/// A process that waits for a message.
pub struct Waiting {
    /// Whether it was sent, or is not wanted any more.
    is_over: Arc<AtomicBool>,
}

resource!(Waiting, c"store_sync", "what AdTally.Native.store_sync/2 has returned");

/// Has what was recorded before be on disk. The caller gets `{ref, :ok | {:error, text}}`. The store's lock is held for moments
/// only, never while it waits for a disk.
#[rustler::nif]
fn store_sync<'a>(env: Env<'a>, store: Term<'a>, tag: Term<'a>) -> NifResult<Term<'a>> {
    let store: &Store = resource::expect(store)?;
    let receiver = Receiver::new(env.pid(), tag);
    let is_over = Arc::<AtomicBool>::default();
    let waiting = Waiting { is_over: is_over.clone() };
    store.open.core.sync(Box::new(move |result| {
        if !is_over.swap(true, Relaxed) {
            receiver.send(move |env| encode(env, &result));
        }
    }));
    Ok(resource::make(env, waiting))
}

/// Does not wait any more: whether no message comes. Otherwise one was sent, or is being sent.
#[rustler::nif]
fn store_sync_cancel(waiting: Term<'_>) -> NifResult<bool> {
    let waiting: &Waiting = resource::expect(waiting)?;
    Ok(!waiting.is_over.swap(true, Relaxed))
}

fn encode<'a>(env: Env<'a>, result: &Result<(), SyncError>) -> Term<'a> {
    match result {
        Ok(()) => atoms::ok().to_term(env),
        Err(error) => (atoms::error(), error.to_string()).encode(env),
    }
}

/// Waits until what was recorded before is on disk.
pub fn wait(core: &Core) -> Result<(), Refusal> {
    wait_for(|done| core.sync(done))
}

/// Waits until what was recorded before is in an interval that has ended.
pub fn wait_for_barrier(core: &Core) -> Result<(), Refusal> {
    wait_for(|done| core.barrier(done))
}

type Done = Box<dyn FnOnce(Result<(), SyncError>) + Send>;

fn wait_for(ask: impl FnOnce(Done)) -> Result<(), Refusal> {
    let (answer, answered) = sync_channel(1);
    ask(Box::new(move |result| {
        let _ = answer.send(result);
    }));
    // Whoever is asked answers, or is gone.
    answered.recv().unwrap_or(Err(SyncError::Stopped)).map_err(Refusal::from)
}
