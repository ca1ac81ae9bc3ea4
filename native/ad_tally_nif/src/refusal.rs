//! What is raised for bad arguments: an `ArgumentError` that names what was given and what it may be.
//!
//! It is raised from here, complete, because an Elixir clause that waits for the result in order to raise costs every
//! call 5 ns (the call to the NIF is then no tail call), and these messages cost nothing until they are needed.

use rustler::sys::{ErlNifTerm, enif_raise_exception};
use rustler::{Encoder, Env, Term};

use crate::args::KeyFault;
use crate::atoms;

/// Why a call was refused: the message of the error.
pub struct Refusal(String);

/// What is raised by a function that `#[rustler::nif]` declares.
impl From<Refusal> for rustler::Error {
    fn from(refusal: Refusal) -> Self {
        rustler::Error::RaiseTerm(Box::new(refusal))
    }
}

impl Encoder for Refusal {
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
pub fn raise(env: Env<'_>, refusal: &Refusal) -> ErlNifTerm {
    let reason = refusal.encode(env).as_c_arg();
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

/// The argument is not a reference to the right kind of thing.
#[cold]
pub fn not_a(description: &str, term: Term<'_>) -> Refusal {
    Refusal(format!("expected {description}, got: {}", inspect(term)))
}

/// There is no meter of that name.
#[cold]
pub fn no_meter(name: Term<'_>) -> Refusal {
    Refusal(format!("there is no AdTally.Meter named {} that runs", inspect(name)))
}

/// The amount is no 64-bit integer.
#[cold]
pub fn amount(term: Term<'_>) -> Refusal {
    Refusal(format!("an amount is an integer of 64 bits (-2^63 to 2^63 - 1), got: {}", inspect(term)))
}

/// The term is no time.
#[cold]
pub fn time(term: Term<'_>) -> Refusal {
    Refusal(format!("a time is an integer of milliseconds since 1970, 0 or more, got: {}", inspect(term)))
}

/// The term is no user.
#[cold]
pub fn user(term: Term<'_>) -> Refusal {
    Refusal(format!(
        "a user is an integer from -2^63 to 2^64 - 1 or a binary of 1 to 65536 bytes, got: {}",
        inspect(term)
    ))
}

/// The term is no sketch.
#[cold]
pub fn sketch(term: Term<'_>, why: Option<ad_tally_core::sketch::FormatError>) -> Refusal {
    let why = why.map(|error| format!(" (its bytes are none: {error})")).unwrap_or_default();
    Refusal(format!("expected an AdTally.Sketch, got: {}{why}", inspect(term)))
}

/// The term is no key.
#[cold]
pub fn key(term: Term<'_>, fault: KeyFault) -> Refusal {
    let why = match fault {
        KeyFault::Empty(why) => return Refusal(format!("{why}, got: {}", inspect(term))),
        KeyFault::Length(error) => format!(" ({error})"),
        KeyFault::Type | KeyFault::Room(_) => String::new(),
    };
    Refusal(format!(
        "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, or a tuple of one to eight of \
         those, got: {}{why}",
        inspect(term)
    ))
}

/// The dimensions are no tuple of as many.
#[cold]
pub fn dimensions(term: Term<'_>, arity: usize) -> Refusal {
    Refusal(format!("expected a tuple of {arity} dimensions, one for each the meter has, got: {}", inspect(term)))
}

/// The metrics are no list of names and amounts.
#[cold]
pub fn metrics(term: Term<'_>, most: usize) -> Refusal {
    Refusal(format!("expected a keyword list of at most {most} metrics and amounts, got: {}", inspect(term)))
}

/// The metric is none of the table's.
#[cold]
pub fn metric<'a>(term: Term<'a>, known: impl Iterator<Item = Term<'a>>) -> Refusal {
    let known: Vec<String> = known.map(inspect).collect();
    Refusal(format!("unknown metric {}, the table has: {}", inspect(term), known.join(", ")))
}

/// An element of a list is not what it should be.
#[cold]
pub fn item(term: Term<'_>, expected: &str) -> Refusal {
    Refusal(format!("expected a {expected}, got: {}", inspect(term)))
}

/// The argument is not a proper list.
#[cold]
pub fn list(term: Term<'_>, item: &str) -> Refusal {
    Refusal(format!("expected a proper list of {item}s, got: {}", inspect(term)))
}

/// An argument that the core refused.
impl From<ad_tally_core::Error> for Refusal {
    fn from(error: ad_tally_core::Error) -> Self {
        Self(error.to_string())
    }
}

/// How Elixir would show the term, as far as a message needs it: text, names, numbers, tuples and lists as in Elixir,
/// the rest as in Erlang, and no more than a line of it.
fn inspect(term: Term<'_>) -> String {
    const LINE: usize = 200;
    let mut text = String::new();
    write(&mut text, term, 0);
    if let Some((end, _)) = text.char_indices().nth(LINE) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn write(text: &mut String, term: Term<'_>, depth: usize) {
    use rustler::TermType::{Atom, Binary, Float, List, Tuple};
    const DEEPEST: usize = 4;
    const MOST: usize = 10;
    match term.get_type() {
        Atom => match term.atom_to_string() {
            Ok(name) => match name.strip_prefix("Elixir.") {
                Some(module) => text.push_str(module),
                None if matches!(name.as_str(), "nil" | "true" | "false") => text.push_str(&name),
                None if is_plain(&name) => text.extend([":", name.as_str()]),
                None => text.push_str(&format!(":{name:?}")),
            },
            // The function that reads atoms knows Latin-1 only before NIF 2.17.
            Err(_) => text.push_str(&format!("{term:?}")),
        },
        Binary => match term.decode::<&str>() {
            Ok(string) => text.push_str(&format!("{string:?}")),
            Err(_) => text.push_str(&format!("{term:?}")),
        },
        Float => match term.decode::<f64>() {
            Ok(float) => text.push_str(&format!("{float:?}")),
            Err(_) => text.push_str(&format!("{term:?}")),
        },
        Tuple if depth < DEEPEST => {
            let elements = rustler::types::tuple::get_tuple(term).unwrap_or_default();
            write_all(text, ('{', '}'), elements.into_iter(), MOST, depth);
        }
        List if depth < DEEPEST && term.list_length().is_ok() => {
            let elements = term.into_list_iterator().into_iter().flatten();
            write_all(text, ('[', ']'), elements, MOST, depth);
        }
        _ => text.push_str(&format!("{term:?}")),
    }
}

fn write_all<'a>(
    text: &mut String,
    (open, close): (char, char),
    elements: impl Iterator<Item = Term<'a>>,
    most: usize,
    depth: usize,
) {
    text.push(open);
    for (at, element) in elements.enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        if at == most {
            text.push_str("...");
            break;
        }
        write(text, element, depth + 1);
    }
    text.push(close);
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}
