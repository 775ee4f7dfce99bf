"""Frames in, and packets and files out."""

from __future__ import annotations

import ctypes as c
from collections import deque
from typing import Any, Callable, Iterator, Optional, Sequence, Union

from . import _abi
from ._engine import Engine
from ._host import Buffer, Handle, fill_retry, fill_tracks, text, user
from ._library import callback, error_of, library
from .constants import CODEC_NONE, EAGAIN, PACKET_DISCONTINUITY, PACKET_KEY, RELAY_ENDED, TIME_NONE
from .types import (
    HlsFile,
    PlayerInfo,
    PublisherStats,
    RecorderFile,
    RelayState,
    Retry,
    TrackInfo,
    copied,
    maybe,
)

# What a frame's bytes may be: anything with the buffer protocol, or several in their order.
Data = Union[bytes, bytearray, memoryview]
Pieces = Union[Data, Sequence[Data]]


class _Writer(Handle):
    """What frames can be written to."""

    _write = ""
    _codecs = (CODEC_NONE, CODEC_NONE)
    # Whose sentence an error has: the engine's, or this thread's.
    _of_thread = False

    def write(
        self, codec: int, data: Pieces, pts_us: int, dts_us: Optional[int] = None, flags: int = 0
    ) -> bool:
        """Writes one frame. `dts_us` None: the library makes it of `pts_us`. `flags` are FRAME_….

        False where the frame was dropped since the queue is full. `bytes` and writable buffers are read where they
        are; other buffers are copied first.
        """
        frame = _abi.camrill_frame_t()
        frame.struct_size, frame.codec, frame.flags = c.sizeof(frame), codec, flags
        frame.pts_us, frame.dts_us = pts_us, TIME_NONE if dts_us is None else dts_us
        if isinstance(data, (list, tuple)):
            pieces = [Buffer(piece) for piece in data]
            frame.iov = (_abi.camrill_iov_t * len(pieces))(
                *(_abi.camrill_iov_t(piece.pointer, piece.size) for piece in pieces)
            )
            frame.iov_count = len(pieces)
        else:
            buffer = Buffer(data)
            frame.data, frame.size = buffer.pointer, buffer.size
        answer = int(getattr(library, self._write)(self._open_handle(), c.byref(frame)))
        if answer < 0 and answer != EAGAIN:
            raise error_of(None if self._of_thread else self._host.engine, answer)
        return answer >= 0

    def write_video(self, data: Pieces, pts_us: int, dts_us: Optional[int] = None, flags: int = 0) -> bool:
        """A frame of the video track: a whole access unit, unless `flags` say otherwise."""
        return self.write(self._codecs[0], data, pts_us, dts_us, flags)

    def write_audio(self, data: Pieces, pts_us: int, flags: int = 0) -> bool:
        """A frame of the audio track."""
        return self.write(self._codecs[1], data, pts_us, pts_us, flags)


@callback(_abi.camrill_publisher_config_t_need_keyframe)
def _need_keyframe(number: int) -> None:
    publisher = user(number)
    publisher._host.guarded(publisher.need_keyframe)


