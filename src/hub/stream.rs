//! One stream: its ring, its publisher, its players, and when what it has gathered is due.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::player::Player;
use super::{Name, Source};
use crate::config::{TimeJitter, Vhost};
use crate::media::{
    AudioTrack, Copies, Correction, Frame, Jitter, Kind, Lane, MixQueue, Mux, Ring, RingLimits, Role,
    VideoTrack, audio_track, video_track,
};
use crate::time::Time;

/// However few messages have come, none waits longer than this for `mw_msgs` of them.
const MERGE_MAX: Duration = Duration::from_millis(350);
/// Frames that a ring holds at most, whatever their size: half a minute of audio and 60 fps video.
const RING_FRAMES: usize = 4096;

/// Formats of the kind that peers may choose freely whose images are kept beside one stream.
const FREE_LANES: usize = 4;

/// Names a format's lane; what it means is the engine's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaneKey {
    /// One of a fixed few.
    Fixed(u8),
    /// One of as many as peers can think of: RTMP with a chunk size and a message stream of its own.
    Free(u64),
}

/// What has come in over a stream's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Video frames, headers aside.
    pub video_frames: u64,
    /// Audio frames, headers aside.
    pub audio_frames: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Frames that were not taken: video before the first keyframe, repeated headers.
    pub dropped: u64,
}

/// One stream. It lives as long as somebody publishes or plays it.
#[derive(Debug)]
pub struct Stream {
    name: Name,
    settings: Arc<Vhost>,
    born: Time,
    ring: Ring,
    lanes: SmallVec<[(LaneKey, Lane); 1]>,
    publisher: Option<Source>,
    publish_began: Time,
    /// The sequence number that its first frame has got, or will get.
    publish_head: u64,
    /// Whether it is in no hub: its one player is the host.
    alone: bool,
    /// The parameters of the publisher's URL.
    param: Box<str>,
    players: Vec<u32>,
    /// How many of them are servers that it is sent on to.
    pushes: usize,
    /// Whether frames are wanted in this process too: for segments, for a recording.
    tapped: bool,
    /// Since when nobody has played it.
    idle_since: Time,
    jitter: Jitter,
    mix: MixQueue,
    atc: bool,
    gathered: u32,
    gathering_since: Option<Time>,
    last_flush: Option<Time>,
    /// The due time that an alarm is set for.
    alarm: Option<Time>,
    video: Option<VideoTrack>,
    audio: Option<AudioTrack>,
    /// Whether its publisher will bring video, and whether audio, where it has said so.
    declared: Option<(bool, bool)>,
    totals: Totals,
    wants_key: bool,
    lent: Lent,
}

/// What is known of frames that lie in the host's memory.
#[derive(Debug, Default)]
struct Lent {
    /// The first of them to be wanted back is wanted back then.
    next: Option<Time>,
    /// The time that an alarm is set for.
    alarm: Option<Time>,
}

impl Stream {
    pub(super) fn new(now: Time, name: Name, settings: &Arc<Vhost>) -> Self {
        Self {
            name,
            settings: settings.clone(),
            born: now,
            ring: Ring::new(limits(settings)),
            lanes: SmallVec::new(),
            publisher: None,
            publish_began: now,
            publish_head: 0,
            alone: false,
            param: Box::default(),
            players: Vec::new(),
            pushes: 0,
            tapped: false,
            idle_since: now,
            jitter: Jitter::default(),
            mix: MixQueue::default(),
            atc: settings.play.atc,
            gathered: 0,
            gathering_since: None,
            last_flush: None,
            alarm: None,
            video: None,
            audio: None,
            declared: None,
            totals: Totals::default(),
            wants_key: false,
            lent: Lent::default(),
        }
    }

    /// A stream that is in no hub, so that nobody else finds it, with its one player.
    pub fn alone(now: Time, name: Name, settings: &Arc<Vhost>, client: u32) -> (Self, Player) {
        let mut stream = Self { alone: true, ..Self::new(now, name, settings) };
        let player = stream.join(client, false);
        (stream, player)
    }

