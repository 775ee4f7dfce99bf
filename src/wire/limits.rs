//! Every bound that holds a parser, a queue or a cache, by name. What a directive or the host sets has
//! its default and its range beside the directive; what stands here is fixed.

/// The longest RTMP message taken from a peer, in bytes: a keyframe of 20 Mbit/s video is about a tenth.
pub const RTMP_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// The longest message of a peer that has published nothing yet, in bytes: commands are far shorter.
pub const RTMP_MESSAGE_BYTES_BEFORE_PUBLISH: usize = 64 * 1024;
/// Chunk streams that one peer may use at a time; real clients use fewer than ten.
pub const RTMP_CHUNK_STREAMS: usize = 64;
/// Bytes of begun messages held for one peer over all its chunk streams; never more than one and a half
/// of the longest message that it may send.
pub const RTMP_PARTIAL_BYTES: usize = 12 * 1024 * 1024;
/// The largest chunk size taken from a peer, in bytes (RTMP 1.0, 5.4.1 allows 0xFFFFFF).
pub const RTMP_CHUNK_SIZE_MAX: u32 = 0xFF_FFFF;
/// The smallest chunk size taken from a peer or the configuration, in bytes.
pub const RTMP_CHUNK_SIZE_MIN: u32 = 1;
/// Message streams (`createStream`) that one connection may hold.
pub const RTMP_MESSAGE_STREAMS: usize = 16;
/// Bytes of answers waiting for a peer that doesn't read; beyond it the session ends.
pub const RTMP_ANSWER_BYTES: usize = 256 * 1024;
/// The longest text kept of what a server says of itself or of a refusal, in bytes.
pub const RTMP_STATUS_BYTES: usize = 256;
/// The longest refusal that is searched for a challenge, in bytes.
pub const RTMP_AUTH_BYTES: usize = 1024;
/// FourCCs kept of what a server knows.
pub const RTMP_FOURCCS: usize = 32;

/// Plaintext that a secure connection takes before the socket has taken all that was sent, in bytes.
pub const SECURE_UNSENT_BYTES: usize = 64 * 1024;
/// The longest file of certificates or a key, in bytes: a system's roots are some hundred KB.
pub const TLS_FILE_BYTES: u64 = 1024 * 1024;

/// How deep AMF values may nest.
pub const AMF_DEPTH: usize = 16;
/// Values in one AMF message, over all levels.
pub const AMF_VALUES: usize = 4096;
/// The longest AMF string, in bytes.
pub const AMF_STRING_BYTES: usize = 64 * 1024;
/// Bytes of all strings and names in one AMF message, counted as often as they are referred to.
pub const AMF_TEXT_BYTES: usize = 1024 * 1024;

/// The longest parameter sets and audio configuration that a host gives once, in bytes.
pub const TRACK_CONFIG_BYTES: usize = 64 * 1024;
/// Pieces in which an encoder may hand over a frame.
pub const FRAME_PIECES: usize = 64;
/// Audio frames that an encoder may hand over at once: some seconds.
pub const AUDIO_FRAMES_PER_WRITE: usize = 512;
/// NAL units in one access unit.
pub const NALS_PER_ACCESS_UNIT: usize = 512;
/// Parameter sets of one kind in a decoder configuration.
pub const PARAMETER_SETS: usize = 32;
/// The largest width or height of a picture, in pixels.
pub const PICTURE_SIDE: u32 = 16384;
/// Samples in one FLAC frame that is made: what streams of 48 kHz and below should keep to (RFC 9639, 7).
pub const FLAC_BLOCK_SAMPLES: usize = 4608;
/// The longest frame of G.711 that is made into others, in bytes: 8 s.
pub const G711_FRAME_BYTES: usize = 64 * 1024;
/// The longest FLV tag body taken from a file, in bytes.
pub const FLV_TAG_BYTES: usize = RTMP_MESSAGE_BYTES;

