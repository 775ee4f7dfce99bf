//! Players of the host's own: streams of this process's, or of a URL, given out frame by frame.
//!
//! Such a player takes from a stream's ring like any other, but there is no socket: the host is told that there is
//! something ([`Event::PlayerReady`]) and takes it with [`Engine::player_next`], so that pausing and closing hold at
//! once. What comes of a URL is a stream in no hub: nobody else finds it, and nothing of the engine's reads it.

mod taking;

use std::time::Duration;

use bytes::Bytes;
use log::info;
use smallvec::SmallVec;

use super::relays::RelayState;
use super::retry::RetryPolicy;
use super::timers::Alarm;
use super::{Engine, Event};
use crate::config::table::DEFAULT_VHOST;
use crate::error::{Code, Error, Result};
use crate::hub::{Name, Player, Source, Stream};
use crate::media::{AudioTrack, Chain, Codec, Frame, Kind, VideoTrack};
use crate::table::Table;
use crate::time::Time;
use crate::wire::limits;

use taking::Taking;

/// A player to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerOptions {
    /// The vhost of the stream; empty for the default one. Of a URL the vhost whose `play` settings hold.
    pub vhost: String,
    /// What is played.
    pub source: PlayerSource,
    /// How frames are given.
    pub format: PacketFormat,
    /// Whether it starts at the next keyframe, though the stream keeps one that has passed.
    pub live: bool,
    /// Whether video is wanted.
    pub video: bool,
    /// Whether audio is wanted.
    pub audio: bool,
    /// Whether what comes beside the tracks is.
    pub data: bool,
}

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayerSource {
    /// A stream of this engine's.
    Stream {
        /// The application.
        app: String,
        /// The stream's name.
        stream: String,
    },
    /// What an ingest could pull.
    Url {
        /// The URL, or a file's path.
        url: String,
        /// Whether a file begins again when it has been played.
        looped: bool,
        /// How often it is tried, and for how long.
        retry: RetryPolicy,
    },
}

/// How frames are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketFormat {
    /// As the stream has them.
    Stored,
    /// As decoders take them ([`crate::media::Elementary`]).
    Elementary,
}

/// One frame for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Which track.
    pub kind: Kind,
    /// How it is coded.
    pub codec: Codec,
    /// Whether decoding can begin here.
    pub is_key: bool,
    /// Whether it has no connection with what was given before.
    pub is_discontinuity: bool,
    /// When it is shown, in µs.
    pub pts: i64,
    /// When it is decoded, in µs.
    pub dts: i64,
    /// Its bytes.
    pub data: Chain,
}

/// The tracks, each with its codec's configuration, which is empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracks {
    /// The video track.
    pub video: Option<(VideoTrack, Bytes)>,
    /// The audio track.
    pub audio: Option<(AudioTrack, Bytes)>,
}

/// A player has entered a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerNews {
    /// The stream's id, 0 for a URL.
    pub stream: u32,
    /// Where a URL's stream comes from, without password and parameters.
    pub url: String,
    /// What it does now.
    pub state: RelayState,
    /// Why, where it has failed.
    pub reason: String,
    /// When it is tried again, from now; zero if it isn't.
    pub next: Duration,
}

/// What a player gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// The tracks of the packets that follow.
    Tracks(Tracks),
    /// A frame.
    Packet(Packet),
    /// A state.
    News(PlayerNews),
}

/// One player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerInfo {
    /// The stream's id, 0 for a URL.
    pub stream: u32,
    /// What it does now.
    pub state: RelayState,
    /// Whether it is paused.
    pub paused: bool,
    /// How often it fell behind and jumped to a keyframe.
    pub skips: u32,
    /// How often frames have begun to flow.
    pub starts: u32,
    /// Packets given.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes received of a URL.
    pub received: u64,
    /// Failures of a URL in a row.
    pub failures: u32,
    /// When it is tried again, from now; zero if it isn't.
    pub next: Duration,
    /// Where a URL's stream comes from, without password and parameters.
    pub url: String,
    /// What it failed of last.
    pub reason: String,
}

