"""The numbers of camrill.h. Generated from include/camrill.h by cbindings/generate.py: not to be changed by hand."""

from typing import Final

# Major version: what is built against one doesn't run with another.
VERSION_MAJOR: Final = 0

# Minor version: grows with what is added.
VERSION_MINOR: Final = 1

# Patch version.
VERSION_PATCH: Final = 0

# The version that this header belongs to, as camrill_version() answers it:
# major * 65536 + minor * 256 + patch.
VERSION: Final = 256

# Success. Positive answers are counts.
OK: Final = 0

# An argument is NULL, out of its range, or not what the function takes.
EINVAL: Final = -1

# A configuration's syntax, a directive or a value is wrong.
ECONFIG: Final = -2

# There is no such thing: an id that has ended, an unknown path.
ENOENT: Final = -3

# The frame is not what its codec says it is.
EFRAME: Final = -4

# The call is not allowed in this state, or another thread is in the engine.
ESTATE: Final = -100

# The call is not allowed from inside a callback.
EREENTRANT: Final = -101

# The call is not allowed in a child after fork().
EFORKED: Final = -102

# The name is being published by somebody else.
EBUSY: Final = -103

# A socket or file call failed; camrill_engine_last_error() says which and why.
EIO: Final = -200

# The address to listen at is in use, not allowed, or not one of this machine's.
EADDRESS: Final = -201

# A peer broke its protocol.
EPROTOCOL: Final = -300

# Not now: a bounded queue is full, or what is asked for is to come.
EAGAIN: Final = -400

# A limit is reached.
ELIMIT: Final = -401

# Out of memory.
ENOMEM: Final = -402

# The buffer given is too small; nothing was written.
EBUFFER: Final = -403

# A certificate or a key can't be used, or the library is built without TLS.
ETLS: Final = -500

# A defect of the library was caught; from now on the engine answers nothing else.
EPANIC: Final = -600

# Log level: what stops something from working.
LOG_ERROR: Final = 1

# Log level: what somebody should look at: a refused client, a broken file.
LOG_WARN: Final = 2

# Log level: who comes, publishes, plays and goes, and why.
LOG_INFO: Final = 3

# Log level: more than that.
LOG_DEBUG: Final = 4

# Log level: everything.
LOG_TRACE: Final = 5

# A client has connected to an application.
EVENT_CONNECTED: Final = 1

# A client that had connected is gone; `reason` says why.
EVENT_CLOSED: Final = 2

# A stream is being published; `client` is 0 where this process publishes it.
EVENT_PUBLISHED: Final = 3

# A stream is no longer published. Its players stay and wait.
EVENT_UNPUBLISHED: Final = 4

# A client plays a stream, or waits for its publisher.
EVENT_PLAY: Final = 5

# A client no longer plays.
EVENT_STOP: Final = 6

# The configuration's recorder of a stream has begun a file, `path`.
EVENT_RECORDING: Final = 7

# Such a file is complete: `path`, `duration_us`, `bytes`.
EVENT_RECORDED: Final = 8

# Such a file could not be written, or not to its end; `reason` says why. `path` is empty where there is
# no file: the stream, or a track of it, is not recorded.
EVENT_RECORD_FAILED: Final = 9

# An ingest has entered another state: `relay`, `state`, `url`, `reason`, `next_ms`. Those of the
# configuration tell it here, and those of camrill_ingest_new() that have no on_state.
EVENT_INGEST: Final = 10

# The same of a forward.
EVENT_FORWARD: Final = 11

# A client asks to connect to an application.
ACTION_CONNECT: Final = 1

# A client asks to publish a stream.
ACTION_PUBLISH: Final = 2

# A client asks to play a stream.
ACTION_PLAY: Final = 3

# The client may.
ALLOW: Final = 1

# The client may not; it is told so and closed.
DENY: Final = 2

# The answer comes later, with camrill_auth_reply(). The client waits, the others don't.
PENDING: Final = 3

# A client that has connected and neither publishes nor plays.
CLIENT_IDLE: Final = 0

