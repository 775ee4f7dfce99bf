//! One connection's TLS: records from and to the socket, and what went wrong in words.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use rustls::{AlertDescription, CertificateError, Connection, Error, InvalidMessage};

use crate::engine::link::{Io, Secure};

/// One connection.
#[derive(Debug)]
pub(super) struct Channel {
    connection: Connection,
    /// The server that it leads to; `None` where this is the server.
    host: Option<String>,
    /// Bytes of the caller's that are encrypted and have not left.
    taken: usize,
}

impl Channel {
    pub(super) fn new(connection: Connection, host: Option<&str>) -> Self {
        Self { connection, host: host.map(str::to_owned), taken: 0 }
    }

    /// Goes on with the handshake.
    fn shake(&mut self, io: Io<'_>) -> io::Result<()> {
        self.send(io)?;
        while self.connection.is_handshaking() {
            self.receive(io)?;
        }
        self.send(io)
    }

    /// Takes records from the socket, and answers those that want it.
    fn receive(&mut self, io: Io<'_>) -> io::Result<()> {
        let received = self.connection.read_tls(&mut Wire(io))?;
        if received == 0 && self.connection.is_handshaking() {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "TLS: the peer has closed the connection within the handshake",
            ));
        }
        let result = self.connection.process_new_packets();
        // The peer is told of an error, if it can be.
        let sent = self.send(io);
        if let Err(e) = result {
            return Err(io::Error::new(ErrorKind::InvalidData, explain(&e, self.host.as_deref())));
        }
        match sent {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }

    /// Sends the records that wait.
    fn send(&mut self, io: Io<'_>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Wire(io))?;
        }
        Ok(())
    }
}

impl Secure for Channel {
    fn handshake(&mut self, io: Io<'_>) -> io::Result<()> {
        self.shake(io).map_err(|e| match e.get_ref() {
            None if e.kind() != ErrorKind::WouldBlock => {
                io::Error::new(e.kind(), format!("TLS: the connection is lost within the handshake: {e}"))
            }
            _ => e,
        })
    }

    fn read(&mut self, io: Io<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Many clients just close: what they speak says where it ends.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.receive(io)?;
        }
    }

    fn write(&mut self, io: Io<'_>, bytes: &[u8]) -> io::Result<usize> {
        if self.taken == 0 {
            // What the last handshake or a change of keys has left goes first, so that there is room.
            self.send(io)?;
            self.taken = self.connection.writer().write(bytes)?;
        }
        self.send(io)?;
        Ok(std::mem::take(&mut self.taken))
    }

    fn close(&mut self, io: Io<'_>) {
        self.connection.send_close_notify();
        // It closes either way.
        let _ = self.send(io);
    }
}

/// The socket, where bytes are read and written by traits.
struct Wire<'a>(Io<'a>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_gathered(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What went wrong, for a log.
fn explain(error: &Error, host: Option<&str>) -> String {
    let host = host.unwrap_or("the client");
    match error {
        Error::InvalidCertificate(e) => match e {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("TLS: the certificate of {host} has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("TLS: the certificate of {host} is not valid yet, by this machine's clock")
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                format!("TLS: the certificate of {host} is not trusted: it is for {}", names(presented))
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("TLS: the certificate of {host} is not trusted: nobody trusted has issued it")
            }
            e => format!("TLS: the certificate of {host} is not trusted: {e}"),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "TLS: the peer speaks no TLS".to_owned(),
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "TLS: the peer doesn't trust this certificate".to_owned()
        }
        Error::AlertReceived(alert) => format!("TLS: the peer has ended it: {alert:?}"),
        Error::PeerIncompatible(e) => format!("TLS: the peer has no version or cipher in common: {e:?}"),
        e => format!("TLS: {e}"),
    }
}

/// The first few of them.
fn names(presented: &[String]) -> String {
    // They come as `DnsName("camera.example")`.
    let bare = |name: &String| match name.split_once('(') {
        Some((_, name)) => name.trim_end_matches(')').trim_matches('"').to_owned(),
        None => name.clone(),
    };
    let shown = presented.iter().take(4).map(bare).collect::<Vec<_>>().join(", ");
    match presented.len() {
        0 => "no name at all".to_owned(),
        1..=4 => shown,
        _ => format!("{shown}, …"),
    }
}
