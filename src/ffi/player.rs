//! Playing from C: a stream of this process's, or one of a URL, frame by frame.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};
use std::sync::{Arc, OnceLock};

use super::control::codec;
use super::convert::{array, c_string, sized32, text, write};
use super::feed::names;
use super::handle::{camrill_engine_t, guarded, no_engine};
use super::owned::{self, Handle, Owned, make, on};
use super::relays::{camrill_relay_state_t, camrill_retry_t, ms, policy, state};
use super::types::*;
use crate::engine::{Engine, Given, Packet, PacketFormat, PlayerNews, PlayerOptions, PlayerSource, Tracks};
use crate::error::{Code, Error, Result};
use crate::media::{Codec, Kind};

/// Flag of a player: frames come as the library keeps them: NAL units behind their lengths, without the parameter
/// sets that stand in the track's config, and AAC without ADTS headers. That is what goes into MP4, FLV and their
/// kind. Without it they come as decoders take them: Annex B, and ADTS.
pub const CAMRILL_PLAYER_STORED: u32 = 1;
/// Flag of a player: it starts at the next keyframe, not at the newest that has passed, so that it is never behind.
pub const CAMRILL_PLAYER_LIVE: u32 = 2;
/// Flag of a player: no video.
pub const CAMRILL_PLAYER_NO_VIDEO: u32 = 4;
/// Flag of a player: no audio.
pub const CAMRILL_PLAYER_NO_AUDIO: u32 = 8;
/// Flag of a player: what comes beside the tracks too: metadata, cue points, captions, as AMF0 values of which the
/// first is their name ("onMetaData").
pub const CAMRILL_PLAYER_DATA: u32 = 16;
/// Flag of a player of a file, here or on a server: it begins again when it has been played.
pub const CAMRILL_PLAYER_LOOP: u32 = 32;

/// A packet of the video track.
pub const CAMRILL_TRACK_VIDEO: i32 = 1;
/// A packet of the audio track.
pub const CAMRILL_TRACK_AUDIO: i32 = 2;
/// A packet of what comes beside the tracks.
pub const CAMRILL_TRACK_DATA: i32 = 3;

/// Decoding can begin here. Set for each packet of audio and of data, too.
pub const CAMRILL_PACKET_KEY: u32 = 1;
/// What came before has no connection with this: frames were left out before it, the player was paused, the stream
/// is published anew or comes over a new connection. Not set for a player's very first packet.
pub const CAMRILL_PACKET_DISCONTINUITY: u32 = 2;

/// Where a state comes from: a player. `relay` is 0 then.
pub const CAMRILL_RELAY_PLAYER: i32 = 3;

/// A player. Made by camrill_player_new(), freed by camrill_player_free().
#[derive(Debug)]
pub struct camrill_player_t {
    owned: Owned,
}

impl Handle for camrill_player_t {
    const NAME: &'static str = "player";

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// One frame of a stream. Whoever holds it counts as one; the last to let go frees it. It never changes, and belongs
/// to no thread: all functions on it are for any, and it may outlive its player and the engine. While it is kept it
/// keeps its bytes, which it shares with the stream: also memory that an encoder has lent to the library.
#[derive(Debug)]
pub struct camrill_packet_t {
    packet: Packet,
    /// The pieces as C has them, once somebody has asked.
    pieces: OnceLock<Box<[Piece]>>,
}

/// What C sees of a piece. The layout is that of camrill_iov_t.
#[repr(transparent)]
#[derive(Debug)]
struct Piece(camrill_iov_t);

// SAFETY: it points to bytes that never change and that the packet that it lies in keeps.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

/// What a packet is. Set struct_size before the call. The pointers are valid for as long as the packet is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_packet_info_t {
    /// sizeof(camrill_packet_info_t).
    pub struct_size: u32,
    /// CAMRILL_TRACK_VIDEO, CAMRILL_TRACK_AUDIO or CAMRILL_TRACK_DATA.
    pub track: i32,
    /// CAMRILL_CODEC_…; CAMRILL_CODEC_NONE for CAMRILL_TRACK_DATA.
    pub codec: i32,
    /// CAMRILL_PACKET_KEY, CAMRILL_PACKET_DISCONTINUITY.
    pub flags: u32,
    /// When it is shown, in µs on the stream's clock, which both tracks share and which starts near 0.
    pub pts_us: i64,
    /// When it is decoded, in µs on the same clock.
    pub dts_us: i64,
    /// Its bytes, where they lie in one piece already, else NULL: camrill_packet_data() puts them together.
    pub data: *const u8,
    /// Bytes of it in all.
    pub size: usize,
    /// Its pieces in their order.
    pub iov: *const camrill_iov_t,
    /// How many, 1 at least.
    pub iov_count: usize,
}

