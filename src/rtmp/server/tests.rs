//! The session against a peer in memory, under a virtual clock.

mod peer;

use proptest::prelude::*;

use super::*;
use crate::amf::{self, Value, amf0};
use crate::media::{Codec, Role};
use crate::rtmp::handshake::ClientHandshake;
use crate::rtmp::url::RtmpUrl;

use peer::Peer;

const HANDSHAKE: Duration = Duration::from_secs(10);
const OPTIONS: ConnectOptions =
    ConnectOptions { chunk_size: 60_000, in_ack_size: 0, out_ack_size: 2_500_000 };
const PUBLISH: PublishOptions =
    PublishOptions { first: Duration::from_secs(20), normal: Duration::from_secs(5) };

fn command(name: &str, transaction: f64, arguments: &[Value]) -> BytesMut {
    let mut body = BytesMut::new();
    amf0::string(&mut body, name);
    amf0::number(&mut body, transaction);
    for argument in arguments {
        amf0::write(&mut body, argument);
    }
    body
}

fn ping(value: u32) -> Vec<u8> {
    [&user_control::PING_REQUEST.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

const VIDEO_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64];
const KEY: &[u8] = &[0x17, 1, 0, 0, 40, 0, 0, 0, 1, 0x65];
const DELTA: &[u8] = &[0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41];
const AUDIO_HEADER: &[u8] = &[0xaf, 0, 0x12, 0x10];
const AUDIO: &[u8] = &[0xaf, 1, 0x21, 0x10];

fn metadata(entries: &[(&str, Value)]) -> BytesMut {
    let mut body = BytesMut::new();
    amf0::string(&mut body, "@setDataFrame");
    amf0::string(&mut body, "onMetaData");
    let entries: Vec<_> = entries.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    amf0::ecma_array(&mut body, &entries);
    body
}

#[test]
fn connect_is_answered_in_order() {
    let mut p = Peer::new();
    let transaction = {
        p.connect(&[("objectEncoding", Value::Number(0.0))]);
        p.transaction
    };
    assert_eq!(
        p.controls(),
        [
            (type_id::WINDOW_ACK_SIZE, 2_500_000u32.to_be_bytes().to_vec()),
            (type_id::SET_PEER_BANDWIDTH, [&2_500_000u32.to_be_bytes()[..], &[2]].concat()),
        ]
    );
    // Set Chunk Size is obeyed by the reader and not handed out: what follows could not be read without.
    assert_eq!(p.said(), [("_result".to_owned(), transaction), ("onBWDone".to_owned(), 0.0)]);
    assert_eq!(p.codes(), ["NetConnection.Connect.Success"]);
    let info = p.commands()[0][3].clone();
    assert_eq!(info.property("objectEncoding"), Some(&Value::Number(0.0)));
    assert_eq!(info.property("fourCcList"), None);
    let [Event::Connect(request)] = p.events.as_slice() else { panic!("{:?}", p.events) };
    assert_eq!((request.app.as_str(), request.flash_ver.as_str()), ("live", "FMLE/3.0"));
    assert_eq!(request.page_url, "http://example.com/page");
    assert_eq!((request.name.vhost.as_str(), request.name.app.as_str()), ("example.com", "live"));
    assert_eq!(p.session.client().unwrap().tc_url, "rtmp://example.com/live");
}

#[test]
fn enhanced_rtmp_is_negotiated() {
    for more in [
        ("fourCcList", Value::StrictArray(vec!["hvc1".into(), "av01".into()])),
        ("videoFourCcInfoMap", Value::Object(vec![("*".into(), Value::Number(7.0))])),
    ] {
        let mut p = Peer::new();
        p.connect(&[more]);
        let info = p.commands()[0][3].clone();
        assert_eq!(info.property("fourCcList"), Some(&Value::StrictArray(vec!["*".into()])));
        assert!(info.property("capsEx").is_some());
        assert!(p.session.client().unwrap().enhanced);
    }
}

#[test]
fn ffmpeg_and_fmle_publish() {
    let mut p = Peer::connected();
    let release = p.command(0, "releaseStream", &[Value::Null, "a".into()]);
    let fc = p.command(0, "FCPublish", &[Value::Null, "a".into()]);
    let create = p.command(0, "createStream", &[Value::Null]);
    let check = p.command(0, "_checkbw", &[Value::Null]);
    let results: Vec<_> = p.said();
    let result = |transaction| ("_result".to_owned(), transaction);
    assert_eq!(results, [result(release), result(fc), result(create), result(check)]);
    assert_eq!(p.commands()[2][3], Value::Number(1.0));
    p.answers.clear();

    p.command(1, "publish", &[Value::Null, "a?token=x".into(), "live".into()]);
    assert_eq!(p.said(), [("onFCPublish".to_owned(), 0.0), ("onStatus".to_owned(), 0.0)]);
    assert_eq!(p.codes(), ["NetStream.Publish.Start", "NetStream.Publish.Start"]);
    let status = p.answers.last().unwrap();
    assert_eq!(status.stream_id, 1, "the status belongs to the message stream");
    assert_eq!(p.controls(), [(type_id::USER_CONTROL, vec![0, 0, 0, 0, 0, 1])]);
    let [Event::Publish(request)] = p.events.as_slice() else { panic!("{:?}", p.events) };
    assert_eq!((request.stream, request.name.stream.as_str()), (1, "a"));
    assert_eq!(request.name.param, "token=x");
    assert!(p.error.is_none() && !p.closed);
}

#[test]
fn flash_publishes() {
    let mut p = Peer::connected();
    let create = p.command(0, "createStream", &[Value::Null]);
    assert_eq!(p.said(), [("_result".to_owned(), create)]);
    p.answers.clear();
    p.command(1, "publish", &[Value::Null, "a".into()]);
    assert_eq!(p.said(), [("onStatus".to_owned(), 0.0)]);
    assert_eq!(p.codes(), ["NetStream.Publish.Start"]);
    assert_eq!(p.commands()[0][3].property("level"), Some(&"status".into()));
}

#[test]
fn fc_publish_may_follow_create_stream() {
    let mut p = Peer::connected();
    p.command(0, "createStream", &[Value::Null]);
    p.command(0, "FCPublish", &[Value::Null, "a".into()]);
    p.command(1, "publish", &[Value::Null, "a".into()]);
    let names: Vec<_> = p.said().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["_result", "_result", "onFCPublish", "onStatus"]);
}

