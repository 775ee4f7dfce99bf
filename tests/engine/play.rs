//! What players get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use camrill::amf::Value;
use camrill::rtmp::message::type_id;
use socket2::{Domain, Socket, Type};

use super::support::rtmp_client::metadata;
use super::*;

#[test]
fn a_player_gets_what_is_published() {
    let host = Host::start("");
    let mut p = host.publish("a");
    let entries: [(&str, Value); 2] = [("width", 640.0.into()), ("custom", "x".into())];
    p.send(&Media::metadata(&entries));
    p.send_all(&headers(0));
    p.send_all(&[Media::key(0, 5000), Media::audio(10), Media::delta(40, 70_000)]);
    p.sync();

    let mut q = host.play("a");
    let [video, audio] = headers(0);
    let metadata = Media(18, 0, metadata(&entries));
    let first = [metadata, video, audio, Media::key(0, 5000), Media::audio(10), Media::delta(40, 70_000)];
    assert_eq!(q.medias(6), first);
    let live = [Media::audio(50), Media::delta(80, 10), Media::key(120, 3), Media::audio(121)];
    for frame in &live {
        p.send(frame);
        assert_eq!(q.media().as_ref(), Some(frame));
    }
    p.close();
    q.close();
    host.until("all is given back", |engine| engine.stats().media_bytes == 0 && engine.streams().is_empty());
}

#[test]
fn a_player_who_joins_starts_at_the_newest_keyframe() {
    let host = Host::start("");
    let mut p = publisher(&host);
    p.send_all(&gop(0, 3, 100));
    let newest = gop(160, 2, 100);
    p.send_all(&newest);
    p.sync();
    let mut q = host.play("a");
    assert_eq!(q.medias(2), headers(160));
    assert_eq!(q.medias(3), newest);
}

#[test]
fn without_the_gop_cache_a_player_waits_for_a_keyframe() {
    let host = Host::start("vhost __defaultVhost__ { play { gop_cache off; } }");
    let mut p = publisher(&host);
    p.send_all(&gop(0, 3, 100));
    p.sync();
    assert_eq!(host.stats().media_bytes, 0, "nobody needs what is past");
    let mut q = host.play("a");
    let next = gop(200, 2, 100);
    p.send_all(&[Media::delta(160, 100), Media::audio(170)]);
    p.send_all(&next);
    assert_eq!(q.medias(2), headers(200));
    assert_eq!(q.medias(3), next);
}

/// Codecs that nobody here understands: legacy HEVC (id 12), and Enhanced RTMP's hvc1, av01 and vp09. They are
/// relayed byte for byte, from a keyframe on, behind their sequence headers.
#[test]
fn other_codecs_are_relayed_untouched_from_their_keyframes() {
    let enhanced =
        |fourcc: &[u8; 4], kind: u8, packet: u8| [&[0x80 | kind << 4 | packet], &fourcc[..]].concat();
    let mut forms = vec![(vec![0x1c, 0, 0, 0, 0], vec![0x1c, 1, 0, 0, 40], vec![0x2c, 1, 0, 0, 40])];
    for fourcc in [b"hvc1", b"av01", b"vp09"] {
        let coded = |kind| {
            [enhanced(fourcc, kind, 1), if fourcc == b"hvc1" { vec![0, 0, 40] } else { vec![] }].concat()
        };
        forms.push((enhanced(fourcc, 1, 0), coded(1), coded(2)));
    }
    for (header, key, delta) in forms {
        let host = Host::start("");
        let mut p = host.publish("a");
        let video = |head: &[u8], ts: u32| {
            Media(type_id::VIDEO, ts, Bytes::from([head, &[ts as u8, 1, 2, 3, 4, 5]].concat()))
        };
        let sent = [video(&key, 0), video(&delta, 40), video(&key, 80), video(&delta, 120)];
        p.send(&video(&header, 0));
        p.send_all(&sent);
        p.sync();
        let mut q = host.play("a");
        let got = q.medias(3);
        assert_eq!(got[0].2, video(&header, 0).2, "the header comes first");
        assert_eq!(got[1..], sent[2..], "then the newest keyframe and what follows it");
    }
}

#[test]
fn a_long_gop_is_not_kept_and_zero_means_any_length() {
    for (limit, kept) in [(3, false), (0, true)] {
        let host =
            Host::start(&format!("vhost __defaultVhost__ {{ play {{ gop_cache_max_frames {limit}; }} }}"));
        let mut p = publisher(&host);
        let all = gop(0, 5, 100);
        p.send_all(&all);
        p.sync();
        let mut q = host.play("a");
        if kept {
            assert_eq!(q.medias(2), headers(0));
            assert_eq!(q.medias(6), all);
        } else {
            p.send(&Media::delta(240, 5));
            p.send(&Media::key(280, 5));
            assert_eq!(q.medias(3)[2], Media::key(280, 5));
        }
    }
}

