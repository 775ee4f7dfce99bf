//! Who may publish, and what becomes of timestamps.

use camrill::amf::Value;

use super::*;

#[test]
fn a_second_publisher_is_refused() {
    let host = Host::start("");
    let mut first = publisher(&host);
    let mut q = host.play("a");
    let mut second = Client::connect(host.address(), "live");
    assert_eq!(second.publish_as("a").as_deref(), Some("NetStream.Publish.BadName"));
    second.wait_closed();
    first.send(&Media::key(0, 9));
    assert_eq!(q.until(&Media::key(0, 9)).len(), 3);
    // The name is free again when the first has gone.
    first.close();
    host.event(|event| matches!(event, Event::Unpublished(_)).then_some(()));
    host.publish("a");
}

#[test]
fn a_second_publisher_takes_over() {
    let host = Host::start("vhost __defaultVhost__ { publish { on_conflict replace; } }");
    let mut first = publisher(&host);
    let mut q = host.play("a");
    first.send(&Media::key(0, 9));
    q.until(&Media::key(0, 9));
    let mut second = host.publish("a");
    first.wait_closed();
    second.send(&Media::video_header(0, 2));
    second.send(&Media::key(5000, 9));
    let got = q.medias(2);
    assert_eq!(got[0].2, Media::video_header(0, 2).2);
    assert_eq!(got[1], Media::key(5000, 9).at(10));
    assert_eq!(host.event(closed), "replaced by another publisher");
    assert_eq!(host.stats().publishers, 1);
}

/// The timestamps that players get for those published, one keyframe each.
fn timestamps(play: &str, metadata: &[(&str, Value)], published: &[u32]) -> Vec<u32> {
    let host = Host::start(&format!("vhost __defaultVhost__ {{ play {{ {play} }} }}"));
    let mut q = host.play("a");
    let mut p = host.publish("a");
    if !metadata.is_empty() {
        p.send(&Media::metadata(metadata));
        q.media();
    }
    let mut got = Vec::new();
    for ts in published {
        p.send(&Media::key(*ts, 9));
        got.push(q.media().expect("the frame").1);
    }
    got
}

#[test]
fn timestamps_are_put_right_as_told() {
    let published = [5000, 5040, 5030, 90_000, 90_040, 10];
    assert_eq!(timestamps("time_jitter full;", &[], &published), [0, 40, 30, 50, 90, 100]);
    assert_eq!(timestamps("time_jitter zero;", &[], &published), [0, 40, 30, 85_000, 85_040, 0]);
    assert_eq!(timestamps("time_jitter off;", &[], &published), published);
    assert_eq!(timestamps("atc on;", &[], &published), published);
}

#[test]
fn metadata_may_turn_absolute_timestamps_on() {
    let atc = [("bravo_atc", Value::from("true"))];
    assert_eq!(timestamps("atc_auto on;", &atc, &[5000, 9000]), [5000, 9000]);
    assert_eq!(timestamps("atc_auto on;", &[], &[5000, 9000]), [0, 10]);
    assert_eq!(timestamps("atc_auto off;", &atc, &[5000, 9000]), [0, 10]);
}

#[test]
fn timestamps_wrap_without_a_step() {
    let near = u32::MAX - 19;
    assert_eq!(timestamps("", &[], &[near, near + 10, 10]), [0, 10, 30]);
    assert_eq!(timestamps("atc on;", &[], &[near, near + 10, 10]), [near, near + 10, 10]);
}

#[test]
fn audio_and_video_are_ordered_by_time() {
    let host = Host::start("vhost __defaultVhost__ { play { mix_correct on; } }");
    let mut q = host.play("a");
    let mut p = publisher(&host);
    let mut expected = Vec::new();
    for i in 0..20 {
        let video = if i == 0 { Media::key(100, 9) } else { Media::delta(100 + i * 40, 9) };
        let audio = Media::audio(100 + i * 40 - 10);
        p.send_all(&[video.clone(), audio.clone()]);
        expected.extend([audio, video]);
    }
    p.close();
    let got = q.medias(2 + 40);
    assert_eq!(got[2..], expected, "the last ones come when the publisher goes");
}

