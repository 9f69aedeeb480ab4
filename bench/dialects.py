"""What Responses and Messages cost a worker, against the same chat: asked of an upstream that speaks the same, and put
into a chat for one that does not.

python -m bench.dialects [--calls 3000] [--connections 16] [--rounds 5]

The upstream answers at once, always the same, by the path that it is asked at: a text of sixty tokens, whole or in
sixty events. All ways are taken in turns. The figure that counts is the time of a processor that the worker takes for a
call, because load and upstream share the machine with it.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

from bench.batches import call_all
from bench.machine import free_port
from bench.rollups import servers

TOKENS: Final = 60
WORDS: Final = [" token"] * TOKENS
PROMPT: Final = "Tell me of the harbour of Oslo, its ships and its fees, in sixty words. " * 4


def main(arguments: Sequence[str]) -> int:
    """Measure and print, or be the upstream."""
    parser = argparse.ArgumentParser(prog="python -m bench.dialects")
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=int)
    options = parser.parse_args(arguments)
    if options.serve:
        asyncio.run(_serve(options.serve))
        return 0
    with servers(), tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "costhub.settings", "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8"}
        import django  # noqa: PLC0415 - the settings read where the database is

        django.setup()
        _measure(Path(folder), options)
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> None:
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415

    from tenants.choices import UpstreamKind  # noqa: PLC0415
    from tests.proxy.deployment import deploy  # noqa: PLC0415
    from tests.world import make_budget, make_catalog, make_world  # noqa: PLC0415

    call_command("migrate", database="owner", verbosity=0)
    acme, port = make_world().acme, free_port()
    upstream = subprocess.Popen([sys.executable, "-m", "bench.dialects", "--serve", str(port)])
    try:
        for model, kind in (
            ("chat", UpstreamKind.OPENAI_COMPATIBLE),
            ("openai", UpstreamKind.OPENAI),
            ("claude", UpstreamKind.ANTHROPIC),
        ):
            make_catalog(acme, base_url=f"http://127.0.0.1:{port}/v1", kind=kind, model=model)
        make_budget(acme, "1000.00")
        connections.close_all()
        with deploy(folder) as proxy:
            worker = psutil.Process(proxy.worker_pids[0])
            for is_stream in (False, True):
                _compare(proxy.port, acme.api_key, worker, options, is_stream=is_stream)
    finally:
        upstream.kill()
        upstream.wait()


def _compare(port: int, key: str, worker: psutil.Process, options: argparse.Namespace, *, is_stream: bool) -> None:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 100, "stream": is_stream}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("/v1/chat/completions", {"model": "chat", **said}),
        "Responses, untouched": ("/v1/responses", {"model": "openai", "input": PROMPT, "stream": is_stream}),
        "Responses, as a chat": ("/v1/responses", {"model": "chat", "input": PROMPT, "stream": is_stream}),
        "Messages, untouched": ("/v1/messages", {"model": "claude", **said}),
        "Messages, as a chat": ("/v1/messages", {"model": "chat", **said}),
    }
    calls = options.calls // (5 if is_stream else 1)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds + 1):
        for name, (path, body) in ways.items():
            before = _computed(worker)
            call_all(port, key, path, [body] * calls, options.connections)
            if turn:
                # the first one warms up
                spent[name].append((_computed(worker) - before) / calls / 1e3)
    print(
        f"{'streams of 60 events' if is_stream else 'whole answers'}, {calls} calls, {options.rounds} rounds",
        flush=True,
    )
    for name, found in spent.items():
        shares = [plain / own for plain, own in zip(spent["chat"], found, strict=True)]
        print(
            f"  {name}: {median(found):.0f} µs a call ({min(found):.0f}-{max(found):.0f}),"
            f" {median(shares):.2f} x chat's speed ({min(shares):.2f}-{max(shares):.2f})",
            flush=True,
        )


def _computed(worker: psutil.Process) -> int:
    """Nanoseconds that its threads have had a processor: its usual clock ticks every 10 ms, which is a tenth of a
    round of streams."""
    threads = Path(f"/proc/{worker.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


# The upstream


async def _serve(port: int) -> None:
    answers = {
        path: {False: _whole(path), True: _stream(path)} for path in ("chat/completions", "responses", "messages")
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                body = await reader.readexactly(length)
                path = head.split(b" ", 2)[1].removeprefix(b"/v1/").decode()
                writer.write(answers[path][b'"stream":true' in body])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


def _whole(path: str) -> bytes:
    text = "".join(WORDS)
    chat_usage = {"prompt_tokens": 70, "completion_tokens": TOKENS, "total_tokens": 70 + TOKENS}
    match path:
        case "chat/completions":
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            answer |= {"usage": chat_usage}
        case "responses":
            answer = _response("completed", text)
        case _:
            answer = _message([{"type": "text", "text": text}], TOKENS)
    raw = json.dumps(answer, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(raw), raw)


def _stream(path: str) -> bytes:
    events: list[dict[str, Any]] = []
    match path:
        case "chat/completions":
            head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            for number, word in enumerate(WORDS):
                ends = "stop" if number == TOKENS - 1 else None
                events.append({**head, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": ends}]})
            usage = {"prompt_tokens": 70, "completion_tokens": TOKENS, "total_tokens": 70 + TOKENS}
            events.append({**head, "choices": [], "usage": usage})
        case "responses":
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            events.append({"type": "response.created", "response": _response("in_progress", None)})
            item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
            events.append({"type": "response.output_item.added", "output_index": 0, "item": item})
            events += [{"type": "response.output_text.delta", **place, "delta": word} for word in WORDS]
            events.append({"type": "response.completed", "response": _response("completed", "".join(WORDS))})
            for number, event in enumerate(events):
                event["sequence_number"] = number
        case _:
            events.append({"type": "message_start", "message": _message([], 1)})
            events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
            events += [
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
                for word in WORDS
            ]
            events.append({"type": "content_block_stop", "index": 0})
            usage = {"output_tokens": TOKENS}
            events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
            events.append({"type": "message_stop"})
    parts = []
    for event in events:
        raw = json.dumps(event, separators=(",", ":")).encode()
        parts.append(
            b"event: %b\ndata: %b\n\n" % (event["type"].encode(), raw) if "type" in event else b"data: %b\n\n" % raw
        )
    if path == "chat/completions":
        parts.append(b"data: [DONE]\n\n")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n"
    )


def _response(status: str, text: str | None) -> dict[str, Any]:
    used = {"input_tokens": 70, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": TOKENS}
    used |= {"output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 70 + TOKENS}
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "m",
        "error": None,
        "incomplete_details": None,
        "service_tier": "default",
        "store": False,
        "output": [] if text is None else [item],
        "usage": None if text is None else used,
    }


def _message(content: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    used = {"input_tokens": 70, "output_tokens": tokens}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": "end_turn" if content else None,
        "stop_sequence": None,
        "usage": used,
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
