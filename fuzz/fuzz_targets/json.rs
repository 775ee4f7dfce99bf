//! JSON as it is read. What was read is written and read again.

#![no_main]

use camrill::http::json::{Array, Json, Object, Value};
use camrill::wire::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(json) = Json::parse(data) else { return };
    let mut values = 0;
    measure(&json, 0, &mut values);
    assert!(values <= limits::JSON_VALUES);
    let mut text = String::new();
    {
        let mut root = Array::new(&mut text);
        write(&json, root.item());
    }
    // The array around it is one level and one value more.
    let again = Json::parse(text[1..text.len() - 1].as_bytes()).expect("what was written");
    assert_eq!(again, json);
});

/// The limits hold.
fn measure(json: &Json, depth: usize, values: &mut usize) {
    assert!(depth <= limits::JSON_DEPTH);
    *values += 1;
    match json {
        Json::Array(items) => items.iter().for_each(|item| measure(item, depth + 1, values)),
        Json::Object(members) => members.iter().for_each(|(_, item)| measure(item, depth + 1, values)),
        _ => {}
    }
}

fn write(json: &Json, place: Value<'_>) {
    match json {
        Json::Null => place.null(),
        Json::Bool(value) => place.bool(*value),
        // All of its digits.
        Json::Number(value) => place.fixed(*value, 1074),
        Json::String(value) => place.str(value),
        Json::Array(items) => {
            let mut array = place.array();
            items.iter().for_each(|item| write(item, array.item()));
        }
        Json::Object(members) => {
            let mut object: Object<'_> = place.object();
            members.iter().for_each(|(name, item)| write(item, object.key(name)));
        }
    }
}
