//! The RTMP chunk stream (RTMP 1.0, 5.3): messages cut into chunks that interleave.

mod reader;
mod writer;

pub use reader::{ChunkError, ChunkReader};
pub use writer::{ChunkWriter, image};

/// The chunk size of both directions until it is set, in bytes (RTMP 1.0, 5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;
/// The largest chunk stream id that a basic header can hold (RTMP 1.0, 5.3.1.1).
pub const MAX_CHUNK_STREAM_ID: u32 = 65599;

/// From here on, a timestamp field holds this value and the time stands in an extended timestamp
/// (RTMP 1.0, 5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::rtmp::message::Message;

    /// What the reader makes of `wire`, given in pieces of the lengths `splits`, over and over.
    fn read_split(reader: &mut ChunkReader, wire: &[u8], splits: &[usize]) -> Vec<Message> {
        let mut all = Vec::new();
        let mut rest = wire;
        let mut splits = splits.iter().cycle();
        while !rest.is_empty() {
            let n = splits.next().map_or(rest.len(), |n| (*n).clamp(1, rest.len()));
            let (mut head, tail) = rest.split_at(n);
            while let Some(message) = reader.read(&mut head).unwrap() {
                all.push(message);
            }
            assert!(head.is_empty());
            rest = tail;
        }
        all
    }

    fn timestamps() -> impl Strategy<Value = u32> {
        prop_oneof![
            0..200u32,
            0xFF_FFF0..0x100_0010u32,
            0x7FFF_FFF0..0x8000_0010u32,
            0xFFFF_FFF0..=u32::MAX,
            any::<u32>()
        ]
    }

    fn messages() -> impl Strategy<Value = Vec<(u32, Message)>> {
        let csid = prop_oneof![3..8u32, 62..66u32, 318..322u32, Just(MAX_CHUNK_STREAM_ID)];
        let type_id = prop_oneof![Just(8u8), Just(9), Just(18), Just(20)];
        let body = (prop_oneof![0..4usize, 126..131usize, 0..700usize], any::<u8>());
        let one = (csid, timestamps(), type_id, 0..3u32, body).prop_map(
            |(csid, timestamp, type_id, stream_id, b)| {
                let payload = (0..b.0).map(|i| b.1.wrapping_add(i as u8)).collect::<Vec<_>>().into();
                (csid, Message { timestamp, type_id, stream_id, payload })
            },
        );
        proptest::collection::vec(one, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            messages in messages(),
            chunk_size in prop_oneof![1..6u32, 120..140u32, 1..5000u32],
            splits in proptest::collection::vec(1..300usize, 1..8),
            own_image in any::<bool>(),
        ) {
            let mut wire = BytesMut::new();
            let mut writer = ChunkWriter::new();
            writer.write(&mut wire, 2, 0, 1, 0, &chunk_size.to_be_bytes());
            writer.set_chunk_size(chunk_size);
            for (csid, m) in &messages {
                if own_image {
                    wire.extend_from_slice(&image(chunk_size, *csid, m.timestamp, m.type_id, m.stream_id, &m.payload.clone().into()));
                } else {
                    writer.write(&mut wire, *csid, m.timestamp, m.type_id, m.stream_id, &m.payload);
                }
            }
            let mut reader = ChunkReader::new();
            let read = read_split(&mut reader, &wire, &splits);
            prop_assert_eq!(reader.partial_bytes(), 0);
            prop_assert_eq!(read, messages.into_iter().map(|(_, m)| m).collect::<Vec<_>>());
        }

        #[test]
        fn steady_streams_are_read(start in timestamps(), step in 0..50u32, n in 1..40u32, len in 0..300usize) {
            let mut wire = BytesMut::new();
            let mut writer = ChunkWriter::new();
            let payload = Bytes::from(vec![1; len]);
            let sent: Vec<_> = (0..n).map(|i| Message {
                timestamp: start.wrapping_add(i * step), type_id: 8, stream_id: 1, payload: payload.clone(),
            }).collect();
            for m in &sent {
                writer.write(&mut wire, 4, m.timestamp, m.type_id, m.stream_id, &m.payload);
            }
            prop_assert_eq!(read_split(&mut ChunkReader::new(), &wire, &[wire.len()]), sent);
        }
    }
}
