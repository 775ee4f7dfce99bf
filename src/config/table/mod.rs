//! The table of directives: one row for everything that a configuration may say, under SRS's names.
//!
//! The file, the environment, what the host sets, the typed settings and the generated reference all read
//! these rows. A directive that SRS has and camrill has not is in the table too, so that a device's
//! configuration goes on loading; it is named in a warning. A word that is not in the table is an error.

mod engine;
mod output;
mod server;
mod vhost;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The vhost that takes what names no other.
pub const DEFAULT_VHOST: &str = "__defaultVhost__";

/// Whether a block has a name after its keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// `play { … }`
    No,
    /// `transcode { … }` and `transcode live { … }`
    Maybe,
    /// `vhost NAME { … }`
    Yes,
}

/// What a directive takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Directives in braces.
    Block {
        /// Whether it has a name.
        named: Named,
    },
    /// Anything in braces: what is handed on to another program.
    Free,
    /// `on` or `off`.
    Switch,
    /// A whole number.
    Int {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// What it counts, or nothing.
        unit: &'static str,
    },
    /// A number that may have a fraction.
    Float {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
        /// What it counts, or nothing.
        unit: &'static str,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any one word or text.
    Text,
    /// Any number of words.
    Texts,
    /// One or more of `port`, `address:port` and `[IPv6 address]:port`.
    Listen,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Directive {
    /// Where it stands, without the names of blocks: `vhost/play/gop_cache`.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds where nothing is said; empty where that is nothing.
    pub default: &'static str,
    /// SRS's environment variable where it departs from the rule; see [`Directive::env_name`].
    pub env: Option<&'static str>,
    /// Whether a reload takes it in; else the next start does.
    pub reload: bool,
    /// Whether camrill does anything with it.
    pub built: bool,
    /// Whether it is camrill's own: SRS doesn't know it.
    pub ours: bool,
    /// Whether it may stand several times in one block.
    pub many: bool,
    /// What it is, in a line.
    pub doc: &'static str,
}

/// The children of these blocks are in the file only: one variable could not say which block it means.
const WITHOUT_ENV: [&str; 4] = ["vhost/ingest", "vhost/transcode", "vhost/security", "stream_caster"];

/// A row that is not built.
const fn row(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Directive {
    Directive { path, kind, default, env: None, reload: false, built: false, ours: false, many: false, doc }
}

/// A block without a name that is not built.
const fn block(path: &'static str, doc: &'static str) -> Directive {
    row(path, Kind::Block { named: Named::No }, "", doc)
}

/// A whole number from zero.
const fn count(unit: &'static str) -> Kind {
    Kind::Int { min: 0, max: i32::MAX as i64, unit }
}

/// A number from zero, with a fraction.
const fn amount(unit: &'static str) -> Kind {
    Kind::Float { min: 0.0, max: 1e9, unit }
}

impl Directive {
    const fn built(mut self) -> Self {
        self.built = true;
        self.reload = true;
        self
    }

    /// Built where the crate's feature is there.
    const fn built_if(self, feature: bool) -> Self {
        if feature { self.built() } else { self }
    }

    const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    const fn many(mut self) -> Self {
        self.many = true;
        self
    }

    const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// The last part of the path: the word in the file.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('/').map_or(self.path, |(_, name)| name)
    }

    /// Whether it is a block, of directives or of anything.
    pub fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Block { .. } | Kind::Free)
    }

    /// Whether it takes one value; such a value is taken as it is, blanks included.
    pub fn is_scalar(&self) -> bool {
        !self.is_block() && !matches!(self.kind, Kind::Texts | Kind::Listen)
    }

    /// The environment variable that overrides it: `SRS_` and the path in capitals. Of a vhost's directive
    /// it overrides that of every vhost. Blocks have none, nor has what stands in blocks of which there may
    /// be several.
    pub fn env_name(&self) -> Option<Cow<'static, str>> {
        let in_several = WITHOUT_ENV
            .iter()
            .any(|block| self.path.strip_prefix(block).is_some_and(|rest| rest.starts_with('/')));
        match self.env {
            _ if in_several || self.is_block() => None,
            Some(name) => Some(Cow::Borrowed(name)),
            None => Some(Cow::Owned(format!("SRS_{}", self.path.replace('/', "_").to_uppercase()))),
        }
    }

    /// Whether `words` are what the directive takes; if not, a sentence that says what is.
    pub fn check(&self, words: &[String]) -> Result<(), String> {
        let word = match (self.kind, words) {
            (Kind::Block { .. } | Kind::Free, _) => return Err("a block in braces is expected".into()),
            (Kind::Texts, _) => return Ok(()),
            (Kind::Listen, []) => return Err("a port or address:port is expected".into()),
            (Kind::Listen, words) => return words.iter().try_for_each(|w| listen(w).map(drop)),
            (_, [word]) => word.as_str(),
            (_, []) => return Err("a value is expected".into()),
            (_, [first, ..]) => {
                let given = words.len();
                return Err(format!(
                    "one value is expected, {given} are given; is a \";\" missing after \"{first}\"?"
                ));
            }
        };
        match self.kind {
            Kind::Switch => switch(word).map(drop),
            Kind::Int { min, max, unit } => int(word, min, max, unit).map(drop),
            Kind::Float { min, max, unit } => float(word, min, max, unit).map(drop),
            Kind::Word(choices) if !choices.contains(&word) => {
                Err(format!("\"{word}\" is none of {}", choices.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// `on` or `off`.
pub(super) fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("\"{word}\" is not on or off")),
    }
}

/// A whole number in a range.
pub(super) fn int(word: &str, min: i64, max: i64, unit: &str) -> Result<i64, String> {
    let number: i64 = word.parse().map_err(|_| format!("\"{word}\" is not a whole number"))?;
    if number < min || number > max {
        return Err(out_of_range(word, min, max, unit));
    }
    Ok(number)
}

/// A number in a range.
pub(super) fn float(word: &str, min: f64, max: f64, unit: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        Ok(number) if number.is_finite() => Err(out_of_range(word, min, max, unit)),
        _ => Err(format!("\"{word}\" is not a number")),
    }
}

/// A place to listen on. A port alone means any IPv4 address, as SRS means it.
pub(super) fn listen(word: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = word.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    }
    word.parse().map_err(|_| format!("\"{word}\" is not a port, address:port or [IPv6 address]:port"))
}

