//! What the web server and a vhost's outputs are told: HTTP, live streams over it, HLS and recordings.

use std::net::SocketAddr;
use std::time::Duration;

use super::block::Block;
use super::settings::TimeJitter;
use super::tls::TlsServer;
use crate::error::Result;

/// A port that answers HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpServer {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The same behind TLS, where that is turned on.
    pub https: Option<TlsServer>,
    /// The folder of the files that it serves, empty for none.
    pub dir: String,
    /// Whether pages of other origins may fetch from it.
    pub crossdomain: bool,
    /// Whether the player page is at `/`.
    pub page: bool,
}

/// Live streams over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remux {
    /// How much audio a new player of AAC and MP3 is given at once.
    pub fast_cache: Duration,
    /// Whether frames of a kind that was not declared are dropped.
    pub drop_if_not_match: bool,
    /// Whether audio is declared.
    pub has_audio: bool,
    /// Whether video is declared.
    pub has_video: bool,
    /// Whether what the stream has is declared, whatever `has_audio` and `has_video` say.
    pub guess_has_av: bool,
    /// URLs of a stream.
    pub mounts: Vec<String>,
    /// Whether a player who comes before the publisher waits.
    pub hstrs: bool,
}

/// HLS.
#[derive(Debug, Clone, PartialEq)]
pub struct Hls {
    /// Least length of a segment.
    pub fragment: Duration,
    /// Target duration as a multiple of it.
    pub td_ratio: f64,
    /// A segment ends without a keyframe at this multiple of it.
    pub aof_ratio: f64,
    /// Length of the playlist.
    pub window: Duration,
    /// What to do when a segment can't be written.
    pub on_error: OnError,
    /// The folder; empty for memory.
    pub path: String,
    /// The playlist's name.
    pub m3u8_file: String,
    /// A TS segment's name.
    pub ts_file: String,
    /// What stands before a segment's name in the playlist.
    pub entry_prefix: String,
    /// Whether audio is left out (`hls_acodec an`).
    pub no_audio: bool,
    /// Whether video is left out (`hls_vcodec vn`).
    pub no_video: bool,
    /// Whether segments that have left the playlist are removed.
    pub cleanup: bool,
    /// When nothing has come for so long everything is removed; zero for never.
    pub dispose: Duration,
    /// Whether segments end at keyframes only.
    pub wait_keyframe: bool,
    /// Whether segments are aligned to the clock.
    pub ts_floor: bool,
    /// Whether players are known by a session in the playlist's URL.
    pub ctx: bool,
    /// Whether segments' URLs have that session too.
    pub ts_ctx: bool,
    /// Whether decoding times are taken as they came.
    pub dts_directly: bool,
    /// Whether segments are fragmented MP4.
    pub fmp4: bool,
    /// An fMP4 segment's name.
    pub fmp4_file: String,
    /// The fMP4 header's name.
    pub init_file: String,
    /// Whether a playlist that is found is gone on with.
    pub recover: bool,
    /// Length of a part, where latency is to be low.
    pub part: Option<Duration>,
    /// Most bytes of segments kept in memory.
    pub max_bytes: usize,
    /// Encryption, where it is turned on.
    pub keys: Option<HlsKeys>,
}

/// How HLS is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HlsKeys {
    /// Segments for which one key is used.
    pub fragments_per_key: u32,
    /// A key file's name.
    pub file: String,
    /// The keys' folder; empty for memory.
    pub path: String,
    /// URL before a key's name; empty for names relative to the playlist.
    pub url: String,
}

/// What becomes of a stream whose segment can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// HLS of it ends, the stream goes on.
    Ignore,
    /// The publisher is sent away.
    Disconnect,
    /// The segment is lost, HLS goes on.
    Continue,
}

/// Recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Dvr {
    /// The streams that it is for, as `app/stream`; empty for all.
    pub apply: Vec<String>,
    /// When a file ends.
    pub plan: DvrPlan,
    /// A file's name.
    pub path: String,
    /// Length of a file of the plan `segment`.
    pub duration: Duration,
    /// Whether files begin at keyframes only.
    pub wait_keyframe: bool,
    /// How time stamps are put right.
    pub time_jitter: TimeJitter,
    /// Whether recording begins with the publish.
    pub autostart: bool,
    /// What is kept for a recording that is started later.
    pub preroll: Duration,
    /// Most bytes of it.
    pub preroll_bytes: usize,
    /// A publisher that returns within this goes on with the same file.
    pub keep: Duration,
    /// Length of an MP4 file's fragments.
    pub fragment: Duration,
    /// Whether an MP4 file is rewritten as a plain one when it is finished.
    pub faststart: bool,
    /// Whether an FLV file gets its keyframes' places when it is finished.
    pub index: bool,
    /// Older files are removed; zero for never.
    pub max_age: Duration,
    /// Beyond this many bytes the oldest files are removed; 0 for never.
    pub max_bytes: u64,
    /// Whether recorded MP4 files are served as a playlist.
    pub timeshift: bool,
}

/// When a recorded file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DvrPlan {
    /// With the publish.
    Session,
    /// When it has its length.
    Segment,
    /// Never: the next publish goes on with it.
    Append,
}

impl HttpServer {
    pub(super) fn server(block: &Block<'_>) -> Result<Option<Self>> {
        if !block.switch("enabled")? {
            return Ok(None);
        }
        Ok(Some(Self {
            listen: block.listen_or_default("listen")?,
            https: TlsServer::read(&block.block("http_server/https"))?,
            dir: block.text("dir")?,
            crossdomain: block.switch("crossdomain")?,
            page: block.switch("page")?,
        }))
    }

    pub(super) fn api(block: &Block<'_>) -> Result<Option<Self>> {
        if !block.switch("enabled")? {
            return Ok(None);
        }
        Ok(Some(Self {
            listen: block.listen_or_default("listen")?,
            https: TlsServer::read(&block.block("http_api/https"))?,
            dir: String::new(),
            crossdomain: block.switch("crossdomain")?,
            page: false,
        }))
    }
}

impl Remux {
    pub(super) fn read(block: &Block<'_>) -> Result<Option<Self>> {
        if !block.switch("enabled")? {
            return Ok(None);
        }
        Ok(Some(Self {
            fast_cache: block.time("fast_cache")?,
            drop_if_not_match: block.switch("drop_if_not_match")?,
            has_audio: block.switch("has_audio")?,
            has_video: block.switch("has_video")?,
            guess_has_av: block.switch("guess_has_av")?,
            mounts: block.texts("mount"),
            hstrs: block.switch("hstrs")?,
        }))
    }
}

impl Hls {
    pub(super) fn read(block: &Block<'_>) -> Result<Option<Self>> {
        if !block.switch("enabled")? {
            return Ok(None);
        }
        let path = block.text("hls_path")?;
        let low_latency = block.switch("hls_low_latency")?;
        let keys = HlsKeys {
            fragments_per_key: block.number::<u32>("hls_fragments_per_key")?.max(1),
            file: block.text("hls_key_file")?,
            path: if path.is_empty() { String::new() } else { block.text("hls_key_file_path")? },
            url: block.text("hls_key_url")?,
        };
        Ok(Some(Self {
            fragment: block.time("hls_fragment")?,
            td_ratio: block.fraction("hls_td_ratio")?,
            aof_ratio: block.fraction("hls_aof_ratio")?,
            window: block.time("hls_window")?,
            on_error: block.word("hls_on_error", |word| match word {
                "ignore" => OnError::Ignore,
                "disconnect" => OnError::Disconnect,
                _ => OnError::Continue,
            })?,
            path,
            m3u8_file: block.text("hls_m3u8_file")?,
            ts_file: block.text("hls_ts_file")?,
            entry_prefix: block.text("hls_entry_prefix")?,
            no_audio: block.word("hls_acodec", |word| word == "an")?,
            no_video: block.word("hls_vcodec", |word| word == "vn")?,
            cleanup: block.switch("hls_cleanup")?,
            dispose: block.time("hls_dispose")?,
            wait_keyframe: block.switch("hls_wait_keyframe")?,
            ts_floor: block.switch("hls_ts_floor")?,
            ctx: block.switch("hls_ctx")?,
            ts_ctx: block.switch("hls_ts_ctx")?,
            dts_directly: block.switch("hls_dts_directly")?,
            fmp4: low_latency || block.switch("hls_use_fmp4")?,
            fmp4_file: block.text("hls_fmp4_file")?,
            init_file: block.text("hls_init_file")?,
            recover: block.switch("hls_recover")?,
            part: if low_latency { Some(block.time("hls_part")?) } else { None },
            max_bytes: block.number("hls_max_bytes")?,
            keys: block.switch("hls_keys")?.then_some(keys),
        }))
    }
}

