"""A live-streaming engine: publish from an encoder, play to frames, serve.

    import camrill

    with camrill.Engine(on_event=print) as engine:
        engine.config_set("listen", "1935")
        engine.config_apply()
        engine.run()

It is the C library over ctypes, and works as that does: an engine is one thread's, callbacks run only inside
`Engine.poll()`, `run()` and `run_async()` (log lines inside any call), and may call everything but these. What a
callback raises comes out of them. What is for any thread says so. Times are in microseconds, as integers.

The library is looked for, in this order: at the path in the environment's CAMRILL_LIBRARY; beside this package; where
the system's loader looks (LD_LIBRARY_PATH, ld.so.conf); where pkg-config says; in `target/release` of the checkout that
this package lies in.
"""

from . import constants
from .constants import *  # noqa: F403
from ._engine import Engine
from ._library import Error, version
from ._media import Hls, Packet, Player, Publisher, Recorder
from ._relays import Forward, Ingest
from .types import (
    Admission,
    ClientInfo,
    Event,
    HlsFile,
    PlayerInfo,
    PublisherStats,
    RecorderFile,
    RelayInfo,
    RelayState,
    Retry,
    Stats,
    StreamInfo,
    TrackInfo,
)

__all__ = [
    "Admission",
    "ClientInfo",
    "Engine",
    "Error",
    "Event",
    "Forward",
    "Hls",
    "HlsFile",
    "Ingest",
    "Packet",
    "Player",
    "PlayerInfo",
    "Publisher",
    "PublisherStats",
    "Recorder",
    "RecorderFile",
    "RelayInfo",
    "RelayState",
    "Retry",
    "Stats",
    "StreamInfo",
    "TrackInfo",
    "version",
]
__all__ += [name for name in dir(constants) if name.isupper()]
