//! The session against our own server, and against servers that are not, in memory and under a virtual
//! clock.

mod link;
mod script;

use proptest::prelude::*;

use super::*;
use crate::amf;
use crate::flv;
use crate::rtmp::relay;
use crate::rtmp::server;

use link::Link;
use script::Script;

const VIDEO_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64];
const KEY: &[u8] = &[0x17, 1, 0, 0, 40, 0, 0, 0, 1, 0x65];
const DELTA: &[u8] = &[0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41];
const AUDIO: &[u8] = &[0xaf, 1, 0x21, 0x10];

fn options(purpose: Purpose, url: &str) -> Options {
    Options::new(purpose, RtmpUrl::parse(url).unwrap())
}

fn publish() -> Options {
    options(Purpose::Publish, "rtmp://example.com/live/a?token=x")
}

fn play() -> Options {
    options(Purpose::Play, "rtmp://example.com/live/a?token=x")
}

fn media(kind: Kind, ms: i64, body: &[u8]) -> Frame {
    crate::flv::frame(kind, ms * 1000, Bytes::copy_from_slice(body)).unwrap()
}

/// `onMetaData` with a width.
fn metadata() -> Frame {
    let mut body = BytesMut::new();
    amf0::string(&mut body, "onMetaData");
    amf0::ecma_array(&mut body, &[("width".to_owned(), 640.0.into())]);
    frames::parse(type_id::DATA_AMF0, 0, body.freeze()).unwrap().unwrap().0
}

fn stream() -> Vec<Frame> {
    vec![
        metadata(),
        media(Kind::Video, 0, VIDEO_HEADER),
        media(Kind::Video, 10, &[KEY, &[7; 9000]].concat()),
        media(Kind::Audio, 33, AUDIO),
        media(Kind::Video, 0xff_fff0, DELTA),
        media(Kind::Video, 0x100_0010, DELTA),
    ]
}

// Against our own server.

#[test]
fn a_publish_arrives() {
    for handshake in [Handshake::Auto, Handshake::Digest, Handshake::Simple] {
        for splits in [&[usize::MAX][..], &[1, 700, 3]] {
            let mut link = Link::new(Options { handshake, ..publish() }, splits);
            link.run();
            assert_eq!(link.said(), ["Connected", "Started"]);
            assert_eq!(link.asked, ["connect live@example.com", "publish live/a?token=x"]);
            assert_eq!((link.client.chunk_size(), link.client.message_stream()), (60_000, 1));
            assert!(link.client.is_started());
            for frame in stream() {
                link.client.frame(&frame);
            }
            link.run();
            assert_eq!(link.arrived, stream());
            link.client.finish();
            link.run();
            assert_eq!(link.arrived.len(), stream().len());
            assert_eq!(link.server_said.last().unwrap(), "Unpublish");
            assert!(link.closed && link.client.timeout().is_none());
        }
    }
}

#[test]
fn images_made_elsewhere_arrive() {
    let mut link = Link::new(publish(), &[usize::MAX]);
    link.run();
    let (size, id) = (link.client.chunk_size(), link.client.message_stream());
    // Frames that the session writes may stand between them.
    for (i, frame) in stream().iter().chain(&stream()).enumerate() {
        match i % 3 {
            0 => link.client.frame(frame),
            _ => link.tell_server(&relay::image_as(frame, link.client.hevc(), size, id).bytes()),
        }
        link.run();
    }
    assert_eq!(link.arrived[..6], stream());
    let kinds: Vec<_> = link.arrived[6..].iter().map(|f| (f.kind, f.role, f.payload.clone())).collect();
    let sent: Vec<_> = stream().into_iter().map(|f| (f.kind, f.role, f.payload)).collect();
    assert_eq!(kinds, sent);
    link.client.finish();
    link.run();
    assert_eq!(link.server_said.last().unwrap(), "Unpublish");
}

#[test]
fn a_play_brings_frames() {
    for handshake in [Handshake::Auto, Handshake::Digest, Handshake::Simple] {
        for splits in [&[usize::MAX][..], &[1, 700, 3]] {
            let mut link = Link::new(Options { handshake, ..play() }, splits);
            link.run();
            assert_eq!(link.said(), ["Connected", "Started"]);
            assert_eq!(link.asked, ["connect live@example.com", "play live/a?token=x"]);
            for frame in stream() {
                link.tell_client(&relay::image(&frame, link.server.chunk_size(), 1).bytes());
            }
            link.run();
            assert_eq!(link.frames(), stream());
            assert_eq!(link.client.received(), link.sent_to_client);
            link.client.finish();
            link.run();
            assert_eq!(link.server_said.last().unwrap(), "Stop");
        }
    }
}