class Publisher(_Writer):
    """A stream of this process's own. Writes come from one thread at a time, any one; the rest is the loop's.

    need_keyframe() is called in the loop where the encoder should make one: frames were dropped, or a viewer waits.
    """

    _free = "camrill_publisher_free"
    _write = "camrill_publisher_write"
    _of_thread = True

    def __init__(
        self,
        engine: Engine,
        *,
        app: str,
        name: str,
        vhost: Optional[str] = None,
        video_codec: int = CODEC_NONE,
        audio_codec: int = CODEC_NONE,
        video_format: int = 0,
        video_config: Optional[bytes] = None,
        audio_config: Optional[bytes] = None,
        audio_rate: int = 0,
        audio_channels: int = 0,
        queue_bytes: int = 0,
        need_keyframe: Optional[Callable[[], None]] = None,
    ) -> None:
        super().__init__(engine._host)
        self.need_keyframe = need_keyframe
        self._codecs = (video_codec, audio_codec)
        config = _abi.camrill_publisher_config_t()
        config.vhost, config.app, config.name = text(vhost), text(app), text(name)
        config.queue_bytes = queue_bytes
        kept = fill_tracks(
            config.tracks, video_codec, audio_codec, video_format, audio_rate, audio_channels, video_config, audio_config
        )
        if need_keyframe is not None:
            config.need_keyframe = _need_keyframe
        self._open("camrill_publisher_new", config)
        del kept

    def stats(self) -> PublisherStats:
        """What it has done; on the thread that writes."""
        stats = _abi.camrill_publisher_stats_t()
        stats.struct_size = c.sizeof(stats)
        answer = int(library.camrill_publisher_stats(self._open_handle(), c.byref(stats)))
        if answer < 0:
            raise error_of(None, answer)
        return copied(PublisherStats, stats)


class Packet:
    """One frame of a stream. It keeps its bytes for as long as it lives, and is any thread's."""

    __slots__ = ("_raw", "codec", "dts_us", "flags", "pts_us", "size", "track")

    def __init__(self, raw: int) -> None:
        self._raw: Optional[int] = None
        info = _abi.camrill_packet_info_t()
        info.struct_size = c.sizeof(info)
        answer = int(library.camrill_packet_info(raw, c.byref(info)))
        if answer < 0:
            raise error_of(None, answer)
        # TRACK_VIDEO, TRACK_AUDIO or TRACK_DATA.
        self.track: int = info.track
        self.codec: int = info.codec
        self.flags: int = info.flags
        self.pts_us: int = info.pts_us
        self.dts_us: int = info.dts_us
        self.size: int = info.size
        library.camrill_packet_ref(raw)
        self._raw = raw

    @property
    def data(self) -> bytes:
        """A copy of its bytes."""
        info = _abi.camrill_packet_info_t()
        info.struct_size = c.sizeof(info)
        library.camrill_packet_info(self._raw, c.byref(info))
        return b"".join(c.string_at(info.iov[n].data, info.iov[n].size) for n in range(info.iov_count))

    @property
    def is_key(self) -> bool:
        """Decoding can begin here."""
        return bool(self.flags & PACKET_KEY)

    @property
    def is_discontinuous(self) -> bool:
        """What came before has no connection with this."""
        return bool(self.flags & PACKET_DISCONTINUITY)

    def __del__(self) -> None:
        if self._raw is not None:
            library.camrill_packet_free(self._raw)

    def __repr__(self) -> str:
        return f"<Packet track={self.track} codec={self.codec} pts_us={self.pts_us} size={self.size} flags={self.flags}>"


@callback(_abi.camrill_player_config_t_on_tracks)
def _on_tracks(number: int, video: Any, audio: Any) -> None:
    player = user(number)
    player.video, player.audio = maybe(TrackInfo, video), maybe(TrackInfo, audio)
    if player.on_tracks is not None:
        player._host.guarded(player.on_tracks, player.video, player.audio)


@callback(_abi.camrill_player_config_t_on_packet)
def _on_packet(number: int, raw: int) -> None:
    player = user(number)
    player._host.guarded(lambda: (player.on_packet or player._packets.append)(Packet(raw)))


@callback(_abi.camrill_player_config_t_on_state)
def _on_player_state(number: int, state: Any) -> None:
    player = user(number)
    player._enters(copied(RelayState, state.contents))


