//! Operations on the hub in any order, beside a model of what must be true: who publishes and plays,
//! what the rings hold, and what each player has been given.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::{BufMut, Bytes, BytesMut};
use camrill::config::{Config, OnConflict, Settings, TimeJitter, Vhost};
use camrill::hub::{Hub, LaneKey, Name, Player, Published, Refused, Source, Step, Stream, Totals};
use camrill::media::{Chain, Codec, Frame, Headers, Kind, Mux, Ring, Role};
use camrill::time::Time;
use libfuzzer_sys::fuzz_target;

/// What a ring holds at most, as the hub has it.
const RING_FRAMES: usize = 4096;
/// What the hub may hold back to bring audio and video into order.
const MIX_FRAMES: u64 = 32;

#[derive(Arbitrary, Debug)]
enum Op {
    Publish {
        name: u8,
        source: u8,
    },
    Unpublish {
        name: u8,
        source: u8,
    },
    Play {
        name: u8,
    },
    Stop {
        player: u8,
    },
    Write {
        name: u8,
        kind: u8,
        role: u8,
        size: u8,
        dts: i16,
        version: bool,
    },
    /// Many frames, 40 ms apart, every `gop` of them of the role, the others deltas.
    WriteMany {
        name: u8,
        kind: u8,
        role: u8,
        count: u8,
        gop: u8,
        size: u8,
    },
    Jump {
        dts: i32,
    },
    /// A turn of the loop: players that aren't blocked take what they can, and `sent` of it goes out.
    Flush {
        name: u8,
        blocked: u8,
        room: u8,
        sent: u8,
    },
    Pause {
        player: u8,
        paused: bool,
    },
    Receive {
        player: u8,
        video: bool,
        wanted: bool,
    },
    Reload {
        vhost: bool,
        settings: Limits,
    },
    SayAtc {
        name: u8,
    },
    Pass {
        ms: u16,
    },
}

#[derive(Arbitrary, Debug)]
struct Limits {
    bytes: u8,
    gop_frames: u8,
    queue: u8,
    flags: u8,
    merge: u8,
}

impl Limits {
    fn vhost(&self, base: &Vhost) -> Arc<Vhost> {
        let mut vhost = base.clone();
        let play = &mut vhost.play;
        play.ring_bytes = [0, 300, 4000, 1 << 20][usize::from(self.bytes) % 4];
        play.gop_cache_max_frames = [0, 3, 20, 2500][usize::from(self.gop_frames) % 4];
        play.queue_length = Duration::from_millis([0, 100, 2000, 30_000][usize::from(self.queue) % 4]);
        play.gop_cache = self.flags & 1 != 0;
        play.mix_correct = self.flags & 2 != 0;
        play.reduce_sequence_header = self.flags & 4 != 0;
        play.atc_auto = self.flags & 8 != 0;
        play.time_jitter = match self.flags >> 4 & 3 {
            0 | 1 => TimeJitter::Full,
            2 => TimeJitter::Zero,
            _ => TimeJitter::Off,
        };
        vhost.publish.on_conflict =
            if self.flags & 64 != 0 { OnConflict::Replace } else { OnConflict::Refuse };
        play.mw_latency = Duration::from_millis((self.merge & 15).into());
        play.mw_msgs = (self.merge >> 4).into();
        Arc::new(vhost)
    }
}

/// One stream as it must be.
#[derive(Default)]
struct StreamModel {
    id: u32,
    publisher: Option<Source>,
    /// How many publishes it has seen.
    publish: u32,
    written: Vec<Written>,
    totals: Totals,
    /// Whether what is counted in may still wait to be put in order.
    mixed: bool,
    users: BTreeMap<u64, usize>,
}

struct Written {
    id: u64,
    kind: Kind,
    role: Role,
    version: u8,
    publish: u32,
}

/// One player as it must be.
struct PlayerModel {
    name: usize,
    stream: u32,
    player: Player,
    paused: bool,
    wants_audio: bool,
    wants_video: bool,
    seen: Seen,
}

/// What a player has been given.
#[derive(Clone, Default)]
struct Seen {
    /// The frame before, since it last had to begin anew.
    last: Option<u64>,
    /// Headers have come since the last frame.
    headers: bool,
    /// A keyframe has come, and all frames after it.
    decodable: bool,
    /// The newest id of each kind.
    ids: [Option<u64>; 3],
    /// The video header in force.
    config: Option<u8>,
}