    /// A publish begins. Of streams in a hub it is the hub that lets publishers in.
    pub fn begin(&mut self, now: Time, source: Source, settings: &Arc<Vhost>) {
        self.configure(settings);
        self.end(now);
        self.publisher = Some(source);
        let head = self.ring.head();
        self.lanes.iter_mut().for_each(|(_, lane)| lane.begin(head));
        self.jitter.restart();
        self.publish_began = now;
        self.publish_head = head;
        self.declared = None;
        self.idle_since = now;
        self.wants_key = false;
    }

    /// The publish ends.
    pub fn end(&mut self, now: Time) {
        self.unmix();
        // Players get what is left, and then the ring lets go of it.
        self.gather(now);
        self.publisher = None;
        self.atc = self.settings.play.atc;
        self.ring.restart();
        self.video = None;
        self.audio = None;
    }

    /// Lets a player in, who may be a server that the stream is sent on to.
    pub(super) fn join(&mut self, client: u32, is_push: bool) -> Player {
        self.players.push(client);
        self.pushes = self.pushes.saturating_add(usize::from(is_push));
        if self.ring.join(self.ring.head()).is_none() && self.ring.has_video() {
            self.wants_key = true;
        }
        Player::new(self.ring.head())
    }

    pub(super) fn leave(&mut self, now: Time, client: u32, is_push: bool) {
        if let Some(at) = self.players.iter().position(|p| *p == client) {
            self.players.swap_remove(at);
            self.pushes = self.pushes.saturating_sub(usize::from(is_push));
        }
        if self.viewers() == 0 && !is_push {
            self.idle_since = now;
        }
        if self.players.is_empty() {
            self.release_untapped();
        }
        if self.players.capacity() > 64 && self.players.len() < self.players.capacity() / 4 {
            self.players.shrink_to_fit();
        }
    }

    /// Whether frames are wanted in this process too. Then each lies in the ring until [`Stream::flushed`]
    /// or [`Stream::release`], and the stream stays though nobody publishes or plays it.
    pub fn tap(&mut self, tapped: bool) {
        self.tapped = tapped;
        self.release();
    }

    /// Whether frames are wanted in this process too.
    pub fn is_tapped(&self) -> bool {
        self.tapped
    }

    /// Lets go of what nobody needs, where there are no players to keep it for.
    pub fn release(&mut self) {
        if self.players.is_empty() {
            self.ring.trim(u64::MAX);
        }
    }

    /// Takes new settings.
    pub fn configure(&mut self, settings: &Arc<Vhost>) {
        self.settings = settings.clone();
        self.ring.set_limits(limits(settings));
        if !settings.play.mix_correct {
            self.unmix();
        }
    }

    /// Adds a frame with the publisher's own timestamps. `true` if there is something for players.
    pub fn write(&mut self, now: Time, mut frame: Frame) -> bool {
        let settings = self.settings.clone();
        let play = &settings.play;
        let how = self.correction();
        if how != Correction::Off && (frame.role == Role::Header || frame.kind == Kind::Data) {
            // Encoders give these any time, often 0: they must not move the clock.
            frame.dts = self.jitter.now();
            frame.pts = frame.dts;
        } else {
            let composition = frame.pts.saturating_sub(frame.dts);
            frame.dts = self.jitter.correct(how, frame.dts);
            frame.pts = frame.dts.saturating_add(composition);
        }
        self.count(&frame);
        if frame.role == Role::Header {
            // It stays for as long as the publish does.
            frame.payload = frame.payload.owned();
        }
        if let Some(at) = frame.payload.lent_until() {
            self.lend(at);
        }
        if !play.mix_correct {
            return self.push(now, frame);
        }
        self.mix.push(frame);
        let mut any = false;
        while let Some(frame) = self.mix.pop() {
            any |= self.push(now, frame);
        }
        any
    }

    /// The host's memory is held, by the ring or by a connection, and wanted back at `at`.
    pub fn lend(&mut self, at: Time) {
        self.lent.next = Some(self.lent.next.map_or(at, |next| next.min(at)));
    }

