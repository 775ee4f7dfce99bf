//! JSON, read (RFC 8259). Keys keep their order, which is part of what is tested.

#![allow(dead_code)] // each test file takes what it needs

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

static NULL: Json = Json::Null;

impl Json {
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let mut rest = text.trim();
        let value = read(&mut rest).unwrap_or_else(|| panic!("no JSON from {rest:?} on in {text:?}"));
        assert_eq!(rest.trim(), "", "behind the value");
        value
    }

    /// A member; null if there is none.
    pub(crate) fn at(&self, key: &str) -> &Json {
        let Self::Object(members) = self else { return &NULL };
        members.iter().find(|(k, _)| k == key).map_or(&NULL, |(_, value)| value)
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        let Self::Object(members) = self else { return Vec::new() };
        members.iter().map(|(key, _)| key.as_str()).collect()
    }

    #[track_caller]
    pub(crate) fn items(&self) -> &[Json] {
        let Self::Array(items) = self else { panic!("no array: {self:?}") };
        items
    }

    #[track_caller]
    pub(crate) fn str(&self) -> &str {
        let Self::String(text) = self else { panic!("no string: {self:?}") };
        text
    }

    #[track_caller]
    pub(crate) fn num(&self) -> f64 {
        let Self::Number(number) = self else { panic!("no number: {self:?}") };
        *number
    }

    #[track_caller]
    pub(crate) fn bool(&self) -> bool {
        let Self::Bool(value) = self else { panic!("neither true nor false: {self:?}") };
        *value
    }

    /// Keys and types, without values.
    pub(crate) fn shape(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(_) => "b".into(),
            Self::Number(_) => "n".into(),
            Self::String(_) => "s".into(),
            Self::Array(items) => format!("[{}]", items.last().map(Self::shape).unwrap_or_default()),
            Self::Object(members) => {
                let members: Vec<_> = members.iter().map(|(k, v)| format!("{k}:{}", v.shape())).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

fn read(rest: &mut &str) -> Option<Json> {
    *rest = rest.trim_start();
    if let Some(value) = [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
        .into_iter()
        .find_map(|(word, value)| take(rest, word).then_some(value))
    {
        return Some(value);
    }
    if take(rest, "[") {
        let mut items = Vec::new();
        while !take(rest, "]") {
            if !items.is_empty() && !take(rest, ",") {
                return None;
            }
            items.push(read(rest)?);
        }
        return Some(Json::Array(items));
    }
    if take(rest, "{") {
        let mut members: Vec<(String, Json)> = Vec::new();
        while !take(rest, "}") {
            if !members.is_empty() && !take(rest, ",") {
                return None;
            }
            let key = string(rest)?;
            if !take(rest, ":") || members.iter().any(|(k, _)| *k == key) {
                return None;
            }
            members.push((key, read(rest)?));
        }
        return Some(Json::Object(members));
    }
    if rest.starts_with('"') {
        return string(rest).map(Json::String);
    }
    let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    number.parse().ok().map(Json::Number)
}

fn take(rest: &mut &str, word: &str) -> bool {
    let after = rest.trim_start().strip_prefix(word);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

fn string(rest: &mut &str) -> Option<String> {
    let mut chars = rest.trim_start().strip_prefix('"')?.chars();
    let mut out = String::new();
    loop {
        out.push(match chars.next()? {
            '"' => break,
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                c @ ('"' | '\\' | '/') => c,
                _ => return None,
            },
            c if c < ' ' => return None,
            c => c,
        });
    }
    *rest = chars.as_str();
    Some(out)
}