struct World {
    hub: Hub,
    now: Time,
    dts: i64,
    next_id: u64,
    next_client: u32,
    vhosts: [Arc<Vhost>; 2],
    streams: BTreeMap<usize, StreamModel>,
    players: BTreeMap<u32, PlayerModel>,
}

fuzz_target!(|input: (Limits, Limits, Vec<Op>)| {
    let (settings, _) = Settings::from_config(&Config::new()).expect("the defaults");
    let base = settings.vhost("").expect("the default vhost");
    let mut world = World {
        hub: Hub::default(),
        now: Time::ZERO,
        dts: 0,
        next_id: 1,
        next_client: 1,
        vhosts: [input.0.vhost(base), input.1.vhost(base)],
        streams: BTreeMap::new(),
        players: BTreeMap::new(),
    };
    for op in input.2 {
        world.run(op, base);
        world.check();
    }
    world.end();
});

fn name(n: usize) -> Name {
    Name { vhost: format!("v{}", n & 1), app: "live".into(), stream: format!("s{}", n >> 1) }
}

fn source(n: u8) -> Source {
    match n % 4 {
        0 => Source::Client(1, 1),
        1 => Source::Client(1, 2),
        2 => Source::Encoder(1),
        _ => Source::Ingest(1),
    }
}

fn kind_of(n: u8) -> Kind {
    [Kind::Audio, Kind::Video, Kind::Video, Kind::Data][usize::from(n % 4)]
}

fn role_of(n: u8) -> Role {
    [Role::Header, Role::Key, Role::Delta, Role::Mark][usize::from(n % 4)]
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Audio => 0,
        Kind::Video => 1,
        Kind::Data => 2,
    }
}

fn id_of(frame: &Frame) -> u64 {
    u64::from_be_bytes(frame.relay[..8].try_into().expect("an id"))
}

impl World {
    fn run(&mut self, op: Op, base: &Vhost) {
        match op {
            Op::Publish { name, source: s } => self.publish(usize::from(name % 4), source(s)),
            Op::Unpublish { name, source: s } => self.unpublish(usize::from(name % 4), source(s)),
            Op::Play { name } => self.play(usize::from(name % 4)),
            Op::Stop { player } => {
                if let Some(client) = self.pick(player) {
                    self.stop(client);
                }
            }
            Op::Write { name, kind, role, size, dts, version } => {
                self.dts = self.dts.saturating_add(i64::from(dts) * 1000);
                self.write(usize::from(name % 4), kind_of(kind), role_of(role), size, version.into());
            }
            Op::WriteMany { name, kind, role, count, gop, size } => {
                for i in 0..count {
                    self.dts = self.dts.saturating_add(40_000);
                    let role = if i % gop.max(1) == 0 { role_of(role) } else { Role::Delta };
                    self.write(usize::from(name % 4), kind_of(kind), role, size, 0);
                }
            }
            Op::Jump { dts } => self.dts = self.dts.saturating_add(i64::from(dts) << 20),
            Op::Flush { name, blocked, room, sent } => {
                self.flush(usize::from(name % 4), blocked, room.into(), sent.into())
            }
            Op::Pause { player, paused } => {
                let Some(model) = self.pick(player).and_then(|c| self.players.get_mut(&c)) else { return };
                let head = self.hub.stream(model.stream).expect("a player's stream").ring().head();
                model.player.pause(paused, head);
                if model.paused && !paused {
                    model.seen = Seen::default();
                }
                model.paused = paused;
            }
            Op::Receive { player, video, wanted } => {
                let Some(model) = self.pick(player).and_then(|c| self.players.get_mut(&c)) else { return };
                let head = self.hub.stream(model.stream).expect("a player's stream").ring().head();
                let kind = if video { Kind::Video } else { Kind::Audio };
                model.player.receive(kind, wanted, head);
                if video && wanted && !model.wants_video {
                    model.seen = Seen::default();
                }
                *if video { &mut model.wants_video } else { &mut model.wants_audio } = wanted;
            }
            Op::Reload { vhost, settings } => {
                self.vhosts[usize::from(vhost)] = settings.vhost(base);
                let vhosts = &self.vhosts;
                self.hub.reload(|name| match name {
                    "v0" => Some(vhosts[0].clone()),
                    "v1" => Some(vhosts[1].clone()),
                    _ => None,
                });
                for (n, model) in &mut self.streams {
                    model.mixed = self.vhosts[n & 1].play.mix_correct;
                }
            }
            Op::SayAtc { name } => {
                let Some(model) = self.streams.get(&usize::from(name % 4)) else { return };
                self.hub.stream_mut(model.id).expect("a stream").metadata_says_atc(true);
            }
            Op::Pass { ms } => self.now = self.now + Duration::from_millis(ms.into()),
        }
    }

