//! Every file of both crates knows only those below it: no path in `src` leads to a layer above or beside, and no
//! files know each other in a circle.
//!
//! Read are all paths that begin with `crate`, `super` or `self`, or with a module that the file declares, in code and in
//! `use` lines. Comments, texts and `#[cfg(test)]` modules do not count. A `pub use` of what its file
//! has no use for itself does not count either: it only passes on, so a path through it leads to the file it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers of a crate, from the bottom to the top. A name is a file or a folder of its `src`; those of one layer do
/// not know each other.
struct Crate {
    folder: &'static str,
    layers: &'static [&'static [&'static str]],
}

const CORE: Crate = Crate {
    folder: "ad_tally_core",
    layers: &[
        &["error", "sync", "memory"],
        &["key"],
        &["codec", "time"],
        &["sketch"],
        &["journal"],
        &["table", "bucket", "store"],
        &["counters", "reach", "frequency_cap", "dedupe", "pacer"],
        &["windows"],
        &["meter", "attribution", "admission"],
    ],
};

const NIF: Crate = Crate {
    folder: "ad_tally_nif",
    layers: &[
        &["atoms", "allocator", "clock"],
        &["decode"],
        &["encode"],
        &["owner"],
        &["resource"],
        &["messages", "metered"],
        &["store", "hot"],
        &["steps"],
        &["counters", "sketch", "zone"],
        &["reach", "frequency_cap", "dedupe", "attribution", "pacer"],
        &["meter", "export", "admission"],
        &["library", "diagnostics", "parts", "metrics"],
    ],
};

#[test]
fn files_of_the_core_know_only_those_below() {
    check(&CORE);
}

#[test]
fn files_of_the_nif_know_only_those_below() {
    check(&NIF);
}

#[test]
fn paths_are_found_in_whatever_form_they_are_written() {
    let source = r#"
        //! crate::comment::no
        use crate::{a::{self, B}, c::D as E, f::*};
        pub(crate) use crate::passed::On;
        mod child;
        #[cfg(test)]
        mod tests { use crate::test::no; fn f() { let text = "crate::text::no"; } }
        mod inline { use super::sibling::X; fn f() { super::own(); } }
        fn f<'a>(x: &'a u8) -> child::Y { /* crate::no */ let c = '{'; $crate::g::h!(x) }
    "#;
    let found: Vec<String> = paths(source).into_iter().map(|path| path.segments.join("::")).collect();
    let expected = [
        "crate::a",
        "crate::a::B",
        "crate::c::D",
        "crate::f::*",
        "self::sibling::X",
        "self::own",
        "self::child::Y",
        "crate::g::h",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_circle_and_an_upward_path_are_found() {
    let files = |sources: &[(&str, &str)]| -> Files {
        sources.iter().map(|(module, source)| (module.to_string(), source.to_string())).collect()
    };
    let layers: &[&[&str]] = &[&["low"], &["mid", "beside"]];
    let faults = |sources| faults(&files(sources), layers);
    assert_eq!(faults(&[("", "mod mid; pub use mid::Passed;"), ("low", ""), ("mid", "use crate::low::X;")]), [""; 0]);
    let upward = faults(&[
        ("", "mod mid; pub use mid::Passed;"),
        ("low", "\nfn f() { crate::Passed }"),
        ("mid", "struct Passed;"),
    ]);
    assert!(upward[0].starts_with("low.rs:2: `crate::Passed` leads to mid.rs"), "{upward:?}");
    let beside = faults(&[("", ""), ("mid", "use crate::beside::X;"), ("beside", "")]);
    assert!(beside[0].contains("`beside` is no layer below `mid`"), "{beside:?}");
    let unknown = faults(&[("", ""), ("strange", "")]);
    assert!(unknown[0].contains("strange.rs is in no layer"), "{unknown:?}");
    let circle = faults(&[
        ("", ""),
        ("mid", "mod one; mod two; pub use one::One; pub use two::Two; struct Own(Two);"),
        ("mid::one", "use super::two::Two;"),
        ("mid::two", "use super::{One, Own};"),
    ]);
    assert_eq!(circle.len(), 1);
    assert!(circle[0].contains("mid/mod.rs, mid/one.rs, mid/two.rs"), "{circle:?}");
}

fn check(of: &Crate) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of.folder).join("src");
    let mut files = Files::new();
    read_folder(&src, "", &mut files);
    let faults = faults(&files, of.layers);
    assert!(faults.is_empty(), "\n{}\n\nThe layers: {}\n", faults.join("\n"), file!());
}