fn out_of_range(word: &str, min: impl ToString, max: impl ToString, unit: &str) -> String {
    let space = if unit.is_empty() { "" } else { " " };
    format!("{word} is out of range: {} to {}{space}{unit}", min.to_string(), max.to_string())
}

/// Every row, block before content.
pub fn rows() -> impl Iterator<Item = &'static Directive> {
    [server::ROWS, vhost::ROWS, output::ROWS, engine::INGEST, engine::TRANSCODE].into_iter().flatten()
}

/// The row of a path without the names of blocks.
pub fn find(path: &str) -> Option<&'static Directive> {
    rows().find(|row| row.path == path)
}

/// The row of `name` in the block at `path`, which is empty at the top.
pub(super) fn child(path: &str, name: &str) -> Option<&'static Directive> {
    children(path).find(|row| row.name() == name)
}

/// The rows that stand directly in the block at `path`.
pub fn children(path: &str) -> impl Iterator<Item = &'static Directive> {
    rows().filter(move |row| row.path.rsplit_once('/').map_or("", |(parent, _)| parent) == path)
}

/// What an unknown word in the block at `path` may have been meant to be: a word of that block that is
/// spelled alike, or else the place where the word belongs.
pub(super) fn suggest(path: &str, word: &str) -> Option<String> {
    if word.len() > 64 {
        return None;
    }
    let near = children(path)
        .map(|row| (distance(word, row.name()), row.name()))
        .filter(|(distance, name)| *distance <= name.len().max(word.len()) / 3)
        .min();
    if let Some((_, name)) = near {
        return Some(format!("did you mean {name}?"));
    }
    let elsewhere = rows().find(|row| row.name() == word)?;
    Some(match elsewhere.path.rsplit_once('/') {
        Some((parent, _)) => format!("it belongs in {parent}"),
        None => "it belongs outside of all blocks".into(),
    })
}

