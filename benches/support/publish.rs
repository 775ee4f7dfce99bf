//! The publisher: sends the stream in real time, over RTMP or to the floor.

use std::io;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::media::{Source, headers, stamp};
use super::rtmp::{Client, Goal, VIDEO, write_media};
use super::sys;

/// Publishes to `port` until the process is stopped or the server goes away. Says so on stdout when the
/// first message has gone.
pub(crate) fn run(port: u16, floor: bool) -> io::Result<()> {
    sys::exact_timers();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    if !floor {
        open(&mut stream, port)?;
    }
    let mut source = Source::new();
    let start = sys::monotonic_ns();
    let mut pending = headers().into_iter();
    let mut announced = false;
    let mut wire = Vec::new();
    loop {
        let mut message = pending.next().unwrap_or_else(|| source.next());
        sys::sleep_until(start + message.due_ns);
        if message.kind == VIDEO {
            stamp(&mut message.body, sys::monotonic_ns());
        }
        wire.clear();
        if floor {
            wire.extend([0; 4]);
        }
        write_media(&mut wire, message.kind, (message.due_ns / 1_000_000) as u32, &message.body);
        if floor {
            let length = wire.len() as u32 - 4;
            wire[..4].copy_from_slice(&length.to_be_bytes());
        }
        stream.write_all(&wire)?;
        if !announced {
            println!("publishing");
            announced = true;
        }
        match sys::discard(stream.as_raw_fd()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}

fn open(stream: &mut TcpStream, port: u16) -> io::Result<()> {
    let mut client = Client::new(Goal::Publish, port);
    let mut buffer = [0; 8192];
    loop {
        stream.write_all(&client.out)?;
        client.out.clear();
        if client.running() {
            return Ok(());
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        client.input(&buffer[..n], |_, _| {})?;
    }
}
