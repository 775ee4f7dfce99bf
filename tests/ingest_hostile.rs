//! Servers that streams are pulled from over HTTP, and that do it wrong: the reason is told, it is tried again,
//! and what else there is goes on.

mod support;

use std::io::{Result, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use camrill::engine::{Event, RelayNews, RelayState, RetryPolicy};

use support::host::Host;
use support::origin::{self, Asked, Origin};
use support::relays::{self, ingest_by};
use support::rtmp_client::{Client, Media};
use support::{PATIENCE, TempDir, clients, free_port};

const CONNECT: Duration = Duration::from_millis(700);
const MIB: u64 = 1024 * 1024;

/// Is impatient with servers.
fn policy() -> RetryPolicy {
    RetryPolicy { connect: CONNECT, stall: Duration::from_millis(500), ..relays::policy() }
}

/// A stream that has nothing to do with all that.
struct Other {
    publisher: Client,
    player: Client,
    at: u32,
}

impl Other {
    fn begin(host: &Host) -> Self {
        let mut publisher = host.publish("other");
        let mut player = host.play("other");
        publisher.send_all(&[Media::video_header(0, 1), Media::key(0, 100)]);
        player.until(&Media::key(0, 100));
        Self { publisher, player, at: 0 }
    }

    /// It goes on.
    #[track_caller]
    fn goes_on(&mut self) {
        self.at += 40;
        let frame = Media::key(self.at, 100);
        self.publisher.send(&frame);
        assert_eq!(self.player.media(), Some(frame));
    }
}

/// The next two failures of what is at `url`: the reason of the first, and that it was tried again.
#[track_caller]
fn reason(host: &Host, url: &str) -> String {
    let id = ingest_by(host, "bad", url, policy());
    let failure = || -> RelayNews {
        host.event(|event| match event {
            Event::Relay(news) if news.id == id && news.state == RelayState::Waiting => Some(news),
            _ => None,
        })
    };
    let (first, second) = (failure(), failure());
    assert_eq!(first.reason.split("within").next(), second.reason.split("within").next());
    assert_eq!(first.url, url);
    assert!(first.next > Duration::ZERO && first.next < Duration::from_millis(100), "{:?}", first.next);
    host.run(move |engine| engine.ingest_close(id)).expect("an ingest");
    first.reason
}

/// What this server leads to.
#[track_caller]
fn reason_of(answer: impl Fn(&Asked, &mut TcpStream) -> Result<()> + Send + Sync + 'static) -> String {
    let origin = Origin::start(answer);
    let host = Host::start("");
    let mut other = Other::begin(&host);
    let reason = reason(&host, &origin.url("x"));
    other.goes_on();
    reason.replace(&origin.address().to_string(), "SERVER")
}

/// Bytes one after another with a pause behind each.
fn trickle(out: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    for byte in bytes.iter().cycle() {
        out.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

const FLV: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
/// A packet of MPEG-TS that says nothing (ISO 13818-1, 2.4.3.3).
const NULL_PACKET: [u8; 188] = {
    let mut packet = [0xff; 188];
    (packet[0], packet[1], packet[2], packet[3]) = (0x47, 0x1f, 0xff, 0x10);
    packet
};

fn playlist(out: &mut TcpStream, segments: &[&str]) -> Result<()> {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n".to_owned();
    segments.iter().for_each(|segment| text += &format!("#EXTINF:1,\n{segment}\n"));
    origin::whole(out, 200, "application/vnd.apple.mpegurl", (text + "#EXT-X-ENDLIST\n").as_bytes())
}

#[test]
fn what_cannot_be_reached() {
    let host = Host::start("");
    let mut other = Other::begin(&host);
    let port = free_port();
    let refused = reason(&host, &format!("http://127.0.0.1:{port}/x"));
    assert_eq!(refused, format!("connecting to 127.0.0.1:{port}: Connection refused (os error 111)"));
    other.goes_on();
}

#[test]
fn names_that_are_unknown_or_come_late() {
    let host = Host::start_with("listen 127.0.0.1:0;", |engine| engine.resolve_by_host(true));
    let mut other = Other::begin(&host);
    let origin = Origin::start(|_, out| {
        origin::endless(out, "video/x-flv")?;
        let tag = [9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 16];
        out.write_all(&[FLV, &tag].concat())?;
        origin::hang(out)
    });
    let url = format!("http://camera.test:{}/x", origin.address().port());
    ingest_by(&host, "s", &url, policy());
    let asked = || {
        host.event(|event| match event {
            Event::Resolve { ticket, host, .. } => Some((ticket, host)),
            _ => None,
        })
    };
    let failed = || {
        host.event(|event| match event {
            Event::Relay(news) if news.state == RelayState::Waiting => Some(news.reason),
            _ => None,
        })
    };
    let (ticket, name) = asked();
    assert_eq!(name, "camera.test");
    host.run(move |engine| engine.resolved(ticket, &[])).expect("a question");
    assert_eq!(failed(), "connecting to camera.test: no address is known of that name");
    // It is asked again, and this time the answer comes too late.
    let (ticket, _) = asked();
    other.goes_on();
    let port = origin.address().port();
    assert_eq!(failed(), format!("timeout: no address of camera.test:{port} within 700 ms"));
    let address = origin.address().ip();
    assert!(host.run(move |engine| engine.resolved(ticket, &[address])).is_err());
    let (ticket, _) = asked();
    host.run(move |engine| engine.resolved(ticket, &[address])).expect("a question");
    origin.wait(1, "/x");
}

#[test]
fn answers_that_do_not_come() {
    let timeout = "timeout: no whole head of an HTTP answer within";
    let begun = Instant::now();
    assert!(reason_of(|_, out| origin::hang(out)).starts_with(timeout));
    assert!(reason_of(|_, out| trickle(out, b"HTTP/1.1 200 OK\r\nX: ")).starts_with(timeout));
    assert_eq!(
        reason_of(|_, out| {
            origin::endless(out, "video/x-flv")?;
            out.write_all(FLV)?;
            // A tag of 8 MB, in time.
            out.write_all(&[9, 0x7f, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0])?;
            trickle(out, &[0])
        }),
        "timeout: no frame within 700 ms"
    );
    assert_eq!(
        reason_of(|_, out| Err(out
            .shutdown(std::net::Shutdown::Both)
            .err()
            .unwrap_or(std::io::ErrorKind::Other.into()))),
        "the connection was closed without an HTTP answer"
    );
    // Each twice, and nothing is bounded by byte.
    assert!(begun.elapsed() < 6 * 2 * CONNECT, "{:?}", begun.elapsed());
}

#[test]
fn answers_that_are_no_stream() {
    assert_eq!(
        reason_of(|_, out| origin::whole(out, 404, "text/html", b"<html>no</html>")),
        "http://SERVER/x is answered with 404, 200 was expected"
    );
    assert_eq!(
        reason_of(|_, out| origin::whole(
            out,
            200,
            "text/html; charset=utf-8",
            b"<!DOCTYPE html>\n<html>log in</html>"
        )),
        "FLV, MPEG-TS or a playlist of HLS was expected, but it begins with \"<!DOCTYPE html>\\n\" \
        (Content-Type: text/html; charset=utf-8)"
    );
    let sent_on = |asked: &Asked, out: &mut TcpStream| {
        write!(out, "HTTP/1.1 302 Found\r\nLocation: {}0\r\nContent-Length: 0\r\n\r\n", asked.path)
    };
    assert_eq!(reason_of(sent_on), "the server sends us elsewhere, 5 times in a row");
    assert_eq!(
        reason_of(|_, out| out.write_all(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n")),
        "http://SERVER/x is answered with 302, 200 was expected"
    );
    let fields = |out: &mut TcpStream| -> Result<()> {
        out.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            out.write_all(b"X-Field: and so on\r\n")?;
        }
    };
    assert_eq!(reason_of(move |_, out| fields(out)), "HTTP answer: head too long");
    assert_eq!(
        reason_of(|_, out| out.write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08")),
        "http://SERVER/x is answered in the coding gzip, which was not asked for"
    );
    assert_eq!(
        reason_of(|_, out| origin::whole(out, 200, "video/x-flv", b"")),
        "the stream is over without a frame"
    );
    assert_eq!(
        reason_of(|_, out| out.write_all(b"RTSP/1.0 200 OK\r\n\r\n")),
        "HTTP answer: malformed status line"
    );
}

#[test]
fn streams_that_are_none() {
    // A tag that says it is of 16 MB.
    assert_eq!(
        reason_of(|_, out| {
            origin::endless(out, "video/x-flv")?;
            out.write_all(&[FLV, &[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]].concat())
        }),
        "FLV: FLV tag is beyond the limit of 8388608"
    );
    // A tag that says it is shorter than it is: what follows is none.
    assert_eq!(
        reason_of(|_, out| {
            origin::endless(out, "video/x-flv")?;
            out.write_all(&[FLV, &[8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xaf, 0, 0, 0, 99], &[77; 100]].concat())
        }),
        "timeout: no frame within 500 ms"
    );
    assert_eq!(
        reason_of(|_, out| {
            origin::endless(out, "video/mp2t")?;
            loop {
                out.write_all(&NULL_PACKET.repeat(100))?;
            }
        }),
        "no frame in 16777216 bytes; MPEG-TS without a program map, or without a frame"
    );
    assert_eq!(
        reason_of(|_, out| {
            origin::endless(out, "video/mp2t")?;
            out.write_all(&[&NULL_PACKET.repeat(10)[..], &[0; 100_000]].concat())?;
            origin::hang(out)
        }),
        "not a transport stream: no packets within 65536 bytes"
    );
}

#[test]
fn playlists_that_lead_nowhere() {
    assert_eq!(
        reason_of(|_, out| origin::whole(out, 200, "text/plain", b"#EXTINF:1,\nnothing\n")),
        "HLS: the playlist: line 1: #EXTM3U was expected"
    );
    assert_eq!(
        reason_of(|_, out| {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 50 * MIB)?;
            out.write_all(b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n")?;
            loop {
                out.write_all(&b"#EXTINF:1,\na.ts\n".repeat(1000))?;
            }
        }),
        "HLS: the playlist: at most 8388608 bytes were expected"
    );
    let many = |asked: &Asked, out: &mut TcpStream, count: usize| match asked.path.as_str() {
        "/x" => playlist(out, &vec!["a.ts"; count]),
        _ => origin::whole(out, 404, "text/plain", b""),
    };
    assert_eq!(
        reason_of(move |asked, out| many(asked, out, 10_000)),
        "HLS: no frame in 6 segments in a row; of the last: http://SERVER/a.ts is answered with 404, 200 was expected"
    );
    assert_eq!(
        reason_of(move |asked, out| many(asked, out, 30_000)),
        "HLS: the playlist: line 40004: at most 20000 segments were expected"
    );
    assert_eq!(
        reason_of(|_, out| playlist(out, &["file:///etc/passwd"])),
        "HLS: no frame in 1 segments in a row; of the last: the URL's scheme is not http:// or https://"
    );
    assert_eq!(
        reason_of(|asked, out| match asked.path.as_str() {
            "/x" => playlist(out, &["a.ts"]),
            // A segment of 1 GB that says nothing.
            _ => {
                write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 188 * 6_000_000)?;
                loop {
                    out.write_all(&NULL_PACKET.repeat(100))?;
                }
            }
        }),
        "HLS: no frame in 1 segments in a row; of the last: no frame in 16777216 bytes"
    );
    assert_eq!(
        reason_of(|asked, out| match asked.path.as_str() {
            "/x" => origin::whole(out, 200, "", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"),
            _ => origin::hang(out),
        }),
        "timeout: no frame within 700 ms"
    );
    // What its segments are is known when they come.
    assert_eq!(
        reason_of(|asked, out| match asked.path.as_str() {
            "/x" => playlist(out, &["a.ts"]),
            _ => trickle(out, b"HTTP/1.1 200 OK\r\nX: "),
        }),
        "timeout: no frame within 700 ms"
    );
}

/// The clip's first seconds as one segment of HLS.
fn segment(dir: &TempDir, kind: &str) -> Vec<u8> {
    let file = clients::cut(dir, 0, 2);
    let mut ffmpeg = clients::ffmpeg();
    ffmpeg.arg("-i").arg(file).current_dir(dir.join("")).args(["-c", "copy", "-f", "hls", "-hls_time", "9"]);
    let out = ffmpeg.args(["-hls_segment_type", kind, "-hls_segment_filename", "seg%d", "i.m3u8"]).output();
    assert!(out.is_ok_and(|out| out.status.success()));
    let read = |name: &str| std::fs::read(Path::new(&dir.join(name))).unwrap_or_default();
    [read("init.mp4"), read("seg0")].concat()
}

#[test]
fn a_segment_of_mp4_that_is_cut_off() {
    let bytes = segment(&TempDir::new(), "fmp4");
    for (len, expected) in [
        (100, "HLS: no frame in 1 segments in a row; of the last: nothing to play in it"),
        // What is there of it is played.
        (bytes.len() / 2, "everything has been played"),
    ] {
        let part = bytes[..len].to_vec();
        let origin = Origin::start(move |asked, out| match asked.path.as_str() {
            "/x" => playlist(out, &["a.mp4"]),
            _ => origin::whole(out, 200, "video/mp4", &part),
        });
        let host = Host::start("");
        let mut other = Other::begin(&host);
        ingest_by(&host, "s", origin.url("x"), policy());
        let reason = host.event(|event| match event {
            Event::Relay(news) if !news.reason.is_empty() => Some(news.reason),
            _ => None,
        });
        assert_eq!(reason, expected);
        other.goes_on();
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("what the system says");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

#[test]
fn a_segment_of_a_gigabyte_is_taken_as_it_is_played() {
    let bytes = segment(&TempDir::new(), "mpegts");
    let origin = Origin::start(move |asked, out| match asked.path.as_str() {
        "/x" => playlist(out, &["a.ts"]),
        _ => {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 30)?;
            loop {
                out.write_all(&bytes)?;
            }
        }
    });
    let host = Host::start("");
    let mut other = Other::begin(&host);
    let before = resident();
    let mut player = host.play("s");
    ingest_by(&host, "s", origin.url("x"), policy());
    let begun = Instant::now();
    while begun.elapsed() < 3 * CONNECT {
        assert!(player.media().is_some());
    }
    other.goes_on();
    let (taken, state) = host.run(|engine| (engine.relays()[0].bytes, engine.relays()[0].state));
    assert_eq!(state, RelayState::Running);
    assert!((MIB..32 * MIB).contains(&taken), "{taken} bytes were taken in");
    assert!(resident() < before + 128 * MIB, "{} MiB", resident() / MIB);
    assert!(begun.elapsed() < PATIENCE);
}
