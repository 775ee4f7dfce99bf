//! A connected socket, and what stands between it and the session's bytes: nothing, or a secure layer.
//!
//! Whoever reads and sends here sees plaintext. A secure layer may hold bytes that the socket doesn't know of,
//! in both directions: so [`Link::read`] is called until it would block, and what was sent has left only when
//! [`Link::has_unsent`] says so.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;

use bytes::{Buf, Bytes};
use mio::net::TcpStream;

use super::sys;
use crate::wire::limits::SECURE_UNSENT_BYTES;

/// What makes one connection secure. All of its calls end at once: what the socket can't do now is
/// [`ErrorKind::WouldBlock`], and the call comes again when the socket can do something, whatever that is.
///
/// An error is a sentence for a log; the connection ends with it.
pub trait Secure: fmt::Debug + Send {
    /// Goes on with the handshake; [`ErrorKind::WouldBlock`] until it is done. Nothing is read or written
    /// before.
    fn handshake(&mut self, io: Io<'_>) -> io::Result<()>;

    /// Reads plaintext; 0 at its end.
    fn read(&mut self, io: Io<'_>, buffer: &mut [u8]) -> io::Result<usize>;

    /// Takes plaintext and answers how many bytes of it have left. After [`ErrorKind::WouldBlock`] the next call
    /// brings the same bytes again: they may be encrypted, and even sent in part.
    fn write(&mut self, io: Io<'_>, bytes: &[u8]) -> io::Result<usize>;

    /// Says that nothing more is sent, if the socket takes that. It is the last call.
    fn close(&mut self, io: Io<'_>);
}

/// The socket as a secure layer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Io<'a>(&'a TcpStream);

impl Io<'_> {
    /// Sends; answers how many bytes the socket took.
    pub fn send(self, bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.0, bytes)
    }

    /// Sends pieces at once.
    pub fn send_gathered(self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send_gathered(self.0, pieces)
    }

    /// Receives; 0 at the end.
    pub fn receive(self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self.0, buffer)
    }
}

/// A connection's socket and its layer.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    layer: Layer,
}

/// What stands between a socket and the session's bytes.
#[derive(Debug)]
pub(super) enum Layer {
    /// Nothing.
    Plain,
    /// A secure layer.
    Secure(Box<Secured>),
}

impl Layer {
    pub(super) fn secure(channel: Box<dyn Secure>) -> Self {
        Self::Secure(Box::new(Secured { channel, stage: Stage::Handshake, unsent: Bytes::new() }))
    }
}

impl Link {
    pub(super) fn new(socket: TcpStream, layer: Layer) -> Self {
        Self { socket, layer }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Reads once; 0 at the end. Of a secure link less than the buffer holds need not be all there is.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain => receive(&self.socket, buffer),
            Layer::Secure(secured) => secured.read(Io(&self.socket), buffer),
        }
    }

    /// Sends; answers how many bytes were taken.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain => sys::send(&self.socket, bytes),
            Layer::Secure(secured) => secured.send(Io(&self.socket), &[IoSlice::new(bytes)]),
        }
    }

    /// Sends pieces at once; answers how many bytes were taken.
    pub(super) fn send_gathered(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain => sys::send_gathered(&self.socket, pieces),
            Layer::Secure(secured) => secured.send(Io(&self.socket), pieces),
        }
    }

    /// Goes on with what was begun: the handshake, and what was taken and has not left.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Plain => Ok(()),
            Layer::Secure(secured) => secured.flush(Io(&self.socket)),
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        matches!(self.layer, Layer::Secure(_))
    }

    /// Whether the handshake is done, where there is one.
    pub(super) fn is_ready(&self) -> bool {
        match &self.layer {
            Layer::Plain => true,
            Layer::Secure(secured) => secured.stage != Stage::Handshake,
        }
    }

    /// Whether something was taken that has not left: [`Self::flush`] goes on with it.
    pub(super) fn has_unsent(&self) -> bool {
        match &self.layer {
            Layer::Plain => false,
            Layer::Secure(secured) => !secured.unsent.is_empty(),
        }
    }

    /// How many bytes that are.
    pub(super) fn unsent(&self) -> usize {
        match &self.layer {
            Layer::Plain => 0,
            Layer::Secure(secured) => secured.unsent.len(),
        }
    }

    /// Says goodbye, where the layer has a word for that and the socket takes it. Nothing is read or sent
    /// afterwards.
    pub(super) fn shutdown(&mut self) {
        if let Layer::Secure(secured) = &mut self.layer {
            secured.close(Io(&self.socket));
        }
    }

    /// Says goodbye, and to the peer's system that nothing more comes. What the socket has taken still leaves;
    /// what the peer says is only to be discarded.
    pub(super) fn finish(&mut self) {
        self.shutdown();
        self.layer = Layer::Plain;
        // One that has been closed meanwhile needs no word.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Reads once what nobody wants any more, as the socket has it; 0 at the end.
    pub(super) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(&self.socket, buffer)
    }
}

