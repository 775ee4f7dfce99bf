//! A WebSocket client's frames. The input begins with how the rest is cut, and whether it is frames as they
//! come or payloads that are put into good frames.

#![no_main]

use camrill::http::websocket::{CONTROL_BYTES, Decoder, Message, Violation};
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// Small enough to be passed.
const LIMIT: usize = 300;
const FIN: u8 = 0x80;

fuzz_target!(|data: &[u8]| {
    let [how, what, rest @ ..] = data else { return };
    let bytes = if what & 1 == 0 { rest.to_vec() } else { frames(rest) };
    let (messages, violation) = read(*how, &bytes);
    // How it is cut changes nothing.
    assert_eq!((&messages, &violation), (&read(0, &bytes).0, &read(0, &bytes).1));
    if let Some(violation) = violation {
        assert!(matches!(violation.code, 1002 | 1007 | 1009));
    }

    // What was read can be sent again.
    let again: Vec<u8> = messages.iter().flat_map(sent).collect();
    assert_eq!(read(*how, &again), (messages, None));
});

fn read(how: u8, bytes: &[u8]) -> (Vec<Message>, Option<Violation>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut messages = Vec::new();
    for mut piece in pieces(how, bytes) {
        loop {
            match decoder.read(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => return (messages, Some(violation)),
            }
        }
        assert!(piece.is_empty());
        assert!(decoder.partial_bytes() <= (LIMIT + CONTROL_BYTES).min(bytes.len()));
    }
    (messages, None)
}

/// Each frame is its first byte, its mask, the length of its payload and as much of the payload as there is.
fn frames(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, mask, len, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        out.extend(frame(*first, *mask, payload));
        rest = tail;
    }
    out
}

fn sent(message: &Message) -> Vec<u8> {
    match message {
        Message::Text(text) => frame(FIN | 1, 0x55, text.as_bytes()),
        Message::Binary(bytes) => frame(FIN | 2, 0x55, bytes),
        Message::Ping(bytes) => frame(FIN | 9, 0x55, bytes),
        Message::Pong(bytes) => frame(FIN | 10, 0x55, bytes),
        Message::Close(code) => {
            let code = code.map(u16::to_be_bytes);
            frame(FIN | 8, 0x55, code.as_ref().map_or(&[], |code| &code[..]))
        }
    }
}

fn frame(first: u8, mask: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [mask, !mask, mask.rotate_left(3), 0];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len => out.extend([0xfe, (len >> 8) as u8, len as u8]),
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, mask)| b ^ mask));
    out
}
