//! The server's handshake: the first byte of the input says how the rest is cut. However it is cut, the
//! answer is the same.

#![no_main]

use bytes::BytesMut;
use camrill::rtmp::handshake::{ClientHandshake, HandshakeError, ServerHandshake};
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// S0, S1 and S2.
const ANSWER: usize = 1 + 2 * 1536;
/// C0, C1 and C2.
const ASKED: usize = 1 + 2 * 1536;

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    let cut = server(*how, bytes);
    assert_eq!(cut, server(0, bytes));

    let (result, answer, taken) = cut;
    assert!(answer.is_empty() || answer.len() == ANSWER);
    match result {
        Ok(done) => {
            assert_eq!(done, bytes.len() >= ASKED);
            assert_eq!(taken, bytes.len().min(ASKED));
        }
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }

    // The client's end may refuse anything, and never more than that.
    for digest in [false, true] {
        let mut client = ClientHandshake::new(1, digest);
        let mut out = BytesMut::new();
        client.start(&mut out);
        for mut piece in pieces(*how, bytes) {
            match client.handle_input(&mut piece, &mut out) {
                Ok(false) => assert!(piece.is_empty()),
                Ok(true) | Err(_) => break,
            }
        }
        assert!(out.len() <= ASKED);
    }
});

/// What came of it, what was answered, and how many bytes were taken.
fn server(how: u8, bytes: &[u8]) -> (Result<bool, HandshakeError>, Vec<u8>, usize) {
    let mut server = ServerHandshake::new(7);
    let mut out = BytesMut::new();
    let mut taken = 0;
    let mut result = Ok(false);
    for piece in pieces(how, bytes) {
        let mut input = piece;
        result = server.handle_input(&mut input, &mut out);
        taken += piece.len() - input.len();
        match result {
            Ok(false) => assert!(input.is_empty()),
            Ok(true) | Err(_) => break,
        }
    }
    (result, out.to_vec(), taken)
}