# A client that publishes.
CLIENT_PUBLISHING: Final = 1

# A client that plays.
CLIENT_PLAYING: Final = 2

# No codec: the stream has no such track.
CODEC_NONE: Final = 0

# H.264 (ITU-T H.264): access units as camrill_tracks_t's video_format says.
CODEC_H264: Final = 1

# AAC (ISO 14496-3): frames behind ADTS headers, with or without CRC, or one raw frame where an
# AudioSpecificConfig was given.
CODEC_AAC: Final = 2

# H.265 (ITU-T H.265): access units as camrill_tracks_t's video_format says.
CODEC_H265: Final = 3

# AV1: temporal units in the low-overhead format (AV1 specification, 5.2), with or without temporal
# delimiters; the last OBU may leave out its size.
CODEC_AV1: Final = 4

# JPEG pictures (ITU-T T.81), each whole. No standard carries them in RTMP, FLV, HLS or MPEG-TS: they go to
# players of this process.
CODEC_MJPEG: Final = 5

# MP3 (ISO 11172-3, 13818-3): whole frames, one or several.
CODEC_MP3: Final = 6

# Opus (RFC 6716): one packet.
CODEC_OPUS: Final = 7

# G.711 A-law of 8000 Hz, mono: any number of samples.
CODEC_G711A: Final = 8

# G.711 µ-law of 8000 Hz, mono: any number of samples.
CODEC_G711U: Final = 9

# VP9, of streams that come from the network: it is not taken from an encoder.
CODEC_VP9: Final = 10

# FLAC, of streams that come from the network: it is not taken from an encoder.
CODEC_FLAC: Final = 11

# A codec that the library relays without knowing it by a number of its own.
CODEC_OTHER: Final = 255

# NAL units of H.264 and H.265 behind start codes of 3 or 4 bytes in any mix (annex B). The default.
FORMAT_ANNEXB: Final = 0

# NAL units of H.264 and H.265 each behind its length: big-endian, of 4 bytes, or as many as an avcC or hvcC
# in video_config says.
FORMAT_LENGTH_PREFIXED: Final = 1

# No time is given: as dts_us, the encoder doesn't tell it and the library makes it of pts_us.
TIME_NONE: Final = -9223372036854775808

# Flag of a frame: one or more whole NAL units of an H.264 or H.265 access unit, in their order, rather than all
# of it. It is complete when the next one begins: with an access unit delimiter, with the first slice of
# another picture and what stands before it, at another pts_us; or with CAMRILL_FRAME_LAST.
FRAME_NAL: Final = 1

# Flag of a frame, with CAMRILL_FRAME_NAL: these are the last ones of their access unit, which goes out at once.
FRAME_LAST: Final = 2

# Flag of a frame: players can start here though the bytes don't say so, as with intra refresh.
FRAME_KEY: Final = 4

# Flag of a frame: what came before has no connection with it. Frames were lost before it, and its clock begins
# anew, for both tracks: time goes on where the stream is. What video can't show without what was lost is left out
# up to the next keyframe.
FRAME_DISCONTINUITY: Final = 8

# Only forwards count for a publisher's rate_hint: a viewer on a bad line changes nothing.
PUBLISHER_RATE_FORWARDS: Final = 1

# A path is mounted at the web server's ports.
PORTS_SERVER: Final = 1

# A path is mounted at the API's ports.
PORTS_API: Final = 2

# Bytes of each name in an output struct, with the final NUL. Longer names are refused at the door.
NAME_MAX: Final = 256

# Bytes of an address in an output struct (`[2001:db8::1]:1935`), with the final NUL.
ADDRESS_MAX: Final = 64

# Bytes of a URL in an output struct, with the final NUL. Longer ones are cut.
URL_MAX: Final = 1024

# Bytes of a reason in an output struct, with the final NUL. Longer ones are cut.
REASON_MAX: Final = 256

# Segments of MPEG-TS.
HLS_TS: Final = 1

# Segments of fragmented MP4.
HLS_FMP4: Final = 2

# Flag of HLS: audio is left out.
HLS_NO_AUDIO: Final = 1

