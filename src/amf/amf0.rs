//! AMF0 (Action Message Format 0, 2007): reading with bounds, writing without trees.

use bytes::{BufMut, BytesMut};

use super::amf3;
use super::budget::{Budget, deeper};
use super::value::Value;
use crate::wire::{Malformed, Reader};

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;
const UNSUPPORTED: u8 = 0x0d;
const XML: u8 = 0x0f;
const TYPED_OBJECT: u8 = 0x10;
const AVMPLUS: u8 = 0x11;

/// One value (AMF0, section 2), which may hold others.
pub fn read(r: &mut Reader<'_>) -> Result<Value, Malformed> {
    Message::new().value(r, 0)
}

/// All values of one message. The limits hold for the message as a whole.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, Malformed> {
    let mut r = Reader::new(bytes);
    let mut message = Message::new();
    let mut values = Vec::new();
    while !r.is_empty() {
        values.push(message.value(&mut r, 0)?);
    }
    Ok(values)
}

/// Appends one value. [`Value::Bytes`], which AMF0 lacks, is written as unsupported. A reference is
/// written as it was read, so it holds where the complex values before it are those of its message.
pub fn write(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(n) => number(out, *n),
        Value::Boolean(b) => boolean(out, *b),
        Value::String(s) => string(out, s),
        Value::Object(p) => {
            object_begin(out);
            properties(out, p);
        }
        Value::TypedObject(class, p) => {
            out.put_u8(TYPED_OBJECT);
            key(out, class);
            properties(out, p);
        }
        Value::EcmaArray(p) => ecma_array(out, p),
        Value::StrictArray(values) => {
            out.put_u8(STRICT_ARRAY);
            out.put_u32(count(values.len()));
            for v in values {
                write(out, v);
            }
        }
        Value::Null => null(out),
        Value::Undefined => out.put_u8(UNDEFINED),
        Value::Unsupported | Value::Bytes(_) => out.put_u8(UNSUPPORTED),
        Value::Date(ms) => {
            out.put_u8(DATE);
            out.put_f64(*ms);
            out.put_i16(0);
        }
        Value::Xml(s) => {
            out.put_u8(XML);
            out.put_u32(count(s.len()));
            out.put_slice(s.as_bytes());
        }
        Value::Reference(index) => match u16::try_from(*index) {
            Ok(index) => {
                out.put_u8(REFERENCE);
                out.put_u16(index);
            }
            Err(_) => out.put_u8(UNSUPPORTED),
        },
    }
}

/// Appends a number (AMF0 2.2).
pub fn number(out: &mut BytesMut, n: f64) {
    out.put_u8(NUMBER);
    out.put_f64(n);
}

/// Appends a boolean (AMF0 2.3).
pub fn boolean(out: &mut BytesMut, b: bool) {
    out.put_u8(BOOLEAN);
    out.put_u8(u8::from(b));
}

/// Appends a string (AMF0 2.4), or a long string (2.14) where it has more than 65535 bytes.
pub fn string(out: &mut BytesMut, s: &str) {
    match u16::try_from(s.len()) {
        Ok(len) => {
            out.put_u8(STRING);
            out.put_u16(len);
        }
        Err(_) => {
            out.put_u8(LONG_STRING);
            out.put_u32(count(s.len()));
        }
    }
    out.put_slice(s.as_bytes());
}

/// Appends null (AMF0 2.7).
pub fn null(out: &mut BytesMut) {
    out.put_u8(NULL);
}

/// Appends an object (AMF0 2.5) of these properties.
pub fn object(out: &mut BytesMut, properties: &[(&str, Value)]) {
    object_begin(out);
    for (name, value) in properties {
        key(out, name);
        write(out, value);
    }
    object_end(out);
}

/// Appends an ECMA array (AMF0 2.10) of these entries.
pub fn ecma_array(out: &mut BytesMut, entries: &[(String, Value)]) {
    out.put_u8(ECMA_ARRAY);
    out.put_u32(count(entries.len()));
    properties(out, entries);
}

/// Begins an object: [`key`] and one value follow any number of times, then [`object_end`].
pub fn object_begin(out: &mut BytesMut) {
    out.put_u8(OBJECT);
}

/// Appends a property's name. Beyond 65535 bytes it is cut, as the format has no longer names.
pub fn key(out: &mut BytesMut, name: &str) {
    let longest = name.len().min(usize::from(u16::MAX));
    let cut = (0..=longest).rev().find_map(|end| name.get(..end)).unwrap_or_default();
    out.put_u16(u16::try_from(cut.len()).unwrap_or(u16::MAX));
    out.put_slice(cut.as_bytes());
}

