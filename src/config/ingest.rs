//! The ingests of a vhost: what is pulled in, and the stream that it becomes.

use std::time::Duration;

use super::Warning;
use super::block::Block;
use super::cluster::Origin;
use super::ffmpeg::{self, Command};
use super::settings::General;
use super::tree::{Node, Source};
use crate::error::{Result, without_secrets};
use crate::wire::limits::NAME_BYTES;

/// Endings of files in formats that are not read here. Of a file with any other one, or none, its bytes say
/// what it is.
const FOREIGN: [&str; 26] = [
    "3gp", "aac", "ac3", "asf", "avi", "flac", "h264", "h265", "hevc", "jpeg", "jpg", "m3u8", "m4a", "mka",
    "mkv", "mp3", "mpeg", "mpg", "ogg", "ogv", "opus", "png", "rmvb", "wav", "webm", "wmv",
];

/// A stream that is pulled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// Its name in the configuration.
    pub name: String,
    /// Where it comes from.
    pub input: Input,
    /// The vhost that it is published in: its own, unless the output names another.
    pub vhost: String,
    /// The app that it is published as.
    pub app: String,
    /// The stream's name.
    pub stream: String,
    /// Where its first viewer starts it: how long it goes on after the last one.
    pub on_demand: Option<Duration>,
    /// How long a server may bring nothing.
    pub stall: Duration,
    /// The longest wait until what has failed is tried again.
    pub retry: Duration,
}

/// Where an ingest comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Files that are played in turn, at their own pace. There is at least one.
    Files(Vec<String>),
    /// A URL over RTMP or HTTP, with TLS or without.
    Url(String),
    /// A program for the host to run, which publishes by itself: its path or name, and its arguments. The last
    /// of them is where it publishes, with `[port]` for the port that RTMP is served at.
    Program(Vec<String>),
}

/// The ingests of a vhost that are to run. One that asks for what can't be done is left out with a warning.
pub(super) fn read(vhost: &Node, general: &General, warnings: &mut Vec<Warning>) -> Result<Vec<Ingest>> {
    let mut list = Vec::new();
    for node in vhost.children.iter().filter(|n| n.block && n.name == "ingest") {
        if (Block { nodes: &node.children, path: "vhost/ingest" }).switch("enabled")? {
            list.extend(ingest(vhost.arg(), node, general, warnings)?);
        }
    }
    Ok(list)
}