#[test]
fn our_own_server_tells_what_it_knows() {
    let mut link = Link::new(Options { hevc: Hevc::Legacy, ..publish() }, &[usize::MAX]);
    link.run();
    let Event::Connected(capabilities) = &link.events[0] else { panic!("{:?}", link.events) };
    assert!(capabilities.enhanced && capabilities.knows(*b"hvc1"));
    assert_eq!(capabilities.version, "FMS/3,5,3,888");
    assert_eq!(link.client.hevc(), Hevc::Enhanced, "the server knows all codecs");

    let mut link = Link::new(Options { hevc: Hevc::Legacy, enhanced: false, ..publish() }, &[usize::MAX]);
    link.run();
    assert_eq!(link.client.hevc(), Hevc::Legacy, "the server says nothing");
    link.client.frame(&media(Kind::Video, 0, b"\x93hvc1nal"));
    link.run();
    assert_eq!(link.arrived[0].relay, &b"\x1c\x01\x00\x00\x00nal"[..]);
}

#[test]
fn refusals_of_our_own_server_are_told() {
    for (refused, purpose, what, code) in [
        ("connect", Purpose::Play, "connect", "NetConnection.Connect.Rejected"),
        ("publish", Purpose::Publish, "publish", "NetStream.Publish.BadName"),
        ("play", Purpose::Play, "play", "NetStream.Play.Failed"),
    ] {
        let mut link = Link::new(options(purpose, "rtmp://h/live/a"), &[usize::MAX]);
        link.refuses = refused;
        link.run();
        let error = link.error.unwrap();
        let expected = Error::Rejected { what, code: code.into(), description: "not today".into() };
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), format!("the server refuses {what}: {code} (not today)"));
        assert_eq!(link.client.refusal(), Some("not today"));
    }
}

#[test]
fn frames_before_the_start_or_of_a_player_are_not_sent() {
    let mut link = Link::new(publish(), &[usize::MAX]);
    link.client.frame(&media(Kind::Video, 0, KEY));
    link.run();
    assert!(link.arrived.is_empty());
    let mut link = Link::new(play(), &[usize::MAX]);
    link.run();
    link.client.frame(&media(Kind::Video, 0, KEY));
    assert!(matches!(link.client.poll_output(), Output::Timeout(None)));
}

#[test]
fn parameters_stand_where_they_stood() {
    let url = "rtmp://h:1936/live?vhost=b.com/a?token=x/y";
    let mut link = Link::new(options(Purpose::Publish, url), &[usize::MAX]);
    link.run();
    assert_eq!(link.asked, ["connect live@b.com", "publish live/a?vhost=b.com&token=x/y"]);
    assert_eq!(link.server.client().unwrap().tc_url, "rtmp://h:1936/live?vhost=b.com");
    assert_eq!(link.server.client().unwrap().app, "live?vhost=b.com");
}

#[test]
fn an_idle_player_holds_no_buffer() {
    let mut link = Link::new(play(), &[usize::MAX]);
    link.run();
    assert_eq!(link.client.out.capacity(), 0);
    assert_eq!(link.client.partial_bytes(), 0);
}

// Against a script of what a server says.

#[test]
fn connect_says_what_encoders_say() {
    let options = Options { swf_url: "http://h/s.swf".into(), page_url: "http://h/p".into(), ..publish() };
    let mut s = Script::new(options);
    let connect = s.next_command();
    assert_eq!(connect[..2], ["connect".into(), Value::Number(1.0)]);
    let object = &connect[2];
    let text = |name| object.property(name).and_then(Value::as_str);
    assert_eq!(text("app"), Some("live"));
    assert_eq!(text("type"), Some("nonprivate"));
    assert_eq!(text("flashVer"), Some("FMLE/3.0 (compatible; camrill)"));
    assert_eq!(text("tcUrl"), Some("rtmp://example.com/live"));
    assert_eq!((text("swfUrl"), text("pageUrl")), (Some("http://h/s.swf"), Some("http://h/p")));
    assert_eq!(object.property("capsEx"), Some(&Value::Number(7.0)));
    let Some(Value::StrictArray(list)) = object.property("fourCcList") else { panic!() };
    assert!(list.contains(&"hvc1".into()));
    let map = object.property("videoFourCcInfoMap").unwrap();
    assert_eq!(map.property("*"), Some(&Value::Number(4.0)));

    let tc_url = Some("rtmp://other/app".to_owned());
    let flash_ver = Some("mine".to_owned());
    let (properties, arguments) = (vec![("own", 1.0.into())], vec![("who", "we".into())]);
    let options = Options { enhanced: false, tc_url, flash_ver, properties, arguments, ..play() };
    let mut s = Script::new(options);
    let mut connect = s.next_command();
    assert_eq!(connect.pop(), Some(Value::Object(vec![("who".into(), "we".into())])));
    let object = connect.swap_remove(2);
    assert_eq!(object.property("own"), Some(&1.0.into()));
    assert_eq!(object.property("tcUrl"), Some(&"rtmp://other/app".into()));
    assert_eq!(object.property("flashVer"), Some(&"mine".into()));
    assert_eq!(object.property("videoCodecs"), Some(&Value::Number(252.0)));
    for absent in ["fourCcList", "videoFourCcInfoMap", "capsEx", "type", "swfUrl", "pageUrl"] {
        assert_eq!(object.property(absent), None, "{absent}");
    }
}