class Player(Handle):
    """Plays a stream of this engine's (`app`, `name`) or of a `url` (or a file's path) to packets.

    on_packet(Packet) gets each. Without it the player is an iterator of them, which polls the engine while it waits,
    and ends when the player is closed or, of a URL, has given up or is over. What nobody takes waits in memory.
    on_tracks(video, audio) is told the tracks before the first packet and when they change; `video` and `audio` have
    the last. on_state(RelayState) is told each state. `flags` are PLAYER_….
    """

    _free = "camrill_player_free"

    def __init__(
        self,
        engine: Engine,
        url: Optional[str] = None,
        *,
        app: Optional[str] = None,
        name: Optional[str] = None,
        vhost: Optional[str] = None,
        flags: int = 0,
        retry: Optional[Retry] = None,
        on_packet: Optional[Callable[[Packet], None]] = None,
        on_tracks: Optional[Callable[[Optional[TrackInfo], Optional[TrackInfo]], None]] = None,
        on_state: Optional[Callable[[RelayState], None]] = None,
    ) -> None:
        super().__init__(engine._host)
        self.on_packet, self.on_tracks, self.on_state = on_packet, on_tracks, on_state
        self.video: Optional[TrackInfo] = None
        self.audio: Optional[TrackInfo] = None
        self._engine = engine
        self._packets: deque[Packet] = deque()
        self._ended = False
        config = _abi.camrill_player_config_t()
        config.flags, config.url = flags, text(url)
        config.vhost, config.app, config.name = text(vhost), text(app), text(name)
        fill_retry(config.retry, retry)
        config.on_packet, config.on_tracks, config.on_state = _on_packet, _on_tracks, _on_player_state
        self._open("camrill_player_new", config)

    def _enters(self, state: RelayState) -> None:
        self._ended = self._ended or state.state == RELAY_ENDED
        if self.on_state is not None:
            self._host.guarded(self.on_state, state)

    def __iter__(self) -> Iterator[Packet]:
        while True:
            while self._packets:
                yield self._packets.popleft()
            if self._ended or self._raw is None or self._host.engine is None:
                return
            self._engine.poll(None)

    def pause(self, paused: bool = True) -> None:
        """Has it give no more packets, or go on."""
        self._call("camrill_player_pause", int(paused))

    def info(self) -> PlayerInfo:
        """What it has done."""
        info = _abi.camrill_player_info_t()
        info.struct_size = c.sizeof(info)
        self._call("camrill_player_info", c.byref(info))
        return copied(PlayerInfo, info)


@callback(_abi.camrill_hls_config_t_on_file)
def _on_hls_file(number: int, file: Any) -> None:
    hls = user(number)
    hls._host.guarded(hls.on_file, copied(HlsFile, file.contents))


@callback(_abi.camrill_hls_config_t_on_remove)
def _on_hls_remove(number: int, name: bytes) -> None:
    hls = user(number)
    hls._host.guarded(hls.on_remove, name.decode("utf-8", "replace"))