    /// When an alarm is to be set for memory that is wanted back, if one is: there is one for each time.
    pub fn take_lent_alarm(&mut self) -> Option<Time> {
        let next = self.lent.next?;
        if self.lent.alarm.is_some_and(|alarm| alarm <= next) {
            return None;
        }
        self.lent.alarm = Some(next);
        Some(next)
    }

    /// The time that the alarm is set for.
    pub fn lent_alarm(&self) -> Option<Time> {
        self.lent.alarm
    }

    /// Gives back the host's memory that is wanted back by now: what is still held of it is copied. Answers how
    /// many frames that were. What connections hold may share the copies.
    pub fn give_back(&mut self, now: Time, copies: &mut Copies) -> usize {
        self.lent = Lent::default();
        let (mixed, a) = self.mix.own(now, copies);
        let (owned, b) = self.ring.own(0, now, copies);
        [a, b].into_iter().flatten().for_each(|at| self.lend(at));
        let base = self.ring.base();
        for (_, lane) in &mut self.lanes {
            lane.trim(base);
            lane.own(0, now, copies);
        }
        mixed.saturating_add(owned)
    }

    /// Has the frames from `from` on lie in memory of our own, for those who keep them for long.
    pub fn own(&mut self, from: u64) {
        let (all, mut copies) = (Time::from_micros(u64::MAX), Copies::default());
        self.ring.own(from, all, &mut copies);
        self.lanes.iter_mut().for_each(|(_, lane)| lane.own(from, all, &mut copies));
    }

    /// When what has been gathered is due, if anything has.
    pub fn due(&self) -> Option<Time> {
        let since = self.gathering_since?;
        let play = &self.settings.play;
        let wait = if self.gathered as usize >= play.mw_msgs {
            play.mw_latency
        } else {
            play.mw_latency.max(MERGE_MAX)
        };
        let due = since + wait;
        Some(self.last_flush.map_or(due, |last| due.max(last + play.send_min_interval)))
    }

    /// Whether an alarm is to be set for `due`: there is one for each time, however many frames wait for it.
    pub fn wants_alarm(&mut self, due: Time) -> bool {
        self.alarm.replace(due) != Some(due)
    }

    /// What had been gathered has been offered to every player; `oldest` is the oldest frame that one
    /// of them still needs.
    pub fn flushed(&mut self, now: Time, oldest: u64) {
        self.gathered = 0;
        self.gathering_since = None;
        self.last_flush = Some(now);
        self.ring.trim(oldest);
        let base = self.ring.base();
        for (_, lane) in &mut self.lanes {
            lane.trim(base);
        }
    }

    /// One more player takes this format; `mux` makes its images. Beyond a few formats that peers choose
    /// images are made for each player anew and not kept: whoever asks for odd ones costs time, not memory.
    pub fn attach(&mut self, key: LaneKey, mux: impl FnOnce() -> Box<dyn Mux>) {
        if let Some((_, lane)) = self.lanes.iter_mut().find(|(k, _)| *k == key) {
            lane.users += 1;
            return;
        }
        let free = self.lanes.iter().filter(|(k, _)| matches!(k, LaneKey::Free(_))).count();
        if matches!(key, LaneKey::Fixed(_)) || free < FREE_LANES {
            let mut lane = Lane::new(mux());
            lane.users = 1;
            self.lanes.push((key, lane));
        }
    }

    /// One player less takes this format; with the last one the lane goes.
    pub fn detach(&mut self, key: LaneKey) {
        if let Some(at) = self.lanes.iter().position(|(k, _)| *k == key)
            && let Some((_, lane)) = self.lanes.get_mut(at)
        {
            lane.users = lane.users.saturating_sub(1);
            if lane.users == 0 {
                self.lanes.swap_remove(at);
            }
        }
    }

    /// The ring and one format's lane beside it.
    pub fn ring_and_lane(&mut self, key: LaneKey) -> (&Ring, Option<&mut Lane>) {
        (&self.ring, self.lanes.iter_mut().find(|(k, _)| *k == key).map(|(_, lane)| lane))
    }

