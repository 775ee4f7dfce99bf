"""Streams from other servers, and to them."""

from __future__ import annotations

import ctypes as c
from typing import Any, Callable, Optional, Sequence, Union

from . import _abi
from ._engine import Engine
from ._host import Handle, fill_retry, text, user
from ._library import callback
from .types import RelayInfo, RelayState, Retry, copied

OnState = Callable[[RelayState], None]


class _Relay(Handle):
    _info = ""

    def __init__(self, engine: Engine, on_state: Optional[OnState]) -> None:
        super().__init__(engine._host)
        self.on_state = on_state

    def info(self) -> RelayInfo:
        """What there is to say of it."""
        info = _abi.camrill_relay_info_t()
        info.struct_size = c.sizeof(info)
        self._call(self._info, c.byref(info))
        return copied(RelayInfo, info)

    def _state(self, state: Any) -> None:
        self._host.guarded(self.on_state or (lambda _: None), copied(RelayState, state.contents))


@callback(_abi.camrill_ingest_config_t_on_state)
def _on_state(number: int, state: Any) -> None:
    user(number)._state(state)


class Ingest(_Relay):
    """Pulls a stream in and publishes it here: of a URL, or of files, or of the first of several that works.

    on_state(RelayState) is told each state; without it on_event of the engine is.
    """

    _free = "camrill_ingest_free"
    _info = "camrill_ingest_info"

    def __init__(
        self,
        engine: Engine,
        inputs: Union[str, Sequence[str]],
        *,
        app: str,
        name: str,
        vhost: Optional[str] = None,
        flags: int = 0,
        linger_ms: int = 0,
        retry: Optional[Retry] = None,
        on_state: Optional[OnState] = None,
    ) -> None:
        super().__init__(engine, on_state)
        given = [inputs] if isinstance(inputs, str) else list(inputs)
        config = _abi.camrill_ingest_config_t()
        config.vhost, config.app, config.name = text(vhost), text(app), text(name)
        config.inputs = (c.c_char_p * len(given))(*map(text, given))
        config.input_count, config.flags, config.linger_ms = len(given), flags, linger_ms
        fill_retry(config.retry, retry)
        if on_state is not None:
            config.on_state = _on_state
        self._open("camrill_ingest_new", config)


class Forward(_Relay):
    """Sends a stream on to another server (`rtmp://…`) whenever it is published. on_state is as of an Ingest."""

    _free = "camrill_forward_free"
    _info = "camrill_forward_info"

    def __init__(
        self,
        engine: Engine,
        url: str,
        *,
        app: str,
        name: str,
        vhost: Optional[str] = None,
        retry: Optional[Retry] = None,
        on_state: Optional[OnState] = None,
    ) -> None:
        super().__init__(engine, on_state)
        config = _abi.camrill_forward_config_t()
        config.vhost, config.app, config.name, config.url = text(vhost), text(app), text(name), text(url)
        fill_retry(config.retry, retry)
        if on_state is not None:
            config.on_state = _on_state
        self._open("camrill_forward_new", config)