# Flag of HLS: video is left out.
HLS_NO_VIDEO: Final = 2

# A file of HLS: the playlist. Each one takes the place of the one before.
HLS_PLAYLIST: Final = 1

# A file of HLS: a segment.
HLS_SEGMENT: Final = 2

# A file of HLS: a part of the segment that has begun.
HLS_PART: Final = 3

# A file of HLS: the header of fragmented MP4 segments.
HLS_HEADER: Final = 4

# A file of HLS: a key.
HLS_KEY: Final = 5

# A recorder's file ends with the publish.
RECORDER_SESSION: Final = 1

# A recorder's file ends when it has its length, at the next keyframe.
RECORDER_SEGMENT: Final = 2

# A recorder's file is gone on with by the next publish. FLV only: MP4 is as CAMRILL_RECORDER_SESSION.
RECORDER_APPEND: Final = 3

# Flag of a recorder: nothing is written before camrill_recorder_start().
RECORDER_ON_DEMAND: Final = 1

# Flag of a recorder: an MP4 file is rewritten as a plain one when it is finished.
RECORDER_FASTSTART: Final = 2

# Flag of a cut: the file ends now, and what comes before the next keyframe is in no file.
CUT_AT_ONCE: Final = 1

# A recorder's file is being written.
RECORDER_OPENED: Final = 1

# A recorder's file is complete.
RECORDER_CLOSED: Final = 2

# A recorder's file could not be written, or not to its end: another one is tried 10 s later. Without a path:
# nothing, or not this track, can be recorded.
RECORDER_FAILED: Final = 3

# Frames were left out, since the disk or the sink was too slow.
RECORDER_DROPPED: Final = 4

# An ingest: the stream is pulled in.
RELAY_INGEST: Final = 1

# A forward: the stream is sent on.
RELAY_FORWARD: Final = 2

# It waits: a forward for its stream to be published, an ingest for somebody who watches.
RELAY_IDLE: Final = 1

# It is on its way: a name is looked up, a connection made, the stream asked for.
RELAY_CONNECTING: Final = 2

# Frames flow.
RELAY_RUNNING: Final = 3

# It has failed, and is tried again.
RELAY_WAITING: Final = 4

# It has given up, or is over.
RELAY_ENDED: Final = 5

# Flag of an ingest: files begin again when all have been played, here or on a server (a recorded HLS too).
INGEST_LOOP: Final = 1

# Flag of an ingest: it runs only while somebody watches the stream.
INGEST_ON_DEMAND: Final = 2

# Flag of a player: frames come as the library keeps them: NAL units behind their lengths, without the parameter
# sets that stand in the track's config, and AAC without ADTS headers. That is what goes into MP4, FLV and their
# kind. Without it they come as decoders take them: Annex B, and ADTS.
PLAYER_STORED: Final = 1

# Flag of a player: it starts at the next keyframe, not at the newest that has passed, so that it is never behind.
PLAYER_LIVE: Final = 2

# Flag of a player: no video.
PLAYER_NO_VIDEO: Final = 4

# Flag of a player: no audio.
PLAYER_NO_AUDIO: Final = 8

# Flag of a player: what comes beside the tracks too: metadata, cue points, captions, as AMF0 values of which the
# first is their name ("onMetaData").
PLAYER_DATA: Final = 16

# Flag of a player of a file, here or on a server: it begins again when it has been played.
PLAYER_LOOP: Final = 32

# A packet of the video track.
TRACK_VIDEO: Final = 1

# A packet of the audio track.
TRACK_AUDIO: Final = 2

# A packet of what comes beside the tracks.
TRACK_DATA: Final = 3

# Decoding can begin here. Set for each packet of audio and of data, too.
PACKET_KEY: Final = 1

# What came before has no connection with this: frames were left out before it, the player was paused, the stream
# is published anew or comes over a new connection. Not set for a player's very first packet.
PACKET_DISCONTINUITY: Final = 2

# Where a state comes from: a player. `relay` is 0 then.
RELAY_PLAYER: Final = 3