    /// The frames held.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Bytes of wire images over all formats.
    pub fn lane_bytes(&self) -> usize {
        self.lanes.iter().map(|(_, lane)| lane.bytes()).sum()
    }

    /// The publisher's metadata says that its timestamps are absolute (`bravo_atc`, for `atc_auto`).
    pub fn metadata_says_atc(&mut self, says: bool) {
        if self.settings.play.atc_auto && says {
            self.atc = true;
        }
    }

    /// Has players offered what there is, if there are any.
    pub fn gather(&mut self, now: Time) {
        if !self.players.is_empty() {
            self.gathering_since.get_or_insert(now);
        }
    }

    /// A player waits for a keyframe.
    pub fn want_key(&mut self) {
        self.wants_key = true;
    }

    /// Whether somebody waits for a keyframe; asking takes the wish away.
    pub fn take_wants_key(&mut self) -> bool {
        std::mem::take(&mut self.wants_key)
    }

    /// How far a player may lag, in µs (`queue_length`).
    pub fn queue_us(&self) -> i64 {
        self.ring.limits().length_us
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its vhost's settings.
    pub fn settings(&self) -> &Arc<Vhost> {
        &self.settings
    }

    /// When it came to be.
    pub fn born(&self) -> Time {
        self.born
    }

    /// When the publish that is going on, or the last one, began.
    pub fn publish_began(&self) -> Time {
        self.publish_began
    }

    /// The sequence number of that publish's first frame, which may be to come.
    pub fn publish_head(&self) -> u64 {
        self.publish_head
    }

    /// Its publisher will bring video, and audio, or not.
    pub fn declare(&mut self, video: bool, audio: bool) {
        self.declared = Some((video, audio));
    }

    /// Whether a track of that kind may yet come that has not been seen.
    pub fn may_bring(&self, kind: Kind) -> bool {
        let (video, audio) = self.declared.unwrap_or((true, true));
        match kind {
            Kind::Video => video && !self.ring.has_video(),
            Kind::Audio => audio && self.audio.is_none(),
            Kind::Data => false,
        }
    }

    /// Who publishes it.
    pub fn publisher(&self) -> Option<Source> {
        self.publisher
    }

    /// The parameters of its publisher's URL, without `?`.
    pub fn param(&self) -> &str {
        &self.param
    }

    /// The parameters that its publisher has come with.
    pub fn set_param(&mut self, param: &str) {
        self.param = param.into();
    }

    /// Who plays it and is no server that it is sent on to.
    pub fn viewers(&self) -> usize {
        self.players.len().saturating_sub(self.pushes)
    }

    /// Who plays it.
    pub fn players(&self) -> &[u32] {
        &self.players
    }

    /// Since when nobody has played it; `None` while somebody does.
    pub fn idle_since(&self) -> Option<Time> {
        (self.viewers() == 0).then_some(self.idle_since)
    }

    /// What its sequence headers say of the video track.
    pub fn video(&self) -> Option<&VideoTrack> {
        self.video.as_ref()
    }

    /// What its sequence headers say of the audio track.
    pub fn audio(&self) -> Option<&AudioTrack> {
        self.audio.as_ref()
    }

    /// What has come in.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn correction(&self) -> Correction {
        match (self.settings.play.time_jitter, self.publisher) {
            _ if self.atc => Correction::Off,
            (TimeJitter::Off, _) => Correction::Off,
            (TimeJitter::Zero, _) => Correction::Zero,
            (TimeJitter::Full, Some(Source::Encoder(_))) => Correction::ENCODER,
            // Nobody but the host gets its times, who wants those of the source.
            (TimeJitter::Full, _) if self.alone => Correction::ENCODER,
            (TimeJitter::Full, _) => Correction::FULL,
        }
    }

