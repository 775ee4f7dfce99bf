//! What was said, in layers: a file that the host may edit by path, and the environment over it.

use std::borrow::Cow;

use super::table::{self, DEFAULT_VHOST, Directive, Kind, Named};
use super::tree::{self, Files, Node, Source};
use super::{Warning, check, legacy};
use crate::error::{Code, Error, Result};

/// A configuration: a tree of directives, and environment variables that overrule it.
///
/// What is in it has been checked against the [`table`]. A path is the words down to a directive with
/// slashes between, named blocks with their names, since a vhost's name has dots: `listen`,
/// `vhost/demo.example.com/play/gop_cache`, `vhost/__defaultVhost__/ingest/camera/input/url`.
///
/// ```
/// use camrill::config::Config;
///
/// let mut config = Config::new();
/// config.load_text("camera.conf", "listen 1935; vhost __defaultVhost__ { play { gop_cache off; } }")?;
/// config.set("vhost/__defaultVhost__/play/queue_length", "10")?;
/// config.load_env([("SRS_LISTEN", "19350")])?;
/// assert_eq!(config.value("listen")?, "19350");
/// assert_eq!(config.value("vhost/__defaultVhost__/play/gop_cache")?, "off");
/// assert_eq!(config.value("chunk_size")?, "60000");
/// # Ok::<(), camrill::error::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Config {
    tree: Vec<Node>,
    env: Vec<Override>,
}

/// One environment variable.
#[derive(Debug, Clone)]
struct Override {
    row: &'static Directive,
    words: Vec<String>,
    source: Source,
}

impl Config {
    /// A configuration that says nothing: all defaults, and nothing listens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the file at `path` and what it includes. It takes the place of what was loaded or set before;
    /// when it is wrong, that stays.
    pub fn load(&mut self, files: &dyn Files, path: &str) -> Result<Vec<Warning>> {
        self.replace(tree::parse_file(files, path)?)
    }

    /// The same from a text, which cannot include files; `name` stands for the file in messages.
    pub fn load_text(&mut self, name: &str, text: &str) -> Result<Vec<Warning>> {
        self.replace(tree::parse_text(name, text.as_bytes())?)
    }

    /// Takes the variables that begin with `SRS_`, in the place of those taken before.
    ///
    /// A variable of a vhost's directive overrules that of every vhost. One that is empty counts as not
    /// there, as SRS has it; one that is unknown is a warning, since an environment carries strangers.
    pub fn load_env<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Vec<Warning>> {
        let mut env: Vec<Override> = Vec::new();
        let mut warnings = Vec::new();
        for (name, value) in variables {
            let (name, value) = (name.as_ref(), value.as_ref());
            if !name.starts_with("SRS_") || value.is_empty() {
                continue;
            }
            let source = Source::named(name);
            let Some(row) = table::rows().find(|row| row.env_name().is_some_and(|n| n == name)) else {
                warnings.push(Warning::new(&source, "no directive has this variable; it is ignored"));
                continue;
            };
            let words = split(row, value).map_err(|message| source.error(message))?;
            warnings.extend(check::value(row, &words, &source)?);
            env.retain(|o| o.row.path != row.path);
            env.push(Override { row, words, source });
        }
        self.env = env;
        Ok(warnings)
    }

    /// Sets a directive, and makes the blocks that it stands in as needed. What the environment says still
    /// comes before it.
    ///
    /// A directive that takes one value takes `value` as it is, blanks included; one that takes several
    /// takes words with blanks between, in quotes where a word has blanks itself.
    pub fn set(&mut self, path: &str, value: &str) -> Result<Vec<Warning>> {
        let target = resolve(path)?;
        let Some((name, row)) = target.leaf else {
            return Err(Error::new(Code::Config, format!("{path}: a block; set the directives in it")));
        };
        let source = Source::named(path);
        let words = match row {
            Some(row) => split(row, value),
            None => tree::words(value),
        };
        let words = words.map_err(|message| source.error(message))?;
        let mut warnings = Vec::new();
        if let Some(row) = row {
            warnings.extend(check::value(row, &words, &source)?);
        }
        put(&mut self.tree, &target.steps, name, words, &source);
        Ok(warnings)
    }

