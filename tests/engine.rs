//! The engine in a process of its own host: what is published is what is played, and every setting does
//! what it says. Real sockets, exact frames.

mod support;

#[path = "engine/host.rs"]
mod host;
#[path = "engine/local.rs"]
mod local;
#[path = "engine/play.rs"]
mod play;
#[path = "engine/publish.rs"]
mod publish;
#[path = "engine/settings.rs"]
mod settings;

use camrill::engine::{ClientInfo, Doing, Engine, Event};
use support::host::Host;
use support::rtmp_client::{Client, Media};

/// Sequence headers and one keyframe with `deltas` frames after it, 40 ms apart, from `start` on.
fn gop(start: u32, deltas: u32, size: usize) -> Vec<Media> {
    let mut all = vec![Media::key(start, size)];
    all.extend((1..=deltas).map(|i| Media::delta(start + i * 40, size)));
    all
}

fn headers(ts: u32) -> [Media; 2] {
    [Media::video_header(ts, 1), Media::audio_header(ts)]
}

/// A publisher of `live/a` that has sent its headers.
fn publisher(host: &Host) -> Client {
    let mut client = host.publish("a");
    client.send_all(&headers(0));
    client.sync();
    client
}

fn playing(engine: &Engine) -> ClientInfo {
    let client = engine.clients().into_iter().find(|client| client.doing == Doing::Playing);
    client.expect("a client that plays")
}

/// The bytes that the one player has been sent.
fn sent(host: &Host) -> u64 {
    host.run(|engine| playing(engine).sent)
}

fn closed(event: Event) -> Option<String> {
    match event {
        Event::Closed(_, why) => Some(why),
        _ => None,
    }
}