#[test]
fn what_is_published_comes_as_frames() {
    let mut p = Peer::publishing();
    p.media(0, type_id::DATA_AMF0, &metadata(&[("width", 640.0.into()), ("duration", 9.0.into())]));
    p.media(0, type_id::VIDEO, VIDEO_HEADER);
    p.media(0, type_id::AUDIO, AUDIO_HEADER);
    p.media(10, type_id::VIDEO, KEY);
    p.media(33, type_id::AUDIO, AUDIO);
    p.media(50, type_id::VIDEO, DELTA);
    p.media(60, type_id::AUDIO, &[]);
    use {Kind::*, Role::*};
    assert_eq!(
        p.frames(),
        [
            (Data, Header, 0),
            (Video, Header, 0),
            (Audio, Header, 0),
            (Video, Key, 10),
            (Audio, Key, 33),
            (Video, Delta, 50),
            (Audio, Mark, 60),
        ]
    );
    let Event::Frame { frame, stream, atc } = &p.events[3] else { panic!() };
    assert_eq!((frame.pts, *stream, *atc), (50_000, 1, false));
    assert_eq!((frame.relay.as_ref(), frame.codec), (KEY, Codec::H264));
    assert_eq!(frame.payload.as_ref(), &KEY[5..]);
    let Event::Frame { frame, .. } = &p.events[0] else { panic!() };
    let values = amf0::read_all(&frame.payload).unwrap();
    assert_eq!(values[0].as_str(), Some("onMetaData"));
    assert_eq!(values[1].properties().unwrap(), [("width".to_owned(), Value::Number(640.0))]);
}

#[test]
fn timestamps_never_wrap() {
    let mut p = Peer::publishing();
    p.media(u32::MAX - 9, type_id::VIDEO, KEY);
    p.media(30, type_id::VIDEO, DELTA);
    p.media(10, type_id::AUDIO, AUDIO);
    let times: Vec<_> = p.frames().into_iter().map(|(.., ms)| ms - i64::from(u32::MAX)).collect();
    assert_eq!(times, [-9, 31, 11]);
}

#[test]
fn metadata_may_ask_for_absolute_timestamps() {
    for (value, expected) in [("true".into(), true), (Value::Boolean(true), true), ("false".into(), false)] {
        let mut p = Peer::publishing();
        p.media(0, type_id::DATA_AMF0, &metadata(&[("bravo_atc", value)]));
        assert!(matches!(p.events[0], Event::Frame { atc, .. } if atc == expected));
    }
}

#[test]
fn commands_and_data_come_in_amf3_too() {
    let mut p = Peer::connected();
    let amf3 = |name: &str, arguments: &[Value]| {
        [&[0][..], &command(name, 4.0, arguments), &[0x11, 0x04, 0x05]].concat()
    };
    p.message(3, 0, type_id::COMMAND_AMF3, 0, &amf3("createStream", &[Value::Null]));
    p.message(3, 0, type_id::COMMAND_AMF3, 1, &amf3("publish", &[Value::Null, "a".into()]));
    assert_eq!(p.codes(), ["NetStream.Publish.Start"]);
    assert_eq!(p.said()[0], ("_result".to_owned(), 4.0));
    // With the format byte, and without, as some leave it out.
    let data = metadata(&[("width", 640.0.into())]);
    p.media(0, type_id::DATA_AMF3, &[&[0][..], &data].concat());
    p.media(0, type_id::DATA_AMF3, &data);
    p.media(0, type_id::DATA_AMF3, &[]);
    p.media(0, type_id::DATA_AMF3, &[0]);
    assert_eq!(p.frames(), [(Kind::Data, Role::Header, 0); 2]);
    assert!(p.error.is_none());
}

