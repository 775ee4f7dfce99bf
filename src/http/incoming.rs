//! What a peer sends, put together from pieces: lines, and the body of a message (RFC 9112, 6 and 7).

use super::Refusal;
use crate::wire::limits::{HTTP_CHUNK_LINE_BYTES, HTTP_HEAD_BYTES};

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks until an empty one.
    Chunked,
}

/// Takes the rest of a line off `input`, its LF included, and adds it to `held`, which has `limit` bytes at
/// most. Whether the line is whole; `None` if it is too long.
pub(super) fn take_line(held: &mut Vec<u8>, input: &mut &[u8], limit: usize) -> Option<bool> {
    let end = input.iter().position(|b| *b == b'\n');
    let n = end.map_or(input.len(), |at| at.saturating_add(1));
    if n > limit.saturating_sub(held.len()) {
        return None;
    }
    held.extend_from_slice(take(input, n));
    Some(end.is_some())
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Vec<u8>,
    limit: usize,
    deframer: Deframer,
}

impl Incoming {
    /// A body of at most `limit` bytes.
    pub(super) fn new(framing: Framing, limit: usize) -> Result<Self, Refusal> {
        if let Framing::Length(len) = framing {
            within(len, limit as u64)?;
        }
        Ok(Self { body: Vec::new(), limit, deframer: Deframer::new(framing) })
    }

    /// Takes input up to the body's end, and says whether it is there. Memory grows with what has come.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<bool, Refusal> {
        loop {
            let left = self.limit.saturating_sub(self.body.len());
            match self.deframer.read(input, left as u64)? {
                Piece::Data(piece) => self.body.extend_from_slice(piece),
                Piece::Missing => return Ok(false),
                Piece::End => return Ok(true),
            }
        }
    }

    /// What was read.
    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// Takes a body's framing off, piece by piece.
#[derive(Debug)]
pub(super) struct Deframer {
    step: Step,
    line: Vec<u8>,
    /// Bytes that trailers may still have.
    trailers: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A body of known length, so many bytes missing.
    Body(u64),
    /// The line before a chunk.
    Size,
    /// A chunk, so many bytes missing.
    Chunk(u64),
    /// The end of the line behind a chunk.
    ChunkEnd,
    /// The lines behind the last chunk.
    Trailers,
    /// Behind the body.
    End,
}

/// What comes of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Bytes of the body, at least one.
    Data(&'a [u8]),
    /// More input is needed.
    Missing,
    /// The body has ended.
    End,
}

impl Deframer {
    pub(super) fn new(framing: Framing) -> Self {
        let step = match framing {
            Framing::Length(len) => Step::Body(len),
            Framing::Chunked => Step::Size,
        };
        Self { step, line: Vec::new(), trailers: HTTP_HEAD_BYTES }
    }

    /// Takes input up to the end of the body's next piece. A chunk may have `left` bytes.
    pub(super) fn read<'a>(&mut self, input: &mut &'a [u8], left: u64) -> Result<Piece<'a>, Refusal> {
        loop {
            match &mut self.step {
                Step::Body(0) => self.step = Step::End,
                Step::Chunk(0) => self.step = Step::ChunkEnd,
                Step::End => return Ok(Piece::End),
                _ if input.is_empty() => return Ok(Piece::Missing),
                Step::Body(missing) | Step::Chunk(missing) => {
                    let piece = take(input, usize::try_from(*missing).unwrap_or(usize::MAX));
                    *missing = missing.saturating_sub(piece.len() as u64);
                    return Ok(Piece::Data(piece));
                }
                Step::Size => {
                    if !self.line(input, HTTP_CHUNK_LINE_BYTES, "line before a chunk too long")? {
                        return Ok(Piece::Missing);
                    }
                    let size = chunk_size(&self.line).ok_or(Refusal::bad("malformed size of a chunk"))?;
                    within(size, left)?;
                    self.line.clear();
                    self.step = if size == 0 { Step::Trailers } else { Step::Chunk(size) };
                }
                Step::ChunkEnd => {
                    if !self.line(input, 2, "a chunk is longer than its size")? {
                        return Ok(Piece::Missing);
                    }
                    if self.line != b"\r\n" {
                        return Err(Refusal::bad("a chunk is longer than its size"));
                    }
                    self.line.clear();
                    self.step = Step::Size;
                }
                Step::Trailers => {
                    if !self.line(input, self.trailers, "trailers too long")? {
                        return Ok(Piece::Missing);
                    }
                    self.trailers = self.trailers.saturating_sub(self.line.len());
                    if matches!(self.line.as_slice(), b"\r\n" | b"\n") {
                        self.step = Step::End;
                    }
                    self.line.clear();
                }
            }
        }
    }

    fn line(&mut self, input: &mut &[u8], limit: usize, too_long: &'static str) -> Result<bool, Refusal> {
        take_line(&mut self.line, input, limit).ok_or(Refusal::bad(too_long))
    }
}