#[test]
fn a_publish_goes_as_ffmpegs_and_fmles() {
    let mut s = Script::new(publish());
    s.next_command();
    s.connected(&[]);
    let name = || Value::from("a?token=x");
    assert_eq!(s.next_message().type_id, type_id::COMMAND_AMF0, "Set Chunk Size is the reader's");
    assert_eq!(s.last(), ["releaseStream".into(), 2.0.into(), Value::Null, name()]);
    assert_eq!(s.next_command(), ["FCPublish".into(), 3.0.into(), Value::Null, name()]);
    assert_eq!(s.next_command(), ["createStream".into(), 4.0.into(), Value::Null]);
    // The server says nothing to FCPublish, and no to releaseStream.
    s.command(
        "_error",
        2.0,
        &[Value::Null, Value::Object(vec![("code".into(), "NetConnection.Call.Failed".into())])],
    );
    s.command("_result", 4.0, &[Value::Null, 7.0.into()]);
    assert_eq!(s.next_command(), ["publish".into(), 5.0.into(), Value::Null, name(), "live".into()]);
    assert_eq!(s.message.stream_id, 7);
    assert_eq!(s.session.message_stream(), 7);
    s.command(
        "onFCPublish",
        0.0,
        &[Value::Null, Value::Object(vec![("code".into(), "NetStream.Publish.Start".into())])],
    );
    assert!(!s.session.is_started());
    s.status("status", "NetStream.Publish.Start");
    assert!(s.session.is_started());
    s.session.frame(&metadata());
    let message = s.next_message();
    assert_eq!((message.type_id, message.stream_id), (type_id::DATA_AMF0, 7));
    assert!(message.payload.starts_with(b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData"));
    s.session.finish();
    assert_eq!(s.next_command(), ["FCUnpublish".into(), 6.0.into(), Value::Null, name()]);
    assert_eq!(s.next_command(), ["deleteStream".into(), 7.0.into(), Value::Null, 7.0.into()]);
    assert!(matches!(s.session.poll_output(), Output::Close));
    assert_eq!(s.said(), ["Connected", "Started"]);
}

#[test]
fn a_play_goes_as_players_do() {
    let mut s = Script::new(Options { start_ms: -1000, buffer: Duration::from_millis(0x1234), ..play() });
    s.next_command();
    s.connected(&[]);
    let window = s.next_message();
    assert_eq!(
        (window.type_id, &window.payload[..]),
        (type_id::WINDOW_ACK_SIZE, &2_500_000u32.to_be_bytes()[..])
    );
    assert_eq!(s.next_command()[0], "FCSubscribe".into());
    assert_eq!(s.next_command()[0], "createStream".into());
    s.command("_result", 3.0, &[Value::Null, 2.0.into()]);
    let expected = ["play".into(), 4.0.into(), Value::Null, "a?token=x".into(), Value::Number(-1000.0)];
    assert_eq!(s.next_command(), expected);
    assert_eq!(s.message.stream_id, 2);
    let buffer = s.next_message();
    assert_eq!((buffer.type_id, &buffer.payload[..]), (4, &[0, 3, 0, 0, 0, 2, 0, 0, 0x12, 0x34][..]));
    s.status("status", "NetStream.Play.Reset");
    assert!(!s.session.is_started());
    s.status("status", "NetStream.Play.Start");
    assert!(s.session.is_started());
    s.session.finish();
    assert_eq!(s.next_command()[..2], ["deleteStream".into(), Value::Number(5.0)]);
}

#[test]
fn finishing_before_there_is_a_stream_says_nothing() {
    let mut s = Script::new(publish());
    s.next_command();
    s.session.finish();
    assert!(matches!(s.session.poll_output(), Output::Close));
    s.connected(&[]);
    assert!(s.said().is_empty() && s.error.is_none());
}

#[test]
fn media_may_come_unannounced() {
    let mut s = Script::new(play());
    s.creating();
    s.media(0, type_id::VIDEO, KEY);
    assert!(s.said()[1..].is_empty(), "nothing was asked for yet");
    s.command("_result", 2.0, &[Value::Null, 1.0.into()]);
    s.media(10, type_id::VIDEO, KEY);
    s.media(50, type_id::VIDEO, DELTA);
    assert_eq!(s.said(), ["Connected", "Started", "Frame", "Frame"]);
    s.status("status", "NetStream.Play.Start");
    assert_eq!(s.said().len(), 4);
}

#[test]
fn what_the_server_says_itself_is_no_frame() {
    let mut s = Script::playing();
    for name in ["|RtmpSampleAccess", "onStatus", "onPlayStatus"] {
        let mut body = BytesMut::new();
        amf0::string(&mut body, name);
        s.media(0, type_id::DATA_AMF0, &body);
        s.media(0, type_id::DATA_AMF3, &[&[0][..], &body].concat());
    }
    assert!(s.said().is_empty());
    let mut body = BytesMut::new();
    amf0::string(&mut body, "onTextData");
    s.media(5, type_id::DATA_AMF0, &body);
    let mut over = BytesMut::new();
    amf0::string(&mut over, "onPlayStatus");
    amf0::object(&mut over, &[("code", "NetStream.Play.Complete".into())]);
    s.media(9, type_id::DATA_AMF0, &over);
    assert_eq!(s.said(), ["Frame", "Ended(Stopped)"]);
}

#[test]
fn aggregates_are_taken_apart_and_bad_frames_left_out() {
    let sub = |type_id: u8, ts: u32, body: &[u8]| {
        let mut v = vec![type_id];
        v.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
        v.extend_from_slice(&ts.to_be_bytes()[1..]);
        v.extend_from_slice(&[0; 4]);
        v.extend_from_slice(body);
        v.extend_from_slice(&(body.len() as u32 + 11).to_be_bytes());
        v
    };
    let mut s = Script::playing();
    let parts =
        [sub(type_id::VIDEO, 500, KEY), sub(type_id::VIDEO, 510, &[0x17]), sub(type_id::AUDIO, 523, AUDIO)];
    s.media(1000, type_id::AGGREGATE, &parts.concat());
    assert_eq!(s.said(), ["Frame", "Bad", "Frame"]);
    assert_eq!(s.times(), [1000, 1023]);
    assert!(!s.session.has_more());
    s.media(2000, type_id::AGGREGATE, &[9, 0, 0]);
    assert!(matches!(s.error, Some(Error::Message { what: "aggregate message", .. })));
}

#[test]
fn timestamps_never_wrap() {
    let mut s = Script::playing();
    s.media(u32::MAX - 9, type_id::VIDEO, KEY);
    s.media(30, type_id::VIDEO, DELTA);
    assert_eq!(s.times(), [i64::from(u32::MAX) - 9, i64::from(u32::MAX) + 31]);
}

#[test]
fn a_stream_ends_and_may_come_back() {
    let mut s = Script::playing();
    s.status("status", "NetStream.Play.UnpublishNotify");
    s.status("status", "NetStream.Play.PublishNotify");
    s.media(0, type_id::VIDEO, KEY);
    s.status("status", "NetStream.Play.Stop");
    assert_eq!(s.said(), ["Ended(Unpublished)", "Frame", "Ended(Stopped)"]);
    s.status("status", "NetConnection.Connect.Closed");
    assert_eq!(s.said().last().unwrap(), "Ended(Closed)");
    assert!(s.closed);

    let mut s = Script::playing();
    s.command("close", 0.0, &[Value::Null]);
    assert_eq!(s.said(), ["Ended(Closed)"]);
    assert!(s.closed);

    let mut s = Script::publishing();
    s.status("status", "NetStream.Unpublish.Success");
    assert_eq!(s.said(), ["Ended(Unpublished)"]);
}

#[test]
fn refusals_are_known_by_level_or_code() {
    for (level, code) in [
        ("error", "NetStream.Publish.Whatever"),
        ("status", "NetStream.Publish.BadName"),
        ("", "NetStream.Play.StreamNotFound"),
        ("error", "NetStream.Publish.Denied"),
        ("error", ""),
    ] {
        let mut s = Script::starting(publish());
        s.status(level, code);
        assert!(matches!(&s.error, Some(Error::Rejected { what: "publish", code: c, .. }) if c == code));
    }
    let mut s = Script::playing();
    s.status("error", "NetStream.Failed");
    assert_eq!(s.error.unwrap().to_string(), "the server refuses to go on: NetStream.Failed (why)");
    assert_eq!(s.session.refusal(), None, "it had let us play");

    for (level, code) in [
        ("error", "NetStream.Seek.Failed"),
        ("error", "NetConnection.Call.Failed"),
        ("error", "NetStream.Record.NoAccess"),
        ("warning", "NetStream.Play.InsufficientBW"),
        ("status", "NetStream.Data.Start"),
    ] {
        let mut s = Script::playing();
        s.status(level, code);
        assert!(s.error.is_none() && s.said().is_empty(), "{code}");
    }
}

#[test]
fn a_refused_call_ends_the_session_only_if_it_is_waited_for() {
    let mut s = Script::new(publish());
    s.creating();
    s.command("_error", 1.0, &[Value::Null, Value::Null]);
    s.command("_error", 3.0, &[Value::Null, Value::Null]);
    assert!(s.error.is_none());
    s.command("_error", 4.0, &[Value::Null]);
    assert!(matches!(s.error, Some(Error::Rejected { what: "createStream", .. })));

    // SRS refuses a connect by a status; others by a result.
    let mut s = Script::new(publish());
    s.status("error", "NetConnection.Connect.Rejected");
    assert!(matches!(s.error, Some(Error::Rejected { what: "connect", .. })));
    let mut s = Script::new(publish());
    s.command("_result", 1.0, &[Value::Null, Script::info("error", "NetConnection.Connect.InvalidApp")]);
    assert!(matches!(s.error, Some(Error::Rejected { what: "connect", .. })));
}

#[test]
fn what_a_server_says_is_cut_and_cleaned() {
    let mut s = Script::starting(publish());
    let long = format!("a\r\nb{}", "\u{e9}".repeat(300));
    let info = vec![
        ("level".to_owned(), "error".into()),
        ("code".to_owned(), "x\0y".into()),
        ("description".to_owned(), long.into()),
    ];
    s.command("onStatus", 0.0, &[Value::Null, Value::Object(info)]);
    let Some(Error::Rejected { code, description, .. }) = s.error else { panic!() };
    assert_eq!(code, "x y");
    assert!(description.starts_with("a  b\u{e9}") && description.len() == limits::RTMP_STATUS_BYTES);
}

#[test]
fn create_stream_needs_a_number() {
    for answer in [Value::Null, 0.0.into(), (-1.0).into(), f64::NAN.into(), "1".into()] {
        let mut s = Script::new(play());
        s.creating();
        s.command("_result", 2.0, &[Value::Null, answer]);
        assert_eq!(s.error, Some(Error::NoStream));
    }
}

#[test]
fn calls_and_controls_of_the_server_are_answered() {
    let mut s = Script::playing();
    s.command("onBWDone", 0.0, &[Value::Null, 8192.0.into()]);
    assert_eq!(s.next_command()[0], "_checkbw".into());
    s.command("onBWDone", 0.0, &[Value::Null]);
    assert!(s.sent.is_empty(), "once is enough");
    s.command("_onbwcheck", 9.0, &[Value::Null, "x".into()]);
    assert_eq!(s.next_command(), ["_result".into(), 9.0.into(), Value::Null, 0.0.into()]);
    s.command("ping", 8.0, &[Value::Null]);
    assert_eq!(s.next_command()[..2], ["pong".into(), Value::Number(8.0)]);
    s.control(type_id::USER_CONTROL, &[0, 6, 1, 2, 3, 4]);
    assert_eq!(s.next_message().payload, &[0, 7, 1, 2, 3, 4][..]);
    s.control(type_id::SET_PEER_BANDWIDTH, &[0, 1, 0, 0, 2]);
    let window = s.next_message();
    assert_eq!((window.type_id, &window.payload[..]), (type_id::WINDOW_ACK_SIZE, &[0, 1, 0, 0][..]));
    for (kind, body) in
        [(type_id::ACK, &[0, 0, 0, 1][..]), (type_id::USER_CONTROL, &[0, 0, 0, 0, 0, 1]), (99, b"x")]
    {
        s.control(kind, body);
    }
    s.command("onFCSubscribe", 0.0, &[Value::Null]);
    assert!(s.sent.is_empty() && s.error.is_none() && s.said().is_empty());
}

#[test]
fn malformed_commands_and_controls_end_the_session() {
    for (kind, body) in [
        (type_id::COMMAND_AMF0, &[2, 0xff][..]),
        (type_id::COMMAND_AMF3, &[0, 3, 0]),
        (type_id::WINDOW_ACK_SIZE, &[0, 0]),
        (type_id::SET_PEER_BANDWIDTH, &[]),
        (type_id::USER_CONTROL, &[0]),
        (type_id::USER_CONTROL, &[0, 6, 1]),
        (type_id::SET_CHUNK_SIZE, &[0, 0, 0, 0]),
    ] {
        let mut s = Script::playing();
        s.control(kind, body);
        assert!(s.error.is_some(), "{kind} {body:?}");
    }
}

#[test]
fn what_comes_is_acknowledged_before_the_window_is_full() {
    let mut s = Script::playing();
    s.control(type_id::WINDOW_ACK_SIZE, &10_000u32.to_be_bytes());
    let mut last = s.session.received();
    for _ in 0..60 {
        s.media(0, type_id::AUDIO, &[0xaf; 1000]);
        while !s.sent.is_empty() {
            let ack = s.next_message();
            assert_eq!(ack.type_id, type_id::ACK);
            last = u32::from_be_bytes(ack.payload[..].try_into().unwrap()).into();
            assert_eq!(last, s.session.received(), "it is the total");
        }
        assert!(s.session.received() - last < 10_000);
    }
    assert!(last > 50_000);
}

#[test]
fn long_messages_come_only_with_what_is_played() {
    let long = vec![0xaf; limits::RTMP_MESSAGE_BYTES_BEFORE_PUBLISH + 1];
    let mut s = Script::publishing();
    s.media(0, type_id::AUDIO, &long);
    assert!(matches!(s.error, Some(Error::Chunk(ChunkError::MessageTooLong { .. }))));
    let mut s = Script::playing();
    s.media(0, type_id::AUDIO, &long);
    assert_eq!(s.said(), ["Frame"]);
}

#[test]
fn hevc_goes_by_what_the_server_says() {
    let list = |names: &[&str]| {
        ("fourCcList".to_owned(), Value::StrictArray(names.iter().map(|n| (*n).into()).collect()))
    };
    let map = |name: &str, flags: f64| {
        ("videoFourCcInfoMap".to_owned(), Value::Object(vec![(name.to_owned(), flags.into())]))
    };
    use Hevc::{Enhanced, Legacy};
    for (said, expected) in [
        (vec![], None),
        (vec![list(&["av01", "hvc1"])], Some(Enhanced)),
        (vec![list(&["*"])], Some(Enhanced)),
        (vec![list(&["av01"])], Some(Legacy)),
        (vec![list(&[])], Some(Legacy)),
        (vec![map("hvc1", 1.0)], Some(Enhanced)),
        (vec![map("*", 4.0)], Some(Enhanced)),
        (vec![map("hvc1", 0.0)], Some(Legacy)),
        (vec![list(&["av01"]), map("hvc1", 5.0)], Some(Enhanced)),
        (vec![("capsEx".to_owned(), 1.0.into())], Some(Legacy)),
    ] {
        for default in [Legacy, Enhanced] {
            let mut s = Script::new(Options { hevc: default, ..publish() });
            s.connected(&said);
            assert_eq!(s.session.hevc(), expected.unwrap_or(default), "{said:?}");
        }
    }
}

#[test]
fn capabilities_are_limited() {
    let names = (0..1000).map(|i| Value::from(format!("{i:04}"))).collect();
    let mut s = Script::new(publish());
    s.connected(&[("fourCcList".to_owned(), Value::StrictArray(names)), ("capsEx".to_owned(), 3.0.into())]);
    let Event::Connected(capabilities) = &s.events[0] else { panic!() };
    assert_eq!((capabilities.fourccs.len(), capabilities.caps_ex), (limits::RTMP_FOURCCS, 3));
}

// Elsewhere, and who we are.

fn moved(ex: &[(&str, &str)]) -> Value {
    let mut entries: Vec<_> = ex.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))).collect();
    entries.push(("code".to_owned(), 302.0.into()));
    let Value::Object(mut info) = Script::info("error", "NetConnection.Connect.Rejected") else { panic!() };
    info.push(("ex".to_owned(), Value::Object(entries)));
    Value::Object(info)
}

