//! A term as Elixir would show it, as far as a message needs it.
//!
//! Whatever the term is, this takes microseconds: no more of it is read than is shown, and nothing is read whose size is not
//! known beforehand. The VM's own printing (`enif_snprintf`, which rustler's `Debug` of a term calls) prints all of a term
//! before anything can be cut off: an integer of a million digits takes it minutes. So large integers and bitstrings are
//! named, not printed.
//!
//! The type of a term is asked for by `enif_is_atom` and the like: `enif_term_type` ends the VM at a type that is younger
//! than the interface it has, such as the native records of OTP 29.

use std::fmt::Write;

use rustler::types::map::MapIterator;
use rustler::{Atom, Encoder, Env, Term};

use super::layout::{Raw, Unknown};
use super::read;
use crate::atoms::{__struct__, sketch};

/// Characters that a term takes at most in a message.
const LINE: usize = 200;
/// Elements of a list, a tuple or a map that are shown.
const MOST: usize = 20;
/// How deep terms in terms are shown.
const DEEPEST: usize = 8;
/// Bytes of a binary that are shown.
const MOST_BYTES: usize = 100;
/// Characters of a charlist that is shown as one.
const MOST_CHARACTERS: usize = 60;
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

mod fields {
    rustler::atoms! {
        year,
        month,
        day,
        hour,
        minute,
        second,
        microsecond,
        calendar,
        iso = "Elixir.Calendar.ISO",
        time_zone,
        zone_abbr,
        utc_offset,
        std_offset,
        date_time = "Elixir.DateTime",
        naive_date_time = "Elixir.NaiveDateTime",
        date = "Elixir.Date",
        time = "Elixir.Time",
        range = "Elixir.Range",
        first,
        last,
        step,
    }
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
            self.push(&atom(&name(term)));
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
        let of = term.map_get(__struct__()).ok().filter(|of| of.is_atom()).map(|of| (of, atom(&name(of))));
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

/// An atom's text. The functions that read atoms know Latin-1 only before NIF 2.17, the external format knows all.
fn name(atom: Term<'_>) -> String {
    let external = atom.to_binary();
    match external.as_slice() {
        [_, 100, _, _, name @ ..] | [_, 115, _, name @ ..] => name.iter().copied().map(char::from).collect(),
        [_, 118, _, _, name @ ..] | [_, 119, _, name @ ..] => String::from_utf8_lossy(name).into_owned(),
        _ => String::from("?"),
    }
}

fn atom(name: &str) -> String {
    if matches!(name, "nil" | "true" | "false" | "Elixir") {
        return name.to_owned();
    }
    match name.strip_prefix("Elixir.") {
        Some(module) if is_alias(module) => module.to_owned(),
        None if is_plain(name) || OPERATORS.contains(&name) => format!(":{name}"),
        _ => format!(":{}", quoted(name)),
    }
}

/// An atom as the key of a keyword list, if it may be one.
fn keyword(key: Term<'_>) -> Option<String> {
    if !key.is_atom() {
        return None;
    }
    let name = name(key);
    match name.starts_with("Elixir.") {
        true => None,
        false if is_plain(&name) || OPERATORS.contains(&name.as_str()) => Some(format!("{name}: ")),
        false => Some(format!("{}: ", quoted(&name))),
    }
}

const OPERATORS: &[&str] = &[
    "!", "!=", "!==", "&", "&&", "&&&", "*", "**", "+", "++", "+++", "-", "--", "---", "->", ".", "..", "..//", "/",
    "::", "<", "<-", "<<<", "<=", "<>", "=", "==", "===", "=~", ">", ">=", ">>>", "@", "^", "^^^", "|", "|>", "||",
    "|||", "%", "%{}", "{}", "<<>>", "...",
];

fn is_alias(module: &str) -> bool {
    module.split('.').all(|part| {
        part.starts_with(|first: char| first.is_ascii_uppercase())
            && part.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    })
}

fn is_plain(name: &str) -> bool {
    let word = name.strip_suffix(['?', '!']).unwrap_or(name);
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && word.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '@'))
}

fn is_printable(char: char) -> bool {
    !char.is_control() || ESCAPES.iter().any(|(escaped, _)| *escaped == char)
}

const ESCAPES: [(char, &str); 10] = [
    ('"', "\\\""),
    ('\\', "\\\\"),
    ('\n', "\\n"),
    ('\r', "\\r"),
    ('\t', "\\t"),
    ('\x0B', "\\v"),
    ('\x08', "\\b"),
    ('\x0C', "\\f"),
    ('\x1B', "\\e"),
    ('\x07', "\\a"),
];

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match ESCAPES.iter().find(|(escaped, _)| *escaped == char) {
            Some((_, escape)) => quoted.push_str(escape),
            None if char.is_control() => quoted.extend(char.escape_unicode().filter(|char| !matches!(char, '{' | '}'))),
            None => quoted.push(char),
        }
    }
    let mut quoted = quoted.replace("#{", "\\#{");
    quoted.push('"');
    quoted
}