/// A player of the host's.
#[derive(Debug)]
pub(super) struct HostPlayer {
    from: From,
    name: Name,
    taking: Taking,
    /// The host has been told that there is something, or will be.
    is_ready: bool,
    /// What it may still be given in this turn.
    budget: usize,
    /// The alarm that is set for when it goes on without a track.
    armed: Option<Time>,
    /// The state that was told last, or will be.
    state: RelayState,
    starts: u32,
}

/// Where it takes frames from.
#[derive(Debug)]
enum From {
    Hub(u32),
    Url { stream: Box<Stream>, vhost: String, ingest: u32 },
}

impl Engine {
    /// Plays a stream or a URL for the host, and answers the player's id. It goes on until
    /// [`Engine::player_close`].
    pub fn player_open(&mut self, options: &PlayerOptions) -> Result<u32> {
        let id = match &options.source {
            PlayerSource::Stream { app, stream } => {
                let name = self.name(&options.vhost, app, stream)?;
                self.open_stream(&name, options)?
            }
            PlayerSource::Url { url, looped, retry } => self.open_url(url, *looped, *retry, options)?,
        };
        self.ready_player(id);
        Ok(id)
    }

    fn open_stream(&mut self, name: &Name, options: &PlayerOptions) -> Result<u32> {
        let full = |what: &str| Error::new(Code::Limit, format!("too many {what}"));
        let vhost = self.vhost(&name.vhost)?.clone();
        let now = self.now();
        // Its id names it in the stream, and the stream's id the stream in it.
        let (hub, mut stream) = (&mut self.hub, None);
        let id = self.players.insert_with(|id| {
            let joined = hub.play(now, name, &vhost, id);
            stream = joined.as_ref().map(|(stream, _)| *stream);
            let (stream, player) = joined.unwrap_or((0, Player::new(0)));
            HostPlayer::new(From::Hub(stream), name.clone(), player, options)
        });
        let id = id.ok_or_else(|| full("players"))?;
        let (Some(stream), Some(player)) = (stream, self.players.find_mut(id)) else {
            self.players.remove(id);
            return Err(full("streams"));
        };
        if let Some(found) = self.hub.stream_mut(stream) {
            player.taking.begin_in(found);
            if found.publisher().is_some() {
                player.push_news(found.publish_head(), RelayState::Running, stream);
            }
        }
        info!("the host plays {name}");
        self.viewed(now, name, "", false);
        self.ask_for_key(stream);
        Ok(id)
    }

    fn open_url(
        &mut self,
        url: &str,
        looped: bool,
        retry: RetryPolicy,
        options: &PlayerOptions,
    ) -> Result<u32> {
        let vhost = self.vhost(&options.vhost)?.clone();
        let now = self.now();
        let mut name = None;
        let id = self.players.insert_with(|id| {
            // No vhost is called so: nobody can ask for it.
            let own = Name { vhost: String::new(), app: "player".to_owned(), stream: id.to_string() };
            let (mut stream, player) = Stream::alone(now, own.clone(), &vhost, id);
            name = Some(own.clone());
            let mut taking = Taking::new(player, options);
            taking.begin_in(&mut stream);
            HostPlayer::with(
                From::Url { stream: Box::new(stream), vhost: options.vhost.clone(), ingest: 0 },
                own,
                taking,
            )
        });
        let (Some(id), Some(name)) = (id, name) else {
            return Err(Error::new(Code::Limit, "too many players"));
        };
        let opened = match self.ingest_for_player(id, name, url, looped, retry) {
            Ok(opened) => opened,
            Err(e) => {
                self.players.remove(id);
                return Err(e);
            }
        };
        if let Some(HostPlayer { from: From::Url { ingest, .. }, .. }) = self.players.find_mut(id) {
            *ingest = opened;
        }
        self.begin_ingest(now, opened);
        Ok(id)
    }

    /// Ends a player. Nothing more is given; [`Event::PlayerEnded`] is told.
    pub fn player_close(&mut self, id: u32) -> Result<()> {
        let player = self.players.remove(id).ok_or_else(|| no_player(id))?;
        let now = self.now();
        match player.from {
            From::Hub(stream) => {
                if let Some(found) = self.hub.stream_mut(stream) {
                    player.taking.end_in(found);
                }
                self.hub.stop(now, stream, id);
                self.unwatched(now, &player.name);
                self.watch_idle(stream);
                info!("the host has stopped playing {}", player.name);
            }
            From::Url { ingest, .. } => self.remove_ingest(now, ingest),
        }
        self.players.shrink();
        self.tell(Event::PlayerEnded { player: id });
        Ok(())
    }

