//! The player page in a real browser, with real publishers.
//!
//! With `CAMRILL_SHOTS=folder` it leaves pictures of the page there.

#![cfg(feature = "page")]

mod support;

#[path = "web_api/json.rs"]
mod json;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use camrill::fmp4::Tracks;
use camrill::media::{Codec, Frame, Kind, Role};
use json::Json;
use support::clients::ffmpeg;
use support::host::Host;
use support::process::Process;
use support::{free_port, repository};

/// How long a picture may take from the page's opening on, in seconds; it is printed how long it does.
const OPENS: f64 = 3.0;

/// A browser, driven by `tests/page/page.py`.
struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Browser {
    fn start() -> Self {
        let mut child = Command::new("python3")
            .arg(repository("tests/page/page.py"))
            .env("PYTHONPATH", repository("tests/.tools/python"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python; `make test` installs what the tests use");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        Self { child, input, output }
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

    /// Waits for what a condition says of `now`, and answers after how many seconds, and what there is.
    #[track_caller]
    fn wait(&mut self, condition: &str) -> (f64, Json) {
        let answer = self.tell(&format!(r#""wait", "{condition}", 30"#));
        (answer.at("seconds").num(), answer.at("now").clone())
    }

    #[track_caller]
    fn shot(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("CAMRILL_SHOTS") {
            self.tell(&format!(r#""shot", "{}/{name}.png""#, folder.display()));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends with its input, and the browser with it.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// A server with the page, at ports that it may come back to.
fn server(rtmp: u16, http: u16) -> Host {
    let config = format!(
        "listen 127.0.0.1:{rtmp}; http_server {{ enabled on; listen 127.0.0.1:{http}; dir ''; }}
        vhost __defaultVhost__ {{ http_remux {{ enabled on; mount [vhost]/[app]/[stream]; }} }}"
    );
    Host::start_with(&config, |_| ())
}

/// A camera: the repository's clip, in real time and without end.
fn camera(host: &Host, stream: &str) -> Process {
    let mut command = ffmpeg();
    command.args(["-re", "-stream_loop", "-1", "-i"]).arg(repository("assets/clip.flv"));
    command.args(["-c", "copy", "-f", "flv"]).arg(format!("rtmp://{}/live/{stream}", host.address()));
    published(host, stream, &mut command)
}

/// One of another size, that a frame may be told from the clip's by.
fn small_camera(host: &Host, stream: &str) -> Process {
    let mut command = ffmpeg();
    command.args(["-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15"]);
    command.args(["-pix_fmt", "yuv420p", "-f", "flv"]);
    command.arg(format!("rtmp://{}/live/{stream}", host.address()));
    published(host, stream, &mut command)
}

fn published(host: &Host, stream: &str, command: &mut Command) -> Process {
    let process = Process::start(command);
    let name = stream.to_owned();
    host.until("it is published", move |e| {
        e.streams().iter().any(|s| s.name.stream == name && s.published && s.video_frames > 30)
    });
    process
}

fn texts(list: &Json) -> Vec<&str> {
    list.items().iter().map(Json::str).collect()
}

/// Init segments of every codec that has one, each with what RFC 6381 calls it.
fn inits() -> Vec<(String, String)> {
    let hvcc = |profile: u8, compatibility: u32, constraints: [u8; 6]| {
        let mut record = vec![1, profile];
        record.extend(compatibility.to_be_bytes());
        record.extend(constraints);
        record.extend([93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0]);
        record
    };
    let headers = [
        (Codec::H264, vec![1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]),
        (Codec::H265, hvcc(1, 0x6000_0000, [0xb0, 0, 0, 0, 0, 0])),
        (Codec::H265, hvcc(0x40 | 0x20 | 4, 0x0800_0000, [0x9d, 0, 8, 0, 0, 0])),
        (Codec::H265, hvcc(2, 0x2000_0000, [0; 6])),
        (Codec::Av1, vec![0x81, 0x04, 0x0c, 0]),
        (Codec::Av1, vec![0x81, 0x4d, 0xe0, 0]),
        (Codec::Vp9, vec![0, 31, 0x82, 1, 1, 1, 0, 0]),
        (Codec::Aac, vec![0x12, 0x10]),
        (Codec::Aac, vec![0x2b, 0x92, 0x08, 0x00]),
        (Codec::Mp3, vec![0xff, 0xfb, 0x90, 0x64]),
        (Codec::Mp3, vec![0xff, 0xf3, 0x84, 0xc4]),
        (Codec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec()),
        (Codec::G711A, vec![0xd5]),
    ];
    let all = headers.into_iter().map(|(codec, payload)| {
        let is_video = matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Vp9);
        let kind = if is_video { Kind::Video } else { Kind::Audio };
        let role = if codec.has_header() { Role::Header } else { Role::Key };
        let relay = Default::default();
        let frame = Frame { kind, codec, role, dts: 0, pts: 0, payload: payload.into(), relay };
        let tracks = Tracks::new(Some(&frame).filter(|_| is_video), Some(&frame).filter(|_| !is_video));
        let tracks = tracks.expect("a track");
        (format!("{:?}", &tracks.init()[..]), tracks.codecs())
    });
    all.collect()
}

#[test]
fn the_page_knows_what_it_is_given() {
    let host = server(free_port(), free_port());
    let is_server = |role| matches!(role, camrill::engine::Role::Http { .. });
    let at = host.run(move |e| e.addresses_of(is_server)[0]);
    let mut browser = Browser::start();
    browser.tell(&format!(r#""open", "http://{at}/", "desktop""#));
    for (init, name) in inits() {
        assert_eq!(browser.tell(&format!(r#""codecs", {init}"#)).str(), name);
    }
}

const PLAYS: &str = "now.live && now.time > 0 && now.frames > 3";

#[test]
fn the_page_plays_what_is_live() {
    let (rtmp, http) = (free_port(), free_port());
    let host = server(rtmp, http);
    let url = format!("http://127.0.0.1:{http}/");
    let mut browser = Browser::start();

    browser.tell(&format!(r#""open", "{url}", "desktop""#));
    let (_, now) = browser.wait("now.empty");
    assert_eq!(now.at("summary").str(), "No streams");
    browser.shot("desktop-0");

    // A stream comes and is played by itself; then the page is opened while it is there.
    let first = camera(&host, "cam");
    browser.wait(PLAYS);
    browser.tell(&format!(r#""open", "{url}", "desktop""#));
    let (seconds, _) = browser.wait("now.frames > 0 && now.time > 0");
    println!("a picture {seconds:.2} s after the page was loaded");
    assert!(seconds < OPENS, "{seconds} s");

    let (_, now) = browser.wait("now.live && /[1-9][0-9]* fps/.test(now.facts)");
    assert_eq!((now.at("width").num(), now.at("height").num()), (640.0, 360.0));
    assert_eq!((now.at("summary").str(), now.at("name").str()), ("1 stream", "cam"));
    assert!(now.at("muted").bool() && !now.at("paused").bool());
    let facts = now.at("facts").str();
    for fact in ["Published by127.0.0.1", "Viewers1", "640×360, H.264 High", "AAC LC, 44.1 kHz, stereo"] {
        assert!(facts.contains(fact), "{fact} in {facts}");
    }
    assert_eq!(
        texts(now.at("urls")),
        [
            format!("rtmp://127.0.0.1:{rtmp}/live/cam"),
            format!("{url}live/cam.flv"),
            format!("{url}live/cam.ts"),
        ]
    );
    // It catches up to live, and the picture's clock moves as time does.
    let (_, before) = browser.wait("now.latency < 1");
    let latency = before.at("latency").num();
    println!("{latency} s behind");
    let from = before.at("time").num();
    let (seconds, _) = browser.wait(&format!("now.time > {}", from + 2.0));
    assert!((1.0..4.0).contains(&seconds), "2 s of the stream took {seconds} s");
    browser.shot("desktop-1");
    browser.tell(r##""click", "#sound""##);
    browser.wait("!now.muted && !now.paused");
    browser.tell(r#""press", "m""#);
    browser.wait("now.muted");

    // Gone, and back as it was.
    drop(first);
    browser.wait("/ended/.test(now.state)");
    browser.shot("desktop-gone");
    let first = camera(&host, "cam");
    let (_, now) = browser.wait("now.live && now.state === ''");
    let back = now.at("time").num();
    browser.wait(&format!("now.live && now.time > {} && now.latency < 1", back + 1.0));

    // Gone, and back with another picture and without sound.
    drop(first);
    browser.wait("/ended/.test(now.state)");
    let first = small_camera(&host, "cam");
    browser.wait(&format!("{PLAYS} && now.width === 320"));
    let back = browser.wait("now.latency < 1").1.at("time").num();
    browser.wait(&format!("now.time > {}", back + 1.0));
    browser.tell(&format!(r#""open", "{url}", "phone""#));
    browser.wait(PLAYS);
    browser.shot("phone-1");
    browser.tell(&format!(r#""open", "{url}", "desktop""#));
    browser.wait(PLAYS);

    // A second one, with a name that is not harmless.
    let name = "b<b>x50%&é";
    let _second = camera(&host, name);
    let (_, now) = browser.wait("now.list.length === 2");
    assert!(now.at("list").items()[1].str().starts_with(&format!("live/{name}")), "{now:?}");
    browser.tell(r##""click", "#list li:nth-child(2) button""##);
    let (_, now) = browser.wait(&format!("{PLAYS} && now.width === 640"));
    assert_eq!((now.at("name").str(), now.at("elements").num()), (name, 0.0));
    assert!(texts(now.at("urls"))[1].ends_with("/live/b%3Cb%3Ex50%25%26%C3%A9.flv"), "{now:?}");

    let more: Vec<_> = ["porch", "garden", "a-very-long-name-that-does-not-fit-into-the-list-of-streams"]
        .map(|name| small_camera(&host, name))
        .into();
    browser.wait("now.list.length === 5");
    let (_, now) = browser.wait("now.live && !now.list.some(text => /bit/.test(text) === false)");
    assert_eq!(now.at("summary").str(), "5 streams");
    browser.shot("desktop-5");

    browser.tell(&format!(r#""open", "{url}", "dark""#));
    browser.wait("now.live && !now.list.some(text => /bit/.test(text) === false)");
    browser.shot("dark-5");
    browser.tell(&format!(r#""open", "{url}", "phone""#));
    let (seconds, now) = browser.wait(PLAYS);
    println!("on a phone {seconds:.2} s");
    assert_eq!(now.at("wide").num(), 390.0, "nothing stands out at the side");
    browser.wait("now.live && !now.list.some(text => /bit/.test(text) === false)");
    browser.shot("phone-5");
    browser.tell(&format!(r#""open", "{url}", "old""#));
    browser.wait("/plays no live streams/.test(now.state) && now.urls.length === 3");
    browser.tell(&format!(r#""open", "{url}", "phone""#));
    browser.wait(PLAYS);

    let said = browser.tell(r#""said""#);
    assert_eq!(texts(said.at("foreign")), [""; 0], "requests to others");
    assert_eq!(texts(said.at("errors")), [""; 0], "errors in the page");

    // The server goes and comes back, as after an update.
    drop((first, more));
    drop(host);
    browser.wait("/not answer/.test(now.summary) && now.state !== ''");
    let host = server(rtmp, http);
    let _first = camera(&host, "cam");
    browser.wait("now.live && now.width === 640 && now.state === ''");
}

/// A camera whose sound is G.711, with or without a picture.
fn g711_camera(host: &Host, stream: &str, law: &str, with_video: bool) -> Process {
    let mut command = ffmpeg();
    command.args(["-re", "-stream_loop", "-1", "-i"]).arg(repository("assets/clip.flv"));
    command.args(["-c:a", law, "-ar", "8000", "-ac", "1"]);
    command.args(if with_video { ["-c:v", "copy"].as_slice() } else { &["-vn"] });
    command.args(["-f", "flv"]).arg(format!("rtmp://{}/live/{stream}", host.address()));
    let process = Process::start(&mut command);
    let name = stream.to_owned();
    host.until("it is published", move |e| {
        e.streams().iter().any(|s| s.name.stream == name && s.published && s.audio_frames > 30)
    });
    process
}

#[test]
fn the_page_plays_g711_with_sound() {
    let (rtmp, http) = (free_port(), free_port());
    let host = server(rtmp, http);
    let mut browser = Browser::start();
    for (law, name, with_video) in [
        ("pcm_alaw", "G.711 A-law", true),
        ("pcm_mulaw", "G.711 µ-law", true),
        ("pcm_alaw", "G.711 A-law", false),
    ] {
        let camera = g711_camera(&host, "cam", law, with_video);
        browser.tell(&format!(r#""open", "http://127.0.0.1:{http}/", "desktop""#));
        let plays = if with_video { PLAYS } else { "now.live && now.time > 0" };
        let (seconds, from) = browser.wait(&format!("{plays} && now.audio > 0 && now.latency < 1.5"));
        println!("{law}: plays {seconds:.2} s after the page was loaded");
        let facts = from.at("facts").str();
        assert!(facts.contains(&format!("{name}, 8 kHz, mono")), "{facts}");
        let (time, audio) = (from.at("time").num(), from.at("audio").num());
        let (seconds, now) = browser.wait(&format!("now.time > {}", time + 3.0));
        assert!((2.0..5.0).contains(&seconds), "3 s of the stream took {seconds} s");
        assert!(now.at("audio").num() > audio && now.at("error") == &Json::Null, "{now:?}");
        assert_eq!(now.at("state").str(), "", "{now:?}");
        drop(camera);
        browser.wait("/ended/.test(now.state)");
    }
    let said = browser.tell(r#""said""#);
    assert_eq!(texts(said.at("errors")), [""; 0], "errors in the page");
}
