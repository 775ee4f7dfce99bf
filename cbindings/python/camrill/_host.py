"""What an engine and all that is made of it share: who is called back, and what they have raised."""

from __future__ import annotations

import ctypes as c
import itertools
import threading
from typing import Any, Callable, Optional

from . import _abi
from ._library import Error, callback, error_of, library
from .constants import ESTATE
from .types import Retry


class Host:
    """The C engine, while there is one. Outlives it."""

    def __init__(self) -> None:
        self.engine: Optional[int] = None
        self.raised: Optional[BaseException] = None
        self.polling = False
        self.attached = False
        # What was made of the engine and not closed yet: it lives as long as the engine does.
        self.handles: set[Handle] = set()

    def call(self, name: str, *arguments: Any) -> int:
        """Calls a function of the engine, which must answer no error."""
        answer = self.ask(name, *arguments)
        self.wake()
        return answer

    def ask(self, name: str, *arguments: Any) -> int:
        """The same of one that changes nothing."""
        engine = self.engine
        if engine is None:
            raise Error(ESTATE, "the engine is closed")
        answer = int(getattr(library, name)(engine, *arguments))
        if answer < 0:
            raise error_of(engine, answer)
        return answer

    def wake(self) -> None:
        """Has a loop that waits for the descriptor ask anew how long to: what was just called may have changed it."""
        if self.attached and not self.polling and self.engine is not None:
            library.camrill_engine_wake(self.engine)

    def guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls back. Nothing that is raised leaves it: C could do nothing with it. The first is kept."""
        try:
            return function(*arguments)
        except BaseException as error:  # KeyboardInterrupt too
            if self.raised is None:
                self.raised = error
            if self.engine is not None:
                library.camrill_engine_wake(self.engine)
            return None

    def reraise(self) -> None:
        """Raises what a callback has raised."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised


# What C is given as `user` is a number of this table, until user_free takes it out.
_users: dict[int, Any] = {}
_numbers = itertools.count(1)
_lock = threading.Lock()


def enter(user: Any) -> int:
    """A number for C that stands for an object, and keeps it."""
    with _lock:
        number = next(_numbers)
        _users[number] = user
    return number


def leave(number: int) -> None:
    """C knows the number no more."""
    with _lock:
        _users.pop(number, None)


def user(number: int) -> Any:
    """The object."""
    return _users[number]


@callback(_abi.CALLED)
def freed(number: int) -> None:
    """user_free of everything."""
    leave(number)


class Handle:
    """Something that is made of an engine, and ends with `close()`, with its `with` block or with the engine."""

    _free = ""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._raw: Optional[int] = None

    def _open(self, create: str, config: c.Structure) -> None:
        host = self._host
        number = enter(self)
        config.struct_size, config.user = c.sizeof(config), number
        config.user_free = freed
        raw = c.c_void_p()
        try:
            host.call(create, c.byref(config), c.byref(raw))
        except BaseException:
            leave(number)
            raise
        self._raw = raw.value
        host.handles.add(self)

    def _open_handle(self) -> int:
        if self._raw is None:
            raise Error(ESTATE, f"the {type(self).__name__.lower()} is closed")
        return self._raw

    def _call(self, name: str, *arguments: Any) -> int:
        answer = int(getattr(library, name)(self._open_handle(), *arguments))
        if answer < 0:
            raise error_of(self._host.engine, answer)
        self._host.wake()
        return answer

    def close(self) -> None:
        """Ends it. Legal inside a callback, and more than once."""
        raw, self._raw = self._raw, None
        self._host.handles.discard(self)
        if raw is not None:
            getattr(library, self._free)(raw)
            self._host.wake()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def text(value: Optional[str]) -> Optional[bytes]:
    """A string for C; None is NULL."""
    return None if value is None else value.encode()


class Buffer:
    """The bytes of an object, for C to read while this lives. Nothing is copied of what is `bytes` or writable."""

    def __init__(self, data: Any) -> None:
        if isinstance(data, bytes):
            self.size = len(data)
            self._kept: Any = c.c_char_p(data)
        else:
            view = memoryview(data).cast("B")
            self.size = len(view)
            self._kept = c.c_char_p(bytes(view)) if view.readonly else (c.c_char * self.size).from_buffer(view)
        self.pointer = c.cast(self._kept, c.c_void_p)


def fill_tracks(
    tracks: c.Structure,
    video_codec: int,
    audio_codec: int,
    video_format: int,
    audio_rate: int,
    audio_channels: int,
    video_config: Optional[bytes],
    audio_config: Optional[bytes],
) -> list[Buffer]:
    """Fills camrill_tracks_t; what is answered has to live until the library has copied it."""
    tracks.video_codec, tracks.audio_codec, tracks.video_format = video_codec, audio_codec, video_format
    tracks.audio_rate, tracks.audio_channels = audio_rate, audio_channels
    kept = []
    for name, config in (("video_config", video_config), ("audio_config", audio_config)):
        if config is not None:
            buffer = Buffer(config)
            setattr(tracks, name, buffer.pointer)
            setattr(tracks, name + "_size", buffer.size)
            kept.append(buffer)
    return kept


def fill_retry(retry: c.Structure, values: Optional[Retry]) -> None:
    """Fills camrill_retry_t."""
    if values is not None:
        for name, value in vars(values).items():
            setattr(retry, name, value)
