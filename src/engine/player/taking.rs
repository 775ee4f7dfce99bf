//! What one of the host's players takes from its stream: where it stands, and what it makes of the frames.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use log::warn;

use super::{Given, Packet, PacketFormat, PlayerNews, PlayerOptions, Tracks};
use crate::hub::{LaneKey, Name, Player, Step, Stream};
use crate::media::{
    AudioTrack, Chain, Elementary, Frame, Headers, Kind, Lane, Ring, Role, VideoTrack, audio_track,
    video_track,
};
use crate::time::Time;
use crate::wire::limits;

/// Where one track is there, the other is waited for until the publish has gone on for so long.
const OTHER_TRACK: Duration = Duration::from_secs(1);
/// The first lane of elementary streams; other formats have the lower numbers.
const FIRST_LANE: u8 = 64;

/// Where it stands in the stream, and what was given of it.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) player: Player,
    format: PacketFormat,
    wants: Wants,
    is_live: bool,
    pub(super) paused: bool,
    /// What comes before this frame is given no more after the pause.
    resumes: Option<u64>,
    /// Frames have been taken from the ring since it was last trimmed for it.
    pub(super) has_moved: bool,
    /// When it goes on though a track has not come, if it waits for one.
    pub(super) due: Option<Time>,
    /// The first frame of the publish that it is in.
    publish: Option<u64>,
    tracks: Tracks,
    /// The tracks have just been taken from the headers of the place where it starts.
    is_fresh: bool,
    /// The tracks have yet to be compared with those that were told.
    is_touched: bool,
    told: Option<Tracks>,
    /// What is given after the tracks.
    pending: Option<Packet>,
    /// What is given before the first frame.
    metadata: Option<Packet>,
    /// The next packet doesn't go on from the last.
    gap: bool,
    /// States to be told, each before the frame with that sequence number.
    news: VecDeque<(u64, PlayerNews)>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// Frames that could not be brought into the format.
    left_out: u32,
}

#[derive(Debug, Clone, Copy)]
struct Wants {
    video: bool,
    audio: bool,
    data: bool,
}

impl Taking {
    pub(super) fn new(player: Player, options: &PlayerOptions) -> Self {
        Self {
            player,
            format: options.format,
            wants: Wants { video: options.video, audio: options.audio, data: options.data },
            is_live: options.live,
            paused: false,
            resumes: None,
            has_moved: false,
            due: None,
            publish: None,
            tracks: Tracks::default(),
            is_fresh: false,
            is_touched: false,
            told: None,
            pending: None,
            metadata: None,
            gap: false,
            news: VecDeque::new(),
            packets: 0,
            bytes: 0,
            left_out: 0,
        }
    }

    /// It has joined this stream.
    pub(super) fn begin_in(&mut self, stream: &mut Stream) {
        let head = stream.ring().head();
        for (kind, wanted) in [(Kind::Video, self.wants.video), (Kind::Audio, self.wants.audio)] {
            self.player.receive(kind, wanted, head);
        }
        if self.is_live {
            self.player.not_before(head);
        }
        if let Some(lane) = self.lane() {
            stream.attach(lane, || Box::new(Elementary::default()));
        }
        self.seat(stream);
        if self.player.waits_for_key() {
            stream.want_key();
        }
    }

    pub(super) fn pause(&mut self, paused: bool, stream: &mut Stream) {
        let head = stream.ring().head();
        if paused {
            self.pending = None;
            self.resumes = (self.packets > 0).then_some(self.player.at());
        }
        self.paused = paused;
        self.player.pause(paused, head);
        if let Some(from) = self.resumes.take_if(|_| !paused).or(self.is_live.then_some(head)) {
            self.player.not_before(from);
        }
        self.seat(stream);
    }

    /// It leaves this stream.
    pub(super) fn end_in(&self, stream: &mut Stream) {
        if let Some(lane) = self.lane() {
            stream.detach(lane);
        }
    }

    /// The lane of its format. Who passes a track over doesn't show the lane that track's headers, and so shares none
    /// with those who need them.
    fn lane(&self) -> Option<LaneKey> {
        let passed = u8::from(!self.wants.video) + 2 * u8::from(!self.wants.audio);
        (self.format == PacketFormat::Elementary).then_some(LaneKey::Fixed(FIRST_LANE + passed))
    }

