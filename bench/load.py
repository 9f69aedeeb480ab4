"""The load: wrk for throughput, and a blocking client of our own for what one caller feels."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.machine import running_on
from bench.upstream import CONTENT, EVENTS, USAGE, Kind

TIMEOUT_SECONDS: Final = 60.0
CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
MESSAGES: Final = "/v1/messages"
#: a mean answer shorter than this share of a checked one was not whole
WHOLE_SHARE: Final = 0.97

_REPORT: Final = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests":%d,"micros":%d,"bytes":%d,"failed":%d,"refused":%d,"p50":%d,"p99":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
"""

_NEXT_KEY: Final = """
init = function(args)
  calls, turn = {}, 0
  for i, key in ipairs(keys) do
    wrk.headers["authorization"] = key
    calls[i] = wrk.format()
  end
end
request = function()
  turn = turn % #calls + 1
  return calls[turn]
end
"""


class NotServed(Exception):
    """A gateway did not do what it was asked; the text says what came instead."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way into a gateway, for one kind of call."""

    port: int
    kind: Kind
    path: str = CHAT
    model: str = "bench"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def body(self, prompt_bytes: int = 0) -> bytes:
        """The call: about 150 bytes, or with a prompt of ``prompt_bytes``."""
        prompt = "What is the capital of France? Answer in one word, please."
        if prompt_bytes:
            sentence = "Paris is the capital and largest city of France, on the river Seine. "
            prompt = (sentence * (prompt_bytes // len(sentence) + 1))[:prompt_bytes]
        call: dict[str, object] = {"model": self.model}
        if self.path == RESPONSES:
            call["input"] = prompt
        else:
            call["messages"] = [{"role": "user", "content": prompt}]
        if self.path == MESSAGES:
            call["max_tokens"] = 100
        if self.kind is not Kind.JSON:
            call["stream"] = True
            if self.path not in {RESPONSES, MESSAGES}:
                call["stream_options"] = {"include_usage": True}
        return json.dumps(call, separators=(",", ":")).encode()

    def all_headers(self) -> dict[str, str]:
        """With what every call carries."""
        return {"content-type": "application/json", "authorization": "Bearer sk-bench"} | self.headers


@dataclass(frozen=True, slots=True)
class Throughput:
    """One round of load."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


def find_wrk() -> str:
    """wrk's path.

    Raises:
        NotServed: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise NotServed("wrk is not installed: it is the load generator (Debian's package wrk)")
    return found


def run_load(
    endpoint: Endpoint,
    connections: int,
    seconds: float,
    cores: Iterable[int],
    work: Path,
    prompt_bytes: int = 0,
    bearers: Sequence[str] = (),
    pause_ms: int = 0,
) -> Throughput:
    """Load one gateway; with ``bearers``, each call with the next of these keys. After an answer each connection lets
    ``pause_ms`` pass: 0 is as fast as it can.

    Raises:
        NotServed: a call failed, was refused, or its answer was cut short.
    """
    script = work / "load.lua"
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua(endpoint.body(prompt_bytes).decode())}"]
    lines += [f"wrk.headers[ {_lua(name)} ] = {_lua(value)}" for name, value in endpoint.all_headers().items()]
    if bearers:
        keys = ",".join(_lua(f"Bearer {bearer}") for bearer in bearers)
        lines.append(f"keys = {{ {keys} }}{_NEXT_KEY}")
    if pause_ms:
        lines.append(f"function delay() return {pause_ms} end")
    script.write_text("\n".join(lines) + _REPORT)
    whole = len(call_once(endpoint, prompt_bytes))
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s"]
    with running_on(cores):
        ran = subprocess.run(
            [*command, f"--timeout={TIMEOUT_SECONDS:.0f}s", "-s", str(script), endpoint.url],
            capture_output=True,
            text=True,
            timeout=seconds + TIMEOUT_SECONDS,
        )
    found = re.search(r"^RESULT (.*)$", ran.stdout, re.MULTILINE)
    if found is None:
        raise NotServed(f"wrk gave no result: {(ran.stderr or ran.stdout)[-200:]}")
    result = json.loads(found[1])
    if result["failed"] or result["refused"] or not result["requests"]:
        raise NotServed(
            f"{result['refused']} calls refused and {result['failed']} broken among {result['requests']} at full load"
        )
    if result["bytes"] / result["requests"] < WHOLE_SHARE * whole:
        raise NotServed(f"answers were cut short: {result['bytes'] // result['requests']} bytes of {whole}")
    return Throughput(
        result["requests"],
        result["requests"] * 1e6 / result["micros"],
        result["p50"] / 1000,
        result["p99"] / 1000,
    )


class Caller:
    """One caller on one kept connection, blocking, with as little of its own as can be."""

    def __init__(self, endpoint: Endpoint, prompt_bytes: int = 0) -> None:
        body = endpoint.body(prompt_bytes)
        headers = endpoint.all_headers() | {"host": f"127.0.0.1:{endpoint.port}", "content-length": str(len(body))}
        lines = [f"POST {endpoint.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        self._socket = socket.create_connection(("127.0.0.1", endpoint.port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self) -> tuple[bytes, float, float]:
        """Make one call: the raw answer, seconds to its first event (0 without one), seconds to its end.

        Raises:
            NotServed: the connection closed in the middle.
        """
        answer = b""
        first_event = 0.0
        began = time.perf_counter()
        self._socket.sendall(self._request)
        while not _is_whole(answer):
            data = self._socket.recv(262_144)
            if not data:
                raise NotServed("the gateway closed the connection in the middle of an answer")
            answer += data
            if not first_event and b"\ndata:" in answer:
                first_event = time.perf_counter() - began
        return answer, first_event, time.perf_counter() - began


def call_once(endpoint: Endpoint, prompt_bytes: int = 0) -> bytes:
    """One call on a connection of its own; gives the raw answer. Raises NotServed, OSError."""
    with Caller(endpoint, prompt_bytes) as caller:
        return caller.call()[0]


def check_answer(endpoint: Endpoint, prompt_bytes: int = 0) -> None:
    """Make one call and see that the whole of the upstream's answer came through: its text, its usage, its end.

    Raises:
        NotServed: something is missing.
        OSError: nobody listens.
    """
    answer = call_once(endpoint, prompt_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise NotServed(f"{head.splitlines()[0].decode()}: {body[:200].decode(errors='replace')}")
    text, usage, ended = (
        _read_stream(_unchunked(head, body)) if endpoint.kind is not Kind.JSON else _read_json(head, body)
    )
    if text != CONTENT:
        raise NotServed(f"the text came through as {text.count('token')} tokens of {EVENTS}")
    if any(usage.get(name) != count for name, count in USAGE.items()):
        raise NotServed(f"the usage came through as {usage}")
    if not ended:
        raise NotServed("the stream did not end with [DONE]")


def _read_json(head: bytes, body: bytes) -> tuple[str, dict[str, int], bool]:
    answer = json.loads(_unchunked(head, body))
    return answer["choices"][0]["message"]["content"], answer["usage"], True


def _read_stream(body: bytes) -> tuple[str, dict[str, int], bool]:
    text, ended = "", False
    usage: dict[str, int] = {}
    for line in body.splitlines():
        if line == b"data: [DONE]":
            ended = True
        elif line.startswith(b"data: "):
            event = json.loads(line[6:])
            text += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
            usage = event.get("usage") or usage
    return text, usage, ended


def _unchunked(head: bytes, body: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    plain = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        plain += rest[:length]
        body = rest[length + 2 :]
    return plain


def _is_whole(answer: bytes) -> bool:
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = answer[:head_end].lower()
    _, found, after = head.partition(b"\r\ncontent-length:")
    if found:
        return len(answer) >= head_end + 4 + int(after.split(b"\r\n")[0])
    return answer.endswith(b"\r\n0\r\n\r\n")


def _lua(text: str) -> str:
    assert "]==]" not in text
    return f"[==[{text}]==]"