/// The text of a list of printable characters of ASCII.
fn charlist(list: Term<'_>) -> Option<String> {
    let env = list.get_env();
    let mut rest = Raw::from(list);
    let mut text = String::new();
    while let Some([element, tail]) = read::list_cell::<Unknown>(env, rest) {
        let character = read::integer_by_call(env, element).filter(|code| (0x20..0x7F).contains(code))?;
        if text.len() == MOST_CHARACTERS {
            return None;
        }
        text.push(char::from(character as u8));
        rest = tail;
    }
    rest.in_env(env).is_empty_list().then_some(text)
}

/// A process, a port, a reference or a function. These are as short as numbers and names are, so the VM may print them.
fn running(term: Term<'_>) -> String {
    let text = format!("{term:?}");
    if term.is_pid() {
        return format!("#PID{text}");
    }
    if let Some(number) = text.strip_prefix("#Ref<") {
        return format!("#Reference<{number}");
    }
    if let Some(function) = text.strip_prefix("#Fun<").and_then(|text| text.strip_suffix('>')) {
        let mut parts = function.rsplitn(3, '.');
        return match (parts.next(), parts.next(), parts.next()) {
            (Some(hash), Some(index), Some(module)) => {
                format!("#Function<{index}.{hash} in {}>", atom(module.trim_matches('\'')))
            }
            _ => format!("#Function<{function}>"),
        };
    }
    if let Some(function) = text.strip_prefix("fun ") {
        let (module, name) = function.split_once(':').unwrap_or((function, ""));
        return format!("&{}.{name}", atom(module.trim_matches('\'')));
    }
    text
}

/// A struct that Elixir shows in a way of its own, if this is a right one.
fn known_struct<'a>(of: Term<'a>, term: Term<'a>) -> Option<String> {
    let env = term.get_env();
    let is = |module: Atom| of == module.to_term(env);
    let field = |name: Atom| term.map_get(name).ok();
    let number = |name: Atom| field(name)?.decode::<i64>().ok();
    if is(sketch()) {
        // Its bytes tell nobody anything.
        return Some(String::from("#AdTally.Sketch<...>"));
    }
    if is(fields::range()) {
        let (first, last) = (number(fields::first())?, number(fields::last())?);
        let step = number(fields::step()).filter(|step| *step != 1);
        return Some(format!("{first}..{last}{}", step.map(|step| format!("//{step}")).unwrap_or_default()));
    }
    if field(fields::calendar())? != fields::iso().to_term(env) {
        return None;
    }
    let date = || {
        let (year, month, day) = (number(fields::year())?, number(fields::month())?, number(fields::day())?);
        Some(format!("{year:04}-{month:02}-{day:02}"))
    };
    let time = || {
        let (hour, minute, second) = (number(fields::hour())?, number(fields::minute())?, number(fields::second())?);
        let (micros, precision) = field(fields::microsecond())?.decode::<(u32, usize)>().ok()?;
        let digits = format!("{micros:06}");
        let fraction = if precision == 0 { String::new() } else { format!(".{}", digits.get(..precision)?) };
        Some(format!("{hour:02}:{minute:02}:{second:02}{fraction}"))
    };
    if is(fields::date()) {
        return Some(format!("~D[{}]", date()?));
    }
    if is(fields::time()) {
        return Some(format!("~T[{}]", time()?));
    }
    if is(fields::naive_date_time()) {
        return Some(format!("~N[{} {}]", date()?, time()?));
    }
    if !is(fields::date_time()) {
        return None;
    }
    let text = |name: Atom| {
        let bytes = read::binary::<Unknown>(env, field(name)?.into()).filter(|bytes| bytes.len() <= MOST_BYTES)?;
        std::str::from_utf8(bytes).ok()
    };
    let zone = text(fields::time_zone())?;
    if zone == "Etc/UTC" {
        return Some(format!("~U[{} {}Z]", date()?, time()?));
    }
    let offset = number(fields::utc_offset())?.checked_add(number(fields::std_offset())?)?;
    let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
    let offset = format!("{sign}{:02}:{:02}", seconds / 3_600, seconds / 60 % 60);
    Some(format!("#DateTime<{} {}{offset} {} {zone}>", date()?, time()?, text(fields::zone_abbr())?))
}