#[test]
fn other_script_messages_are_relayed() {
    let mut p = Peer::publishing();
    let mut body = BytesMut::new();
    amf0::string(&mut body, "onTextData");
    amf0::object(&mut body, &[("text", "hello".into())]);
    p.media(40, type_id::DATA_AMF0, &body);
    assert_eq!(p.frames(), [(Kind::Data, Role::Mark, 40)]);
}

fn sub(type_id: u8, ts: u32, body: &[u8]) -> Vec<u8> {
    let mut v = vec![type_id];
    v.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    v.extend_from_slice(&ts.to_be_bytes()[1..]);
    v.extend_from_slice(&[0, 0, 0, 0]);
    v.extend_from_slice(body);
    v.extend_from_slice(&(body.len() as u32 + 11).to_be_bytes());
    v
}

#[test]
fn an_aggregate_is_taken_apart() {
    let mut p = Peer::publishing();
    let all = [
        sub(type_id::VIDEO, 500, VIDEO_HEADER),
        sub(type_id::VIDEO, 500, KEY),
        sub(type_id::AUDIO, 523, AUDIO),
        sub(type_id::AUDIO, 540, &[]),
    ];
    p.media(1000, type_id::AGGREGATE, &all.concat());
    use {Kind::*, Role::*};
    assert_eq!(
        p.frames(),
        [(Video, Header, 1000), (Video, Key, 1000), (Audio, Key, 1023), (Audio, Mark, 1040)]
    );
    assert!(!p.session.has_more());
    // Broken at its end: what stood before has come.
    p.events.clear();
    let mut broken = sub(type_id::VIDEO, 0, KEY);
    broken.extend_from_slice(&[9, 0, 0]);
    p.media(2000, type_id::AGGREGATE, &broken);
    assert_eq!(p.frames(), [(Video, Key, 2000)]);
    assert!(matches!(p.error, Some(SessionError::Message { what: "aggregate message", .. })));
}

