// The numbers of camrill.h. Generated from include/camrill.h by cbindings/generate.py: not to be changed by hand.

/** Major version: what is built against one doesn't run with another. */
export declare const VERSION_MAJOR: 0;

/** Minor version: grows with what is added. */
export declare const VERSION_MINOR: 1;

/** Patch version. */
export declare const VERSION_PATCH: 0;

/** The version that this header belongs to, as camrill_version() answers it: major * 65536 + minor * 256 + patch. */
export declare const VERSION: 256;

/** Success. Positive answers are counts. */
export declare const OK: 0;

/** An argument is NULL, out of its range, or not what the function takes. */
export declare const EINVAL: -1;

/** A configuration's syntax, a directive or a value is wrong. */
export declare const ECONFIG: -2;

/** There is no such thing: an id that has ended, an unknown path. */
export declare const ENOENT: -3;

/** The frame is not what its codec says it is. */
export declare const EFRAME: -4;

/** The call is not allowed in this state, or another thread is in the engine. */
export declare const ESTATE: -100;

/** The call is not allowed from inside a callback. */
export declare const EREENTRANT: -101;

/** The call is not allowed in a child after fork(). */
export declare const EFORKED: -102;

/** The name is being published by somebody else. */
export declare const EBUSY: -103;

/** A socket or file call failed; camrill_engine_last_error() says which and why. */
export declare const EIO: -200;

/** The address to listen at is in use, not allowed, or not one of this machine's. */
export declare const EADDRESS: -201;

/** A peer broke its protocol. */
export declare const EPROTOCOL: -300;

/** Not now: a bounded queue is full, or what is asked for is to come. */
export declare const EAGAIN: -400;

/** A limit is reached. */
export declare const ELIMIT: -401;

/** Out of memory. */
export declare const ENOMEM: -402;

/** The buffer given is too small; nothing was written. */
export declare const EBUFFER: -403;

/** A certificate or a key can't be used, or the library is built without TLS. */
export declare const ETLS: -500;

/** A defect of the library was caught; from now on the engine answers nothing else. */
export declare const EPANIC: -600;

/** Log level: what stops something from working. */
export declare const LOG_ERROR: 1;

/** Log level: what somebody should look at: a refused client, a broken file. */
export declare const LOG_WARN: 2;

/** Log level: who comes, publishes, plays and goes, and why. */
export declare const LOG_INFO: 3;

/** Log level: more than that. */
export declare const LOG_DEBUG: 4;

/** Log level: everything. */
export declare const LOG_TRACE: 5;

/** A client has connected to an application. */
export declare const EVENT_CONNECTED: 1;

/** A client that had connected is gone; `reason` says why. */
export declare const EVENT_CLOSED: 2;

/** A stream is being published; `client` is 0 where this process publishes it. */
export declare const EVENT_PUBLISHED: 3;

/** A stream is no longer published. Its players stay and wait. */
export declare const EVENT_UNPUBLISHED: 4;

/** A client plays a stream, or waits for its publisher. */
export declare const EVENT_PLAY: 5;

/** A client no longer plays. */
export declare const EVENT_STOP: 6;

/** The configuration's recorder of a stream has begun a file, `path`. */
export declare const EVENT_RECORDING: 7;

/** Such a file is complete: `path`, `duration_us`, `bytes`. */
export declare const EVENT_RECORDED: 8;

/** Such a file could not be written, or not to its end; `reason` says why. `path` is empty where there is no file: the stream, or a track of it, is not recorded. */
export declare const EVENT_RECORD_FAILED: 9;

/** An ingest has entered another state: `relay`, `state`, `url`, `reason`, `next_ms`. Those of the configuration tell it here, and those of camrill_ingest_new() that have no on_state. */
export declare const EVENT_INGEST: 10;

/** The same of a forward. */
export declare const EVENT_FORWARD: 11;

/** A client asks to connect to an application. */
export declare const ACTION_CONNECT: 1;

/** A client asks to publish a stream. */
export declare const ACTION_PUBLISH: 2;

/** A client asks to play a stream. */
export declare const ACTION_PLAY: 3;

/** The client may. */
export declare const ALLOW: 1;

/** The client may not; it is told so and closed. */
export declare const DENY: 2;

/** The answer comes later, with camrill_auth_reply(). The client waits, the others don't. */
export declare const PENDING: 3;

/** A client that has connected and neither publishes nor plays. */
export declare const CLIENT_IDLE: 0;

