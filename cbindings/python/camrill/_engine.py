"""The engine: one server, one loop."""

from __future__ import annotations

import asyncio
import ctypes as c
import select
from typing import Any, Callable, Optional

from . import _abi
from ._host import Host, enter, freed, leave, text, user
from ._library import callback, error_of, library
from .constants import DENY, EAGAIN
from .types import Admission, ClientInfo, Event, RelayInfo, Stats, StreamInfo, copied

_FOREVER = 2**31 - 1


@callback(_abi.camrill_engine_config_t_on_log)
def _on_log(number: int, level: int, client: int, line: bytes) -> None:
    engine = user(number)
    engine._host.guarded(engine.on_log, level, client, line.decode("utf-8", "replace"))


@callback(_abi.camrill_engine_config_t_on_event)
def _on_event(number: int, event: Any) -> None:
    engine = user(number)
    engine._host.guarded(engine.on_event, copied(Event, event.contents))


@callback(_abi.camrill_engine_config_t_on_admission)
def _on_admission(number: int, request: Any) -> int:
    engine = user(number)
    verdict = engine._host.guarded(engine.on_admission, copied(Admission, request.contents))
    return verdict if isinstance(verdict, int) else DENY


@callback(_abi.CALLED)
def _called(number: int) -> None:
    host, function = user(number)
    leave(number)
    host.calls.discard(number)
    host.guarded(function)


class _Host(Host):
    def __init__(self) -> None:
        super().__init__()
        self.calls: set[int] = set()


