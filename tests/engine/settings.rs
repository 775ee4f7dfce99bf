//! Settings of sending and of the engine, and taking new ones.

use std::time::{Duration, Instant};

use super::*;

/// An engine with a publisher that has sent a keyframe and a player that has got it.
fn pair(play: &str) -> (Host, Client, Client) {
    let host = Host::start(&format!("vhost __defaultVhost__ {{ {play} }}"));
    let mut q = host.play("a");
    let mut p = publisher(&host);
    p.send(&Media::key(0, 9));
    q.until(&Media::key(0, 9));
    (host, p, q)
}

/// Sends frames one by one, each handled before the next.
fn send(p: &mut Client, frames: &[Media]) {
    for frame in frames {
        p.send(frame);
        p.sync();
    }
}

#[test]
fn frames_are_gathered_for_mw_latency() {
    let (host, mut p, mut q) = pair("play { mw_latency 700; }");
    let frames = [Media::delta(40, 9), Media::delta(80, 9), Media::delta(120, 9)];
    let (before, began) = (sent(&host), Instant::now());
    send(&mut p, &frames);
    assert!(sent(&host) == before || began.elapsed() > Duration::from_millis(600));
    assert_eq!(q.medias(3), frames);
    assert!(began.elapsed() >= Duration::from_millis(690));
}

