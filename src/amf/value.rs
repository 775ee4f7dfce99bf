//! A value of AMF0 or AMF3.

/// A value as AMF carries it. What AMF0 and AMF3 both have is the same variant; AMF3's integers are
/// [`Value::Number`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A double (AMF0 2.2), or an AMF3 integer.
    Number(f64),
    /// A boolean (AMF0 2.3).
    Boolean(bool),
    /// A string or a long string (AMF0 2.4, 2.14). What isn't UTF-8 was replaced by U+FFFD.
    String(String),
    /// An anonymous object (AMF0 2.5), properties in the order of the bytes.
    Object(Vec<(String, Value)>),
    /// An object of a named class (AMF0 2.18).
    TypedObject(String, Vec<(String, Value)>),
    /// An associative array (AMF0 2.10), entries in the order of the bytes.
    EcmaArray(Vec<(String, Value)>),
    /// An array of values (AMF0 2.12).
    StrictArray(Vec<Value>),
    /// null (AMF0 2.7).
    Null,
    /// undefined (AMF0 2.8).
    Undefined,
    /// What the sender could not serialise (AMF0 2.15).
    Unsupported,
    /// Milliseconds since 1970-01-01 UTC (AMF0 2.13). The time zone field is reserved and dropped.
    Date(f64),
    /// An XML document as text (AMF0 2.17).
    Xml(String),
    /// Bytes (AMF3 3.14). AMF0 has no such value.
    Bytes(Vec<u8>),
    /// The complex value with this index, in order of appearance in its message (AMF0 2.9). It is left
    /// as it is: a hundred bytes of references to references unfold to gigabytes, and no command or
    /// metadata needs them.
    Reference(u32),
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(b) => Some(*b),
            _ => None,
        }
    }

    /// The properties of an object, with or without a class, or of an ECMA array.
    pub fn properties(&self) -> Option<&[(String, Value)]> {
        match self {
            Self::Object(p) | Self::EcmaArray(p) | Self::TypedObject(_, p) => Some(p),
            _ => None,
        }
    }

    /// The first property of this name.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties()?.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Number(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Boolean(b)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::String(s.to_owned())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Self::String(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_found_in_all_that_have_them() {
        let p = vec![("a".to_owned(), Value::Number(1.0)), ("a".to_owned(), Value::Null)];
        for v in [
            Value::Object(p.clone()),
            Value::EcmaArray(p.clone()),
            Value::TypedObject("c".to_owned(), p.clone()),
        ] {
            assert_eq!(v.property("a"), Some(&Value::Number(1.0)));
            assert_eq!(v.property("b"), None);
        }
        assert_eq!(Value::Null.property("a"), None);
    }
}
