//! Streams over several servers, as configurations have them go: pulled from nginx and from camrill, by RTMP and
//! by HTTP. What players get at the end is what ffmpeg has published at the beginning, packet by packet.

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::clients::{self, Kind, Player};
use support::flv::{self, VIDEO};
use support::nginx::Nginx;
use support::paths::Came;
use support::server::Server;
use support::{TempDir, repository};

const HTTP: &str = "http_remux { enabled on; }";
/// How many pictures are waited for: of two keyframes, where they are two seconds apart.
const PICTURES: usize = 60;

/// A camera's clip: H.264 with pictures that come out of order, and AAC.
fn clip() -> PathBuf {
    repository("assets/clip.flv")
}

/// The same with H.265.
fn h265(dir: &TempDir) -> PathBuf {
    let codecs = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2"];
    clients::encode(clients::new_ffmpeg, dir, &[&codecs[..], &["-c:a", "aac"]].concat())
}

/// An ingest of a URL, published as `live/NAME`.
fn ingest(name: &str, url: &str) -> String {
    format!("ingest {name} {{ enabled on; retry 0.1; input {{ type stream; url {url}; }} }}\n")
}

/// A forward of every stream to these servers.
fn forward(servers: &[SocketAddr]) -> String {
    let servers: Vec<_> = servers.iter().map(SocketAddr::to_string).collect();
    format!("forward {{ enabled on; destination {}; }}\n", servers.join(" "))
}

/// The settings of an edge.
fn edge(origin: SocketAddr, more: &str) -> String {
    format!("cluster {{ mode remote; origin {origin}; {more} }}\n")
}

/// Plays each of these, of which `ready` waits for all, publishes a file in real time, and holds what each player
/// got against it.
#[track_caller]
fn relay(
    ffmpeg: fn() -> Command,
    file: &Path,
    to: &str,
    plays: &[(Kind, String)],
    ready: impl FnOnce(),
) -> Vec<Came> {
    let players: Vec<Player> = plays.iter().map(|(kind, url)| Player::start(*kind, url)).collect();
    ready();
    let _publisher = clients::publish_live_with(ffmpeg(), file, to);
    let enough = |tags: &[flv::Tag]| flv::track(tags, VIDEO).len() >= PICTURES;
    let came = |(player, (kind, url)): (&Player, &(Kind, String))| {
        println!("{kind:?} plays {url}");
        Came::compare(player.wait("so many pictures", enough), file)
    };
    players.iter().zip(plays).map(came).collect()
}

/// Asserts that nothing is missing from the beginning.
#[track_caller]
fn assert_whole(all: &[Came]) {
    all.iter().for_each(|came| assert_eq!(came.missed, 0, "the first pictures are missing"));
}

fn both(url: &str) -> [(Kind, String); 2] {
    [Kind::Ffmpeg, Kind::Rtmpdump].map(|kind| (kind, url.to_owned()))
}

#[test]
fn a_stream_is_pulled_from_nginx() {
    let nginx = Nginx::start("");
    let server = Server::start(&ingest("test", &nginx.url("test")));
    nginx.wait_play("test", 1);
    let plays = both(&server.url("test"));
    let came =
        relay(clients::ffmpeg, &clip(), &nginx.url("test"), &plays, || server.wait_play("test", plays.len()));
    assert_whole(&came);
    came[1].assert_untouched(&clip());
}

#[test]
fn a_stream_is_pulled_from_camrill_by_rtmp_flv_and_mpeg_ts() {
    let origin = Server::start_http(HTTP);
    let by_http = |ending: &str| format!("http://{}/live/test.{ending}", origin.http());
    let urls = [("rtmp", origin.url("test")), ("flv", by_http("flv")), ("ts", by_http("ts"))];
    let server = Server::start(&urls.each_ref().map(|(name, url)| ingest(name, url)).concat());
    origin.wait_play("test", urls.len());
    let plays = urls.each_ref().map(|(name, _)| both(&server.url(name))).concat();
    let came = relay(clients::ffmpeg, &clip(), &origin.url("test"), &plays, || {
        urls.iter().for_each(|(name, _)| server.wait_play(name, 2));
    });
    assert_whole(&came);
    // MPEG-TS has other times, and nothing around the frames.
    [&came[1], &came[3]].iter().for_each(|came| came.assert_untouched(&clip()));
}

