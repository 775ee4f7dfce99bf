//! Chunks into messages: the first byte of the input says how the rest is cut, the second whether the
//! message limit is that of an unknown peer. However it is cut, the messages are the same; and written
//! again they are read again.

#![no_main]

use bytes::BytesMut;
use camrill::rtmp::chunk::{ChunkError, ChunkReader, ChunkWriter};
use camrill::rtmp::message::{Aggregate, Message, type_id};
use camrill::wire::limits;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [how, limit, bytes @ ..] = data else { return };
    let limit = match limit & 1 {
        0 => limits::RTMP_MESSAGE_BYTES,
        _ => limits::RTMP_MESSAGE_BYTES_BEFORE_PUBLISH,
    };
    let (messages, error) = read(*how, limit, bytes);
    assert_eq!((messages.clone(), error), read(0, limit, bytes));
    if let Some(error) = error {
        assert!(!error.to_string().is_empty());
    }

    let mut wire = BytesMut::new();
    let mut writer = ChunkWriter::new();
    for (i, message) in messages.iter().enumerate() {
        assert!(message.payload.len() <= limit);
        let csid = 3 + (i as u32 % 4) * 100;
        let Message { timestamp, type_id, stream_id, payload } = message;
        writer.write(&mut wire, csid, *timestamp, *type_id, *stream_id, payload);
        if *type_id == type_id::AGGREGATE {
            let held: usize = Aggregate::new(message).flatten().map(|m| m.payload.len()).sum();
            assert!(held <= payload.len());
        }
    }
    assert_eq!(read(*how, limit, &wire), (messages, None));
});

fn read(how: u8, limit: usize, bytes: &[u8]) -> (Vec<Message>, Option<ChunkError>) {
    let mut reader = ChunkReader::new();
    reader.set_message_limit(limit);
    let mut messages = Vec::new();
    let mut given = 0;
    for mut piece in pieces(how, bytes) {
        given += piece.len();
        loop {
            let result = reader.read(&mut piece);
            assert!(reader.partial_bytes() <= given.min(limits::RTMP_PARTIAL_BYTES));
            match result {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (messages, None)
}
