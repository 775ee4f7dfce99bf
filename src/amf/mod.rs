//! AMF0 and AMF3, the formats of RTMP's commands and of FLV's script tags.
//!
//! Everything read is bounded, over one message and all its levels, by [`limits::AMF_DEPTH`],
//! [`limits::AMF_VALUES`], [`limits::AMF_STRING_BYTES`] and [`limits::AMF_TEXT_BYTES`].
//!
//! [`limits::AMF_DEPTH`]: crate::wire::limits::AMF_DEPTH
//! [`limits::AMF_VALUES`]: crate::wire::limits::AMF_VALUES
//! [`limits::AMF_STRING_BYTES`]: crate::wire::limits::AMF_STRING_BYTES
//! [`limits::AMF_TEXT_BYTES`]: crate::wire::limits::AMF_TEXT_BYTES

pub mod amf0;
pub mod amf3;
mod budget;
mod value;

use crate::wire::Malformed;

pub use value::Value;

/// All values of one RTMP command or data message (RTMP 1.0, 7.1.1 and 7.1.2). `amf3` says that the
/// message is of type 17 or 15: then a format byte of zero stands first, where the peer doesn't leave
/// it out, and the values are AMF0 in which 0x11 marks each that is AMF3.
pub fn read_command(payload: &[u8], amf3: bool) -> Result<Vec<Value>, Malformed> {
    match payload.split_first() {
        // Commands begin with a string (0x02), so a leading zero can't be taken for a number's marker.
        Some((0, rest)) if amf3 => amf0::read_all(rest),
        _ => amf0::read_all(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_type_17_loses_its_format_byte() {
        let amf0 = [2, 0, 4, b'p', b'l', b'a', b'y'];
        let mut amf3 = vec![0];
        amf3.extend_from_slice(&amf0);
        // An AMF3 integer within.
        amf3.extend_from_slice(&[0x11, 0x04, 0x05]);

        let expected = vec![Value::String("play".into()), Value::Number(5.0)];
        assert_eq!(read_command(&amf3, true), Ok(expected.clone()));
        assert_eq!(read_command(&amf3[1..], true), Ok(expected));
        assert_eq!(read_command(&amf0, false), Ok(vec![Value::String("play".into())]));
    }
}