#[test]
fn a_player_waits_for_its_publisher_and_stays_when_it_goes() {
    let host = Host::start("");
    let mut q = host.play("a");
    let mut last = 0;
    for round in 0..3 {
        let mut p = host.publish("a");
        p.send(&Media::video_header(0, round));
        p.send_all(&gop(0, 2, 100));
        let got = q.medias(4);
        assert_eq!(got[0].2, Media::video_header(0, round).2);
        for (got, sent) in got[1..].iter().zip(gop(0, 2, 100)) {
            assert_eq!(got.2, sent.2);
            assert!(round == 0 || got.1 > last, "round {round}: {} after {last}", got.1);
            last = got.1;
        }
        p.close();
        host.event(|event| matches!(event, Event::Unpublished(_)).then_some(()));
    }
    assert_eq!(last, 80 + 2 * 90, "a new publisher's start counts as 10 ms");
}

#[test]
fn streams_are_kept_apart() {
    let host = Host::start("vhost a.com { } vhost b.com { } vhost __defaultVhost__ { }");
    let mut all = Vec::new();
    for (i, (vhost, app, stream)) in [
        ("a.com", "live", "x"),
        ("b.com", "live", "x"),
        ("a.com", "other", "x"),
        ("a.com", "live", "y"),
        ("a.com", "live/deep", "x"),
        ("unknown.com", "live", "x"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut p = Client::connect_to(host.address(), vhost, app);
        assert_eq!(p.publish_as(stream).as_deref(), Some("NetStream.Publish.Start"));
        let mut q = Client::connect_to(host.address(), vhost, app);
        assert_eq!(q.play_as(stream).as_deref(), Some("NetStream.Play.Start"));
        all.push((p, q, Media::key(i as u32, 100 + i)));
    }
    for (p, _, key) in &mut all {
        p.send(key);
    }
    for (_, q, key) in &mut all {
        assert_eq!(q.media().as_ref(), Some(&*key));
    }
    let stats = host.stats();
    assert_eq!((stats.streams, stats.publishers, stats.players), (6, 6, 6));
    let names: Vec<_> = host.run(|engine| engine.streams().into_iter().map(|s| s.name.to_string()).collect());
    assert!(names.contains(&"__defaultVhost__/live/x".to_owned()), "{names:?}");
    assert!(names.contains(&"a.com/live/deep/x".to_owned()), "{names:?}");
}

#[test]
fn a_vhost_may_stand_in_the_parameters() {
    let host = Host::start("vhost a.com { }");
    let mut p = Client::connect_to(host.address(), "127.0.0.1", "live?vhost=a.com");
    assert_eq!(p.publish_as("x").as_deref(), Some("NetStream.Publish.Start"));
    let mut q = Client::connect_to(host.address(), "a.com", "live");
    assert_eq!(q.play_as("x?vhost=a.com&token=1").as_deref(), Some("NetStream.Play.Start"));
    p.send(&Media::key(0, 9));
    assert_eq!(q.media(), Some(Media::key(0, 9)));
    let param = host.event(|event| match event {
        Event::Play(subject) => Some((subject.param, subject.name.vhost)),
        _ => None,
    });
    assert_eq!(param, ("vhost=a.com&token=1".to_owned(), "a.com".to_owned()));
}

#[test]
fn a_vhost_that_is_not_served_is_refused() {
    let host = Host::start("vhost off.com { enabled off; } vhost a.com { }");
    for vhost in ["off.com", "unknown.com"] {
        let mut c = Client::open(host.address());
        let info = c.connect_command(vhost, "live").expect("an answer");
        assert_eq!(super::support::rtmp_client::code(&info), "NetConnection.Connect.Rejected");
        c.wait_closed();
    }
    let mut c = Client::connect_to(host.address(), "a.com", "live");
    assert_eq!(c.play_as("x?vhost=off.com").as_deref(), Some("NetStream.Play.Failed"));
    c.wait_closed();
}

#[test]
fn a_player_pauses_and_goes_on_live() {
    let host = Host::start("");
    let mut p = publisher(&host);
    let mut q = host.play("a");
    p.send_all(&gop(0, 1, 50));
    assert_eq!(q.medias(4)[3], Media::delta(40, 50));
    q.command(1, "pause", &[Value::Null, true.into(), 0.0.into()]);
    assert_eq!(q.status().as_deref(), Some("NetStream.Pause.Notify"));
    p.send_all(&[Media::delta(80, 50), Media::audio(90)]);
    p.send_all(&gop(120, 1, 50));
    p.sync();
    q.command(1, "pause", &[Value::Null, false.into(), 0.0.into()]);
    assert_eq!(q.status().as_deref(), Some("NetStream.Unpause.Notify"));
    assert_eq!(q.medias(2), headers(120));
    assert_eq!(q.medias(2), gop(120, 1, 50));
    p.send(&Media::delta(200, 7));
    assert_eq!(q.media(), Some(Media::delta(200, 7)));
}

#[test]
fn a_player_may_leave_out_a_kind() {
    let host = Host::start("");
    let mut p = publisher(&host);
    let mut q = host.play("a");
    p.send_all(&[Media::key(0, 9), Media::audio(5)]);
    q.medias(4);
    q.command(1, "receiveVideo", &[Value::Null, false.into()]);
    q.sync();
    p.send_all(&[Media::delta(40, 9), Media::audio(45)]);
    assert_eq!(q.media(), Some(Media::audio(45)));
    q.command(1, "receiveAudio", &[Value::Null, false.into()]);
    q.command(1, "receiveVideo", &[Value::Null, true.into()]);
    q.sync();
    // Video begins again at its newest keyframe, with the headers.
    assert_eq!(q.medias(4), [&headers(0)[..], &[Media::key(0, 9), Media::delta(40, 9)]].concat());
    p.send_all(&[Media::audio(75), Media::delta(80, 9)]);
    assert_eq!(q.media(), Some(Media::delta(80, 9)));
}

#[test]
fn a_player_may_play_again_on_its_connection() {
    let host = Host::start("");
    let mut p = publisher(&host);
    p.send(&Media::key(0, 9));
    p.sync();
    let mut q = host.play("a");
    assert_eq!(q.medias(3)[2], Media::key(0, 9));
    q.command(0, "deleteStream", &[Value::Null, 1.0.into()]);
    host.event(|event| matches!(event, Event::Stop(_)).then_some(()));
    assert_eq!(q.play_as("a").as_deref(), Some("NetStream.Play.Start"));
    assert_eq!(q.medias(3)[2], Media::key(0, 9));
}

#[test]
fn players_share_wire_images() {
    let host = Host::start("");
    let mut p = publisher(&host);
    p.send_all(&gop(0, 4, 10_000));
    p.sync();
    let alone = host.stats().media_bytes;
    let last = Media::delta(160, 10_000);
    let mut players = vec![host.play("a")];
    players[0].until(&last);
    let one = host.stats().media_bytes;
    for _ in 0..10 {
        let mut q = host.play("a");
        q.until(&last);
        players.push(q);
    }
    let many = host.stats().media_bytes;
    assert_eq!(one, many);
    assert!(one < alone * 21 / 10, "{alone} and {one}");
}

#[test]
fn players_with_odd_message_streams_cost_no_more_memory() {
    let host = Host::start("");
    let mut p = publisher(&host);
    p.send_all(&gop(0, 4, 10_000));
    p.sync();
    let alone = host.stats().media_bytes;
    let mut players = Vec::new();
    for id in 0..30 {
        let mut q = Client::connect(host.address(), "live");
        q.command(100 + id, "play", &[Value::Null, "a".into()]);
        q.until(&Media::delta(160, 10_000));
        players.push(q);
    }
    let many = host.stats().media_bytes;
    assert!(many <= alone * 6, "{alone} without players, {many} with 30");
    let mut q = host.play("a");
    q.until(&Media::delta(160, 10_000));
    for (i, q) in players.iter_mut().enumerate() {
        p.send(&Media::delta(200 + i as u32, 50));
        assert_eq!(q.media().expect("more").1, 200);
    }
}

#[test]
fn a_slow_player_loses_whole_gops_and_memory_stays_bounded() {
    const RING: u64 = 1024 * 1024;
    const SIZE: usize = 20_000;
    const GOPS: u32 = 150;
    let host =
        Host::start(&format!("vhost __defaultVhost__ {{ play {{ queue_length 2; ring_bytes {RING}; }} }}"));
    let most = Arc::new(AtomicU64::new(0));
    let seen = most.clone();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let mut p = publisher(&host);
    p.set_chunk_size(60_000);

    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&host.address().into()).unwrap();
    let mut slow = Client::handshake(socket.into());
    slow.connect_command("127.0.0.1", "live").unwrap();
    slow.play_as("a").unwrap();
    let mut good = host.play("a");

    let watched = host.watch(move |engine| {
        seen.fetch_max(engine.stats().media_bytes, Ordering::Relaxed);
        is_done.try_recv().is_ok()
    });
    for i in 0..GOPS {
        p.send_all(&gop(i * 400, 9, SIZE));
        let skipped = if i == 0 { 2 } else { 0 };
        assert_eq!(good.medias(10 + skipped)[skipped..], gop(i * 400, 9, SIZE), "who reads misses nothing");
    }
    done.send(()).unwrap();
    host.stats();
    watched.recv().unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!(most > 0 && most <= 3 * RING, "{most} bytes were held");

    let got = slow.until(&Media::delta((GOPS - 1) * 400 + 360, SIZE));
    assert!(got.len() < GOPS as usize * 10, "it was too slow for all of them");
    assert_decodable(&got);
    let skips = host.run(|engine| engine.clients().iter().map(|client| client.skips).max());
    assert!(skips > Some(0));
}

/// Frames come in order; where some are left out, a sequence header and a keyframe follow.
fn assert_decodable(all: &[Media]) {
    let video: Vec<_> = all.iter().filter(|media| media.is_video()).collect();
    let mut jumps = 0;
    for pair in video.windows(2) {
        let (before, media) = (pair[0], pair[1]);
        if media.is_video_header() {
            jumps += 1;
        } else if media.is_key() {
            assert!(before.is_video_header() || media.1 == before.1 + 40, "{before:?} then {media:?}");
        } else {
            assert_eq!(media.1, before.1 + 40, "{before:?} then {media:?}");
        }
    }
    assert!(jumps > 0);
}
