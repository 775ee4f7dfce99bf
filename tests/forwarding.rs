//! Streams that are sent on to servers which are slow, dead, refuse, ask who comes or send elsewhere.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use camrill::amf::Value;
use camrill::engine::{Engine, Event, RelayInfo, RelayState, RetryPolicy};
use support::host::Host;
use support::relays::{forward_by, policy, relay, until};
use support::rtmp_client::{Client, Media};
use support::rtmp_server::{Server, status};

const MS: Duration = Duration::from_millis(1);

/// An engine that leaves timestamps alone.
fn engine(play: &str) -> Host {
    Host::start(&format!("vhost __defaultVhost__ {{ play {{ time_jitter off; {play} }} }}"))
}

fn forward(from: &Host, url: String) -> u32 {
    forward_by(from, "s", url, policy())
}

fn info(engine: &Engine, id: u32) -> Option<RelayInfo> {
    engine.relays().into_iter().find(|relay| relay.id == id)
}

/// Headers, a keyframe, and frames behind it, from `ts` on.
fn gop(ts: u32, frames: u32, size: usize) -> Vec<Media> {
    let first = [Media::video_header(ts, 1), Media::key(ts, size)];
    first.into_iter().chain((1..frames).map(|i| Media::delta(ts + i * 40, size))).collect()
}

/// Publishes, and has all of it taken in.
#[track_caller]
fn publish(host: &Host, media: &[Media]) -> Client {
    let mut publisher = host.publish("s");
    send(&mut publisher, media);
    publisher
}

#[track_caller]
fn send(publisher: &mut Client, media: &[Media]) {
    publisher.send_all(media);
    publisher.sync();
}

#[test]
fn what_is_left_is_sent_before_the_end_is_told() {
    let (host, server) = (engine(""), Server::start());
    let id = forward(&host, server.url("t?token=x"));
    let all = gop(0, 40, 3000);
    let publisher = publish(&host, &all);
    let (mut peer, name) = server.publish();
    assert_eq!(name, "t?token=x");
    assert_eq!(peer.medias(all.len()), all);
    let mut publisher = publisher;
    let last = Media::key(2000, 50_000);
    publisher.send(&last);
    publisher.close();
    assert_eq!(peer.media(), Some(last));
    assert_eq!(peer.wait_command("FCUnpublish")[3].as_str(), Some("t?token=x"));
    assert_eq!(peer.wait_command("deleteStream")[3], Value::Number(1.0));
    peer.wait_closed();
    drop(peer);
    until(&host, RelayState::Idle);
    host.until("the connection is gone", |engine| engine.stats().connections == 0);
    let (relay, stats) = (relay(&host, id), host.stats());
    // All that was sent but to the publisher, who got its answers.
    assert!(relay.bytes > 170_000 && relay.bytes < stats.sent, "{relay:?} {stats:?}");
    assert_eq!((relay.skips, relay.starts, relay.failures), (0, 1, 0));
}

#[test]
fn a_publisher_who_comes_back_at_once_is_not_held_up() {
    let (host, server) = (engine(""), Server::start());
    let slow = RetryPolicy { first: Duration::from_secs(20), longest: Duration::from_secs(20), ..policy() };
    let id = forward_by(&host, "s", server.url("t"), slow);
    let publisher = publish(&host, &gop(0, 3, 100));
    let (mut peer, _) = server.publish();
    until(&host, RelayState::Running);
    publisher.close();
    peer.wait_closed();
    let again = gop(0, 3, 200);
    let _publisher = publish(&host, &again);
    // It thinks for a while that the old publish is there.
    for _ in 0..2 {
        let (mut peer, _) = server.asked_to_publish();
        peer.status_to(1, "error", "NetStream.Publish.BadName", "busy");
        peer.wait_closed();
        let news = until(&host, RelayState::Waiting);
        assert_eq!(news.reason, "the server refuses publish: NetStream.Publish.BadName (busy)");
        assert_eq!(news.next, 200 * MS);
    }
    let (mut peer, _) = server.publish();
    assert_eq!(peer.medias(again.len()), again);
    assert_eq!((relay(&host, id).failures, relay(&host, id).starts), (0, 2));
}

