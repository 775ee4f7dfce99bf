//! A vhost: who publishes and plays, how streams are sent on, and which other servers take part.

use super::server::CHUNK_SIZE;
use super::{Directive, Kind, Named, amount, block, count, row};
use Kind::{Float, Int, Switch, Text, Texts, Word};

const ACK: Kind = count("bytes");
const TIMEOUT: Kind = Int { min: 1, max: 86_400_000, unit: "ms" };

/// How time stamps are put right.
pub(super) const TIME_JITTER: Kind = Word(&["full", "zero", "off"]);

#[rustfmt::skip]
pub(super) static ROWS: &[Directive] = &[
    row("vhost", Kind::Block { named: Named::Yes }, "", "A virtual host with settings of its own; __defaultVhost__ takes what names no other.").built(),
    row("vhost/enabled", Switch, "on", "Whether it is served.").built(),
    row("vhost/chunk_size", CHUNK_SIZE, "", "RTMP chunk size, in bytes; that of the top when not given.").built(),
    row("vhost/tcp_nodelay", Switch, "on", "Send small packets at once (TCP_NODELAY); SRS has it off.").built(),
    row("vhost/min_latency", Switch, "on", "Send each frame as it comes; SRS has it off for RTMP.").built(),
    row("vhost/in_ack_size", ACK, "0", "Bytes after which we acknowledge what a peer sends; 0: as the peer asks.").built(),
    row("vhost/out_ack_size", ACK, "2500000", "Bytes after which peers are asked to acknowledge what they get; 0 to ask nothing.").built(),

    block("vhost/play", "Players.").built(),
    row("vhost/play/gop_cache", Switch, "on", "Begin with the newest keyframe, so that a player shows a picture at once.").built(),
    row("vhost/play/gop_cache_max_frames", Int { min: 0, max: 1_000_000, unit: "frames" }, "2500", "Most frames from that keyframe on; the cache is dropped beyond; 0 for no limit.").built(),
    row("vhost/play/queue_length", Float { min: 0.1, max: 3600.0, unit: "s" }, "30", "How far a player may fall behind, in s.").built(),
    row("vhost/play/time_jitter", TIME_JITTER, "full", "Put time stamps right: full makes them rise evenly from 0, zero only begins at 0, off leaves them.").built(),
    row("vhost/play/atc", Switch, "off", "Give players the publisher's own time stamps.").built(),
    row("vhost/play/atc_auto", Switch, "off", "Turn atc on when the metadata says bravo_atc.").built(),
    row("vhost/play/mix_correct", Switch, "off", "Order audio and video by time before they are sent.").built(),
    row("vhost/play/mw_latency", Int { min: 0, max: 10_000, unit: "ms" }, "0", "How long frames are gathered into one send, in ms; 350 where min_latency is off.").built(),
    row("vhost/play/mw_msgs", Int { min: 0, max: 1024, unit: "frames" }, "0", "How many frames are gathered at least, for up to 350 ms; 8 where min_latency is off.").built(),
    row("vhost/play/send_min_interval", Float { min: 0.0, max: 10_000.0, unit: "ms" }, "0", "Least time between two frames to one player, in ms; 0 for none.").built(),
    row("vhost/play/reduce_sequence_header", Switch, "off", "Don't send a sequence header again that hasn't changed.").built(),
    row("vhost/play/ring_bytes", Int { min: 65_536, max: i32::MAX as i64, unit: "bytes" }, "16777216", "Most bytes of frames that one stream keeps.").built().ours(),

    block("vhost/publish", "Publishers.").built(),
    row("vhost/publish/firstpkt_timeout", TIMEOUT, "20000", "How long a publisher may take to send its first frame, in ms.").built(),
    row("vhost/publish/normal_timeout", TIMEOUT, "5000", "How long it may be silent after that, in ms.").built(),
    row("vhost/publish/kickoff_for_idle", Float { min: 0.0, max: 1e6, unit: "s" }, "0", "Send a publisher away when nobody played for so long, in s; 0 for never.").built(),
    row("vhost/publish/on_conflict", Word(&["refuse", "replace"]), "refuse", "When a stream is published twice: refuse the second, as SRS does, or let it replace the first.").built().ours(),
    row("vhost/publish/mr", Switch, "off", "Read less often and more at a time."),
    row("vhost/publish/mr_latency", count("ms"), "350", "How long such a read waits, in ms."),
    row("vhost/publish/parse_sps", Switch, "on", "Read the picture's size from the stream."),
    row("vhost/publish/try_annexb_first", Switch, "on", "Look for Annex B framing before length prefixes."),

    block("vhost/cluster", "Edges and origins.").built(),
    row("vhost/cluster/mode", Word(&["local", "remote"]), "local", "Whether this is an origin (local) or an edge (remote), which fetches a stream while somebody plays it, and hands on to the origin what is published.").built(),
    row("vhost/cluster/origin", Texts, "", "Servers of an edge, HOST[:PORT]; the next one is taken when one fails.").built(),
    row("vhost/cluster/token_traverse", Switch, "off", "Ask the origin whether a player may play, with a connection of its own; publishers are always judged by the origin.").built(),
    row("vhost/cluster/vhost", Text, "[vhost]", "Vhost asked for at the origin; [vhost] is the stream's own.").built(),
    row("vhost/cluster/debug_srs_upnode", Switch, "on", "Tell the servers that streams are sent to or fetched from who we are (srs_server, srs_version, srs_pid, srs_id).").built(),
    row("vhost/cluster/origin_cluster", Switch, "off", "Send players of a stream that isn't here to the origin that has it.").built_if(cfg!(feature = "http")),
    row("vhost/cluster/coworkers", Texts, "", "HTTP APIs of the other origins, HOST:PORT.").built_if(cfg!(feature = "http")),
    row("vhost/cluster/protocol", Word(&["rtmp", "flv", "https"]), "rtmp", "How an edge fetches; flv and https need HTTP at the origin, on port 80 or 443 where none is named.").built(),
    row("vhost/cluster/follow_client", Switch, "off", "Fetch by FLV over HTTP what is first played over HTTP.").built_if(cfg!(feature = "http")),

    block("vhost/forward", "Sending streams on to other servers while they are published.").built(),
    row("vhost/forward/enabled", Switch, "off", "Whether it is done.").built(),
    row("vhost/forward/destination", Texts, "", "The servers: host[:port], which gets each stream under its own name with the publisher's parameters, or rtmp[s]://host[:port]/app/stream with [vhost], [app], [stream] and [param] in it.").built(),
    row("vhost/forward/backend", Text, "", "URL that is asked for more of them at each publish, in JSON as SRS does; tried again until it answers.").built(),

    block("vhost/refer", "Serving only players that come from certain pages."),
    row("vhost/refer/enabled", Switch, "off", "Whether it is looked at."),
    row("vhost/refer/all", Texts, "", "Domains of pages for both."),
    row("vhost/refer/publish", Texts, "", "Domains of pages that may publish."),
    row("vhost/refer/play", Texts, "", "Domains of pages that may play."),

    block("vhost/security", "Who may publish and play, by address."),
    row("vhost/security/enabled", Switch, "off", "Whether it is looked at; then what isn't allowed is denied."),
    row("vhost/security/allow", Texts, "", "publish or play, then all or an address.").many(),
    row("vhost/security/deny", Texts, "", "publish or play, then all or an address.").many(),

    block("vhost/http_hooks", "Asking or telling an HTTP server about clients."),
    row("vhost/http_hooks/enabled", Switch, "off", "Whether it is called."),
    row("vhost/http_hooks/on_connect", Texts, "", "URLs called when a client connects; older SRS."),
    row("vhost/http_hooks/on_close", Texts, "", "URLs called when a client leaves; older SRS."),
    row("vhost/http_hooks/on_publish", Texts, "", "URLs asked when a stream is published."),
    row("vhost/http_hooks/on_unpublish", Texts, "", "URLs told when it ends."),
    row("vhost/http_hooks/on_play", Texts, "", "URLs asked when a stream is played."),
    row("vhost/http_hooks/on_stop", Texts, "", "URLs told when playing ends."),
    row("vhost/http_hooks/on_dvr", Texts, "", "URLs told of a finished recording."),
    row("vhost/http_hooks/on_hls", Texts, "", "URLs told of a finished HLS segment."),
    row("vhost/http_hooks/on_hls_notify", Texts, "", "URL fetched for a finished HLS segment."),

    block("vhost/exec", "Running a program for each stream."),
    row("vhost/exec/enabled", Switch, "off", "Whether it is run."),
    row("vhost/exec/publish", Texts, "", "The program and its arguments, run while a stream is published.").many(),

    block("vhost/bandcheck", "Measuring a client's bandwidth; older SRS."),
    row("vhost/bandcheck/enabled", Switch, "off", "Whether it is served."),
    row("vhost/bandcheck/key", Text, "", "Secret that a client must know."),
    row("vhost/bandcheck/interval", amount("s"), "30", "Least time between two measurements, in s."),
    row("vhost/bandcheck/limit_kbps", count("kbit/s"), "4000", "Greatest rate that is measured, in kbit/s."),

    block("vhost/srt", "SRT streams."),
    row("vhost/srt/enabled", Switch, "off", "Whether they are served."),
    row("vhost/srt/srt_to_rtmp", Switch, "on", "Serve them over RTMP too.").env("SRS_VHOST_SRT_TO_RTMP"),

    block("vhost/rtsp", "RTSP players."),
    row("vhost/rtsp/enabled", Switch, "off", "Whether they are served."),
    row("vhost/rtsp/rtmp_to_rtsp", Switch, "off", "Serve them streams that are published over RTMP."),

    block("vhost/rtc", "WebRTC streams."),
    row("vhost/rtc/enabled", Switch, "off", "Whether they are served."),
    row("vhost/rtc/nack", Switch, "on", "Send lost packets again."),
    row("vhost/rtc/nack_no_copy", Switch, "on", "Keep packets for that without a copy."),
    row("vhost/rtc/twcc", Switch, "on", "Report when packets came."),
    row("vhost/rtc/stun_timeout", amount("s"), "30", "How long a client may be silent, in s."),
    row("vhost/rtc/stun_strict_check", Switch, "off", "Refuse STUN packets that aren't quite right."),
    row("vhost/rtc/dtls_role", Word(&["active", "passive"]), "passive", "Who begins DTLS."),
    row("vhost/rtc/dtls_version", Word(&["auto", "dtls1.0", "dtls1.2"]), "auto", "Version of DTLS."),
    row("vhost/rtc/drop_for_pt", count(""), "0", "Payload type that is dropped, for tests."),
    row("vhost/rtc/rtmp_to_rtc", Switch, "off", "Serve streams that are published over RTMP."),
    row("vhost/rtc/keep_bframe", Switch, "off", "Keep B-frames, which browsers don't show."),
    row("vhost/rtc/keep_avc_nalu_sei", Switch, "on", "Keep SEI NAL units."),
    row("vhost/rtc/opus_bitrate", count("bit/s"), "48000", "Rate of Opus made from AAC, in bit/s."),
    row("vhost/rtc/rtc_to_rtmp", Switch, "off", "Serve streams that are published over WebRTC over RTMP."),
    row("vhost/rtc/pli_for_rtmp", amount("s"), "6.0", "How often a keyframe is asked for then, in s."),
    row("vhost/rtc/aac_bitrate", count("bit/s"), "48000", "Rate of AAC made from Opus, in bit/s."),
    row("vhost/rtc/init_rate_from_sdp", Switch, "off", "Take the first rate from the SDP."),
    row("vhost/rtc/bframe", Text, "", "Keep or discard B-frames; older SRS."),
    row("vhost/rtc/aac", Text, "", "Transcode or discard AAC; older SRS."),
];
