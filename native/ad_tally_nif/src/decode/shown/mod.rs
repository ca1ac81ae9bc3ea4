//! A term as Elixir would show it, as far as a message needs it.
//!
//! Whatever the term is, this takes microseconds: no more of it is read than is shown, and nothing is read whose size is not
//! known beforehand. The VM's own printing (`enif_snprintf`, which rustler's `Debug` of a term calls) prints all of a term
//! before anything can be cut off: an integer of a million digits takes it minutes. So large integers and bitstrings are
//! named, not printed.
//!
//! The type of a term is asked for by `enif_is_atom` and the like: `enif_term_type` ends the VM at a type that is younger
//! than the interface it has, such as the native records of OTP 29.

mod structs;
mod text;

use std::fmt::Write;

use rustler::types::map::MapIterator;
use rustler::{Encoder, Env, Term};

use self::structs::known_struct;
use self::text::{MOST_BYTES, atom, charlist, is_alias, is_printable, keyword, quoted, running};
use super::layout::{Raw, Unknown};
use super::{interner, read};
use crate::atoms::__struct__;

/// Characters that a term takes at most in a message.
const LINE: usize = 200;
/// Elements of a list, a tuple or a map that are shown.
const MOST: usize = 20;
/// How deep terms in terms are shown.
const DEEPEST: usize = 8;
/// Pairs of a map that are put in order. The VM has no order for more.
const MOST_IN_ORDER: usize = 32;

/// A term as Elixir's `inspect/1` shows it, and no more than a line of it.
pub fn shown(term: Term<'_>) -> String {
    let mut line = Line { text: String::new(), left: LINE, is_cut: false };
    line.term(term, 0);
    if line.is_cut {
        line.text.push_str("...");
    }
    line.text
}

