//! The media type of a file, by its extension.

/// The `Content-Type` of a file by its name; `application/octet-stream` where nothing is known.
pub fn of(name: &str) -> &'static str {
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(extension);
    TYPES.iter().find(is).map_or(OCTETS, |(_, mime)| mime)
}

/// Bytes of which nothing more is said.
pub const OCTETS: &str = "application/octet-stream";
/// JSON (RFC 8259).
pub const JSON: &str = "application/json";
/// An HLS playlist (RFC 8216, 10).
pub const M3U8: &str = "application/vnd.apple.mpegurl";
/// An MPEG transport stream (RFC 3555).
pub const TS: &str = "video/mp2t";
/// An MP4 file or fragment (RFC 4337).
pub const MP4: &str = "video/mp4";
/// A live FLV stream or file.
pub const FLV: &str = "video/x-flv";
/// AAC in ADTS.
pub const AAC: &str = "audio/aac";
/// MP3 (RFC 3003).
pub const MP3: &str = "audio/mpeg";
/// Text without markup.
pub const TEXT: &str = "text/plain; charset=utf-8";

const TYPES: [(&str, &str); 32] = [
    ("aac", AAC),
    ("cmfa", "audio/mp4"),
    ("cmfv", MP4),
    ("css", "text/css; charset=utf-8"),
    ("flv", FLV),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", JSON),
    ("key", OCTETS),
    ("m3u8", M3U8),
    ("m4a", "audio/mp4"),
    ("m4s", MP4),
    ("m4v", MP4),
    ("map", JSON),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp3", MP3),
    ("mp4", MP4),
    ("mpd", "application/dash+xml"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ts", TS),
    ("txt", TEXT),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("xml", "text/xml; charset=utf-8"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_the_last_extension_in_any_case() {
        assert_eq!(of("live/a.M3U8"), M3U8);
        assert_eq!(of("a.b.ts"), TS);
        assert_eq!(of("index.html"), "text/html; charset=utf-8");
        assert_eq!(of("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(of("live/a.m4s"), MP4);
        for unknown in ["", "a", "a.", "ts", "a.tss", "a.ts/b", "a.ts/"] {
            assert_eq!(of(unknown), OCTETS, "{unknown}");
        }
    }

    #[test]
    fn each_extension_stands_once() {
        let mut names: Vec<_> = TYPES.iter().map(|(name, _)| name).collect();
        names.dedup();
        assert_eq!(names.len(), TYPES.len());
        assert!(names.is_sorted());
    }
}
