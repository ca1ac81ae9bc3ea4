//! What is raised for bad arguments: an `ArgumentError` that names what was given and what it may be.
//!
//! It is raised from here, complete, because an Elixir clause that waits for the result in order to raise costs every
//! call 5 ns (the call to the NIF is then no tail call), and these messages cost nothing until they are needed.

use ad_tally_core::Error;
use ad_tally_core::key::KeyFault;
use ad_tally_core::time::UnknownZone;
use rustler::sys::{ErlNifTerm, enif_raise_exception};
use rustler::{Encoder, Env, Term};

use super::shown::shown;
use crate::atoms;

/// Why a call was refused: the message of the error.
pub struct BadArgument(String);

impl BadArgument {
    /// The message of the error.
    pub fn message(&self) -> &str {
        &self.0
    }

    /// The same of an element of a list, from 0 as `Enum.at/2` counts.
    #[cold]
    pub fn at_index(self, index: usize) -> Self {
        Self(format!("{} (at index {index} of the list)", self.0))
    }

    /// The same of what a list has after so many elements instead of its end.
    #[cold]
    pub fn after(self, elements: usize) -> Self {
        let elements = if elements == 1 { "1 element".to_owned() } else { format!("{elements} elements") };
        Self(format!("{} (after {elements} of the list)", self.0))
    }
}

/// What is raised by a function that `#[rustler::nif]` declares.
impl From<BadArgument> for rustler::Error {
    fn from(error: BadArgument) -> Self {
        rustler::Error::RaiseTerm(Box::new(error))
    }
}

impl Encoder for BadArgument {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        exception(env, atoms::argument_error(), &self.0)
    }
}

fn exception<'a>(env: Env<'a>, module: rustler::Atom, message: &str) -> Term<'a> {
    let pairs = [
        (atoms::__struct__().encode(env), module.encode(env)),
        (atoms::__exception__().encode(env), true.encode(env)),
        (atoms::message().encode(env), message.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs).unwrap_or_else(|_| module.encode(env))
}

/// Raises it in the calling process.
#[cold]
pub fn raise(env: Env<'_>, error: &BadArgument) -> ErlNifTerm {
    let reason = error.encode(env).as_c_arg();
    // SAFETY: the reason is of this environment, and what is returned goes back to the VM at once.
    unsafe { enif_raise_exception(env.as_c_arg(), reason) }
}

/// Raises a `RuntimeError` for a panic.
#[cold]
pub fn raise_panic(env: Env<'_>, message: &str) -> ErlNifTerm {
    let reason = exception(env, atoms::runtime_error(), message).as_c_arg();
    // SAFETY: as in `raise`.
    unsafe { enif_raise_exception(env.as_c_arg(), reason) }
}

/// What is refused for a reason that is a whole message.
#[cold]
pub fn refused(message: String) -> BadArgument {
    BadArgument(message)
}

/// The argument is not a reference to the right kind of thing.
#[cold]
pub fn not_a(description: &str, term: Term<'_>) -> BadArgument {
    BadArgument(format!("expected {description}, got: {}", shown(term)))
}

/// The process of that name has ended, or there never was one. `AdTally.Named` has the same words.
#[cold]
pub fn not_running(module: &str, name: Term<'_>) -> BadArgument {
    let name = shown(name);
    BadArgument(format!(
        "there is no {module} named {name} that runs: start it under a supervisor, before what uses it; if it has \
         crashed or was stopped, try again once it runs again"
    ))
}

/// The amount is no 64-bit integer.
#[cold]
pub fn amount(term: Term<'_>) -> BadArgument {
    BadArgument(format!("an amount is an integer of 64 bits (-2^63 to 2^63 - 1), got: {}", shown(term)))
}

/// The term is no time.
#[cold]
pub fn time(term: Term<'_>) -> BadArgument {
    BadArgument(format!("a time is an integer of milliseconds since 1970, 0 or more, got: {}", shown(term)))
}

/// The term is no amount that may be reserved.
#[cold]
pub fn max_price(term: Term<'_>) -> BadArgument {
    BadArgument(format!("a price to reserve is an integer of micros from 1 to 2^54 - 1, got: {}", shown(term)))
}

/// The term is no price.
#[cold]
pub fn price(term: Term<'_>) -> BadArgument {
    BadArgument(format!("a price is an integer of micros from 0 to 2^54 - 1, got: {}", shown(term)))
}