/** A client that publishes. */
export declare const CLIENT_PUBLISHING: 1;

/** A client that plays. */
export declare const CLIENT_PLAYING: 2;

/** No codec: the stream has no such track. */
export declare const CODEC_NONE: 0;

/** H.264 (ITU-T H.264): access units as camrill_tracks_t's video_format says. */
export declare const CODEC_H264: 1;

/** AAC (ISO 14496-3): frames behind ADTS headers, with or without CRC, or one raw frame where an AudioSpecificConfig was given. */
export declare const CODEC_AAC: 2;

/** H.265 (ITU-T H.265): access units as camrill_tracks_t's video_format says. */
export declare const CODEC_H265: 3;

/** AV1: temporal units in the low-overhead format (AV1 specification, 5.2), with or without temporal delimiters; the last OBU may leave out its size. */
export declare const CODEC_AV1: 4;

/** JPEG pictures (ITU-T T.81), each whole. No standard carries them in RTMP, FLV, HLS or MPEG-TS: they go to players of this process. */
export declare const CODEC_MJPEG: 5;

/** MP3 (ISO 11172-3, 13818-3): whole frames, one or several. */
export declare const CODEC_MP3: 6;

/** Opus (RFC 6716): one packet. */
export declare const CODEC_OPUS: 7;

/** G.711 A-law of 8000 Hz, mono: any number of samples. */
export declare const CODEC_G711A: 8;

/** G.711 µ-law of 8000 Hz, mono: any number of samples. */
export declare const CODEC_G711U: 9;

/** VP9, of streams that come from the network: it is not taken from an encoder. */
export declare const CODEC_VP9: 10;

/** FLAC, of streams that come from the network: it is not taken from an encoder. */
export declare const CODEC_FLAC: 11;

/** A codec that the library relays without knowing it by a number of its own. */
export declare const CODEC_OTHER: 255;

/** NAL units of H.264 and H.265 behind start codes of 3 or 4 bytes in any mix (annex B). The default. */
export declare const FORMAT_ANNEXB: 0;

/** NAL units of H.264 and H.265 each behind its length: big-endian, of 4 bytes, or as many as an avcC or hvcC in video_config says. */
export declare const FORMAT_LENGTH_PREFIXED: 1;

/** No time is given: as dts_us, the encoder doesn't tell it and the library makes it of pts_us. */
export declare const TIME_NONE: -9223372036854775808n;

/** Flag of a frame: one or more whole NAL units of an H.264 or H.265 access unit, in their order, rather than all of it. It is complete when the next one begins: with an access unit delimiter, with the first slice of another picture and what stands before it, at another pts_us; or with CAMRILL_FRAME_LAST. */
export declare const FRAME_NAL: 1;

/** Flag of a frame, with CAMRILL_FRAME_NAL: these are the last ones of their access unit, which goes out at once. */
export declare const FRAME_LAST: 2;

/** Flag of a frame: players can start here though the bytes don't say so, as with intra refresh. */
export declare const FRAME_KEY: 4;

/** Flag of a frame: what came before has no connection with it. Frames were lost before it, and its clock begins anew, for both tracks: time goes on where the stream is. What video can't show without what was lost is left out up to the next keyframe. */
export declare const FRAME_DISCONTINUITY: 8;

/** Only forwards count for a publisher's rate_hint: a viewer on a bad line changes nothing. */
export declare const PUBLISHER_RATE_FORWARDS: 1;

/** A path is mounted at the web server's ports. */
export declare const PORTS_SERVER: 1;

/** A path is mounted at the API's ports. */
export declare const PORTS_API: 2;

/** Bytes of each name in an output struct, with the final NUL. Longer names are refused at the door. */
export declare const NAME_MAX: 256;

/** Bytes of an address in an output struct (`[2001:db8::1]:1935`), with the final NUL. */
export declare const ADDRESS_MAX: 64;

/** Bytes of a URL in an output struct, with the final NUL. Longer ones are cut. */
export declare const URL_MAX: 1024;

/** Bytes of a reason in an output struct, with the final NUL. Longer ones are cut. */
export declare const REASON_MAX: 256;

/** Segments of MPEG-TS. */
export declare const HLS_TS: 1;

/** Segments of fragmented MP4. */
export declare const HLS_FMP4: 2;

/** Flag of HLS: audio is left out. */
export declare const HLS_NO_AUDIO: 1;