/// What a track is. What isn't known is 0. Valid only during the callback, as what it points to.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_track_info_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// CAMRILL_CODEC_…
    pub codec: i32,
    /// Of CAMRILL_CODEC_OTHER its FourCC, the first letter in the highest byte, or its number in FLV (0 to 15).
    pub fourcc: u32,
    /// Of video pixels.
    pub width: u32,
    /// Of video pixels.
    pub height: u32,
    /// Of video frames per second, a fraction, where the parameter sets say.
    pub frame_rate_num: u32,
    /// The fraction's denominator.
    pub frame_rate_den: u32,
    /// profile_idc (H.264), general_profile_idc (H.265), the audio object type (AAC).
    pub profile: u32,
    /// level_idc (H.264), general_level_idc (H.265).
    pub level: u32,
    /// Of audio Hz, as it is heard.
    pub sample_rate: u32,
    /// Of audio channels, as they are heard.
    pub channels: u32,
    /// 0.
    pub reserved: u32,
    /// The codec's configuration, whatever the packets' format: avcC, hvcC (ISO 14496-15), av1C, vpcC without its box,
    /// AudioSpecificConfig (ISO 14496-3, 1.6.2.1), OpusHead (RFC 7845, 5.1). NULL for codecs that have none.
    pub config: *const u8,
    /// Bytes of it.
    pub config_size: usize,
}

/// How a player is made. Start from CAMRILL_PLAYER_CONFIG_INIT. Strings are copied.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_player_config_t {
    /// sizeof(camrill_player_config_t).
    pub struct_size: u32,
    /// CAMRILL_PLAYER_…
    pub flags: u32,
    /// The vhost of the stream; NULL or "" means the default one. Of a URL the vhost whose `play` settings hold.
    pub vhost: *const c_char,
    /// The application of a stream of this engine's, such as "live". With a URL NULL.
    pub app: *const c_char,
    /// The stream's name. With a URL NULL.
    pub name: *const c_char,
    /// Where it comes from instead: a URL as an ingest has it (`rtmp://[user[:password]@]host[:port]/app/stream`,
    /// `rtmps://…`, `http://…` and `https://…` for FLV, MPEG-TS and HLS), or a file's path. It is published nowhere.
    pub url: *const c_char,
    /// When a URL is tried again.
    pub retry: camrill_retry_t,
    /// Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Is told the tracks before the first packet, and again before the first packet to which others apply; NULL for
    /// one that there is not, or that isn't known yet: one that comes a second after the other or later, say. May be
    /// NULL.
    pub on_tracks: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            video: *const camrill_track_info_t,
            audio: *const camrill_track_info_t,
        ),
    >,
    /// Gets each frame in the order of decoding. The packet is valid during the call; keep it with
    /// camrill_packet_ref(). Not NULL.
    pub on_packet: Option<unsafe extern "C" fn(user: *mut c_void, packet: *mut camrill_packet_t)>,
    /// Is told each state that it enters, among packets where it belongs; it begins in CAMRILL_RELAY_IDLE untold.
    /// A stream of this engine's is CAMRILL_RELAY_RUNNING while it is published, and else CAMRILL_RELAY_IDLE. May
    /// be NULL.
    pub on_state: Option<unsafe extern "C" fn(user: *mut c_void, state: *const camrill_relay_state_t)>,
}

