//! The C API, called as a C program calls it: an engine in this process that is polled while a test waits, and
//! publishers on it.

use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use camrill::ffi::*;

use super::PATIENCE;

/// An engine. Dropping it frees it.
pub(crate) struct Engine(*mut camrill_engine_t);

impl Engine {
    /// Starts an engine with this configuration.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        let text = CString::new(config).expect("no NUL");
        // SAFETY: all zero but for its size is a config; the strings end in NUL; `out` is writable.
        unsafe {
            let mut engine_config: camrill_engine_config_t = std::mem::zeroed();
            engine_config.struct_size = size_of::<camrill_engine_config_t>() as u32;
            let mut engine = ptr::null_mut();
            assert_eq!(camrill_engine_new(&engine_config, &mut engine), CAMRILL_OK);
            let engine = Self(engine);
            let loaded = camrill_config_load_text(engine.0, c"test".as_ptr(), text.as_ptr());
            assert_eq!(loaded, CAMRILL_OK, "{}", engine.why());
            assert_eq!(camrill_config_apply(engine.0), CAMRILL_OK, "{}", engine.why());
            engine
        }
    }

    /// The port that something is served at: "rtmp" or "http".
    #[track_caller]
    pub(crate) fn port(&self, what: &str) -> u16 {
        let what = CString::new(what).expect("no NUL");
        // SAFETY: the engine lives, and the string ends in NUL.
        let port = unsafe { camrill_engine_port(self.0, what.as_ptr()) };
        u16::try_from(port).expect("a port")
    }

    pub(crate) fn handle(&self) -> *mut camrill_engine_t {
        self.0
    }

    /// Does what is due, for so long at most.
    #[track_caller]
    pub(crate) fn poll(&self, ms: i32) {
        // SAFETY: the engine lives, and this is its thread.
        assert!(unsafe { camrill_engine_poll(self.0, ms) } >= 0, "{}", self.why());
    }

    /// Polls until `done` has an answer.
    #[track_caller]
    pub(crate) fn until<R>(&self, what: impl Fn() -> String, mut done: impl FnMut() -> Option<R>) -> R {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = done() {
                return answer;
            }
            assert!(Instant::now() < end, "never: {}", what());
            self.poll(10);
        }
    }

    /// Polls for a while.
    pub(crate) fn run_for(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.poll(10);
        }
    }

    /// How many play.
    #[track_caller]
    pub(crate) fn players(&self) -> u32 {
        // SAFETY: all zero but for its size is a struct to be filled; the engine lives.
        unsafe {
            let mut stats: camrill_stats_t = std::mem::zeroed();
            stats.struct_size = size_of::<camrill_stats_t>() as u32;
            assert_eq!(camrill_stats(self.0, &mut stats), CAMRILL_OK);
            stats.players
        }
    }

    /// The first of the streams that there are.
    #[track_caller]
    pub(crate) fn stream_info(&self) -> camrill_stream_info_t {
        // SAFETY: as above; there is room for one id.
        unsafe {
            let mut id = 0;
            assert!(camrill_streams(self.0, &mut id, 1) >= 1);
            let mut info: camrill_stream_info_t = std::mem::zeroed();
            info.struct_size = size_of::<camrill_stream_info_t>() as u32;
            assert_eq!(camrill_stream_info(self.0, id, &mut info), CAMRILL_OK);
            info
        }
    }

    fn why(&self) -> String {
        why(self.0)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: it was made by camrill_engine_new(), and is freed once.
        unsafe { camrill_engine_free(self.0) };
    }
}

/// The last error of an engine, or with NULL of this thread.
fn why(engine: *const camrill_engine_t) -> String {
    let mut text = [0; 1024];
    // SAFETY: the buffer is as long as is said, and what is written ends in NUL.
    unsafe {
        camrill_engine_last_error(engine.cast_mut(), text.as_mut_ptr(), text.len());
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    }
}

/// Tracks with nothing set.
pub(crate) fn tracks(video_codec: i32, audio_codec: i32) -> camrill_tracks_t {
    camrill_tracks_t {
        video_codec,
        audio_codec,
        video_format: CAMRILL_FORMAT_ANNEXB,
        audio_rate: 0,
        audio_channels: 0,
        reserved: [0; 3],
        video_config: ptr::null(),
        video_config_size: 0,
        audio_config: ptr::null(),
        audio_config_size: 0,
    }
}

/// What is written beside the bytes.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) codec: i32,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) flags: u32,
}

/// A publisher of a stream of live/. Dropping it ends it.
pub(crate) struct Publisher(*mut camrill_publisher_t);

