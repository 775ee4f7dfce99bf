//! JPEG: how large a picture is (ITU-T T.81, B.2.2).

use crate::wire::{Malformed, Reader};

/// Start of image.
const SOI: [u8; 2] = [0xff, 0xd8];
/// Start of scan: behind it stand coded data.
const SOS: u8 = 0xda;

/// What a marker segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Of so many bytes, its marker included.
    Other(usize),
    /// The frame's header: width and height in pixels.
    Frame(u32, u32),
}

/// Bytes that are enough for [`segment`].
pub const SEGMENT_BYTES: usize = 9;
/// Bytes before the first segment.
pub const START_BYTES: usize = SOI.len();

/// Whether a picture begins so.
pub fn is_start(bytes: &[u8]) -> bool {
    bytes.starts_with(&SOI)
}

/// Reads the marker segment at the first byte.
pub fn segment(bytes: &[u8]) -> Result<Segment, Malformed> {
    let mut r = Reader::new(bytes);
    let prefix = r.u8()?;
    if prefix != 0xff {
        return Err(Malformed::Field { what: "JPEG marker prefix", value: prefix.into() });
    }
    let marker = r.u8()?;
    match marker {
        // Bytes of 0xff may be put before a marker.
        0xff => return Ok(Segment::Other(1)),
        // Those that stand alone.
        0x01 | 0xd0..=0xd7 => return Ok(Segment::Other(2)),
        // A picture that is over, or its data, before it was said how large it is.
        0x00 | 0xd8 | 0xd9 | SOS => {
            return Err(Malformed::Field { what: "JPEG marker", value: marker.into() });
        }
        _ => {}
    }
    let len = r.u16()?;
    if len < 2 {
        return Err(Malformed::Field { what: "JPEG segment length", value: len.into() });
    }
    // SOF0 to SOF15 without DHT, JPG and DAC, which lie among them.
    if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
        r.skip(1)?; // sample precision
        let (height, width) = (r.u16()?, r.u16()?);
        return Ok(Segment::Frame(width.into(), height.into()));
    }
    Ok(Segment::Other(usize::from(len).saturating_add(2)))
}

/// Width and height of a picture in pixels.
pub fn size(picture: &[u8]) -> Result<(u32, u32), Malformed> {
    let mut r = Reader::new(picture);
    if !is_start(r.take(START_BYTES)?) {
        return Err(Malformed::Field {
            what: "JPEG start of image",
            value: Reader::new(picture).u16()?.into(),
        });
    }
    loop {
        match segment(r.rest())? {
            Segment::Frame(width, height) => return Ok((width, height)),
            Segment::Other(len) => r.skip(len)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_size_stands_in_the_frame_header() {
        let picture = [
            &[0xff, 0xd8][..],
            &[0xff, 0xe0, 0, 4, 1, 2],
            &[0xff, 0xff, 0xc4, 0, 3, 9],
            &[0xff, 0xc2, 0, 11, 8, 0x01, 0x00, 0x02, 0x80],
        ];
        assert_eq!(size(&picture.concat()), Ok((640, 256)));
        assert!(size(&picture[..3].concat()).is_err(), "nothing behind");
        assert!(size(&[0xff, 0xd8, 0xff, 0xda, 0, 2]).is_err(), "coded data first");
        assert!(size(&[0xff, 0xd8, 0xff, 0xe0, 0, 1, 0]).is_err(), "a length that is none");
        assert!(size(&[0xff, 0xd9, 0xff, 0xc0]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_picture_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = size(&[&SOI[..], &bytes].concat());
        }
    }
}
