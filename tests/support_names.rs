//! Names that are what a test's resolver says, and an address that is dead.

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use support::free_port;
use support::resolver::{self, Silence};
use support::server::Server;

/// What the system's own program gets for a name.
fn look_up(name: &str) -> (Output, Duration) {
    let mut command = Command::new("getent");
    resolver::preload(command.args(["ahosts", name]), Duration::from_millis(400));
    let start = Instant::now();
    let output = command.output().expect("getent");
    (output, start.elapsed())
}

#[test]
fn names_are_what_the_resolver_says() {
    let addresses = |name: &str| {
        let (output, _) = look_up(name);
        let text = String::from_utf8(output.stdout).expect("text");
        let streams = text.lines().filter(|line| line.contains("STREAM"));
        streams.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(addresses("both.test"), ["::1", "127.0.0.1"]);
    assert_eq!(addresses("dead-first.test"), ["127.0.0.77", "127.0.0.1"]);
    assert_eq!(addresses("192.0.2.7"), ["192.0.2.7"]);
    let (output, took) = look_up("camera.invalid");
    assert_eq!(output.status.code(), Some(2), "no such name");
    assert!(took < Duration::from_millis(400), "{took:?}");
    let (output, took) = look_up("slow.test");
    assert!(output.status.success() && output.stdout.starts_with(b"127.0.0.1 "), "{output:?}");
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

#[test]
fn the_server_takes_its_names_from_the_resolver() {
    let server = Server::start_resolving(Duration::ZERO, "", "");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.id())).expect("its libraries");
    assert!(maps.contains("/slow_resolver.so"), "{maps}");
}

#[test]
fn a_dead_address_is_silent_while_it_is_told_to_be() {
    let port = free_port();
    let dead = SocketAddr::from(([127, 0, 0, 77], port));
    let connect = || TcpStream::connect_timeout(&dead, Duration::from_millis(300)).map_err(|e| e.kind());
    assert_eq!(connect().err(), Some(ErrorKind::ConnectionRefused));
    {
        let _silence = Silence::at(port);
        // The address that lives has the port to itself.
        let _server = TcpListener::bind(("127.0.0.1", port)).expect("the same port of another address");
        assert_eq!(connect().err(), Some(ErrorKind::TimedOut));
    }
    assert_eq!(connect().err(), Some(ErrorKind::ConnectionRefused));
}