#[test]
fn a_server_sends_us_elsewhere() {
    for (ex, expected) in [
        (&[("redirect", "rtmp://b.com:99/app")][..], "rtmp://u:p@b.com:99/app/a?token=x"),
        (&[("redirect", "rtmp://b.com/app?vhost=c/")], "rtmp://u:p@b.com/app?vhost=c/a?token=x"),
        (
            &[("redirect", "rtmp://b.com/app"), ("redirect2", "rtmp://b.com/app/b?k=v")],
            "rtmp://u:p@b.com/app/b?k=v",
        ),
    ] {
        let options = || options(Purpose::Publish, "rtmp://u:p@example.com/live/a?token=x");
        for command in ["_error", "onStatus"] {
            let mut s = Script::new(options());
            s.command(command, 1.0, &[Value::Null, moved(ex)]);
            let [Event::Redirect { url, goes_on: false }] = s.events.as_slice() else {
                panic!("{:?}", s.events)
            };
            assert_eq!(**url, RtmpUrl::parse(expected).unwrap());
            assert!(s.closed && s.error.is_none() && s.session.timeout().is_none());
        }
        // SRS says it at play or publish.
        let mut s = Script::starting(options());
        s.command("onStatus", 0.0, &[Value::Null, moved(ex)]);
        assert_eq!(s.said(), ["Redirect"]);
    }
    // What leads nowhere is a refusal.
    for ex in [&[("redirect", "http://b.com/app")][..], &[("redirect", "rtmp://")], &[]] {
        let mut s = Script::new(publish());
        s.command("_error", 1.0, &[Value::Null, moved(ex)]);
        assert!(matches!(s.error, Some(Error::Rejected { what: "connect", .. })));
    }
}