#[test]
fn nothing_of_the_next_publish_goes_over_the_old_connection() {
    let (host, server) = (engine(""), Server::narrow());
    forward(&host, server.url("t"));
    // More than the sockets hold, so that some is left when it ends.
    let first = gop(0, 100, 60_000);
    let publisher = publish(&host, &first);
    let (mut old, _) = server.publish();
    until(&host, RelayState::Running);
    publisher.close();
    let second = gop(0, 5, 777);
    let _publisher = publish(&host, &second);
    let (mut new, _) = server.publish();
    assert_eq!(new.medias(second.len()), second);
    let came: Vec<_> = std::iter::from_fn(|| old.media()).collect();
    assert_eq!(came, first[..came.len()]);
    assert_eq!(came.len(), first.len());
}

/// What a closed socket is told makes its system forget what has not left yet.
#[test]
fn what_is_on_its_way_arrives_though_the_server_says_something() {
    let (host, server) = (engine(""), Server::narrow());
    let id = forward(&host, server.url("t"));
    let all = gop(0, 100, 5_000);
    let publisher = publish(&host, &all);
    let (mut peer, _) = server.publish();
    until(&host, RelayState::Running);
    publisher.close();
    until(&host, RelayState::Idle);
    host.until("its socket has all of it", move |engine| info(engine, id).is_some_and(|r| r.bytes > 500_000));
    peer.status_to(1, "status", "NetStream.Publish.Idle", "nothing comes");
    let came: Vec<_> = std::iter::from_fn(|| peer.media()).collect();
    assert_eq!(came.len(), all.len());
    drop(peer);
    host.until("the connection is gone", |engine| engine.stats().connections == 0);
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let (host, server) = (engine(""), Server::start());
    let id = forward(&host, server.url("t"));
    let _publisher = publish(&host, &gop(0, 2, 100));
    let (mut peer, _) = server.asked_to_publish();
    peer.status_to(1, "error", "NetStream.Publish.Denied", "no licence");
    let expected = "the server refuses publish: NetStream.Publish.Denied (no licence)";
    assert_eq!(until(&host, RelayState::Waiting).reason, expected);
    let found = relay(&host, id);
    assert_eq!((found.reason.as_str(), found.failures), (expected, 1));
    // And what it says in the end.
    let (mut peer, _) = server.publish();
    until(&host, RelayState::Running);
    peer.status_to(1, "status", "NetStream.Unpublish.Success", "kicked");
    assert_eq!(until(&host, RelayState::Waiting).reason, "the server has ended the stream");
}

#[test]
fn servers_that_say_nothing_are_given_up_in_time() {
    let (host, server) = (engine(""), Server::start());
    let impatient = RetryPolicy { connect: 100 * MS, tries: 2, ..policy() };
    forward_by(&host, "s", server.url("t"), impatient);
    let _publisher = publish(&host, &gop(0, 2, 100));
    let mute = server.socket();
    assert_eq!(until(&host, RelayState::Waiting).reason, "timeout: no whole handshake within 100 ms");
    let (connected, _) = server.connect();
    assert_eq!(until(&host, RelayState::Ended).reason, "timeout: no answer to connect within 100 ms");
    drop((mute, connected));
    // It begins anew with the next publish.
    drop(_publisher);
    until(&host, RelayState::Idle);
    let _publisher = publish(&host, &gop(0, 2, 100));
    server.publish();
}

