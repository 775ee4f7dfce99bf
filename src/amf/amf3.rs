//! AMF3 (Action Message Format 3, 2013), reading only: Flash-era clients send it, nobody needs it sent.

use std::rc::Rc;

use super::budget::{Budget, deeper};
use super::value::Value;
use crate::wire::{Malformed, Reader};

const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0a;
const XML: u8 = 0x0b;
const BYTE_ARRAY: u8 = 0x0c;

/// Externalizable classes whose bytes are known: one value that they stand for.
const WRAPPERS: [&str; 2] = ["flex.messaging.io.ArrayCollection", "flex.messaging.io.ObjectProxy"];

/// One value (AMF3, section 3), which may hold others, with reference tables of its own.
pub fn read(r: &mut Reader<'_>) -> Result<Value, Malformed> {
    value(r, &mut Tables::default(), &mut Budget::new(), 0)
}

/// What references of one message may point to (AMF3 2.2).
#[derive(Debug, Default)]
pub(super) struct Tables {
    strings: Vec<Rc<str>>,
    traits: Vec<Rc<Traits>>,
    /// Complex values begun so far. They aren't kept: see [`Value::Reference`].
    complex: u32,
}

/// A class as the first of its objects describes it (AMF3 3.12).
#[derive(Debug)]
struct Traits {
    class: Rc<str>,
    sealed: Vec<Rc<str>>,
    dynamic: bool,
    externalizable: bool,
}

/// One value at `depth`, on account of the message's `budget`.
pub(super) fn value(
    r: &mut Reader<'_>,
    tables: &mut Tables,
    budget: &mut Budget,
    depth: usize,
) -> Result<Value, Malformed> {
    Message { r, tables, budget }.value(depth)
}

/// A U29 is either a reference or describes what follows (AMF3 1.3.1, 3.1).
enum Head {
    Reference(u32),
    Inline(u32),
}

struct Message<'m, 'a> {
    r: &'m mut Reader<'a>,
    tables: &'m mut Tables,
    budget: &'m mut Budget,
}

