//! RTMP messages: what the chunk stream carries, and the aggregate message that holds several.

use bytes::Bytes;

use crate::wire::{Malformed, Reader};

/// Message type ids (RTMP 1.0, 5.4 and 7.1).
pub mod type_id {
    /// Set Chunk Size (5.4.1).
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message (5.4.2).
    pub const ABORT: u8 = 2;
    /// Acknowledgement (5.4.3).
    pub const ACK: u8 = 3;
    /// User Control Message (6.2, 7.1.7).
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size (5.4.4).
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth (5.4.5).
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio (7.1.4).
    pub const AUDIO: u8 = 8;
    /// Video (7.1.5).
    pub const VIDEO: u8 = 9;
    /// Data in AMF3 (7.1.2).
    pub const DATA_AMF3: u8 = 15;
    /// Shared object in AMF3 (7.1.3).
    pub const SHARED_OBJECT_AMF3: u8 = 16;
    /// Command in AMF3 (7.1.1).
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0 (7.1.2).
    pub const DATA_AMF0: u8 = 18;
    /// Shared object in AMF0 (7.1.3).
    pub const SHARED_OBJECT: u8 = 19;
    /// Command in AMF0 (7.1.1).
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate (7.1.6).
    pub const AGGREGATE: u8 = 22;
}

/// Event types of the User Control Message (RTMP 1.0, 7.1.7).
pub mod user_control {
    /// A stream can be used from now on; 4 bytes of stream id.
    pub const STREAM_BEGIN: u16 = 0;
    /// Playback of a stream is over; 4 bytes of stream id.
    pub const STREAM_EOF: u16 = 1;
    /// There is no more data on a stream for now; 4 bytes of stream id.
    pub const STREAM_DRY: u16 = 2;
    /// The client's buffer; 4 bytes of stream id, 4 bytes of length in milliseconds.
    pub const SET_BUFFER_LENGTH: u16 = 3;
    /// The stream is a recorded one; 4 bytes of stream id.
    pub const STREAM_IS_RECORDED: u16 = 4;
    /// The server asks whether the client is there; 4 bytes of time.
    pub const PING_REQUEST: u16 = 6;
    /// The client's answer; the 4 bytes of the request.
    pub const PING_RESPONSE: u16 = 7;
}

/// One whole RTMP message (RTMP 1.0, 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When, in milliseconds; wraps at 32 bits.
    pub timestamp: u32,
    /// One of [`type_id`], or what a peer made up.
    pub type_id: u8,
    /// The message stream: 0 for the connection, else what `createStream` answered.
    pub stream_id: u32,
    /// The body.
    pub payload: Bytes,
}

/// The messages inside an aggregate message (RTMP 1.0, 7.1.6), in order. After an error it is at its end.
///
/// Their timestamps are moved so that the first one has the aggregate's; their stream is the
/// aggregate's, whatever they say.
#[derive(Debug, Clone)]
pub struct Aggregate {
    rest: Bytes,
    timestamp: u32,
    stream_id: u32,
    /// The timestamp that the first sub-message carries, in milliseconds.
    first: Option<u32>,
}

impl Aggregate {
    /// The sub-messages of `message`, which the caller knows to be of [`type_id::AGGREGATE`].
    pub fn new(message: &Message) -> Self {
        Self {
            rest: message.payload.clone(),
            timestamp: message.timestamp,
            stream_id: message.stream_id,
            first: None,
        }
    }

    fn parse(&mut self) -> Result<Message, Malformed> {
        let mut r = Reader::new(&self.rest);
        let type_id = r.u8()?;
        let size = r.u24()? as usize;
        let low = r.u24()?;
        let high = r.u8()?;
        r.skip(3)?;
        if type_id == type_id::AGGREGATE {
            return Err(Malformed::Field {
                what: "type of a message in an aggregate",
                value: type_id.into(),
            });
        }
        let body = r.take(size)?;
        let payload = self.rest.slice_ref(body);
        // The back pointer tells nothing that the size didn't; some senders leave out the last one.
        if !r.is_empty() {
            r.skip(4)?;
        }
        let rest = self.rest.slice_ref(r.rest());
        self.rest = rest;
        let sub = (u32::from(high) << 24) | low;
        let first = *self.first.get_or_insert(sub);
        let timestamp = self.timestamp.wrapping_add(sub.wrapping_sub(first));
        Ok(Message { timestamp, type_id, stream_id: self.stream_id, payload })
    }
}

impl Iterator for Aggregate {
    type Item = Result<Message, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let answer = self.parse();
        if answer.is_err() {
            self.rest = Bytes::new();
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sub(type_id: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
        let mut v = vec![type_id];
        v.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
        v.extend_from_slice(&timestamp.to_be_bytes()[1..]);
        v.push((timestamp >> 24) as u8);
        v.extend_from_slice(&[0, 0, 9]);
        v.extend_from_slice(body);
        v.extend_from_slice(&(body.len() as u32 + 11).to_be_bytes());
        v
    }

    fn aggregate(timestamp: u32, payload: Vec<u8>) -> Aggregate {
        Aggregate::new(&Message {
            timestamp,
            type_id: type_id::AGGREGATE,
            stream_id: 1,
            payload: payload.into(),
        })
    }

    #[test]
    fn sub_messages_are_relative_to_the_first() {
        let mut payload = sub(type_id::VIDEO, 0x0100_0000, b"abc");
        payload.extend(sub(type_id::AUDIO, 0x0100_0017, b""));
        payload.extend(sub(type_id::VIDEO, 0x00ff_ffff, b"d"));
        let all: Vec<_> = aggregate(5000, payload).map(|m| m.unwrap()).collect();
        assert_eq!(all.iter().map(|m| m.timestamp).collect::<Vec<_>>(), [5000, 5023, 4999]);
        assert_eq!(all.iter().map(|m| m.type_id).collect::<Vec<_>>(), [9, 8, 9]);
        assert_eq!(all.iter().map(|m| m.stream_id).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(all[0].payload, &b"abc"[..]);
    }

    #[test]
    fn timestamps_wrap() {
        let mut payload = sub(8, u32::MAX, b"a");
        payload.extend(sub(8, 9, b"b"));
        let all: Vec<_> = aggregate(u32::MAX - 4, payload).map(|m| m.unwrap().timestamp).collect();
        assert_eq!(all, [u32::MAX - 4, 5]);
    }

    #[test]
    fn the_last_back_pointer_may_be_missing() {
        let mut payload = sub(8, 0, b"abcd");
        payload.extend(sub(9, 1, b"efgh"));
        payload.truncate(payload.len() - 4);
        assert_eq!(aggregate(0, payload.clone()).filter(|m| m.is_ok()).count(), 2);
        payload.pop();
        let all: Vec<_> = aggregate(0, payload).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1], Err(Malformed::Truncated { needed: 4, had: 3 }));
    }

    #[test]
    fn nested_aggregates_are_refused() {
        let inner = sub(8, 0, b"x");
        let mut all = aggregate(0, sub(type_id::AGGREGATE, 0, &inner));
        assert!(all.next().unwrap().is_err());
        assert!(all.next().is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bound = payload.len() / 11 + 1;
            prop_assert!(aggregate(1, payload).count() <= bound);
        }
    }
}
