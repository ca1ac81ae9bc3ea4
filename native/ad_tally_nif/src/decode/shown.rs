//! A term in Elixir's syntax, as far as a message needs it.
//!
//! Whatever the term is, this takes microseconds: no more of it is read than is shown, and nothing is read whose size is not
//! known beforehand. The VM's own printing (`enif_snprintf`, which rustler's `Debug` of a term calls) prints all of a term
//! before anything can be cut off: an integer of a million digits takes it minutes. So large integers and bitstrings are
//! named, not printed. No struct has a notation of its own, but for a sketch: `inspect/1` would run that struct's code.
//!
//! The type of a term is asked for by `enif_is_atom` and the like: `enif_term_type` ends the VM at a type that is younger
//! than the interface it has, such as the native records of OTP 29.

use rustler::types::map::MapIterator;
use rustler::{Encoder, Term};

use super::layout::{Raw, Unknown};
use super::{interner, read};
use crate::atoms;

/// Bytes that a term takes at most in a message, without what says that it goes on.
const LINE: usize = 200;
/// Bytes of a text that are shown.
const MOST_BYTES: usize = 100;
/// Elements of a list, a tuple or a map that are shown, and bytes of what is no text.
const MOST: usize = 20;
/// How deep terms in terms are shown.
const DEEPEST: usize = 8;

/// A term as Elixir would write it, and no more than a line of it.
pub fn shown(term: Term<'_>) -> String {
    let mut line = Line { text: String::new(), depth: 0 };
    line.term(term);
    let mut text = line.text;
    if text.len() > LINE {
        text.truncate(text.floor_char_boundary(LINE));
        text.push_str("...");
    }
    text
}

/// Text that becomes somewhat longer than a line at most: then nothing more between brackets is begun.
struct Line {
    text: String,
    depth: usize,
}

impl Line {
    fn term(&mut self, term: Term<'_>) {
        let env = term.get_env();
        if term.is_atom() {
            self.text += &atom(term);
        } else if term.is_number() {
            self.text += &number(term);
        } else if let Some(bytes) = read::binary::<Unknown>(env, term.into()) {
            self.binary(bytes);
        } else if term.is_pid() || term.is_port() || term.is_ref() || term.is_fun() {
            // As short as numbers and names are, so the VM may print them.
            self.text +=
                &format!("{}{term:?}", if term.is_pid() { "#PID" } else { "" }).replace("#Ref<", "#Reference<");
        } else if self.depth > DEEPEST {
            self.text += "...";
        } else if let Some(elements) = read::tuple::<Unknown>(env, term.into()) {
            self.text += "{";
            self.each(elements, |line, element| line.term(element.in_env(env)));
            self.text += "}";
        } else if term.is_list() {
            self.list(term);
        } else if term.is_map() {
            self.map(term);
        } else if term >= "".encode(env) {
            // Bitstrings are the greatest of all terms.
            self.text += "a bitstring that is not a binary";
        } else {
            self.text += "a term of a type that this library does not know";
        }
    }

    /// What is between brackets.
    fn each<T>(&mut self, items: impl IntoIterator<Item = T>, show: impl Fn(&mut Self, T)) {
        self.depth += 1;
        for (at, item) in items.into_iter().take(MOST + 1).enumerate() {
            if self.text.len() > LINE {
                break;
            }
            self.text += if at == 0 { "" } else { ", " };
            if at < MOST { show(self, item) } else { self.text += "..." }
        }
        self.depth -= 1;
    }

    fn binary(&mut self, bytes: &[u8]) {
        let some = &bytes[..bytes.len().min(MOST_BYTES)];
        let is_whole = some.len() == bytes.len();
        let text = some.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        // Of a character that goes on behind the bytes that are shown, up to three are.
        if text.len() + if is_whole { 0 } else { 3 } >= some.len() {
            self.text += &quoted(text);
            self.text += if is_whole { "" } else { " <> ..." };
        } else {
            self.text += "<<";
            self.each(some, |line, byte| line.text += &byte.to_string());
            self.text += ">>";
        }
    }