    /// Has a player give no more packets, or go on from the next keyframe that it has not given.
    pub fn player_pause(&mut self, id: u32, paused: bool) -> Result<()> {
        let HostPlayer { from, taking, .. } = self.players.find_mut(id).ok_or_else(|| no_player(id))?;
        let stream = match from {
            From::Hub(stream) => self.hub.stream_mut(*stream),
            From::Url { stream, .. } => Some(&mut **stream),
        };
        if let Some(stream) = stream
            && taking.paused != paused
        {
            taking.pause(paused, stream);
            self.ready_player(id);
        }
        Ok(())
    }

    /// What there is to say of a player.
    pub fn player_info(&self, id: u32) -> Result<PlayerInfo> {
        let HostPlayer { from, taking, state, starts, .. } =
            self.players.find(id).ok_or_else(|| no_player(id))?;
        let info = PlayerInfo {
            stream: 0,
            state: *state,
            paused: taking.paused,
            skips: taking.player.skips(),
            starts: *starts,
            packets: taking.packets,
            bytes: taking.bytes,
            received: 0,
            failures: 0,
            next: Duration::ZERO,
            url: String::new(),
            reason: String::new(),
        };
        let pulled = match from {
            From::Hub(stream) => return Ok(PlayerInfo { stream: *stream, ..info }),
            From::Url { ingest, .. } => self.ingest_info(*ingest),
        };
        Ok(match pulled {
            Some(pulled) => PlayerInfo {
                received: pulled.bytes,
                failures: pulled.failures,
                next: pulled.next,
                url: pulled.url,
                reason: pulled.reason,
                ..info
            },
            None => info,
        })
    }

    /// What a player gives next, as far as it does in this turn. After `None` there is [`Event::PlayerReady`] when
    /// there is more.
    pub fn player_next(&mut self, id: u32) -> Option<Given> {
        let now = self.now();
        let HostPlayer { from, taking, budget, is_ready, armed, name, .. } = self.players.find_mut(id)?;
        if *budget == 0 {
            // The others have their turn first.
            *is_ready = false;
            self.ready_player(id);
            return None;
        }
        let (stream, of_hub) = match from {
            From::Hub(id) => (self.hub.stream_mut(*id)?, Some(*id)),
            From::Url { stream, .. } => (&mut **stream, None),
        };
        let given = taking.next(now, stream, name);
        if given.is_some() {
            *budget = budget.saturating_sub(1);
            return given;
        }
        *is_ready = false;
        if let Some(at) = taking.due.take().filter(|at| armed.replace(*at) != Some(*at)) {
            self.timers.set(at, Alarm::Player(id));
        }
        let (has_moved, waits) = (std::mem::take(&mut taking.has_moved), taking.player.waits_for_key());
        match of_hub {
            None => stream.flushed(now, taking.player.cursor()),
            Some(id) => {
                if waits {
                    stream.want_key();
                }
                if has_moved && stream.publisher().is_none() && !stream.ring().is_empty() {
                    // One player less needs what the last publisher has left.
                    stream.gather(now);
                    self.mark_dirty(id);
                }
                self.ask_for_key(id);
            }
        }
        None
    }

    /// Has the host told that a player has something to give.
    pub(super) fn ready_player(&mut self, id: u32) {
        if let Some(player) = self.players.find_mut(id)
            && !player.is_ready
        {
            player.is_ready = true;
            self.players_ready.push(id);
        }
    }

    /// Something has come to a stream of the hub's, which has yet to let go of what nobody needs.
    pub(super) fn wake_players(&mut self, stream: u32) {
        for id in self.seat_players(stream) {
            self.ready_player(id);
        }
    }

    /// Has the host's players of a stream take their places in it, and answers who they are.
    pub(super) fn seat_players(&mut self, stream: u32) -> SmallVec<[u32; 4]> {
        let mut of_host = SmallVec::new();
        if self.players.is_empty() {
            return of_host;
        }
        let Some(found) = self.hub.stream_mut(stream) else { return of_host };
        let mut at = 0;
        while let Some(&id) = found.players().get(at) {
            at += 1;
            if let Some(player) = self.players.find_mut(id) {
                player.taking.seat(found);
                of_host.push(id);
            }
        }
        of_host
    }

