//! Transport streams as they come: any bytes are packets, or nothing. How they are cut changes nothing, and
//! what is given out can be decoded as far as headers and keyframes go.

#![no_main]

use camrill::media::{Codec, Frame, Kind, Role};
use camrill::mpegts::{Demuxer, NoSync};
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [how, segment, bytes @ ..] = data else { return };
    let whole = read(0, *segment, bytes);
    assert_eq!(read(*how, *segment, bytes), whole);

    let (mut video, mut audio) = (None, None);
    for frame in &whole.0 {
        assert!(!frame.payload.is_empty() && frame.relay.is_empty());
        let (header, flows) = match frame.kind {
            Kind::Video => (&mut video, frame.role != Role::Delta),
            _ => (&mut audio, true),
        };
        match frame.role {
            Role::Header => *header = Some((frame.codec, false)),
            _ if frame.codec == Codec::Mp3 => {}
            _ => {
                let (codec, flowing) = header.as_mut().expect("a header before the first frame");
                assert_eq!(*codec, frame.codec);
                *flowing |= flows;
                assert!(*flowing || frame.kind == Kind::Video);
            }
        }
    }
});

/// The frames, and whether the bytes were no transport stream. A segment ends after so many KB, if that is not 0.
fn read(how: u8, segment: u8, bytes: &[u8]) -> (Vec<Frame>, Option<NoSync>) {
    let mut demuxer = Demuxer::new();
    let mut frames = Vec::new();
    let size = if segment == 0 { usize::MAX } else { usize::from(segment) * 188 };
    for segment in bytes.chunks(size) {
        for mut piece in pieces(how, segment) {
            loop {
                match demuxer.handle_input(&mut piece) {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(e) => return (frames, Some(e)),
                }
            }
            assert!(piece.is_empty());
        }
        demuxer.flush();
    }
    while let Ok(Some(frame)) = demuxer.handle_input(&mut &[][..]) {
        frames.push(frame);
    }
    (frames, None)
}
