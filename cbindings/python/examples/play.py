"""Plays a URL or a file to frames: counts them, and writes the video to a file that ffplay takes.

    python3 play.py rtmp://127.0.0.1/live/camera [OUT.h264]
"""

import sys

import camrill


def main() -> None:
    out = open(sys.argv[2], "wb") if len(sys.argv) > 2 else None
    with camrill.Engine() as engine:
        player = camrill.Player(
            engine, sys.argv[1], retry=camrill.Retry(tries=3), on_state=lambda state: print(state.state, state.reason)
        )
        frames = {camrill.TRACK_VIDEO: 0, camrill.TRACK_AUDIO: 0}
        for packet in player:
            frames[packet.track] += 1
            if out and packet.track == camrill.TRACK_VIDEO:
                out.write(packet.data)
        print(f"{frames[camrill.TRACK_VIDEO]} pictures, {frames[camrill.TRACK_AUDIO]} sounds")
    if out:
        out.close()


if __name__ == "__main__":
    main()
