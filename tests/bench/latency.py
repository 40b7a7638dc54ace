"""A TCP proxy that makes each way take a while longer: what a cluster down the line feels like.

``latency PORT MILLISECONDS`` listens on a free loopback port, prints it, and forwards to PORT with
so many milliseconds added to a round trip, half of it each way.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence

CHUNK = 65_536


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Passes on what comes, in order, each piece ``delay`` seconds after it came."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(CHUNK):
            pieces.put_nowait((loop.time() + delay, piece))
    pieces.put_nowait((loop.time() + delay, b""))
    with contextlib.suppress(ConnectionError):
        await sending


async def serve(port: int, milliseconds: float) -> None:
    delay = milliseconds / 2000

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        there = _forward(reader, far_writer, delay)
        back = _forward(far_reader, writer, delay)
        await asyncio.gather(there, back)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def main(arguments: Sequence[str]) -> int:
    port, milliseconds = arguments
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(port), float(milliseconds)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
