//! hls.js and mpegts.js in a real browser, with real publishers: the players that pages outside use.

#![cfg(all(feature = "hls", feature = "http"))]

mod support;

#[path = "web_api/json.rs"]
mod json;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use camrill::engine::{ClientInfo, Doing};
use json::Json;
use support::clients::ffmpeg;
use support::host::Host;
use support::process::Process;
use support::{TempDir, free_port, repository};

/// How long a picture of a low-latency stream may be behind the server at most, in seconds.
const BEHIND: f64 = 3.0;
/// Seconds of the stream that each player is watched for, and how much longer that may take.
const WATCHED: f64 = 5.0;
const SLACK: f64 = 2.0;
/// How often a player so near to live may stop in that time, on a machine that does much else.
const STALLS: f64 = 2.0;
/// How many of the clip's 25 frames a second are shown at least, however busy the machine.
const FRAMES_SHOWN: f64 = 15.0;

/// A browser with many pages, driven by `tests/players/players.py`.
struct Browser {
    child: Child,
    /// A browser is at work alone.
    _alone: MutexGuard<'static, ()>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Browser {
    fn start() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new("python3")
            .arg(repository("tests/players/players.py"))
            .env("PYTHONPATH", repository("tests/.tools/python"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python; `make test` installs what the tests use");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        Self { child, _alone: alone, input, output }
    }

    /// Gives a command with its arguments as JSON, and answers what comes of it.
    #[track_caller]
    fn tell(&mut self, command: &str) -> Json {
        let input = self.input.as_mut().expect("a driver that runs");
        writeln!(input, "[{command}]").expect("a driver that reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        let answer = Json::parse(&line);
        assert_eq!(answer.at("error"), &Json::Null, "{command}");
        answer.at("ok").clone()
    }

    /// Opens a page with a player: its name, and what else the page is told.
    #[track_caller]
    fn open(&mut self, name: &str, origin: &str, player: &str, src: &str) {
        self.tell(&format!(r#""open", "{name}", "{origin}/player.html?with={player}&src={src}""#));
    }

    /// Waits for what a condition says of `now`, and answers after how many seconds, and what there is.
    #[track_caller]
    fn wait(&mut self, name: &str, condition: &str) -> (f64, Json) {
        let answer = self.tell(&format!(r#""wait", "{name}", "{condition}", 30"#));
        (answer.at("seconds").num(), answer.at("now").clone())
    }

    /// Waits for the first picture, or the first sound of what has none.
    #[track_caller]
    fn first(&mut self, name: &str) -> Json {
        let (_, now) = self.wait(name, "now.first !== null && now.time > 0 && now.frames + now.audio > 0");
        println!("{name}: plays {:.2} s after the page was opened", now.at("first").num());
        now
    }

    /// Watches the clock for some seconds of the stream, in which it may stop so often, for a second each.
    #[track_caller]
    fn watch(&mut self, name: &str, from: &Json, stalls: f64) -> Json {
        let due = from.at("time").num() + WATCHED;
        let (_, now) = self.wait(name, &format!("now.time >= {due}"));
        let [stream, seconds, frames] =
            ["time", "at", "frames"].map(|of| now.at(of).num() - from.at(of).num());
        println!(
            "{name}: {stream:.2} s of the stream in {seconds:.2} s; {frames} frames shown, {} dropped in all; \
             {:.2} s behind; {} stalls; {}",
            now.at("dropped").num(),
            now.at("latency").num(),
            now.at("stalls").num(),
            now.at("codecs").str(),
        );
        assert!(seconds < stream + SLACK + stalls, "{name}: {seconds} s");
        assert!(now.at("stalls").num() - from.at("stalls").num() <= stalls, "{name}: {now:?}");
        assert_sound(name, &now, stalls > 0.0);
        now
    }

    /// Ends a player, and answers what it fetched of its stream; all of that went well.
    #[track_caller]
    fn close(&mut self, name: &str) -> Vec<String> {
        let said = self.tell(&format!(r#""close", "{name}""#));
        assert_eq!(said.at("said"), &Json::Array(Vec::new()), "{name}");
        let answers = said.at("answers").items().iter().map(|answer| {
            let (url, status) = (answer.items()[0].str(), answer.items()[1].num());
            assert!(matches!(status as u16, 200 | 206 | 101), "{name}: {status} for {url}");
            url.to_owned()
        });
        answers.filter(|url| !url.contains("/player.html?")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends with its input, and the browser with it.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Nothing went wrong, but that the player had to wait for the stream where it `may_stall`.
#[track_caller]
fn assert_sound(name: &str, now: &Json, may_stall: bool) {
    let [fatal, errors] = ["fatal", "errors"].map(|of| now.at(of).items());
    let stalls = ["bufferStalledError", "bufferSeekOverHole", "bufferNudgeOnStall"];
    let is_stall = |error: &Json| stalls.iter().any(|stall| error.str().starts_with(stall));
    assert!(fatal.is_empty() && errors.iter().all(|e| may_stall && is_stall(e)), "{name}: {now:?}");
}

/// The player shows the clip, which has 25 frames a second, and has decoded its sound.
#[track_caller]
fn assert_is_the_clip(name: &str, from: &Json, now: &Json) {
    let [seconds, frames, audio] = ["time", "frames", "audio"].map(|of| now.at(of).num() - from.at(of).num());
    assert_eq!(now.at("codecs").str(), "avc1.64001e,mp4a.40.2", "{name}");
    assert_eq!((now.at("width").num(), now.at("height").num()), (640.0, 360.0), "{name}");
    assert!(frames > seconds * FRAMES_SHOWN && audio > 0.0, "{name}: {now:?}");
}

/// How many of the URLs contain all of these.
fn count(urls: &[String], parts: &[&str]) -> usize {
    urls.iter().filter(|url| parts.iter().all(|part| url.contains(part))).count()
}

/// A folder with the players' page and the players.
fn pages() -> TempDir {
    let dir = TempDir::new();
    for (from, name) in [
        ("tests/players/player.html", "player.html"),
        ("tests/.tools/players/hls.js", "hls.js"),
        ("tests/.tools/players/mpegts.js", "mpegts.js"),
    ] {
        std::fs::copy(repository(from), dir.join(name)).expect("`make test` installs what the tests use");
    }
    dir
}

/// Publishes a file in real time and without end to each of these vhosts.
fn camera(host: &Host, file: &Path, stream: &str, vhosts: &[&str]) -> Process {
    let mut command = ffmpeg();
    command
        .args(["-re", "-stream_loop", "-1", "-i"])
        .arg(file)
        .args(["-map", "0", "-c", "copy", "-f", "tee"]);
    let outputs: Vec<_> = vhosts
        .iter()
        .map(|vhost| format!("[f=flv]rtmp://{}/live/{stream}?vhost={vhost}", host.address()))
        .collect();
    published(host, command.arg(outputs.join("|")), stream, vhosts.len())
}

fn published(host: &Host, command: &mut Command, stream: &str, vhosts: usize) -> Process {
    let process = Process::start(command);
    let (name, all) = (stream.to_owned(), vhosts);
    host.until("it is published", move |e| {
        let streams = e.streams();
        let there = streams.iter().filter(|s| s.name.stream == name && s.published && s.audio_frames > 30);
        there.count() == all
    });
    process
}

/// The clip as another camera would send it: of another size, with other sound.
fn other_clip(dir: &TempDir) -> std::path::PathBuf {
    let path = dir.join("other.flv");
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]);
    command.args(["-c:a", "aac", "-ac", "1", "-f", "flv"]).arg(&path);
    Process::start(&mut command).finish();
    path
}

const FMP4: &str = "fmp4.localhost";
const LOW_LATENCY: &str = "ll.localhost";
const KEYS: &str = "keys.localhost";
const DEFAULT: &str = "__defaultVhost__";

#[test]
fn hls_js_plays_every_kind_of_hls() {
    let dir = pages();
    let (http, clip) = (free_port(), repository("assets/clip.flv"));
    let hls = "enabled on; hls_fragment 2; hls_window";
    let host = Host::start(&format!(
        "http_server {{ enabled on; listen 127.0.0.1:{http}; dir {}; }}
        vhost {DEFAULT} {{ hls {{ {hls} 12; }} }}
        vhost {FMP4} {{ hls {{ {hls} 12; hls_use_fmp4 on; }} }}
        vhost {LOW_LATENCY} {{ hls {{ {hls} 30; hls_low_latency on; }} }}
        vhost {KEYS} {{ hls {{ {hls} 12; hls_keys on; hls_fragments_per_key 2; }} }}",
        dir.join("").display(),
    ));
    let origin = format!("http://127.0.0.1:{http}");
    // The default vhost is the page's own origin, the others are foreign to it.
    let at = |vhost: &str, stream: &str| {
        let host = if vhost == DEFAULT { "127.0.0.1" } else { vhost };
        format!("http://{host}:{http}/live/{stream}.m3u8")
    };
    let mut browser = Browser::start();

    let _camera = camera(&host, &clip, "cam", &[DEFAULT, FMP4, LOW_LATENCY, KEYS]);
    let again = camera(&host, &clip, "again", &[DEFAULT, FMP4, LOW_LATENCY]);
    // No segment has ended: the request for the playlist waits for the first. There is too little then for
    // hls.js to go on without a stop, so it may hurry later.
    browser.open("LL from the start", &origin, "hls.js&rate=1.5", &at(LOW_LATENCY, "cam"));
    let other = other_clip(&dir);
    browser.first("LL from the start");

    host.until("there are segments to play", |e| e.streams().iter().all(|s| s.video_frames > 7 * 25));
    let players = [
        ("TS", DEFAULT, "cam"),
        ("fMP4", FMP4, "cam"),
        ("AES-128", KEYS, "cam"),
        ("LL", LOW_LATENCY, "cam"),
        ("TS again", DEFAULT, "again"),
        ("fMP4 again", FMP4, "again"),
        ("LL again", LOW_LATENCY, "again"),
    ];
    for (name, vhost, stream) in players {
        let player = if vhost == LOW_LATENCY { "hls.js&rate=1.5" } else { "hls.js" };
        browser.open(name, &origin, player, &at(vhost, stream));
    }
    let begun = players.map(|(name, ..)| browser.first(name));
    for ((name, vhost, _), from) in players.iter().zip(&begun) {
        let now = browser.watch(name, from, if *vhost == LOW_LATENCY { STALLS } else { 0.0 });
        assert_is_the_clip(name, from, &now);
    }
    let known = host.run(|e| {
        let is_one = |c: &ClientInfo| c.doing == Doing::Playing && c.name.stream == "cam";
        e.clients().into_iter().filter(is_one).count()
    });
    assert_eq!(known, 5, "each player has a session");

    // Gone, and back as another.
    drop(again);
    let _again = camera(&host, &other, "again", &[DEFAULT, FMP4, LOW_LATENCY]);
    for name in ["LL again", "TS again", "fMP4 again"] {
        let (_, from) = browser.wait(name, "now.width === 320 && now.discontinuities === 1");
        browser.wait(name, &format!("now.time >= {}", from.at("time").num() + 2.0));
    }

    for name in ["LL from the start", "LL"] {
        let (_, now) = browser.wait(name, &format!("now.deltas > 0 && now.latency < {BEHIND}"));
        let [parts, deltas] = ["parts", "deltas"].map(|of| now.at(of).num());
        println!("{name}: {parts} parts, {deltas} delta updates, {:.2} s behind", now.at("latency").num());
        assert!(parts > 30.0, "{name}: {now:?}");
        assert_eq!(now.at("failedDeltas").num(), 0.0, "{name}");
    }
    for (name, vhost, _) in [("LL from the start", LOW_LATENCY, "cam")].into_iter().chain(players) {
        let (_, now) = browser.wait(name, "true");
        assert_sound(name, &now, vhost == LOW_LATENCY || name.ends_with("again"));
        let urls = browser.close(name);
        let of = |parts: &[&str]| count(&urls, parts);
        let lists = of(&[".m3u8"]);
        println!("{name}: {lists} playlists, {} that wait, {} keys", of(&["_HLS_msn="]), of(&[".key"]));
        let ctx = urls.iter().find_map(|url| url.split_once("?hls_ctx=")?.1.split('&').next());
        let ctx = format!("hls_ctx={}", ctx.expect("a session"));
        assert_eq!(of(&[".m3u8", &ctx]), lists - 1, "{name}: the session is kept: {urls:?}");
        let waits = of(&["_HLS_msn=", "_HLS_skip=YES"]);
        if vhost == LOW_LATENCY {
            assert!(waits > 30, "{name}: {urls:?}")
        } else {
            assert_eq!(waits, 0, "{name}")
        }
        assert_eq!(of(&[".key"]) > 1, vhost == KEYS, "{name}: {urls:?}");
    }
}

#[test]
fn mpegts_js_plays_flv() {
    let dir = pages();
    let (http, elsewhere, clip) = (free_port(), free_port(), repository("assets/clip.flv"));
    let server = |port: u16| {
        format!("http_server {{ enabled on; listen 127.0.0.1:{port}; dir {}; }}", dir.join("").display())
    };
    let host = Host::start(&format!(
        "{} vhost {DEFAULT} {{ http_remux {{ enabled on; mount [vhost]/[app]/[stream]; }} }}",
        server(http)
    ));
    let _other_host = Host::start(&server(elsewhere));
    let mut browser = Browser::start();
    let _camera = camera(&host, &clip, "cam", &[DEFAULT]);

    let mut sound = ffmpeg();
    sound.args(["-re", "-stream_loop", "-1", "-i"]).arg(&clip).args(["-vn", "-c", "copy", "-f", "flv"]);
    sound.arg(format!("rtmp://{}/live/sound", host.address()));
    let _sound = published(&host, &mut sound, "sound", 1);

    let (own, foreign) = (format!("http://127.0.0.1:{http}"), format!("http://127.0.0.1:{elsewhere}"));
    let players = [
        ("HTTP-FLV", &own, "http", "cam"),
        ("HTTP-FLV of another origin", &foreign, "http", "cam"),
        ("HTTP-FLV of sound alone", &foreign, "http", "sound"),
        ("WebSocket-FLV", &own, "ws", "cam"),
        ("WebSocket-FLV of another origin", &foreign, "ws", "cam"),
        ("WebSocket-FLV of sound alone", &own, "ws", "sound"),
    ];
    for (name, origin, scheme, stream) in players {
        browser.open(name, origin, "mpegts.js", &format!("{scheme}://127.0.0.1:{http}/live/{stream}.flv"));
    }
    let begun = players.map(|(name, ..)| browser.first(name));
    for ((name, _, _, stream), from) in players.iter().zip(&begun) {
        let now = browser.watch(name, from, STALLS);
        if *stream == "cam" {
            assert_is_the_clip(name, from, &now);
        } else {
            assert_eq!(now.at("codecs").str(), "mp4a.40.2", "{name}");
            assert!(now.at("audio").num() > from.at("audio").num(), "{name}: {now:?}");
        }
        assert!(now.at("latency").num() < BEHIND, "{name}: {now:?}");
        browser.close(name);
    }
}

#[test]
fn hls_js_plays_g711() {
    let dir = pages();
    let http = free_port();
    let hls = "enabled on; hls_fragment 2; hls_window";
    let host = Host::start(&format!(
        "http_server {{ enabled on; listen 127.0.0.1:{http}; dir {}; }}
        vhost {DEFAULT} {{ }}
        vhost {FMP4} {{ hls {{ {hls} 12; hls_use_fmp4 on; }} }}
        vhost {LOW_LATENCY} {{ hls {{ {hls} 30; hls_low_latency on; }} }}",
        dir.join("").display(),
    ));
    let clips = [("a-law", "pcm_alaw"), ("u-law", "pcm_mulaw")].map(|(stream, law)| {
        let path = dir.join(&format!("{stream}.flv"));
        let mut command = ffmpeg();
        command.arg("-i").arg(repository("assets/clip.flv")).args(["-c:v", "copy"]);
        command.args(["-c:a", law, "-ar", "8000", "-ac", "1"]).arg(&path);
        Process::start(&mut command).finish();
        (stream, path)
    });
    let _cameras = clips.map(|(stream, path)| camera(&host, &path, stream, &[FMP4, LOW_LATENCY]));
    host.until("there are segments to play", |e| e.streams().iter().all(|s| s.video_frames > 7 * 25));
    let mut browser = Browser::start();
    let players = [
        ("fMP4, A-law", FMP4, "a-law"),
        ("fMP4, µ-law", FMP4, "u-law"),
        ("LL, A-law", LOW_LATENCY, "a-law"),
        ("LL, µ-law", LOW_LATENCY, "u-law"),
    ];
    for (name, vhost, stream) in players {
        let player = if vhost == LOW_LATENCY { "hls.js&rate=1.5" } else { "hls.js" };
        let src = format!("http://{vhost}:{http}/live/{stream}.m3u8");
        browser.open(name, &format!("http://127.0.0.1:{http}"), player, &src);
    }
    let begun = players.map(|(name, ..)| browser.first(name));
    for ((name, vhost, _), from) in players.iter().zip(&begun) {
        let now = browser.watch(name, from, if *vhost == LOW_LATENCY { STALLS } else { 0.0 });
        let [seconds, frames, audio] =
            ["time", "frames", "audio"].map(|of| now.at(of).num() - from.at(of).num());
        assert_eq!(now.at("codecs").str(), "avc1.64001e,flac", "{name}");
        assert!(frames > seconds * FRAMES_SHOWN && audio > 0.0, "{name}: {now:?}");
        browser.close(name);
    }
}