    fn count(&mut self, frame: &Frame) {
        self.totals.bytes = self.totals.bytes.saturating_add(frame.size() as u64);
        match (frame.kind, frame.role) {
            (Kind::Video, Role::Key | Role::Delta) => self.totals.video_frames += 1,
            (Kind::Audio, Role::Key | Role::Delta) => self.totals.audio_frames += 1,
            _ => {}
        }
        if frame.kind == Kind::Video && (frame.role == Role::Header || self.video.is_none()) {
            self.video = video_track(frame).or(self.video.take());
        }
        if frame.kind == Kind::Audio && (frame.role == Role::Header || self.audio.is_none()) {
            self.audio = audio_track(frame).or(self.audio.take());
        }
    }

    /// What waits to be put in order goes on as it stands.
    fn unmix(&mut self) {
        while let Some(frame) = self.mix.take() {
            self.keep(frame);
        }
    }

    fn release_untapped(&mut self) {
        if !self.tapped {
            self.release();
        }
    }

    /// Puts a frame into the ring, unless it is one that isn't taken.
    fn keep(&mut self, frame: Frame) -> bool {
        // Only here is it certain which header is in force: others may have waited to be put in order.
        let repeated = frame.role == Role::Header && self.ring.headers().holds(&frame);
        if repeated && self.settings.play.reduce_sequence_header {
            self.totals.dropped += 1;
            return false;
        }
        if !self.ring.push(frame) {
            self.totals.dropped += 1;
            self.wants_key = true;
            return false;
        }
        true
    }

    fn push(&mut self, now: Time, frame: Frame) -> bool {
        if !self.keep(frame) {
            return false;
        }
        if self.players.is_empty() {
            self.release_untapped();
            return self.tapped;
        }
        self.gathered += 1;
        self.gathering_since.get_or_insert(now);
        true
    }
}