#[test]
fn a_server_asks_us_to_reconnect_while_the_stream_goes_on() {
    for (tc_url, expected) in [
        (Some("//192.0.2.1/app"), Some("rtmp://192.0.2.1/app/a?token=x")),
        (Some("/other"), Some("rtmp://example.com/other/a?token=x")),
        (None, Some("rtmp://example.com/live/a?token=x")),
        (Some("ftp://h/a"), None),
    ] {
        let mut s = Script::playing();
        let Value::Object(mut info) = Script::info("status", "NetConnection.Connect.ReconnectRequest") else {
            panic!()
        };
        info.extend(tc_url.map(|url| ("tcUrl".to_owned(), Value::from(url))));
        s.command("onStatus", 0.0, &[Value::Null, Value::Object(info)]);
        match (s.events.as_slice(), expected) {
            ([Event::Redirect { url, goes_on: true }], Some(expected)) => {
                assert_eq!(**url, RtmpUrl::parse(expected).unwrap());
            }
            ([], None) => {}
            other => panic!("{other:?}"),
        }
        assert!(s.error.is_none() && !s.closed);
        s.media(0, type_id::VIDEO, KEY);
        assert_eq!(s.said().last().unwrap(), "Frame");
    }
}

/// A refusal with this description, and what the session makes of it.
fn asked(options: Options, description: &str) -> Result<Auth, Error> {
    let mut s = Script::new(options);
    s.session.entropy = 0x0a39_c15e;
    let info = vec![
        ("level".to_owned(), "error".into()),
        ("code".to_owned(), "NetConnection.Connect.Rejected".into()),
        ("description".to_owned(), description.into()),
    ];
    s.command("_error", 1.0, &[Value::Null, Value::Object(info)]);
    match (s.events.pop(), s.error) {
        (Some(Event::Authenticate(auth)), None) => {
            assert!(s.closed);
            Ok(auth)
        }
        (None, Some(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

const ADOBE_NEEDS: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
const ADOBE_ASKS: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=camera&salt=X8dPCs&challenge=mKMrAA==&opaque=8ad1/w==";

#[test]
fn a_server_asks_who_we_are() {
    let options = |auth| Options { auth, ..options(Purpose::Publish, "rtmp://camera:s3cret@h/live/front") };
    let first = asked(options(None), ADOBE_NEEDS).unwrap();
    let object = Script::new(options(Some(first.clone()))).next_command().swap_remove(2);
    assert_eq!(object.property("app"), Some(&"live?authmod=adobe&user=camera".into()));
    assert_eq!(object.property("tcUrl"), Some(&"rtmp://h/live?authmod=adobe&user=camera".into()));
    assert!(asked(options(Some(first.clone())), ADOBE_NEEDS).is_err(), "that was said");

    // As ffmpeg 5.1 answered it.
    let second = asked(options(Some(first)), ADOBE_ASKS).unwrap();
    let object = Script::new(options(Some(second.clone()))).next_command().swap_remove(2);
    let query =
        "?authmod=adobe&user=camera&challenge=0a39c15e&response=Cjq9pbwTOc9f6E1DWO3MAA==&opaque=8ad1/w==";
    assert_eq!(object.property("app"), Some(&format!("live{query}").into()));
    assert_eq!(object.property("tcUrl"), Some(&format!("rtmp://h/live{query}").into()));
    for told in [ADOBE_ASKS, ADOBE_NEEDS, "authmod=adobe ?reason=authfailed"] {
        let error = asked(options(Some(second.clone())), told).unwrap_err();
        assert!(matches!(error, Error::Rejected { what: "connect", .. }), "it was said once");
    }
}

#[test]
fn who_we_are_is_said_only_if_we_know_and_are_asked() {
    let with = |url: &str, told: &str| asked(options(Purpose::Publish, url), told);
    for url in ["rtmp://h/live/a", "rtmp://u@h/live/a"] {
        assert!(with(url, ADOBE_NEEDS).is_err());
    }
    let url = "rtmp://u:p@h/live/a";
    let long = format!("{ADOBE_ASKS}{}", "x".repeat(limits::RTMP_AUTH_BYTES));
    for told in ["", "no", "code=403 need auth; authmod=other", "authmod=adobe ?reason=nosuchuser", &long] {
        assert!(with(url, told).is_err(), "{told}");
    }
    // A player is asked too, and a name is written so that it stays one value.
    let auth = asked(options(Purpose::Play, "rtmp://a%26b%3fc:p@h/live?k=v/a"), ADOBE_NEEDS).unwrap();
    let said = Auth::append(Some(&auth), "live?k=v".to_owned());
    assert_eq!(said, "live?k=v&authmod=adobe&user=a%26b%3Fc");
}

#[test]
fn responses_are_those_of_ffmpeg() {
    // What ffmpeg 5.1 sent for user "camera" with password "s3cret", by its own challenge.
    let llnw = "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=camera&nonce=b0a1c2d3";
    #[rustfmt::skip]
    let table = [
        ("live", "authmod=adobe ?reason=needauth&user=camera&salt=X8dPCs&challenge=mKMrAA==", 0x3fb4_b38b,
            "authmod=adobe&user=camera&challenge=3fb4b38b&response=+wZpdeMKCDYjZmc39YSDFQ=="),
        ("live", llnw, 0x597a_35ea,
            "authmod=llnw&user=camera&nonce=b0a1c2d3&cnonce=597a35ea&nc=00000001&response=54b7ac448079f7308592cfa1c41551d3"),
        ("a/b", llnw, 0xbbd0_a9c7,
            "authmod=llnw&user=camera&nonce=b0a1c2d3&cnonce=bbd0a9c7&nc=00000001&response=aed766cb415a94ceccf0e9562aca65c2"),
    ];
    for (app, told, entropy, query) in table {
        let url = RtmpUrl::parse(&format!("rtmp://camera:s3cret@h/{app}/front")).unwrap();
        let auth = Auth::answer(told, &url, None, entropy).unwrap();
        assert_eq!(Auth::append(Some(&auth), String::new()), format!("?{query}"));
    }
}

// Time.

#[test]
fn everything_up_to_the_start_has_its_time() {
    let late = |s: &mut Script, what: &str| {
        assert_eq!(s.session.timeout(), Some(Time::from_millis(10_000)));
        assert_eq!(s.session.handle_timeout(Time::from_millis(9_999)), Ok(()));
        let error = s.session.handle_timeout(Time::from_millis(10_000)).unwrap_err();
        assert_eq!(error.to_string(), format!("timeout: no {what} within 10000 ms"));
    };
    let mut session = Session::new(Time::ZERO, 1, publish());
    assert_eq!(session.timeout(), Some(Time::from_millis(10_000)));
    assert!(session.handle_timeout(Time::from_millis(10_000)).unwrap_err().to_string().contains("handshake"));
    late(&mut Script::new(publish()), "answer to connect");
    let mut s = Script::new(publish());
    s.creating();
    late(&mut s, "answer to createStream");
    late(&mut Script::starting(publish()), "answer to publish");
    late(&mut Script::starting(play()), "answer to play");
    assert_eq!(Script::publishing().session.timeout(), None);
    assert_eq!(Script::playing().session.timeout(), None);
}

#[test]
fn a_play_without_media_has_its_time_too() {
    let mut s = Script::starting(Options { idle: Some(Duration::from_secs(5)), ..play() });
    s.now = Time::from_millis(3_000);
    s.status("status", "NetStream.Play.Start");
    assert_eq!(s.session.timeout(), Some(Time::from_millis(8_000)));
    s.now = Time::from_millis(7_000);
    s.media(0, type_id::AUDIO, AUDIO);
    s.control(type_id::USER_CONTROL, &[0, 6, 0, 0, 0, 0]);
    assert_eq!(s.session.timeout(), Some(Time::from_millis(12_000)));
    let error = s.session.handle_timeout(Time::from_millis(12_000)).unwrap_err();
    assert_eq!(error.to_string(), "timeout: no media within 5000 ms");
}

#[test]
fn other_protocols_are_told_apart() {
    let mut session = Session::new(Time::ZERO, 1, publish());
    let error = session.handle_input(Time::ZERO, &mut &b"HTTP/1.1 400"[..]).unwrap_err();
    assert_eq!(error, Error::Handshake(HandshakeError::Http { first: b'H' }));
}

/// What comes of everything that a server may say, in pieces of these lengths. Acknowledgements may go out
/// at other places.
fn outcome(pieces: &[usize]) -> (Vec<String>, Vec<Vec<Value>>, Option<Error>) {
    let mut s = Script::new(play());
    let mut wire = Vec::new();
    s.record = Some(Vec::new());
    s.control(type_id::WINDOW_ACK_SIZE, &3000u32.to_be_bytes());
    s.connected(&[("capsEx".to_owned(), 1.0.into())]);
    s.command("onBWDone", 0.0, &[Value::Null]);
    s.command("_result", 2.0, &[Value::Null, 1.0.into()]);
    s.control(type_id::SET_CHUNK_SIZE, &200u32.to_be_bytes());
    for frame in stream() {
        let at = flv::timestamp(&frame, frame.dts);
        s.media(at, relay::channel(frame.kind).1, &flv::body(&frame));
    }
    s.status("status", "NetStream.Play.Start");
    s.media(3, type_id::VIDEO, &[0x17]);
    s.status("status", "NetStream.Play.UnpublishNotify");
    s.command("close", 0.0, &[]);
    wire.append(s.record.as_mut().unwrap());

    let mut s = Script::new(play());
    let (mut rest, mut pieces) = (wire.as_slice(), pieces.iter().cycle());
    while !rest.is_empty() {
        let (head, tail) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
        s.feed(head);
        rest = tail;
    }
    let commands = s.sent.iter().filter(|m| m.type_id == type_id::COMMAND_AMF0);
    let commands = commands.map(|m| amf::read_command(&m.payload, false).unwrap()).collect();
    (s.events.iter().map(|e| format!("{e:?}")).collect(), commands, s.error)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same(pieces in prop::collection::vec(1..400usize, 1..12)) {
        let whole = outcome(&[usize::MAX]);
        prop_assert_eq!(whole.0.len(), 2 + stream().len() + 3);
        prop_assert!(whole.2.is_none());
        prop_assert_eq!(outcome(&pieces), whole);
    }

    #[test]
    fn any_bytes_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..2000), state in 0..4, publishes: bool,
    ) {
        let options = if publishes { publish() } else { play() };
        let mut s = match state {
            0 => Script::new(options),
            1 => { let mut s = Script::new(options); s.creating(); s }
            2 => Script::starting(options),
            _ if publishes => Script::publishing(),
            _ => Script::playing(),
        };
        s.feed(&bytes);
    }

    #[test]
    fn any_message_does_no_harm(
        type_id in prop::sample::select(vec![4u8, 5, 6, 8, 9, 15, 17, 18, 20, 22]),
        name in prop::sample::select(vec!["_result", "_error", "onStatus", "onBWDone", "", "onPlayStatus"]),
        values in prop::collection::vec(prop_oneof![
            any::<f64>().prop_map(Value::from), "[ -~]{0,20}".prop_map(Value::from), Just(Value::Null),
            ("(code|level|ex|tcUrl|fourCcList)", "[ -~]{0,20}").prop_map(|(n, v)| Value::Object(vec![(n, v.into())])),
        ], 0..5),
        state in 0..3,
    ) {
        let mut s = match state { 0 => Script::new(play()), 1 => Script::starting(play()), _ => Script::playing() };
        let mut body = BytesMut::new();
        amf0::string(&mut body, name);
        values.iter().for_each(|value| amf0::write(&mut body, value));
        s.control(type_id, &body);
    }
}