    /// Takes a directive or a block away, as if it had never been loaded or set. It is no error when it
    /// hadn't; a path that no configuration can have is one.
    pub fn unset(&mut self, path: &str) -> Result<()> {
        let target = resolve(path)?;
        let (steps, last) = match (target.leaf, target.steps.split_last()) {
            (Some((name, _)), _) => (target.steps.as_slice(), Step { name, arg: None }),
            (None, Some((last, steps))) => (steps, *last),
            (None, None) => return Ok(()),
        };
        let mut nodes = &mut self.tree;
        for step in steps {
            match nodes.iter_mut().find(|n| step.is(n)) {
                Some(node) => nodes = &mut node.children,
                None => return Ok(()),
            }
        }
        nodes.retain(|n| !last.is(n));
        Ok(())
    }

    /// What holds at a path: the environment's word, else the file's or the host's, else the default.
    ///
    /// Of several words they stand as [`Config::set`] takes them. A named block that isn't there is
    /// [`Code::NotFound`], except `__defaultVhost__` where there is no vhost.
    pub fn value(&self, path: &str) -> Result<String> {
        let target = resolve(path)?;
        let Some((name, row)) = target.leaf else {
            return Err(Error::new(Code::Config, format!("{path}: a block; ask for the directives in it")));
        };
        let tree = self.effective();
        let mut nodes: &[Node] = &tree;
        for step in &target.steps {
            nodes = match nodes.iter().find(|n| step.is(n)) {
                Some(node) => &node.children,
                None if step.arg == Some(DEFAULT_VHOST) && !tree.iter().any(|n| n.name == "vhost") => &[],
                None => match step.arg {
                    Some(arg) => {
                        let message = format!("{path}: there is no {} \"{arg}\"", step.name);
                        return Err(Error::new(Code::NotFound, message));
                    }
                    None => &[],
                },
            };
        }
        match (nodes.iter().find(|n| n.name == name && !n.block), row) {
            (Some(node), Some(row)) if row.is_scalar() && node.args.len() == 1 => Ok(node.arg().into()),
            (Some(node), _) => Ok(tree::join(&node.args)),
            (None, Some(row)) if row.path == "vhost/chunk_size" => self.value("chunk_size"),
            (None, Some(row)) => Ok(row.default.into()),
            (None, None) => Err(Error::new(Code::NotFound, format!("{path}: not given"))),
        }
    }

    /// The configuration that is in force, in the file's syntax: the environment's words in their places.
    /// Defaults are not written out.
    pub fn print(&self) -> String {
        tree::print(&self.effective())
    }

    /// The tree with the environment's words in it.
    pub(super) fn effective(&self) -> Cow<'_, [Node]> {
        if self.env.is_empty() {
            return Cow::Borrowed(&self.tree);
        }
        let mut tree = self.tree.clone();
        for Override { row, words, source } in &self.env {
            let mut parts: Vec<&str> = row.path.split('/').collect();
            let Some(name) = parts.pop() else { continue };
            let steps: Vec<Step<'_>> = parts.iter().map(|name| Step { name, arg: None }).collect();
            let [Step { name: "vhost", .. }, inner @ ..] = steps.as_slice() else {
                put(&mut tree, &steps, name, words.clone(), source);
                continue;
            };
            if !tree.iter().any(|n| n.name == "vhost") {
                tree.push(Node::block("vhost", vec![DEFAULT_VHOST.into()], source.clone()));
            }
            for vhost in tree.iter_mut().filter(|n| n.name == "vhost") {
                put(&mut vhost.children, inner, name, words.clone(), source);
            }
        }
        Cow::Owned(tree)
    }

    fn replace(&mut self, mut tree: Vec<Node>) -> Result<Vec<Warning>> {
        legacy::modernize(&mut tree);
        let warnings = check::tree(&tree)?;
        self.tree = tree;
        Ok(warnings)
    }
}

/// A value's words: one as it stands, or several.
fn split(row: &Directive, value: &str) -> Result<Vec<String>, String> {
    Ok(match row.kind {
        Kind::Text => vec![value.into()],
        _ if row.is_scalar() => vec![value.trim().into()],
        _ => tree::words(value)?,
    })
}