impl Message<'_, '_> {
    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.budget.value()?;
        Ok(match self.r.u8()? {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            INTEGER => Value::Number(f64::from(signed(self.u29()?))),
            DOUBLE => Value::Number(self.r.f64()?),
            STRING => Value::String(self.string()?.as_ref().to_owned()),
            XML_DOCUMENT | XML => match self.complex()? {
                Head::Reference(index) => Value::Reference(index),
                Head::Inline(len) => {
                    let bytes = self.text(len)?;
                    Value::Xml(String::from_utf8_lossy(bytes).into_owned())
                }
            },
            DATE => match self.complex()? {
                Head::Reference(index) => Value::Reference(index),
                Head::Inline(_) => Value::Date(self.r.f64()?),
            },
            ARRAY => match self.complex()? {
                Head::Reference(index) => Value::Reference(index),
                Head::Inline(count) => self.array(count, deeper(depth)?)?,
            },
            OBJECT => match self.complex()? {
                Head::Reference(index) => Value::Reference(index),
                Head::Inline(head) => self.object(head, deeper(depth)?)?,
            },
            BYTE_ARRAY => match self.complex()? {
                Head::Reference(index) => Value::Reference(index),
                Head::Inline(len) => Value::Bytes(self.r.take(size(len))?.to_vec()),
            },
            other => return Err(Malformed::Field { what: "AMF3 marker", value: u32::from(other) }),
        })
    }

    /// Associative entries up to an empty name, then `count` dense ones (AMF3 3.11).
    fn array(&mut self, count: u32, depth: usize) -> Result<Value, Malformed> {
        let mut entries = self.named_values(depth)?;
        if entries.is_empty() {
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(self.value(depth)?);
            }
            return Ok(Value::StrictArray(values));
        }
        for i in 0..count {
            entries.push((i.to_string(), self.value(depth)?));
        }
        Ok(Value::EcmaArray(entries))
    }

    /// An object, after its head without the reference bit (AMF3 3.12).
    fn object(&mut self, head: u32, depth: usize) -> Result<Value, Malformed> {
        let traits = self.traits(head)?;
        if traits.externalizable {
            return if WRAPPERS.contains(&traits.class.as_ref()) {
                self.value(depth)
            } else {
                Err(Malformed::Field { what: "AMF3 externalizable class", value: 0 })
            };
        }

        let mut properties = Vec::new();
        for name in &traits.sealed {
            self.budget.text(name.len())?;
            properties.push((name.as_ref().to_owned(), self.value(depth)?));
        }
        if traits.dynamic {
            properties.append(&mut self.named_values(depth)?);
        }
        if traits.class.is_empty() {
            return Ok(Value::Object(properties));
        }
        self.budget.text(traits.class.len())?;
        Ok(Value::TypedObject(traits.class.as_ref().to_owned(), properties))
    }

    fn traits(&mut self, head: u32) -> Result<Rc<Traits>, Malformed> {
        if head & 1 == 0 {
            let index = head >> 1;
            let known = self.tables.traits.get(size(index)).cloned();
            return known.ok_or(Malformed::Field { what: "AMF3 traits reference", value: index });
        }

        let class = self.string()?;
        let count = head >> 3;
        let mut sealed = Vec::new();
        for _ in 0..count {
            // A name counts as a value: it takes memory, though a class may have no objects.
            self.budget.value()?;
            sealed.push(self.string()?);
        }
        let (externalizable, dynamic) = (head & 2 != 0, head & 4 != 0);
        let traits = Rc::new(Traits { class, sealed, dynamic, externalizable });
        self.tables.traits.push(Rc::clone(&traits));
        Ok(traits)
    }

    /// Names and values up to an empty name.
    fn named_values(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Malformed> {
        let mut values = Vec::new();
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Ok(values);
            }
            values.push((name.as_ref().to_owned(), self.value(depth)?));
        }
    }

    /// A string without its marker (AMF3 1.3.2). The empty string is never a reference.
    fn string(&mut self) -> Result<Rc<str>, Malformed> {
        match head(self.u29()?) {
            Head::Reference(index) => {
                let known = self.tables.strings.get(size(index)).cloned();
                let s = known.ok_or(Malformed::Field { what: "AMF3 string reference", value: index })?;
                self.budget.text(s.len())?;
                Ok(s)
            }
            Head::Inline(0) => Ok(Rc::from("")),
            Head::Inline(len) => {
                let bytes = self.text(len)?;
                let s: Rc<str> = Rc::from(String::from_utf8_lossy(bytes));
                self.tables.strings.push(Rc::clone(&s));
                Ok(s)
            }
        }
    }

    fn text(&mut self, len: u32) -> Result<&[u8], Malformed> {
        self.budget.text(size(len))?;
        self.r.take(size(len))
    }

    /// The head of a complex value, which takes a place in the table of objects.
    fn complex(&mut self) -> Result<Head, Malformed> {
        let head = head(self.u29()?);
        match head {
            Head::Reference(index) if index >= self.tables.complex => {
                return Err(Malformed::Field { what: "AMF3 object reference", value: index });
            }
            Head::Reference(_) => {}
            Head::Inline(_) => self.tables.complex = self.tables.complex.saturating_add(1),
        }
        Ok(head)
    }

    /// An unsigned integer of 29 bits in one to four bytes (AMF3 1.3.1).
    fn u29(&mut self) -> Result<u32, Malformed> {
        let mut n = 0;
        for _ in 0..3 {
            let b = u32::from(self.r.u8()?);
            n = n << 7 | b & 0x7f;
            if b & 0x80 == 0 {
                return Ok(n);
            }
        }
        Ok(n << 8 | u32::from(self.r.u8()?))
    }
}

fn head(n: u32) -> Head {
    if n & 1 == 0 { Head::Reference(n >> 1) } else { Head::Inline(n >> 1) }
}

