// Generated from include/camrill.h by cbindings/generate.py: not to be changed by hand.

package camrill

// The numbers of camrill.h.
const (
	// Major version: what is built against one doesn't run with another.
	VersionMajor = 0
	// Minor version: grows with what is added.
	VersionMinor = 1
	// Patch version.
	VersionPatch = 0
	// The version that this header belongs to, as camrill_version() answers it:
	// major * 65536 + minor * 256 + patch.
	Version = 256
	// Success. Positive answers are counts.
	Ok = 0
	// An argument is NULL, out of its range, or not what the function takes.
	EINVAL = -1
	// A configuration's syntax, a directive or a value is wrong.
	ECONFIG = -2
	// There is no such thing: an id that has ended, an unknown path.
	ENOENT = -3
	// The frame is not what its codec says it is.
	EFRAME = -4
	// The call is not allowed in this state, or another thread is in the engine.
	ESTATE = -100
	// The call is not allowed from inside a callback.
	EREENTRANT = -101
	// The call is not allowed in a child after fork().
	EFORKED = -102
	// The name is being published by somebody else.
	EBUSY = -103
	// A socket or file call failed; camrill_engine_last_error() says which and why.
	EIO = -200
	// The address to listen at is in use, not allowed, or not one of this machine's.
	EADDRESS = -201
	// A peer broke its protocol.
	EPROTOCOL = -300
	// Not now: a bounded queue is full, or what is asked for is to come.
	EAGAIN = -400
	// A limit is reached.
	ELIMIT = -401
	// Out of memory.
	ENOMEM = -402
	// The buffer given is too small; nothing was written.
	EBUFFER = -403
	// A certificate or a key can't be used, or the library is built without TLS.
	ETLS = -500
	// A defect of the library was caught; from now on the engine answers nothing else.
	EPANIC = -600
	// Log level: what stops something from working.
	LogError = 1
	// Log level: what somebody should look at: a refused client, a broken file.
	LogWarn = 2
	// Log level: who comes, publishes, plays and goes, and why.
	LogInfo = 3
	// Log level: more than that.
	LogDebug = 4
	// Log level: everything.
	LogTrace = 5
	// A client has connected to an application.
	EventConnected = 1
	// A client that had connected is gone; `reason` says why.
	EventClosed = 2
	// A stream is being published; `client` is 0 where this process publishes it.
	EventPublished = 3
	// A stream is no longer published. Its players stay and wait.
	EventUnpublished = 4
	// A client plays a stream, or waits for its publisher.
	EventPlay = 5
	// A client no longer plays.
	EventStop = 6
	// The configuration's recorder of a stream has begun a file, `path`.
	EventRecording = 7
	// Such a file is complete: `path`, `duration_us`, `bytes`.
	EventRecorded = 8
	// Such a file could not be written, or not to its end; `reason` says why. `path` is empty where there is
	// no file: the stream, or a track of it, is not recorded.
	EventRecordFailed = 9
	// An ingest has entered another state: `relay`, `state`, `url`, `reason`, `next_ms`. Those of the
	// configuration tell it here, and those of camrill_ingest_new() that have no on_state.
	EventIngest = 10
	// The same of a forward.
	EventForward = 11
	// A client asks to connect to an application.
	ActionConnect = 1
	// A client asks to publish a stream.
	ActionPublish = 2
	// A client asks to play a stream.
	ActionPlay = 3
	// The client may.
	Allow = 1
	// The client may not; it is told so and closed.
	Deny = 2
	// The answer comes later, with camrill_auth_reply(). The client waits, the others don't.
	Pending = 3
	// A client that has connected and neither publishes nor plays.
	ClientIdle = 0
	// A client that publishes.
	ClientPublishing = 1
	// A client that plays.
	ClientPlaying = 2
	// No codec: the stream has no such track.
	CodecNone = 0
	// H.264 (ITU-T H.264): access units as camrill_tracks_t's video_format says.
	CodecH264 = 1
	// AAC (ISO 14496-3): frames behind ADTS headers, with or without CRC, or one raw frame where an
	// AudioSpecificConfig was given.
	CodecAAC = 2
	// H.265 (ITU-T H.265): access units as camrill_tracks_t's video_format says.
	CodecH265 = 3
	// AV1: temporal units in the low-overhead format (AV1 specification, 5.2), with or without temporal
	// delimiters; the last OBU may leave out its size.
	CodecAV1 = 4
	// JPEG pictures (ITU-T T.81), each whole. No standard carries them in RTMP, FLV, HLS or MPEG-TS: they go to
	// players of this process.
	CodecMJPEG = 5
	// MP3 (ISO 11172-3, 13818-3): whole frames, one or several.
	CodecMP3 = 6
	// Opus (RFC 6716): one packet.
	CodecOpus = 7
	// G.711 A-law of 8000 Hz, mono: any number of samples.
	CodecG711A = 8
	// G.711 µ-law of 8000 Hz, mono: any number of samples.
	CodecG711U = 9
	// VP9, of streams that come from the network: it is not taken from an encoder.
	CodecVP9 = 10
	// FLAC, of streams that come from the network: it is not taken from an encoder.
	CodecFLAC = 11
	// A codec that the library relays without knowing it by a number of its own.
	CodecOther = 255
	// NAL units of H.264 and H.265 behind start codes of 3 or 4 bytes in any mix (annex B). The default.
	FormatAnnexb = 0
	// NAL units of H.264 and H.265 each behind its length: big-endian, of 4 bytes, or as many as an avcC or hvcC
	// in video_config says.
	FormatLengthPrefixed = 1
	// No time is given: as dts_us, the encoder doesn't tell it and the library makes it of pts_us.
	TimeNone = -9223372036854775808
	// Flag of a frame: one or more whole NAL units of an H.264 or H.265 access unit, in their order, rather than all
	// of it. It is complete when the next one begins: with an access unit delimiter, with the first slice of
	// another picture and what stands before it, at another pts_us; or with CAMRILL_FRAME_LAST.
	FrameNAL = 1
	// Flag of a frame, with CAMRILL_FRAME_NAL: these are the last ones of their access unit, which goes out at once.
	FrameLast = 2
	// Flag of a frame: players can start here though the bytes don't say so, as with intra refresh.
	FrameKey = 4
	// Flag of a frame: what came before has no connection with it. Frames were lost before it, and its clock begins
	// anew, for both tracks: time goes on where the stream is. What video can't show without what was lost is left out
	// up to the next keyframe.
	FrameDiscontinuity = 8
	// Only forwards count for a publisher's rate_hint: a viewer on a bad line changes nothing.
	PublisherRateForwards = 1
	// A path is mounted at the web server's ports.
	PortsServer = 1
	// A path is mounted at the API's ports.
	PortsAPI = 2
	// Bytes of each name in an output struct, with the final NUL. Longer names are refused at the door.
	NameMax = 256
	// Bytes of an address in an output struct (`[2001:db8::1]:1935`), with the final NUL.
	AddressMax = 64
	// Bytes of a URL in an output struct, with the final NUL. Longer ones are cut.
	URLMax = 1024
	// Bytes of a reason in an output struct, with the final NUL. Longer ones are cut.
	ReasonMax = 256
	// Segments of MPEG-TS.
	HLSTS = 1
	// Segments of fragmented MP4.
	HLSFMP4 = 2
	// Flag of HLS: audio is left out.
	HLSNoAudio = 1
	// Flag of HLS: video is left out.
	HLSNoVideo = 2
	// A file of HLS: the playlist. Each one takes the place of the one before.
	HLSPlaylist = 1
	// A file of HLS: a segment.
	HLSSegment = 2
	// A file of HLS: a part of the segment that has begun.
	HLSPart = 3
	// A file of HLS: the header of fragmented MP4 segments.
	HLSHeader = 4
	// A file of HLS: a key.
	HLSKey = 5
	// A recorder's file ends with the publish.
	RecorderSession = 1
	// A recorder's file ends when it has its length, at the next keyframe.
	RecorderSegment = 2
	// A recorder's file is gone on with by the next publish. FLV only: MP4 is as CAMRILL_RECORDER_SESSION.
	RecorderAppend = 3
	// Flag of a recorder: nothing is written before camrill_recorder_start().
	RecorderOnDemand = 1
	// Flag of a recorder: an MP4 file is rewritten as a plain one when it is finished.
	RecorderFaststart = 2
	// Flag of a cut: the file ends now, and what comes before the next keyframe is in no file.
	CutAtOnce = 1
	// A recorder's file is being written.
	RecorderOpened = 1
	// A recorder's file is complete.
	RecorderClosed = 2
	// A recorder's file could not be written, or not to its end: another one is tried 10 s later. Without a path:
	// nothing, or not this track, can be recorded.
	RecorderFailed = 3
	// Frames were left out, since the disk or the sink was too slow.
	RecorderDropped = 4
	// An ingest: the stream is pulled in.
	RelayIngest = 1
	// A forward: the stream is sent on.
	RelayForward = 2
	// It waits: a forward for its stream to be published, an ingest for somebody who watches.
	RelayIdle = 1
	// It is on its way: a name is looked up, a connection made, the stream asked for.
	RelayConnecting = 2
	// Frames flow.
	RelayRunning = 3
	// It has failed, and is tried again.
	RelayWaiting = 4
	// It has given up, or is over.
	RelayEnded = 5
	// Flag of an ingest: files begin again when all have been played, here or on a server (a recorded HLS too).
	IngestLoop = 1
	// Flag of an ingest: it runs only while somebody watches the stream.
	IngestOnDemand = 2
	// Flag of a player: frames come as the library keeps them: NAL units behind their lengths, without the parameter
	// sets that stand in the track's config, and AAC without ADTS headers. That is what goes into MP4, FLV and their
	// kind. Without it they come as decoders take them: Annex B, and ADTS.
	PlayerStored = 1
	// Flag of a player: it starts at the next keyframe, not at the newest that has passed, so that it is never behind.
	PlayerLive = 2
	// Flag of a player: no video.
	PlayerNoVideo = 4
	// Flag of a player: no audio.
	PlayerNoAudio = 8
	// Flag of a player: what comes beside the tracks too: metadata, cue points, captions, as AMF0 values of which the
	// first is their name ("onMetaData").
	PlayerData = 16
	// Flag of a player of a file, here or on a server: it begins again when it has been played.
	PlayerLoop = 32
	// A packet of the video track.
	TrackVideo = 1
	// A packet of the audio track.
	TrackAudio = 2
	// A packet of what comes beside the tracks.
	TrackData = 3
	// Decoding can begin here. Set for each packet of audio and of data, too.
	PacketKey = 1
	// What came before has no connection with this: frames were left out before it, the player was paused, the stream
	// is published anew or comes over a new connection. Not set for a player's very first packet.
	PacketDiscontinuity = 2
	// Where a state comes from: a player. `relay` is 0 then.
	RelayPlayer = 3
)