/// A secure layer and how far it has come.
#[derive(Debug)]
pub(super) struct Secured {
    channel: Box<dyn Secure>,
    stage: Stage,
    /// Plaintext that was taken, and has to be offered again until it has left.
    unsent: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Open,
    Closed,
}

impl Secured {
    fn read(&mut self, io: Io<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        self.handshake(io)?;
        let read = self.channel.read(io, buffer);
        let read = self.ends_with(read)?;
        // What came may be what a write has waited for.
        match self.flush(io) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(read),
        }
    }

    fn send(&mut self, io: Io<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(io)?;
        let mut pieces = pieces.iter().map(|piece| &**piece).filter(|piece| !piece.is_empty());
        let mut piece: &[u8] = &[];
        let mut taken = 0;
        loop {
            let mut next = Vec::new();
            while next.len() < SECURE_UNSENT_BYTES {
                if piece.is_empty() {
                    let Some(another) = pieces.next() else { break };
                    piece = another;
                }
                let (now, later) = piece.split_at(piece.len().min(SECURE_UNSENT_BYTES - next.len()));
                next.extend_from_slice(now);
                piece = later;
            }
            if next.is_empty() {
                return Ok(taken);
            }
            taken += next.len();
            self.unsent = Bytes::from(next);
            match self.flush(io) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(taken),
                Err(e) => return Err(e),
            }
        }
    }

    fn flush(&mut self, io: Io<'_>) -> io::Result<()> {
        self.handshake(io)?;
        while !self.unsent.is_empty() {
            let written = self.channel.write(io, &self.unsent);
            match self.ends_with(written)? {
                0 => return Err(ErrorKind::WouldBlock.into()),
                n => self.unsent.advance(n.min(self.unsent.len())),
            }
        }
        // What has left is let go, not kept at its end.
        self.unsent = Bytes::new();
        Ok(())
    }

    fn handshake(&mut self, io: Io<'_>) -> io::Result<()> {
        match self.stage {
            Stage::Handshake => {
                let result = self.channel.handshake(io);
                self.ends_with(result)?;
                self.stage = Stage::Open;
                Ok(())
            }
            Stage::Open => Ok(()),
            Stage::Closed => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// After an error nothing is asked of the channel any more.
    fn ends_with<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|e| e.kind() != ErrorKind::WouldBlock) {
            self.stage = Stage::Closed;
        }
        result
    }

    fn close(&mut self, io: Io<'_>) {
        if self.stage != Stage::Closed {
            self.stage = Stage::Closed;
            self.channel.close(io);
        }
    }
}

