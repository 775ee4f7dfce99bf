#!/usr/bin/env python3
"""Writes fuzz/seeds: small valid inputs for each target, that it begins from."""

import pathlib
import struct

SEEDS = pathlib.Path(__file__).parent / "seeds"


def seed(target, name, data):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# AMF0

def key(text):
    return struct.pack(">H", len(text)) + text.encode()


def amf(value):
    if value is None:
        return b"\x05"
    if isinstance(value, bool):
        return bytes([1, value])
    if isinstance(value, (int, float)):
        return b"\0" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"\x02" + key(value)
    if isinstance(value, list):
        return b"\x0a" + struct.pack(">I", len(value)) + b"".join(map(amf, value))
    body = b"".join(key(k) + amf(v) for k, v in value.items()) + b"\0\0\x09"
    return b"\x03" + body


def ecma(entries):
    return b"\x08" + struct.pack(">I", len(entries)) + amf(entries)[1:]


def command(*values):
    return b"".join(map(amf, values))


TC_URL = "rtmp://127.0.0.1:1935/live"
CONNECT = command("connect", 1, {"app": "live", "tcUrl": TC_URL, "flashVer": "FMLE/3.0"})
CONNECT_ENHANCED = command("connect", 1, {
    "app": "live?vhost=a.b", "tcUrl": TC_URL, "objectEncoding": 3, "fourCcList": ["hvc1", "av01"],
    "pageUrl": "http://a.b/", "capsEx": 3,
})
META = {"width": 1280, "height": 720, "framerate": 25, "duration": 0, "encoder": "Lavf", "bravo_atc": True}
METADATA = amf("onMetaData") + ecma(META)
SET_METADATA = amf("@setDataFrame") + METADATA

# Bodies

SPS = bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")
PPS = bytes.fromhex("68ebe3cb22c0")
AVCC = b"\1\x64\0\x1f\xff\xe1" + struct.pack(">H", len(SPS)) + SPS + b"\1" + struct.pack(">H", len(PPS)) + PPS
NAL = b"\0\0\0\5\x65abcd"
BODIES = {
    "avc-header": b"\x17\0\0\0\0" + AVCC,
    "avc-key": b"\x17\1\0\0\x28" + NAL,
    "avc-delta": b"\x27\1\0\0\0" + NAL,
    "avc-end": b"\x17\2\0\0\0",
    "hevc-legacy": b"\x1c\1\0\0\0" + NAL,
    "hevc-header": b"\x90hvc1\1\1\x60\0\0\0\x90\0\0\0\0\0\x5d",
    "hevc-key": b"\x91hvc1\0\0\x28" + NAL,
    "hevc-x": b"\xa3hvc1" + NAL,
    "hevc-hdr": b"\xd4hvc1" + amf("colorInfo") + amf({"a": 1}),
    "av1-key": b"\x91av01\x12\0",
    "video-multitrack": b"\x96\1hvc1\0\0\0\5\0\0\0ab\1\0\0\2cd",
    "video-modifier": b"\x97\2\0\0\1\1av01ab",
    "command-frame": b"\x57\0",
    "aac-header": b"\xaf\0\x12\x10",
    "aac": b"\xaf\1\x21\x10\4\x60",
    "mp3": b"\x2f\xff\xfb\x90\x64\0\0\0\0",
    "g711": b"\x72" + bytes(16),
    "opus-header": b"\x90OpusOpusHead\1\2\x38\1\x80\xbb\0\0\0\0\0",
    "opus": b"\x91Opus\xfc\xff\xfe",
    "audio-multitrack": b"\x95\x01Opus\0\0\0\1a\1\0\0\1b",
    "metadata": METADATA,
    "set-metadata": SET_METADATA,
    "cue": amf("onCuePoint") + amf({"name": "x", "time": 1.5}),
}


def tag(kind, ms, body):
    head = bytes([kind]) + struct.pack(">I", len(body))[1:] + struct.pack(">I", ms)[1:] + bytes([ms >> 24])
    return head + bytes(3) + body + struct.pack(">I", len(body) + 11)


FLV = b"FLV\1\5\0\0\0\x09\0\0\0\0" + b"".join([
    tag(18, 0, METADATA),
    tag(9, 0, BODIES["avc-header"]),
    tag(8, 0, BODIES["aac-header"]),
    tag(9, 0, BODIES["avc-key"]),
    tag(8, 23, BODIES["aac"]),
    tag(9, 40, BODIES["avc-delta"]),
    tag(9, 0x1000000, BODIES["hevc-key"]),
])

# Chunks

def chunks(messages, size=128):
    out = b""
    for csid, ms, type_id, stream, body in messages:
        extended = struct.pack(">I", ms) if ms >= 0xFFFFFF else b""
        out += bytes([csid]) + struct.pack(">I", min(ms, 0xFFFFFF))[1:] + struct.pack(">I", len(body))[1:]
        out += bytes([type_id]) + struct.pack("<I", stream) + extended
        for at in range(0, max(len(body), 1), size):
            out += (bytes([0xC0 | csid]) + extended if at else b"") + body[at:at + size]
        if type_id == 1:
            size = struct.unpack(">I", body)[0]
    return out


def u32(*values):
    return b"".join(struct.pack(">I", v) for v in values)


AGGREGATE = tag(9, 5, BODIES["avc-key"]) + tag(8, 7, BODIES["aac"])