/// Ends an object (AMF0 2.11).
pub fn object_end(out: &mut BytesMut) {
    out.put_slice(&[0, 0, OBJECT_END]);
}

fn properties(out: &mut BytesMut, properties: &[(String, Value)]) {
    for (name, value) in properties {
        key(out, name);
        write(out, value);
    }
    object_end(out);
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What reading one message keeps between its values.
struct Message {
    budget: Budget,
    amf3: amf3::Tables,
}

impl Message {
    fn new() -> Self {
        Self { budget: Budget::new(), amf3: amf3::Tables::default() }
    }

    fn value(&mut self, r: &mut Reader<'_>, depth: usize) -> Result<Value, Malformed> {
        let marker = r.u8()?;
        if marker == AVMPLUS {
            // The AMF3 tables span the message (AMF3 2.2); the value counts itself.
            return amf3::value(r, &mut self.amf3, &mut self.budget, depth);
        }
        self.budget.value()?;
        Ok(match marker {
            NUMBER => Value::Number(r.f64()?),
            BOOLEAN => Value::Boolean(r.u8()? != 0),
            STRING => Value::String(self.short_text(r)?),
            OBJECT => Value::Object(self.properties(r, deeper(depth)?)?),
            NULL => Value::Null,
            UNDEFINED => Value::Undefined,
            REFERENCE => Value::Reference(u32::from(r.u16()?)),
            ECMA_ARRAY => {
                // The count is a hint that real encoders get wrong; the end marker is what counts.
                r.skip(4)?;
                Value::EcmaArray(self.properties(r, deeper(depth)?)?)
            }
            STRICT_ARRAY => {
                let depth = deeper(depth)?;
                let count = r.u32()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(r, depth)?);
                }
                Value::StrictArray(values)
            }
            DATE => {
                let ms = r.f64()?;
                r.skip(2)?;
                Value::Date(ms)
            }
            LONG_STRING => Value::String(self.long_text(r)?),
            UNSUPPORTED => Value::Unsupported,
            XML => Value::Xml(self.long_text(r)?),
            TYPED_OBJECT => {
                let class = self.short_text(r)?;
                Value::TypedObject(class, self.properties(r, deeper(depth)?)?)
            }
            other => return Err(Malformed::Field { what: "AMF0 marker", value: u32::from(other) }),
        })
    }

    fn properties(&mut self, r: &mut Reader<'_>, depth: usize) -> Result<Vec<(String, Value)>, Malformed> {
        let mut properties = Vec::new();
        // Some encoders leave the end marker out where the message ends anyway.
        while !r.is_empty() {
            let name = self.short_text(r)?;
            if name.is_empty() && (r.is_empty() || r.peek_u8()? == OBJECT_END) {
                let _ = r.u8();
                break;
            }
            properties.push((name, self.value(r, depth)?));
        }
        Ok(properties)
    }

    fn short_text(&mut self, r: &mut Reader<'_>) -> Result<String, Malformed> {
        let len = usize::from(r.u16()?);
        self.text(r, len)
    }

    fn long_text(&mut self, r: &mut Reader<'_>) -> Result<String, Malformed> {
        let len = r.u32()?;
        self.text(r, usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn text(&mut self, r: &mut Reader<'_>, len: usize) -> Result<String, Malformed> {
        self.budget.text(len)?;
        Ok(String::from_utf8_lossy(r.take(len)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::limits;

    fn written(value: &Value) -> BytesMut {
        let mut out = BytesMut::new();
        write(&mut out, value);
        out
    }

    #[test]
    fn an_ecma_array_with_a_wrong_count_ends_at_its_end_marker() {
        let bytes = b"\x08\x00\x00\xff\xff\x00\x01a\x01\x01\x00\x00\x09\x05";
        let array = Value::EcmaArray(vec![("a".into(), Value::Boolean(true))]);
        assert_eq!(read_all(bytes), Ok(vec![array, Value::Null]));
    }

    #[test]
    fn an_object_may_end_with_the_message() {
        let object = Ok(vec![Value::Object(vec![("a".into(), Value::Null)])]);
        assert_eq!(read_all(b"\x03\x00\x01a\x05"), object);
        assert_eq!(read_all(b"\x03\x00\x01a\x05\x00\x00"), object);
        assert_eq!(read_all(b"\x03\x00\x01a\x05\x00\x00\x09"), object);
        assert!(read_all(b"\x03\x00\x01a").is_err());
    }

    #[test]
    fn an_empty_name_is_a_name_where_no_end_follows() {
        let bytes = b"\x03\x00\x00\x05\x00\x00\x09";
        assert_eq!(read_all(bytes), Ok(vec![Value::Object(vec![(String::new(), Value::Null)])]));
    }

    #[test]
    fn rare_markers_are_read() {
        let bytes = b"\x07\x00\x03\x0d\x06\x0c\x00\x00\x00\x01x\x0f\x00\x00\x00\x01y\
            \x10\x00\x01C\x00\x01a\x05\x00\x00\x09\x0b\x40\x00\x00\x00\x00\x00\x00\x00\x00\x3c";
        assert_eq!(
            read_all(bytes),
            Ok(vec![
                Value::Reference(3),
                Value::Unsupported,
                Value::Undefined,
                Value::String("x".into()),
                Value::Xml("y".into()),
                Value::TypedObject("C".into(), vec![("a".into(), Value::Null)]),
                Value::Date(2.0),
            ])
        );
        assert!(matches!(read_all(b"\x04"), Err(Malformed::Field { value: 4, .. })));
    }

    #[test]
    fn a_million_levels_are_refused_without_a_deep_stack() {
        let objects = b"\x03\x00\x01a".repeat(1_000_000);
        let arrays = b"\x0a\x00\x00\x00\x01".repeat(1_000_000);
        for bytes in [objects, arrays] {
            assert!(matches!(read_all(&bytes), Err(Malformed::Limit { what: "AMF depth", .. })));
        }
    }

    #[test]
    fn values_are_counted_over_the_message() {
        assert!(read_all(&[NULL; limits::AMF_VALUES]).is_ok());
        assert!(matches!(
            read_all(&[NULL; limits::AMF_VALUES + 1]),
            Err(Malformed::Limit { what: "AMF values", .. })
        ));
        // An announced count costs nothing.
        assert!(matches!(read_all(b"\x0a\xff\xff\xff\xff"), Err(Malformed::Truncated { .. })));
    }

    #[test]
    fn long_strings_are_bounded() {
        let mut long = BytesMut::new();
        string(&mut long, &"x".repeat(65536));
        assert_eq!(long[0], LONG_STRING);
        assert_eq!(read_all(&long).unwrap()[0].as_str().unwrap().len(), 65536);
        string(&mut long, &"x".repeat(65537));
        assert!(matches!(read_all(&long), Err(Malformed::Limit { what: "AMF string", .. })));
    }

    #[test]
    fn a_name_too_long_is_cut_between_characters() {
        let mut out = BytesMut::new();
        key(&mut out, &"é".repeat(40_000));
        assert_eq!(out.len(), 2 + 65534);
    }

    #[test]
    fn direct_writers_and_values_agree() {
        let mut out = BytesMut::new();
        string(&mut out, "onStatus");
        number(&mut out, 0.0);
        null(&mut out);
        object(&mut out, &[("level", "status".into()), ("ok", true.into())]);
        assert_eq!(
            read_all(&out),
            Ok(vec![
                "onStatus".into(),
                0.0.into(),
                Value::Null,
                Value::Object(vec![("level".into(), "status".into()), ("ok".into(), true.into())]),
            ])
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let number = any::<f64>().prop_filter("NaN is unequal to itself", |n| !n.is_nan());
        let leaf = prop_oneof![
            number.clone().prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,20}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            Just(Value::Unsupported),
            number.prop_map(Value::Date),
            ".{0,20}".prop_map(Value::Xml),
            any::<u16>().prop_map(|i| Value::Reference(u32::from(i))),
        ];
        leaf.prop_recursive(8, 64, 6, |inner| {
            let properties = prop::collection::vec((".{0,8}", inner.clone()), 0..6);
            prop_oneof![
                properties.clone().prop_map(Value::Object),
                properties.clone().prop_map(Value::EcmaArray),
                (".{0,8}", properties).prop_map(|(c, p)| Value::TypedObject(c, p)),
                prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(any_value(), 0..4)) {
            let mut out = BytesMut::new();
            for v in &values {
                write(&mut out, v);
            }
            prop_assert_eq!(read_all(&out), Ok(values));
        }

        #[test]
        fn any_bytes_are_values_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn damaged_values_are_values_or_malformed(
            value in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut out = written(&value);
            let i = at.index(out.len());
            out[i] = byte;
            let _ = read_all(&out);
            let _ = read_all(&out[..i]);
        }
    }
}