    fn publish(&mut self, n: usize, source: Source) {
        let settings = self.vhosts[n & 1].clone();
        let before = self.streams.get(&n).and_then(|s| s.publisher);
        match self.hub.publish(self.now, &name(n), &settings, source) {
            Err(Refused::Busy) => {
                assert!(before.is_some() && settings.publish.on_conflict == OnConflict::Refuse);
            }
            Err(Refused::Full) => panic!("four streams fill no table"),
            Ok(Published { stream, replaced }) => {
                assert_eq!(replaced, before);
                let model = self.open(n, stream);
                model.publisher = Some(source);
                model.publish += 1;
            }
        }
    }

    fn unpublish(&mut self, n: usize, source: Source) {
        let Some(model) = self.streams.get_mut(&n) else { return };
        let was = model.publisher == Some(source);
        assert_eq!(self.hub.unpublish(self.now, model.id, source), was);
        if was {
            model.publisher = None;
        }
        self.close_if_unused(n);
    }

    fn play(&mut self, n: usize) {
        let client = self.next_client;
        self.next_client += 1;
        let settings = self.vhosts[n & 1].clone();
        let (stream, player) =
            self.hub.play(self.now, &name(n), &settings, client).expect("four streams fill no table");
        let lane = u64::from(client % 2);
        self.hub.stream_mut(stream).expect("a stream").attach(LaneKey::Free(lane), || Box::new(Echo));
        *self.open(n, stream).users.entry(lane).or_default() += 1;
        let model = PlayerModel {
            name: n,
            stream,
            player,
            paused: false,
            wants_audio: true,
            wants_video: true,
            seen: Seen::default(),
        };
        self.players.insert(client, model);
    }

    fn stop(&mut self, client: u32) {
        let Some(model) = self.players.remove(&client) else { return };
        let lane = u64::from(client % 2);
        self.hub.stream_mut(model.stream).expect("a player's stream").detach(LaneKey::Free(lane));
        let stream = self.streams.get_mut(&model.name).expect("a player's stream");
        *stream.users.get_mut(&lane).expect("a lane") -= 1;
        self.hub.stop(self.now, model.stream, client);
        self.close_if_unused(model.name);
    }

    fn write(&mut self, n: usize, kind: Kind, role: Role, size: u8, version: u8) {
        let Some(model) = self.streams.get_mut(&n).filter(|s| s.publisher.is_some()) else { return };
        let id = self.next_id;
        self.next_id += 1;
        let mut relay = BytesMut::new();
        relay.put_u64(id);
        relay.put_u8(version);
        relay.put_bytes(0, usize::from(size) * 4);
        let relay = relay.freeze();
        // Two headers of one version are the same header.
        let payload = if role == Role::Header { relay.slice(8..9) } else { relay.clone() };
        let codec = match kind {
            Kind::Audio => Codec::Aac,
            Kind::Video => Codec::H264,
            Kind::Data => Codec::Script,
        };
        let pts = self.dts.saturating_add(40_000);
        let frame = Frame { kind, codec, role, dts: self.dts, pts, payload: payload.into(), relay };
        let size = frame.size() as u64;
        let stream = self.hub.stream_mut(model.id).expect("a stream");
        let head = stream.ring().head();
        let any = stream.write(self.now, frame);

        model.written.push(Written { id, kind, role, version, publish: model.publish });
        let totals = &mut model.totals;
        totals.bytes += size;
        match (kind, role) {
            (Kind::Video, Role::Key | Role::Delta) => totals.video_frames += 1,
            (Kind::Audio, Role::Key | Role::Delta) => totals.audio_frames += 1,
            _ => {}
        }
        assert!(!any || (stream.due().is_some() && !stream.players().is_empty()));
        let ring = stream.ring();
        if ring.head() > head {
            bounded(ring, stream);
        }
    }