    /// The stream's ring, and the lane.
    fn ring_and_lane<'a>(&self, stream: &'a mut Stream) -> (&'a Ring, Option<&'a mut Lane>) {
        // That of nobody where frames are given as they are.
        stream.ring_and_lane(self.lane().unwrap_or(LaneKey::Fixed(u8::MAX)))
    }

    /// A state to be told before the frame with this sequence number.
    pub(super) fn push_news(&mut self, at: u64, news: PlayerNews) {
        if self.news.len() >= limits::PLAYER_NEWS {
            self.news.pop_front();
        }
        self.news.push_back((at, news));
    }

    /// What comes next, if anything does now.
    pub(super) fn next(&mut self, now: Time, stream: &mut Stream, name: &Name) -> Option<Given> {
        if self.paused {
            return self.next_news();
        }
        if let Some(packet) = self.pending.take() {
            return Some(self.give(packet));
        }
        self.seat(stream);
        let (queue_us, head, began) = (stream.queue_us(), stream.publish_head(), stream.publish_began());
        let (is_known, audio) = (self.knows_tracks(now, stream), stream.audio().copied());
        let (ring, mut lane) = self.ring_and_lane(stream);
        loop {
            let (seq, frame) = match self.player.step(ring, queue_us) {
                Step::Wait => return self.next_news(),
                Step::Headers(headers, at) => {
                    self.start(lane.as_deref_mut(), headers, at, head);
                    continue;
                }
                Step::Frame(seq, frame) => (seq, frame),
            };
            if self.news.front().is_some_and(|(at, _)| *at <= seq) {
                return self.next_news();
            }
            if seq >= head && self.publish != Some(head) {
                if !is_known {
                    self.due = Some(began + OTHER_TRACK);
                    return None;
                }
                self.begin(head, ring, audio);
            }
            if let Some(metadata) = self.metadata.take() {
                return Some(self.give(metadata));
            }
            self.is_fresh = false;
            let data = match (frame.role, self.format) {
                _ if frame.kind == Kind::Data && !self.wants.data => Chain::default(),
                _ if frame.kind == Kind::Data => frame.payload.clone(),
                (Role::Header, _) => {
                    self.set(frame);
                    // The format's lane is to see it, too.
                    lane.as_mut().and_then(|lane| lane.image(ring, seq).cloned()).unwrap_or_default()
                }
                (Role::Mark, _) => Chain::default(),
                (_, PacketFormat::Stored) => frame.payload.clone(),
                (_, PacketFormat::Elementary) => {
                    let image = lane.as_mut().and_then(|lane| lane.image(ring, seq).cloned());
                    let image = image.unwrap_or_default();
                    if image.is_empty() {
                        self.leave_out(frame, name);
                    }
                    image
                }
            };
            self.player.taken();
            self.has_moved = true;
            if !data.is_empty() {
                self.see(frame);
                return self.offer(packet(frame, data));
            }
        }
    }

    fn next_news(&mut self) -> Option<Given> {
        self.news.pop_front().map(|(_, news)| Given::News(news))
    }

    /// Whether what is wanted of the tracks is known, or need not be waited for any longer.
    fn knows_tracks(&self, now: Time, stream: &Stream) -> bool {
        let waits = |wanted: bool, kind| wanted && stream.may_bring(kind);
        stream.publisher().is_none()
            || !waits(self.wants.video, Kind::Video) && !waits(self.wants.audio, Kind::Audio)
            || now.since(stream.publish_began()) >= OTHER_TRACK
    }

    /// Takes its place in the stream, if there is one by now: from there on the ring keeps for it what it needs.
    pub(super) fn seat(&mut self, stream: &mut Stream) {
        if self.paused || self.player.is_following() {
            return;
        }
        let (queue_us, head) = (stream.queue_us(), stream.publish_head());
        let (ring, lane) = self.ring_and_lane(stream);
        if let Step::Headers(headers, at) = self.player.step(ring, queue_us) {
            self.start(lane, headers, at, head);
        }
    }

    /// It starts, or goes on after a jump, where these headers are in force.
    fn start(&mut self, lane: Option<&mut Lane>, headers: &Headers, at: i64, head: u64) {
        if let Some(lane) = lane {
            lane.join(self.player.at(), headers, at);
        }
        self.gap |= self.packets > 0;
        if self.player.at() >= head && self.publish != Some(head) {
            self.tracks = Tracks::default();
        }
        [&headers.video, &headers.audio].into_iter().flatten().for_each(|header| self.set(header));
        self.is_fresh = true;
        self.is_touched = true;
        let metadata = headers.metadata.as_ref().filter(|_| self.wants.data);
        self.metadata =
            metadata.map(|frame| Packet { dts: at, pts: at, ..packet(frame, frame.payload.clone()) });
    }

    /// It comes to another publish, which begins with the frame `head`. What the stream knows of it by now, though
    /// only further on, is told at once.
    fn begin(&mut self, head: u64, ring: &Ring, audio: Option<AudioTrack>) {
        self.publish = Some(head);
        self.is_touched = true;
        if self.packets > 0 {
            self.gap = true;
            self.told = None;
        }
        if !self.is_fresh {
            self.tracks = Tracks::default();
        }
        let headers = ring.headers();
        if let Some(header) = headers.video.as_ref().filter(|_| self.tracks.video.is_none()) {
            self.set(header);
        }
        if let Some(header) = headers.audio.as_ref().filter(|_| self.tracks.audio.is_none()) {
            self.set(header);
        }
        if self.tracks.audio.is_none() && self.wants.audio {
            self.tracks.audio = audio.map(|track| (track, Bytes::new()));
        }
    }

    /// Takes what a header says of its track.
    fn set(&mut self, header: &Frame) {
        let config = || header.payload.bytes();
        match header.kind {
            Kind::Video if self.wants.video => {
                if let Some(track) = video_track(header) {
                    self.tracks.video = Some((track, config()));
                }
            }
            Kind::Audio if self.wants.audio => {
                if let Some(track) = audio_track(header) {
                    self.tracks.audio = Some((track, config()));
                }
            }
            _ => {}
        }
        self.is_touched = true;
    }

    /// Takes what a frame says of its track, where no header has.
    fn see(&mut self, frame: &Frame) {
        let codec = frame.codec;
        match frame.kind {
            Kind::Video if self.tracks.video.as_ref().is_none_or(|(track, _)| track.codec != codec) => {
                let track = VideoTrack { codec, profile: 0, level: 0, width: 0, height: 0, frame_rate: None };
                self.tracks.video = Some((track, Bytes::new()));
            }
            Kind::Audio if self.tracks.audio.as_ref().is_none_or(|(track, _)| track.codec != codec) => {
                let unknown = AudioTrack { codec, profile: 0, sample_rate: 0, channels: 0 };
                self.tracks.audio = Some((audio_track(frame).unwrap_or(unknown), Bytes::new()));
            }
            _ => return,
        }
        self.is_touched = true;
    }

    /// The packet, or first the tracks that it is the first of.
    fn offer(&mut self, packet: Packet) -> Option<Given> {
        let may_differ = packet.kind != Kind::Data && std::mem::take(&mut self.is_touched);
        if may_differ && self.told.as_ref() != Some(&self.tracks) {
            self.told = Some(self.tracks.clone());
            self.pending = Some(packet);
            return Some(Given::Tracks(self.tracks.clone()));
        }
        Some(self.give(packet))
    }

    fn give(&mut self, packet: Packet) -> Given {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(packet.data.len() as u64);
        Given::Packet(Packet { is_discontinuity: std::mem::take(&mut self.gap), ..packet })
    }

    fn leave_out(&mut self, frame: &Frame, name: &Name) {
        if frame.payload.is_empty() {
            return;
        }
        self.left_out = self.left_out.saturating_add(1);
        if self.left_out.is_power_of_two() {
            let (codec, n) = (frame.codec, self.left_out);
            warn!(
                "a frame of {codec} in {name} is left out: it or its header is malformed, or it has none ({n} so far)"
            );
        }
    }
}

fn packet(frame: &Frame, data: Chain) -> Packet {
    Packet {
        kind: frame.kind,
        codec: frame.codec,
        is_key: frame.kind != Kind::Video || frame.role == Role::Key,
        is_discontinuity: false,
        pts: frame.pts,
        dts: frame.dts,
        data,
    }
}
