//! The file's syntax: `name word word;`, nested `{}` blocks, quotes, `#` comments and `include`; and a
//! writer that prints a tree back in it.
//!
//! Nothing here knows a directive but `include`. Words are taken byte by byte and only what is kept must
//! be UTF-8, so that comments in another encoding do no harm.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::wire::limits::{CONFIG_DEPTH, CONFIG_DIRECTIVES, CONFIG_FILE_BYTES, CONFIG_INCLUDE_DEPTH};

/// Where a directive came from. It prints as `camera.conf:12`, or as the file alone when the line is 0
/// (an environment variable, a path that the host set).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's path as it was given, a variable's name, or the path of a directive that was set.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 where there are no lines.
    pub line: u32,
}

impl Source {
    /// A source without lines.
    pub fn named(name: &str) -> Self {
        Self { file: Arc::from(name), line: 0 }
    }

    /// An error of the configuration at this place.
    pub(super) fn error(&self, message: impl fmt::Display) -> Error {
        Error::new(Code::Config, format!("{self}: {message}"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A directive with its words, and what its block holds.
///
/// Two nodes are equal when they say the same; where they stand doesn't count.
#[derive(Debug, Clone)]
pub struct Node {
    /// The first word.
    pub name: String,
    /// The words after it, without quotes.
    pub args: Vec<String>,
    /// Whether it has a block, even an empty one.
    pub block: bool,
    /// What the block holds.
    pub children: Vec<Node>,
    /// Where it stands.
    pub source: Source,
}

impl Node {
    /// A directive without a block.
    pub fn line(name: &str, args: Vec<String>, source: Source) -> Self {
        Self { name: name.into(), args, block: false, children: Vec::new(), source }
    }

    /// An empty block.
    pub fn block(name: &str, args: Vec<String>, source: Source) -> Self {
        Self { name: name.into(), args, block: true, children: Vec::new(), source }
    }

    /// The first word after the name, or nothing.
    pub fn arg(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.args == other.args
            && self.block == other.block
            && self.children == other.children
    }
}

impl Eq for Node {}

/// How files are read: this room opens none by itself.
pub trait Files {
    /// The bytes of the file at `path`, which is as written in the configuration.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// The files of the machine, read no further than a configuration may be long.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdFiles;

impl Files for StdFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than allowed, so that the parser sees that it is too long.
        std::fs::File::open(path)?.take(CONFIG_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// No files at all: an `include` in such a text is an error.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> io::Result<Vec<u8>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a configuration given as text cannot include files"))
    }
}

/// Parses the file at `path` and all that it includes.
pub fn parse_file(files: &dyn Files, path: &str) -> Result<Vec<Node>> {
    let bytes = files.read(path).map_err(|e| unreadable(format!("cannot read {path}: {e}"), &e))?;
    Parser { files, directives: 0 }.file(path, &bytes, &mut Budget::default())
}

/// Parses a text; `name` stands for the file in errors.
pub fn parse_text(name: &str, text: &[u8]) -> Result<Vec<Node>> {
    Parser { files: &NoFiles, directives: 0 }.file(name, text, &mut Budget::default())
}

/// Prints a tree in the syntax that it is parsed from.
pub fn print(nodes: &[Node]) -> String {
    let mut out = String::new();
    print_block(nodes, 0, &mut out);
    out
}

/// Splits a value into words at white space, with the file's quotes.
pub fn words(value: &str) -> Result<Vec<String>, String> {
    let mut lexer = Lexer::new(value.as_bytes());
    let mut words = Vec::new();
    loop {
        lexer.skip_space(false);
        if lexer.peek().is_none() {
            return Ok(words);
        }
        words.push(lexer.word(is_space)?);
    }
}

/// Joins words to a value that [`words`] splits into the same again.
pub fn join(words: &[String]) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(word, &mut out);
    }
    out
}

fn print_block(nodes: &[Node], depth: usize, out: &mut String) {
    for node in nodes {
        for _ in 0..depth {
            out.push_str("    ");
        }
        push_word(&node.name, out);
        for arg in &node.args {
            out.push(' ');
            push_word(arg, out);
        }
        if !node.block {
            out.push_str(";\n");
            continue;
        }
        out.push_str(" {\n");
        print_block(&node.children, depth + 1, out);
        for _ in 0..depth {
            out.push_str("    ");
        }
        out.push_str("}\n");
    }
}

fn push_word(word: &str, out: &mut String) {
    // A byte order mark at a file's start would be taken for one, hence the last two.
    let plain = |c: char| c > ' ' && !matches!(c, ';' | '{' | '}' | '#' | '"' | '\'' | '\u{7f}' | '\u{feff}');
    if !word.is_empty() && word.chars().all(plain) {
        out.push_str(word);
        return;
    }
    out.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn unreadable(message: String, cause: &io::Error) -> Error {
    let code = match cause.kind() {
        io::ErrorKind::NotFound => Code::NotFound,
        io::ErrorKind::Unsupported => Code::Config,
        _ => Code::Io,
    };
    Error::new(code, message)
}

/// How deep the parser stands.
#[derive(Default)]
struct Budget {
    blocks: usize,
    includes: usize,
}

struct Parser<'a> {
    files: &'a dyn Files,
    /// Directives so far, over all files; `include` counts, so that files that include each other end.
    directives: usize,
}

/// The block that is being read.
struct Open<'a> {
    name: &'a str,
    line: u32,
}

impl Parser<'_> {
    fn file(&mut self, path: &str, bytes: &[u8], budget: &mut Budget) -> Result<Vec<Node>> {
        if bytes.len() > CONFIG_FILE_BYTES {
            return Err(Error::new(
                Code::Config,
                format!("{path}: longer than {CONFIG_FILE_BYTES} bytes, which no configuration is"),
            ));
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        self.block(&Arc::from(path), &mut Lexer::new(bytes), None, budget)
    }

    fn block(
        &mut self,
        file: &Arc<str>,
        lexer: &mut Lexer<'_>,
        open: Option<Open<'_>>,
        budget: &mut Budget,
    ) -> Result<Vec<Node>> {
        let at = |line| Source { file: Arc::clone(file), line };
        let mut nodes = Vec::new();
        // The directive that is being read: its words and where it begins.
        let mut words: Vec<String> = Vec::new();
        let mut begin = 0;
        loop {
            let (token, line) = lexer.token().map_err(|message| at(lexer.line).error(message))?;
            if words.is_empty() {
                begin = line;
            }
            let mut rest = std::mem::take(&mut words).into_iter();
            match (token, rest.next()) {
                (Token::Word(word), first) => words.extend(first.into_iter().chain(rest).chain([word])),
                (Token::End, None) => {
                    return match open {
                        None => Ok(nodes),
                        Some(open) => Err(at(line).error(format_args!(
                            "\"}}\" expected before the end of the file; the block \"{}\" opened on line {}",
                            open.name, open.line
                        ))),
                    };
                }
                (Token::Close, None) => {
                    return match open {
                        Some(_) => Ok(nodes),
                        None => Err(at(line).error("\"}\" closes nothing: no block is open here")),
                    };
                }
                (Token::End | Token::Close, Some(name)) => {
                    return Err(at(begin).error(format_args!("\";\" expected at the end of \"{name}\"")));
                }
                (Token::Semicolon, None) => {
                    return Err(at(line).error("\";\" ends nothing: a directive is expected before it"));
                }
                (Token::Open, None) => {
                    return Err(at(line).error("\"{\" opens nothing: a block's name is expected before it"));
                }
                (Token::Semicolon, Some(name)) => {
                    let source = at(begin);
                    self.count(&source)?;
                    if name == "include" {
                        self.include(&source, rest, &mut nodes, budget)?;
                    } else {
                        nodes.push(Node::line(&name, rest.collect(), source));
                    }
                }
                (Token::Open, Some(name)) => {
                    let source = at(begin);
                    self.count(&source)?;
                    if budget.blocks >= CONFIG_DEPTH {
                        return Err(source.error(format_args!(
                            "\"{name}\": blocks nest deeper than {CONFIG_DEPTH}, the deepest allowed"
                        )));
                    }
                    let mut node = Node::block(&name, rest.collect(), source);
                    budget.blocks += 1;
                    node.children =
                        self.block(file, lexer, Some(Open { name: &name, line: begin }), budget)?;
                    budget.blocks -= 1;
                    nodes.push(node);
                }
            }
        }
    }

    fn count(&mut self, source: &Source) -> Result<()> {
        self.directives += 1;
        if self.directives > CONFIG_DIRECTIVES {
            return Err(source.error(format_args!("more than {CONFIG_DIRECTIVES} directives")));
        }
        Ok(())
    }

    fn include(
        &mut self,
        source: &Source,
        paths: impl Iterator<Item = String>,
        nodes: &mut Vec<Node>,
        budget: &mut Budget,
    ) -> Result<()> {
        let mut empty = true;
        for path in paths {
            empty = false;
            self.count(source)?;
            if budget.includes >= CONFIG_INCLUDE_DEPTH {
                return Err(source.error(format_args!(
                    "include {path}: files include each other deeper than {CONFIG_INCLUDE_DEPTH}"
                )));
            }
            let (path, bytes) = self.read(source, path)?;
            budget.includes += 1;
            nodes.append(&mut self.file(&path, &bytes, budget)?);
            budget.includes -= 1;
        }
        if empty {
            return Err(source.error("include: a file's name is expected"));
        }
        Ok(())
    }

    /// As SRS, relative to where the program runs; else beside the file that includes it, which is what
    /// most people expect.
    fn read(&self, source: &Source, path: String) -> Result<(String, Vec<u8>)> {
        let cause = match self.files.read(&path) {
            Ok(bytes) => return Ok((path, bytes)),
            Err(cause) => cause,
        };
        if cause.kind() == io::ErrorKind::NotFound
            && let Some((folder, _)) = source.file.rsplit_once('/')
            && !path.starts_with('/')
        {
            let beside = format!("{folder}/{path}");
            if let Ok(bytes) = self.files.read(&beside) {
                return Ok((beside, bytes));
            }
        }
        Err(unreadable(format!("{source}: include: cannot read {path}: {cause}"), &cause))
    }
}

enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
    End,
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl<'a> Lexer<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    fn skip_space(&mut self, comments: bool) {
        let mut comment = false;
        while let Some(byte) = self.peek() {
            comment = (comment || (comments && byte == b'#')) && byte != b'\n';
            if !comment && !is_space(byte) {
                return;
            }
            self.next();
        }
    }

    /// The next token and the line on which it begins.
    fn token(&mut self) -> Result<(Token, u32), String> {
        self.skip_space(true);
        let line = self.line;
        let token = match self.peek() {
            None => return Ok((Token::End, line)),
            Some(b';') => Token::Semicolon,
            Some(b'{') => Token::Open,
            Some(b'}') => Token::Close,
            Some(_) => {
                return Ok((Token::Word(self.word(|b| is_space(b) || matches!(b, b';' | b'{'))?), line));
            }
        };
        self.next();
        Ok((token, line))
    }

    /// A word, in quotes or up to where `ends` says.
    fn word(&mut self, ends: impl Fn(u8) -> bool) -> Result<String, String> {
        let line = self.line;
        let mut word = Vec::new();
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            self.next();
            loop {
                match self.next() {
                    None => {
                        let quote = char::from(quote);
                        return Err(format!("the quote {quote} that opened on line {line} never closes"));
                    }
                    Some(b) if b == quote => break,
                    // Any other backslash stays one: SRS has no escapes, and filters and paths hold many.
                    Some(b'\\') => match self.peek() {
                        Some(b) if b == quote || b == b'\\' => {
                            self.next();
                            word.push(b);
                        }
                        _ => word.push(b'\\'),
                    },
                    Some(b) => word.push(b),
                }
            }
            if let Some(b) = self.peek()
                && !ends(b)
            {
                let quote = char::from(quote);
                return Err(format!("a space or \";\" expected after the closing quote {quote}"));
            }
        } else {
            while let Some(byte) = self.peek()
                && !ends(byte)
            {
                self.next();
                word.push(byte);
            }
        }
        String::from_utf8(word)
            .map_err(|e| format!("\"{}\" is not UTF-8 text", String::from_utf8_lossy(e.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    struct Memory(BTreeMap<&'static str, &'static [u8]>);

    impl Files for Memory {
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            self.0.get(path).map(|b| b.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    fn message(text: &str) -> String {
        parse_text("camera.conf", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn words_blocks_quotes_and_comments() {
        let text = "\u{feff}listen 1935 [::]:1935; # both\n\
            vhost a.b { play { gop_cache on; } empty{} }\n\
            say 'it is \\'so\\'' \"a\\\\b \\n\" x#y \"\";\r\n";
        let tree = parse_text("t", text.as_bytes()).unwrap();
        assert_eq!(tree.len(), 3);
        assert_eq!(tree[0].args, ["1935", "[::]:1935"]);
        assert_eq!((tree[1].arg(), tree[1].block, tree[1].source.line), ("a.b", true, 2));
        assert_eq!(tree[1].children[0].children[0].args, ["on"]);
        assert!(tree[1].children[1].block);
        assert_eq!(tree[2].args, ["it is 'so'", "a\\b \\n", "x#y", ""]);
    }

    #[test]
    fn a_comment_may_be_in_any_encoding_and_a_word_not() {
        assert_eq!(parse_text("t", b"# \xC4\xE3\nlisten 1;").unwrap().len(), 1);
        let error = parse_text("t", b"\nlisten \xC4;").unwrap_err();
        assert_eq!(error.to_string(), "t:2: \"\u{fffd}\" is not UTF-8 text");
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, expected) in [
            (
                "a;\n\nvhost x {\n a 1;\n",
                "camera.conf:5: \"}\" expected before the end of the file; the block \"vhost\" opened on line 3",
            ),
            ("a 1;\n}", "camera.conf:2: \"}\" closes nothing: no block is open here"),
            ("a {\n b on\n}", "camera.conf:2: \";\" expected at the end of \"b\""),
            ("a 1", "camera.conf:1: \";\" expected at the end of \"a\""),
            (";", "camera.conf:1: \";\" ends nothing: a directive is expected before it"),
            ("\n{}", "camera.conf:2: \"{\" opens nothing: a block's name is expected before it"),
            ("a \"b\n\n", "camera.conf:3: the quote \" that opened on line 1 never closes"),
            ("a 'b'c;", "camera.conf:1: a space or \";\" expected after the closing quote '"),
            ("include;", "camera.conf:1: include: a file's name is expected"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
        let deep = "a {".repeat(9);
        assert!(message(&deep).contains("deeper than 8"));
        assert!(message(&"a;".repeat(CONFIG_DIRECTIVES + 1)).contains("more than 16384 directives"));
        assert!(message(&" ".repeat(CONFIG_FILE_BYTES + 1)).contains("longer than"));
        assert!(message("include x;").contains("given as text"));
    }

    #[test]
    fn includes_stand_in_place_and_beside_the_file() {
        let files = Memory(BTreeMap::from([
            ("etc/a.conf", &b"one;\nblock { include b.conf c.conf; }\nthree;"[..]),
            ("etc/b.conf", b"two;"),
            ("c.conf", b"\nfour;"),
            ("loop", b"include loop loop;"),
            ("bad", b"include none;"),
            ("etc/broken", b"include broken2;"),
            ("etc/broken2", b"\nx {"),
        ]));
        let tree = parse_file(&files, "etc/a.conf").unwrap();
        let names: Vec<_> =
            tree[1].children.iter().map(|n| (n.name.as_str(), n.source.to_string())).collect();
        assert_eq!(names, [("two", "etc/b.conf:1".into()), ("four", "c.conf:2".into())]);
        assert!(parse_file(&files, "loop").unwrap_err().message().contains("deeper than 8"));
        let missing = parse_file(&files, "bad").unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        assert!(missing.message().starts_with("bad:1: include: cannot read none:"), "{missing}");
        assert_eq!(parse_file(&files, "nowhere").unwrap_err().code(), Code::NotFound);
        assert!(parse_file(&files, "etc/broken").unwrap_err().message().starts_with("etc/broken2:2: \"}\""));
    }

    fn tree() -> impl Strategy<Value = Vec<Node>> {
        let word = prop_oneof!["[a-z_]{1,8}", "\\PC{0,6}", "[ \"'\\\\;{}#\n\ta]{0,6}"];
        let name = word.clone().prop_filter("include is not a directive", |w| w != "include");
        let args = prop::collection::vec(word, 0..4);
        let source = Source::named("t");
        let at = source.clone();
        let leaf = (name.clone(), args.clone()).prop_map(move |(n, a)| Node::line(&n, a, at.clone()));
        let node = leaf.prop_recursive(5, 40, 5, move |inner| {
            let at = source.clone();
            (name.clone(), args.clone(), prop::collection::vec(inner, 0..5)).prop_map(
                move |(n, a, children)| {
                    let mut node = Node::block(&n, a, at.clone());
                    node.children = children;
                    node
                },
            )
        });
        prop::collection::vec(node, 0..6)
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_tree_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_text("t", &bytes);
        }

        #[test]
        fn any_marks_are_a_tree_or_an_error(text in "[a{};#\"'\\\\\n ]{0,80}") {
            let _ = parse_text("t", text.as_bytes());
        }

        #[test]
        fn what_is_printed_parses_to_the_same(tree in tree()) {
            let text = print(&tree);
            prop_assert_eq!(parse_text("t", text.as_bytes()).unwrap(), tree, "{}", text);
        }

        #[test]
        fn joined_words_split_to_the_same(list in prop::collection::vec("\\PC{0,6}|[ \"'\\\\;\n]{0,4}", 0..5)) {
            prop_assert_eq!(words(&join(&list)).unwrap(), list);
        }
    }
}
