"""The fixed upstream: a provider that answers at once, always the same, so that only the gateway is measured.

Three ports of one shape, because nginx cannot choose by the body:

- ``json``: a chat completion with usage, in one piece;
- ``stream``: 60 events, a usage chunk and ``[DONE]``, sent at once and chunked;
- ``paced``: the same events, the first half at once and the rest ``PAUSE_SECONDS`` later: a gateway that holds
  events back shows it here. Always served by Python: its rate does not matter.

Without nginx all three are served by Python, some ten times slower; the report then says so.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bench.machine import Cores, Program, free_port, start_program

EVENTS: Final = 60
PAUSE_SECONDS: Final = 0.020
USAGE: Final = {"prompt_tokens": 24, "completion_tokens": EVENTS, "total_tokens": 24 + EVENTS}
CONTENT: Final = " ".join(["token"] * EVENTS)
#: nginx refuses a longer parameter
NGINX_PARAMETER: Final = 3000


class Kind(StrEnum):
    """What a call gets from the upstream."""

    JSON = "json"
    STREAM = "stream"
    PACED = "paced"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the fixed upstream listens."""

    ports: dict[Kind, int]
    served_by: str

    def base_url(self, kind: Kind) -> str:
        """As a client of OpenAI would be given it, with no slash at the end."""
        return f"http://127.0.0.1:{self.ports[kind]}/v1"


def completion() -> bytes:
    """The whole answer to a call that does not stream."""
    message = {"role": "assistant", "content": CONTENT}
    return _compact(
        {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_750_000_000, "model": "bench"}
        | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    )


def events() -> list[bytes]:
    """The events of a stream, each with its blank line."""
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "bench"}
    bodies = []
    for number in range(EVENTS):
        delta = {"role": "assistant", "content": "token"} if number == 0 else {"content": " token"}
        finish = "stop" if number == EVENTS - 1 else None
        bodies.append(_compact(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    bodies += [_compact(head | {"choices": [], "usage": USAGE}), b"[DONE]"]
    return [b"data: " + body + b"\n\n" for body in bodies]


def start_upstream(cores: Cores, work: Path) -> tuple[Upstream, list[Program]]:
    """Start the upstream beside the load. The caller stops the programs."""
    ports = {kind: free_port() for kind in Kind}
    nginx = find_nginx()
    python_kinds = [Kind.PACED] if nginx else list(Kind)
    arguments = [f"{kind}={ports[kind]}" for kind in python_kinds]
    own = [sys.executable, str(Path(__file__).resolve()), *arguments]
    root = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    programs = [start_program(own, cores.load, work / "upstream.log", root)]
    if nginx:
        config = work / "upstream.conf"
        config.write_text(_nginx_servers(ports, work))
        programs.append(start_program(nginx_command(nginx, work, config), cores.load, work / "upstream-nginx.log"))
    return Upstream(ports, "nginx" if nginx else "Python"), programs


def find_nginx() -> str | None:
    """nginx's path; it may live where only root's PATH looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_command(nginx: str, work: Path, config: Path) -> list[str]:
    """nginx in the foreground, with all of its files in ``work``."""
    return [nginx, "-e", "stderr", "-p", str(work), "-c", str(config)]


def nginx_config(work: Path, name: str, body: str) -> str:
    """One worker, no logs, connections kept for ever."""
    places = "".join(
        f"{module}_temp_path {work}/{name}-temp; " for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; worker_processes 1; pid {work}/{name}.pid; error_log stderr crit;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;\n"
        "client_max_body_size 64m; client_body_buffer_size 1m;\n"
        f"{places}\n{body}\n}}\n"
    )


def _nginx_servers(ports: dict[Kind, int], work: Path) -> str:
    stream = b"".join(events()).decode()
    pieces = [stream[start : start + NGINX_PARAMETER] for start in range(0, len(stream), NGINX_PARAMETER)]
    sets = "\n".join(f"set $piece{number} {_quoted(piece)};" for number, piece in enumerate(pieces))
    whole = "".join(f"${{piece{number}}}" for number in range(len(pieces)))
    # A filter that may change the length makes nginx send the stream chunked, as providers do; it finds nothing.
    chunked = "sub_filter_types text/event-stream; sub_filter '~never~' '~never~';"
    return nginx_config(
        work,
        "upstream",
        f"server {{ listen 127.0.0.1:{ports[Kind.JSON]}; default_type application/json;\n"
        f"location / {{ return 200 {_quoted(completion().decode())}; }} }}\n"
        f"server {{ listen 127.0.0.1:{ports[Kind.STREAM]}; default_type text/event-stream;\n"
        f'location / {{ {chunked}\n{sets}\nreturn 200 "{whole}"; }} }}',
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class _Answerer(asyncio.Protocol):
    """HTTP/1.1 for clients that send Content-Length, one call at a time on a connection."""

    def __init__(self, answer: Callable[[asyncio.Transport], None]) -> None:
        self._answer = answer
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._received[:head_end]).lower()
        _, _, after = head.partition(b"content-length:")
        if len(self._received) >= head_end + 4 + int(after.split(b"\r\n")[0] or b"0"):
            self._received.clear()
            self._answer(self._transport)


def _send_json(transport: asyncio.Transport) -> None:
    body = completion()
    transport.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )


_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_FIRST: Final = b"".join(events()[: EVENTS // 2])
_REST: Final = b"".join(events()[EVENTS // 2 :])
_END: Final = b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _send_stream(transport: asyncio.Transport) -> None:
    transport.write(_STREAM_HEAD + _chunk(_FIRST + _REST) + _END)


def _send_paced(transport: asyncio.Transport) -> None:
    transport.write(_STREAM_HEAD + _chunk(_FIRST))
    asyncio.get_running_loop().call_later(PAUSE_SECONDS, transport.write, _chunk(_REST) + _END)


_ANSWERS: Final = {Kind.JSON: _send_json, Kind.STREAM: _send_stream, Kind.PACED: _send_paced}


async def _serve(ports: dict[Kind, int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda kind=kind: _Answerer(_ANSWERS[kind]), "127.0.0.1", port)  # type: ignore[misc]
        for kind, port in ports.items()
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve({Kind(kind): int(port) for kind, _, port in (item.partition("=") for item in sys.argv[1:])}))
