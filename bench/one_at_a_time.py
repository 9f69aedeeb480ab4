"""An upstream of embeddings that computes one call at a time, as a model on one device does that puts no calls together
by itself: each takes so many milliseconds, and a little more for each text. It waits so long, and costs nothing.

python -m bench.one_at_a_time PORT [--call-ms 4] [--text-us 50] [--at-once 1]

With ``--at-once`` it is a provider of so many devices.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

DIMENSIONS: Final = 384
#: a text's vector, as JSON
VECTOR: Final = json.dumps([round((number * 37 % 1000) / 1000 - 0.5, 6) for number in range(DIMENSIONS)])


def main(arguments: Sequence[str]) -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m bench.one_at_a_time")
    parser.add_argument("port", type=int)
    parser.add_argument("--call-ms", type=float, default=4.0)
    parser.add_argument("--text-us", type=float, default=50.0)
    parser.add_argument("--at-once", type=int, default=1)
    options = parser.parse_args(arguments)
    asyncio.run(_serve(options.port, options.call_ms / 1e3, options.text_us / 1e6, options.at_once))
    return 0


async def _serve(port: int, a_call: float, a_text: float, at_once: int) -> None:
    devices = asyncio.Semaphore(at_once)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                asked = json.loads(await reader.readexactly(length))["input"]
                texts = asked if isinstance(asked, list) else [asked]
                async with devices:
                    await asyncio.sleep(a_call + a_text * len(texts))
                writer.write(_answer(texts))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


def _answer(texts: list[Any]) -> bytes:
    vectors = ",".join(f'{{"object":"embedding","index":{place},"embedding":{VECTOR}}}' for place in range(len(texts)))
    tokens = sum(len(str(text).split()) for text in texts)
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
    raw = f'{{"object":"list","model":"m","data":[{vectors}],"usage":{usage}}}'.encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(raw), raw)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
