//! Holds a tree to the table: every word known, every value of its kind, nothing said twice.

use std::collections::BTreeMap;

use super::Warning;
use super::table::{self, Directive, Kind, Named};
use super::tree::{Node, Source};
use crate::error::Result;

/// Checks a whole configuration and collects what is accepted without effect.
pub(super) fn tree(nodes: &[Node]) -> Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    block(nodes, "", true, &mut warnings)?;
    Ok(warnings)
}

/// Checks one value. What is not built warns, and a wrong value of it too: nothing reads it, so it is no
/// reason to refuse a device's configuration.
pub(super) fn value(row: &Directive, words: &[String], source: &Source) -> Result<Option<Warning>> {
    let name = row.name();
    // A source without lines names the directive already.
    let named = if source.line == 0 { String::new() } else { format!("{name}: ") };
    match row.check(words) {
        Err(message) if row.built => Err(source.error(format_args!("{named}{message}"))),
        Err(message) => {
            Ok(Some(Warning::new(source, format!("{named}{message}; it is not built yet and ignored"))))
        }
        Ok(()) if row.built => Ok(None),
        // Turned off is what it is.
        Ok(()) if row.kind == Kind::Switch && words.first().is_some_and(|w| w == "off") => Ok(None),
        Ok(()) => Ok(Some(not_built(row, source))),
    }
}

fn not_built(row: &Directive, source: &Source) -> Warning {
    let place = match row.path.rsplit_once('/') {
        Some((parent, _)) => format!(" in {parent}"),
        None => String::new(),
    };
    Warning::new(source, format!("\"{}\"{place} is not built yet and ignored", row.name()))
}

/// `loud` where what is not built is worth a warning: not inside a block that has got one or is turned off.
fn block(nodes: &[Node], path: &str, loud: bool, warnings: &mut Vec<Warning>) -> Result<()> {
    let mut seen: BTreeMap<(&str, &str), &Source> = BTreeMap::new();
    for node in nodes {
        let Some(row) = table::child(path, &node.name) else {
            return Err(node.source.error(unknown(path, &node.name)));
        };
        shape(node, row)?;
        let name = if matches!(row.kind, Kind::Block { .. }) { node.arg() } else { "" };
        let first = *seen.entry((row.name(), name)).or_insert(&node.source);
        if !std::ptr::eq(first, &node.source) && !row.many {
            twice(node, row, first, warnings)?;
        }
        if !node.block {
            warnings.extend(value(row, &node.args, &node.source)?.filter(|_| loud || row.built));
            continue;
        }
        let turned_off = node.children.iter().any(|n| n.name == "enabled" && n.arg() == "off");
        if loud && !row.built && !turned_off {
            warnings.push(not_built(row, &node.source));
        }
        if row.kind != Kind::Free {
            block(&node.children, row.path, loud && row.built && !turned_off, warnings)?;
        }
    }
    Ok(())
}

/// The sentence about a word that the table doesn't have in the block at `path`.
pub(super) fn unknown(path: &str, word: &str) -> String {
    let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
    let hint = table::suggest(path, word).map_or(String::new(), |hint| format!(" ({hint})"));
    format!("unknown directive \"{word}\"{place}{hint}")
}

fn shape(node: &Node, row: &Directive) -> Result<()> {
    let name = row.name();
    match (row.is_block(), node.block) {
        (true, false) => {
            return Err(node
                .source
                .error(format_args!("\"{name}\" is a block: \"{{\" is expected after it")));
        }
        (false, true) => {
            return Err(node
                .source
                .error(format_args!("\"{name}\" is not a block: it takes a value and \";\"")));
        }
        _ => {}
    }
    let Kind::Block { named } = row.kind else { return Ok(()) };
    match (named, node.args.as_slice()) {
        (Named::No | Named::Maybe, []) => Ok(()),
        (Named::Maybe | Named::Yes, [arg]) if !arg.is_empty() => Ok(()),
        (Named::No, _) => {
            Err(node.source.error(format_args!("\"{name}\" has no name: \"{{\" is expected after it")))
        }
        _ => Err(node.source.error(format_args!("\"{name}\" needs one name and then \"{{\""))),
    }
}