/// What a player has done. Set struct_size before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_player_info_t {
    /// sizeof(camrill_player_info_t).
    pub struct_size: u32,
    /// CAMRILL_RELAY_IDLE, CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING or
    /// CAMRILL_RELAY_ENDED.
    pub state: i32,
    /// The stream of this engine's, 0 for a URL.
    pub stream: camrill_id_t,
    /// 1 while it is paused, else 0.
    pub paused: i32,
    /// How long until a URL is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    pub next_ms: u32,
    /// Failures of a URL in a row.
    pub failures: u32,
    /// How often frames have begun to flow.
    pub starts: u32,
    /// How often it fell behind and was taken to a newer keyframe.
    pub skips: u32,
    /// Packets that on_packet got.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes received of a URL, over all its connections.
    pub received_bytes: u64,
    /// Where a URL's stream comes from now, without password and parameters; empty for a stream of this engine's.
    pub url: [c_char; CAMRILL_URL_MAX],
    /// What a URL failed of last, empty if it never has.
    pub reason: [c_char; CAMRILL_REASON_MAX],
}

sized32!(camrill_player_config_t, camrill_player_info_t, camrill_packet_info_t);

/// The callbacks of one player.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlayerCallbacks {
    on_tracks:
        Option<unsafe extern "C" fn(*mut c_void, *const camrill_track_info_t, *const camrill_track_info_t)>,
    on_packet: unsafe extern "C" fn(*mut c_void, *mut camrill_packet_t),
    on_state: Option<unsafe extern "C" fn(*mut c_void, *const camrill_relay_state_t)>,
}

/// Has a stream's frames given to on_packet, and writes the player to `out`. A stream of this engine's (`app` and
/// `name`) is waited for when it is not published, followed when it is published anew, and has one viewer more: an
/// ingest on demand and an edge fetch it. A URL is pulled as an ingest does, and tried again as one; what comes is
/// no stream of the engine's: nobody else can play it, and it is neither recorded nor listed.
///
/// It starts at a keyframe, the newest that has passed where the vhost's `gop_cache` is on, and at once where
/// there is no video; where it waits for a keyframe the encoder is asked for one. The first packet waits for up to a
/// second of the publish until both tracks are known, unless its publisher has named those that it has. A host that is slow loses frames up to a keyframe when
/// `queue_length` is over, as other players do.
///
/// CAMRILL_EINVAL for a URL that can't be one, or both a stream and a URL; CAMRILL_ENOENT if the vhost is not
/// configured; CAMRILL_ELIMIT if there are too many players. `user_free` is not called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_player_new(
    engine: *mut camrill_engine_t,
    config: *const camrill_player_config_t,
    out: *mut *mut camrill_player_t,
) -> i32 {
    // SAFETY: the caller's contract; `options` reads the config's strings.
    unsafe {
        make(engine, config, out, |handle, config: &camrill_player_config_t| {
            let options = options(config)?;
            let missing = || Error::new(Code::InvalidArgument, "on_packet is NULL");
            let callbacks = PlayerCallbacks {
                on_tracks: config.on_tracks,
                on_packet: config.on_packet.ok_or_else(missing)?,
                on_state: config.on_state,
            };
            let id = handle.with(|engine| {
                let id = engine.player_open(&options)?;
                handle.players.insert(id, config.user, config.user_free, callbacks);
                Ok(id)
            })?;
            Ok(camrill_player_t { owned: Owned::new(handle, id) })
        })
    }
}