/// Sources by module path, `""` for the root.
type Files = BTreeMap<String, String>;

fn read_folder(folder: &Path, module: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let inner = join(module, stem);
        if path.is_dir() {
            read_folder(&path, &inner, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if matches!(stem, "lib" | "mod") { module.to_owned() } else { inner };
            files.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn faults(files: &Files, layers: &[&[&str]]) -> Vec<String> {
    let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let layer = |module: &str| layers.iter().position(|names| names.contains(&top(module).as_str()));
    let mut faults: Vec<String> = files
        .keys()
        .filter(|module| !module.is_empty() && layer(module).is_none())
        .map(|module| format!("{} is in no layer: give it a place in the table", file_name(files, module)))
        .collect();
    let mut known: BTreeMap<&str, BTreeMap<String, (usize, String)>> = BTreeMap::new();
    for (module, source) in files.iter().filter(|(module, _)| !module.is_empty()) {
        for path in paths(source) {
            let Some(to) = resolve(files, module, &path.segments).filter(|to| to != module) else { continue };
            let shown = path.segments.join("::").replace("self::super", "super");
            if top(&to) != top(module) && layer(&to) >= layer(module) {
                faults.push(format!(
                    "{}:{}: `{shown}` leads to {}, and `{}` is no layer below `{}`: move what both need into one that is, \
                     or hand it down as an argument",
                    file_name(files, module),
                    path.line,
                    file_name(files, &to),
                    top(&to),
                    top(module),
                ));
            }
            known.entry(module).or_default().entry(to).or_insert((path.line, shown));
        }
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = known.keys().map(|from| (*from, reach(&known, from))).collect();
    let mut circles = BTreeSet::new();
    for (from, all) in reached.iter().filter(|(from, all)| all.contains(*from)) {
        let circle: BTreeSet<&str> =
            all.iter().copied().filter(|to| reached.get(to).is_some_and(|back| back.contains(from))).collect();
        circles.insert(circle);
    }
    faults.extend(circles.into_iter().map(|circle| {
        let mut paths = Vec::new();
        for from in &circle {
            for (to, (line, shown)) in known[from].iter().filter(|(to, _)| circle.contains(to.as_str())) {
                paths.push(format!(
                    "    {}:{line}: `{shown}` leads to {}",
                    file_name(files, from),
                    file_name(files, to)
                ));
            }
        }
        let names: Vec<String> = circle.iter().map(|module| file_name(files, module)).collect();
        format!(
            "{} know each other in a circle: move what they share into a file below them\n{}",
            names.join(", "),
            paths.join("\n")
        )
    }));
    faults
}

/// All modules that a path of paths leads to.
fn reach<'a>(known: &'a BTreeMap<&str, BTreeMap<String, (usize, String)>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(module) = open.pop() {
        for to in known.get(module).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to.as_str()) {
                open.push(to);
            }
        }
    }
    reached
}

fn file_name(files: &Files, module: &str) -> String {
    let is_folder = files.keys().any(|other| other.starts_with(&format!("{module}::")));
    let path = module.replace("::", "/");
    if is_folder { format!("{path}/mod.rs") } else { format!("{path}.rs") }
}

/// The module whose file a path leads to, or `None` for one that leads out of the crate's modules.
fn resolve(files: &Files, module: &str, segments: &[String]) -> Option<String> {
    let mut at = match segments[0].as_str() {
        "crate" => String::new(),
        _ => module.to_owned(),
    };
    let mut rest = &segments[1..];
    while rest.first().is_some_and(|segment| segment == "super") {
        at = at.rsplit_once("::").map(|(parent, _)| parent.to_owned()).unwrap_or_default();
        rest = &rest[1..];
    }
    while let Some(segment) = rest.first() {
        let child = join(&at, segment);
        if !files.contains_key(&child) {
            return passed_on(files, &at, segment).or((!at.is_empty()).then_some(at));
        }
        at = child;
        rest = &rest[1..];
    }
    Some(at)
}

/// The module that a `pub use` of a module names for an item.
fn passed_on(files: &Files, module: &str, item: &str) -> Option<String> {
    let passed = passes(&files[module]);
    let to = |path: &UsePath, name: &str| {
        let mut segments = path.segments.clone();
        if name != "*" {
            *segments.last_mut()? = name.to_owned();
        } else {
            segments.pop();
        }
        resolve(files, module, &segments).filter(|to| to != module)
    };
    let named = passed.iter().find(|path| path.name == item).and_then(|path| to(path, path.segments.last()?));
    named.or_else(|| {
        let all = passed.iter().filter(|path| path.name == "*").filter_map(|path| to(path, "*"));
        all.into_iter().find(|to| defines(&files[to], item))
    })
}

fn defines(source: &str, item: &str) -> bool {
    let tokens = tokens(source);
    tokens.windows(2).any(|pair| {
        let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "macro_rules", "mod"];
        kinds.contains(&pair[0].text.as_str()) && pair[1].text == item
    })
}

