//! Messages to processes, from any thread.
//!
//! The VM takes a message from a thread that is none of its own, with an environment of the sender's. On a thread of its own it
//! wants the environment of the call, which whoever is called back there does not have: such a message goes by a thread that
//! is there for that.

use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustler::env::{OwnedEnv, SavedTerm};
use rustler::{Encoder, Env, LocalPid, Term};

/// What is sent by the thread for those that are called back on a thread of the VM.
type Job = Box<dyn FnOnce() + Send>;

static SENDER: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = channel::<Job>();
    let send_all = move || jobs.into_iter().for_each(|job| job());
    thread::Builder::new().name("ad_tally_messages".into()).spawn(send_all).ok().map(|_thread| sender)
});

/// A process that waits for messages which begin with a term that it has given, such as a reference.
pub struct Receiver {
    pid: LocalPid,
    env: OwnedEnv,
    tag: SavedTerm,
}

impl Receiver {
    /// A process, and what its messages begin with.
    pub fn new(pid: LocalPid, tag: Term<'_>) -> Self {
        let env = OwnedEnv::new();
        let tag = env.save(tag);
        Self { pid, env, tag }
    }

    /// Sends `{tag, message}`. Whoever calls this does not wait.
    pub fn send(self, message: impl for<'a> FnOnce(Env<'a>) -> Term<'a> + Send + 'static) {
        let Self { pid, mut env, tag } = self;
        post(move || {
            // A process that has ended gets none.
            let _ = env.send_and_clear(&pid, |env| (tag.load(env), message(env)).encode(env));
        });
    }
}

/// Sends a message to a process. Whoever calls this does not wait.
pub fn send(pid: LocalPid, message: impl for<'a> FnOnce(Env<'a>) -> Term<'a> + Send + 'static) {
    post(move || {
        let _ = OwnedEnv::new().send_and_clear(&pid, message);
    });
}

/// Does it on a thread that is none of the VM's: this one, or the one that is there for that.
fn post(job: impl FnOnce() + Send + 'static) {
    if !rustler::thread::is_scheduler_thread() {
        job();
    } else if let Some(sender) = &*SENDER {
        let _ = sender.send(Box::new(job));
    }
}
