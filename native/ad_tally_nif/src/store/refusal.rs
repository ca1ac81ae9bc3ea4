//! Why a store, or a part of one, is not had: `{:error, {kind, text}}`.

use ad_tally_core::store::{Error, OpenError, SyncError};
use rustler::sys::enif_raise_exception;
use rustler::{Atom, Encoder, Env, Term};

use crate::atoms;

/// Why not. The text is for an error or a log.
pub struct Refusal {
    kind: Kind,
    text: String,
}

enum Kind {
    Locked,
    Corrupt,
    Version,
    Io,
    Config,
    Running,
    Stopped,
}

impl Refusal {
    /// The disk refused.
    pub(super) fn io(text: String) -> Self {
        Self { kind: Kind::Io, text }
    }

    /// Another process has the store.
    pub(super) fn locked(text: String) -> Self {
        Self { kind: Kind::Locked, text }
    }

    /// Another process has the part.
    pub(super) fn running(part: &str, name: &str) -> Self {
        Self { kind: Kind::Running, text: format!("another process has the {part} {name}, and still runs") }
    }

    /// The store is stopped.
    pub(super) fn stopped() -> Self {
        SyncError::Stopped.into()
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Locked { .. } => Kind::Locked,
            OpenError::Corrupt { .. } => Kind::Corrupt,
            OpenError::Version { .. } => Kind::Version,
            OpenError::Disk(_) => Kind::Io,
        };
        Self { kind, text: error.to_string() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Disk { .. } => Kind::Io,
            Error::Damaged(_) | Error::Restore(_) => Kind::Corrupt,
            Error::Version { .. } => Kind::Version,
            Error::Part(_) => Kind::Config,
            Error::Stopped => Kind::Stopped,
        };
        Self { kind, text: error.to_string() }
    }
}

impl From<SyncError> for Refusal {
    fn from(error: SyncError) -> Self {
        let kind = match &error {
            SyncError::Disk(_) => Kind::Io,
            SyncError::Stopped => Kind::Stopped,
        };
        Self { kind, text: error.to_string() }
    }
}

impl Encoder for Refusal {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let kind: Atom = match self.kind {
            Kind::Locked => atoms::locked(),
            Kind::Corrupt => atoms::corrupt(),
            Kind::Version => atoms::version(),
            Kind::Io => atoms::io(),
            Kind::Config => atoms::config(),
            Kind::Running => atoms::running(),
            Kind::Stopped => atoms::stopped(),
        };
        (atoms::error(), (kind, &self.text)).encode(env)
    }
}

/// Raises an `AdTally.StoreError` in the calling process: its store has no room. What is returned goes back to the VM at once.
#[cold]
pub fn raise_busy<'a>(env: Env<'a>, reason: &str) -> Term<'a> {
    let module = atoms::store_error().to_term(env);
    let pairs = [
        (atoms::__struct__().to_term(env), module),
        (atoms::__exception__().to_term(env), true.encode(env)),
        (atoms::kind().to_term(env), atoms::busy().to_term(env)),
        (atoms::reason().to_term(env), reason.encode(env)),
    ];
    let error = Term::map_from_pairs(env, &pairs).unwrap_or(module);
    // SAFETY: the error is of this environment, and so is what says that there is one.
    unsafe { Term::new(env, enif_raise_exception(env.as_c_arg(), error.as_c_arg())) }
}

/// What is answered: what there is, or why not.
pub fn answer<'a>(env: Env<'a>, result: Result<impl Encoder, Refusal>) -> Term<'a> {
    result.map_or_else(|refusal| refusal.encode(env), |value| value.encode(env))
}
