//! The rooms of `src/lib.rs` and what holds them apart: who may use whom, where `unsafe` may stand, how
//! long a file may be, and what the pure rooms may not touch.
//!
//! Each rule is a function from a file's name and text to what is wrong with it. It is run over the tree,
//! and over a sample that breaks it, so that a rule that sees nothing is seen.

use std::fs;
use std::path::Path;

/// The leaves, which every room may use and which use no room, nor each other.
const LEAVES: [&str; 4] = ["error", "time", "table", "template"];

/// What each room may use, as the table in `src/lib.rs` says. Arrows lead down and don't add up: a room
/// that may use another may not, by that alone, use what that one uses.
const ROOMS: [(&str, &[&str]); 15] = [
    ("wire", &[]),
    ("codec", &["wire"]),
    ("media", &["codec", "wire"]),
    ("amf", &["wire"]),
    ("flv", &["amf", "codec", "media", "wire"]),
    ("rtmp", &["amf", "flv", "media", "wire"]),
    ("mpegts", &["codec", "media", "wire"]),
    ("fmp4", &["codec", "media", "wire"]),
    ("http", &["wire"]),
    ("hls", &["mpegts", "fmp4", "media", "wire"]),
    ("dvr", &["flv", "fmp4", "media", "wire"]),
    ("config", &["wire"]),
    ("hub", &["media", "config"]),
    (
        "engine",
        &[
            "hub", "config", "dvr", "hls", "http", "fmp4", "mpegts", "rtmp", "flv", "amf", "media", "codec",
            "wire",
        ],
    ),
    (
        "ffi",
        &[
            "engine", "hub", "config", "dvr", "hls", "http", "fmp4", "mpegts", "rtmp", "flv", "amf", "media",
            "codec", "wire",
        ],
    ),
];

/// The rooms of bytes and a time in, bytes and events out.
const PURE: [&str; 13] =
    ["wire", "codec", "media", "amf", "flv", "rtmp", "mpegts", "fmp4", "http", "hls", "dvr", "hub", "config"];

/// What a pure room may not touch.
const IMPURE: [&str; 13] = [
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "Instant",
    "SystemTime",
    "RandomState",
    "log::",
    "mio::",
    "libc::",
    "socket2::",
];

/// What is let through all the same: the file, the word, and the line that may hold it.
const EXCEPTIONS: [(&str, &str, &str); 8] = [
    // Addresses are data; no socket is made of them here.
    ("config/block.rs", "std::net", "use std::net::SocketAddr;"),
    ("config/cluster.rs", "std::net", "use std::net::Ipv6Addr;"),
    ("config/outputs.rs", "std::net", "use std::net::SocketAddr;"),
    ("config/settings.rs", "std::net", "use std::net::SocketAddr;"),
    ("config/tls.rs", "std::net", "use std::net::SocketAddr;"),
    ("config/table/mod.rs", "std::net", "use std::net::{IpAddr, Ipv4Addr, SocketAddr};"),
    ("rtmp/url.rs", "std::net", "use std::net::Ipv6Addr;"),
    // The one place that opens files, behind the trait that the rest goes by.
    ("config/tree.rs", "std::fs", "std::fs::File::open(path)?"),
];

/// Lines of code in one file.
const LONGEST: usize = 800;

/// A file of the crate: its path under `src/`, all of its text, and its code without comments and tests.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), code: without_tests(&without_comments(text)) }
    }

    /// The room that it stands in; `lib` for the crate's root.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Its lines of code, numbered, the empty ones left out.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.is_empty())
    }
}

