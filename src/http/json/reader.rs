//! Reading JSON (RFC 8259): a whole text to a tree, bounded in depth and in values.

use std::fmt;

use crate::wire::limits::{JSON_DEPTH, JSON_VALUES};

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; whole ones are exact up to 2^53.
    Number(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: its members as they stood.
    Object(Vec<(String, Json)>),
}

/// Why a text is not JSON, or not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// Something else was expected.
    Expected {
        /// What.
        what: &'static str,
        /// Where, in bytes from the text's beginning.
        at: usize,
    },
    /// It is nested deeper than [`JSON_DEPTH`].
    Depth,
    /// It has more values than [`JSON_VALUES`].
    Values,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected { what, at } => write!(f, "JSON: {what} expected at byte {at}"),
            Self::Depth => write!(f, "JSON: nested deeper than {JSON_DEPTH}"),
            Self::Values => write!(f, "JSON: more than {JSON_VALUES} values"),
        }
    }
}

impl std::error::Error for JsonError {}

impl Json {
    /// Reads a text that is one value. How long it may be is the caller's to say.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let mut reader = Reader { text, at: 0, values: 0 };
        let value = reader.value(0)?;
        reader.pass_space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.expected("the end")),
        }
    }

    /// An object's member of that name, the first where there are several.
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// An array's elements; none where it is no array.
    pub fn items(&self) -> &[Self] {
        if let Self::Array(items) = self { items } else { &[] }
    }

    /// A string's text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// A number.
    pub fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    values: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.values = self.values.saturating_add(1);
        if self.values > JSON_VALUES {
            return Err(JsonError::Values);
        }
        self.pass_space();
        match self.peek() {
            Some(b'{' | b'[') if depth >= JSON_DEPTH => Err(JsonError::Depth),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Json::Bool(true)),
            Some(b'f') => self.word(b"false", Json::Bool(false)),
            Some(b'n') => self.word(b"null", Json::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut members = Vec::new();
        self.step();
        self.pass_space();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.pass_space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member's name"));
            }
            let name = self.string()?;
            self.pass_space();
            if !self.take(b':') {
                return Err(self.expected("\":\""));
            }
            members.push((name, self.value(depth.saturating_add(1))?));
            self.pass_space();
            if self.take(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.take(b',') {
                return Err(self.expected("\",\" or \"}\""));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.step();
        self.pass_space();
        if self.take(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth.saturating_add(1))?);
            self.pass_space();
            if self.take(b']') {
                return Ok(Json::Array(items));
            }
            if !self.take(b',') {
                return Err(self.expected("\",\" or \"]\""));
            }
        }
    }

    /// A string from its opening quote to behind its closing one.
    fn string(&mut self) -> Result<String, JsonError> {
        self.step();
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
            let piece = rest.get(..plain).unwrap_or_default();
            match std::str::from_utf8(piece) {
                Ok(piece) => out.push_str(piece),
                Err(e) => {
                    self.at = self.at.saturating_add(e.valid_up_to());
                    return Err(self.expected("UTF-8"));
                }
            }
            self.at = self.at.saturating_add(plain);
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.step();
                    out.push(self.escape()?);
                }
                _ => return Err(self.expected("the end of a string")),
            }
        }
    }

    /// The character that stands behind a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.step();
                return self.unicode();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.step();
        Ok(c)
    }

    /// Four digits, or a pair of surrogates. One without the other is no character, and becomes U+FFFD.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.four_digits()?;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with(b"\\u") {
            let before = self.at;
            self.at = self.at.saturating_add(2);
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|c| char::from(c).to_digit(16));
            value = value << 4 | digit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
            self.step();
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let from = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(from..self.at).and_then(|text| std::str::from_utf8(text).ok());
        let number = text.and_then(|text| text.parse().ok()).filter(|number: &f64| number.is_finite());
        number.map(Json::Number).ok_or(JsonError::Expected { what: "a number of 64 bits", at: from })
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(self.expected("a digit"));
        }
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], value: Json) -> Result<Json, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at = self.at.saturating_add(word.len());
        Ok(value)
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.step();
        }
        found
    }

    fn pass_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        JsonError::Expected { what, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Object;
    use super::*;

    #[test]
    fn an_answer_of_a_server_is_read() {
        let text =
            br#" {"code": 0, "data" : {"urls":["rtmp://a/b/c", "x\n\"\u00e9\ud83d\ude00\/"], "n":null},
            "a": [], "o": {}, "b": [true,false,-1.5e+2, 0]}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.member("code").and_then(Json::as_f64), Some(0.0));
        let data = json.member("data").unwrap();
        let urls: Vec<_> = data.member("urls").unwrap().items().iter().filter_map(Json::as_str).collect();
        assert_eq!(urls, ["rtmp://a/b/c", "x\n\"é😀/"]);
        assert_eq!(data.member("n"), Some(&Json::Null));
        assert_eq!(
            (json.member("a"), json.member("o")),
            (Some(&Json::Array(vec![])), Some(&Json::Object(vec![])))
        );
        let numbers = [Json::Bool(true), Json::Bool(false), Json::Number(-150.0), Json::Number(0.0)];
        assert_eq!(json.member("b").unwrap().items(), numbers);
        assert_eq!((json.member("x"), json.items(), json.as_str()), (None, &[][..], None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |text: &[u8]| Json::parse(text).unwrap_err().to_string();
        for (text, expected) in [
            ("", "a value expected at byte 0"),
            ("[1,]", "a value expected at byte 3"),
            ("[1 2]", "\",\" or \"]\" expected at byte 3"),
            ("{\"a\" 1}", "\":\" expected at byte 5"),
            ("{a:1}", "a member's name expected at byte 1"),
            ("{\"a\":1", "\",\" or \"}\" expected at byte 6"),
            ("\"a\n\"", "the end of a string expected at byte 2"),
            ("\"\\x\"", "an escape expected at byte 2"),
            ("\"\\u12g4\"", "four hexadecimal digits expected at byte 5"),
            ("01", "the end expected at byte 1"),
            ("-", "a digit expected at byte 1"),
            ("1.", "a digit expected at byte 2"),
            ("1e999", "a number of 64 bits expected at byte 0"),
            ("nul", "a value expected at byte 0"),
            ("{} x", "the end expected at byte 3"),
        ] {
            assert_eq!(wrong(text.as_bytes()), format!("JSON: {expected}"), "{text}");
        }
        assert_eq!(wrong(b"\"ab\xff\""), "JSON: UTF-8 expected at byte 3");
    }

    #[test]
    fn limits_hold() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::parse(nested(JSON_DEPTH).as_bytes()).is_ok());
        assert_eq!(Json::parse(nested(JSON_DEPTH + 1).as_bytes()), Err(JsonError::Depth));
        assert_eq!(Json::parse(&vec![b'['; 1_000_000]), Err(JsonError::Depth));
        let list = |n: usize| format!("[{}1]", "1,".repeat(n - 2));
        assert!(Json::parse(list(JSON_VALUES).as_bytes()).is_ok());
        assert_eq!(Json::parse(list(JSON_VALUES + 1).as_bytes()), Err(JsonError::Values));
    }

    #[test]
    fn a_half_of_a_character_is_replaced() {
        let of = |text: &str| Json::parse(text.as_bytes()).unwrap().as_str().unwrap().to_owned();
        assert_eq!(of(r#""\ud83d""#), "\u{fffd}");
        assert_eq!(of(r#""\ud83d\u0041""#), "\u{fffd}A");
        assert_eq!(of(r#""\ude00x""#), "\u{fffd}x");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(name in any::<String>(), value in any::<String>(), n in any::<i32>()) {
            let mut text = String::new();
            {
                let mut root = Object::new(&mut text);
                root.key(&name).str(&value);
                root.key("n").array().item().int(n.into());
            }
            let json = Json::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(json.member(&name).and_then(Json::as_str), Some(value.as_str()));
            if name != "n" {
                prop_assert_eq!(json.member("n").unwrap().items(), &[Json::Number(n.into())][..]);
            }
        }

        #[test]
        fn nothing_panics(text in "[\\[\\]{}\",:\\\\u0-9a-f.eE+ -]{0,40}") {
            let _ = Json::parse(text.as_bytes());
        }
    }
}
