//! Older places of directives, moved to where SRS has them now, so that the rest knows only those.

use super::tree::{Node, Source};

/// A directive that stood in the vhost itself: its word, the block it belongs in, its word there.
const MOVED: [(&str, &str, &str); 19] = [
    ("gop_cache", "play", "gop_cache"),
    ("gop_cache_max_frames", "play", "gop_cache_max_frames"),
    ("queue_length", "play", "queue_length"),
    ("time_jitter", "play", "time_jitter"),
    ("atc", "play", "atc"),
    ("atc_auto", "play", "atc_auto"),
    ("mix_correct", "play", "mix_correct"),
    ("mw_latency", "play", "mw_latency"),
    ("mw_msgs", "play", "mw_msgs"),
    ("send_min_interval", "play", "send_min_interval"),
    ("reduce_sequence_header", "play", "reduce_sequence_header"),
    ("publish_1stpkt_timeout", "publish", "firstpkt_timeout"),
    ("publish_normal_timeout", "publish", "normal_timeout"),
    ("parse_sps", "publish", "parse_sps"),
    ("mode", "cluster", "mode"),
    ("origin", "cluster", "origin"),
    ("token_traverse", "cluster", "token_traverse"),
    ("vhost", "cluster", "vhost"),
    ("debug_srs_upnode", "cluster", "debug_srs_upnode"),
];

/// A line that has become a block with a switch of its own.
const BECAME_BLOCKS: [(&str, &str, &str); 4] = [
    ("forward", "forward", "destination"),
    ("refer", "refer", "all"),
    ("refer_publish", "refer", "publish"),
    ("refer_play", "refer", "play"),
];

/// Moves what stands in an older place.
pub(super) fn modernize(tree: &mut Vec<Node>) {
    let mut out = Vec::with_capacity(tree.len());
    for mut node in tree.drain(..) {
        match (node.name.as_str(), node.block) {
            ("vhost", true) => vhost(&mut node),
            ("http_stream", true) => node.name = "http_server".into(),
            // The newest SRS has the top's RTMP directives in a block.
            ("rtmp", true)
                if node.children.iter().all(|n| matches!(n.name.as_str(), "listen" | "chunk_size")) =>
            {
                out.append(&mut node.children);
                continue;
            }
            _ => {}
        }
        out.push(node);
    }
    *tree = out;
}

fn vhost(vhost: &mut Node) {
    let children = std::mem::take(&mut vhost.children);
    let mut old = Vec::new();
    for mut node in children {
        match (node.name.as_str(), node.block) {
            ("http", true) => {
                node.name = "http_static".into();
                vhost.children.push(node);
            }
            ("mr", true) => old.push(node),
            (name, false) if place(&MOVED, name).or(place(&BECAME_BLOCKS, name)).is_some() => old.push(node),
            _ => vhost.children.push(node),
        }
    }
    // After the rest, so that a block that is there already is found wherever it stands.
    for mut node in old {
        if node.block {
            let Some(publish) = enter(&mut vhost.children, "publish", &node.source) else { continue };
            for mut child in node.children {
                match child.name.as_str() {
                    "enabled" => child.name = "mr".into(),
                    "latency" => child.name = "mr_latency".into(),
                    _ => {}
                }
                publish.push(child);
            }
        } else if let Some((block, name)) = place(&MOVED, &node.name) {
            node.name = name.into();
            enter(&mut vhost.children, block, &node.source).into_iter().for_each(|b| b.push(node.clone()));
        } else if let Some((block, name)) = place(&BECAME_BLOCKS, &node.name) {
            node.name = name.into();
            let Some(children) = enter(&mut vhost.children, block, &node.source) else { continue };
            if !children.iter().any(|n| n.name == "enabled") {
                children.push(Node::line("enabled", vec!["on".into()], node.source.clone()));
            }
            children.push(node);
        }
    }
}

fn place<'a>(moves: &[(&str, &'a str, &'a str)], word: &str) -> Option<(&'a str, &'a str)> {
    moves.iter().find(|(old, ..)| *old == word).map(|(_, block, name)| (*block, *name))
}

/// What the first block of that name holds; SRS reads the first.
fn enter<'a>(nodes: &'a mut Vec<Node>, name: &str, source: &Source) -> Option<&'a mut Vec<Node>> {
    if !nodes.iter().any(|n| n.block && n.name == name) {
        nodes.push(Node::block(name, Vec::new(), source.clone()));
    }
    nodes.iter_mut().find(|n| n.block && n.name == name).map(|n| &mut n.children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::{parse_text, print};

    #[test]
    fn older_places_are_moved() {
        for (old, new) in [
            (
                "vhost a { gop_cache off; play { atc on; } queue_length 5; }",
                "vhost a { play { atc on; gop_cache off; queue_length 5; } }",
            ),
            (
                "vhost a { publish_1stpkt_timeout 9; publish_normal_timeout 8; }",
                "vhost a { publish { firstpkt_timeout 9; normal_timeout 8; } }",
            ),
            ("vhost a { mode remote; origin x y; }", "vhost a { cluster { mode remote; origin x y; } }"),
            ("vhost a { forward b c; }", "vhost a { forward { enabled on; destination b c; } }"),
            ("vhost a { refer b; refer_play c; }", "vhost a { refer { enabled on; all b; play c; } }"),
            ("vhost a { mr { enabled on; latency 5; } }", "vhost a { publish { mr on; mr_latency 5; } }"),
            (
                "vhost a { http { dir x; } min_latency on; }",
                "vhost a { http_static { dir x; } min_latency on; }",
            ),
            ("http_stream { listen 1; }", "http_server { listen 1; }"),
            ("rtmp { listen 1; chunk_size 2; }", "listen 1; chunk_size 2;"),
            ("rtmp { lisen 1; }", "rtmp { lisen 1; }"),
            ("vhost a { forward { enabled off; } }", "vhost a { forward { enabled off; } }"),
        ] {
            let mut tree = parse_text("t", old.as_bytes()).unwrap();
            modernize(&mut tree);
            assert_eq!(tree, parse_text("t", new.as_bytes()).unwrap(), "{}", print(&tree));
        }
    }
}