PUBLISH = [
    (2, 0, 1, 0, u32(4096)),
    (3, 0, 20, 0, CONNECT),
    (2, 0, 5, 0, u32(2500000)),
    (3, 0, 20, 0, command("releaseStream", 2, None, "a")),
    (3, 0, 20, 0, command("FCPublish", 3, None, "a")),
    (3, 0, 20, 0, command("createStream", 4)),
    (3, 0, 20, 1, command("publish", 5, None, "a?token=x", "live")),
    (4, 0, 18, 1, SET_METADATA),
    (6, 0, 9, 1, BODIES["avc-header"]),
    (4, 0, 8, 1, BODIES["aac-header"]),
    (6, 0, 9, 1, BODIES["avc-key"]),
    (4, 23, 8, 1, BODIES["aac"]),
    (6, 40, 22, 1, AGGREGATE),
    (6, 80, 9, 1, BODIES["avc-delta"]),
    (3, 0, 20, 0, command("FCUnpublish", 6, None, "a")),
    (3, 0, 20, 0, command("deleteStream", 7, None, 1)),
]
PLAY = [
    (3, 0, 20, 0, CONNECT_ENHANCED),
    (2, 0, 6, 0, u32(5000) + b"\2"),
    (3, 0, 20, 0, command("createStream", 2)),
    (3, 0, 20, 0, command("getStreamLength", 3, None, "a")),
    (3, 0, 20, 1, command("play", 4, None, "a", -2000, -1, True)),
    (2, 0, 4, 0, b"\0\3" + u32(1, 1000)),
    (2, 0, 4, 0, b"\0\6" + u32(99)),
    (3, 0, 20, 1, command("pause", 5, None, True, 0)),
    (3, 0, 20, 1, command("receiveVideo", 6, None, False)),
    (3, 0, 20, 1, command("pause", 7, None, False, 0)),
    (3, 0, 20, 1, command("seek", 8, None, 5)),
    (3, 0, 17, 1, b"\0" + command("closeStream", 0, None)),
    (3, 0, 20, 1, command("play", 9, None, "b")),
]
HANDSHAKE = b"\3" + bytes(3072)


def info(code, level="status", **more):
    return {"level": level, "code": code, "description": "why", **more}


def status(code, level="status", **more):
    return 3, 0, 20, 1, command("onStatus", 0, None, info(code, level, **more))


def answers(create, **more):
    """What a server says up to createStream, which is the client's call of that number."""
    return [
        (2, 0, 5, 0, u32(5000)),
        (2, 0, 6, 0, u32(5000) + b"\2"),
        (3, 0, 20, 0, command("_result", 1, {"fmsVer": "x"}, info("NetConnection.Connect.Success", **more))),
        (2, 0, 1, 0, u32(4096)),
        (3, 0, 20, 0, command("onBWDone", 0, None)),
        (3, 0, 20, 0, command("_result", create, None, 1)),
    ]


ANSWERS_PLAY = answers(2, fourCcList=["hvc1"], videoFourCcInfoMap={"*": 4}, capsEx=1) + [
    (2, 0, 4, 0, b"\0\0" + u32(1)),
    status("NetStream.Play.Reset"),
    status("NetStream.Play.Start"),
    (5, 0, 18, 1, command("|RtmpSampleAccess", True, True)),
    (5, 0, 18, 1, METADATA),
    (6, 0, 9, 1, BODIES["hevc-header"]),
    (6, 0, 9, 1, BODIES["hevc-key"]),
    (6, 40, 9, 1, BODIES["hevc-legacy"]),
    (6, 40, 22, 1, AGGREGATE),
    (2, 0, 4, 0, b"\0\6" + u32(9)),
    status("NetConnection.Connect.ReconnectRequest", tcUrl="//b.c/d"),
    status("NetStream.Play.UnpublishNotify"),
    (5, 0, 18, 1, command("onPlayStatus", info("NetStream.Play.Complete"))),
    (3, 0, 17, 0, b"\0" + command("close", 0, None)),
]
ANSWERS_PUBLISH = answers(4) + [
    (3, 0, 20, 0, command("_error", 2, None, info("NetConnection.Call.Failed", "error"))),
    (3, 0, 20, 0, command("_onbwcheck", 9, None, "x")),
    status("NetStream.Publish.Start"),
    status("NetStream.Publish.BadName", "error"),
]
MOVED = {"code": 302, "redirect": "rtmp://b.c:19/d?vhost=e"}


def refusal(description="why", **more):
    values = {**info("NetConnection.Connect.Rejected", "error", **more), "description": description}
    return [(3, 0, 20, 0, command("_error", 1, None, values))]


ADOBE = "[ authmod=adobe ] : ?reason=needauth&user=u&salt=ab==&challenge=cd==&opaque=ef=="
LIMELIGHT = "[ authmod=llnw ] : ?reason=needauth&user=u&nonce=abcd"


def as_messages(messages):
    return b"".join(
        bytes([type_id, csid, stream]) + struct.pack(">HH", ms, len(body)) + body
        for csid, ms, type_id, stream, body in messages
    )


# Frames for fragments: flags, size, and decoding time, composition offset and duration in ms.

PICTURE, FRAME_KEY, LAST, FAR = 1, 2, 4, 8


def frame(flags, size=9, dts=0, composition=0, duration=40):
    return struct.pack("<BBhhh", flags, size, dts, composition, duration)


PART = (frame(PICTURE | FRAME_KEY) + frame(0, 5, 3, 0, 23) + frame(PICTURE, 7, 40, 80)
        + frame(LAST, 5, 26, 0, 23))

# Boxes