fn ingest(
    vhost: &str,
    node: &Node,
    general: &General,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Ingest>> {
    let name = node.arg();
    let block = Block { nodes: &node.children, path: "vhost/ingest" };
    let engine = block.block("vhost/ingest/engine");
    let is_file = block.block("vhost/ingest/input").word("type", |word| word == "file")?;
    let urls = urls(node, is_file)?;
    let Target { place, url: output, vhost, app, stream } =
        Target::read(vhost, node, &engine, &general.ports)?;
    let on_demand = block.switch("on_demand")?.then(|| block.time("linger")).transpose()?;
    let (stall, retry) = (block.time("stall")?, block.time("retry")?);
    let foreign = if ffmpeg::transcodes(&engine)? {
        Some("its engine is on")
    } else if place == Place::Elsewhere {
        Some("its output is on another server")
    } else if urls.iter().any(|url| !is_read_here(url, is_file)) {
        Some("its input is not of a kind that is read here")
    } else {
        None
    };
    let Some(reason) = foreign else {
        if let Some(url) = urls.iter().find(|url| !is_file && Origin::of_url(url).is_none()) {
            let message = format!("url: \"{}\" has no host[:port]", without_secrets(url));
            return Err(source(node, "input", "url").error(message));
        }
        let input = if is_file { Input::Files(urls) } else { Input::Url(urls.concat()) };
        return Ok(Some(Ingest { name: name.into(), input, vhost, app, stream, on_demand, stall, retry }));
    };

    let program = block.text("ffmpeg")?;
    let lack = if program.is_empty() {
        "\"ffmpeg PATH;\" is missing"
    } else if place == Place::Here && general.ports.is_empty() {
        "\"listen\" is missing, to which FFmpeg would publish"
    } else {
        ""
    };
    if !lack.is_empty() {
        let message = format!("ingest \"{name}\" is left out: {reason}, and {lack}");
        warnings.push(Warning::new(&node.source, message));
        return Ok(None);
    }
    let [input] = urls.as_slice() else {
        let given = urls.len();
        let message =
            format!("url: {given} are given, and FFmpeg, which this needs since {reason}, takes one");
        return Err(source(node, "input", "url").error(message));
    };
    if on_demand.is_some() {
        let message = format!("ingest \"{name}\": on_demand is ignored, since FFmpeg runs all the time");
        warnings.push(Warning::new(&node.source, message));
    }
    let log_level = &general.ff_log_level;
    let command =
        Command { program: &program, log_level, engine: &engine, input, paced: is_file, output: &output };
    let input = Input::Program(command.argv()?);
    Ok(Some(Ingest { name: name.into(), input, vhost, app, stream, on_demand: None, stall, retry }))
}

/// What is to be read: of a stream one, of files at least one.
fn urls(node: &Node, is_file: bool) -> Result<Vec<String>> {
    let input = Block { nodes: &node.children, path: "vhost/ingest" }.block("vhost/ingest/input");
    let urls = input.texts("url");
    if urls.is_empty() || urls.iter().any(String::is_empty) {
        let (name, what) = (node.arg(), if is_file { "FILE" } else { "URL" });
        let message = format!("ingest \"{name}\" needs input {{ url {what}; }}");
        return Err(node.source.error(message));
    }
    if !is_file && urls.len() > 1 {
        let message = format!("url: {} are given, and a stream has one", urls.len());
        return Err(source(node, "input", "url").error(message));
    }
    Ok(urls)
}

/// Whether a file or stream is of a kind that needs no FFmpeg.
fn is_read_here(url: &str, is_file: bool) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !is_file {
        return matches!(scheme.as_deref(), Some("rtmp" | "rtmps" | "http" | "https"));
    }
    let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    scheme.is_none() && !FOREIGN.contains(&ending.as_str())
}

/// Where a directive in a block of the ingest stands, or else the ingest.
fn source<'a>(node: &'a Node, block: &str, name: &str) -> &'a Source {
    let block = node.children.iter().find(|n| n.block && n.name == block);
    let found = block.and_then(|block| block.children.iter().find(|n| n.name == name));
    found.map_or(&node.source, |found| &found.source)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Elsewhere,
}

/// Where an ingest is published.
struct Target {
    place: Place,
    /// As FFmpeg is told it, with `[port]`.
    url: String,
    vhost: String,
    app: String,
    stream: String,
}

impl Target {
    fn read(vhost: &str, node: &Node, engine: &Block<'_>, ports: &[u16]) -> Result<Self> {
        let ingest = node.arg();
        let named = node.children.iter().find(|n| n.block && n.name == "engine");
        let fill = |text: &str| {
            let text = text.replace("[vhost]", vhost).replace("[app]", "live").replace("[stream]", ingest);
            text.replace("[engine]", named.map_or("", Node::arg))
        };
        let output = engine.text("output")?;
        if output.is_empty() {
            return Ok(Self {
                place: Place::Here,
                url: fill("rtmp://127.0.0.1:[port]/live/[stream]?vhost=[vhost]"),
                vhost: vhost.into(),
                app: "live".into(),
                stream: ingest.into(),
            });
        }
        Self::parse(&output, vhost, ports, fill).ok_or_else(|| {
            source(node, "engine", "output").error(format_args!(
                "output: \"{output}\" is not rtmp://127.0.0.1:[port]/APP/STREAM?vhost=[vhost]"
            ))
        })
    }

