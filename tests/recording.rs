//! Recording for real: what is published is what the files hold, packet by packet, whatever the disk does;
//! and the files come out again over HTTP.

mod support;

#[path = "recording/disks.rs"]
mod disks;
#[path = "recording/files.rs"]
mod files;
#[path = "recording/served.rs"]
mod served;
#[path = "recording/sinks.rs"]
mod sinks;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use camrill::config::Dvr;
use camrill::engine::{DvrNews, Engine, Event, Role};
use camrill::hub::Name;
use support::host::Host;
use support::{PATIENCE, TempDir, clients};

/// An engine whose default vhost records by these directives, and serves HTTP.
fn recording(dvr: &str) -> Host {
    Host::start(&config(dvr))
}

fn config(dvr: &str) -> String {
    config_in(env!("CARGO_TARGET_TMPDIR"), dvr)
}

/// With this folder for the web server.
fn config_in(dir: &str, dvr: &str) -> String {
    format!(
        "http_server {{ enabled on; listen 127.0.0.1:0; dir {dir}; }}
        vhost __defaultVhost__ {{ dvr {{ enabled on; {dvr} }} }}"
    )
}

/// Settings as a configuration has them.
fn settings(dvr: &str) -> Dvr {
    let mut engine = Engine::new().unwrap();
    engine.config_mut().load_text("test", &config(dvr)).unwrap();
    let (settings, _) = camrill::config::Settings::from_config(engine.config()).unwrap();
    Dvr::clone(settings.vhost("__defaultVhost__").unwrap().dvr.as_ref().unwrap())
}

fn name_of(stream: &str) -> Name {
    Name { vhost: "__defaultVhost__".into(), app: "live".into(), stream: stream.into() }
}

fn web(engine: &Engine) -> SocketAddr {
    engine.addresses_of(|role| matches!(role, Role::Http { .. }))[0]
}

fn url(host: &Host, stream: &str) -> String {
    format!("rtmp://{}/live/{stream}", host.address())
}

/// The next thing that becomes of a file, with the file and its recorder.
fn news(host: &Host) -> (u32, PathBuf, DvrNews) {
    host.event(|event| match event {
        Event::Recording { recorder, path, news, .. } => Some((recorder, path.into(), news)),
        _ => None,
    })
}

/// The next file that is opened.
#[track_caller]
fn opened(host: &Host) -> PathBuf {
    let (_, path, news) = news(host);
    assert_eq!(news, DvrNews::Opened, "{}", path.display());
    path
}

/// The next file that is complete; its length is what was said.
#[track_caller]
fn closed(host: &Host) -> PathBuf {
    loop {
        match news(host) {
            (_, _, DvrNews::Opened) => {}
            (_, path, DvrNews::Closed { bytes, .. }) => {
                assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
                return path;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Publishes a file at full speed and waits until it is over.
fn publish(host: &Host, ffmpeg: Command, file: &Path, stream: &str) {
    clients::publish(ffmpeg, file, &url(host, stream)).finish();
    host.until("the publisher is gone", |engine| engine.stats().publishers == 0);
}

/// What ffmpeg reads of one packet, but for its stream's number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Packet {
    /// When it is decoded and shown, in ms after the first video packet, or the first of all, is decoded.
    dts: i64,
    pts: i64,
    hash: String,
}

/// What `ffmpeg` reads of a file or URL, video first, without a word of complaint.
#[track_caller]
fn packets(mut ffmpeg: Command, input: &str) -> Vec<Vec<Packet>> {
    ffmpeg.args(["-copyts", "-i", input, "-map", "0:v?", "-map", "0:a?", "-c", "copy"]);
    let output = ffmpeg.args(["-f", "framemd5", "-"]).output().expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{input}: {complaints}");
    let mut bases: Vec<(i64, i64)> = Vec::new();
    let mut all: Vec<Vec<Packet>> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((_, base)) = line.strip_prefix("#tb ").and_then(|rest| rest.split_once(": ")) {
            let (num, den) = base.split_once('/').unwrap();
            bases.push((num.parse().unwrap(), den.parse().unwrap()));
            all.push(Vec::new());
        } else if !line.starts_with('#') {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            if fields[4] == "0" {
                continue; // a mark of the end
            }
            let track: usize = fields[0].parse().unwrap();
            let (num, den) = bases[track];
            let ms = |field: &str| (field.parse::<i64>().unwrap() * 1000 * num + den / 2).div_euclid(den);
            all[track].push(Packet { dts: ms(fields[1]), pts: ms(fields[2]), hash: fields[5].to_owned() });
        }
    }
    let first = all.iter().flatten().next().map_or(0, |p| p.dts);
    all.iter_mut().flatten().for_each(|p| (p.dts, p.pts) = (p.dts - first, p.pts - first));
    // A recording begins with a keyframe: sound before it is not in it.
    all.iter_mut().for_each(|track| track.retain(|p| p.dts >= 0));
    all
}

/// Asserts that both have the same packets; times of a remuxed track may be a millisecond off.
#[track_caller]
fn assert_same(came: &[Vec<Packet>], sent: &[Vec<Packet>]) {
    assert_eq!(came.len(), sent.len(), "tracks");
    for (came, sent) in came.iter().zip(sent) {
        let same = |(a, b): (&Packet, &Packet)| {
            a.hash == b.hash && a.dts.abs_diff(b.dts) <= 1 && a.pts.abs_diff(b.pts) <= 1
        };
        if let Some(at) = came.iter().zip(sent).position(|both| !same(both)) {
            panic!("packet {at} differs: sent {:?}, recorded {:?}", sent[at], came[at]);
        }
        assert_eq!(came.len(), sent.len(), "packets");
        assert!(!sent.is_empty());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What an HTTP request is answered with: status, head, body.
fn http(to: SocketAddr, method: &str, path: &str, fields: &str) -> (u16, String, Vec<u8>) {
    let mut socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer.split_off(end))
}

fn get(to: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = http(to, "GET", path, "");
    (status, String::from_utf8(body).unwrap())
}

fn unix_now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Files in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A folder's name as a configuration has it.
fn folder(dir: &TempDir) -> String {
    dir.join("").to_str().unwrap().trim_end_matches('/').to_owned()
}