class Hls(_Writer):
    """HLS of a stream (`app`, `name`), or without them of the frames that are written to it.

    It is kept in memory for `get()`, or in the folder `path`. on_file(HlsFile) gets each file when it is whole.
    """

    _free = "camrill_hls_free"
    _write = "camrill_hls_write"

    def __init__(
        self,
        engine: Engine,
        *,
        app: Optional[str] = None,
        name: Optional[str] = None,
        vhost: Optional[str] = None,
        video_codec: int = CODEC_NONE,
        audio_codec: int = CODEC_NONE,
        video_format: int = 0,
        video_config: Optional[bytes] = None,
        audio_config: Optional[bytes] = None,
        audio_rate: int = 0,
        audio_channels: int = 0,
        format: int = 0,
        fragment_ms: int = 0,
        window_ms: int = 0,
        part_ms: int = 0,
        max_bytes: int = 0,
        flags: int = 0,
        path: Optional[str] = None,
        playlist: Optional[str] = None,
        segment: Optional[str] = None,
        header: Optional[str] = None,
        on_file: Optional[Callable[[HlsFile], None]] = None,
        on_remove: Optional[Callable[[str], None]] = None,
    ) -> None:
        super().__init__(engine._host)
        self.on_file, self.on_remove = on_file, on_remove
        self._codecs = (video_codec, audio_codec)
        config = _abi.camrill_hls_config_t()
        config.vhost, config.app, config.name = text(vhost), text(app), text(name)
        config.format, config.fragment_ms, config.window_ms, config.part_ms = format, fragment_ms, window_ms, part_ms
        config.max_bytes, config.flags, config.path = max_bytes, flags, text(path)
        config.playlist, config.segment, config.header = text(playlist), text(segment), text(header)
        kept = fill_tracks(
            config.tracks, video_codec, audio_codec, video_format, audio_rate, audio_channels, video_config, audio_config
        )
        if on_file is not None:
            config.on_file = _on_hls_file
        if on_remove is not None:
            config.on_remove = _on_hls_remove
        self._open("camrill_hls_new", config)
        del kept

    def get(self, name: Optional[str] = None, query: Optional[str] = None) -> bytes:
        """A file that is kept in memory; None is the playlist. Raises with EAGAIN if it is to come."""
        size = self._call("camrill_hls_get", text(name), text(query), None, 0)
        buffer = (c.c_char * size)()
        self._call("camrill_hls_get", text(name), text(query), buffer, size)
        return bytes(buffer)


@callback(_abi.camrill_recorder_config_t_on_file)
def _on_recorder_file(number: int, file: Any) -> None:
    recorder = user(number)
    recorder._host.guarded(recorder.on_file, copied(RecorderFile, file.contents))


class Recorder(_Writer):
    """Records a stream (`app`, `name`), or without them the frames that are written to it, to files like `path`.

    on_file(RecorderFile) is told what becomes of each.
    """

    _free = "camrill_recorder_free"
    _write = "camrill_recorder_write"

    def __init__(
        self,
        engine: Engine,
        path: str,
        *,
        app: Optional[str] = None,
        name: Optional[str] = None,
        vhost: Optional[str] = None,
        video_codec: int = CODEC_NONE,
        audio_codec: int = CODEC_NONE,
        video_format: int = 0,
        video_config: Optional[bytes] = None,
        audio_config: Optional[bytes] = None,
        audio_rate: int = 0,
        audio_channels: int = 0,
        plan: int = 0,
        duration_ms: int = 0,
        fragment_ms: int = 0,
        preroll_ms: int = 0,
        preroll_bytes: int = 0,
        keep_ms: int = 0,
        max_age_s: int = 0,
        max_bytes: int = 0,
        flags: int = 0,
        on_file: Optional[Callable[[RecorderFile], None]] = None,
    ) -> None:
        super().__init__(engine._host)
        self.on_file = on_file
        self._codecs = (video_codec, audio_codec)
        config = _abi.camrill_recorder_config_t()
        config.vhost, config.app, config.name, config.path = text(vhost), text(app), text(name), text(path)
        config.plan, config.duration_ms, config.fragment_ms = plan, duration_ms, fragment_ms
        config.preroll_ms, config.preroll_bytes, config.keep_ms = preroll_ms, preroll_bytes, keep_ms
        config.max_age_s, config.max_bytes, config.flags = max_age_s, max_bytes, flags
        kept = fill_tracks(
            config.tracks, video_codec, audio_codec, video_format, audio_rate, audio_channels, video_config, audio_config
        )
        if on_file is not None:
            config.on_file = _on_recorder_file
        self._open("camrill_recorder_new", config)
        del kept

    def start(self) -> None:
        """Begins to write, with what came before as `preroll_ms` says."""
        self._call("camrill_recorder_start")

    def stop(self) -> None:
        """Ends the file, and writes no more until `start()`."""
        self._call("camrill_recorder_stop")

    def cut(self, flags: int = 0) -> None:
        """Ends the file and begins another, at the next keyframe or with CUT_AT_ONCE now."""
        self._call("camrill_recorder_cut", flags)