/// One block on the way down.
#[derive(Debug, Clone, Copy)]
struct Step<'a> {
    name: &'a str,
    /// Its name, if it is to have a certain one.
    arg: Option<&'a str>,
}

impl Step<'_> {
    fn is(&self, node: &Node) -> bool {
        node.name == self.name && self.arg.is_none_or(|arg| node.arg() == arg)
    }
}

/// Where a path leads.
struct Target<'a> {
    steps: Vec<Step<'a>>,
    /// The directive and its row, which it has none of where everything is allowed. Nothing for a block.
    leaf: Option<(&'a str, Option<&'static Directive>)>,
}

fn resolve(path: &str) -> Result<Target<'_>> {
    let not_found = |message: String| Error::new(Code::NotFound, format!("{path}: {message}"));
    let mut steps = Vec::new();
    let mut parts = path.split('/').peekable();
    let mut place = "";
    while let Some(name) = parts.next() {
        let row = table::child(place, name).ok_or_else(|| not_found(check::unknown(place, name)))?;
        place = row.path;
        match row.kind {
            Kind::Free => {
                steps.push(Step { name, arg: None });
                let leaf = parts.next().map(|key| (key, None));
                // Printed, it would read a file.
                if leaf.is_some_and(|(key, _)| key == "include") {
                    return Err(not_found("\"include\" is for files only".into()));
                }
                if parts.next().is_some() {
                    return Err(not_found(format!("\"{name}\" holds directives and no blocks")));
                }
                return Ok(Target { steps, leaf });
            }
            Kind::Block { named } => {
                // A name that is a word of the block's own would read two ways; the word comes first.
                let named = match (named, parts.peek()) {
                    (Named::Maybe, Some(next)) => table::child(place, next).is_none(),
                    (named, _) => named == Named::Yes,
                };
                let arg = if named { parts.next() } else { None };
                if named && arg.is_none_or(str::is_empty) {
                    return Err(not_found(format!("\"{name}\" needs a name: {name}/NAME")));
                }
                steps.push(Step { name, arg });
            }
            _ if parts.next().is_some() => return Err(not_found(format!("\"{name}\" is not a block"))),
            _ => return Ok(Target { steps, leaf: Some((name, Some(row))) }),
        }
    }
    Ok(Target { steps, leaf: None })
}