impl Dvr {
    pub(super) fn read(block: &Block<'_>) -> Result<Option<Self>> {
        if !block.switch("enabled")? {
            return Ok(None);
        }
        let apply = block.texts("dvr_apply");
        Ok(Some(Self {
            apply: if apply.iter().any(|word| word == "all") { Vec::new() } else { apply },
            plan: block.word("dvr_plan", |word| match word {
                "segment" => DvrPlan::Segment,
                "append" => DvrPlan::Append,
                _ => DvrPlan::Session,
            })?,
            path: block.text("dvr_path")?,
            duration: block.time("dvr_duration")?,
            wait_keyframe: block.switch("dvr_wait_keyframe")?,
            time_jitter: TimeJitter::read(block)?,
            autostart: block.switch("dvr_autostart")?,
            preroll: block.time("dvr_preroll")?,
            preroll_bytes: block.number("dvr_preroll_bytes")?,
            keep: block.time("dvr_keep")?,
            fragment: block.time("dvr_fragment")?,
            faststart: block.switch("dvr_faststart")?,
            index: block.switch("dvr_index")?,
            max_age: block.time("dvr_max_age")?,
            max_bytes: block.number("dvr_max_bytes")?,
            timeshift: block.switch("dvr_timeshift")?,
        }))
    }

    /// Whether a stream is to be recorded.
    pub fn applies(&self, app: &str, stream: &str) -> bool {
        let is = |word: &String| word.rsplit_once('/') == Some((app, stream));
        self.apply.is_empty() || self.apply.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};

    fn settings(text: &str) -> Settings {
        let mut config = Config::new();
        config.load_text("t", text).unwrap();
        Settings::from_config(&config).unwrap().0
    }

    #[test]
    fn nothing_is_on_that_is_not_turned_on() {
        let s = settings("");
        let v = s.vhost("x").unwrap();
        assert!(s.http_server.is_none() && s.http_api.is_none() && !s.utc_time);
        assert!(v.remux.is_none() && v.hls.is_none() && v.dvr.is_none());
    }

    #[test]
    fn what_is_turned_on_has_srs_ports_and_defaults() {
        let s = settings(
            "http_server { enabled on; } http_api { enabled on; }
            vhost v { http_remux { enabled on; } hls { enabled on; } dvr { enabled on; } }",
        );
        let server = s.http_server.as_ref().unwrap();
        assert_eq!(server.listen, [SocketAddr::from(([0, 0, 0, 0], 8080))]);
        assert!(server.crossdomain && server.page);
        let api = s.http_api.as_ref().unwrap();
        assert_eq!(api.listen, [SocketAddr::from(([0, 0, 0, 0], 1985))]);
        assert!(api.dir.is_empty() && !api.page);
        let v = s.vhost("v").unwrap();
        assert_eq!(v.remux.as_ref().unwrap().mounts, ["[vhost]/[app]/[stream]"]);
        let hls = v.hls.as_ref().unwrap();
        assert_eq!((hls.fragment, hls.window), (Duration::from_secs(10), Duration::from_secs(60)));
        assert!(hls.path.is_empty() && hls.part.is_none() && hls.keys.is_none() && !hls.fmp4);
        let dvr = v.dvr.as_ref().unwrap();
        assert!(dvr.applies("live", "x") && dvr.autostart && dvr.plan == DvrPlan::Session);
    }