/// Bytes without packets after which a transport stream is none.
pub const TS_SYNC_BYTES: usize = 64 * 1024;
/// Programs of a transport stream that are looked at for media.
pub const TS_PROGRAMS: usize = 32;
/// The longest PES packet of video taken from a transport stream, in bytes.
pub const TS_VIDEO_PES_BYTES: usize = RTMP_MESSAGE_BYTES;
/// The longest PES packet of audio, in bytes: those that tell their length have half of it.
pub const TS_AUDIO_PES_BYTES: usize = 128 * 1024;

/// Servers in one list of a cluster.
pub const CLUSTER_SERVERS: usize = 64;
/// Servers that a stream may have come by; a relay beyond is taken for a ring.
pub const RELAY_HOPS: usize = 16;
/// The longest list of such servers that is read, in bytes: of each 16 digits and a comma.
pub const RELAY_HOPS_BYTES: usize = RELAY_HOPS * 17;

/// The longest part of a stream's name (vhost, app or stream), in bytes.
pub const NAME_BYTES: usize = 255;
/// The longest URL parameters kept (`?token=…`), in bytes.
pub const PARAM_BYTES: usize = 2048;

/// The longest head of an HTTP request or answer, and the most bytes of trailers behind a chunked body.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;
/// Header fields in one HTTP request or answer.
pub const HTTP_HEADERS: usize = 64;
/// The longest body of an HTTP request, in bytes: the API's are far shorter.
pub const HTTP_BODY_BYTES: usize = 256 * 1024;
/// The longest line before a chunk of an HTTP body, in bytes.
pub const HTTP_CHUNK_LINE_BYTES: usize = 256;
/// The longest URL that is asked for, in bytes: signed ones have some thousand.
pub const HTTP_URL_BYTES: usize = 8 * 1024;
/// The longest WebSocket message taken from a client, in bytes.
pub const WEBSOCKET_MESSAGE_BYTES: usize = 64 * 1024;
/// How deep the JSON of another server may nest.
pub const JSON_DEPTH: usize = 32;
/// Values in one JSON text of another server's.
pub const JSON_VALUES: usize = 4096;

/// How deep blocks of a configuration may nest.
pub const CONFIG_DEPTH: usize = 8;
/// How deep `include` may nest.
pub const CONFIG_INCLUDE_DEPTH: usize = 8;
/// The longest configuration file, in bytes.
pub const CONFIG_FILE_BYTES: usize = 1024 * 1024;
/// Directives in one configuration, all files together.
pub const CONFIG_DIRECTIVES: usize = 16 * 1024;

/// Samples in one MP4 fragment, both tracks together: a minute at 60 pictures a second has about 6500.
pub const MP4_FRAGMENT_SAMPLES: usize = 32 * 1024;
/// Bytes of samples in one MP4 fragment: ten seconds of 100 Mbit/s. Where they stand is told in 31 bits.
pub const MP4_FRAGMENT_BYTES: usize = 128 * 1024 * 1024;
/// The longest codec configuration put into an MP4 file, in bytes.
pub const MP4_CONFIG_BYTES: usize = 64 * 1024;
/// The longest box of an MP4 file that is read as a whole, in bytes: a fragment's tables are the longest.
pub const MP4_BOX_BYTES: usize = 1024 * 1024;
/// Samples in an MP4 file without fragments: 17 hours of 25 pictures a second with audio.
pub const MP4_PLAIN_SAMPLES: usize = 4 * 1024 * 1024;
/// Pieces of the fragments from which an MP4 file without fragments is made.
pub const MP4_PLAIN_CHUNKS: usize = 1024 * 1024;

/// The longest `moov` that frames are read by, in bytes: ten hours of 25 pictures a second with audio.
pub const MP4_MOVIE_BYTES: usize = 16 * 1024 * 1024;
/// The longest sample taken from an MP4 file, in bytes.
pub const MP4_SAMPLE_BYTES: usize = RTMP_MESSAGE_BYTES;
/// Sample descriptions of one track of an MP4 file.
pub const MP4_DESCRIPTIONS: usize = 16;
/// Bytes that are held of an MP4 stream to bring its tracks together: a segment of all video and then all
/// audio is held as a whole.
pub const MP4_STREAM_BYTES: usize = 32 * 1024 * 1024;

