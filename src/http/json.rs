//! JSON (RFC 8259). Writing it, commas and closing brackets come by themselves; [`Json`] is what was read.
//!
//! ```
//! use camrill::http::json;
//!
//! let mut text = String::new();
//! {
//!     let mut root = json::Object::new(&mut text);
//!     root.key("code").int(0);
//!     let mut streams = root.key("streams").array();
//!     streams.item().object().key("name").str("a\"b");
//!     streams.item().null();
//! }
//! assert_eq!(text, r#"{"code":0,"streams":[{"name":"a\"b"},null]}"#);
//! ```

mod reader;

use std::fmt::Write;

pub use reader::{Json, JsonError};

/// An object; it is closed when it goes out of scope.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_first: true }
    }

    /// The place of a member. Nothing is written until it gets its value.
    pub fn key<'b>(&'b mut self, name: &'b str) -> Value<'b> {
        Value { out: self.out, is_first: &mut self.is_first, name: Some(name) }
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push('}');
    }
}

/// An array; it is closed when it goes out of scope.
#[derive(Debug)]
pub struct Array<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl<'a> Array<'a> {
    /// Opens an array at the end of `out`.
    pub fn new(out: &'a mut String) -> Self {
        out.push('[');
        Self { out, is_first: true }
    }

    /// The place of the next element. Nothing is written until it gets its value.
    pub fn item(&mut self) -> Value<'_> {
        Value { out: self.out, is_first: &mut self.is_first, name: None }
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(']');
    }
}

/// A place for one value.
#[derive(Debug)]
#[must_use = "a value is to be written here"]
pub struct Value<'a> {
    out: &'a mut String,
    is_first: &'a mut bool,
    name: Option<&'a str>,
}

impl<'a> Value<'a> {
    /// A string.
    pub fn str(self, value: &str) {
        string(self.place(), value);
    }

    /// A signed integer.
    pub fn int(self, value: i64) {
        self.display(value);
    }

    /// An unsigned integer.
    pub fn uint(self, value: u64) {
        self.display(value);
    }

    /// A number with that many decimals; `null` for what is no number.
    pub fn fixed(self, value: f64, decimals: usize) {
        match value.is_finite() {
            true => self.display(format_args!("{value:.decimals$}")),
            false => self.null(),
        }
    }

    /// `true` or `false`.
    pub fn bool(self, value: bool) {
        self.place().push_str(if value { "true" } else { "false" });
    }

    /// `null`.
    pub fn null(self) {
        self.place().push_str("null");
    }

    /// An object.
    pub fn object(self) -> Object<'a> {
        Object::new(self.place())
    }

    /// An array.
    pub fn array(self) -> Array<'a> {
        Array::new(self.place())
    }

    fn display(self, value: impl std::fmt::Display) {
        // Writing to a string can't fail.
        let _ = write!(self.place(), "{value}");
    }

    /// The comma before the value, and its name.
    fn place(self) -> &'a mut String {
        if !std::mem::take(self.is_first) {
            self.out.push(',');
        }
        if let Some(name) = self.name {
            string(self.out, name);
            self.out.push(':');
        }
        self.out
    }
}

/// A string with its quotes. The two separators that end a line in JavaScript are escaped too.
fn string(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_value_is_written() {
        let mut out = String::new();
        let mut root = Object::new(&mut out);
        root.key("i").int(i64::MIN);
        root.key("u").uint(u64::MAX);
        root.key("f").fixed(1.005, 1);
        root.key("n").fixed(f64::NAN, 2);
        root.key("z").fixed(-0.25, 0);
        root.key("t").bool(true);
        root.key("e\"").object();
        {
            let mut array = root.key("a").array();
            array.item().str("x");
            array.item().array().item().bool(false);
            array.item().object().key("k").null();
        }
        root.key("s").str("\"\\/\n\r\t\0\x1f\x7f\u{2028}\u{2029}é😀");
        drop(root);
        let expected =
            r#"{"i":-9223372036854775808,"u":18446744073709551615,"f":1.0,"n":null,"z":-0,"t":true,"#
                .to_owned()
                + r#""e\"":{},"a":["x",[false],{"k":null}],"#
                + "\"s\":\"\\\"\\\\/\\n\\r\\t\\u0000\\u001f\x7f\\u2028\\u2029é😀\"}";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_place_without_a_value_is_not_written() {
        let mut out = String::new();
        let mut array = Array::new(&mut out);
        let _ = array.item();
        array.item().int(1);
        let _ = array.item();
        array.item().int(2);
        drop(array);
        assert_eq!(out, "[1,2]");
    }

    proptest! {
        #[test]
        fn any_string_comes_back(value in any::<String>()) {
            let mut out = String::new();
            string(&mut out, &value);
            let read = Json::parse(out.as_bytes()).unwrap();
            prop_assert_eq!(read.as_str(), Some(value.as_str()));
        }
    }
}