#[test]
fn after_a_cut_it_goes_on_with_the_first_try_that_succeeds() {
    let (host, server) = (engine(""), Server::start());
    let address = server.address();
    let id = forward(&host, server.url("t"));
    let all = gop(0, 20, 500);
    let mut publisher = publish(&host, &all);
    let (mut peer, _) = server.publish();
    assert_eq!(peer.medias(5), all[..5]);
    drop((peer, server));
    let mut failed = Vec::new();
    while failed.len() < 3 {
        failed.push(until(&host, RelayState::Waiting));
    }
    // Doubled up to the longest, and differing by a quarter.
    for (news, ms) in failed.iter().zip([20, 40, 50]) {
        assert!((ms * MS * 3 / 4..=ms * MS * 5 / 4).contains(&news.next), "{news:?}");
    }
    let server = Server::again_at(address);
    let back = Instant::now();
    let (mut peer, _) = server.publish();
    assert!(back.elapsed() < Duration::from_secs(1), "the longest wait is 50 ms");
    until(&host, RelayState::Running);
    let next = gop(1000, 3, 400);
    send(&mut publisher, &next);
    let expected: Vec<_> = all.iter().chain(&next).cloned().collect();
    assert_eq!(peer.medias(expected.len()), expected);
    assert_eq!(relay(&host, id).starts, 2);
}

#[test]
fn a_slow_server_gets_whole_gops_and_the_host_is_told() {
    let host = engine("queue_length 1;");
    let server = Server::narrow();
    let id = forward(&host, server.url("t"));
    let mut publisher = publish(&host, &gop(0, 25, 40_000));
    let (mut peer, _) = server.publish();
    until(&host, RelayState::Running);
    let mut sent = gop(0, 25, 40_000);
    // Nothing is read until the sockets are full and the ring has gone on by far more than its second.
    for n in 1..20 {
        let next = gop(n * 1000, 25, 40_000);
        send(&mut publisher, &next);
        sent.extend(next);
    }
    let end = Media::key(30_000, 100);
    // It reads a little, which is all that can't be left out any more, and then the rest.
    let first = peer.medias(3);
    assert_eq!(first, sent[..3]);
    send(&mut publisher, &[Media::video_header(30_000, 1), end.clone()]);
    let rest = peer.until(&end);
    let came: Vec<_> = first.into_iter().chain(rest).collect();
    assert!(came.len() < sent.len(), "some was left out");
    for (before, next) in came.iter().zip(&came[1..]) {
        let follows = next.1 <= before.1 + 40 || next.is_video_header();
        assert!(follows && next.1 >= before.1, "{next:?} behind {before:?}");
    }
    let news = until(&host, RelayState::Running);
    assert_eq!(news.reason, "the server is too slow: frames up to a keyframe were left out, 1 times so far");
    assert!(relay(&host, id).skips >= 1);
    let more = host.events().into_iter().filter(|event| matches!(event, Event::Relay(_))).count();
    assert_eq!(more, 0, "once in ten seconds");
}

#[test]
fn a_server_that_takes_nothing_is_left_and_tried_again_and_holds_no_memory() {
    let host = engine("ring_bytes 1000000;");
    let server = Server::narrow();
    let impatient = RetryPolicy { stall: 300 * MS, ..policy() };
    forward_by(&host, "s", server.url("t"), impatient);
    let mut publisher = publish(&host, &gop(0, 10, 40_000));
    let (stalled, _) = server.publish();
    until(&host, RelayState::Running);
    let left = host.watch(|engine| {
        engine.relays().iter().any(|relay| relay.reason == "the peer has taken nothing for 300 ms")
    });
    let mut most = 0;
    for n in 1.. {
        send(&mut publisher, &gop(n * 400, 10, 40_000));
        most = most.max(host.stats().media_bytes);
        if left.try_recv().is_ok() {
            break;
        }
    }
    assert!(most <= 2_000_000, "{most} bytes of ring and images");
    let (mut peer, _) = server.publish();
    assert!(peer.media().is_some_and(|media| media.is_video_header()));
    assert!(peer.media().is_some_and(|media| media.is_key()));
    drop(stalled);
}