/// A path in a source.
struct UsePath {
    segments: Vec<String>,
    /// What it is called where it is written, by `as` or by its last segment.
    name: String,
    line: usize,
}

/// The paths that a file depends on.
fn paths(source: &str) -> Vec<UsePath> {
    all_paths(source).into_iter().filter(|(_, [is_used, _])| *is_used).map(|(path, _)| path).collect()
}

/// The paths that a file passes on.
fn passes(source: &str) -> Vec<UsePath> {
    all_paths(source).into_iter().filter(|(_, [_, is_passed_on])| *is_passed_on).map(|(path, _)| path).collect()
}

/// Each path, whether the file depends on it, and whether it passes it on.
fn all_paths(source: &str) -> Vec<(UsePath, [bool; 2])> {
    let tokens = tokens(source);
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let used = words_in_use(&tokens);
    let children: BTreeSet<&str> =
        (0..tokens.len()).filter(|at| text(*at) == "mod" && text(at + 2) == ";").map(|at| text(at + 1)).collect();
    let mut found = Vec::new();
    // How deep the braces are within which an inline module is: `super` is the file there.
    let (mut depth, mut inline) = (0, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.pop_if(|begin| *begin > depth);
            }
            "mod" if text(at + 2) == "{" => {
                depth += 1;
                inline.push(depth);
                at += 2;
            }
            first if text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                let is_child = children.contains(first);
                if is_child || matches!(first, "crate" | "super" | "self") {
                    let is_passed_on = is_public_use(&tokens, at);
                    let mut all = Vec::new();
                    let begin = if is_child { vec!["self".to_owned()] } else { Vec::new() };
                    let end = tree(&tokens, at, begin, &mut all);
                    for mut path in all {
                        if !inline.is_empty() {
                            match path.segments.iter().take_while(|segment| *segment == "super").count() {
                                0 if path.segments[0] == "self" => continue,
                                0 => {}
                                supers if supers <= inline.len() => {
                                    path.segments.drain(..supers);
                                    path.segments.insert(0, "self".to_owned());
                                }
                                _ => path.segments.drain(..inline.len()).for_each(drop),
                            }
                        }
                        if path.segments[0] == "super" {
                            path.segments.insert(0, "self".to_owned());
                        }
                        let is_used = !is_passed_on || used.contains(path.name.as_str());
                        found.push((path, [is_used, is_passed_on]));
                    }
                    at = end;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The words of a file outside of its `use` lines.
fn words_in_use(tokens: &[Token]) -> BTreeSet<&str> {
    let mut is_use = false;
    let words = tokens.iter().map(|token| token.text.as_str()).filter(|text| {
        is_use = *text == "use" || is_use && *text != ";";
        !is_use
    });
    words.collect()
}

/// Whether a path is that of a `pub use` or a `pub(..) use`.
fn is_public_use(tokens: &[Token], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].text.as_str());
    before(1) == "use" && (before(2) == "pub" || before(2) == ")")
}

