"""The package against the library: what goes in comes out, errors have sentences, nothing crashes or leaks."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Optional

PACKAGE = Path(__file__).resolve().parent.parent
REPOSITORY = PACKAGE.parent.parent
CLIP = str(REPOSITORY / "assets" / "clip.flv")
sys.path.insert(0, str(PACKAGE / "examples"))

import camrill  # noqa: E402
from camrill import _abi  # noqa: E402
from flv import Flv  # noqa: E402


def serving(**callbacks: Any) -> camrill.Engine:
    engine = camrill.Engine(**callbacks)
    engine.config_set("listen", "127.0.0.1:0")
    engine.config_apply()
    return engine


def until(engine: camrill.Engine, done: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not done():
        if time.monotonic() > end:
            raise AssertionError("it did not come")
        engine.poll(0.01)


def publisher_of(engine: camrill.Engine, clip: Flv, **more: Any) -> camrill.Publisher:
    return camrill.Publisher(
        engine,
        app="live",
        name="camera",
        video_codec=camrill.CODEC_H264,
        video_format=camrill.FORMAT_LENGTH_PREFIXED,
        video_config=clip.video_config,
        audio_codec=camrill.CODEC_AAC,
        audio_config=clip.audio_config,
        **more,
    )


def write(
    engine: camrill.Engine, publisher: camrill.Publisher, clip: Flv, kind: Callable[[bytes], Any] = bytes
) -> None:
    for frame in clip.frames:
        engine.poll(0)  # the queue holds few frames, and an encoder's come slowly
        if frame.is_video:
            assert publisher.write_video(kind(frame.data), frame.pts_us, frame.dts_us)
        else:
            assert publisher.write_audio(kind(frame.data), frame.pts_us)
    engine.poll(0)


class Layout(unittest.TestCase):
    def test_structs_are_as_the_c_compiler_has_them(self) -> None:
        lines = ['#include <camrill.h>', '#include <stdio.h>', 'int main(void) {']
        expected = []
        for name, struct in _abi.STRUCTS.items():
            lines.append(f'printf("%zu\\n", sizeof({name}));')
            expected.append((name, ctypes.sizeof(struct)))
            for field in struct._fields_:
                lines.append(f'printf("%zu %zu\\n", offsetof({name}, {field[0]}), sizeof((({name} *)0)->{field[0]}));')
                place = getattr(struct, field[0])
                expected.append((f"{name}.{field[0]}", (place.offset, place.size)))
        lines.append("}")
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder) / "layout.c", Path(folder) / "layout"
            source.write_text("\n".join(lines))
            subprocess.run(["cc", f"-I{REPOSITORY}/include", "-o", program, source], check=True)
            said = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
        self.assertEqual(len(said), len(expected))
        for line, (name, here) in zip(said, expected):
            numbers = tuple(map(int, line.split()))
            self.assertEqual(numbers if len(numbers) > 1 else numbers[0], here, name)


class Finding(unittest.TestCase):
    def imported(self, library: str) -> str:
        environment = {**os.environ, "CAMRILL_LIBRARY": library, "PYTHONPATH": str(PACKAGE)}
        command = [sys.executable, "-c", "import camrill; print(camrill.version())"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    def test_it_says_what_it_does_not_find(self) -> None:
        self.assertIn("CAMRILL_LIBRARY", self.imported("/no/such/libcamrill.so"))
        self.assertIn("is not camrill", self.imported("libc.so.6"))

    def test_another_version_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "libcamrill.so"
            source = "unsigned camrill_version(void) { return 0x000900; }"
            build = ["cc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-"]
            subprocess.run(build, input=source, text=True, check=True)
            said = self.imported(str(library))
            self.assertIn("is camrill 0.9.0, and this package is for", said)
            source = f"unsigned camrill_version(void) {{ return {camrill.VERSION}; }}"
            subprocess.run(build, input=source, text=True, check=True)
            self.assertIn("has no camrill_", self.imported(str(library)))


class Errors(unittest.TestCase):
    def test_they_have_the_library_s_sentence(self) -> None:
        with camrill.Engine() as engine:
            with self.assertRaises(camrill.Error) as caught:
                engine.config_set("vhost/a/play/queue_length", "many")
            self.assertEqual(caught.exception.code, camrill.ECONFIG)
            self.assertIn("queue_length", str(caught.exception))
            with self.assertRaisesRegex(camrill.Error, "log_level"):
                camrill.Engine(log_level=99)
            with self.assertRaises(camrill.Error) as caught:
                camrill.Forward(engine, "ftp://nowhere", app="live", name="camera")
            self.assertEqual(caught.exception.code, camrill.EINVAL)
            clip = Flv(CLIP)
            publisher = publisher_of(engine, clip)
            with self.assertRaises(camrill.Error) as caught:
                publisher_of(engine, clip)
            self.assertEqual(caught.exception.code, camrill.EBUSY)
            with self.assertRaises(camrill.Error) as caught:
                publisher.write_video(b"\1\2\3", 0)
            self.assertEqual(caught.exception.code, camrill.EFRAME)
            self.assertNotEqual(str(caught.exception), "")
        with self.assertRaises(camrill.Error) as caught:
            publisher.write_video(clip.frames[0].data, 0)
        self.assertEqual(caught.exception.code, camrill.ESTATE)
        with self.assertRaises(camrill.Error):
            engine.poll(0)
        publisher.close()
        engine.close()

    def test_what_a_callback_raises_comes_out_of_the_loop(self) -> None:
        def told(event: camrill.Event) -> None:
            raise KeyError(event.name)

        with serving(on_event=told) as engine:
            publisher = publisher_of(engine, Flv(CLIP))
            with self.assertRaisesRegex(KeyError, "camera"):
                engine.run()
            engine.call(lambda: 1 / 0)
            engine.call(engine.stop)
            with self.assertRaises(ZeroDivisionError):
                engine.run()
            engine.run()  # the stop that came meanwhile
            publisher.close()
            with self.assertRaisesRegex(KeyError, "camera"):
                asyncio.run(engine.run_async())

    def test_a_client_whose_admission_raises_is_refused(self) -> None:
        def asked(request: camrill.Admission) -> int:
            raise ValueError(request.action)

        reasons: list[str] = []
        with serving(on_admission=asked) as there, camrill.Engine() as here:
            url = f"rtmp://127.0.0.1:{there.port('rtmp')}/live/camera"
            camrill.Player(here, url, retry=camrill.Retry(tries=1), on_state=lambda s: reasons.append(s.reason))
            with self.assertRaises(ValueError):
                until(here, lambda: there.poll(0) and False)
            until(here, lambda: there.poll(0) and False or any(reasons))
        self.assertTrue(reasons[-1])


class RoundTrip(unittest.TestCase):
    """The clip goes in as frames, and comes out as itself."""

    def setUp(self) -> None:
        self.clip = Flv(CLIP)
        self.assertEqual(len([frame for frame in self.clip.frames if frame.is_video]), 250)

    def test_rtmpdump_reads_what_is_published(self) -> None:
        plays = threading.Event()
        kinds: list[int] = []

        def told(event: camrill.Event) -> None:
            kinds.append(event.type)
            if event.type == camrill.EVENT_PLAY:
                plays.set()

        with serving(on_event=told) as engine, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out.flv"
            url = f"rtmp://127.0.0.1:{engine.port('rtmp')}/live/camera"
            with path.open("wb") as out_file:
                dump = subprocess.Popen(["stdbuf", "-o0", "rtmpdump", "-q", "-v", "-r", url, "-o", "-"], stdout=out_file)
            try:
                until(engine, plays.is_set)
                self.assertEqual([client.name for client in engine.clients()], ["camera"])
                publisher = publisher_of(engine, self.clip)
                write(engine, publisher, self.clip)
                self.assertEqual(publisher.stats().written, len(self.clip.frames))

                def came() -> Optional[Flv]:
                    there = path.exists() and path.stat().st_size > 13
                    out = Flv(str(path)) if there else None
                    return out if out and len(out.frames) >= len(self.clip.frames) else None

                until(engine, came)
                out = Flv(str(path))
                self.assertEqual(out.frames, self.clip.frames)
                self.assertEqual((out.video_config, out.audio_config), (self.clip.video_config, self.clip.audio_config))
                stream = engine.streams()[0]
                self.assertEqual((stream.name, stream.width, stream.height), ("camera", 640, 360))
                self.assertEqual(engine.stats().players, 1)
            finally:
                dump.kill()
                dump.wait()
            until(engine, lambda: camrill.EVENT_CLOSED in kinds)

    def expect(self, packets: list[camrill.Packet]) -> None:
        tracks = {True: camrill.TRACK_VIDEO, False: camrill.TRACK_AUDIO}
        sent = [(tracks[frame.is_video], frame.pts_us, frame.dts_us, frame.data) for frame in self.clip.frames]
        came = [(packet.track, packet.pts_us, packet.dts_us, packet.data) for packet in packets]
        self.assertEqual(len(came), len(sent))
        self.assertEqual(came, sent)
        self.assertTrue(packets[0].is_key and not packets[0].is_discontinuous)

    def test_a_player_gets_what_is_published(self) -> None:
        packets: list[camrill.Packet] = []
        for kind in (bytes, bytearray, memoryview, lambda data: [data[:7], data[7:]]):
            packets.clear()
            with camrill.Engine() as engine:
                player = camrill.Player(
                    engine, app="live", name="camera", flags=camrill.PLAYER_STORED, on_packet=packets.append
                )
                publisher = publisher_of(engine, self.clip)
                write(engine, publisher, self.clip, kind)
                until(engine, lambda: len(packets) >= len(self.clip.frames))
                assert player.video and player.audio
                self.assertEqual((player.video.width, player.video.height), (640, 360))
                self.assertEqual(player.video.config, self.clip.video_config)
                self.assertEqual(player.audio.config, self.clip.audio_config)
                self.assertEqual(player.info().packets, len(packets))
                player.pause()
                player.pause(False)
            # Packets outlive all that they came of.
            self.expect(packets)

    def test_a_file_is_iterated_to_its_end(self) -> None:
        with camrill.Engine() as engine:
            packets = list(camrill.Player(engine, CLIP, flags=camrill.PLAYER_STORED, retry=camrill.Retry(tries=1)))
        self.expect(packets)

    def test_decoders_get_annex_b(self) -> None:
        with camrill.Engine() as engine:
            player = camrill.Player(engine, CLIP, retry=camrill.Retry(tries=1))
            video = next(packet for packet in player if packet.track == camrill.TRACK_VIDEO)
            audio = next(packet for packet in player if packet.track == camrill.TRACK_AUDIO)
        self.assertEqual(video.data[:5], b"\0\0\0\1\x67")
        self.assertEqual(audio.data[:2], b"\xff\xf1")


class Files(unittest.TestCase):
    def test_hls_and_recordings(self) -> None:
        clip, files, done = Flv(CLIP), [], []
        with tempfile.TemporaryDirectory() as folder, camrill.Engine() as engine:
            hls = camrill.Hls(engine, app="live", name="camera", fragment_ms=2000, on_file=files.append)
            path = str(Path(folder) / "a.flv")
            recorder = camrill.Recorder(engine, path, app="live", name="camera", on_file=done.append)
            publisher = publisher_of(engine, clip)
            write(engine, publisher, clip)
            until(engine, lambda: len([file for file in files if file.kind == camrill.HLS_SEGMENT]) >= 4)
            self.assertIn(b"#EXTINF", hls.get())
            segment = next(file for file in files if file.kind == camrill.HLS_SEGMENT)
            self.assertEqual(segment.data[0], 0x47)
            self.assertEqual(hls.get(segment.name), segment.data)
            recorder.stop()
            until(engine, lambda: [file for file in done if file.what == camrill.RECORDER_CLOSED])
            self.assertEqual(done[-1].path, path)
            self.assertEqual(Flv(path).frames, clip.frames)
            recorder.start()
            recorder.cut()

    def test_frames_without_a_stream(self) -> None:
        clip, files = Flv(CLIP), []
        with camrill.Engine() as engine:
            hls = camrill.Hls(
                engine,
                video_codec=camrill.CODEC_H264,
                video_format=camrill.FORMAT_LENGTH_PREFIXED,
                video_config=clip.video_config,
                fragment_ms=2000,
                on_file=files.append,
            )
            for frame in clip.frames:
                if frame.is_video:
                    self.assertTrue(hls.write_video(frame.data, frame.pts_us, frame.dts_us))
            until(engine, lambda: len(files) >= 8)


class Relays(unittest.TestCase):
    def test_a_stream_goes_from_engine_to_engine(self) -> None:
        states: list[int] = []
        with serving() as there, serving() as here:
            url = f"rtmp://127.0.0.1:{there.port('rtmp')}/live/copy"
            camrill.Ingest(here, CLIP, app="live", name="camera", flags=camrill.INGEST_LOOP)
            forward = camrill.Forward(
                here, url, app="live", name="camera", on_state=lambda state: states.append(state.state)
            )

            def arrives() -> bool:
                there.poll(0)
                return any(stream.video_frames > 10 for stream in there.streams())

            until(here, arrives)
            self.assertIn(camrill.RELAY_RUNNING, states)
            self.assertEqual(forward.info().url, url)
            self.assertEqual(len(here.relays()), 2)
            forward.close()


class Loops(unittest.TestCase):
    def test_asyncio_runs_it_beside_others(self) -> None:
        clip, packets = Flv(CLIP), []

        async def main() -> None:
            with serving() as engine:
                running = asyncio.create_task(engine.run_async())
                camrill.Player(engine, app="live", name="camera", on_packet=packets.append)
                await asyncio.sleep(0)
                publisher = publisher_of(engine, clip)

                def encode() -> None:
                    for frame in clip.frames:
                        while publisher.stats().queued_bytes > 0:
                            time.sleep(0)
                        assert publisher.write(
                            camrill.CODEC_H264 if frame.is_video else camrill.CODEC_AAC,
                            frame.data,
                            frame.pts_us,
                            frame.dts_us,
                        )

                thread = threading.Thread(target=encode)
                thread.start()
                end = time.monotonic() + 30
                while len(packets) < len(clip.frames) and time.monotonic() < end:
                    await asyncio.sleep(0.01)
                thread.join()
                threading.Thread(target=engine.stop).start()
                await asyncio.wait_for(running, 30)

        asyncio.run(main())
        self.assertEqual(len(packets), len(clip.frames))

    def test_other_threads_call_and_stop(self) -> None:
        ran: list[int] = []
        with serving() as engine:
            loop = threading.get_ident()

            def other() -> None:
                engine.call(lambda: ran.append(threading.get_ident()))
                engine.call(engine.stop)

            thread = threading.Thread(target=other)
            thread.start()
            engine.run()
            thread.join()
            self.assertEqual(ran, [loop])
            count = 0
            while engine.call(lambda: None):
                count += 1
            self.assertEqual(count, 1024)

    def test_an_engine_is_closed_inside_its_callback(self) -> None:
        with serving() as engine:
            engine.call(engine.close)
            engine.run()
            self.assertIsNone(engine._host.engine)


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Leaks(unittest.TestCase):
    def test_engines_come_and_go_in_bounded_memory(self) -> None:
        from camrill import _host

        clip = Flv(CLIP)
        clip.frames = clip.frames[:200]

        def once() -> None:
            packets: list[camrill.Packet] = []
            with serving(on_event=lambda event: None) as engine:
                camrill.Player(engine, app="live", name="camera", on_packet=packets.append)
                publisher = publisher_of(engine, clip, need_keyframe=lambda: None)
                engine.call(lambda: None)
                write(engine, publisher, clip)
                until(engine, lambda: len(packets) >= len(clip.frames))
                engine.call(lambda: None)  # never runs

        for _ in range(30):
            once()
        before, users = resident(), len(_host._users)
        for _ in range(100):
            once()
        self.assertEqual(len(_host._users), users)
        self.assertLess(resident() - before, 4 << 20)


if __name__ == "__main__":
    unittest.main()