/// The text with comments and what stands in quotes blanked out, line by line as it was.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let blank = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(end) = raw_string(rest) {
            end
        } else if c == '"' {
            string(rest)
        } else if let Some(end) = character(rest) {
            end
        } else {
            // A word as a whole, lest the r of "for" open a raw string.
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let n = word.max(c.len_utf8());
            out.push_str(&rest[..n]);
            rest = &rest[n..];
            continue;
        };
        let (gone, left) = rest.split_at(blank);
        out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = left;
    }
    out
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - body.len();
    Some(body.find(&close).map_or(rest.len(), |at| start + at + close.len()))
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character in quotes, which a lifetime is not.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if let Some(escape) = body.strip_prefix('\\') {
        let at = escape.char_indices().nth(1)?.0;
        return Some(2 + at + escape[at..].find('\'')? + 1);
    }
    let n = body.chars().next()?.len_utf8();
    body[n..].starts_with('\'').then_some(n + 2)
}

/// The code with what `#[cfg(test)]` stands before blanked out, up to its closing brace or semicolon.
fn without_tests(code: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(TEST) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut depth = 0usize;
        let end = rest.char_indices().skip(TEST.len()).find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (depth == 0 && matches!(c, '}' | ';')).then_some(at + 1)
        });
        let (gone, left) = rest.split_at(end.unwrap_or(rest.len()));
        out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = left;
    }
    out.push_str(rest);
    out
}

/// The rooms that the code names behind `crate::`, each with its line.
fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    const CRATE: &str = "crate::";
    let code = &source.code;
    let mut found = Vec::new();
    for (at, _) in code.match_indices(CRATE) {
        // `$crate::` and `crate::` are the same here; `my_crate::` is not.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = 1 + code[..at].matches('\n').count();
        let after = &code[at + CRATE.len()..];
        let list = match after.strip_prefix('{') {
            Some(list) => first_words(list),
            None => vec![word(after)],
        };
        found.extend(list.into_iter().map(|room| (line, room)));
    }
    found
}

/// The first word of each path in a nested `use`, after its opening brace.
fn first_words(list: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut depth, mut first) = (1, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => first = true,
            c if first && (c.is_alphanumeric() || c == '_') => {
                first = false;
                words.push(word(&list[at..]));
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn arrows(source: &Source) -> Vec<String> {
    let room = source.room();
    let may: &[&str] = match ROOMS.iter().find(|(name, _)| *name == room) {
        Some((_, may)) => may,
        None if LEAVES.contains(&room) || room == "lib" => &[],
        None => return vec![format!("{}: the room {room} is not in the table", source.path)],
    };
    let mut wrong = Vec::new();
    for (line, used) in rooms_used(source) {
        let is_room = ROOMS.iter().any(|(name, _)| *name == used) || LEAVES.contains(&used.as_str());
        if !is_room {
            wrong.push(format!("{}:{line}: crate::{used} is no room", source.path));
        } else if used != room
            && !may.contains(&used.as_str())
            && (!LEAVES.contains(&used.as_str()) || LEAVES.contains(&room))
        {
            wrong.push(format!("{}:{line}: {room} may not use {used}", source.path));
        }
    }
    wrong
}

fn unsafe_code(source: &Source) -> Vec<String> {
    if source.room() == "ffi" || source.path == "engine/sys.rs" {
        return Vec::new();
    }
    let is_unsafe =
        |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
    let lines = source.lines().filter(|(_, line)| is_unsafe(line));
    lines.map(|(n, line)| format!("{}:{n}: {line}", source.path)).collect()
}

fn long_file(source: &Source) -> Vec<String> {
    let lines = source.lines().count();
    if lines > LONGEST {
        vec![format!("{}: {lines} lines of code, {LONGEST} are the most", source.path)]
    } else {
        Vec::new()
    }
}

fn no_opening(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        Vec::new()
    } else {
        vec![format!("{}: it doesn't begin with what it is (`//!`)", source.path)]
    }
}

fn impurity(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.room()) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for (n, line) in source.lines() {
        for name in IMPURE {
            let excepted = EXCEPTIONS.iter().any(|(path, what, whole)| {
                source.path.starts_with(path) && *what == name && line.contains(whole)
            });
            if names(line, name) && !excepted {
                wrong.push(format!("{}:{n}: {name} in {line}", source.path));
            }
        }
    }
    wrong
}