    /// The app is all but the last part of the path. The parameters may stand after the stream or, as SRS
    /// had it earlier, after the app.
    fn parse(output: &str, vhost: &str, ports: &[u16], fill: impl Fn(&str) -> String) -> Option<Self> {
        let rest = output.strip_prefix("rtmp://")?;
        let (host, rest) = rest.split_once('/')?;
        // An address or a variable in brackets may hold colons; else the port follows the first.
        let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
        let (host, port) = host.split_at_checked(end.unwrap_or(host.len()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (app, stream, query) = match path.rsplit_once('/') {
            Some((app, stream)) => (app, stream, query),
            None => {
                let (query, stream) = query.rsplit_once('/')?;
                (path, stream, query)
            }
        };
        let (app, stream) = (fill(app), fill(stream));
        if [&app, &stream].iter().any(|part| part.is_empty() || part.len() > NAME_BYTES) {
            return None;
        }
        let named = query.split('&').find_map(|pair| pair.strip_prefix("vhost=")).map(&fill);
        // Another port is another server's. A number can't be one that is served where 0 is asked for.
        let port = port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok());
        let is_ours = ports.is_empty() || port.is_none_or(|port| ports.contains(&port));
        let is_here = is_ours && matches!(host, "127.0.0.1" | "localhost" | "[::1]" | "[vhost]");
        Some(Self {
            place: if is_here { Place::Here } else { Place::Elsewhere },
            url: fill(output),
            vhost: named.filter(|v| !v.is_empty()).unwrap_or_else(|| vhost.into()),
            app,
            stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};

    fn read(text: &str) -> Result<(Vec<Ingest>, Vec<String>), String> {
        let mut config = Config::new();
        config.load_text("t", text).map_err(|e| e.to_string())?;
        let (settings, warnings) = Settings::from_config(&config).map_err(|e| e.to_string())?;
        let list = settings.vhosts.values().flat_map(|v| v.ingests.iter().cloned()).collect();
        Ok((list, warnings.iter().map(ToString::to_string).collect()))
    }

    fn ingest(body: &str) -> Result<(Vec<Ingest>, Vec<String>), String> {
        read(&format!("listen 1935; vhost a.b {{ ingest camera {{ enabled on; {body} }} }}"))
    }

    /// The one that there is, without a warning.
    fn one(body: &str) -> Ingest {
        let (mut list, warnings) = ingest(body).unwrap();
        assert_eq!((list.len(), warnings.as_slice()), (1, &[][..]), "{body}");
        list.remove(0)
    }

    /// The arguments of the one program, joined where none has a blank.
    fn argv(body: &str) -> String {
        match one(body).input {
            Input::Program(argv) => argv.join(" "),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_output_becomes_vhost_app_and_stream() {
        for (output, expected) in [
            ("", ["a.b", "live", "camera"]),
            ("rtmp://127.0.0.1:[port]/live/livestream?vhost=[vhost]", ["a.b", "live", "livestream"]),
            ("rtmp://127.0.0.1:[port]/live?vhost=[vhost]/livestream", ["a.b", "live", "livestream"]),
            ("rtmp://127.0.0.1:[port]/[app]/[stream]?vhost=other", ["other", "live", "camera"]),
            ("rtmp://127.0.0.1:[port]/[app]/[stream]_[engine]", ["a.b", "live", "camera_hd"]),
            ("rtmp://localhost/a/b/c?token=x/y", ["a.b", "a/b", "c"]),
            ("rtmp://[::1]:1935/live/x", ["a.b", "live", "x"]),
            ("rtmp://[::1]/live/x", ["a.b", "live", "x"]),
            ("rtmp://[vhost]:[port]/live/x", ["a.b", "live", "x"]),
        ] {
            let engine =
                if output.is_empty() { String::new() } else { format!("engine hd {{ output {output}; }}") };
            let [vhost, app, stream] = expected.map(String::from);
            let input = Input::Files(vec!["./a.flv".into()]);
            let stall = Duration::from_secs(10);
            let expected = Ingest {
                name: "camera".into(),
                input,
                vhost,
                app,
                stream,
                on_demand: None,
                stall,
                retry: stall,
            };
            assert_eq!(one(&format!("input {{ type file; url ./a.flv; }} {engine}")), expected, "{output}");
        }
        assert!(read("vhost a { ingest camera { input { url x; } } }").unwrap().0.is_empty());
    }

    #[test]
    fn files_and_urls_are_told_from_what_only_ffmpeg_reads() {
        let files = |list: &[&str]| Input::Files(list.iter().map(|path| String::from(*path)).collect());
        for list in [
            &["a.flv"][..],
            &["/a/b.MP4"],
            &["a.m4v", "a.mov", "a.ts", "a.m2ts", "/mnt/my videos/a.flv"],
            &["/a.mkv/b"],
            &["a"],
        ] {
            let words: String = list.iter().map(|path| format!("\"{path}\" ")).collect();
            assert_eq!(one(&format!("input {{ url {words}; }}")).input, files(list));
            // A program that isn't needed is not run, nor one that would only copy.
            let engine = "engine { enabled on; iformat flv; vfilter { } vcodec copy; acodec copy; }";
            let body = format!("input {{ url {words}; }} ffmpeg /bin/ffmpeg; {engine}");
            assert_eq!(one(&body).input, files(list));
        }
        for url in
            ["rtmp://a/b/c", "rtmps://a/b/c", "http://a/b.flv", "https://a/b.m3u8?c=1", "HTTP://a/b.ts"]
        {
            let body = format!("input {{ type stream; url {url}; }} ffmpeg ffmpeg;");
            assert_eq!(one(&body).input, Input::Url(url.into()));
        }
        for (input, expected) in [
            ("type stream; url rtsp://u:p@a/b;", "-i rtsp://u:p@a/b"),
            ("type stream; url udp://@:1234;", "-i udp://@:1234"),
            ("type stream; url srt://a:1;", "-i srt://a:1"),
            ("type stream; url /dev/video0;", "-i /dev/video0"),
            ("type file; url a.mkv;", "-re -i a.mkv"),
            ("type file; url /b/a.AVI;", "-re -i /b/a.AVI"),
            ("type file; url a.webm;", "-re -i a.webm"),
            ("type file; url http://a/b.flv;", "-re -i http://a/b.flv"),
        ] {
            let expected = format!(
                "/opt/ffmpeg -loglevel info -nostats {expected} -vcodec copy -acodec copy \
                 -f flv -y rtmp://127.0.0.1:[port]/live/camera?vhost=a.b"
            );
            assert_eq!(argv(&format!("input {{ {input} }} ffmpeg /opt/ffmpeg;")), expected);
        }
    }

    #[test]
    fn an_engine_becomes_ffmpegs_arguments() {
        let whole = "input { url a.flv; } ffmpeg ffmpeg;
            engine hd {
                enabled on;
                perfile { re; rtsp_transport tcp; }
                iformat mpegts;
                vfilter { i ./logo.png; filter_complex 'overlay=10:10'; }
                vcodec libx264; vbitrate 1500; vfps 25; vwidth 769; vheight 320; vthreads 12;
                vprofile main; vpreset medium; vparams { t 100; bf 3; }
                acodec aac; abitrate 70; asample_rate 44100; achannels 2; aparams { profile:a aac_low; }
                oformat flv;
                output rtmp://127.0.0.1:[port]/[app]/[stream]_[engine]?vhost=[vhost];
            }";
        assert_eq!(
            argv(whole),
            "ffmpeg -loglevel info -nostats -re -rtsp_transport tcp -re -f mpegts -i a.flv \
             -i ./logo.png -filter_complex overlay=10:10 \
             -vcodec libx264 -b:v 1500000 -r 25 -s 768x320 -aspect 768:320 -threads 12 \
             -profile:v main -preset medium -t 100 -bf 3 \
             -acodec aac -b:a 70000 -ar 44100 -ac 2 -profile:a aac_low \
             -f flv -y rtmp://127.0.0.1:[port]/live/camera_hd?vhost=a.b"
        );
        let Ingest { vhost, app, stream, .. } = one(whole);
        assert_eq!([vhost, app, stream], ["a.b", "live", "camera_hd"]);

        let end = "-f flv -y rtmp://127.0.0.1:[port]/live/camera?vhost=a.b";
        for (input, engine, expected) in [
            ("url a.flv;", "vcodec libx264;", "-re -i a.flv -vcodec libx264 -acodec copy"),
            ("url a.flv;", "acodec aac; vcodec copy;", "-re -i a.flv -vcodec copy -acodec aac"),
            ("url a.flv;", "vcodec vn; acodec copy;", "-re -i a.flv -vn -acodec copy"),
            ("url a.flv;", "acodec an; vbitrate 9;", "-re -i a.flv -vcodec copy -an"),
            // What is copied has no encoder to be told anything.
            ("url a.flv;", "vcodec copy; vparams { bf 3; }", "-re -i a.flv -vcodec copy -acodec copy"),
            ("url a.flv;", "vcodec x; vfps 29.97; vwidth 9;", "-re -i a.flv -vcodec x -r 29.97 -acodec copy"),
            ("url a.flv;", "vcodec x; vfps 0; vthreads 0;", "-re -i a.flv -vcodec x -acodec copy"),
            ("url a.flv;", "iformat off; vcodec x;", "-re -i a.flv -vcodec x -acodec copy"),
            ("type stream; url rtmp://a/b/c;", "vcodec x;", "-f flv -i rtmp://a/b/c -vcodec x -acodec copy"),
            (
                "type stream; url rtmp://a/b/c;",
                "iformat off; vcodec x;",
                "-i rtmp://a/b/c -vcodec x -acodec copy",
            ),
            (
                "type stream; url /dev/video0;",
                "iformat v4l2; vcodec x;",
                "-f v4l2 -i /dev/video0 -vcodec x -acodec copy",
            ),
        ] {
            let body = format!("input {{ {input} }} ffmpeg ffmpeg; engine {{ enabled on; {engine} }}");
            assert_eq!(argv(&body), format!("ffmpeg -loglevel info -nostats {expected} {end}"));
        }
        let off =
            "input { url a.mkv; } ffmpeg ffmpeg; engine { vcodec libx264; perfile { re; } oformat off; }";
        let expected = "ffmpeg -loglevel info -nostats -re -i a.mkv -vcodec copy -acodec copy -y ";
        assert!(argv(off).starts_with(expected), "{}", argv(off));
    }

    #[test]
    fn the_log_level_is_handed_on() {
        for (level, expected) in [("ff_log_level debug;", "-loglevel debug "), ("ff_log_level '';", "")] {
            let body = "enabled on; input { type stream; url rtsp://a/b; } ffmpeg f;";
            let text = format!("listen 1; {level} vhost a {{ ingest camera {{ {body} }} }}");
            let (list, warnings) = read(&text).unwrap();
            assert!(warnings.is_empty());
            let Input::Program(argv) = &list[0].input else { panic!("{list:?}") };
            assert!(argv.join(" ").starts_with(&format!("f {expected}-nostats -i rtsp")), "{argv:?}");
        }
    }

    #[test]
    fn another_server_is_published_to_by_ffmpeg() {
        let body = "ffmpeg f; engine { output rtmp://10.0.0.1/live/x?vhost=[vhost]; }";
        let end = "-vcodec copy -acodec copy -f flv -y rtmp://10.0.0.1/live/x?vhost=a.b";
        assert_eq!(
            argv(&format!("input {{ url a.flv; }} {body}")),
            format!("f -loglevel info -nostats -re -i a.flv {end}")
        );
        assert_eq!(
            argv(&format!("input {{ type stream; url http://a/b.flv; }} {body}")),
            format!("f -loglevel info -nostats -i http://a/b.flv {end}")
        );
        let body = "input { url a.flv; } ffmpeg f; engine { output rtmp://127.0.0.1:1936/live/x; }";
        assert!(argv(body).ends_with(" -y rtmp://127.0.0.1:1936/live/x"));
        // It needs no port of ours.
        let body = "input { url a.flv; } ffmpeg f; engine { output rtmp://10.0.0.1/live/x; }";
        let text = format!("vhost a {{ ingest camera {{ enabled on; {body} }} }}");
        assert_eq!(read(&text).unwrap().0.len(), 1);
    }

    #[test]
    fn on_demand_has_a_time() {
        let on_demand = |body: &str| one(&format!("input {{ url a.flv; }} {body}")).on_demand;
        assert_eq!(on_demand("linger 3;"), None);
        assert_eq!(on_demand("on_demand on;"), Some(Duration::from_secs(10)));
        assert_eq!(on_demand("on_demand on; linger 2.5;"), Some(Duration::from_millis(2500)));
        let (list, warnings) = ingest("on_demand on; input { url a.mkv; } ffmpeg f;").unwrap();
        assert_eq!(list[0].on_demand, None);
        let expected = "t:1: ingest \"camera\": on_demand is ignored, since FFmpeg runs all the time";
        assert_eq!(warnings, [expected]);
    }

    #[test]
    fn patience_is_given_in_seconds() {
        let patience = |body: &str| {
            let ingest = one(&format!("input {{ type stream; url rtmp://a/b/c; }} {body}"));
            (ingest.stall.as_millis(), ingest.retry.as_millis())
        };
        assert_eq!(patience(""), (10_000, 10_000));
        assert_eq!(patience("stall 1.5; retry 0.1;"), (1500, 100));
        let error = ingest("input { url a.flv; } stall 0;").unwrap_err();
        assert_eq!(error, "t:1: stall: 0 is out of range: 0.1 to 86400 s");
    }

    #[test]
    fn what_cannot_run_is_left_out_or_wrong() {
        for (body, reason) in [
            ("input { type stream; url rtsp://x/y; }", "its input is not of a kind that is read here"),
            ("input { url a.flv b.mkv; }", "its input is not of a kind that is read here"),
            ("input { url a.flv; } engine { enabled on; vcodec libx264; }", "its engine is on"),
            ("input { url x; } engine { output rtmp://10.0.0.1/live/x; }", "its output is on another server"),
        ] {
            let (list, warnings) = ingest(body).unwrap();
            assert!(list.is_empty());
            let expected =
                format!("t:1: ingest \"camera\" is left out: {reason}, and \"ffmpeg PATH;\" is missing");
            assert_eq!(warnings, [expected]);
        }
        let text = "vhost a { ingest camera { enabled on; input { url a.mkv; } ffmpeg f; } }";
        let (list, warnings) = read(text).unwrap();
        assert!(list.is_empty());
        let expected = "t:1: ingest \"camera\" is left out: its input is not of a kind that is read here, \
                        and \"listen\" is missing, to which FFmpeg would publish";
        assert_eq!(warnings, [expected]);

        for (body, expected) in [
            ("", "t:1: ingest \"camera\" needs input { url FILE; }"),
            ("input { url a.flv \"\"; }", "t:1: ingest \"camera\" needs input { url FILE; }"),
            ("input { type stream; }", "t:1: ingest \"camera\" needs input { url URL; }"),
            (
                "input { type stream; url rtmp://a/b/c http://d/e; }",
                "t:1: url: 2 are given, and a stream has one",
            ),
            (
                "input { type stream; url rtmp://u:secret@a:70000/b/c?key=secret; }",
                "t:1: url: \"rtmp://***@a:70000/b/c?***\" has no host[:port]",
            ),
            (
                "input { url a.flv b.mkv; } ffmpeg f;",
                "t:1: url: 2 are given, and FFmpeg, which this needs since its input is not of a kind that \
                 is read here, takes one",
            ),
            (
                "input { url x; } engine { output rtmp://127.0.0.1/live; }",
                "t:1: output: \"rtmp://127.0.0.1/live\" is not rtmp://127.0.0.1:[port]/APP/STREAM?vhost=[vhost]",
            ),
            ("input { url x; } linger soon;", "t:1: linger: \"soon\" is not a number"),
        ] {
            assert_eq!(ingest(body).unwrap_err(), expected);
        }
    }
}