def box(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + name.encode() + body


def full(name, version, flags, *parts):
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def trak(number, handler, timescale):
    return box("trak",
               full("tkhd", 0, 3, u32(0, 0, number, 0, 0), bytes(52), u32(640 << 16, 360 << 16)),
               box("mdia", full("mdhd", 0, 0, u32(0, 0, timescale, 0, 0x55C40000)),
                   full("hdlr", 0, 0, bytes(4), handler, bytes(13)),
                   box("minf", box("stbl", full("stsd", 0, 0, u32(1), box("avc1", bytes(8)))))))


MOOV = box("moov", trak(1, b"vide", 90000), trak(2, b"soun", 44100),
           box("mvex", full("trex", 0, 0, u32(1, 1, 3600, 5, 0x1010000)),
               full("trex", 0, 0, u32(2, 1, 1024, 4, 0x2000000))))


def moof(video, audio, size=0):
    """The offsets depend on the size, so it is made twice."""
    made = box("moof", full("mfhd", 0, 0, u32(1)),
               box("traf", full("tfhd", 0, 0x20000, u32(1)), full("tfdt", 1, 0, u32(0, 90000)),
                   full("trun", 1, 0x305, u32(1, size + 8, 0x2000000, 3600, video))),
               box("traf", full("tfhd", 0, 0x20038, u32(2, 1024, audio, 0x2000000)),
                   full("tfdt", 0, 0, u32(44100)), full("trun", 0, 0x801, u32(1, size + 8 + video, 0))))
    return made if size else moof(video, audio, len(made))


PRFT = full("prft", 1, 0, u32(1, 0xE8FE6C00, 0, 0, 90000))
FRAGMENT = PRFT + moof(5, 4) + box("mdat", b"videoaudi")
# HTTP and WebSocket

def http(line, *fields, body=b""):
    return "\r\n".join((f"{line} HTTP/1.1", "Host: a.b:8080", *fields, "", "")).encode() + body


UPGRADE = http("GET /live/a.flv", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def ws_frame(first, payload, mask=b"\x37\xfa\x21\x3d"):
    size = len(payload)
    head = bytes([first, 0x80 | size]) if size < 126 else struct.pack(">BBH", first, 0xfe, size)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


FRAMES = (ws_frame(1, b"hel") + ws_frame(0x89, b"p") + ws_frame(0x80, b"lo") + ws_frame(0x82, bytes(200)) + ws_frame(0x8a, b"")
          + ws_frame(0x88, b"\3\xe8bye"))


# Operations on the hub, as the crate `arbitrary` reads them.

DVR_OPS = ["begin", "write", "many", "leap", "header", "end", "start", "stop", "cut", "pass", "stall", "fail"]
OPS = ["publish", "unpublish", "play", "stop", "write", "many", "jump", "flush", "pause", "receive",
       "reload", "atc", "pass"]


def op(name, layout, *values, ops=OPS):
    variant = ((ops.index(name) << 32) + (1 << 31)) // len(ops)
    return b"\1" + struct.pack("<I", variant) + struct.pack("<" + layout, *values)


def dvr(name, layout="", *values):
    return op(name, layout, *values, ops=DVR_OPS)


def recording(flags=0, plan=0, duration=10, fragment=50, preroll=0):
    return struct.pack("<BBBBBHI", flags, plan, duration, fragment, preroll, 1000, 5000)


def limits(size=3, gop=3, queue=3, flags=1, merge=0):
    return bytes([size, gop, queue, flags, merge])


def write(kind, role, size=4, dts=20, version=0, name=0):
    return op("write", "BBBBh?", name, kind, role, size, dts, version)


def many(kind, role, count, gop, size):
    return op("many", "BBBBBB", 0, kind, role, count, gop, size)


AUDIO, VIDEO, DATA = 0, 1, 3
HEADER, KEY, DELTA, MARK = range(4)
FLUSH = op("flush", "BBBB", 0, 0, 200, 255)
BLOCKED = op("flush", "BBBB", 0, 1, 200, 255)
GOP = (write(DATA, HEADER) + write(VIDEO, HEADER) + write(AUDIO, HEADER) + write(VIDEO, KEY, 9)
       + write(AUDIO, KEY) + write(VIDEO, DELTA) + write(AUDIO, KEY) + write(VIDEO, DELTA))
LIVE = op("publish", "BB", 0, 0) + op("play", "B", 0) + GOP + FLUSH


# Frames for the transport stream's muxer, as its target reads them.

SPS_265 = bytes.fromhex("42010101600000030090000003000003003ca00a480b9c9596566924caf01680800001f480003a9804")
HVCC = (bytes.fromhex("0101600000009000000000003cf000fcfdf8f800000f01a10001")
        + struct.pack(">H", len(SPS_265)) + SPS_265)
H264, H265, AAC, MP3, OPUS, G711 = range(6)


def ts_frame(kind, codec, role, payload, ms=20, offset=0):
    what = kind | codec << 2 | role << 5
    return struct.pack(">BBhbH", 5, what, ms, offset, len(payload)) + payload


def ts_picture(codec, role, *nals, ms=20):
    payload = b"".join(struct.pack(">I", len(nal)) + nal for nal in nals)
    return ts_frame(1, codec, role, payload, ms, 40)


TS_AAC = ts_frame(0, AAC, HEADER, b"\x12\x10", 0)
TS_AVC = (ts_frame(1, H264, HEADER, AVCC, 0) + TS_AAC + b"\0" + ts_picture(H264, KEY, b"\x65" + bytes(400))
          + ts_frame(0, AAC, KEY, bytes(170)) + ts_picture(H264, DELTA, b"\x09\xf0", b"\x41" + bytes(164))
          + ts_frame(0, AAC, KEY, bytes(162)) + ts_picture(H264, KEY, SPS, PPS, b"\x65", ms=900))


# Transport streams as they come.

def pack(codec, how, *writes, config=b""):
    """Writes of an encoder: (flags, milliseconds since the last one, data)."""
    out = bytes([codec, how, len(config)]) + config
    for flags, ms, data in writes:
        dts = b"\0" if flags & 2 else b""
        out += bytes([flags]) + struct.pack(">h", ms) + dts + b"\6" + struct.pack(">H", len(data)) + data
    return out


def crc32(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def ts_packet(pid, start, counter, payload):
    stuffing = 184 - len(payload)
    head = struct.pack(">BHB", 0x47, start << 14 | pid, (0x30 if stuffing else 0x10) | counter)
    field = bytes([stuffing - 1]) + (b"\0" + b"\xff" * (stuffing - 2))[:stuffing - 1] if stuffing else b""
    return head + field + payload


def ts_section(pid, counter, table, body):
    section = struct.pack(">BHHBBB", table, 0xb000 | len(body) + 9, 1, 0xc1, 0, 0) + body
    return ts_packet(pid, 1, counter, (b"\0" + section + u32(crc32(section))).ljust(184, b"\xff"))


def ts_tables(*streams):
    entries = b"".join(struct.pack(">BHH", kind, 0xe000 | pid, 0xf000) for kind, pid in streams)
    return (ts_section(0, 0, 0, struct.pack(">HH", 1, 0xf000))
            + ts_section(0x1000, 0, 2, b"\xe1\0\xf0\0" + entries))


def ts_pes(pid, counter, ticks, data, bounded=True):
    stamp = struct.pack(">BHH", 0x21 | ticks >> 29 & 0xe, ticks >> 14 & 0xfffe | 1, ticks << 1 & 0xfffe | 1)
    pes = struct.pack(">IHBBB", 0x1e0, len(data) + 8 if bounded else 0, 0x80, 0x80, 5) + stamp + data
    pieces = [pes[at:at + 184] for at in range(0, len(pes), 184)]
    return b"".join(ts_packet(pid, not n, counter + n & 15, piece) for n, piece in enumerate(pieces))


def annexb(*nals):
    return b"".join(b"\0\0\1" + nal for nal in nals)


TS_ADTS = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)
TS_LIVE = (ts_tables((0x1b, 0x100), (0x0f, 0x101))
           + ts_pes(0x100, 0, 900, annexb(b"\x09\xf0", SPS, PPS, b"\x65" + b"a" * 200))
           + ts_pes(0x101, 0, 900, TS_ADTS * 2 + TS_ADTS[:5])
           + ts_pes(0x100, 2, 4500, annexb(b"\x41ab"), False) + ts_pes(0x101, 1, 9000, TS_ADTS[5:] + TS_ADTS)
           + ts_pes(0x100, 3, 8100, annexb(b"\x41cd"), False))


# MP4 files without fragments.

def mp4_entry(name, fixed, config):
    return box(name, bytes(fixed), config)


def mp4_track(number, handler, timescale, entry, sizes, first, edits=b"", offsets=b""):
    sizes_box = full("stsz", 0, 0, u32(0, len(sizes), *sizes))
    stbl = box("stbl", full("stsd", 0, 0, u32(1), entry), full("stts", 0, 0, u32(1, len(sizes), 40)), offsets,
               full("stsc", 0, 0, u32(1, 1, len(sizes), 1)), sizes_box, full("stco", 0, 0, u32(1, first)))
    return box("trak", full("tkhd", 0, 3, u32(0, 0, number, 0, 0), bytes(52), u32(640 << 16, 360 << 16)), edits,
               box("mdia", full("mdhd", 0, 0, u32(0, 0, timescale, 0, 0)),
                   full("hdlr", 0, 0, bytes(4), handler, bytes(13)), box("minf", stbl)))


def mp4_movie(first, video=(9, 5, 5), audio=(3, 3, 3), *more):
    edits = box("edts", full("elst", 0, 0, u32(2, 20, 0xffffffff, 65536, 99, 40, 65536)))
    offsets = full("ctts", 1, 0, u32(2, 1, 40, 2, 0xfffffff0)) + full("stss", 0, 0, u32(1, 1))
    esds = full("esds", 0, 0, b"\3\x16\0\0\0\4\x11\x40\x15" + bytes(11) + b"\5\2\x12\x10")
    return box("moov", full("mvhd", 0, 0, u32(0, 0, 1000, 0), bytes(80)),
               mp4_track(1, b"vide", 1000, mp4_entry("avc3", 78, box("avcC", AVCC)), video, first, edits, offsets),
               mp4_track(2, b"soun", 1000, mp4_entry("mp4a", 28, esds), audio, first + 19), *more)


MP4_DATA = box("mdat", NAL, NAL, NAL + b"aaabbbccc")
MP4_INIT = mp4_movie(0, (), (), box("mvex", full("trex", 0, 0, u32(1, 1, 40, 9, 0x1010000))))
MP4_FIRST = len(mp4_movie(0)) + 8


# Operations on an HLS writer, as the crate `arbitrary` reads them.

HLS_OPS = ["begin", "end", "finish", "dispose", "header", "frame", "live", "ask"]


def hls_op(name, layout="", *values):
    variant = ((HLS_OPS.index(name) << 32) + (1 << 31)) // len(HLS_OPS)
    return b"\1" + struct.pack("<I", variant) + struct.pack("<" + layout, *values)


def hls_setup(fmp4=False, parts=False, keys=False, fragment=500, window=2000, part=200, kb=200):
    flags = struct.pack("7?", fmp4, parts, keys, True, True, True, False)
    return flags + struct.pack("<HHHBBB?", fragment, window, part, kb, 16, 34, False)


HLS_LIVE = hls_op("live", "BBH?", 100, 15, 40, True)
HLS_HEADERS = hls_op("header", "??", False, False) + hls_op("header", "??", True, False)
HLS_SESSION = (hls_op("begin") + HLS_HEADERS + HLS_LIVE * 2 + hls_op("end") + hls_op("begin") + HLS_HEADERS
               + HLS_LIVE + hls_op("header", "??", False, True) + HLS_LIVE + hls_op("header", "??", True, True)
               + HLS_LIVE + hls_op("live", "BBH?", 50, 255, 300, False) + hls_op("finish") + hls_op("dispose"))

# A session that pulls HLS: bodies, and what else comes to the first or second fetch that is under way.

BODY, END, ABSENT, BROKEN, WAIT, POSITION, LATER = range(7)


def pulled(data, second=0):
    return struct.pack(">BH", BODY | second << 3, len(data)) + data


def fetched(data, second=0):
    return pulled(data, second) + bytes([END | second << 3])


def m3u8(*lines):
    return "\n".join(("#EXTM3U", *lines, "")).encode()


def media(*segments, tags=(), live=False):
    lines = [line for name in segments for line in ("#EXTINF:2.5,", name)]
    return m3u8("#EXT-X-TARGETDURATION:3", *tags, *lines, *([] if live else ["#EXT-X-ENDLIST"]))


PACKED = (b"ID3\4\0\0\0\0\0\x3f" + b"PRIV\0\0\0\x35\0\0" + b"com.apple.streaming.transportStreamTimestamp\0"
          + struct.pack(">Q", 900) + TS_ADTS * 2)
MASTER = m3u8('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="n",URI="a"',
              '#EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO="g",CODECS="avc1.64001f"', "v",
              "#EXT-X-STREAM-INF:BANDWIDTH=200,RESOLUTION=640x360", "w")


def main():
    seed("handshake", "simple", b"\0" + HANDSHAKE)
    seed("handshake", "cut", b"\x80" + HANDSHAKE + b"more")
    seed("handshake", "digest", b"\x80\3" + bytes(4) + b"\x80\0\3\2" + bytes(1528))
    seed("handshake", "http", b"\0GET / HTTP/1.1\r\n")
    seed("handshake", "tls", b"\0\x16\3\1")

    seed("chunk_reader", "publish", b"\0\0" + chunks(PUBLISH))
    seed("chunk_reader", "play", b"\x80\1" + chunks(PLAY))
    seed("chunk_reader", "extended", b"\3\0" + chunks([(4, 0x1234567, 8, 1, bytes(300))]))
    seed("chunk_reader", "compressed",
         b"\0\0" + chunks([(4, 20, 8, 1, b"abc")]) + b"\x44\0\0\x14\0\0\2\x08ab\x84\0\0\x14cd\xc4ef")
    seed("chunk_reader", "ids", b"\0\0\0\5\0\0\0\0\0\1\x08\1\0\0\0a\1\5\1\0\0\0\0\0\1\x08\1\0\0\0b")
    seed("chunk_reader", "abort", b"\0\0\4\0\0\0\0\0\xff\x08\1\0\0\0" + bytes(128)
         + chunks([(2, 0, 2, 0, u32(4))]))

    seed("amf0", "connect", CONNECT)
    seed("amf0", "connect-enhanced", CONNECT_ENHANCED)
    seed("amf0", "metadata", SET_METADATA)
    seed("amf0", "rest", b"\x06\x07\0\1\x0b" + bytes(10) + b"\x0c\0\0\0\2ab\x0d\x0f\0\0\0\1x\x10\0\1C\0\0\x09")
    seed("amf0", "amf3", b"\0\2\0\4play\x11\x09\5\1\2\4\xff\xff\xff\xff\x11\x0a\x0b\1\3a\6\3b\1\x11\x0c\5ab")
    seed("amf0", "amf3-object", b"\x0a\x1b\3C\3a\1\3b\2\1")

    for name, body in BODIES.items():
        seed("flv_tag", name, b"\0" + body)
    seed("flv_tag", "file", b"\x80" + FLV)

    seed("config", "small", b"listen 1935;\nvhost __defaultVhost__ {\n}\n")
    seed("config", "play", b"""# a comment
listen 1935 127.0.0.1:1936 [::]:1937; max_connections 100; chunk_size 60000;
vhost a.b {
    tcp_nodelay on; min_latency off; in_ack_size 0; out_ack_size 2500000;
    play { gop_cache off; queue_length 2.5; time_jitter zero; mw_latency 350; mw_msgs 8; ring_bytes 65536; }
    publish { firstpkt_timeout 20000; normal_timeout 7000; on_conflict replace; }
}
""")
    seed("config", "older", b"rtmp { listen 1; } vhost a { gop_cache on; forward 1.2.3.4:1; refer x.y; mode remote;"
         b" origin 1.1.1.1; publish_1stpkt_timeout 2000; }")
    seed("config", "quotes", b"vhost \"a b\" { ingest c { enabled on; input { type file; url 'a\\'b\"#;{}'; }"
         b" ffmpeg \"/x\\\\y\"; engine { enabled off; output rtmp://127.0.0.1:1935/live/c; } } }")
    seed("config", "unbuilt", b"srs_log_tank console; daemon off; http_api { enabled on; listen 1985; }\n"
         b"vhost v { hls { enabled on; hls_fragment 10; } transcode t { enabled off; engine e { vcodec x; } } }")

    # How it is cut, what it is, the host's words, the clock.
    for name, purpose, said in (
        ("play", 0, ANSWERS_PLAY), ("play-live", 32 | 16, ANSWERS_PLAY), ("publish", 1, ANSWERS_PUBLISH),
        ("publish-legacy", 1 | 8, ANSWERS_PUBLISH), ("refused", 0, refusal()), ("moved", 1, refusal(ex=MOVED)),
        ("need-auth", 3, refusal("code=403 need auth; authmod=adobe")), ("adobe", 3, refusal(ADOBE)),
        ("limelight", 3, refusal(LIMELIGHT)),
    ):
        seed("rtmp_client", name, bytes([0x80, 1, purpose, 0]) + chunks(said))
        seed("rtmp_client", name + "-messages", bytes([0, 2, purpose, 1]) + as_messages(said))
    seed("rtmp_client", "whole", b"\x80\0\4\0" + HANDSHAKE + chunks(ANSWERS_PLAY[:3]))
    seed("session", "publish", b"\0\1\0\0" + chunks(PUBLISH))
    seed("session", "publish-cut", b"\x80\1\0\0" + chunks(PUBLISH))
    seed("session", "play", b"\0\1\0\1" + chunks(PLAY))
    seed("session", "refused", b"\0\1\2\0" + chunks(PUBLISH))
    seed("session", "whole", b"\x80\0\0\0" + HANDSHAKE + chunks(PLAY[:4]))
    seed("session", "publish-messages", b"\x80\2\0\0" + as_messages(PUBLISH))
    seed("session", "play-messages", b"\0\2\0\3" + as_messages(PLAY))

    seed("fmp4", "both", PART * 3)
    seed("fmp4", "audio", frame(0, 5, 0, 0, 23) + frame(LAST, 5, 23, 0, 23) + frame(LAST, 5, 900, 0, 23))
    seed("fmp4", "back-and-far", frame(PICTURE, 0, 80) + frame(PICTURE | FRAME_KEY, 1, -40, -80, -1)
         + frame(PICTURE | FAR | LAST, 2, 32767, 32767, 32767) + frame(FAR | LAST, 3, -32768, 9, 9))

    ftyp = box("ftyp", b"iso6\0\0\0\0iso6")
    seed("mp4_scan", "fragments", ftyp + MOOV + FRAGMENT * 2 + box("styp", b"msdh\0\0\0\0") + FRAGMENT)
    seed("mp4_scan", "cut", ftyp + MOOV + FRAGMENT + FRAGMENT[:-3])
    seed("mp4_scan", "long-size", ftyp + MOOV + PRFT + moof(5, 4)[:-8] + bytes(8) + u32(1) + b"mdat" + u32(0, 16))
    seed("mp4_scan", "to-the-end", ftyp + MOOV + moof(5, 4) + u32(0) + b"mdatvideoaudi")
    # How it is cut, the host's words, the clock.
    seed("http_request", "get", b"\0\0\0" + http("GET /live/%61.flv?a=b%20c+d&e#f") + http("HEAD /"))
    seed("http_request", "old", b"\x80\1\0" + b"GET / HTTP/1.0\r\nConnection: keep-alive\n\n\r\nGET /b HTTP/1.0\r\n\r\n")
    seed("http_request", "post", b"\3\5\1" + http("POST /a/../b", "Content-Length: 3", "Expect: 100-continue",
                                                 body=b"abc") + http("PUT http://c/x", "Connection: close"))
    seed("http_request", "chunked", b"\x81\2\0" + http("POST /", "Transfer-Encoding: chunked",
                                                      body=b"3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n") + http("GET /"))
    seed("http_request", "cached", b"\0\3\0" + http("GET /a.m4s", "Range: bytes=-5", "If-None-Match: \"x\", W/\"y\"",
                                                   "If-Range: Tue, 15 Nov 1994 12:45:26 GMT", "Origin: http://c"))
    seed("http_request", "preflight", b"\0\0\0" + http("OPTIONS *", "Origin: null",
                                                      "Access-Control-Request-Headers: x, y"))
    seed("http_request", "websocket", b"\x82\7\0" + UPGRADE + FRAMES)
    seed("http_request", "framed-twice", b"\0\0\0" + http("POST /", "Content-Length: 3",
                                                         "Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
    seed("http_request", "tls", b"\0\0\0\x16\3\1")

    # How it is cut, what is asked, the clock.
    seed("http_response", "length", b"\0\0\0HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc")
    seed("http_response", "chunked", b"\x80\0\0HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
         b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n")
    seed("http_response", "close", b"\2\2\1HTTP/1.0 200 OK\r\nConnection: keep-alive\n\n" + bytes(200))
    seed("http_response", "redirect", b"\0\1\0HTTP/1.1 302 Found\r\nLocation: ../a/./b?c#d\r\n\r\n")
    seed("http_response", "url", b"\0\0\0https://us%40er:p@[::1]:8443/a b/../%2e?c=d#e")
    seed("http_response", "reference", b"\0\0\0../../a/./b/..?c/../d")

    seed("json", "urls", b'{"code":0,"data":{"urls":["rtmp://a/b/c","d"],"n":null}}')
    seed("json", "values", b' [ true, false, -0.5e+3, "\\u00e9\\ud83d\\ude00\\n\\/", { } , [ ] ] ')

    # How it is cut, and after how many packets a segment ends.
    seed("ts_demux", "live", b"\0\0" + TS_LIVE)
    seed("ts_demux", "segments", b"\x80\4" + TS_LIVE + TS_LIVE)
    seed("ts_demux", "m2ts", b"\7\0" + b"".join(bytes(4) + TS_LIVE[at:at + 188] for at in range(0, len(TS_LIVE), 188)))
    seed("ts_demux", "lost", b"\0\0" + TS_LIVE[:564] + TS_LIVE[752:] + TS_LIVE)
    seed("ts_demux", "mp3", b"\0\0" + ts_tables((3, 0x101)) + ts_pes(0x101, 0, 9, b"\xff\xfb\x90\0" + bytes(413)))
    seed("ts_demux", "hevc", b"\0\0" + ts_tables((0x24, 0x100))
         + ts_pes(0x100, 0, 9, annexb(b"\x40\1a", SPS_265, b"\x44\1\xc1", b"\x26\1a"))
         + ts_pes(0x100, 1, 99, annexb(b"\2\1b")))

    seed("mp4_demux", "plain", b"\0" + mp4_movie(MP4_FIRST) + MP4_DATA)
    seed("mp4_demux", "at-the-end", b"\0" + MP4_DATA + mp4_movie(8))
    seed("mp4_demux", "fragments", b"\x80" + MP4_INIT + (moof(9, 4) + box("mdat", NAL + b"audi")) * 2)
    seed("mp4_demux", "scanned", b"\3" + ftyp + MOOV + FRAGMENT)

    # How it is cut, and whether the rest is frames as they come.
    seed("websocket", "frames", b"\x80\0" + FRAMES)
    seed("websocket", "unmasked", b"\0\0\x81\5hello")
    seed("websocket", "payloads", b"\2\1" + b"\1\7\3abc" + b"\x89\1\1p" + b"\x80\3\2de" + b"\x88\0\2\3\xe8")
    seed("websocket", "long", b"\0\0" + ws_frame(2, bytes(150)) + ws_frame(0x80, bytes(151)))

    empty = limits() + limits()
    seed("hub_ops", "live", empty + LIVE + GOP + FLUSH)
    seed("hub_ops", "again", empty + LIVE + op("unpublish", "BB", 0, 0) + op("publish", "BB", 0, 2)
         + GOP + FLUSH + op("play", "B", 0) + FLUSH + op("stop", "B", 0) + op("unpublish", "BB", 0, 2))
    seed("hub_ops", "behind", limits(2, 3, 1, 1) * 2 + LIVE + BLOCKED + many(VIDEO, KEY, 60, 9, 50)
         + FLUSH + GOP + FLUSH)
    seed("hub_ops", "long-gop", limits(3, 1, 1, 0) * 2 + op("publish", "BB", 0, 0) + op("play", "B", 0)
         + many(VIDEO, KEY, 50, 200, 1) + op("flush", "BBBB", 0, 0, 9, 4) + GOP + FLUSH)
    seed("hub_ops", "first-gop", limits(queue=1) * 2 + op("publish", "BB", 0, 0) + op("play", "B", 0)
         + many(VIDEO, KEY, 2, 200, 1) + FLUSH
         + 3 * write(VIDEO, DELTA, 4, 200) + FLUSH + FLUSH)
    seed("hub_ops", "mixed", limits(flags=3) * 2 + LIVE + GOP + write(AUDIO, KEY, 1, -30) + GOP + FLUSH
         + op("reload", "?5s", False, limits(flags=1)) + GOP + FLUSH
         + op("unpublish", "BB", 0, 0) + FLUSH)
    seed("hub_ops", "mixed-data", limits(flags=3) * 2 + LIVE + many(DATA, MARK, 80, 1, 1) + FLUSH)
    seed("hub_ops", "reduced", limits(flags=7) * 2 + LIVE + GOP + write(VIDEO, HEADER, 1, 0, 1)
         + write(VIDEO, KEY) + GOP + FLUSH)
    seed("hub_ops", "pause", empty + LIVE + op("pause", "B?", 0, True) + GOP + FLUSH
         + op("pause", "B?", 0, False) + FLUSH + op("receive", "B??", 0, True, False) + GOP + FLUSH
         + op("receive", "B??", 0, True, True) + GOP + FLUSH)
    seed("hub_ops", "replace", limits(flags=65) * 2 + LIVE + op("publish", "BB", 0, 3) + GOP + FLUSH
         + op("jump", "i", 1000) + GOP + op("atc", "B", 0) + op("pass", "H", 500) + FLUSH)

    seed("mpegts", "avc", b"\0" + TS_AVC + b"\1\2\0" + TS_AVC)
    seed("mpegts", "held", b"\x20" + TS_AVC + ts_frame(0, AAC, KEY, b"a") * 8 + b"\1\3" + TS_AVC)
    seed("mpegts", "hevc", b"\0" + ts_frame(1, H265, HEADER, HVCC, 0) + ts_picture(H265, KEY, b"\x26\1a")
         + ts_picture(H265, DELTA, b"\x46\1\x50", b"\2\1b"))
    seed("mpegts", "mp3", b"\x10\4\1\0" + ts_frame(0, MP3, KEY, b"\xff\xfb\x90\0" + bytes(413)) * 3)
    seed("mpegts", "refused", b"\0" + ts_frame(0, G711, KEY, b"a") + TS_AAC + ts_frame(0, AAC, KEY, b"")
         + ts_frame(0, OPUS, HEADER, b"OpusHead") + b"\6" + ts_frame(0, AAC, KEY, b"a", -30000)[1:])
    gops = dvr("begin", "B", 1) + 3 * dvr("many", "BB", 25, 40)
    for flags, name in ((8, "flv"), (1, "mp4")):
        seed("dvr", name, recording(flags) + gops + dvr("end"))
        seed("dvr", name + "-segments", recording(flags, 1) + gops + dvr("cut", "?", False) + gops)
        seed("dvr", name + "-append", recording(flags | 32, 2) + gops + dvr("end") + dvr("pass", "H", 900)
             + gops + dvr("end") + dvr("pass", "H", 2000) + gops)
        seed("dvr", name + "-demand", recording(flags | 16, 0, preroll=255) + gops + dvr("start")
             + dvr("many", "BB", 9, 40) + dvr("stop") + gops + dvr("start") + gops)
        seed("dvr", name + "-codecs", recording(flags) + gops + dvr("write", "BBBh", 1, 2, 0, 20)
             + dvr("write", "BBBh", 4, 2, 0, 20) + dvr("write", "BBBh", 0, 0, 0, 0) + dvr("cut", "?", True)
             + dvr("leap", "q", -1 << 62) + gops + dvr("fail") + dvr("pass", "H", 20000) + gops)

    ts, played = fetched(TS_LIVE), bytes([POSITION])
    seed("m3u8", "ts", b"\x07\xff" + fetched(media("a", "b")) + ts + played + ts)
    seed("m3u8", "fmp4", b"\x80\xff" + fetched(media("a", "b", tags=['#EXT-X-MAP:URI="m"']))
         + fetched(MP4_INIT) + fetched(moof(9, 4) + box("mdat", NAL + b"audi")) * 2)
    seed("m3u8", "broken", b"\0\xff" + fetched(media("a", "#EXT-X-DISCONTINUITY", "b")) + pulled(TS_LIVE[:600])
         + bytes([BROKEN, WAIT]) + ts + played + bytes([ABSENT]))
    key = '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x1'
    seed("m3u8", "key", b"\3\xff" + fetched(media("a", tags=[key])) + fetched(bytes(16)) + fetched(bytes(96)))
    seed("m3u8", "audio", b"\x81\x20" + fetched(MASTER) + fetched(media("a", "b")) + fetched(media("a", "b"))
         + ts + fetched(PACKED) + played + ts + fetched(PACKED, 1))
    live = [media("a", "b", tags=[f"#EXT-X-MEDIA-SEQUENCE:{n}"], live=True) for n in (7, 7, 8, 0, 0, 0)]
    seed("m3u8", "live", b"\0\xff" + fetched(live[0]) + ts + played + ts + played
         + b"".join(bytes([WAIT]) + fetched(text) for text in live[1:]))
    seed("m3u8", "ranges", b"\0\xff" + fetched(media("#EXT-X-BYTERANGE:5@1", "a", "#EXT-X-BYTERANGE:5", "a", "#EXT-X-GAP",
                                                    "a", tags=["#EXT-X-PROGRAM-DATE-TIME:2026-11-20T13:13:09Z"])))
    seed("m3u8", "playlist", b"\0\0" + media("a", "b", tags=[key, '#EXT-X-MAP:URI="m",BYTERANGE="1@2"']))

    sps = bytes.fromhex("6764001eacd940a02ff96100000300010000030032 0f162d96".replace(" ", ""))
    pps = bytes.fromhex("68ebe3cb22c0")
    sets, idr, slices = annexb(sps, pps), b"\x65\x88\2\3", [b"\x41\x9a\6", b"\x41\x1a\7"]
    seed("pack", "h264", pack(0, 0, (2, 0, annexb(b"\x09\xf0", sps, pps, b"\6\6\1\xc4\x80", idr)),
                              (0, 120, annexb(slices[0])), (0, -80, annexb(*slices)), (32, 40, annexb(idr))))
    seed("pack", "h264-nals", pack(0, 2, (4, 0, annexb(idr)), *[(4, 40, annexb(nal)) for nal in slices * 2],
                                   (12, 0, annexb(slices[1])), config=sets))
    seed("pack", "h264-joined", pack(0, 2, (4, 0, annexb(idr)), (4, 0, annexb(b"\x0c\xff\x80", b"\6\5\1\2", slices[0])),
                                     config=sets))
    avcc = b"\1\x64\0\x1e\xfd\xe1" + struct.pack(">H", len(sps)) + sps + b"\1\0\6" + pps
    seed("pack", "h264-lengths", pack(0, 3, (0, 0, b"\0\4" + idr + b"\0\3" + slices[0]), config=avcc))
    vps5 = bytes.fromhex("40010c01ffff016000000300900000030000 03003c959809".replace(" ", ""))
    sps5 = bytes.fromhex("420101016000000300900000030000 03003ca00a480b9c9596566924caf01680800001f480003a9804".replace(" ", ""))
    pps5 = bytes.fromhex("4401c172b46240")
    seed("pack", "h265", pack(2, 0, (2, 0, annexb(vps5, sps5, pps5, b"\x26\1\xaf\1")),
                              (0, 80, annexb(b"\2\1\xd0\3", b"\x50\1\x84\4")), (0, -40, annexb(b"\2\1\xd0\5"))))
    sequence = bytes.fromhex("0a0b000000043d06d4daf90040")
    seed("pack", "av1", pack(4, 0, (0, 0, b"\x12\0" + sequence + b"\x32\3\x10\1\2"), (0, 40, b"\x30\x30\3")))
    jpeg = b"\xff\xd8\xff\xe0\0\4\1\2\xff\xc0\0\x0b\x08\1\0\2\x80\3"
    seed("pack", "jpeg", pack(6, 0, (0, 0, jpeg), (0, 40, jpeg)))
    adts = bytes.fromhex("fff15080013ffcaabb")
    seed("pack", "aac", pack(1, 0, (0, 0, adts * 2), (0, 46, adts)))
    seed("pack", "aac-raw", pack(1, 2, (0, 0, b"\1\2"), config=b"\x12\x10"))
    seed("pack", "mp3", pack(3, 0, (0, 0, (b"\xff\xfb\x90\0" + bytes(413)) * 2)))
    seed("pack", "opus", pack(5, 4, (0, 0, b"\xfc\1\2"), (0, 20, b"\xff\6\1")))
    seed("pack", "g711", pack(7, 0, (0, 0, bytes(160)), (33, -20, bytes(37))))

    seed("hls", "ts", hls_setup() + HLS_SESSION)
    seed("hls", "keys", hls_setup(keys=True) + HLS_SESSION)
    seed("hls", "fmp4", hls_setup(fmp4=True) + HLS_SESSION)
    seed("hls", "parts", hls_setup(fmp4=True, parts=True) + HLS_SESSION)
    seed("hls", "small", hls_setup(fmp4=True, parts=True, kb=4) + HLS_SESSION)


main()
