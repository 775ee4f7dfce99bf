"""An FLV file of H.264 and AAC, as an encoder would give it: configurations, then frames with their times."""

from __future__ import annotations

import struct
from typing import Iterator, NamedTuple


class Frame(NamedTuple):
    """A frame: NAL units behind their lengths, or raw AAC."""

    is_video: bool
    pts_us: int
    dts_us: int
    data: bytes


class Flv:
    """`video_config` is an avcC record and `audio_config` an AudioSpecificConfig; None for a track that isn't there."""

    def __init__(self, path: str) -> None:
        self.video_config: bytes | None = None
        self.audio_config: bytes | None = None
        self.frames = list(self._read(path))

    def _read(self, path: str) -> Iterator[Frame]:
        with open(path, "rb") as file:
            if file.read(13)[:3] != b"FLV":
                raise ValueError(f"{path} is no FLV file")
            while len(head := file.read(11)) == 11:
                size, low, high = int.from_bytes(head[1:4], "big"), head[4:7], head[7]
                time = high << 24 | int.from_bytes(low, "big")
                body = file.read(size)
                file.seek(4, 1)
                if head[0] == 9 and body[0] & 15 == 7:
                    if body[1] == 0:
                        self.video_config = body[5:]
                    elif body[1] == 1:
                        (offset,) = struct.unpack(">i", body[2:5] + b"\0")
                        yield Frame(True, (time + (offset >> 8)) * 1000, time * 1000, body[5:])
                elif head[0] == 8 and body[0] >> 4 == 10:
                    if body[1] == 0:
                        self.audio_config = body[2:]
                    else:
                        yield Frame(False, time * 1000, time * 1000, body[2:])
