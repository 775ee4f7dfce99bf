//! AMF values, alone and as a command. What was read is written and read again.

#![no_main]

use bytes::BytesMut;
use camrill::amf::{Value, amf0, amf3, read_command};
use camrill::wire::{Malformed, Reader, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for flag in [false, true] {
        if let Ok(values) = read_command(data, flag) {
            check(&values);
        }
    }
    if let Ok(values) = amf0::read_all(data) {
        check(&values);
        round_trip(&values);
    }
    let mut r = Reader::new(data);
    if let Ok(value) = amf3::read(&mut r) {
        check(std::slice::from_ref(&value));
        assert_eq!(r.position() + r.remaining(), data.len());
    }
});

/// The limits hold.
fn check(values: &[Value]) {
    let (mut count, mut text) = (0, 0);
    for value in values {
        measure(value, 0, &mut count, &mut text);
    }
    assert!(count <= limits::AMF_VALUES);
    // A byte that isn't UTF-8 becomes three.
    assert!(text <= 3 * limits::AMF_TEXT_BYTES);
}

fn measure(value: &Value, depth: usize, count: &mut usize, text: &mut usize) {
    assert!(depth <= limits::AMF_DEPTH);
    *count += 1;
    match value {
        Value::String(s) | Value::Xml(s) => *text += s.len(),
        Value::StrictArray(values) => values.iter().for_each(|v| measure(v, depth + 1, count, text)),
        Value::TypedObject(..) | Value::Object(_) | Value::EcmaArray(_) => {
            for (name, value) in value.properties().unwrap_or_default() {
                *text += name.len();
                measure(value, depth + 1, count, text);
            }
        }
        _ => {}
    }
}

fn round_trip(values: &[Value]) {
    let write = |values: &[Value]| {
        let mut out = BytesMut::new();
        values.iter().for_each(|v| amf0::write(&mut out, v));
        out
    };
    let once = write(values);
    match amf0::read_all(&once) {
        // By the bytes, since NaN is not equal to itself.
        Ok(again) => assert_eq!(write(&again), once),
        // U+FFFD in the place of bytes that weren't UTF-8 takes more of them.
        Err(Malformed::Limit { .. }) => {}
        Err(cause) => panic!("{cause}: {values:?}"),
    }
}