fn receive(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;

    /// Greets with a byte in both directions, then turns every byte's bits, in pieces of `record` bytes, of
    /// which one is in its hands until the socket has taken it.
    #[derive(Debug)]
    struct Turned {
        record: usize,
        greeted: bool,
        /// What was turned and has not left, and how many bytes of the caller's that are.
        turned: Vec<u8>,
        begun: Option<Vec<u8>>,
    }

    impl Secure for Turned {
        fn handshake(&mut self, io: Io<'_>) -> io::Result<()> {
            if !self.greeted {
                io.send(b"!")?;
                self.greeted = true;
            }
            let mut byte = [0];
            match io.receive(&mut byte)? {
                1 if byte == *b"!" => Ok(()),
                _ => Err(io::Error::other("the peer doesn't greet")),
            }
        }

        fn read(&mut self, io: Io<'_>, buffer: &mut [u8]) -> io::Result<usize> {
            let n = io.receive(buffer)?;
            buffer[..n].iter_mut().for_each(|byte| *byte = !*byte);
            Ok(n)
        }

        fn write(&mut self, io: Io<'_>, bytes: &[u8]) -> io::Result<usize> {
            if let Some(begun) = &self.begun {
                assert_eq!(begun, bytes, "the same bytes come again");
            } else {
                self.begun = Some(bytes.to_vec());
                self.turned = bytes[..bytes.len().min(self.record)].iter().map(|byte| !byte).collect();
            }
            let taken = bytes.len().min(self.record);
            while !self.turned.is_empty() {
                let n = io.send(&self.turned)?;
                self.turned.drain(..n);
            }
            self.begun = None;
            Ok(taken)
        }

        fn close(&mut self, io: Io<'_>) {
            let _ = io.send(b"?");
        }
    }

    fn pair(record: usize) -> (Link, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        let (far, _) = listener.accept().unwrap();
        let turned = Turned { record, greeted: false, turned: Vec::new(), begun: None };
        (Link::new(TcpStream::from_std(near), Layer::secure(Box::new(turned))), far)
    }

    /// Calls until the loop's poller would have said so.
    fn soon<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match call() {
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                result => return result,
            }
        }
    }

    #[test]
    fn nothing_is_taken_before_the_handshake() {
        use std::io::Write;

        let (mut link, mut far) = pair(100);
        assert!(link.is_secure() && !link.is_ready());
        assert_eq!(link.send(b"early").unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!link.has_unsent());
        far.write_all(b"!").unwrap();
        soon(|| link.flush()).unwrap();
        assert!(link.is_ready());
        let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"c")];
        assert_eq!(link.send_gathered(&pieces).unwrap(), 3);
        let mut came = [0; 4];
        far.read_exact(&mut came).unwrap();
        assert_eq!(came, [b'!', !b'a', !b'b', !b'c']);
        far.write_all(&[!b'x', !b'y']).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(soon(|| link.read(&mut buffer)).unwrap(), 2);
        assert_eq!(&buffer[..2], b"xy");
        link.shutdown();
        far.read_exact(&mut came[..1]).unwrap();
        assert_eq!(came[0], b'?');
        assert_eq!(link.send(b"late").unwrap_err().kind(), ErrorKind::NotConnected);
    }

    #[test]
    fn a_full_socket_holds_one_measure_and_loses_nothing() {
        use std::io::Write;

        let (mut link, mut far) = pair(1000);
        far.write_all(b"!").unwrap();
        soon(|| link.flush()).unwrap();
        let sent: Vec<u8> = (0..16 * 1024 * 1024_u32).map(|n| (n / 251) as u8).collect();
        let mut taken = 0;
        while !link.has_unsent() {
            let piece = &sent[taken..(taken + 200_000).min(sent.len())];
            taken += link.send(piece).unwrap();
        }
        assert!(taken < sent.len(), "the socket was to be full");
        // It holds no more, however often it is asked.
        assert_eq!(link.send(b"more").unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(link.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
        let reader = std::thread::spawn(move || {
            let mut came = Vec::new();
            far.read_to_end(&mut came).unwrap();
            came
        });
        while taken < sent.len() {
            taken += soon(|| link.send(&sent[taken..])).unwrap();
        }
        soon(|| link.flush()).unwrap();
        assert!(!link.has_unsent());
        link.socket().shutdown(Shutdown::Write).unwrap();
        let came = reader.join().unwrap();
        assert_eq!(came[0], b'!');
        assert!(came[1..].iter().map(|byte| !byte).eq(sent));
    }

    #[test]
    fn a_failed_handshake_is_the_end() {
        use std::io::Write;

        let (mut link, mut far) = pair(100);
        far.write_all(b"x").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(soon(|| link.read(&mut buffer)).unwrap_err().to_string(), "the peer doesn't greet");
        assert_eq!(link.read(&mut buffer).unwrap_err().kind(), ErrorKind::NotConnected);
        link.shutdown();
        drop(link);
        let mut came = Vec::new();
        far.read_to_end(&mut came).unwrap();
        assert_eq!(came, b"!");
    }
}
