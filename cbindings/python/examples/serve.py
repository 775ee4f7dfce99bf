"""A server with a configuration in SRS's syntax, beside whatever else runs in asyncio.

    python3 serve.py FILE.conf
"""

import asyncio
import signal
import sys

import camrill


def told(event: camrill.Event) -> None:
    print(event.type, event.app, event.name, event.address, event.reason, flush=True)


async def main() -> None:
    with camrill.Engine(on_event=told) as engine:
        engine.config_load_file(sys.argv[1])
        engine.config_apply()
        print(f"RTMP at port {engine.port('rtmp')}", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, engine.stop)
        await engine.run_async()


if __name__ == "__main__":
    asyncio.run(main())