#[test]
fn an_unchanged_header_is_left_out_where_told() {
    for (reduce, expected) in [("on", 1), ("off", 3)] {
        let host =
            Host::start(&format!("vhost __defaultVhost__ {{ play {{ reduce_sequence_header {reduce}; }} }}"));
        let mut q = host.play("a");
        let mut p = host.publish("a");
        for _ in 0..3 {
            p.send(&Media::video_header(0, 1));
        }
        p.send(&Media::key(0, 9));
        p.send(&Media::video_header(40, 2));
        let got = q.until(&Media::video_header(0, 2));
        let before = got.iter().filter(|media| **media == Media::video_header(0, 1)).count();
        assert_eq!(before, expected);
    }
}

#[test]
fn a_publisher_that_sends_nothing_is_sent_away() {
    let host =
        Host::start("vhost __defaultVhost__ { publish { firstpkt_timeout 150; normal_timeout 300; } }");
    let mut p = host.publish("a");
    p.wait_closed();
    let why = host.event(closed);
    assert!(why.contains("firstpkt_timeout") && why.contains("150 ms"), "{why}");
    let mut p = host.publish("a");
    p.send(&Media::key(0, 9));
    p.wait_closed();
    let why = host.event(closed);
    assert!(why.contains("normal_timeout") && why.contains("300 ms"), "{why}");
    assert_eq!((host.stats().connections, host.stats().publishers), (0, 0));
}

#[test]
fn a_publisher_that_nobody_plays_is_sent_away() {
    let host = Host::start("vhost __defaultVhost__ { publish { kickoff_for_idle 0.2; } }");
    let mut p = publisher(&host);
    p.wait_closed();
    assert!(host.event(closed).contains("kickoff_for_idle"));

    let q = host.play("a");
    let mut p = publisher(&host);
    // While somebody plays it may stay; the time counts from when the last one has gone.
    host.run(|engine| engine.timeout());
    let began = std::time::Instant::now();
    q.close();
    p.wait_closed();
    assert!(began.elapsed() >= std::time::Duration::from_millis(190));
}

#[test]
fn two_streams_on_one_connection() {
    let host = Host::start("");
    let mut p = Client::connect(host.address(), "live");
    assert_eq!(p.publish_as("a").as_deref(), Some("NetStream.Publish.Start"));
    assert_eq!(p.publish_as("b").as_deref(), Some("NetStream.Publish.Start"));
    let (mut a, mut b) = (host.play("a"), host.play("b"));
    p.message(6, 0, 9, 1, &Media::key(0, 9).2);
    p.message(7, 0, 9, 2, &Media::key(1, 9).2);
    assert_eq!(a.media(), Some(Media::key(0, 9)));
    assert_eq!(b.media(), Some(Media::key(1, 9).at(0)));
    p.command(0, "deleteStream", &[Value::Null, 1.0.into()]);
    p.message(7, 40, 9, 2, &Media::delta(40, 9).2);
    assert_eq!(b.media(), Some(Media::delta(40, 9)));
    assert_eq!(host.stats().publishers, 1);
    p.close();
    host.until("both are free", |engine| engine.stats().publishers == 0);
}

#[test]
fn a_publish_may_begin_again_on_its_connection() {
    let host = Host::start("");
    let mut q = host.play("a");
    let mut p = host.publish("a");
    for round in 0..3u8 {
        p.send(&Media::video_header(0, round));
        p.send(&Media::key(0, 9));
        assert_eq!(q.medias(2)[0].2, Media::video_header(0, round).2);
        p.command(0, "FCUnpublish", &[Value::Null, "a".into()]);
        assert_eq!(p.status().as_deref(), Some("NetStream.Unpublish.Success"));
        p.command(1, "publish", &[Value::Null, "a".into()]);
        assert_eq!(p.status().as_deref(), Some("NetStream.Publish.Start"));
    }
    let mut late = host.play("a");
    p.send(&Media::video_header(0, 7));
    assert_eq!(late.media().expect("a header").2, Media::video_header(0, 7).2, "nothing of before is left");
}

#[test]
fn what_has_been_published_leaves_with_its_publisher() {
    let host = Host::start("");
    let mut q = host.play("a");
    let mut p = publisher(&host);
    p.send_all(&gop(0, 9, 10_000));
    q.until(&Media::delta(360, 10_000));
    assert!(host.stats().media_bytes > 100_000);
    p.close();
    host.until("the frames are let go", |engine| engine.stats().media_bytes == 0);
    assert_eq!(host.stats().players, 1);
}