/// Whether the line holds the name as a name of its own.
fn names(line: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        !line[..at].ends_with(is_part)
            && (name.ends_with("::") || !line[at + name.len()..].starts_with(is_part))
    })
}

/// All files under `src/`, those left out that are nothing but tests.
fn tree() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of src/") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && path.file_name() != Some("tests.rs".as_ref())
            {
                let name = path.strip_prefix(&root).expect("under src/").to_string_lossy().replace('\\', "/");
                files.push(Source::new(&name, &fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    assert!(files.len() > 50, "src/ was not found");
    files
}

fn hold(rule: fn(&Source) -> Vec<String>) {
    let wrong: Vec<String> = tree().iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn rooms_use_what_is_below_them() {
    hold(arrows);
}

#[test]
fn a_use_that_leads_up_is_seen() {
    let text = "//! x\nuse crate::{amf::{Value, amf0}, hub, wire};\nfn f() { crate::engine::go() }\n\
        // crate::ffi\n#[cfg(test)]\nmod tests {\n    use crate::rtmp;\n}\n";
    let wrong = arrows(&Source::new("amf/x.rs", text));
    assert_eq!(wrong, ["amf/x.rs:2: amf may not use hub", "amf/x.rs:3: amf may not use engine"]);
    assert_eq!(arrows(&Source::new("time.rs", "use crate::error::Error;")).len(), 1);
    assert_eq!(arrows(&Source::new("new/x.rs", "")).len(), 1);
    assert_eq!(arrows(&Source::new("hub/x.rs", "use crate::nothing;")).len(), 1);
}

#[test]
fn the_table_has_no_way_up() {
    for (at, (room, may)) in ROOMS.iter().enumerate() {
        for used in *may {
            let below = ROOMS[..at].iter().any(|(name, _)| name == used);
            assert!(below, "{room} uses {used}, which stands below it in the table");
        }
    }
}

#[test]
fn unsafe_stands_at_the_borders_only() {
    hold(unsafe_code);
}

#[test]
fn an_unsafe_inside_is_seen() {
    let text = "// unsafe\nfn f() { unsafe { g() } }\nlet s = \"unsafe\";\nlet unsafely = 1;\n";
    assert_eq!(unsafe_code(&Source::new("hub/x.rs", text)), ["hub/x.rs:2: fn f() { unsafe { g() } }"]);
    assert!(unsafe_code(&Source::new("ffi/x.rs", text)).is_empty());
}

#[test]
fn no_file_is_too_long() {
    hold(long_file);
}

#[test]
fn a_long_file_is_seen() {
    let code = "let x = 1;\n\n// a comment\n".repeat(LONGEST);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
    assert!(long_file(&Source::new("x.rs", &format!("{code}{tests}"))).is_empty());
    assert_eq!(long_file(&Source::new("x.rs", &format!("{code}{tests}fn f() {{}}\n"))).len(), 1);
}

#[test]
fn every_file_says_what_it_is() {
    hold(no_opening);
}

#[test]
fn a_file_that_says_nothing_is_seen() {
    assert_eq!(no_opening(&Source::new("x.rs", "use std::fmt;\n")).len(), 1);
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    hold(impurity);
}

#[test]
fn a_touch_of_the_outside_is_seen() {
    for line in
        ["use std::net::TcpStream;", "let t = Instant::now();", "log::info!(\"x\");", "std::fs::read(p)"]
    {
        assert_eq!(impurity(&Source::new("rtmp/x.rs", line)).len(), 1, "{line}");
        assert!(impurity(&Source::new("engine/x.rs", line)).is_empty());
    }
    assert!(impurity(&Source::new("rtmp/x.rs", "let catalog::Instantly = 1; // std::fs")).is_empty());
    assert_eq!(impurity(&Source::new("config/settings.rs", "use std::net::TcpListener;")).len(), 1);
}