#[test]
fn frames_are_gathered_until_there_are_mw_msgs() {
    let (host, mut p, mut q) = pair("play { mw_msgs 3; }");
    let (before, began) = (sent(&host), Instant::now());
    send(&mut p, &[Media::delta(40, 9), Media::delta(80, 9)]);
    assert!(sent(&host) == before || began.elapsed() > Duration::from_millis(300));
    send(&mut p, &[Media::delta(120, 9)]);
    assert_eq!(q.medias(3).len(), 3);
    // And if there never are so many, for a while.
    p.send(&Media::delta(160, 9));
    let began = Instant::now();
    assert_eq!(q.media(), Some(Media::delta(160, 9)));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_min_latency_frames_are_gathered_as_srs_does() {
    let (host, mut p, mut q) = pair("min_latency off;");
    let (before, began) = (sent(&host), Instant::now());
    send(&mut p, &[Media::delta(40, 9)]);
    assert!(sent(&host) == before || began.elapsed() > Duration::from_millis(300));
    assert_eq!(q.media(), Some(Media::delta(40, 9)));
    assert!(began.elapsed() >= Duration::from_millis(340));
}

#[test]
fn frames_keep_their_distance() {
    let (host, mut p, mut q) = pair("play { send_min_interval 500; }");
    let began = Instant::now();
    let before = sent(&host);
    send(&mut p, &[Media::delta(40, 9)]);
    assert!(sent(&host) == before || began.elapsed() > Duration::from_millis(400));
    assert_eq!(q.media(), Some(Media::delta(40, 9)));
}

#[test]
fn chunks_have_the_size_that_is_set() {
    let mut sizes = Vec::new();
    for chunk_size in [128, 60_000] {
        let host = Host::start(&format!("chunk_size {chunk_size};"));
        let mut q = host.play("a");
        let mut p = publisher(&host);
        q.medias(2);
        let before = sent(&host);
        p.send(&Media::key(0, 50_000));
        assert_eq!(q.media(), Some(Media::key(0, 50_000)));
        sizes.push(sent(&host) - before - 50_000);
    }
    assert_eq!(sizes, [12 + 390, 12]);
}

#[test]
fn a_vhost_may_have_its_own_chunk_size() {
    let host = Host::start("chunk_size 60000; vhost a.com { chunk_size 500; }");
    let mut q = Client::connect_to(host.address(), "a.com", "live");
    q.play_as("a").unwrap();
    let mut p = Client::connect_to(host.address(), "a.com", "live");
    p.publish_as("a").unwrap();
    let before = sent(&host);
    p.send(&Media::key(0, 1000));
    assert_eq!(q.media(), Some(Media::key(0, 1000)));
    assert_eq!(sent(&host) - before, 1000 + 12 + 1);
}

#[test]
fn a_frame_larger_than_the_ring_harms_nobody() {
    let host = Host::start("vhost __defaultVhost__ { play { ring_bytes 65536; } }");
    let mut q = host.play("a");
    let mut p = publisher(&host);
    p.send_all(&[Media::key(0, 9), Media::delta(40, 100_000)]);
    p.send_all(&[Media::key(80, 9), Media::delta(120, 9)]);
    let got = q.until(&Media::delta(120, 9));
    assert!(got.contains(&Media::key(80, 9)));
    assert!(host.stats().media_bytes < 3 * 65536);
}

#[test]
fn connections_are_limited() {
    let host = Host::start("max_connections 2;");
    let _a = Client::connect(host.address(), "live");
    let b = Client::connect(host.address(), "live");
    let mut third = std::net::TcpStream::connect(host.address()).unwrap();
    assert_eq!(std::io::Read::read(&mut third, &mut [0; 10]).unwrap_or(0), 0);
    let stats = host.stats();
    assert_eq!((stats.connections, stats.accepted, stats.refused), (2, 2, 1));
    b.close();
    host.until("one has gone", |engine| engine.stats().connections == 1);
    Client::connect(host.address(), "live");
}

fn reload(host: &Host, config: &str) -> Result<Vec<std::net::SocketAddr>, String> {
    let config = config.to_owned();
    host.run(move |engine| {
        engine.config_mut().load_text("test", &config).map_err(|e| e.to_string())?;
        engine.apply().map_err(|e| e.to_string())?;
        Ok(engine.addresses())
    })
}

#[test]
fn a_reload_changes_ports_and_settings_and_disturbs_nobody() {
    let (host, mut p, mut q) = pair("");
    let port = super::support::free_port();
    let addresses = reload(
        &host,
        &format!(
            "listen 127.0.0.1:{port}; max_connections 3; vhost __defaultVhost__ {{ chunk_size 1000;
             publish {{ on_conflict replace; }} play {{ gop_cache off; }} }}"
        ),
    );
    assert_eq!(addresses.unwrap(), [std::net::SocketAddr::from(([127, 0, 0, 1], port))]);
    assert!(std::net::TcpStream::connect(host.address()).is_err(), "the old port is closed");
    p.send(&Media::delta(40, 9));
    assert_eq!(q.media(), Some(Media::delta(40, 9)));
    // The new settings hold for the stream that is there.
    let mut late = Client::play(([127, 0, 0, 1], port).into(), "live", "a");
    p.send_all(&[Media::delta(80, 9), Media::key(120, 9)]);
    assert_eq!(late.medias(3)[2], Media::key(120, 9));
    let mut fourth = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(std::io::Read::read(&mut fourth, &mut [0; 10]).unwrap_or(0), 0);
}

#[test]
fn a_bad_reload_changes_nothing() {
    let (host, mut p, mut q) = pair("");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for config in [
        "listen 127.0.0.1:0; chunk_size 0;".to_owned(),
        "listen 127.0.0.1:0 {".to_owned(),
        "nonsense 1;".to_owned(),
        format!("listen {} 127.0.0.1:0; max_connections 1;", taken.local_addr().unwrap()),
    ] {
        let error = reload(&host, &config).unwrap_err();
        assert!(!error.is_empty(), "{config}");
        assert_eq!(host.run(|engine| engine.addresses()), [host.address()]);
    }
    p.send(&Media::delta(40, 9));
    assert_eq!(q.media(), Some(Media::delta(40, 9)));
    Client::connect(host.address(), "live");
}

#[test]
fn a_reload_may_send_idle_publishers_away() {
    let host = Host::start("");
    let mut p = publisher(&host);
    let text = "listen 127.0.0.1:0; vhost __defaultVhost__ { publish { kickoff_for_idle 0.1; } }";
    reload(&host, text).unwrap();
    p.wait_closed();
    assert!(host.event(closed).contains("kickoff_for_idle"));
}
