//! MP4 to frames: any bytes are a file, and a stream. What is wanted stands within the file, how a stream is
//! cut changes nothing, and each frame comes behind its header.

#![no_main]

use camrill::fmp4::{DemuxError, Demuxer, FileDemuxer};
use camrill::media::{Frame, Kind, Role};
use camrill::wire::limits;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// Tables may tell of the same bytes a million times.
const FRAMES: usize = 2000;

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    check(&file(bytes));
    let whole = stream(0, bytes);
    check(&whole.0);
    assert_eq!(stream(*how, bytes), whole);
});

fn file(bytes: &[u8]) -> Vec<Frame> {
    let mut demuxer = FileDemuxer::new(bytes.len() as u64);
    let mut frames = Vec::new();
    while let Some(wanted) = demuxer.wanted().filter(|_| frames.len() < FRAMES) {
        assert!(wanted.len <= limits::MP4_MOVIE_BYTES);
        let at = usize::try_from(wanted.offset).expect("within the file");
        match demuxer.handle_input(&bytes[at..at + wanted.len]) {
            Ok(more) => frames.extend(more),
            Err(_) => assert_eq!(demuxer.wanted(), None),
        }
    }
    frames
}

fn stream(how: u8, bytes: &[u8]) -> (Vec<Frame>, Option<DemuxError>) {
    let mut demuxer = Demuxer::new();
    let mut frames = Vec::new();
    for mut piece in pieces(how, bytes) {
        loop {
            match demuxer.handle_input(&mut piece) {
                Ok(Some(_)) if frames.len() > FRAMES => return (frames, None),
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(e) => return (frames, Some(e)),
            }
        }
        assert!(piece.is_empty());
    }
    (frames, None)
}

fn check(frames: &[Frame]) {
    let (mut video, mut audio) = (None, None);
    for frame in frames {
        let header = if frame.kind == Kind::Video { &mut video } else { &mut audio };
        if frame.role == Role::Header {
            *header = Some(frame.codec);
        } else {
            assert!(!frame.payload.is_empty());
            assert!(!frame.codec.has_header() || *header == Some(frame.codec));
        }
    }
}
