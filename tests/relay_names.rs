//! Servers that are named: names with dead addresses, names that take long, names that don't exist.

mod support;

use std::time::{Duration, Instant};

use support::live::{Camera, Seen, Viewer};
use support::resolver::Silence;
use support::server::Server;

const MS: Duration = Duration::from_millis(1);
/// What a camera sends, in bytes per second.
const RATE: usize = 500_000 / 8;

/// An ingest of `live/test` of a named server.
fn ingest(name: &str, host: &str, port: u16) -> String {
    format!("ingest {name} {{ enabled on; input {{ type stream; url rtmp://{host}:{port}/live/test; }} }}\n")
}

/// Plays what comes from a host of that name, and answers how long it took until it was asked for.
#[track_caller]
fn play_from(host: &str, origin: &Server) -> Duration {
    let start = Instant::now();
    let server = Server::start_resolving(10 * MS, "", &ingest("test", host, origin.port()));
    origin.wait_play("test", 1);
    let took = start.elapsed();
    let viewer = Viewer::start(server.address(), "test");
    let camera = Camera::start(origin.address(), "test", RATE);
    viewer.wait_sent_after(&camera, Instant::now());
    let seen = Seen::compare(&viewer.shots(), &camera.shots());
    assert_eq!((seen.first, seen.holes, seen.repeats), (0, 0, 0), "{seen:?}");
    took
}

/// The origin listens at the second one.
#[test]
fn the_next_address_is_taken_where_the_first_refuses() {
    let took = play_from("both.test", &Server::start(""));
    assert!(took < 1000 * MS, "{took:?}");
}

#[test]
fn the_next_address_is_taken_where_the_first_is_silent() {
    let origin = Server::start("");
    let _silence = Silence::at(origin.port());
    let took = play_from("dead-first.test", &origin);
    // It was given a quarter of a second.
    assert!((250 * MS..1500 * MS).contains(&took), "{took:?}");
}

/// A name takes three seconds for a forward, and for an ingest of the same stream, while another goes on.
#[test]
fn a_name_that_takes_long_holds_nothing_else_up() {
    let (slow, other) = (Server::start(""), Server::start(""));
    let (to_slow, to_other) = (slow.port(), other.address());
    let settings = [
        ingest("again", "slow.test", to_slow),
        format!("forward {{ enabled on; destination slow.test:{to_slow} {to_other}; }}"),
    ];
    let server = Server::start_resolving(3000 * MS, "", &settings.concat());
    let viewers = [&server, &other].map(|server| Viewer::start(server.address(), "test"));
    let camera = Camera::start(server.address(), "test", RATE);
    let start = Instant::now();
    slow.wait_publish("test", 1);
    let took = start.elapsed();
    assert!((2500 * MS..6000 * MS).contains(&took), "{took:?}");
    for viewer in &viewers {
        viewer.wait_sent_after(&camera, Instant::now());
        let seen = Seen::compare(&viewer.shots(), &camera.shots());
        assert_eq!((seen.first, seen.holes, seen.repeats), (0, 0, 0), "{seen:?}");
        assert!(seen.longest < 500 * MS, "{seen:?}");
    }
    Viewer::start(server.address(), "again").wait_sent_after(&camera, Instant::now());
}

#[test]
fn a_name_that_nobody_has_is_said_and_tried_again() {
    let settings = [
        ingest("nobody", "camera.invalid", 1936),
        "forward { enabled on; destination origin.invalid:1936; }".into(),
    ];
    let server = Server::start_resolving(10 * MS, "", &settings.concat());
    let _camera = Camera::start(server.address(), "test", RATE);
    let ingest = "ingest of __defaultVhost__/live/nobody from rtmp://camera.invalid:1936/live/test: ";
    let forward = "forward of __defaultVhost__/live/test to rtmp://origin.invalid:1936/live/test: ";
    for (of, host) in [(ingest, "camera.invalid"), (forward, "origin.invalid")] {
        for n in 1..=2 {
            let line = server.wait_log(n, &format!("{of}connecting to {host}: "));
            assert!(line.contains("Name or service not known; trying again in "), "{line}");
        }
    }
}