#[test]
fn a_dead_and_a_stalled_server_do_not_hold_up_the_third() {
    let host = engine("");
    let (stalled, well) = (Server::narrow(), Server::start());
    let dead = support::free_port();
    forward(&host, format!("rtmp://127.0.0.1:{dead}/live/t"));
    forward(&host, stalled.url("t"));
    forward(&host, well.url("t"));
    let mut publisher = publish(&host, &gop(0, 2, 30_000));
    let (_stalled, _) = stalled.publish();
    let (mut peer, _) = well.publish();
    let mut player = host.play("s");
    let until_both = |peer: &mut Client, player: &mut Client, media: &Media| {
        let start = Instant::now();
        player.until(media);
        let played = start.elapsed();
        peer.until(media);
        (played, start.elapsed())
    };
    until_both(&mut peer, &mut player, &Media::delta(40, 30_000));
    let mut late = Duration::ZERO;
    for n in 1..200 {
        let media = Media::delta(40 + n * 40, 30_000);
        publisher.send(&media);
        let (played, forwarded) = until_both(&mut peer, &mut player, &media);
        late = late.max(forwarded.saturating_sub(played));
    }
    // Far below any wait or timeout that there is.
    assert!(late < 200 * MS, "{late:?} behind the player");
}

#[test]
fn forwards_of_a_stream_share_its_images() {
    let host = engine("");
    let servers: [Server; 6] = std::array::from_fn(|_| Server::start());
    for server in &servers {
        forward(&host, server.url("t"));
    }
    let all = gop(0, 10, 10_000);
    let _publisher = publish(&host, &all);
    let mut peers = servers.each_ref().map(|server| server.publish().0);
    for peer in &mut peers {
        assert_eq!(peer.medias(all.len()), all);
    }
    // Frames once, and their images once, whoever gets them.
    let held = host.stats().media_bytes;
    assert!(held < 2 * 10 * 10_100, "{held} bytes");
}

const ASKS: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
const CHALLENGES: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=X8dPCs&challenge=mKMrAA==&opaque=8ad1/w==";

/// Goes through the three connections, and answers the last of them.
fn authenticated(server: &Server) -> Client {
    let refuse = |why: &str, expected: &str| {
        let (mut peer, info) = server.connect();
        assert_eq!(info.property("app").and_then(Value::as_str), Some(expected));
        peer.error(1.0, status("error", "NetConnection.Connect.Rejected", why));
        peer.wait_closed();
    };
    refuse(ASKS, "live");
    refuse(CHALLENGES, "live?authmod=adobe&user=me");
    let (mut peer, info) = server.connect();
    let app = info.property("app").and_then(Value::as_str).unwrap_or_default();
    assert!(app.starts_with("live?authmod=adobe&user=me&challenge=") && app.contains("&response="), "{app}");
    peer.result(1.0, status("status", "NetConnection.Connect.Success", "welcome"));
    let create = peer.wait_command("createStream");
    peer.result(create[1].as_f64().expect("a number"), Value::Number(1.0));
    peer.wait_command("publish");
    peer.status_to(1, "status", "NetStream.Publish.Start", "go on");
    peer
}

#[test]
fn a_server_that_asks_who_comes_is_told_at_each_connection() {
    let (host, server) = (engine(""), Server::start());
    let SocketAddr::V4(address) = server.address() else { panic!("an address of IPv4") };
    let id = forward(&host, format!("rtmp://me:secret@{address}/live/t"));
    let all = gop(0, 3, 100);
    let _publisher = publish(&host, &all);
    for _ in 0..2 {
        let mut peer = authenticated(&server);
        assert_eq!(peer.medias(all.len()), all);
    }
    // What answers one challenge is not said to the next.
    authenticated(&server);
    let found = relay(&host, id);
    assert!(!found.url.contains("secret") && !found.url.contains("me:"), "{}", found.url);
}