#[test]
fn a_stream_is_sent_on_to_nginx_and_to_camrill() {
    let (nginx, other) = (Nginx::start(""), Server::start(""));
    let server = Server::start(&forward(&[nginx.address(), other.address()]));
    let plays = [both(&nginx.url("test")), both(&other.url("test"))].concat();
    let came = relay(clients::ffmpeg, &clip(), &server.url("test"), &plays, || {
        nginx.wait_play("test", 2);
        other.wait_play("test", 2);
    });
    assert_whole(&came);
    [&came[1], &came[3]].iter().for_each(|came| came.assert_untouched(&clip()));
}

/// ffmpeg, nginx, camrill that pulls from it and sends on, another nginx, and the players.
#[test]
fn a_stream_goes_through_a_chain_of_servers() {
    let (first, last) = (Nginx::start(""), Nginx::start(""));
    let server = Server::start(&[ingest("test", &first.url("test")), forward(&[last.address()])].concat());
    first.wait_play("test", 1);
    let plays = [both(&server.url("test")), both(&last.url("test"))].concat();
    let came = relay(clients::ffmpeg, &clip(), &first.url("test"), &plays, || {
        server.wait_play("test", 2);
        last.wait_play("test", 2);
    });
    assert_whole(&came);
}

#[test]
fn an_edge_fetches_from_nginx_and_hands_on_to_it() {
    let nginx = Nginx::start("");
    let server = Server::start(&edge(nginx.address(), ""));
    let plays = both(&server.url("down"));
    let came = relay(clients::ffmpeg, &clip(), &nginx.url("down"), &plays, || {
        server.wait_play("down", 2);
        nginx.wait_play("down", 1);
    });
    assert_whole(&came);
    came[1].assert_untouched(&clip());
    let plays = [both(&nginx.url("up")), both(&server.url("up"))].concat();
    let came = relay(clients::ffmpeg, &clip(), &server.url("up"), &plays, || {
        nginx.wait_play("up", 2 + 1);
        server.wait_play("up", 2);
    });
    assert_whole(&came);
}

#[test]
fn edges_fetch_from_camrill_by_rtmp_and_by_flv_and_hand_on_to_it() {
    let origin = Server::start_http(HTTP);
    let by_rtmp = Server::start(&edge(origin.address(), ""));
    let by_flv = Server::start(&edge(origin.http(), "protocol flv;"));
    let plays = [both(&by_rtmp.url("down")), both(&by_flv.url("down"))].concat();
    let came = relay(clients::ffmpeg, &clip(), &origin.url("down"), &plays, || {
        by_rtmp.wait_play("down", 2);
        by_flv.wait_play("down", 2);
        origin.wait_play("down", 2);
    });
    assert_whole(&came);
    [&came[1], &came[3]].iter().for_each(|came| came.assert_untouched(&clip()));
    // What goes up by one edge comes down by the other.
    let plays = [both(&origin.url("up")), both(&by_flv.url("up"))].concat();
    let came = relay(clients::ffmpeg, &clip(), &by_rtmp.url("up"), &plays, || {
        origin.wait_play("up", 2 + 1);
        by_flv.wait_play("up", 2);
    });
    assert_whole(&came);
}

#[test]
fn h265_is_sent_on_to_camrill() {
    let dir = TempDir::new();
    let file = h265(&dir);
    let other = Server::start("");
    let server = Server::start(&forward(&[other.address()]));
    let plays = [(Kind::NewFfmpeg, other.url("test"))];
    let came = relay(clients::new_ffmpeg, &file, &server.url("test"), &plays, || other.wait_play("test", 1));
    assert_whole(&came);
}

#[test]
fn h265_is_pulled_from_camrill_by_rtmp_flv_and_mpeg_ts() {
    let dir = TempDir::new();
    let file = h265(&dir);
    let origin = Server::start_http(HTTP);
    let by_http = |ending: &str| format!("http://{}/live/test.{ending}", origin.http());
    let urls = [("rtmp", origin.url("test")), ("flv", by_http("flv")), ("ts", by_http("ts"))];
    let server = Server::start(&urls.each_ref().map(|(name, url)| ingest(name, url)).concat());
    origin.wait_play("test", urls.len());
    let plays = urls.each_ref().map(|(name, _)| (Kind::NewFfmpeg, server.url(name)));
    let came = relay(clients::new_ffmpeg, &file, &origin.url("test"), &plays, || {
        urls.iter().for_each(|(name, _)| server.wait_play(name, 1));
    });
    assert_whole(&came);
}