/** Flag of HLS: video is left out. */
export declare const HLS_NO_VIDEO: 2;

/** A file of HLS: the playlist. Each one takes the place of the one before. */
export declare const HLS_PLAYLIST: 1;

/** A file of HLS: a segment. */
export declare const HLS_SEGMENT: 2;

/** A file of HLS: a part of the segment that has begun. */
export declare const HLS_PART: 3;

/** A file of HLS: the header of fragmented MP4 segments. */
export declare const HLS_HEADER: 4;

/** A file of HLS: a key. */
export declare const HLS_KEY: 5;

/** A recorder's file ends with the publish. */
export declare const RECORDER_SESSION: 1;

/** A recorder's file ends when it has its length, at the next keyframe. */
export declare const RECORDER_SEGMENT: 2;

/** A recorder's file is gone on with by the next publish. FLV only: MP4 is as CAMRILL_RECORDER_SESSION. */
export declare const RECORDER_APPEND: 3;

/** Flag of a recorder: nothing is written before camrill_recorder_start(). */
export declare const RECORDER_ON_DEMAND: 1;

/** Flag of a recorder: an MP4 file is rewritten as a plain one when it is finished. */
export declare const RECORDER_FASTSTART: 2;

/** Flag of a cut: the file ends now, and what comes before the next keyframe is in no file. */
export declare const CUT_AT_ONCE: 1;

/** A recorder's file is being written. */
export declare const RECORDER_OPENED: 1;

/** A recorder's file is complete. */
export declare const RECORDER_CLOSED: 2;

/** A recorder's file could not be written, or not to its end: another one is tried 10 s later. Without a path: nothing, or not this track, can be recorded. */
export declare const RECORDER_FAILED: 3;

/** Frames were left out, since the disk or the sink was too slow. */
export declare const RECORDER_DROPPED: 4;

/** An ingest: the stream is pulled in. */
export declare const RELAY_INGEST: 1;

/** A forward: the stream is sent on. */
export declare const RELAY_FORWARD: 2;

/** It waits: a forward for its stream to be published, an ingest for somebody who watches. */
export declare const RELAY_IDLE: 1;

/** It is on its way: a name is looked up, a connection made, the stream asked for. */
export declare const RELAY_CONNECTING: 2;

/** Frames flow. */
export declare const RELAY_RUNNING: 3;

/** It has failed, and is tried again. */
export declare const RELAY_WAITING: 4;

/** It has given up, or is over. */
export declare const RELAY_ENDED: 5;

/** Flag of an ingest: files begin again when all have been played, here or on a server (a recorded HLS too). */
export declare const INGEST_LOOP: 1;

/** Flag of an ingest: it runs only while somebody watches the stream. */
export declare const INGEST_ON_DEMAND: 2;

/** Flag of a player: frames come as the library keeps them: NAL units behind their lengths, without the parameter sets that stand in the track's config, and AAC without ADTS headers. That is what goes into MP4, FLV and their kind. Without it they come as decoders take them: Annex B, and ADTS. */
export declare const PLAYER_STORED: 1;

/** Flag of a player: it starts at the next keyframe, not at the newest that has passed, so that it is never behind. */
export declare const PLAYER_LIVE: 2;

/** Flag of a player: no video. */
export declare const PLAYER_NO_VIDEO: 4;

/** Flag of a player: no audio. */
export declare const PLAYER_NO_AUDIO: 8;

/** Flag of a player: what comes beside the tracks too: metadata, cue points, captions, as AMF0 values of which the first is their name ("onMetaData"). */
export declare const PLAYER_DATA: 16;

/** Flag of a player of a file, here or on a server: it begins again when it has been played. */
export declare const PLAYER_LOOP: 32;

/** A packet of the video track. */
export declare const TRACK_VIDEO: 1;

/** A packet of the audio track. */
export declare const TRACK_AUDIO: 2;

/** A packet of what comes beside the tracks. */
export declare const TRACK_DATA: 3;

/** Decoding can begin here. Set for each packet of audio and of data, too. */
export declare const PACKET_KEY: 1;

/** What came before has no connection with this: frames were left out before it, the player was paused, the stream is published anew or comes over a new connection. Not set for a player's very first packet. */
export declare const PACKET_DISCONTINUITY: 2;

/** Where a state comes from: a player. `relay` is 0 then. */
export declare const RELAY_PLAYER: 3;
