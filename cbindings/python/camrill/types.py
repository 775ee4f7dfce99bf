"""What callbacks are given and calls answer: copies of the structs of camrill.h, whose comments say more."""

from __future__ import annotations

import ctypes as c
import dataclasses
from dataclasses import dataclass
from typing import Any, Optional, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """What happened: `type` is one of EVENT_…."""

    type: int
    client: int
    stream: int
    vhost: str
    app: str
    name: str
    param: str
    address: str
    reason: str
    path: str
    duration_us: int
    bytes: int
    relay: int
    state: int
    next_ms: int
    url: str


@dataclass(frozen=True)
class Admission:
    """What a client asks for: `action` is one of ACTION_…."""

    action: int
    ticket: int
    client: int
    vhost: str
    app: str
    name: str
    param: str
    address: str
    tc_url: str
    page_url: str


@dataclass(frozen=True)
class Stats:
    """What an engine has done and holds."""

    connections: int
    streams: int
    publishers: int
    players: int
    accepted: int
    refused: int
    received_bytes: int
    sent_bytes: int
    media_bytes: int
    uptime_us: int


@dataclass(frozen=True)
class StreamInfo:
    """One stream."""

    id: int
    published: int
    publisher: int
    players: int
    video_codec: int
    width: int
    height: int
    audio_codec: int
    sample_rate: int
    channels: int
    video_frames: int
    audio_frames: int
    dropped_frames: int
    received_bytes: int
    held_bytes: int
    live_us: int
    vhost: str
    app: str
    name: str


@dataclass(frozen=True)
class ClientInfo:
    """One client."""

    id: int
    doing: int
    stream: int
    skips: int
    received_bytes: int
    sent_bytes: int
    alive_us: int
    address: str
    vhost: str
    app: str
    name: str


@dataclass(frozen=True)
class RelayState:
    """The state that an ingest, a forward or a player has entered: `state` is one of RELAY_…."""

    direction: int
    relay: int
    stream: int
    state: int
    next_ms: int
    reason: str
    url: str


@dataclass(frozen=True)
class RelayInfo:
    """One ingest or forward."""

    id: int
    stream: int
    direction: int
    state: int
    next_ms: int
    failures: int
    starts: int
    skips: int
    bytes: int
    running_us: int
    vhost: str
    app: str
    name: str
    url: str
    reason: str


@dataclass(frozen=True)
class PublisherStats:
    """What a publisher has done."""

    written: int
    dropped: int
    queued_bytes: int


@dataclass(frozen=True)
class PlayerInfo:
    """What a player has done."""

    state: int
    stream: int
    paused: int
    next_ms: int
    failures: int
    starts: int
    skips: int
    packets: int
    bytes: int
    received_bytes: int
    url: str
    reason: str


@dataclass(frozen=True)
class TrackInfo:
    """What a track is; what isn't known is 0. `config` is the codec's configuration: avcC, AudioSpecificConfig, …"""

    codec: int
    fourcc: int
    width: int
    height: int
    frame_rate_num: int
    frame_rate_den: int
    profile: int
    level: int
    sample_rate: int
    channels: int
    config: bytes


@dataclass(frozen=True)
class HlsFile:
    """A file of HLS: `kind` is one of HLS_PLAYLIST, HLS_SEGMENT, …."""

    kind: int
    name: str
    data: bytes
    duration_us: int


@dataclass(frozen=True)
class RecorderFile:
    """What became of a recorder's file: `what` is one of RECORDER_OPENED, RECORDER_CLOSED, …."""

    what: int
    path: str
    reason: str
    duration_us: int
    bytes: int
    frames: int


@dataclass(frozen=True)
class Retry:
    """How often, and for how long, an ingest, a forward or a player of a URL is tried. 0 means the default."""

    first_ms: int = 0
    longest_ms: int = 0
    tries: int = 0
    stable_ms: int = 0
    connect_ms: int = 0
    stall_ms: int = 0


_names: dict[Any, list[str]] = {}


def copied(kind: type[T], struct: c.Structure) -> T:
    """A copy of a C struct, with its text decoded, and bytes (`config` and `config_size`) as bytes."""
    names = _names.get(kind)
    if names is None:
        names = _names[kind] = [field.name for field in dataclasses.fields(cast(Any, kind))]
    values = {}
    for name in names:
        value = getattr(struct, name)
        size = "size" if name == "data" else name + "_size"
        if hasattr(struct, size):
            value = c.string_at(value, getattr(struct, size)) if value else b""
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        values[name] = value
    return kind(**values)


def maybe(kind: type[T], pointer: Any) -> Optional[T]:
    """A copy of what a pointer leads to; None for NULL."""
    return copied(kind, pointer.contents) if pointer else None