#[test]
fn a_server_sends_its_client_to_another_one() {
    let (host, first, second) = (engine(""), Server::start(), Server::start());
    let id = forward(&host, first.url("t?k=v"));
    let all = gop(0, 3, 100);
    let _publisher = publish(&host, &all);
    for _ in 0..2 {
        let (mut peer, _) = first.connect();
        let to = format!("rtmp://{}/other", second.address());
        let ex = Value::Object(vec![("code".into(), 302.0.into()), ("redirect".into(), to.into())]);
        let Value::Object(mut info) = status("error", "NetConnection.Connect.Rejected", "moved") else {
            panic!()
        };
        info.push(("ex".into(), ex));
        peer.error(1.0, Value::Object(info));
        let (mut peer, name) = second.publish();
        assert_eq!(name, "t?k=v");
        assert_eq!(peer.medias(all.len()), all);
        until(&host, RelayState::Running);
        assert_eq!(relay(&host, id).url, format!("rtmp://{}/other/t", second.address()));
        // It is dropped: the first one is asked again.
    }
}

#[test]
fn a_server_that_asks_to_reconnect_is_left_when_the_next_one_has_the_stream() {
    let (host, first, second) = (engine(""), Server::start(), Server::start());
    let id = forward(&host, first.url("t"));
    let all = gop(0, 5, 100);
    let mut publisher = publish(&host, &all);
    let (mut old, _) = first.publish();
    assert_eq!(old.medias(all.len()), all);
    until(&host, RelayState::Running);
    let reconnect = |peer: &mut Client, to: SocketAddr| {
        let Value::Object(mut info) = status("status", "NetConnection.Connect.ReconnectRequest", "moving")
        else {
            panic!()
        };
        info.push(("tcUrl".into(), format!("rtmp://{to}/live").into()));
        peer.answer("onStatus", 0.0, 0, Value::Object(info));
    };
    reconnect(&mut old, second.address());
    let (mut new, _) = second.asked_to_publish();
    // Meanwhile it goes on.
    let more = [Media::delta(200, 100), Media::delta(240, 100)];
    send(&mut publisher, &more);
    assert_eq!(old.medias(2), more);
    assert_eq!(relay(&host, id).state, RelayState::Running);
    new.status_to(1, "status", "NetStream.Publish.Start", "go on");
    let expected: Vec<_> = all.iter().chain(&more).cloned().collect();
    assert_eq!(new.medias(expected.len()), expected);
    old.wait_command("deleteStream");
    old.wait_closed();
    let news = until(&host, RelayState::Running);
    assert_eq!(news.url, format!("rtmp://{}/live/t", second.address()));
    assert!(host.events().iter().all(|event| !matches!(event, Event::Relay(_))), "it has never stood still");
    assert_eq!((relay(&host, id).starts, relay(&host, id).failures), (2, 0));

    // To one that does not want it: it stays.
    let third = Server::start();
    reconnect(&mut new, third.address());
    let (mut peer, _) = third.asked_to_publish();
    peer.status_to(1, "error", "NetStream.Publish.Denied", "not here");
    let news = until(&host, RelayState::Running);
    assert_eq!(
        news.reason,
        format!(
            "rtmp://{}/live/t does not take the stream, which goes on where it is: the server refuses publish: \
             NetStream.Publish.Denied (not here)",
            third.address()
        )
    );
    let more = Media::delta(280, 100);
    send(&mut publisher, std::slice::from_ref(&more));
    assert_eq!(new.media(), Some(more));

    // To itself: it takes the stream only once.
    reconnect(&mut new, second.address());
    let (mut peer, _) = second.asked_to_publish();
    peer.status_to(1, "error", "NetStream.Publish.BadName", "busy");
    new.wait_command("deleteStream");
    let (mut peer, _) = second.publish();
    assert!(peer.media().is_some_and(|media| media.is_video_header()));
}
