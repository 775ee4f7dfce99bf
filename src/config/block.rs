//! A block of the configuration, read by its rows in the table: where defaults and units come from.

use std::net::SocketAddr;
use std::time::Duration;

use super::table::{self, Directive, Kind};
use super::tree::{Node, Source, words};
use crate::error::Result;

/// A block and its place in the table, from which defaults and units come.
pub(super) struct Block<'a> {
    /// What the block holds.
    pub(super) nodes: &'a [Node],
    /// Its path in the table.
    pub(super) path: &'static str,
}

impl<'a> Block<'a> {
    /// The first block of the last word of `path`, empty if it isn't there.
    pub(super) fn block(&self, path: &'static str) -> Block<'a> {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let nodes = self.nodes.iter().find(|n| n.block && n.name == name).map_or(&[][..], |n| &n.children);
        Block { nodes, path }
    }

    /// A directive, if it is given.
    pub(super) fn find(&self, name: &str) -> Option<&'a Node> {
        self.nodes.iter().find(|n| !n.block && n.name == name)
    }

    /// Where a directive stands, or would.
    pub(super) fn source(&self, name: &str) -> Source {
        self.find(name).map_or_else(|| Source::named(self.path), |node| node.source.clone())
    }

    /// `on` or `off`.
    pub(super) fn switch(&self, name: &str) -> Result<bool> {
        self.word(name, |word| word == "on")
    }

    /// One word as it is.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        self.word(name, |word| word.to_owned())
    }

    /// All words, or those of the default.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        match self.find(name) {
            Some(node) => node.args.clone(),
            None => {
                let row = table::child(self.path, name);
                row.and_then(|row| words(row.default).ok()).unwrap_or_default()
            }
        }
    }

    /// A number with a fraction.
    pub(super) fn fraction(&self, name: &str) -> Result<f64> {
        self.read(name, |row, word| {
            let Kind::Float { min, max, unit } = row.kind else { return Err(not_of_kind(row)) };
            table::float(word, min, max, unit)
        })
    }

    /// Addresses, or the row's default where none are given.
    pub(super) fn listen_or_default(&self, name: &str) -> Result<Vec<SocketAddr>> {
        if self.find(name).is_some() {
            return self.listen(name);
        }
        Ok(self.texts(name).iter().filter_map(|word| table::listen(word).ok()).collect())
    }

    pub(super) fn listen(&self, name: &str) -> Result<Vec<SocketAddr>> {
        let Some(node) = self.find(name) else { return Ok(Vec::new()) };
        let mut list = Vec::new();
        for word in &node.args {
            let address = table::listen(word).map_err(|message| node.source.error(message))?;
            // Port 0 asks for any free one, and may be asked for again.
            if address.port() != 0 && list.contains(&address) {
                return Err(node.source.error(format_args!("{name}: {word} stands twice")));
            }
            list.push(address);
        }
        Ok(list)
    }

    /// A whole number; the row's range is within the type's.
    pub(super) fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T> {
        self.read(name, |row, word| {
            let Kind::Int { min, max, unit } = row.kind else { return Err(not_of_kind(row)) };
            T::try_from(table::int(word, min, max, unit)?).map_err(|_| not_of_kind(row))
        })
    }

    /// A time in the row's unit, which is `s` or `ms`.
    pub(super) fn time(&self, name: &str) -> Result<Duration> {
        self.read(name, |row, word| {
            let (number, unit) = match row.kind {
                Kind::Int { min, max, unit } => (table::int(word, min, max, unit)? as f64, unit),
                Kind::Float { min, max, unit } => (table::float(word, min, max, unit)?, unit),
                _ => return Err(not_of_kind(row)),
            };
            let seconds = match unit {
                "s" => number,
                "ms" => number / 1000.0,
                _ => return Err(not_of_kind(row)),
            };
            Duration::try_from_secs_f64(seconds).map_err(|_| not_of_kind(row))
        })
    }

    pub(super) fn word<T>(&self, name: &str, make: impl Fn(&str) -> T) -> Result<T> {
        self.read(name, |row, word| row.check(&[word.into()]).map(|()| make(word)))
    }

    fn read<T>(
        &self,
        name: &str,
        parse: impl Fn(&'static Directive, &str) -> Result<T, String>,
    ) -> Result<T> {
        let given = self.find(name);
        let source = self.source(name);
        let Some(row) = table::child(self.path, name) else {
            return Err(source.error(format_args!("{name}: not in the table")));
        };
        let default = words(row.default).unwrap_or_default();
        let word = given.map_or(default.first(), |node| node.args.first()).map_or("", String::as_str);
        parse(row, word).map_err(|message| source.error(format_args!("{name}: {message}")))
    }
}

/// The row and who reads it disagree. The tests read every row that is read here.
fn not_of_kind(row: &Directive) -> String {
    format!("{} is not of the kind that it is read as", row.path)
}