    fn list<'a>(&mut self, list: Term<'a>) {
        let env = list.get_env();
        let (mut elements, mut rest) = (Vec::new(), list);
        while elements.len() <= MOST
            && let Ok((element, tail)) = rest.list_get_cell()
        {
            elements.push(element);
            rest = tail;
        }
        let character = |element: &Term<'a>| element.decode().ok().filter(|code| (b' '..=b'~').contains(code));
        if let Some(text) = elements.iter().map(character).collect::<Option<Vec<u8>>>()
            && (1..=MOST).contains(&text.len())
            && rest.is_empty_list()
        {
            // Numbers would not tell whoever meant a text.
            self.text += &format!("~c{}", quoted(&String::from_utf8_lossy(&text)));
            return;
        }
        let pair = |element: &Term<'a>| {
            let [key, value] = read::tuple_of::<Unknown, 2>(env, Raw::from(*element))?.map(|part| part.in_env(env));
            keyword(key).map(|_| (key, value))
        };
        let is_whole = elements.len() <= MOST;
        self.text += "[";
        match elements.iter().map(pair).collect::<Option<Vec<_>>>() {
            Some(pairs) => self.each(pairs, Self::pair),
            None => self.each(elements, Self::term),
        }
        if is_whole && !rest.is_empty_list() {
            self.text += " | ";
            self.term(rest);
        }
        self.text += "]";
    }

    fn map(&mut self, map: Term<'_>) {
        let module = map.map_get(atoms::__struct__()).ok().filter(|module| module.is_atom()).map(atom);
        let module = module.filter(|module| module.starts_with(char::is_uppercase)).unwrap_or_default();
        if module == "AdTally.Sketch" {
            // Its bytes tell nobody anything.
            self.text += "#AdTally.Sketch<...>";
            return;
        }
        let is_field = |key: Term<'_>| module.is_empty() || key != atoms::__struct__().to_term(key.get_env());
        let pairs = MapIterator::new(map).into_iter().flatten().filter(|(key, _)| is_field(*key));
        let mut pairs: Vec<_> = pairs.take(MOST + 1).collect();
        // Keywords come last in Elixir's syntax. The VM's order of atoms is that in which they were made.
        pairs.sort_by_cached_key(|(key, _)| keyword(*key));
        self.text += &format!("%{module}{{");
        self.each(pairs, Self::pair);
        self.text += "}";
    }

    fn pair(&mut self, (key, value): (Term<'_>, Term<'_>)) {
        match keyword(key) {
            Some(keyword) => self.text += &keyword,
            None => {
                self.term(key);
                self.text += " => ";
            }
        }
        self.term(value);
    }
}

fn atom(atom: Term<'_>) -> String {
    let name = interner::text(atom);
    let is_plain = |name: &str| {
        let mut word = name.strip_suffix(['?', '!']).unwrap_or(name).chars();
        name.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && word.all(|char| char.is_alphanumeric() || "_@".contains(char))
    };
    match name.strip_prefix("Elixir.") {
        Some(module) if module.split('.').all(|part| is_plain(part) && part.starts_with(char::is_uppercase)) => {
            module.into()
        }
        None if matches!(&*name, "nil" | "true" | "false") => name,
        None if is_plain(&name) => format!(":{name}"),
        _ => format!(":{}", quoted(&name)),
    }
}

/// An atom as the key of a keyword list, if it may be one.
fn keyword(key: Term<'_>) -> Option<String> {
    let shown = key.is_atom().then(|| atom(key))?;
    (!shown.starts_with(char::is_uppercase)).then(|| format!("{}: ", shown.trim_start_matches(':')))
}

fn number(term: Term<'_>) -> String {
    let edge = |edge: i128| edge.encode(term.get_env());
    if term.is_float() {
        format!("{:?}", term.decode::<f64>().unwrap_or_default())
    // Integers of different sizes are compared by those.
    } else if term > edge(i128::MAX) {
        "an integer of more than 38 digits".into()
    } else if term < edge(i128::MIN) {
        "a negative integer of more than 38 digits".into()
    } else {
        term.decode::<i128>().unwrap_or_default().to_string()
    }
}

/// Rust's escapes are Elixir's, which has one more.
fn quoted(text: &str) -> String {
    format!("{text:?}").replace("#{", "\\#{")
}
