//! HLS as the programs that people have play it, and as readers that look at everything find it.

mod support;

use support::TempDir;
use support::clients;
use support::encoder::{Clip, Encoder};
use support::hls::Follower;
use support::host::Host;
use support::repository;

const SECOND_US: i64 = 1_000_000;

/// An engine that serves HLS; its streams' times are the encoder's own.
fn host(hls: &str) -> Host {
    Host::start(&format!(
        "http_server {{ enabled on; listen 127.0.0.1:0; dir ./nowhere; }}
         vhost __defaultVhost__ {{ play {{ time_jitter off; }} hls {{ enabled on; hls_ctx off; {hls} }} }}"
    ))
}

/// Follows a stream over more than a hundred segments, with a republish, a change of parameters, a wrap of
/// the 33-bit clock and a gap in the sound.
#[track_caller]
fn follow(settings: &str) -> Follower {
    let dir = TempDir::new();
    let small = Clip::read(&repository("assets/clip.flv"), 10 * SECOND_US);
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"];
    let large = Clip::read(&clients::encode(clients::ffmpeg, &dir, &codecs), 2 * SECOND_US);
    let host = host(&format!("hls_fragment 2; hls_window 12; {settings}"));
    let mut follower = Follower::new(host.http(), "/live/test.m3u8");
    // The clock of 33 bits goes around after 95443.7 s.
    let mut now = 95_443 * SECOND_US - 60 * SECOND_US;
    let mut encoder = Encoder::publish(&host);
    encoder.write(small.headers());
    for step in 0..120 {
        if step == 40 {
            encoder.end();
            encoder = Encoder::publish(&host);
            encoder.write(small.headers());
        }
        let clip = if (60..80).contains(&step) { &large } else { &small };
        if step == 60 || step == 80 {
            encoder.write(clip.headers());
        }
        let from = (step * 2 * SECOND_US) % clip.length_us;
        let mut frames = clip.frames(from..from + 2 * SECOND_US, now);
        if (95..100).contains(&step) {
            frames.retain(|frame| frame.kind == camrill::media::Kind::Video);
        }
        encoder.write(frames);
        now += 2 * SECOND_US;
        if step > 0 {
            follower.look();
        }
    }
    encoder.end();
    follower.look();
    assert!(follower.known.len() >= 100, "{} segments", follower.known.len());
    let breaks: Vec<u64> = follower.known.values().filter(|s| s.discontinuity).map(|s| s.seq).collect();
    assert_eq!(breaks.len(), 3, "the republish and two changes: {breaks:?}");
    assert_eq!(follower.pictures, 120 * 50, "every picture is there");
    follower
}

#[test]
fn a_transport_stream_keeps_every_rule_over_a_hundred_segments() {
    assert_eq!(follow("").wraps, 1);
}

#[test]
fn fragments_keep_every_rule_over_a_hundred_segments() {
    let follower = follow("hls_use_fmp4 on;");
    assert_eq!(follower.maps.len(), 3, "{:?}", follower.maps);
}

#[test]
fn parts_keep_every_rule_over_a_hundred_segments() {
    follow("hls_low_latency on; hls_part 0.5;");
}