/// Has a player give no more packets (`paused` 1), or go on (0): with the first keyframe after what it has given
/// that it still finds. It stays a viewer, and a URL goes on being pulled. At once, inside callbacks too.
///
/// # Safety
/// `player` is NULL or came from camrill_player_new() and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_player_pause(player: *mut camrill_player_t, paused: i32) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        on(player, |handle, id| {
            let paused = match paused {
                0 => false,
                1 => true,
                n => {
                    return Err(Error::new(Code::InvalidArgument, format!("paused is {n}; 0 or 1 expected")));
                }
            };
            handle.with(|engine| engine.player_pause(id, paused)).map(|()| CAMRILL_OK)
        })
    }
}

/// Writes what there is to say of a player.
///
/// # Safety
/// `player` as for camrill_player_pause(); `out` holds as many bytes as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_player_info(
    player: *const camrill_player_t,
    out: *mut camrill_player_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        on(player, |handle, id| {
            let info = handle.with(|engine| engine.player_info(id))?;
            let info = camrill_player_info_t {
                struct_size: 0,
                state: state(info.state),
                stream: info.stream,
                paused: i32::from(info.paused),
                next_ms: ms(info.next),
                failures: info.failures,
                starts: info.starts,
                skips: info.skips,
                packets: info.packets,
                bytes: info.bytes,
                received_bytes: info.received,
                url: array(&info.url),
                reason: array(&info.reason),
            };
            write(out, &info).map(|()| CAMRILL_OK)
        })
    }
}

/// Ends a player: no callback runs any more but, with the next poll, `user_free`. Packets that were kept stay. NULL
/// is allowed. Inside a callback it is legal. On the loop's thread; once the engine is freed, which has run
/// `user_free` already, on any.
///
/// # Safety
/// `player` as for camrill_player_pause().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_player_free(player: *mut camrill_player_t) {
    // SAFETY: the caller's contract.
    unsafe { owned::free(player, Engine::player_close) };
}

/// Writes what a packet is. Nothing is copied. [any thread]
///
/// # Safety
/// `packet` is NULL or one that on_packet was given, during the call or kept since; `out` holds as many bytes as its
/// struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_packet_info(
    packet: *const camrill_packet_t,
    out: *mut camrill_packet_info_t,
) -> i32 {
    no_engine(guarded(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { packet_of(packet) }?;
        // SAFETY: the caller's contract.
        unsafe { write(out, &packet.info()) }.map(|()| CAMRILL_OK)
    }))
}

/// Writes where all bytes of a packet lie in one piece. Where there are several they are copied, once for all who hold
/// the frame in this format, other players' packets of it too. Valid for as long as the packet is. [any thread]
///
/// # Safety
/// `packet` as for camrill_packet_info(); `data` and `size` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_packet_data(
    packet: *const camrill_packet_t,
    data: *mut *const u8,
    size: *mut usize,
) -> i32 {
    no_engine(guarded(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { packet_of(packet) }?;
        if data.is_null() || size.is_null() {
            return Err(Error::new(Code::InvalidArgument, "data or size is NULL"));
        }
        let bytes = packet.packet.data.whole();
        // SAFETY: the caller's contract.
        unsafe {
            data.write(bytes.as_ptr());
            size.write(bytes.len());
        }
        Ok(CAMRILL_OK)
    }))
}

/// Keeps a packet: it is to be given back once more with camrill_packet_free(). NULL is allowed. [any thread]
///
/// # Safety
/// `packet` as for camrill_packet_info().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_packet_ref(packet: *mut camrill_packet_t) {
    if !packet.is_null() {
        // SAFETY: it came from Arc::into_raw, and is there by the caller's contract.
        unsafe { Arc::increment_strong_count(packet.cast_const()) };
    }
}

/// Gives back a packet that camrill_packet_ref() has kept, once for each time. NULL is allowed. [any thread]
///
/// # Safety
/// `packet` as for camrill_packet_info(), and kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_packet_free(packet: *mut camrill_packet_t) {
    if packet.is_null() {
        return;
    }
    let _ = guarded(|| {
        // SAFETY: it came from Arc::into_raw, and the caller gives one reference up.
        unsafe { Arc::decrement_strong_count(packet.cast_const()) };
        Ok(())
    });
}