class Engine:
    """An engine. Serves nothing until it is configured and `config_apply()` is called.

    on_log(level, client, line) gets log lines up to `log_level` (LOG_…), on_event(Event) what happens.
    on_admission(Admission) is asked before a client connects, publishes or plays, and answers ALLOW, DENY or PENDING
    (then `auth_reply()` is the answer); one that raises refuses.
    """

    def __init__(
        self,
        *,
        log_level: int = 0,
        on_log: Optional[Callable[[int, int, str], None]] = None,
        on_event: Optional[Callable[[Event], None]] = None,
        on_admission: Optional[Callable[[Admission], int]] = None,
    ) -> None:
        self.on_log, self.on_event, self.on_admission = on_log, on_event, on_admission
        self._host = _Host()
        self._stopped = False
        config = _abi.camrill_engine_config_t()
        config.struct_size, config.log_level = c.sizeof(config), log_level
        config.user_free = freed
        if on_log is not None:
            config.on_log = _on_log
        if on_event is not None:
            config.on_event = _on_event
        if on_admission is not None:
            config.on_admission = _on_admission
        config.user = enter(self)
        raw = c.c_void_p()
        answer = library.camrill_engine_new(c.byref(config), c.byref(raw))
        if answer < 0:
            leave(config.user)
            raise error_of(None, answer)
        self._host.engine = raw.value

    def close(self) -> None:
        """Frees the engine, and all that was made of it. Legal inside a callback, and more than once."""
        host = self._host
        engine, host.engine = host.engine, None
        if engine is None:
            return
        # They end with it, and first: an HLS's last files are told by a poll that doesn't come any more anyway.
        library.camrill_engine_free(engine)
        for handle in list(host.handles):
            handle.close()
        for number in list(host.calls):
            leave(number)
        host.calls.clear()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the loop ----

    @property
    def fd(self) -> int:
        """The descriptor for a loop of one's own: when it is readable, or after `timeout`, call `poll(0)`."""
        return self._host.ask("camrill_engine_fd")

    @property
    def timeout(self) -> Optional[float]:
        """How long such a loop may wait, in seconds; None where nothing but the descriptor matters."""
        milliseconds = self._host.ask("camrill_engine_timeout_ms")
        return None if milliseconds == _FOREVER else milliseconds / 1000

    def poll(self, timeout: Optional[float] = 0) -> int:
        """One turn of the loop, which waits up to `timeout` seconds (None: without end) for something to do.

        Answers how many events there were. Signals are handled meanwhile: Ctrl-C raises here.
        """
        host = self._host
        if timeout is None or timeout > 0:
            longest = self.timeout
            if longest is not None and (timeout is None or longest < timeout):
                timeout = longest
            waiter = select.poll()
            waiter.register(self.fd, select.POLLIN)
            waiter.poll(None if timeout is None else timeout * 1000)
        outer, host.polling = host.polling, True
        try:
            answer = host.ask("camrill_engine_poll", 0)
        finally:
            host.polling = outer
        host.reraise()
        return answer

    def run(self) -> None:
        """Runs the loop on this thread until `stop()` or `close()`, or until a callback raises."""
        while not self._stopped and self._host.engine is not None:
            self.poll(None)
        self._stopped = False

    async def run_async(self) -> None:
        """Runs in asyncio's loop, beside whatever else does, until `stop()` or `close()`, or a callback raises.

        The engine's thread is the loop's. Costs nothing while nothing happens.
        """
        host, loop = self._host, asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        timer: Optional[asyncio.TimerHandle] = None

        def turn() -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
                timer = None
            if done.done():
                return
            try:
                if not self._stopped and host.engine is not None:
                    self.poll(0)
                if self._stopped or host.engine is None:
                    done.set_result(None)
                    return
                wait = self.timeout
            except Exception as error:
                done.set_exception(error)
                return
            if wait is not None:
                timer = loop.call_later(wait, turn)

        fd = self.fd
        host.attached = True
        loop.add_reader(fd, turn)
        try:
            turn()
            await done
        finally:
            host.attached = False
            loop.remove_reader(fd)
            if timer is not None:
                timer.cancel()
            self._stopped = False

    def stop(self) -> None:
        """Makes `run()` or `run_async()` return soon. [any thread]"""
        self._stopped = True
        self.wake()

    def wake(self) -> None:
        """Ends the wait of the poll or run that is going on, or of the next one. [any thread]"""
        engine = self._host.engine
        if engine is not None:
            library.camrill_engine_wake(engine)

    def call(self, function: Callable[[], Any]) -> bool:
        """Has the loop's thread run `function()`. False where too many wait already. [any thread]"""
        host = self._host
        if host.engine is None:
            return False
        number = enter((host, function))
        host.calls.add(number)
        answer = int(library.camrill_engine_call(host.engine, _called, number))
        if answer < 0:
            host.calls.discard(number)
            leave(number)
            if answer != EAGAIN:
                raise error_of(host.engine, answer)
        return answer >= 0

    # ---- the configuration ----

    def config_load_file(self, path: str) -> None:
        """Loads a file in SRS's syntax. It holds from `config_apply()` on, as the others do."""
        self._host.call("camrill_config_load_file", text(path))

    def config_load_text(self, content: str, name: str = "text") -> None:
        """The same from a string; `name` stands for the file in messages."""
        self._host.call("camrill_config_load_text", text(name), text(content))

    def config_load_env(self) -> None:
        """Takes this process's environment variables that begin with SRS_."""
        self._host.call("camrill_config_load_env")

    def config_set(self, path: str, value: str) -> None:
        """Sets one directive: `config_set("vhost/cam.example.com/play/gop_cache", "off")`."""
        self._host.call("camrill_config_set", text(path), text(value))

    def config_get(self, path: str) -> str:
        """The value that a directive has."""
        return self._text("camrill_config_get", text(path))

    def config_print(self) -> str:
        """The whole configuration as it stands."""
        return self._text("camrill_config_print")

    def config_check(self) -> None:
        """Looks whether the configuration could be applied."""
        self._host.call("camrill_config_check")

    def config_apply(self) -> None:
        """Takes the configuration: the first time this starts serving, later it is a reload."""
        self._host.call("camrill_config_apply")

    def config_revert(self) -> None:
        """Forgets what was loaded or set since the last `config_apply()`."""
        self._host.call("camrill_config_revert")

    def port(self, protocol: str) -> int:
        """The port that "rtmp", "http", "api", "rtmps", … is served at."""
        return self._host.ask("camrill_engine_port", text(protocol))

    # ---- clients and streams ----

    def auth_reply(self, ticket: int, verdict: int, why: Optional[str] = None) -> None:
        """Answers what on_admission left PENDING, with ALLOW or DENY."""
        self._host.call("camrill_auth_reply", ticket, verdict, text(why))

    def client_kick(self, client: int) -> None:
        """Closes a client's connection."""
        self._host.call("camrill_client_kick", client)

    def stats(self) -> Stats:
        """What the engine has done and holds."""
        return copied(Stats, self._read(_abi.camrill_stats_t(), "camrill_stats"))

    def streams(self) -> list[StreamInfo]:
        """All streams."""
        ids = self._ids("camrill_streams")
        read = (self._read(_abi.camrill_stream_info_t(), "camrill_stream_info", each) for each in ids)
        return [copied(StreamInfo, info) for info in read]

    def clients(self) -> list[ClientInfo]:
        """All clients that have connected."""
        ids = self._ids("camrill_clients")
        read = (self._read(_abi.camrill_client_info_t(), "camrill_client_info", each) for each in ids)
        return [copied(ClientInfo, info) for info in read]

    def relays(self) -> list[RelayInfo]:
        """All ingests and forwards, the configuration's too."""
        ids = self._ids("camrill_relays")
        read = (self._read(_abi.camrill_relay_info_t(), "camrill_relay_info", each) for each in ids)
        return [copied(RelayInfo, info) for info in read]

    def _text(self, name: str, *arguments: Any) -> str:
        size = self._host.ask(name, *arguments, None, 0) + 1
        buffer = c.create_string_buffer(size)
        self._host.ask(name, *arguments, buffer, size)
        return buffer.value.decode("utf-8", "replace")

    def _read(self, struct: c.Structure, name: str, *arguments: Any) -> c.Structure:
        struct.struct_size = c.sizeof(struct)
        self._host.ask(name, *arguments, c.byref(struct))
        return struct

    def _ids(self, name: str) -> list[int]:
        count = self._host.ask(name, None, 0)
        ids = (c.c_uint32 * count)()
        return list(ids[: min(count, self._host.ask(name, ids, count))])