    #[test]
    fn everything_said_is_read() {
        let s = settings(
            "utc_time on; http_server { enabled on; listen 127.0.0.1:0; dir /www; crossdomain off; page off; }
            vhost v {
                http_remux { enabled on; fast_cache 2.5; drop_if_not_match off; has_audio off; has_video off;
                    guess_has_av off; mount [vhost]/x/[stream].flv /y/[stream].ts; hstrs off; }
                hls { enabled on; hls_fragment 2; hls_td_ratio 1.5; hls_aof_ratio 1.2; hls_window 12;
                    hls_on_error disconnect; hls_path /hls; hls_acodec an; hls_vcodec vn; hls_cleanup off;
                    hls_dispose 3; hls_wait_keyframe off; hls_ts_floor on; hls_ctx off; hls_dts_directly off;
                    hls_low_latency on; hls_part 0.5; hls_max_bytes 65536; hls_keys on;
                    hls_fragments_per_key 3; hls_key_file_path /keys; hls_key_url https://k/; }
                dvr { enabled on; dvr_apply live/a live/b; dvr_plan segment; dvr_duration 5; time_jitter off;
                    dvr_path /rec/[stream].mp4; dvr_wait_keyframe off; dvr_autostart off; dvr_preroll 4;
                    dvr_keep 7; dvr_faststart on; dvr_index off; dvr_max_age 60; dvr_max_bytes 1000;
                    dvr_timeshift on; }
            }",
        );
        assert!(s.utc_time && s.http_api.is_none());
        let server = s.http_server.as_ref().unwrap();
        assert_eq!((server.dir.as_str(), server.crossdomain, server.page), ("/www", false, false));
        let v = s.vhost("v").unwrap();
        let remux = v.remux.as_ref().unwrap();
        assert_eq!(remux.mounts, ["[vhost]/x/[stream].flv", "/y/[stream].ts"]);
        assert_eq!(remux.fast_cache, Duration::from_millis(2500));
        assert!(!remux.drop_if_not_match && !remux.has_audio && !remux.has_video);
        assert!(!remux.guess_has_av && !remux.hstrs);
        let hls = v.hls.as_ref().unwrap();
        assert_eq!((hls.td_ratio, hls.aof_ratio, hls.max_bytes), (1.5, 1.2, 65_536));
        assert_eq!((hls.on_error, hls.part), (OnError::Disconnect, Some(Duration::from_millis(500))));
        assert!(hls.fmp4 && hls.no_audio && hls.no_video && hls.ts_floor);
        assert!(!hls.cleanup && !hls.wait_keyframe && !hls.ctx && !hls.dts_directly);
        let keys = hls.keys.as_ref().unwrap();
        assert_eq!(
            (keys.fragments_per_key, keys.path.as_str(), keys.url.as_str()),
            (3, "/keys", "https://k/")
        );
        let dvr = v.dvr.as_ref().unwrap();
        assert!(dvr.applies("live", "a") && !dvr.applies("live", "c") && !dvr.autostart);
        assert_eq!((dvr.plan, dvr.time_jitter), (DvrPlan::Segment, TimeJitter::Off));
        assert_eq!((dvr.preroll, dvr.keep), (Duration::from_secs(4), Duration::from_secs(7)));
        assert_eq!((dvr.max_age, dvr.max_bytes), (Duration::from_secs(60), 1000));
        assert!(dvr.faststart && !dvr.index && dvr.timeshift && !dvr.wait_keyframe);
    }
}