/// SRS reads the first of what stands twice. Of blocks that is kept, since its samples have them; a value
/// or a name that stands twice is somebody's mistake.
fn twice(node: &Node, row: &Directive, first: &Source, warnings: &mut Vec<Warning>) -> Result<()> {
    let name = row.name();
    match (row.kind, node.arg()) {
        (Kind::Block { .. }, "") => {
            warnings.push(Warning::new(
                &node.source,
                format!("\"{name}\" stands twice: the first, at {first}, is used and this one ignored"),
            ));
            Ok(())
        }
        (Kind::Block { .. }, arg) => {
            Err(node.source.error(format_args!("{name} \"{arg}\" stands twice; the first is at {first}")))
        }
        _ => Err(node.source.error(format_args!("\"{name}\" stands twice; the first is at {first}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse_text;

    fn check(text: &str) -> Result<Vec<String>> {
        Ok(tree(&parse_text("camera.conf", text.as_bytes())?)?.iter().map(Warning::to_string).collect())
    }

    #[test]
    fn errors_name_the_line_the_word_and_the_way_out() {
        for (text, expected) in [
            (
                "vhost a {\n play {\n  gop_cach on;\n }\n}",
                "camera.conf:3: unknown directive \"gop_cach\" in vhost/play (did you mean gop_cache?)",
            ),
            ("lisen 1935;", "camera.conf:1: unknown directive \"lisen\" (did you mean listen?)"),
            ("xyzzy;", "camera.conf:1: unknown directive \"xyzzy\""),
            ("vhost a { play { gop_cache maybe; } }", "camera.conf:1: gop_cache: \"maybe\" is not on or off"),
            (
                "vhost a { play { queue_length 0; } }",
                "camera.conf:1: queue_length: 0 is out of range: 0.1 to 3600 s",
            ),
            ("vhost { }", "camera.conf:1: \"vhost\" needs one name and then \"{\""),
            ("vhost a b { }", "camera.conf:1: \"vhost\" needs one name and then \"{\""),
            ("vhost a;", "camera.conf:1: \"vhost\" is a block: \"{\" is expected after it"),
            ("vhost a { play x {} }", "camera.conf:1: \"play\" has no name: \"{\" is expected after it"),
            ("listen { }", "camera.conf:1: \"listen\" is not a block: it takes a value and \";\""),
            (
                "listen 1935\nchunk_size 60000;",
                "camera.conf:1: listen: \"chunk_size\" is not a port, address:port or [IPv6 address]:port",
            ),
            (
                "listen 1;\n\nlisten 2;",
                "camera.conf:3: \"listen\" stands twice; the first is at camera.conf:1",
            ),
            (
                "vhost a {}\nvhost b {}\nvhost a {}",
                "camera.conf:3: vhost \"a\" stands twice; the first is at camera.conf:1",
            ),
            (
                "vhost a { hls { hls_fragmen 1; } }",
                "camera.conf:1: unknown directive \"hls_fragmen\" in vhost/hls (did you mean hls_fragment?)",
            ),
        ] {
            assert_eq!(check(text).unwrap_err().message(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_built_warns_once_and_what_is_turned_off_never() {
        for (text, expected) in [
            ("listen 1935; max_connections 5; vhost a { play { atc on; } }", None),
            ("daemon off;", None),
            ("daemon on;", Some("camera.conf:1: \"daemon\" is not built yet and ignored")),
            ("vhost a { hds { enabled off; hds_fragment 1; } }", None),
            (
                "vhost a {\n hds { enabled on; hds_fragment 1; hds_window x; } }",
                Some("camera.conf:2: \"hds\" in vhost is not built yet and ignored"),
            ),
            (
                "vhost a { publish { mr_latency x; } }",
                Some(
                    "camera.conf:1: mr_latency: \"x\" is not a whole number; it is not built yet and ignored",
                ),
            ),
            (
                "vhost a { play { atc on; }\nplay { atc off; } }",
                Some(
                    "camera.conf:2: \"play\" stands twice: the first, at camera.conf:1, is used and this one ignored",
                ),
            ),
            ("stream_caster { enabled off; } stream_caster { enabled off; }", None),
            ("vhost a { ingest b { engine { enabled off; vcodec copy; } } }", None),
            ("vhost a { enabled off; hds { enabled on; } }", None),
            ("vhost a { security { enabled off; allow play all; allow publish all; } }", None),
            ("vhost a { transcode { enabled off; engine { vparams { any thing 1; at { all; } } } } }", None),
        ] {
            let warnings = check(text).unwrap();
            assert_eq!(warnings, Vec::from_iter(expected), "{text}");
        }
    }
}