/// # Safety
/// `packet` is NULL or valid for `'a`.
unsafe fn packet_of<'a>(packet: *const camrill_packet_t) -> Result<&'a camrill_packet_t> {
    // SAFETY: the caller's contract; only shared references are ever made of it.
    unsafe { packet.as_ref() }.ok_or_else(|| Error::new(Code::InvalidArgument, "packet is NULL"))
}

impl camrill_packet_t {
    fn info(&self) -> camrill_packet_info_t {
        let packet = &self.packet;
        let pieces = self.pieces.get_or_init(|| {
            let piece =
                |bytes: &bytes::Bytes| Piece(camrill_iov_t { data: bytes.as_ptr(), size: bytes.len() });
            packet.data.pieces().iter().map(piece).collect()
        });
        let (track, codec) = match packet.kind {
            Kind::Video => (CAMRILL_TRACK_VIDEO, codec(Some(packet.codec))),
            Kind::Audio => (CAMRILL_TRACK_AUDIO, codec(Some(packet.codec))),
            Kind::Data => (CAMRILL_TRACK_DATA, CAMRILL_CODEC_NONE),
        };
        let key = if packet.is_key { CAMRILL_PACKET_KEY } else { 0 };
        let gap = if packet.is_discontinuity { CAMRILL_PACKET_DISCONTINUITY } else { 0 };
        camrill_packet_info_t {
            struct_size: 0,
            track,
            codec,
            flags: key | gap,
            pts_us: packet.pts,
            dts_us: packet.dts,
            data: packet.data.one().map_or(std::ptr::null(), |bytes| bytes.as_ptr()),
            size: packet.data.len(),
            // Piece is camrill_iov_t, transparently.
            iov: pieces.as_ptr().cast(),
            iov_count: pieces.len(),
        }
    }
}

/// Hands over what a player gives now.
pub(super) fn deliver(handle: &camrill_engine_t, player: u32) -> Result<()> {
    // Each callback may be the player's last, or the engine's.
    while !handle.is_freed()
        && let Some((callbacks, user)) = handle.players.find(player)
        && let Some(given) = handle.with(|engine| Ok(engine.player_next(player)))?
    {
        match given {
            Given::Tracks(tracks) => tell_tracks(&callbacks, user, &tracks),
            Given::Packet(packet) => {
                let packet = Arc::into_raw(Arc::new(camrill_packet_t { packet, pieces: OnceLock::new() }));
                // SAFETY: the host's function, with its own pointer, for which user_free has not run; the packet
                // outlives the call, and our reference is given up once.
                unsafe {
                    (callbacks.on_packet)(user, packet.cast_mut());
                    Arc::decrement_strong_count(packet);
                }
            }
            Given::News(news) => tell_state(&callbacks, user, &news),
        }
    }
    Ok(())
}

fn tell_tracks(callbacks: &PlayerCallbacks, user: *mut c_void, tracks: &Tracks) {
    let Some(on_tracks) = callbacks.on_tracks else { return };
    let video = tracks.video.as_ref().map(|(video, config)| {
        let (frame_rate_num, frame_rate_den) = video.frame_rate.unwrap_or_default();
        camrill_track_info_t {
            width: video.width,
            height: video.height,
            frame_rate_num,
            frame_rate_den,
            profile: video.profile.into(),
            level: video.level.into(),
            ..track(video.codec, config)
        }
    });
    let audio = tracks.audio.as_ref().map(|(audio, config)| camrill_track_info_t {
        profile: audio.profile.into(),
        sample_rate: audio.sample_rate,
        channels: audio.channels.into(),
        ..track(audio.codec, config)
    });
    let pointer =
        |track: &Option<camrill_track_info_t>| track.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the host's function, with its own pointer, for which user_free has not run; the structs and what
    // they point to outlive the call.
    unsafe { on_tracks(user, pointer(&video), pointer(&audio)) };
}