/// Text with an end.
struct Line {
    text: String,
    left: usize,
    is_cut: bool,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl Line {
    fn push(&mut self, text: &str) {
        let end = text.char_indices().nth(self.left).map(|(end, _)| end);
        self.text.push_str(&text[..end.unwrap_or(text.len())]);
        self.left -= match end {
            Some(_) => self.left,
            None => text.chars().count(),
        };
        self.is_cut |= end.is_some();
    }

    /// Each call pushes something, so that a full line ends it all.
    fn term(&mut self, term: Term<'_>, depth: usize) {
        if self.is_cut {
            return;
        }
        if term.is_atom() {
            self.push(&atom(&interner::text(term)));
        } else if term.is_number() {
            self.number(term);
        } else if term.is_binary() {
            self.binary(read::binary::<Unknown>(term.get_env(), term.into()).unwrap_or_default());
        } else if term.is_pid() || term.is_port() || term.is_ref() || term.is_fun() {
            self.push(&running(term));
        } else if term.is_empty_list() {
            self.push("[]");
        } else if depth > DEEPEST {
            self.push("...");
        } else if term.is_tuple() {
            let elements = read::tuple::<Unknown>(term.get_env(), term.into()).unwrap_or_default();
            self.push("{");
            self.elements(term.get_env(), elements.iter().copied(), depth);
            self.push("}");
        } else if term.is_list() {
            self.list(term, depth);
        } else if term.is_map() {
            self.map(term, depth);
        } else if term >= "".encode(term.get_env()) {
            // Bitstrings are the greatest of all terms.
            self.push("a bitstring that is not a binary");
        } else {
            self.push("a term of a type that this library does not know");
        }
    }

    fn number(&mut self, term: Term<'_>) {
        let env = term.get_env();
        let shown = if let Ok(number) = term.decode::<i64>() {
            write!(self, "{number}")
        } else if term.is_float() {
            let text = format!("{:?}", term.decode::<f64>().unwrap_or_default());
            match text.split_once('e') {
                Some((digits, exponent)) if !digits.contains('.') => write!(self, "{digits}.0e{exponent}"),
                _ => write!(self, "{text}"),
            }
        // Integers of different sizes are compared by those.
        } else if term > i128::MAX.encode(env) {
            write!(self, "an integer of more than 38 digits")
        } else if term < i128::MIN.encode(env) {
            write!(self, "a negative integer of more than 38 digits")
        } else {
            write!(self, "{}", term.decode::<i128>().unwrap_or_default())
        };
        shown.unwrap_or_else(|_| unreachable!("a line takes whatever is written"));
    }

    fn binary(&mut self, bytes: &[u8]) {
        let some = &bytes[..bytes.len().min(MOST_BYTES)];
        let is_whole = some.len() == bytes.len();
        let text = match std::str::from_utf8(some) {
            Ok(text) => Some(text),
            // A character that goes on behind the bytes that are shown.
            Err(error) if error.error_len().is_none() && !is_whole => {
                std::str::from_utf8(&some[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        match text {
            Some(text) if text.chars().all(is_printable) => {
                self.push(&quoted(text));
                self.push(if is_whole { "" } else { " <> ..." });
            }
            _ => {
                self.push("<<");
                for (at, byte) in some.iter().take(MOST).enumerate() {
                    self.push(if at == 0 { "" } else { ", " });
                    self.push(&byte.to_string());
                }
                self.push(if bytes.len() > MOST { ", ...>>" } else { ">>" });
            }
        }
    }

    /// What is between brackets.
    fn elements<'a>(&mut self, env: Env<'a>, elements: impl Iterator<Item = Raw<'a>>, depth: usize) {
        for (at, element) in elements.take(MOST + 1).enumerate() {
            self.push(if at == 0 { "" } else { ", " });
            if at == MOST {
                self.push("...");
            } else {
                self.term(element.in_env(env), depth + 1);
            }
        }
    }

    fn list<'a>(&mut self, term: Term<'a>, depth: usize) {
        let env = term.get_env();
        if let Some(text) = charlist(term) {
            self.push("~c");
            return self.push(&quoted(&text));
        }
        let mut rest = Raw::from(term);
        let next = |rest: &mut Raw<'a>| {
            let [element, tail] = read::list_cell::<Unknown>(env, *rest)?;
            *rest = tail;
            Some(element)
        };
        let elements: Vec<Raw<'a>> = std::iter::from_fn(|| next(&mut rest)).take(MOST + 1).collect();
        let pair = |element: &Raw<'a>| {
            let [key, value] = *read::tuple_of::<Unknown, 2>(env, *element)?;
            Some((keyword(key.in_env(env))?, value))
        };
        self.push("[");
        match elements.iter().map(pair).collect::<Option<Vec<_>>>() {
            Some(pairs) => {
                for (at, (key, value)) in pairs.into_iter().enumerate() {
                    self.push(if at == 0 { "" } else { ", " });
                    if at == MOST {
                        self.push("...");
                    } else {
                        self.push(&key);
                        self.term(value.in_env(env), depth + 1);
                    }
                }
            }
            None => self.elements(env, elements.iter().copied(), depth),
        }
        let rest = rest.in_env(env);
        if elements.len() <= MOST && !rest.is_empty_list() {
            self.push(" | ");
            self.term(rest, depth + 1);
        }
        self.push("]");
    }

    fn map<'a>(&mut self, term: Term<'a>, depth: usize) {
        let of = term.map_get(__struct__()).ok().filter(|of| of.is_atom()).map(|of| (of, atom(&interner::text(of))));
        let name = match of {
            Some((of, name)) if is_alias(&name) => {
                if let Some(text) = known_struct(of, term) {
                    return self.push(&text);
                }
                name
            }
            _ => String::new(),
        };
        let size = term.map_size().unwrap_or_default();
        let most = if size > MOST_IN_ORDER { MOST + 1 } else { size };
        let is_field = |key: Term<'a>| name.is_empty() || key != __struct__().to_term(key.get_env());
        let pairs = MapIterator::new(term).into_iter().flatten().take(most).filter(|(key, _)| is_field(*key));
        let mut pairs: Vec<_> = pairs.map(|(key, value)| (keyword(key), key, value)).collect();
        let are_keywords = pairs.iter().all(|(keyword, ..)| keyword.is_some());
        if are_keywords {
            pairs.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        }
        self.push("%");
        self.push(&name);
        self.push("{");
        for (at, (keyword, key, value)) in pairs.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " });
            if at == MOST {
                self.push("...");
                break;
            }
            match keyword.filter(|_| are_keywords) {
                Some(keyword) => self.push(&keyword),
                None => {
                    self.term(key, depth + 1);
                    self.push(" => ");
                }
            }
            self.term(value, depth + 1);
        }
        self.push("}");
    }
}