/// Puts a directive in the first blocks of their names, which are those that are read.
fn put(tree: &mut Vec<Node>, steps: &[Step<'_>], name: &str, words: Vec<String>, source: &Source) {
    let mut nodes = tree;
    for step in steps {
        let at = nodes.iter().position(|n| step.is(n)).unwrap_or(nodes.len());
        if at == nodes.len() {
            let args = step.arg.map(String::from).into_iter().collect();
            nodes.push(Node::block(step.name, args, source.clone()));
        }
        let Some(node) = nodes.get_mut(at) else { return };
        nodes = &mut node.children;
    }
    let at = nodes.iter().position(|n| n.name == name).unwrap_or(nodes.len());
    nodes.retain(|n| n.name != name);
    nodes.insert(at.min(nodes.len()), Node::line(name, words, source.clone()));
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;

    const VHOST: &str = "vhost/demo.example.com";

    fn loaded(text: &str) -> Config {
        let mut config = Config::new();
        config.load_text("t", text).unwrap();
        config
    }

    #[test]
    fn the_environment_comes_before_what_is_set_and_that_before_the_file() {
        let mut config = loaded("listen 1; vhost demo.example.com { play { queue_length 1; } } vhost b {}");
        let queue = format!("{VHOST}/play/queue_length");
        assert_eq!(config.value(&queue).unwrap(), "1");
        config.set(&queue, "2").unwrap();
        assert_eq!(config.value(&queue).unwrap(), "2");
        let warnings = config
            .load_env([
                ("SRS_VHOST_PLAY_QUEUE_LENGTH", "3"),
                ("SRS_LISTEN", "2 [::]:3"),
                ("SRS_LOG_TANK", "console"),
                ("SRS_WHAT", "1"),
                ("SRS_CHUNK_SIZE", ""),
                ("PATH", "/bin"),
            ])
            .unwrap();
        let warnings: Vec<String> = warnings.iter().map(Warning::to_string).collect();
        assert_eq!(
            warnings,
            [
                "SRS_LOG_TANK: \"srs_log_tank\" is not built yet and ignored",
                "SRS_WHAT: no directive has this variable; it is ignored",
            ]
        );
        assert_eq!(config.value(&queue).unwrap(), "3");
        assert_eq!(config.value("vhost/b/play/queue_length").unwrap(), "3");
        assert_eq!(config.value("listen").unwrap(), "2 [::]:3");
        let printed = loaded(&config.print());
        assert_eq!(printed.tree, *config.effective());
        config.load_env::<&str, &str>([]).unwrap();
        assert_eq!(config.value(&queue).unwrap(), "2");
        config.unset(&queue).unwrap();
        assert_eq!(config.value(&queue).unwrap(), "30");
    }

    #[test]
    fn a_wrong_variable_is_named_and_changes_nothing() {
        let mut config = Config::new();
        config.load_env([("SRS_LISTEN", "1")]).unwrap();
        let error = config.load_env([("SRS_LISTEN", "2"), ("SRS_VHOST_PLAY_GOP_CACHE", "yes")]).unwrap_err();
        assert_eq!(error.message(), "SRS_VHOST_PLAY_GOP_CACHE: \"yes\" is not on or off");
        assert_eq!(config.value("listen").unwrap(), "1");
        config.load_env([("SRS_VHOST_PLAY_GOP_CACHE", "off")]).unwrap();
        assert_eq!(
            config.print(),
            "vhost __defaultVhost__ {\n    play {\n        gop_cache off;\n    }\n}\n"
        );
    }

    #[test]
    fn a_wrong_file_leaves_what_was() {
        struct One;
        impl Files for One {
            fn read(&self, path: &str) -> io::Result<Vec<u8>> {
                match path {
                    "good" => Ok(b"listen 1;".to_vec()),
                    "bad" => Ok(b"listen x;".to_vec()),
                    _ => Err(io::ErrorKind::NotFound.into()),
                }
            }
        }
        let mut config = Config::new();
        assert!(config.load(&One, "good").unwrap().is_empty());
        assert_eq!(config.load(&One, "bad").unwrap_err().code(), Code::Config);
        assert_eq!(config.load(&One, "none").unwrap_err().code(), Code::NotFound);
        assert_eq!(config.value("listen").unwrap(), "1");
    }

    #[test]
    fn paths_make_blocks_and_find_them() {
        let mut config = Config::new();
        config.set("vhost/a.b/ingest/camera/ffmpeg", "/mnt/my tools/ffmpeg").unwrap();
        config.set("vhost/a.b/ingest/camera/input/url", "a.flv '/mnt/my videos/b.flv'").unwrap();
        config.set("vhost/a.b/transcode/live/engine/hd/vparams/bf", "3 'x y'").unwrap();
        config.set("vhost/a.b/transcode/enabled", "off").unwrap();
        config.set("vhost/a.b/http_hooks/on_play", "http://x \"a b\"").unwrap();
        config.set("vhost/a.b/security/allow", "play all").unwrap();
        assert_eq!(config.value("vhost/a.b/ingest/camera/ffmpeg").unwrap(), "/mnt/my tools/ffmpeg");
        let url = config.value("vhost/a.b/ingest/camera/input/url").unwrap();
        assert_eq!(url, "a.flv \"/mnt/my videos/b.flv\"");
        assert_eq!(config.value("vhost/a.b/http_hooks/on_play").unwrap(), "http://x \"a b\"");
        assert_eq!(config.value("vhost/a.b/transcode/live/engine/hd/vparams/bf").unwrap(), "3 \"x y\"");
        assert_eq!(loaded(&config.print()).tree, config.tree);
        config.unset("vhost/a.b/ingest/camera").unwrap();
        assert_eq!(config.value("vhost/a.b/ingest/camera/input/url").unwrap_err().code(), Code::NotFound);
        config.unset("vhost/a.b").unwrap();
        config.unset("vhost/a.b/play/atc").unwrap();
        assert_eq!(config.print(), "");
        assert_eq!(config.value("vhost/__defaultVhost__/chunk_size").unwrap(), "60000");
        config.set("chunk_size", " 128 ").unwrap();
        assert_eq!(config.value("vhost/__defaultVhost__/chunk_size").unwrap(), "128");
    }

    #[test]
    fn wrong_paths_and_values_say_what_is_wrong() {
        let mut config = loaded("vhost a {}");
        for (path, value, code, expected) in [
            ("lisen", "1", Code::NotFound, "lisen: unknown directive \"lisen\" (did you mean listen?)"),
            (
                "vhost/a/play/gop_cach",
                "on",
                Code::NotFound,
                "vhost/a/play/gop_cach: unknown directive \"gop_cach\" in vhost/play (did you mean gop_cache?)",
            ),
            (
                "vhost/a/play/gop_cache/x",
                "on",
                Code::NotFound,
                "vhost/a/play/gop_cache/x: \"gop_cache\" is not a block",
            ),
            ("vhost", "on", Code::NotFound, "vhost: \"vhost\" needs a name: vhost/NAME"),
            ("vhost//play", "on", Code::NotFound, "vhost//play: \"vhost\" needs a name: vhost/NAME"),
            ("vhost/a/play", "on", Code::Config, "vhost/a/play: a block; set the directives in it"),
            ("vhost/a/play/atc", "yes", Code::Config, "vhost/a/play/atc: \"yes\" is not on or off"),
            ("listen", "", Code::Config, "listen: a port or address:port is expected"),
            ("listen", "\"1", Code::Config, "listen: the quote \" that opened on line 1 never closes"),
            (
                "vhost/a/transcode/engine/vparams/a/b",
                "",
                Code::NotFound,
                "vhost/a/transcode/engine/vparams/a/b: \"vparams\" holds directives and no blocks",
            ),
        ] {
            let error = config.set(path, value).unwrap_err();
            assert_eq!((error.code(), error.message()), (code, expected), "{path}");
        }
        let error = config.value("vhost/b/play/atc").unwrap_err();
        assert_eq!(error.message(), "vhost/b/play/atc: there is no vhost \"b\"");
        assert_eq!(config.value("vhost/a/play").unwrap_err().code(), Code::Config);
        assert_eq!(config.set("daemon", "on").unwrap().len(), 1);
    }

    #[test]
    fn a_sample_of_every_block_is_taken_and_printed() {
        // Every directive that has a default, in its place.
        let mut config = Config::new();
        for row in table::rows().filter(|r| !r.is_block() && !r.default.is_empty()) {
            let path =
                row.path.replace("vhost/ingest", "vhost/ingest/camera").replacen("vhost/", "vhost/a.b/", 1);
            config.set(&path, row.default).unwrap();
            assert_eq!(config.value(&path).unwrap(), row.default, "{path}");
        }
        let again = loaded(&config.print());
        assert_eq!(again.tree, config.tree);
    }

    #[test]
    fn every_variable_is_taken_and_said_in_the_file() {
        for row in table::rows().filter(|r| !r.default.is_empty()) {
            let Some(name) = row.env_name() else { continue };
            let mut config = Config::new();
            config.load_env([(name.as_ref(), row.default)]).unwrap();
            let path = row.path.replacen("vhost/", "vhost/__defaultVhost__/", 1);
            assert_eq!(config.value(&path).unwrap(), row.default, "{name}");
            assert!(!config.print().is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_an_error(text in "(vhost|play|a|listen|ingest|[{};# \n]|on|transcode|engine){0,30}") {
            let _ = Config::new().load_text("t", &text);
        }

        #[test]
        fn any_path_and_value_are_taken_or_an_error(
            path in "(vhost|a|play|atc|/|ingest|input|url|transcode|engine|vparams|x){0,12}",
            value in "\\PC{0,12}",
        ) {
            let mut config = Config::new();
            let _ = config.set(&path, &value);
            let _ = config.value(&path);
            prop_assert_eq!(&loaded(&config.print()).tree, &config.tree);
            let _ = config.unset(&path);
        }

        #[test]
        fn what_is_set_is_the_value_and_survives_printing(vhost in "[^/]{1,12}", value in any::<String>()) {
            let path = format!("vhost/{vhost}/ingest/camera/ffmpeg");
            let mut config = Config::new();
            config.set(&path, &value).unwrap();
            prop_assert_eq!(config.value(&path).unwrap(), value.clone());
            prop_assert_eq!(loaded(&config.print()).value(&path).unwrap(), value);
        }
    }
}
