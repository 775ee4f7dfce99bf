//! HLS (RFC 8216 and rfc8216bis): frames in, segments, parts and playlists out.