/// The longest HLS segment, in bytes: 10 s of 25 Mbit/s.
pub const HLS_SEGMENT_BYTES: usize = 32 * 1024 * 1024;
/// HLS segments in one playlist, and as many that have left it.
pub const HLS_SEGMENTS: usize = 4096;
/// The longest playlist that is gone on with after a restart, in bytes.
pub const HLS_PLAYLIST_BYTES: usize = 1024 * 1024;
/// What an HLS writer has to give out and nobody has taken.
pub const HLS_OUTPUTS: usize = 16 * 1024;
/// The longest playlist that is pulled, in bytes: 20,000 segments with URIs of 400.
pub const M3U8_BYTES: usize = 8 * 1024 * 1024;
/// The longest line of one, in bytes: twice the longest URL that is asked for.
pub const M3U8_LINE_BYTES: usize = 16 * 1024;
/// Segments in one: 33 hours of 6 s.
pub const M3U8_SEGMENTS: usize = 20_000;
/// Variants of a stream that is pulled, and as many renditions.
pub const M3U8_VARIANTS: usize = 256;
/// Bytes of frames that are held to bring video and a separate rendition of audio together.
pub const HLS_MERGE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a recording that may wait for the disk, beside what is recorded beforehand.
pub const DVR_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Things to do that a recorder holds before it drops frames.
pub const DVR_OUTPUTS: usize = 1024;
/// Bytes of small writes that are gathered into one, so that flash is not worn by them.
pub const DVR_GATHER_BYTES: usize = 64 * 1024;
/// Bytes of frames in one fragment of a recording; with them it ends before its time.
pub const DVR_FRAGMENT_BYTES: usize = 2 * 1024 * 1024;
/// Frames in one fragment of a recording.
pub const DVR_FRAGMENT_FRAMES: usize = 4096;
/// Keyframes in an FLV recording's index; of more, every second, fourth, … is noted. An even number.
pub const DVR_INDEX_KEYFRAMES: usize = 1024;
/// Length of a recording beyond which the next keyframe begins another file, in bytes.
pub const DVR_FILE_BYTES_SOFT: u64 = 0xE000_0000;
/// Length of a recording beyond which any frame begins another file, in bytes: FAT takes no longer files
/// than 4 GiB, and this leaves room for the longest fragment.
pub const DVR_FILE_BYTES: u64 = 0xFE00_0000;

/// Jobs for the disk that are not done, or whose answer is not fetched.
pub const DISK_JOBS: usize = 1024;
/// Bytes that wait for the disk: some seconds of several streams.
pub const DISK_BYTES: usize = 16 * 1024 * 1024;
/// How deep folders are looked into for files to remove.
pub const DISK_PRUNE_DEPTH: usize = 8;
/// Files that are looked at for their age at once.
pub const DISK_PRUNE_FILES: usize = 64 * 1024;

/// Segments in a playlist of recordings, for which they are made long enough; twice as many if the files are
/// shorter.
pub const TIMESHIFT_SEGMENTS: usize = 8192;
/// The longest time that a playlist of recordings may be asked for, in seconds.
pub const TIMESHIFT_SECONDS: i64 = 24 * 3600;
/// Names in folders that are looked at for such a playlist.
pub const TIMESHIFT_NAMES: usize = 64 * 1024;
/// Recorded files that are opened for it.
pub const TIMESHIFT_FILES: usize = 4096;
/// Such playlists that are made at the same time.
pub const TIMESHIFT_SCANS: usize = 4;

/// What one of the host's players is given in one turn before the loop serves the others.
pub const PLAYER_TURN_PACKETS: usize = 64;
/// States of such a player that wait to be told.
pub const PLAYER_NEWS: usize = 64;