fn limits(vhost: &Vhost) -> RingLimits {
    let play = &vhost.play;
    RingLimits {
        bytes: play.ring_bytes,
        frames: RING_FRAMES,
        length_us: i64::try_from(play.queue_length.as_micros()).unwrap_or(i64::MAX),
        gop_cache: play.gop_cache,
        linger_us: vhost
            .remux
            .as_ref()
            .map_or(0, |remux| i64::try_from(remux.fast_cache.as_micros()).unwrap_or(i64::MAX)),
        gop_frames: if play.gop_cache_max_frames == 0 { usize::MAX } else { play.gop_cache_max_frames },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::{Config, Settings};
    use crate::hub::{Hub, Step};
    use crate::media::{Chain, Codec};

    /// A hub with one stream that is being published, its id, and a player of it.
    fn live(settings: &Arc<Vhost>) -> (Hub, u32, Player) {
        let mut hub = Hub::default();
        let name = Name { vhost: "v".into(), app: "a".into(), stream: "s".into() };
        let published = hub.publish(Time::ZERO, &name, settings, Source::Encoder(1)).unwrap();
        let (id, player) = hub.play(Time::ZERO, &name, settings, 1).unwrap();
        assert_eq!(id, published.stream);
        (hub, id, player)
    }

    fn vhost(change: impl FnOnce(&mut crate::config::Play)) -> Arc<Vhost> {
        let (settings, _) = Settings::from_config(&Config::new()).unwrap();
        let mut vhost = settings.vhost("").unwrap().as_ref().clone();
        change(&mut vhost.play);
        Arc::new(vhost)
    }

    fn video(role: Role, ms: i64, payload: &'static [u8]) -> Frame {
        let payload = Bytes::from_static(payload);
        let dts = ms * 1000;
        Frame {
            kind: Kind::Video,
            codec: Codec::H264,
            role,
            dts,
            pts: dts,
            payload: payload.into(),
            relay: Bytes::new(),
        }
    }

    fn payloads(ring: &Ring) -> Vec<&[u8]> {
        (ring.base()..ring.head()).map(|seq| &ring.frame(seq).unwrap().payload[..]).collect()
    }

    /// A frame whose memory is the host's until `until`, and that memory.
    fn lent(role: Role, ms: i64, until: u64) -> (Frame, std::sync::Weak<Vec<u8>>) {
        struct Memory(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Memory {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let memory = Arc::new(vec![ms as u8; 3000]);
        let watch = Arc::downgrade(&memory);
        let mut frame = video(role, ms, b"");
        frame.payload = Chain::lent([Bytes::from_static(b"head"), Bytes::from_owner(Memory(memory))]);
        frame.payload.lend_until(Time::from_millis(until));
        (frame, watch)
    }

    /// Images that share the payload.
    #[derive(Debug)]
    struct Sharing;

    impl Mux for Sharing {
        fn start(&mut self, _: &crate::media::Headers) {}
        fn image(&mut self, frame: &Frame) -> Chain {
            let pieces = frame.payload.pieces().iter().cloned();
            Chain::new(std::iter::once(Bytes::from_static(b"image")).chain(pieces)).lent_as(&frame.payload)
        }
        fn preamble(&mut self, _: &crate::media::Headers, _: i64) -> Bytes {
            Bytes::new()
        }
    }

    #[test]
    fn lent_memory_is_given_back_in_time_with_one_copy_for_all() {
        for mix in [false, true] {
            let (mut hub, id, _player) = live(&vhost(|play| play.mix_correct = mix));
            let stream = hub.stream_mut(id).unwrap();
            let key = LaneKey::Fixed(1);
            stream.attach(key, || Box::new(Sharing));
            let frames = [(Role::Key, 0), (Role::Delta, 40), (Role::Delta, 80)];
            let memory = frames.map(|(role, ms)| {
                let (frame, memory) = lent(role, ms, 500 + ms as u64);
                stream.write(Time::ZERO, frame);
                memory
            });
            assert_eq!(stream.take_lent_alarm(), Some(Time::from_millis(500)));
            assert_eq!(stream.take_lent_alarm(), None, "it is set");
            let (ring, lane) = stream.ring_and_lane(key);
            let lane = lane.unwrap();
            lane.join(0, &crate::media::Headers::default(), 0);
            assert_eq!(lane.image(ring, 2).is_none(), mix, "they wait to be put in order");
            assert_eq!(stream.give_back(Time::from_millis(499), &mut Copies::default()), 0);
            assert_eq!(stream.take_lent_alarm(), Some(Time::from_millis(500)));
            assert_eq!(stream.give_back(Time::from_millis(540), &mut Copies::default()), 2);
            assert_eq!(stream.take_lent_alarm(), Some(Time::from_millis(580)));
            assert_eq!(memory.each_ref().map(std::sync::Weak::strong_count), [0, 0, 1]);
            stream.end(Time::ZERO);
            let (ring, lane) = stream.ring_and_lane(key);
            let lane = lane.unwrap();
            for (seq, (_, ms)) in (0..).zip(frames) {
                let image = lane.image(ring, seq).unwrap();
                let payload = [&b"head"[..], &[ms as u8; 3000]].concat();
                assert_eq!(image, &[b"image", &payload[..]].concat());
                assert_eq!(ring.frame(seq).unwrap().payload, payload);
            }
            let first = ring.frame(0).unwrap().payload.bytes();
            let shared = lane.image(ring, 0).unwrap().pieces().last().unwrap().clone();
            assert!(first.as_ptr_range().contains(&shared.as_ptr()), "the image's is the frame's");
            assert_eq!(memory[2].strong_count(), 1);
            stream.own(0);
            assert_eq!(memory[2].strong_count(), 0);
        }
    }

    #[test]
    fn a_header_holds_no_memory_of_the_hosts() {
        let (mut hub, id, _player) = live(&vhost(|_| {}));
        let stream = hub.stream_mut(id).unwrap();
        let (header, memory) = lent(Role::Header, 0, 500);
        stream.write(Time::ZERO, header);
        assert_eq!(memory.strong_count(), 0);
        assert_eq!(stream.take_lent_alarm(), None);
    }

    #[test]
    fn a_header_that_comes_back_is_not_left_out_while_another_waits_to_be_put_in_order() {
        let (mut hub, id, _player) = live(&vhost(|play| {
            play.mix_correct = true;
            play.reduce_sequence_header = true;
        }));
        let stream = hub.stream_mut(id).unwrap();
        stream.write(Time::ZERO, video(Role::Header, 0, b"A"));
        for i in 0..20 {
            stream.write(Time::ZERO, video(Role::Key, i, b"k"));
        }
        for header in [&b"B"[..], b"A", b"A"] {
            stream.write(Time::ZERO, video(Role::Header, 20, header));
        }
        stream.end(Time::ZERO);
        assert_eq!(payloads(stream.ring()).last(), Some(&&b"A"[..]));
        assert_eq!(stream.totals().dropped, 1);
    }

    #[test]
    fn what_waits_to_be_put_in_order_goes_out_when_that_is_turned_off() {
        let (mut hub, id, _player) = live(&vhost(|play| play.mix_correct = true));
        let stream = hub.stream_mut(id).unwrap();
        stream.write(Time::ZERO, video(Role::Key, 0, b"1"));
        assert!(stream.ring().is_empty());
        stream.configure(&vhost(|_| {}));
        stream.write(Time::ZERO, video(Role::Delta, 40, b"2"));
        assert_eq!(payloads(stream.ring()), [b"1", b"2"]);
    }

    #[test]
    fn a_player_inside_the_first_gop_goes_on_though_it_lags() {
        let (mut hub, id, mut player) = live(&vhost(|_| {}));
        let stream = hub.stream_mut(id).unwrap();
        stream.write(Time::ZERO, video(Role::Key, 0, b"k"));
        for i in 1..10 {
            stream.write(Time::ZERO, video(Role::Delta, i * 40, b"d"));
        }
        let mut next = || match player.step(stream.ring(), 100_000) {
            Step::Frame(seq, _) => {
                player.taken();
                Some(seq)
            }
            _ => None,
        };
        let given: Vec<_> = std::iter::repeat_with(&mut next).take(20).flatten().collect();
        assert_eq!(given, Vec::from_iter(0..10));
        assert_eq!(player.skips(), 0);
    }

    #[test]
    fn a_player_who_was_there_first_gets_all_of_a_publish_that_it_could_not_start_with() {
        let (mut hub, id, mut late) = live(&vhost(|_| {}));
        let stream = hub.stream_mut(id).unwrap();
        let mut early = late.clone();
        early.keep_place();
        stream.write(Time::ZERO, video(Role::Header, 0, b"h"));
        for i in 0..6 {
            let role = if i % 3 == 0 { Role::Key } else { Role::Delta };
            stream.write(Time::ZERO, video(role, i * 40, b"v"));
        }
        // Offered to all: one whose place nobody keeps holds nothing.
        assert_eq!((early.cursor(), late.cursor()), (0, u64::MAX));
        stream.flushed(Time::ZERO, early.cursor().min(late.cursor()));
        let first = |player: &mut Player| {
            let Step::Headers(headers, _) = player.step(stream.ring(), i64::MAX) else {
                panic!("no headers")
            };
            assert!(headers.video.is_some());
            player.cursor()
        };
        // The header goes before, and is not given twice.
        assert_eq!((first(&mut early), first(&mut late)), (1, 4));
    }

    #[test]
    fn what_is_left_of_a_publish_without_its_beginning_is_given_to_nobody() {
        let (mut hub, id, mut player) = live(&vhost(|play| play.queue_length = Duration::from_millis(100)));
        let stream = hub.stream_mut(id).unwrap();
        stream.write(Time::ZERO, video(Role::Header, 0, b"h"));
        stream.write(Time::ZERO, video(Role::Key, 60, b"k"));
        for i in 1..5 {
            stream.write(Time::ZERO, video(Role::Delta, 60 + i * 40, b"d"));
        }
        stream.end(Time::ZERO);
        assert!(stream.ring().base() > 0 && !stream.ring().is_empty());
        assert!(matches!(player.step(stream.ring(), 100_000), Step::Headers(..)));
        assert!(matches!(player.step(stream.ring(), 100_000), Step::Wait));
    }
}
