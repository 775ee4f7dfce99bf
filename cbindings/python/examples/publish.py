"""Publishes an FLV file as an encoder would its frames, in real time or as fast as it goes.

    python3 publish.py FILE.flv [PORT] [fast]        then: ffplay rtmp://127.0.0.1:PORT/live/camera
"""

import sys
import time

import camrill
from flv import Flv


def main() -> None:
    clip = Flv(sys.argv[1])
    port = sys.argv[2] if len(sys.argv) > 2 else "1935"
    with camrill.Engine(on_log=lambda level, client, line: print(line)) as engine:
        engine.config_set("listen", port)
        engine.config_apply()
        publisher = camrill.Publisher(
            engine,
            app="live",
            name="camera",
            video_codec=camrill.CODEC_H264 if clip.video_config else camrill.CODEC_NONE,
            video_format=camrill.FORMAT_LENGTH_PREFIXED,
            video_config=clip.video_config,
            audio_codec=camrill.CODEC_AAC if clip.audio_config else camrill.CODEC_NONE,
            audio_config=clip.audio_config,
        )
        begin = time.monotonic()
        for frame in clip.frames:
            due = begin + frame.dts_us / 1e6 if "fast" not in sys.argv else 0.0
            while (wait := due - time.monotonic()) > 0:
                engine.poll(wait)
            if frame.is_video:
                publisher.write_video(frame.data, frame.pts_us, frame.dts_us)
            else:
                publisher.write_audio(frame.data, frame.pts_us)
            engine.poll(0)
        print(publisher.stats())


if __name__ == "__main__":
    main()