#[test]
fn play_is_answered_in_order() {
    let mut p = Peer::connected();
    p.command(0, "createStream", &[Value::Null]);
    p.answers.clear();
    p.command(1, "play", &[Value::Null, "a".into(), Value::Number(-2000.0)]);
    let kinds: Vec<_> = p.answers.iter().map(|m| (m.type_id, m.stream_id)).collect();
    let expected = [
        (type_id::USER_CONTROL, 0),
        (type_id::COMMAND_AMF0, 1),
        (type_id::COMMAND_AMF0, 1),
        (type_id::DATA_AMF0, 1),
        (type_id::DATA_AMF0, 1),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(p.answers[0].payload.as_ref(), [0, 0, 0, 0, 0, 1]);
    assert_eq!(p.codes(), ["NetStream.Play.Reset", "NetStream.Play.Start"]);
    let data: Vec<_> = p.answers[3..].iter().map(|m| amf0::read_all(&m.payload).unwrap()).collect();
    assert_eq!(data[0], ["|RtmpSampleAccess".into(), Value::Boolean(true), Value::Boolean(true)]);
    assert_eq!(data[1][0], "onStatus".into());
    assert_eq!(data[1][1].property("code"), Some(&"NetStream.Data.Start".into()));
}

#[test]
fn play_without_reset_says_none() {
    let mut p = Peer::connected();
    p.command(0, "createStream", &[Value::Null]);
    let no = Value::Number(-1.0);
    p.command(1, "play", &[Value::Null, "a".into(), no.clone(), no, Value::Boolean(false)]);
    assert_eq!(p.codes(), ["NetStream.Play.Start"]);
}

#[test]
fn a_player_pauses_and_goes_on() {
    let mut p = Peer::playing();
    p.command(1, "pause", &[Value::Null, true.into(), 1000.0.into()]);
    assert_eq!(p.codes(), ["NetStream.Pause.Notify"]);
    assert_eq!(p.controls(), [(type_id::USER_CONTROL, vec![0, 1, 0, 0, 0, 1])]);
    p.command(1, "pause", &[Value::Null, false.into(), 1000.0.into()]);
    assert_eq!(p.codes().last().unwrap(), "NetStream.Unpause.Notify");
    assert!(matches!(
        p.events.as_slice(),
        [Event::Pause { stream: 1, paused: true }, Event::Pause { stream: 1, paused: false }]
    ));
    p.command(1, "seek", &[Value::Null, 5.0.into()]);
    assert_eq!(p.codes().last().unwrap(), "NetStream.Seek.Failed");
}

#[test]
fn a_player_chooses_what_it_receives() {
    let mut p = Peer::playing();
    p.command(1, "receiveVideo", &[Value::Null, false.into()]);
    p.command(1, "receiveAudio", &[Value::Null, true.into()]);
    assert!(matches!(
        p.events.as_slice(),
        [
            Event::Receive { kind: Kind::Video, wanted: false, stream: 1 },
            Event::Receive { kind: Kind::Audio, wanted: true, stream: 1 }
        ]
    ));
}

#[test]
fn commands_of_players_mean_nothing_to_others() {
    let mut p = Peer::publishing();
    for name in ["pause", "receiveAudio", "receiveVideo"] {
        p.command(1, name, &[Value::Null, true.into()]);
    }
    assert!(p.events.is_empty() && p.answers.is_empty() && p.error.is_none());
}

#[test]
fn a_publish_ends_in_three_ways_and_begins_again() {
    let mut p = Peer::publishing();
    for round in 0..2 {
        let fc = p.command(0, "FCUnpublish", &[Value::Null, "a".into()]);
        assert_eq!(p.said()[0], ("_result".to_owned(), fc), "round {round}");
        assert_eq!(p.said()[1].0, "onFCUnpublish");
        assert_eq!(p.codes(), ["NetStream.Unpublish.Success"; 2]);
        assert!(matches!(p.events.as_slice(), [Event::Unpublish { stream: 1 }]));
        // What crossed it is passed over.
        p.media(0, type_id::VIDEO, KEY);
        assert_eq!(p.events.len(), 1);
        p.events.clear();
        p.answers.clear();
        p.command(1, "publish", &[Value::Null, "a".into()]);
        assert!(matches!(p.events.as_slice(), [Event::Publish(_)]));
        p.events.clear();
        p.media(5, type_id::VIDEO, KEY);
        assert_eq!(p.frames(), [(Kind::Video, Role::Key, 5)]);
        p.answers.clear();
        p.events.clear();
    }
    p.command(1, "closeStream", &[Value::Null]);
    assert!(matches!(p.events.as_slice(), [Event::Unpublish { stream: 1 }]));
    assert_eq!(p.codes(), ["NetStream.Unpublish.Success"]);
    p.command(1, "publish", &[Value::Null, "a".into()]);
    p.events.clear();
    p.command(0, "deleteStream", &[Value::Null, 1.0.into()]);
    assert!(matches!(p.events.as_slice(), [Event::Unpublish { stream: 1 }]));
    p.events.clear();
    p.answers.clear();
    p.command(0, "createStream", &[Value::Null]);
    assert_eq!(p.commands()[0][3], Value::Number(2.0));
    p.command(2, "publish", &[Value::Null, "b".into()]);
    assert!(matches!(p.events.as_slice(), [Event::Publish(_)]));
    assert!(p.error.is_none());
}

#[test]
fn a_play_ends_and_begins_again() {
    let mut p = Peer::playing();
    for (stream, name, argument) in [(1, "closeStream", Value::Null), (0, "deleteStream", 1.0.into())] {
        p.command(stream, name, &[Value::Null, argument]);
        assert!(matches!(p.events.as_slice(), [Event::Stop { stream: 1 }]), "{name}");
        p.events.clear();
        p.command(1, "play", &[Value::Null, "a".into()]);
        assert!(matches!(p.events.as_slice(), [Event::Play(_)]), "{name}");
        p.events.clear();
    }
}

#[test]
fn two_publishes_on_one_connection_are_kept_apart() {
    let mut p = Peer::publishing();
    p.command(0, "createStream", &[Value::Null]);
    p.command(2, "publish", &[Value::Null, "b".into()]);
    p.events.clear();
    p.message(6, 10, type_id::VIDEO, 1, KEY);
    p.message(8, 5000, type_id::VIDEO, 2, KEY);
    p.message(6, 50, type_id::VIDEO, 1, DELTA);
    p.message(8, 5040, type_id::VIDEO, 2, DELTA);
    // A third, unknown message stream could belong to either.
    p.message(9, 1, type_id::VIDEO, 3, KEY);
    let streams: Vec<_> = p.events.iter().map(|e| matches!(e, Event::Frame { stream: 1, .. })).collect();
    assert_eq!(streams, [true, false, true, false]);
    let times: Vec<_> = p.frames().into_iter().map(|(.., ms)| ms).collect();
    assert_eq!(times, [10, 5000, 50, 5040]);
    p.events.clear();
    p.command(0, "deleteStream", &[Value::Null, 1.0.into()]);
    assert!(matches!(p.events.as_slice(), [Event::Unpublish { stream: 1 }]));
    p.events.clear();
    p.message(8, 5080, type_id::VIDEO, 2, DELTA);
    assert_eq!(p.frames(), [(Kind::Video, Role::Delta, 5080)]);
}

#[test]
fn media_on_another_message_stream_belongs_to_the_only_publish() {
    let mut p = Peer::connected();
    p.command(0, "createStream", &[Value::Null]);
    p.command(0, "createStream", &[Value::Null]);
    p.command(2, "publish", &[Value::Null, "a".into()]);
    p.events.clear();
    // On a stream that isn't known, and on one that is but isn't published.
    for stream in [7, 1, 2] {
        p.message(6, 10, type_id::VIDEO, stream, KEY);
    }
    assert_eq!(p.frames(), [(Kind::Video, Role::Key, 10); 3]);
    assert!(p.events.iter().all(|e| matches!(e, Event::Frame { stream: 2, .. })));
}

#[test]
fn controls_are_answered() {
    let mut p = Peer::connected();
    p.message(2, 0, type_id::USER_CONTROL, 0, &ping(0x0102_0304));
    p.message(2, 0, type_id::SET_PEER_BANDWIDTH, 0, &[0, 1, 0, 0, 2]);
    assert_eq!(
        p.controls(),
        [(type_id::USER_CONTROL, vec![0, 7, 1, 2, 3, 4]), (type_id::WINDOW_ACK_SIZE, vec![0, 1, 0, 0]),]
    );
    // What needs no answer gets none.
    p.answers.clear();
    p.message(2, 0, type_id::ACK, 0, &[0, 0, 0, 1]);
    p.message(2, 0, type_id::USER_CONTROL, 0, &[0, 3, 0, 0, 0, 1, 0, 0, 1, 0]);
    p.message(2, 0, type_id::USER_CONTROL, 0, &[0, 32, 0, 0, 0, 0]);
    p.message(3, 0, type_id::SHARED_OBJECT, 0, &[1, 2, 3]);
    p.message(3, 0, 99, 0, &[1, 2, 3]);
    assert!(p.answers.is_empty() && p.error.is_none());
}

#[test]
fn acknowledges_before_the_window_is_full() {
    let mut p = Peer::connected();
    p.message(2, 0, type_id::WINDOW_ACK_SIZE, 0, &10_000u32.to_be_bytes());
    let mut last = p.session.received();
    p.answers.clear();
    for _ in 0..60 {
        p.message(4, 0, type_id::AUDIO, 1, &[0xaf; 1000]);
        for ack in std::mem::take(&mut p.answers) {
            assert_eq!(ack.type_id, type_id::ACK);
            let total = u32::from_be_bytes(ack.payload[..].try_into().unwrap());
            assert_eq!(u64::from(total), p.session.received(), "it is the total");
            assert!(u64::from(total) - last < 10_000, "before the window is full");
            last = total.into();
        }
        assert!(p.session.received() - last < 10_000);
    }
    assert!(last > 50_000);
}

#[test]
fn acknowledges_during_play_too() {
    let mut p = Peer::playing();
    p.message(2, 0, type_id::WINDOW_ACK_SIZE, 0, &100u32.to_be_bytes());
    p.answers.clear();
    for i in 0..10 {
        p.message(2, 0, type_id::ACK, 0, &[0, 0, 0, i]);
    }
    assert!(p.answers.iter().any(|m| m.type_id == type_id::ACK));
}

#[test]
fn the_total_wraps_at_32_bits() {
    let mut p = Peer::connected();
    p.message(2, 0, type_id::WINDOW_ACK_SIZE, 0, &1000u32.to_be_bytes());
    p.session.acks.received = u64::from(u32::MAX) - 100;
    p.session.acks.acknowledged = p.session.acks.received;
    p.answers.clear();
    p.message(4, 0, type_id::AUDIO, 1, &[0xaf; 700]);
    let total = p.session.received();
    assert!(total > u64::from(u32::MAX));
    assert_eq!(p.controls(), [(type_id::ACK, (total as u32).to_be_bytes().to_vec())]);
}

#[test]
fn in_ack_size_stands_above_the_peers_wish() {
    let mut p = Peer::new();
    p.options.in_ack_size = 100;
    p.connect(&[]);
    p.message(2, 0, type_id::WINDOW_ACK_SIZE, 0, &1_000_000u32.to_be_bytes());
    p.answers.clear();
    p.message(4, 0, type_id::AUDIO, 1, &[0xaf; 120]);
    assert_eq!(p.controls().len(), 1);
}

#[test]
fn nothing_is_asked_where_out_ack_size_is_zero() {
    let mut p = Peer::new();
    p.options.out_ack_size = 0;
    p.connect(&[]);
    assert!(p.controls().iter().all(|(kind, _)| *kind != type_id::WINDOW_ACK_SIZE));
}

#[test]
fn a_refused_connect_is_told_and_closed() {
    let mut p = Peer::new();
    p.allows = false;
    p.connect(&[]);
    assert!(p.session.is_waiting() && p.answers.is_empty());
    assert_eq!(p.session.timeout(), None, "the host may take its time");
    p.session.refuse("not today");
    p.drain();
    assert!(p.closed && !p.session.is_waiting());
    assert_eq!(p.said(), [("_error".to_owned(), 1.0)]);
    assert_eq!(p.codes(), ["NetConnection.Connect.Rejected"]);
    let told = p.commands()[0].iter().find_map(|v| v.property("description").cloned());
    assert_eq!(told, Some("not today".into()));
}

#[test]
fn a_refused_publish_or_play_is_told_and_closed() {
    for (name, code) in [("publish", "NetStream.Publish.BadName"), ("play", "NetStream.Play.Failed")] {
        let mut p = Peer::connected();
        p.allows = false;
        p.command(1, name, &[Value::Null, "a".into()]);
        p.session.refuse("no");
        p.drain();
        assert!(p.closed);
        assert_eq!(p.codes(), [code]);
        assert_eq!(p.commands()[0][3].property("level"), Some(&"error".into()));
    }
}

#[test]
fn a_peer_is_sent_to_another_server() {
    let mut p = Peer::new();
    p.connect(&[("camrillVia", "0123".into())]);
    assert_eq!(p.session.client().unwrap().via, "0123");
    p.session.redirect(&RtmpUrl::parse("rtmp://b:99/live?vhost=c/a?token=x").unwrap());
    assert!(!p.session.is_waiting(), "there was nothing to be had elsewhere");
    p.command(0, "createStream", &[Value::Null]);
    p.allows = false;
    p.answers.clear();
    p.command(1, "play", &[Value::Null, "a?token=x".into()]);
    p.session.redirect(&RtmpUrl::parse("rtmp://b:99/live?vhost=c/a?token=x").unwrap());
    p.drain();
    assert!(p.closed);
    assert_eq!(p.codes(), ["NetConnection.Connect.Rejected"]);
    let ex = p.commands()[0][3].property("ex").cloned().unwrap();
    assert_eq!(ex.property("code"), Some(&302.0.into()));
    assert_eq!(ex.property("redirect"), Some(&"rtmp://b:99/live?vhost=c".into()));
    assert_eq!(ex.property("redirect2"), Some(&"rtmp://b:99/live?vhost=c/a?token=x".into()));
}

#[test]
fn input_is_held_back_until_the_host_has_answered() {
    let mut p = Peer::new();
    p.allows = false;
    p.connect(&[]);
    p.command(0, "createStream", &[Value::Null]);
    p.command(1, "publish", &[Value::Null, "a".into()]);
    p.media(0, type_id::VIDEO, KEY);
    assert_eq!(p.events.len(), 1);
    assert!(p.answers.is_empty() && !p.held.is_empty());
    // The wait does not count as the peer's own time.
    assert_eq!(p.pass(Duration::from_secs(60)), None);
    p.session.accept_connect(p.now, &OPTIONS);
    p.drain();
    assert_eq!(p.pass(Duration::from_secs(1)), None);
    p.feed(&[]);
    assert!(matches!(p.events.as_slice(), [Event::Connect(_), Event::Publish(_)]));
    p.session.accept_publish(p.now, PUBLISH);
    p.drain();
    p.feed(&[]);
    assert_eq!(p.frames(), [(Kind::Video, Role::Key, 0)]);
    assert!(p.held.is_empty());
}

#[test]
fn the_handshake_has_its_time() {
    let mut p = Peer::silent();
    p.session.handle_input(p.now, &mut &[3u8, 0, 0][..]).unwrap();
    assert_eq!(p.session.timeout(), Some(Time::ZERO + HANDSHAKE));
    assert_eq!(p.pass(Duration::from_millis(9_999)), None);
    assert_eq!(p.pass(Duration::from_millis(1)).unwrap(), "timeout: no whole handshake within 10000 ms");

    let mut p = Peer::new();
    assert_eq!(p.pass(HANDSHAKE).unwrap(), "timeout: no connect command within 10000 ms");
    let mut p = Peer::connected();
    assert_eq!(p.pass(HANDSHAKE).unwrap(), "timeout: no publish or play command within 10000 ms");
    let mut p = Peer::playing();
    assert_eq!(p.session.timeout(), None);
    assert_eq!(p.pass(HANDSHAKE * 1000), None);
}

#[test]
fn a_publisher_has_its_times() {
    let mut p = Peer::publishing();
    assert_eq!(p.pass(Duration::from_millis(19_999)), None);
    let told = p.pass(Duration::from_millis(1)).unwrap();
    assert_eq!(told, "timeout: no first packet of the publish (firstpkt_timeout) within 20000 ms");

    let mut p = Peer::publishing();
    for i in 0..5 {
        p.media(i * 4999, type_id::AUDIO, AUDIO);
        assert_eq!(p.pass(Duration::from_millis(4_999)), None);
    }
    // Commands and controls are no media.
    p.message(2, 0, type_id::USER_CONTROL, 0, &ping(1));
    let told = p.pass(Duration::from_millis(1)).unwrap();
    assert_eq!(told, "timeout: no packet of the publish (normal_timeout) within 5000 ms");
}

#[test]
fn a_connection_may_idle_between_publishes_for_a_while() {
    let mut p = Peer::publishing();
    p.media(0, type_id::AUDIO, AUDIO);
    p.command(0, "FCUnpublish", &[Value::Null, "a".into()]);
    assert_eq!(p.pass(IDLE_BETWEEN - Duration::from_millis(1)), None);
    assert!(p.pass(Duration::from_millis(1)).unwrap().contains("no publish or play command"));
}

#[test]
fn commands_wait_for_connect() {
    for name in ["createStream", "publish", "play", "releaseStream", "anything"] {
        let mut p = Peer::new();
        p.command(0, name, &[Value::Null, "a".into()]);
        let Some(error) = &p.error else { panic!("{name} passed") };
        assert!(error.to_string().contains("where connect is expected"), "{error}");
    }
    let mut p = Peer::connected();
    p.connect(&[]);
    assert!(matches!(p.error, Some(SessionError::Order { command: "connect", .. })));
}

#[test]
fn media_before_anything_is_passed_over() {
    let mut p = Peer::new();
    p.media(0, type_id::VIDEO, KEY);
    p.connect(&[]);
    p.media(0, type_id::VIDEO, KEY);
    assert!(p.error.is_none() && p.frames().is_empty());
}

#[test]
fn commands_in_the_wrong_place_are_refused() {
    let mut p = Peer::publishing();
    p.command(1, "publish", &[Value::Null, "b".into()]);
    assert!(matches!(p.error, Some(SessionError::Order { command: "publish", .. })));
    let mut p = Peer::publishing();
    p.command(1, "play", &[Value::Null, "b".into()]);
    assert!(matches!(p.error, Some(SessionError::Order { command: "play", .. })));
    let mut p = Peer::playing();
    p.command(0, "createStream", &[Value::Null]);
    p.command(2, "play", &[Value::Null, "b".into()]);
    assert!(matches!(p.error, Some(SessionError::Order { command: "play", .. })));
}

#[test]
fn message_streams_are_limited() {
    let mut p = Peer::connected();
    for _ in 0..limits::RTMP_MESSAGE_STREAMS {
        p.command(0, "createStream", &[Value::Null]);
    }
    assert_eq!(p.answers.len(), limits::RTMP_MESSAGE_STREAMS);
    assert!(p.error.is_none());
    p.command(0, "createStream", &[Value::Null]);
    assert_eq!(p.error, Some(SessionError::Streams));
}

#[test]
fn bad_names_end_the_session() {
    for name in ["", "?token=x", "../../etc/passwd", "a\u{1}b", &"x".repeat(600)] {
        for command in ["publish", "play"] {
            let mut p = Peer::connected();
            p.command(1, command, &[Value::Null, name.into()]);
            assert!(matches!(p.error, Some(SessionError::Url(_))), "{command} {name:?}: {:?}", p.error);
            assert!(p.events.is_empty());
        }
    }
    let mut p = Peer::connected();
    p.command(1, "publish", &[Value::Null, 5.0.into()]);
    assert!(matches!(p.error, Some(SessionError::Url(UrlError::NoStream))));
}

#[test]
fn a_malformed_frame_is_left_out_and_the_session_goes_on() {
    let mut p = Peer::publishing();
    p.media(0, type_id::VIDEO, &[0x17]);
    p.media(0, type_id::VIDEO, &[0x27, 1, 0]);
    p.media(0, type_id::AUDIO, &[0x95, 0]);
    p.media(0, type_id::DATA_AMF0, &[2, 0xff, 0xff, b'x']);
    p.media(0, type_id::DATA_AMF0, &[3; 100]);
    let bad = |e: &Event| match e {
        Event::Bad { stream: 1, kind, .. } => Some(*kind),
        _ => None,
    };
    let kinds: Vec<_> = p.events.iter().filter_map(bad).collect();
    use Kind::*;
    assert_eq!(kinds, [Video, Video, Audio, Data, Data]);
    p.events.clear();
    p.media(40, type_id::VIDEO, KEY);
    assert_eq!(p.frames(), [(Video, Role::Key, 40)]);
    assert!(p.error.is_none());
}

#[test]
fn malformed_commands_and_controls_end_the_session() {
    for (kind, body) in [
        (type_id::COMMAND_AMF0, &[2, 0xff][..]),
        (type_id::COMMAND_AMF0, &[3; 500]),
        (type_id::WINDOW_ACK_SIZE, &[0, 0]),
        (type_id::SET_PEER_BANDWIDTH, &[]),
        (type_id::USER_CONTROL, &[0]),
        (type_id::SET_CHUNK_SIZE, &[0, 0, 0, 0]),
        (type_id::SET_CHUNK_SIZE, &[0x80, 0, 0, 0]),
    ] {
        let mut p = Peer::connected();
        p.message(2, 0, kind, 0, body);
        assert!(p.error.is_some(), "{kind} {body:?}");
    }
}

#[test]
fn messages_without_a_body_do_no_harm() {
    let mut p = Peer::publishing();
    for kind in [type_id::COMMAND_AMF0, type_id::COMMAND_AMF3, type_id::AGGREGATE, type_id::DATA_AMF0, 99, 0]
    {
        p.message(5, 0, kind, 1, &[]);
    }
    assert!(p.error.is_none() && p.events.is_empty() && p.answers.is_empty(), "{:?}", p.events);
}

#[test]
fn long_messages_are_for_publishers() {
    let mut announced = BytesMut::new();
    let mut writer = ChunkWriter::new();
    let long = vec![0; limits::RTMP_MESSAGE_BYTES_BEFORE_PUBLISH + 1];
    writer.write(&mut announced, 6, 0, type_id::VIDEO, 1, &long);
    for mut p in [Peer::new(), Peer::connected(), Peer::playing()] {
        p.feed(&announced[..100]);
        assert!(matches!(p.error, Some(SessionError::Chunk(ChunkError::MessageTooLong { .. }))));
    }
    let mut p = Peer::publishing();
    p.command(0, "FCUnpublish", &[Value::Null, "a".into()]);
    p.feed(&announced);
    assert!(p.error.is_none(), "a keyframe may cross the unpublish");
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let mut p = Peer::playing();
    p.command(1, "receiveVideo", &[Value::Null, true.into()]);
    assert_eq!(p.session.out.capacity(), 0);
    assert_eq!(p.session.partial_bytes(), 0);
}

/// Everything that a publisher may send in one stream of bytes, C2 and all.
fn whole_stream() -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut w = ChunkWriter::new();
    let object = Value::Object(vec![("app".into(), "live".into()), ("tcUrl".into(), "rtmp://h/live".into())]);
    let mut put = |w: &mut ChunkWriter, csid, ts, kind, stream, body: &[u8]| {
        w.write(&mut out, csid, ts, kind, stream, body);
    };
    put(&mut w, 3, 0, type_id::COMMAND_AMF0, 0, &command("connect", 1.0, &[object]));
    put(&mut w, 2, 0, type_id::WINDOW_ACK_SIZE, 0, &300u32.to_be_bytes());
    put(&mut w, 2, 0, type_id::SET_CHUNK_SIZE, 0, &200u32.to_be_bytes());
    w.set_chunk_size(200);
    put(&mut w, 3, 0, type_id::COMMAND_AMF0, 0, &command("createStream", 2.0, &[Value::Null]));
    put(&mut w, 3, 0, type_id::COMMAND_AMF0, 1, &command("publish", 3.0, &[Value::Null, "a".into()]));
    put(&mut w, 4, 0, type_id::DATA_AMF0, 1, &metadata(&[("width", 640.0.into())]));
    put(&mut w, 6, 0, type_id::VIDEO, 1, VIDEO_HEADER);
    put(&mut w, 6, 0xff_fff0, type_id::VIDEO, 1, &[KEY, &[7; 500]].concat());
    put(&mut w, 4, 0x100_0010, type_id::AUDIO, 1, AUDIO);
    put(&mut w, 6, 0x100_0020, type_id::VIDEO, 1, &[0x27]);
    let parts = [sub(type_id::VIDEO, 0, DELTA), sub(type_id::AUDIO, 9, AUDIO)];
    put(&mut w, 6, 0x100_0030, type_id::AGGREGATE, 1, &parts.concat());
    put(&mut w, 2, 0, type_id::USER_CONTROL, 0, &ping(9));
    put(&mut w, 3, 0, type_id::COMMAND_AMF0, 0, &command("deleteStream", 4.0, &[Value::Null, 1.0.into()]));
    out.to_vec()
}

/// The events, and the answers but for acknowledgements, whose place hangs on what came at a time.
fn outcome(pieces: &[usize]) -> (Vec<String>, Vec<Message>, Option<SessionError>) {
    let mut p = Peer::new();
    let wire = whole_stream();
    let mut rest = wire.as_slice();
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
        p.feed(head);
        rest = tail;
    }
    p.answers.retain(|m| m.type_id != type_id::ACK);
    (p.events.iter().map(|e| format!("{e:?}")).collect(), p.answers, p.error)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same(pieces in prop::collection::vec(1..400usize, 1..12)) {
        let whole = outcome(&[usize::MAX]);
        prop_assert_eq!(whole.0.len(), 10);
        prop_assert!(whole.2.is_none());
        prop_assert_eq!(outcome(&pieces), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), publishing: bool) {
        let mut p = if publishing { Peer::publishing() } else { Peer::new() };
        p.feed(&bytes);
    }
}