/// A reservation cannot live that long.
#[cold]
pub fn ttl(term: Term<'_>, most: u64) -> BadArgument {
    BadArgument(format!("expected :ttl to be milliseconds, an integer from 1 to {most}, got: {}", shown(term)))
}

/// The term is no user.
#[cold]
pub fn user(term: Term<'_>) -> BadArgument {
    BadArgument(format!(
        "a user is an integer from -2^63 to 2^64 - 1 or a binary of 1 to 65536 bytes, got: {}",
        shown(term)
    ))
}

/// The term is no sketch.
#[cold]
pub fn sketch(term: Term<'_>, why: Option<ad_tally_core::sketch::FormatError>) -> BadArgument {
    let why = why.map(|error| format!(" (its bytes are none: {error})")).unwrap_or_default();
    BadArgument(format!("expected an AdTally.Sketch, got: {}{why}", shown(term)))
}

/// The term is no key.
#[cold]
pub fn key(term: Term<'_>, fault: KeyFault) -> BadArgument {
    let why = match fault {
        KeyFault::Empty(why) => return BadArgument(format!("{why}, got: {}", shown(term))),
        KeyFault::Type | KeyFault::Room(_) => String::new(),
        fault => format!(" ({fault})"),
    };
    BadArgument(format!(
        "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, or a tuple of one to eight of \
         those, got: {}{why}",
        shown(term)
    ))
}

/// The term is no id of a touch or an order: that of the field with this name.
#[cold]
pub fn plain_id(field: &str, term: Term<'_>) -> BadArgument {
    BadArgument(format!(
        "expected {field}: an integer of 64 bits (-2^63 to 2^63 - 1) or a binary of 1 to 65536 bytes, got: {}",
        shown(term)
    ))
}

/// The dimensions are no tuple of as many as a meter or an attribution has.
#[cold]
pub fn dimensions(term: Term<'_>, arity: usize, whose: &str) -> BadArgument {
    BadArgument(format!("expected a tuple of {arity} dimensions, one for each the {whose} has, got: {}", shown(term)))
}

/// What an event has cost is not what a touch may have cost.
#[cold]
pub fn cost(metric: Term<'_>, cost: i128, metrics: Term<'_>) -> BadArgument {
    BadArgument(format!(
        "expected the {} of an event that is a touch, its cost, to be from 0 to 2^62 - 1, got: {cost} in {}",
        shown(metric),
        shown(metrics)
    ))
}

/// The attribution has another number of dimensions than when the meter was started.
#[cold]
pub fn other_dimensions(expected: usize, got: usize) -> BadArgument {
    BadArgument(format!(
        "expected an AdTally.Attribution of {expected} dimensions, as it had when the meter was started, got: one of {got} \
         (start the meter again after it)"
    ))
}

/// The field is none of the names that are known.
#[cold]
pub fn one_of<'a>(field: &str, known: impl Iterator<Item = Term<'a>>, term: Term<'a>) -> BadArgument {
    let known: Vec<String> = known.map(shown).collect();
    BadArgument(format!("expected {field}: one of [{}], got: {}", known.join(", "), shown(term)))
}

/// The metrics are no list of names and amounts.
#[cold]
pub fn metrics(term: Term<'_>, most: usize) -> BadArgument {
    BadArgument(format!("expected a keyword list of at most {most} metrics and amounts, got: {}", shown(term)))
}

/// The metric is none of the table's.
#[cold]
pub fn metric<'a>(term: Term<'a>, known: impl Iterator<Item = Term<'a>>) -> BadArgument {
    let known: Vec<String> = known.map(shown).collect();
    BadArgument(format!("unknown metric {}, the table has: {}", shown(term), known.join(", ")))
}

/// An element of a list is not what it should be.
#[cold]
pub fn item(term: Term<'_>, expected: &str) -> BadArgument {
    BadArgument(format!("expected a {expected}, got: {}", shown(term)))
}

/// The argument is not a proper list: after so many elements it has this term instead of an element or its end.
#[cold]
pub fn list(term: Term<'_>, item: &str, elements: usize) -> BadArgument {
    let error = BadArgument(format!("expected a proper list of {item}s, got: {}", shown(term)));
    if elements == 0 { error } else { error.after(elements) }
}

/// A name that no time zone has.
impl From<UnknownZone> for BadArgument {
    fn from(error: UnknownZone) -> Self {
        Self(error.to_string())
    }
}

/// An argument that the core refused.
impl From<Error> for BadArgument {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}