    /// What the engine does when a stream's gathered frames are due.
    fn flush(&mut self, n: usize, blocked: u8, room: usize, sent: usize) {
        let Some(stream_model) = self.streams.get(&n) else { return };
        let stream = self.hub.stream_mut(stream_model.id).expect("a stream");
        let mut oldest = u64::MAX;
        for (at, client) in stream.players().to_vec().into_iter().enumerate() {
            let model = self.players.get_mut(&client).expect("a player");
            if blocked >> (at % 8) & 1 == 0 {
                take(model, stream_model, stream, LaneKey::Free(u64::from(client % 2)), room, sent);
            }
            oldest = oldest.min(model.player.cursor());
        }
        stream.flushed(self.now, oldest);
        assert!(stream.due().is_none());
        let ring = stream.ring();
        let images: usize = (ring.base()..ring.head()).filter_map(|seq| ring.frame(seq)).count() * 8;
        assert!(stream.lane_bytes() <= 2 * images);
    }

    fn open(&mut self, n: usize, id: u32) -> &mut StreamModel {
        let mixed = self.vhosts[n & 1].play.mix_correct;
        let model = self.streams.entry(n).or_insert_with(|| StreamModel { id, mixed, ..Default::default() });
        assert_eq!(model.id, id);
        model
    }

    fn close_if_unused(&mut self, n: usize) {
        let played = self.players.values().any(|p| p.name == n);
        if self.streams.get(&n).is_some_and(|s| s.publisher.is_none()) && !played {
            let model = self.streams.remove(&n).expect("it is there");
            assert!(self.hub.stream(model.id).is_none());
        }
    }

    fn pick(&self, n: u8) -> Option<u32> {
        self.players.keys().nth(usize::from(n) % self.players.len().max(1)).copied()
    }

    fn check(&self) {
        assert_eq!(self.hub.len(), self.streams.len());
        assert_eq!(self.hub.iter().count(), self.streams.len());
        for n in 0..4 {
            assert_eq!(self.hub.find(&name(n)), self.streams.get(&n).map(|s| s.id));
        }
        for (n, model) in &self.streams {
            let stream = self.hub.stream(model.id).expect("a stream that is used");
            assert_eq!(stream.publisher(), model.publisher);
            assert_eq!(stream.settings(), &self.vhosts[n & 1]);
            let mut players = stream.players().to_vec();
            players.sort_unstable();
            let expected: Vec<u32> =
                self.players.iter().filter(|(_, p)| p.name == *n).map(|(client, _)| *client).collect();
            assert_eq!(players, expected);
            assert_eq!(stream.idle_since().is_none(), !players.is_empty());

            let ring = stream.ring();
            let held = (ring.base()..ring.head()).map(|seq| ring.frame(seq).expect("a frame held").size());
            assert_eq!(ring.bytes(), held.sum::<usize>());
            assert_eq!(ring.head() - ring.base(), ring.len() as u64);
            assert!(ring.len() <= RING_FRAMES);

            let totals = stream.totals();
            assert_eq!(Totals { dropped: 0, ..totals }, model.totals);
            let (written, passed) = (model.written.len() as u64, ring.head() + totals.dropped);
            assert!(passed <= written, "{passed} frames of {written}");
            assert!(written - passed <= if model.mixed { MIX_FRAMES } else { 0 });
            if model.users.values().all(|users| *users == 0) {
                assert_eq!(stream.lane_bytes(), 0);
            }
        }
    }

    /// When all have gone, nothing is left.
    fn end(mut self) {
        while let Some(client) = self.players.keys().next().copied() {
            self.stop(client);
            self.check();
        }
        for n in 0..4 {
            if let Some(publisher) = self.streams.get(&n).and_then(|s| s.publisher) {
                self.unpublish(n, publisher);
            }
        }
        self.check();
        assert!(self.hub.is_empty());
    }
}

/// The limits hold after a frame was added.
fn bounded(ring: &Ring, stream: &Stream) {
    let play = &stream.settings().play;
    assert!(ring.bytes() <= play.ring_bytes);
    if !stream.players().is_empty()
        && let (Some(first), Some(last)) = (ring.frame(ring.base()), ring.frame(ring.head().wrapping_sub(1)))
    {
        let late = last.dts.saturating_sub(first.dts) > play.queue_length.as_micros() as i64;
        assert!(!late || ring.join(0).is_some_and(|start| start.seq <= ring.base()));
    }
}

/// A format whose images are the first bytes of the frames.
#[derive(Debug)]
struct Echo;

