//! FLV bodies and files: the first byte of the input says how a file is cut, the rest is a body of each
//! kind, and a file.

#![no_main]

use bytes::{Bytes, BytesMut};
use camrill::flv::{self, Demuxer, Tag, file};
use camrill::media::{Frame, Kind, Role, audio_track, video_track};
use camrill::wire::{Malformed, limits};
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

const DTS: i64 = 1_000_000;

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    let body = Bytes::copy_from_slice(bytes);
    for kind in [Kind::Audio, Kind::Video, Kind::Data] {
        body_of(kind, &body);
    }
    if let Ok(Some(metadata)) = flv::metadata(&body) {
        let again = flv::metadata(&metadata.body).expect("metadata that was written").expect("onMetaData");
        assert_eq!(again.body, metadata.body);
    }

    let (tags, error) = demux(*how, bytes);
    assert_eq!((tags.clone(), error), demux(0, bytes));
    let mut again = BytesMut::from(&file::header(true, true)[..]);
    for tag in &tags {
        body_of(tag.kind, &tag.body);
        file::tag(tag.kind, tag.timestamp_ms, &tag.body.clone().into(), &mut again).expect("a tag that was read");
    }
    assert_eq!(demux(*how, &again), (tags, None));
});

/// A body becomes a frame that is relayed as it came, and that can be built without its relay.
fn body_of(kind: Kind, body: &Bytes) {
    let Ok(frame) = flv::frame(kind, DTS, body.clone()) else { return };
    assert_eq!((frame.kind, frame.dts), (kind, DTS));
    assert_eq!(frame.relay, if kind == Kind::Data { flv::script(body) } else { body.clone() });
    assert_eq!(flv::body(&frame), frame.relay);
    assert_eq!(frame.size(), frame.relay.len());
    let _ = (audio_track(&frame), video_track(&frame));

    let built = flv::body(&Frame { relay: Bytes::new(), ..frame.clone() });
    if matches!(frame.role, Role::Header | Role::Key | Role::Delta) {
        let again = flv::frame(kind, DTS, built.bytes()).expect("a body that was built");
        assert_eq!((again.codec, &again.payload), (frame.codec, &frame.payload));
    }
}

fn demux(how: u8, bytes: &[u8]) -> (Vec<Tag>, Option<Malformed>) {
    let mut demuxer = Demuxer::new();
    let mut tags = Vec::new();
    for mut piece in pieces(how, bytes) {
        loop {
            match demuxer.handle_input(&mut piece) {
                Ok(Some(tag)) => {
                    assert!(tag.body.len() <= limits::FLV_TAG_BYTES);
                    tags.push(tag);
                }
                Ok(None) => break,
                Err(cause) => {
                    assert_eq!(demuxer.handle_input(&mut &[0; 64][..]), Err(cause));
                    return (tags, Some(cause));
                }
            }
        }
        assert!(piece.is_empty());
    }
    (tags, None)
}