fn track(of: Codec, config: &[u8]) -> camrill_track_info_t {
    camrill_track_info_t {
        struct_size: size_of::<camrill_track_info_t>() as u32,
        codec: codec(Some(of)),
        fourcc: match of {
            Codec::Other(id) => id,
            Codec::Vp8 => u32::from_be_bytes(*b"vp08"),
            _ => 0,
        },
        width: 0,
        height: 0,
        frame_rate_num: 0,
        frame_rate_den: 0,
        profile: 0,
        level: 0,
        sample_rate: 0,
        channels: 0,
        reserved: 0,
        config: if config.is_empty() { std::ptr::null() } else { config.as_ptr() },
        config_size: config.len(),
    }
}

fn tell_state(callbacks: &PlayerCallbacks, user: *mut c_void, news: &PlayerNews) {
    let Some(on_state) = callbacks.on_state else { return };
    let (reason, url) = (c_string(&news.reason), c_string(&news.url));
    let told = camrill_relay_state_t {
        struct_size: size_of::<camrill_relay_state_t>() as u32,
        direction: CAMRILL_RELAY_PLAYER,
        relay: 0,
        stream: news.stream,
        state: state(news.state),
        next_ms: ms(news.next),
        reason: reason.as_ptr(),
        url: url.as_ptr(),
    };
    // SAFETY: as above.
    unsafe { on_state(user, &told) };
}

/// # Safety
/// The config's strings are NULL or end in NUL.
unsafe fn options(config: &camrill_player_config_t) -> Result<PlayerOptions> {
    let wrong = |message: String| Err(Error::new(Code::InvalidArgument, message));
    let is = |flag: u32| config.flags & flag != 0;
    let both = CAMRILL_PLAYER_NO_VIDEO | CAMRILL_PLAYER_NO_AUDIO;
    let all = CAMRILL_PLAYER_STORED | CAMRILL_PLAYER_LIVE | both | CAMRILL_PLAYER_DATA | CAMRILL_PLAYER_LOOP;
    if config.flags & !all != 0 {
        return wrong(format!("flags is {}; some of CAMRILL_PLAYER_… expected", config.flags));
    }
    if config.flags & both == both {
        return wrong(
            "CAMRILL_PLAYER_NO_VIDEO and CAMRILL_PLAYER_NO_AUDIO leave nothing to be played".into(),
        );
    }
    let has_name = !config.app.is_null() || !config.name.is_null();
    let source = match (has_name, config.url.is_null()) {
        (true, false) => return wrong("url is set beside app and name; a stream or a URL expected".into()),
        (true, true) if is(CAMRILL_PLAYER_LOOP) => {
            return wrong("CAMRILL_PLAYER_LOOP is set for a stream of the engine's; a file expected".into());
        }
        (true, true) => {
            // SAFETY: the caller's contract.
            let (_, app, stream) = unsafe { names(config.vhost, config.app, config.name) }?;
            PlayerSource::Stream { app: app.to_owned(), stream: stream.to_owned() }
        }
        (false, _) => PlayerSource::Url {
            // SAFETY: the caller's contract.
            url: match unsafe { text(config.url, "url") }? {
                "" => return wrong("url is empty; a URL or a file's path expected".into()),
                url => url.to_owned(),
            },
            looped: is(CAMRILL_PLAYER_LOOP),
            retry: policy(&config.retry)?,
        },
    };
    Ok(PlayerOptions {
        // SAFETY: the caller's contract.
        vhost: unsafe { super::convert::optional_text(config.vhost, "vhost") }?.to_owned(),
        source,
        format: if is(CAMRILL_PLAYER_STORED) { PacketFormat::Stored } else { PacketFormat::Elementary },
        live: is(CAMRILL_PLAYER_LIVE),
        video: !is(CAMRILL_PLAYER_NO_VIDEO),
        audio: !is(CAMRILL_PLAYER_NO_AUDIO),
        data: is(CAMRILL_PLAYER_DATA),
    })
}