/// Reads a path, or a tree of paths in braces: where it ends.
fn tree(tokens: &[Token], mut at: usize, mut segments: Vec<String>, found: &mut Vec<UsePath>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens[at].line;
    loop {
        if text(at) == "{" {
            at += 1;
            while at < tokens.len() && text(at) != "}" {
                at = if text(at) == "," { at + 1 } else { tree(tokens, at, segments.clone(), found) };
            }
            return at + 1;
        }
        if text(at) != "self" || segments.is_empty() {
            segments.push(text(at).to_owned());
        }
        at += 1;
        if text(at) != "::" || !(text(at + 1) == "{" || text(at + 1) == "*" || is_word(text(at + 1))) {
            break;
        }
        at += 1;
    }
    let mut name = segments.last().cloned().unwrap_or_default();
    if text(at) == "as" {
        name = text(at + 1).to_owned();
        at += 2;
    }
    found.push(UsePath { segments, name, line });
    at
}

struct Token {
    text: String,
    line: usize,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

/// Words and signs, without comments, texts, characters and `#[cfg(test)]` modules.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::<Token>::new(), 0, 1);
    let next = |at: usize| chars.get(at).copied().unwrap_or(' ');
    while at < chars.len() {
        let begin = at;
        match chars[at] {
            '/' if next(at + 1) == '/' => at += chars[at..].iter().take_while(|char| **char != '\n').count(),
            '/' if next(at + 1) == '*' => {
                at += 2;
                while at < chars.len() && !(chars[at] == '*' && next(at + 1) == '/') {
                    at += 1;
                }
                at += 2;
            }
            '"' => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            // A character, or else a lifetime.
            '\'' if next(at + 1) == '\\' => {
                at += 3;
                at += chars[at..].iter().take_while(|char| **char != '\'').count() + 1;
            }
            '\'' if next(at + 2) == '\'' => at += 3,
            char if char.is_alphanumeric() || char == '_' => {
                at += chars[at..].iter().take_while(|char| char.is_alphanumeric() || **char == '_').count();
                tokens.push(Token { text: chars[begin..at].iter().collect(), line });
            }
            ':' if next(at + 1) == ':' => {
                at += 2;
                tokens.push(Token { text: "::".to_owned(), line });
            }
            char => {
                at += 1;
                if !char.is_whitespace() {
                    tokens.push(Token { text: char.to_string(), line });
                }
            }
        }
        line += chars[begin..at.min(chars.len())].iter().filter(|char| **char == '\n').count();
    }
    without_tests(tokens)
}

fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut is_kept = vec![true; tokens.len()];
    for at in 0..tokens.len() {
        if !(text(at) == "cfg" && (at + 1..at + 6).any(|at| text(at) == "test")) {
            continue;
        }
        let end = |at: usize, open: &str, close: &str| {
            let mut depth = 0;
            (at..tokens.len()).find(|at| {
                depth += i32::from(text(*at) == open) - i32::from(text(*at) == close);
                depth == 0 && text(*at) == close
            })
        };
        let mut item = end(at - 1, "[", "]").map_or(at, |end| end + 1);
        while text(item) == "#" {
            item = end(item + 1, "[", "]").map_or(item + 1, |end| end + 1);
        }
        if text(item) == "mod" && text(item + 2) == "{" {
            let last = end(item + 2, "{", "}").unwrap_or(item);
            is_kept[item..=last].fill(false);
        }
    }
    tokens.into_iter().zip(is_kept).filter_map(|(token, is_kept)| is_kept.then_some(token)).collect()
}