/// How many letters must be changed, added, taken or swapped to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best =
                (at(&last, j) + usize::from(x != *y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if j > 0 && previous == Some(*y) && b.get(j - 1) == Some(&x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_stands_once_in_a_block_of_the_table_and_its_default_is_allowed() {
        let mut paths = BTreeSet::new();
        let mut names = BTreeSet::new();
        for row in rows() {
            assert!(paths.insert(row.path), "{} stands twice", row.path);
            if let Some((parent, _)) = row.path.rsplit_once('/') {
                let parent = find(parent).unwrap_or_else(|| panic!("{} has no block", row.path));
                assert!(matches!(parent.kind, Kind::Block { .. }), "{}", row.path);
                assert!(parent.built || !row.built, "{} is built in a block that isn't", row.path);
            }
            if let Some(name) = row.env_name() {
                assert!(names.insert(name.clone()), "{name} stands twice");
            }
            assert!(!row.doc.is_empty() && row.doc.ends_with('.'), "{}", row.path);
            if !row.default.is_empty() && !row.is_block() {
                let words = crate::config::tree::words(row.default).unwrap();
                assert_eq!(row.check(&words), Ok(()), "{}", row.path);
            }
        }
        assert!(paths.len() > 300);
    }

    #[test]
    fn values_are_held_to_their_kind() {
        let check = |path: &str, value: &str| {
            find(path).unwrap().check(&crate::config::tree::words(value).unwrap()).unwrap_err()
        };
        for (path, value, expected) in [
            ("vhost/play/gop_cache", "maybe", "\"maybe\" is not on or off"),
            ("vhost/play/gop_cache", "", "a value is expected"),
            (
                "vhost/play/gop_cache",
                "on queue_length 10",
                "one value is expected, 3 are given; is a \";\" missing after \"on\"?",
            ),
            ("handshake_timeout", "99", "99 is out of range: 100 to 3600000 ms"),
            ("handshake_timeout", "1s", "\"1s\" is not a whole number"),
            ("vhost/play/queue_length", "nan", "\"nan\" is not a number"),
            ("vhost/play/queue_length", "0", "0 is out of range: 0.1 to 3600 s"),
            ("vhost/play/time_jitter", "half", "\"half\" is none of full, zero, off"),
            ("listen", "1935 x", "\"x\" is not a port, address:port or [IPv6 address]:port"),
            ("listen", "70000", "\"70000\" is not a port, address:port or [IPv6 address]:port"),
            ("vhost", "x", "a block in braces is expected"),
        ] {
            assert_eq!(check(path, value), expected, "{path} {value}");
        }
        assert_eq!(listen("1935").unwrap(), "0.0.0.0:1935".parse().unwrap());
        assert_eq!(listen("[::]:1935").unwrap(), "[::]:1935".parse().unwrap());
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_right_one() {
        for (path, word, expected) in [
            ("vhost/play", "gop_cach", Some("did you mean gop_cache?")),
            ("vhost/play", "gop_cahce", Some("did you mean gop_cache?")),
            ("", "lisen", Some("did you mean listen?")),
            ("", "gop_cache", Some("it belongs in vhost/play")),
            ("vhost/play", "max_connections", Some("it belongs outside of all blocks")),
            ("", "zzz", None),
        ] {
            assert_eq!(suggest(path, word).as_deref(), expected, "{word}");
        }
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn variables_are_named_by_rule_or_by_srs() {
        let name = |path| find(path).unwrap().env_name().map(|n| n.to_string());
        assert_eq!(name("vhost/play/gop_cache").as_deref(), Some("SRS_VHOST_PLAY_GOP_CACHE"));
        assert_eq!(name("srs_log_tank").as_deref(), Some("SRS_LOG_TANK"));
        assert_eq!(name("handshake_timeout").as_deref(), Some("SRS_HANDSHAKE_TIMEOUT"));
        assert_eq!(name("vhost/ingest/input/url"), None);
        assert_eq!(name("vhost"), None);
    }
}