impl Publisher {
    #[track_caller]
    pub(crate) fn new(engine: &Engine, vhost: &str, name: &str, tracks: camrill_tracks_t) -> Self {
        let [vhost, name] = [vhost, name].map(|text| CString::new(text).expect("no NUL"));
        // SAFETY: all zero but for what is set is a config; its strings and buffers outlive the call.
        unsafe {
            let mut config: camrill_publisher_config_t = std::mem::zeroed();
            config.struct_size = size_of::<camrill_publisher_config_t>() as u32;
            config.queue_bytes = 32 << 20;
            config.vhost = vhost.as_ptr();
            config.app = c"live".as_ptr();
            config.name = name.as_ptr();
            config.tracks = tracks;
            let mut publisher = ptr::null_mut();
            let made = camrill_publisher_new(engine.0, &config, &mut publisher);
            assert_eq!(made, CAMRILL_OK, "{}", engine.why());
            Self(publisher)
        }
    }

    /// Writes a frame in these pieces.
    #[track_caller]
    pub(crate) fn write(&self, facts: Facts, pieces: &[&[u8]]) {
        let pieces: Vec<camrill_iov_t> =
            pieces.iter().map(|piece| camrill_iov_t { data: piece.as_ptr(), size: piece.len() }).collect();
        let mut frame = camrill_frame_t {
            struct_size: size_of::<camrill_frame_t>() as u32,
            codec: facts.codec,
            pts_us: facts.pts,
            dts_us: facts.dts,
            data: ptr::null(),
            size: 0,
            iov: pieces.as_ptr(),
            iov_count: pieces.len(),
            flags: facts.flags,
            reserved: 0,
        };
        if let [one] = pieces[..] {
            (frame.iov, frame.iov_count, frame.data, frame.size) = (ptr::null(), 0, one.data, one.size);
        }
        // SAFETY: the publisher lives, and the frame's pieces outlive the call.
        let written = unsafe { camrill_publisher_write(self.0, &frame) };
        assert_eq!(written, CAMRILL_OK, "{} at {}", why(ptr::null()), facts.pts);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // SAFETY: it was made by camrill_publisher_new(), and is freed once.
        unsafe { camrill_publisher_free(self.0) };
    }
}

/// A frame that a player was given: its times in µs, and its bytes.
pub(crate) type Given = (i64, i64, Vec<u8>);

/// A player of a stream of live/, which gathers the frames of its tracks. Dropping it ends it.
pub(crate) struct Player {
    player: *mut camrill_player_t,
    given: *mut Vec<Given>,
}

impl Player {
    #[track_caller]
    pub(crate) fn new(engine: &Engine, name: &str, flags: u32) -> Self {
        let name = CString::new(name).expect("no NUL");
        let given = Box::into_raw(Box::<Vec<Given>>::default());
        // SAFETY: all zero but for what is set is a config; its strings outlive the call, `given` the player.
        unsafe {
            let mut config: camrill_player_config_t = std::mem::zeroed();
            config.struct_size = size_of::<camrill_player_config_t>() as u32;
            config.flags = flags;
            config.app = c"live".as_ptr();
            config.name = name.as_ptr();
            config.user = given.cast();
            config.on_packet = Some(gather);
            let mut player = ptr::null_mut();
            let made = camrill_player_new(engine.0, &config, &mut player);
            assert_eq!(made, CAMRILL_OK, "{}", engine.why());
            Self { player, given }
        }
    }

    /// What it was given so far.
    pub(crate) fn given(&self) -> Vec<Given> {
        // SAFETY: it lives as long as this, and callbacks run only while the engine is polled, on this thread.
        unsafe { (*self.given).clone() }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // SAFETY: both were made in `new`, and no callback runs once the player is freed.
        unsafe {
            camrill_player_free(self.player);
            drop(Box::from_raw(self.given));
        }
    }
}

unsafe extern "C" fn gather(user: *mut c_void, packet: *mut camrill_packet_t) {
    // SAFETY: the packet is valid during the call, and so is where its bytes lie; `user` is what `new` gave.
    unsafe {
        let mut info: camrill_packet_info_t = std::mem::zeroed();
        info.struct_size = size_of::<camrill_packet_info_t>() as u32;
        assert_eq!(camrill_packet_info(packet, &mut info), CAMRILL_OK);
        let (mut data, mut size) = (ptr::null(), 0);
        assert_eq!(camrill_packet_data(packet, &mut data, &mut size), CAMRILL_OK);
        let bytes = std::slice::from_raw_parts(data, size).to_vec();
        (*user.cast::<Vec<Given>>()).push((info.dts_us, info.pts_us, bytes));
    }
}