    /// Tells the host of those who have something to give.
    pub(super) fn tell_ready(&mut self) {
        for id in std::mem::take(&mut self.players_ready) {
            if let Some(player) = self.players.find_mut(id) {
                player.budget = limits::PLAYER_TURN_PACKETS;
                self.tell(Event::PlayerReady { player: id });
            }
        }
    }

    /// A stream of the hub's is published, or no longer.
    pub(super) fn tell_players(&mut self, stream: u32, is_published: bool) {
        if self.players.is_empty() {
            return;
        }
        let Some(found) = self.hub.stream(stream) else { return };
        let (at, state) = match is_published {
            true => (found.publish_head(), RelayState::Running),
            false => (found.ring().head(), RelayState::Idle),
        };
        for id in found.players() {
            if let Some(player) = self.players.find_mut(*id) {
                player.push_news(at, state, stream);
            }
        }
        self.wake_players(stream);
    }

    // What comes of URLs.

    /// The ingest of a player has entered a state.
    pub(super) fn player_news(&mut self, id: u32, news: PlayerNews) {
        let Some(player) = self.players.find_mut(id) else { return };
        let From::Url { stream, .. } = &player.from else { return };
        let at = match news.state {
            RelayState::Running => stream.publish_head(),
            _ => stream.ring().head(),
        };
        player.push(at, news);
        self.ready_player(id);
    }

    /// A frame has come for a player; its stream is published with the first one.
    pub(super) fn play_frame(&mut self, now: Time, id: u32, ingest: u32, frame: Frame) {
        let Some(player) = self.players.find_mut(id) else { return };
        let From::Url { stream, .. } = &mut player.from else { return };
        if stream.publisher().is_none() {
            let settings = stream.settings().clone();
            stream.begin(now, Source::Ingest(ingest), &settings);
        }
        if stream.write(now, frame) {
            self.ready_player(id);
        }
    }

    /// No frame of this connection's will come any more.
    pub(super) fn end_of_player(&mut self, now: Time, id: u32) {
        let Some(HostPlayer { from: From::Url { stream, .. }, taking, .. }) = self.players.find_mut(id)
        else {
            return;
        };
        if stream.publisher().is_some() {
            taking.seat(stream);
            stream.end(now);
            self.ready_player(id);
        }
    }

    /// The settings have changed, also for streams that are in no hub.
    pub(super) fn configure_players(&mut self) {
        for id in self.players.ids() {
            let Some(HostPlayer { from: From::Url { stream, vhost, .. }, .. }) = self.players.find_mut(id)
            else {
                continue;
            };
            let asked = if vhost.is_empty() { DEFAULT_VHOST } else { vhost };
            if let Some(settings) = self.settings.vhost(asked) {
                stream.configure(settings);
            }
        }
    }
}

impl HostPlayer {
    fn new(from: From, name: Name, player: Player, options: &PlayerOptions) -> Self {
        Self::with(from, name, Taking::new(player, options))
    }

    fn with(from: From, name: Name, taking: Taking) -> Self {
        Self {
            from,
            name,
            taking,
            is_ready: false,
            budget: 0,
            armed: None,
            state: RelayState::Idle,
            starts: 0,
        }
    }

    fn push_news(&mut self, at: u64, state: RelayState, stream: u32) {
        if state != self.state {
            let (url, reason, next) = (String::new(), String::new(), Duration::ZERO);
            self.push(at, PlayerNews { stream, url, state, reason, next });
        }
    }

    fn push(&mut self, at: u64, news: PlayerNews) {
        self.state = news.state;
        if news.state == RelayState::Running {
            self.starts = self.starts.saturating_add(1);
        }
        self.taking.push_news(at, news);
    }
}

/// The oldest frame that a player of the host's needs, and whether it waits for a keyframe.
pub(super) fn needs_of(players: &Table<HostPlayer>, id: u32) -> Option<(u64, bool)> {
    let player = &players.find(id)?.taking.player;
    Some((player.cursor(), player.waits_for_key()))
}

fn no_player(id: u32) -> Error {
    Error::new(Code::NotFound, format!("no player {id}"))
}