impl Mux for Echo {
    fn start(&mut self, _: &Headers) {}

    fn image(&mut self, frame: &Frame) -> Chain {
        frame.relay.slice(..8).into()
    }

    fn preamble(&mut self, _: &Headers, _: i64) -> Bytes {
        Bytes::new()
    }
}

/// One turn of one player: it takes up to `room` steps, and the first `sent` of the frames go out.
fn take(
    model: &mut PlayerModel,
    written: &StreamModel,
    stream: &mut Stream,
    lane: LaneKey,
    room: usize,
    sent: usize,
) {
    let queue_us = stream.settings().play.queue_length.as_micros() as i64;
    let gop_cache = stream.settings().play.gop_cache;
    let (ring, lane) = stream.ring_and_lane(lane);
    let lane = lane.expect("a player's lane");
    let mut given = Vec::new();
    for _ in 0..room {
        match model.player.step(ring, queue_us) {
            Step::Wait => {
                model.waits(ring, gop_cache);
                break;
            }
            Step::Headers(headers, at) => {
                assert!(lane.join(model.player.cursor(), headers, at).is_empty());
                model.seen.headers = true;
                model.seen.decodable = false;
                model.seen.config = headers.video.as_ref().map(|header| header.relay[8]);
            }
            Step::Frame(seq, frame) => {
                given.push((seq, model.seen.clone()));
                model.seen.frame(seq, frame, ring, written, (model.wants_audio, model.wants_video));
                let image = lane.image(ring, seq).expect("a frame that is held");
                assert_eq!(image, &frame.relay[..8]);
                model.player.taken();
            }
        }
        assert!(!model.paused);
    }
    // Headers are never given back, so what comes after them in a turn is not either.
    if let Some((seq, seen)) = given.into_iter().nth(sent)
        && !(model.seen.headers && !seen.headers)
    {
        model.player.back_to(seq);
        model.seen = seen;
    }
}

impl PlayerModel {
    /// With a keyframe to start from, nobody waits while there are frames.
    fn waits(&self, ring: &Ring, gop_cache: bool) {
        let Some(start) = ring.join(0).filter(|_| gop_cache && self.wants_video && !self.paused) else {
            return;
        };
        let next = self.seen.last.map_or(start.seq, |last| last + 1);
        let wanted = |frame: &Frame| frame.kind != Kind::Audio || self.wants_audio;
        let left = (next..ring.head()).filter_map(|seq| ring.frame(seq)).filter(|f| wanted(f)).count();
        assert_eq!(left, 0, "a player waits at {next}, before {}", ring.head());
    }
}

impl Seen {
    fn frame(&mut self, seq: u64, frame: &Frame, ring: &Ring, written: &StreamModel, wants: (bool, bool)) {
        match frame.kind {
            Kind::Audio => assert!(wants.0),
            Kind::Video => assert!(wants.1),
            Kind::Data => {}
        }
        match self.last {
            None => assert!(self.headers, "a frame before any headers"),
            Some(last) => {
                assert!(seq > last, "frame {seq} after frame {last}");
                let missed = (last + 1..seq).any(|seq| match ring.frame(seq) {
                    None => true,
                    Some(frame) => frame.kind == Kind::Video && wants.1,
                });
                assert!(self.headers || !missed, "frames between {last} and {seq} left out without headers");
            }
        }
        let id = id_of(frame);
        let newest = &mut self.ids[index(frame.kind)];
        assert!(newest.is_none_or(|newest| id > newest), "one track out of order");
        *newest = Some(id);

        if frame.kind == Kind::Video {
            match frame.role {
                Role::Header => self.config = Some(frame.relay[8]),
                Role::Key => self.decodable = true,
                Role::Delta => assert!(self.decodable, "frame {seq} can't be decoded"),
                Role::Mark => {}
            }
            if matches!(frame.role, Role::Key | Role::Delta) {
                let at = written.written.iter().position(|w| w.id == id).expect("a frame that was written");
                let publish = written.written[at].publish;
                let header = written.written[..at].iter().rev().take_while(|w| w.publish == publish);
                let mut header = header.filter(|w| w.kind == Kind::Video && w.role == Role::Header);
                if let Some(header) = header.next() {
                    assert_eq!(self.config, Some(header.version), "frame {seq} behind the wrong header");
                }
            }
        }
        self.last = Some(seq);
        self.headers = false;
    }
}
