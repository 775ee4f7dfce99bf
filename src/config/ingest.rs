//! The ingests of a vhost: what is pulled in, and the stream that it becomes.

use super::Warning;
use super::block::Block;
use super::tree::Node;
use crate::error::Result;
use crate::wire::limits::NAME_BYTES;

/// A stream that is pulled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// Its name in the configuration.
    pub name: String,
    /// The FLV file's path.
    pub url: String,
    /// The vhost that it is published in: its own, unless the output names another.
    pub vhost: String,
    /// The app that it is published as.
    pub app: String,
    /// The stream's name.
    pub stream: String,
}

/// The ingests of a vhost that are to run. One that asks for what is not built is left out with a warning.
pub(super) fn read(vhost: &Node, warnings: &mut Vec<Warning>) -> Result<Vec<Ingest>> {
    let mut list = Vec::new();
    for node in vhost.children.iter().filter(|n| n.block && n.name == "ingest") {
        let name = node.arg();
        let ingest = Block { nodes: &node.children, path: "vhost/ingest" };
        if !ingest.switch("enabled")? {
            continue;
        }
        let input = ingest.block("vhost/ingest/input");
        if input.text("type")? != "file" {
            let source = input.find("type").map_or(&node.source, |n| &n.source);
            let message =
                format!("ingest \"{name}\" is left out: an input other than a file is not built yet");
            warnings.push(Warning::new(source, message));
            continue;
        }
        let url = input.text("url")?;
        if url.is_empty() {
            return Err(node.source.error(format_args!("ingest \"{name}\" needs input {{ url FILE; }}")));
        }
        let engine = ingest.block("vhost/ingest/engine");
        let output = engine.text("output")?;
        let source = engine.find("output").map_or(&node.source, |n| &n.source);
        let target = match output.as_str() {
            "" => Target { here: true, vhost: None, app: "live".into(), stream: name.into() },
            output => Target::parse(output, vhost.arg(), name).ok_or_else(|| {
                source.error(format_args!(
                    "output: \"{output}\" is not rtmp://127.0.0.1:[port]/APP/STREAM?vhost=[vhost]"
                ))
            })?,
        };
        if !target.here {
            let message =
                format!("ingest \"{name}\" is left out: an output to another server is not built yet");
            warnings.push(Warning::new(source, message));
            continue;
        }
        list.push(Ingest {
            name: name.into(),
            url,
            vhost: target.vhost.unwrap_or_else(|| vhost.arg().into()),
            app: target.app,
            stream: target.stream,
        });
    }
    Ok(list)
}

struct Target {
    /// Whether it is this machine.
    here: bool,
    vhost: Option<String>,
    app: String,
    stream: String,
}

impl Target {
    /// The app is all but the last part of the path. The parameters may stand after the stream or, as SRS
    /// had it earlier, after the app.
    fn parse(output: &str, vhost: &str, ingest: &str) -> Option<Self> {
        let rest = output.strip_prefix("rtmp://")?;
        let (host, rest) = rest.split_once('/')?;
        // An address or a variable in brackets may hold colons; else the port follows the first.
        let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
        let (host, _port) = host.split_at_checked(end.unwrap_or(host.len()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (app, stream, query) = match path.rsplit_once('/') {
            Some((app, stream)) => (app, stream, query),
            None => {
                let (query, stream) = query.rsplit_once('/')?;
                (path, stream, query)
            }
        };
        let fill =
            |part: &str| part.replace("[vhost]", vhost).replace("[app]", "live").replace("[stream]", ingest);
        let (app, stream) = (fill(app), fill(stream));
        if [&app, &stream].iter().any(|part| part.is_empty() || part.len() > NAME_BYTES) {
            return None;
        }
        let named = query.split('&').find_map(|pair| pair.strip_prefix("vhost=")).map(fill);
        let here = matches!(host, "127.0.0.1" | "localhost" | "[::1]" | "[vhost]");
        Some(Self { here, vhost: named.filter(|v| !v.is_empty()), app, stream })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Settings};

    fn ingest(body: &str) -> Result<(Vec<[String; 5]>, Vec<String>), String> {
        let mut config = Config::new();
        let text = format!("vhost a.b {{ ingest camera {{ {body} }} }}");
        config.load_text("t", &text).map_err(|e| e.to_string())?;
        let (settings, warnings) = Settings::from_config(&config).map_err(|e| e.to_string())?;
        let list = settings.vhosts["a.b"].ingests.iter().cloned();
        Ok((
            list.map(|i| [i.name, i.url, i.vhost, i.app, i.stream]).collect(),
            warnings.iter().map(ToString::to_string).collect(),
        ))
    }

    #[test]
    fn an_output_becomes_vhost_app_and_stream() {
        for (output, expected) in [
            ("", ["a.b", "live", "camera"]),
            ("rtmp://127.0.0.1:[port]/live/livestream?vhost=[vhost]", ["a.b", "live", "livestream"]),
            ("rtmp://127.0.0.1:[port]/live?vhost=[vhost]/livestream", ["a.b", "live", "livestream"]),
            ("rtmp://127.0.0.1:[port]/[app]/[stream]?vhost=other", ["other", "live", "camera"]),
            ("rtmp://localhost/a/b/c?token=x/y", ["a.b", "a/b", "c"]),
            ("rtmp://[::1]:1935/live/x", ["a.b", "live", "x"]),
            ("rtmp://[::1]/live/x", ["a.b", "live", "x"]),
            ("rtmp://[vhost]:[port]/live/x", ["a.b", "live", "x"]),
        ] {
            let engine =
                if output.is_empty() { String::new() } else { format!("engine {{ output {output}; }}") };
            let (list, warnings) =
                ingest(&format!("enabled on; input {{ type file; url ./a.flv; }} {engine}")).unwrap();
            let [vhost, app, stream] = expected;
            assert_eq!(list, [["camera", "./a.flv", vhost, app, stream].map(String::from)], "{output}");
            assert!(warnings.is_empty());
        }
    }

    #[test]
    fn what_cannot_run_is_left_out_or_wrong() {
        assert_eq!(ingest("input { url x; }").unwrap().0.len(), 0);
        for (body, expected) in [
            (
                "enabled on; input { type stream; url rtmp://x/y/z; }",
                "t:1: ingest \"camera\" is left out: an input other than a file is not built yet",
            ),
            (
                "enabled on; input { url x; } engine { output rtmp://10.0.0.1/live/x; }",
                "t:1: ingest \"camera\" is left out: an output to another server is not built yet",
            ),
        ] {
            let (list, warnings) = ingest(body).unwrap();
            assert!(list.is_empty());
            assert_eq!(warnings, [expected]);
        }
        for (body, expected) in [
            ("enabled on;", "t:1: ingest \"camera\" needs input { url FILE; }"),
            (
                "enabled on; input { url x; } engine { output rtmp://127.0.0.1/live; }",
                "t:1: output: \"rtmp://127.0.0.1/live\" is not rtmp://127.0.0.1:[port]/APP/STREAM?vhost=[vhost]",
            ),
        ] {
            assert_eq!(ingest(body).unwrap_err(), expected);
        }
    }
}
