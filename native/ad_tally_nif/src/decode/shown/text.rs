//! Names, texts and what is running, as Elixir writes them.

use rustler::Term;

use super::super::layout::{Raw, Unknown};
use super::super::{interner, read};

/// Bytes of a binary that are shown.
pub(super) const MOST_BYTES: usize = 100;

/// Characters of a charlist that is shown as one.
const MOST_CHARACTERS: usize = 60;

pub(super) fn atom(name: &str) -> String {
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
pub(super) fn keyword(key: Term<'_>) -> Option<String> {
    if !key.is_atom() {
        return None;
    }
    let name = interner::text(key);
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

pub(super) fn is_alias(module: &str) -> bool {
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

pub(super) fn is_printable(char: char) -> bool {
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

pub(super) fn quoted(text: &str) -> String {
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
pub(super) fn charlist(list: Term<'_>) -> Option<String> {
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
pub(super) fn running(term: Term<'_>) -> String {
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