/// 29 bits in two's complement.
fn signed(n: u32) -> i32 {
    (n << 3).cast_signed() >> 3
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(bytes: &[u8]) -> Result<Value, Malformed> {
        let mut r = Reader::new(bytes);
        let v = read(&mut r)?;
        assert!(r.is_empty(), "bytes left over");
        Ok(v)
    }

    #[test]
    fn integers_have_29_bits_and_a_sign() {
        assert_eq!(one(&[4, 0x7f]), Ok(Value::Number(127.0)));
        assert_eq!(one(&[4, 0x81, 0x00]), Ok(Value::Number(128.0)));
        assert_eq!(one(&[4, 0xbf, 0xff, 0xff, 0xff]), Ok(Value::Number(268_435_455.0)));
        assert_eq!(one(&[4, 0xc0, 0x80, 0x80, 0x00]), Ok(Value::Number(-268_435_456.0)));
        assert_eq!(one(&[4, 0xff, 0xff, 0xff, 0xff]), Ok(Value::Number(-1.0)));
    }

    #[test]
    fn arrays_are_dense_or_associative_or_both() {
        assert_eq!(one(b"\x09\x05\x01\x02\x03"), Ok(Value::StrictArray(vec![false.into(), true.into()])));
        assert_eq!(
            one(b"\x09\x03\x03a\x01\x01\x03"),
            Ok(Value::EcmaArray(vec![("a".into(), Value::Null), ("0".into(), true.into())]))
        );
    }

    #[test]
    fn strings_and_traits_are_found_again() {
        // [ {class C, sealed "a", dynamic} , the same class, "a" ]
        let bytes = b"\x09\x07\x01\
            \x0a\x1b\x03C\x03a\x01\x03b\x02\x01\
            \x0a\x01\x03\x01\
            \x06\x02";
        assert_eq!(
            one(bytes),
            Ok(Value::StrictArray(vec![
                Value::TypedObject("C".into(), vec![("a".into(), Value::Null), ("b".into(), false.into())]),
                Value::TypedObject("C".into(), vec![("a".into(), true.into())]),
                "a".into(),
            ]))
        );
    }

    #[test]
    fn an_object_that_holds_itself_stays_a_reference() {
        let v = Value::Object(vec![("a".into(), Value::Reference(0))]);
        assert_eq!(one(b"\x0a\x0b\x01\x03a\x0a\x00\x01"), Ok(v));
        assert!(one(b"\x0a\x02").is_err());
    }

    #[test]
    fn wrappers_are_unwrapped_and_other_externalizables_refused() {
        let mut bytes = vec![0x0a, 0x07, 33 << 1 | 1];
        bytes.extend_from_slice(b"flex.messaging.io.ArrayCollection");
        bytes.extend_from_slice(b"\x09\x03\x01\x01");
        assert_eq!(one(&bytes), Ok(Value::StrictArray(vec![Value::Null])));
        bytes[5] = b'X';
        assert!(one(&bytes).is_err());
    }

    #[test]
    fn dates_bytes_and_xml() {
        assert_eq!(one(b"\x08\x01\x40\x00\x00\x00\x00\x00\x00\x00"), Ok(Value::Date(2.0)));
        assert_eq!(one(b"\x0c\x05ab"), Ok(Value::Bytes(b"ab".to_vec())));
        assert_eq!(one(b"\x0b\x05ab"), Ok(Value::Xml("ab".into())));
    }

    #[test]
    fn a_million_levels_are_refused_without_a_deep_stack() {
        let arrays = b"\x09\x03\x01".repeat(1_000_000);
        let objects = b"\x0a\x0b\x01\x03a".repeat(1_000_000);
        for bytes in [arrays, objects] {
            assert!(matches!(one(&bytes), Err(Malformed::Limit { what: "AMF depth", .. })));
        }
    }

    #[test]
    fn a_long_string_referred_to_often_is_refused() {
        // 65535 bytes once, then a thousand references of two bytes each.
        let mut bytes = vec![0x09, 0x8f, 0x51, 0x01, 0x06, 0x87, 0xff, 0x7f];
        bytes.extend_from_slice(&[b'x'; 65535]);
        bytes.extend_from_slice(&[0x06, 0x00].repeat(1000));
        assert!(matches!(one(&bytes), Err(Malformed::Limit { what: "AMF text", .. })));
    }

    #[test]
    fn a_long_name_in_a_class_referred_to_often_is_refused() {
        let mut bytes = vec![0x09, 0x8f, 0x51, 0x01, 0x0a, 0x13, 0x01, 0x87, 0xff, 0x7f];
        bytes.extend_from_slice(&[b'x'; 65535]);
        bytes.push(0x01);
        bytes.extend_from_slice(&[0x0a, 0x01, 0x01].repeat(1000));
        assert!(matches!(one(&bytes), Err(Malformed::Limit { what: "AMF text", .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut Reader::new(&bytes));
        }

        #[test]
        fn likely_bytes_are_a_value_or_malformed(bytes in prop::collection::vec(0u8..0x14, 0..200)) {
            let _ = read(&mut Reader::new(&bytes));
        }
    }
}