fn within(len: u64, limit: u64) -> Result<(), Refusal> {
    if len > limit { Err(Refusal::new(413, "body too long")) } else { Ok(()) }
}

/// The size in a line before a chunk; extensions are passed over. The line must end in CR LF: with LF alone
/// two servers may see different chunks.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
    if digits.is_empty() || line.contains('\r') || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    // What no 64 bits hold is too long, whatever it is.
    Some(u64::from_str_radix(digits, 16).unwrap_or(u64::MAX))
}

fn take<'a>(input: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (head, tail) = input.split_at_checked(n).unwrap_or((input, &[]));
    *input = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of it if it comes in pieces of `n` bytes: the body, and what was not taken.
    fn read(framing: Framing, bytes: &[u8], n: usize) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut incoming = Incoming::new(framing, 20)?;
        let mut taken = 0;
        for mut piece in bytes.chunks(n) {
            let before = piece.len();
            let done = incoming.read(&mut piece)?;
            taken += before - piece.len();
            if done {
                return Ok(Some((incoming.into_body(), bytes.len() - taken)));
            }
            assert!(piece.is_empty());
        }
        Ok(None)
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        for n in [1, 2, 3, 7, 100] {
            let body = |framing, bytes: &str| read(framing, bytes.as_bytes(), n).unwrap();
            assert_eq!(body(Framing::Length(3), "abcGET"), Some((b"abc".to_vec(), 3)));
            assert_eq!(body(Framing::Length(7), "abcGET"), None);
            for chunks in [
                "3\r\nabc\r\n0\r\n\r\nGET",
                "1;x=y\r\na\r\n2 ; z\r\nbc\r\n00\r\n\r\nGET",
                "3\r\nabc\r\n0\r\nX: y\r\nZ: 0\r\n\r\nGET",
            ] {
                assert_eq!(body(Framing::Chunked, chunks), Some((b"abc".to_vec(), 3)), "{chunks}");
            }
            assert_eq!(body(Framing::Chunked, "3\r\nab"), None);
            assert_eq!(
                body(Framing::Chunked, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n").unwrap().0.len(),
                20
            );
        }
    }

    #[test]
    fn bad_chunks_are_refused_however_they_are_cut() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(HTTP_CHUNK_LINE_BYTES));
        let trailers = format!("0\r\n{}\r\n", "X: yyyyyyyy\r\n".repeat(HTTP_HEAD_BYTES / 13 + 1));
        for n in [1, 2, 3, 100_000] {
            for (bytes, status) in [
                ("\r\n", 400),
                ("x\r\n", 400),
                ("+1\r\na\r\n", 400),
                ("-1\r\n", 400),
                ("0x1\r\na\r\n", 400),
                (" 1\r\na\r\n", 400),
                ("1 1\r\na\r\n", 400),
                ("1\na\r\n", 400),
                ("1;a\rb\r\na\r\n", 400),
                ("1\r\nab\r\n0\r\n\r\n", 400),
                ("1\r\na\n0\r\n\r\n", 400),
                ("15\r\n", 413),
                ("a\r\n0123456789\r\nb\r\n", 413),
                ("ffffffffffffffff\r\n", 413),
                ("10000000000000000\r\n", 413),
                (long.as_str(), 400),
                (trailers.as_str(), 400),
            ] {
                let refusal = read(Framing::Chunked, bytes.as_bytes(), n).expect_err(bytes);
                assert_eq!(refusal.status, status, "{bytes}");
            }
        }
        assert_eq!(read(Framing::Length(21), b"a", 1).unwrap_err().status, 413);
        assert_eq!(read(Framing::Length(u64::MAX), b"a", 1).unwrap_err().status, 413);
    }
}
