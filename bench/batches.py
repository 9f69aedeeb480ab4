"""Batches and embeddings that go together, against the same calls made one by one through the proxy.

python -m bench.batches [--lines 5000] [--connections 32] [--embeddings 4000] [--window-ms 2] [--rounds 3]
                        [--part batches] [--device 4x1]

Starts PostgreSQL, Valkey, the bank of the tests (an upstream that answers at once, without fsync), a proxy process, and
a worker process for each batch. Embeddings are asked of the bank, too, of which nothing can be saved, and of upstreams
that take their time (bench.one_at_a_time): ``--device 4x1`` computes one call at a time, for 4 ms, ``20x64`` sixty-four
at a time for 20 ms. Both ways are timed in turns. Memory is the
worker's peak, for so many lines and for five times as few, and the proxy's while it takes a file of 200 MB, and refuses
one that is longer than it may be.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import orjson
import psutil

from bench.computing import SERVERS, Computing, show_computing
from bench.machine import free_port
from bench.rollups import servers
from proxy.upstreams.http1 import Pool

WORK = "import django; django.setup(); from proxy.batches.work import run; run(3600)"
_COMPUTING = Computing(
    "the load",
    {
        "proxy.batches.work": "worker",
        "tests.bank": "upstream",
        **SERVERS,
        "uvicorn": "proxy",
        "spawn_main": "proxy",
        "costhub": "proxy",
    },
)
PARTS = ("batches", "embeddings", "uploads")
BIG_FILE_BYTES = 200 * 1000 * 1000
TOO_BIG_FILE_BYTES = 220 * 1000 * 1000


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.batches")
    parser.add_argument("--lines", type=int, default=5_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--embeddings", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window-ms", type=int, default=2)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--device", action="append")
    options = parser.parse_args(arguments)
    with servers(), tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_FILES_URL": (Path(folder) / "files").as_uri(),
            "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        import django  # noqa: PLC0415 - the settings read where the database is

        django.setup()
        for line in _measure(Path(folder), options):
            print(line, flush=True)
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415

    from tenants.access import org_scope  # noqa: PLC0415
    from tenants.actions.models import create_model  # noqa: PLC0415
    from tenants.actions.pricing import create_price  # noqa: PLC0415
    from tenants.actions.upstreams import update_upstream  # noqa: PLC0415
    from tests.bank import Bank  # noqa: PLC0415
    from tests.proxy.deployment import deploy  # noqa: PLC0415
    from tests.world import make_budget, make_catalog, make_world  # noqa: PLC0415

    call_command("migrate", database="owner", verbosity=0)
    acme = make_world().acme
    bank = Bank.start(folder, fsync=False)
    catalog = make_catalog(acme, base_url=bank.base_url, max_output_tokens=100)
    devices, catalogs = [], {"small": catalog}
    for device in options.device or ["4x1"]:
        port, (milliseconds, at_once) = free_port(), device.split("x")
        terms = ["--call-ms", milliseconds, "--at-once", at_once]
        devices.append(subprocess.Popen([sys.executable, "-m", "bench.one_at_a_time", str(port), *terms]))
        catalogs[device] = make_catalog(acme, base_url=f"http://127.0.0.1:{port}/v1", model=f"device-{device}")
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, batch_concurrency=options.connections)
        for of in catalogs.values():
            name = of.model.name
            merged = create_model(
                actor=acme.owner,
                name=f"{name}-together",
                upstream=of.upstream,
                upstream_model=name,
                merge_window_ms=options.window_ms,
            )
            create_price(
                actor=acme.owner,
                model=merged,
                input_per_million=of.price.input_per_million,  # type: ignore[union-attr]
                output_per_million=of.price.output_per_million,  # type: ignore[union-attr]
            )
    make_budget(acme, "1000.00")
    connections.close_all()
    try:
        with deploy(folder) as proxy:
            pid = proxy.worker_pids[0]
            parts = options.part or PARTS
            if "batches" in parts:
                yield from _batches(options, proxy.port, acme.api_key)
            if "embeddings" in parts:
                for device, of in catalogs.items():
                    yield from _embeddings(device, of.model.name, options, proxy.port, acme.api_key)
            if "uploads" in parts:
                for size in (BIG_FILE_BYTES, TOO_BIG_FILE_BYTES):
                    yield _upload(size, proxy.base_url, acme.api_key, pid)
    finally:
        bank.stop()
        for process in devices:
            process.kill()
            process.wait()


def _batches(options: argparse.Namespace, port: int, key: str) -> Iterator[str]:
    lines, connections = options.lines, options.connections
    ratios, computed = [], []
    _, peak, _ = _batch(port, key, lines // 5)
    yield f"peak of the worker at {lines // 5} lines: {peak} MB"
    for _ in range(options.rounds):
        before = _COMPUTING.read()
        direct = call_all(port, key, "/v1/chat/completions", [_chat(number) for number in range(lines)], connections)
        of_direct = _COMPUTING.since(before)
        batch, peak, of_batch = _batch(port, key, lines)
        ratios.append(batch / direct)
        computed.append(sum(of_batch.values()) / sum(of_direct.values()))
        yield f"{lines} lines at {connections}: direct {direct:.2f} s, batch {batch:.2f} s ({batch / direct:.2f} x), peak {peak} MB"
        for way, spent in (("direct", of_direct), ("batch", of_batch)):
            yield f"  computing, us a line, {way}: {show_computing(spent, lines)}"
    yield (
        f"batch over direct, median of {options.rounds}: {median(ratios):.2f}; of the processor's time"
        f" {median(computed):.2f}"
    )


def _embeddings(what: str, name: str, options: argparse.Namespace, port: int, key: str) -> Iterator[str]:
    calls, together = options.embeddings, f"{name}-together"
    ratios, added = [], []
    for _ in range(options.rounds):
        seconds, alone = {}, {}
        for model in (name, together):
            bodies = [{"model": model, "input": f"a text of a few words, number {number}"} for number in range(calls)]
            seconds[model] = call_all(port, key, "/v1/embeddings", bodies, 64)
            alone[model] = _median_wait(port, key, bodies[:200])
        ratios.append(seconds[name] / seconds[together])
        added.append(alone[together] - alone[name])
        yield (
            f"{calls} embeddings at 64 of {what}: each alone {calls / seconds[name]:.0f} a second, together"
            f" {calls / seconds[together]:.0f}; one caller's median {alone[name]:.2f} ms and {alone[together]:.2f} ms"
        )
    yield f"{what}: together over alone, median of {options.rounds}: {median(ratios):.2f} x; added to one caller {median(added):.2f} ms"


def _upload(size: int, base_url: str, key: str, pid: int) -> str:
    process = psutil.Process(pid)
    before = process.memory_info().rss
    content = b"".join(orjson.dumps(_line(number)) + b"\n" for number in range(1_000))
    content *= -(-size // len(content))
    began = time.perf_counter()
    with httpx2.Client(trust_env=False, timeout=300) as http, ThreadPoolExecutor(1) as thread:
        posting = thread.submit(
            http.post,
            f"{base_url}/files",
            headers={"authorization": f"Bearer {key}"},
            data={"purpose": "batch"},
            files={"file": ("big.jsonl", content)},
        )
        peak = before
        while not posting.done():
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
        answer = posting.result()
    took = time.perf_counter() - began
    told = "taken" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['error']['message']!r}"
    return (
        f"a file of {len(content) / 1e6:.0f} MB: {told}, in {took:.1f} s; the proxy has {before // 1_000_000} MB before and"
        f" {peak // 1_000_000} MB at most"
    )


def _batch(port: int, key: str, lines: int) -> tuple[float, int, dict[str, float]]:
    """Seconds from the worker's first answer until the output file is there, and its peak in MB; handing in is not in
    it. And what each program has computed meanwhile."""
    headers = {"authorization": f"Bearer {key}"}
    content = b"".join(orjson.dumps(_line(number)) + b"\n" for number in range(lines))
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/v1", headers=headers, trust_env=False, timeout=300) as http:
        file = http.post("/files", data={"purpose": "batch"}, files={"file": ("calls.jsonl", content)}).json()
        body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        began = time.perf_counter()
        batch = http.post("/batches", json=body).json()
        submitted = time.perf_counter() - began
        worker = subprocess.Popen([sys.executable, "-c", WORK], stdin=subprocess.DEVNULL)
        peak, began, took, before = 0, 0.0, 0.0, dict[str, float]()
        process = psutil.Process(worker.pid)
        while not took:
            shown = http.get(f"/batches/{batch['id']}").json()
            if not began and shown["request_counts"]["completed"]:
                began, before = time.perf_counter(), _COMPUTING.read()
            if shown["status"] == "completed":
                took = time.perf_counter() - began
                spent = _COMPUTING.since(before)
            assert took or worker.poll() is None, "the worker is gone"
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05 if not began else 0.25)
        assert shown["request_counts"]["completed"] == lines, shown
        worker.wait()
    print(f"  handing {lines} lines in: {submitted:.2f} s", flush=True)
    return took, peak // 1_000_000, spent


def call_all(port: int, key: str, path: str, bodies: list[dict[str, Any]], connections: int) -> float:
    """Seconds for all calls, so many at a time, by a client that costs little."""

    async def run() -> float:
        pool = Pool(address="127.0.0.1", port=port, host="127.0.0.1", tls=None, connect_timeout_seconds=5)
        waiting = iter(bodies)

        async def call() -> None:
            for body in waiting:
                await _post(pool, key, path, body)

        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(connections)))
        took = time.perf_counter() - began
        pool.close()
        return took

    return asyncio.run(run())


def _median_wait(port: int, key: str, bodies: list[dict[str, Any]]) -> float:
    """Milliseconds that one caller waits."""

    async def run() -> float:
        pool = Pool(address="127.0.0.1", port=port, host="127.0.0.1", tls=None, connect_timeout_seconds=5)
        waits = []
        for body in bodies:
            began = time.perf_counter()
            await _post(pool, key, "/v1/embeddings", body)
            waits.append(time.perf_counter() - began)
        pool.close()
        return median(waits) * 1000

    return asyncio.run(run())


async def _post(pool: Pool, key: str, path: str, body: dict[str, Any]) -> None:
    raw = orjson.dumps(body)
    line = await pool.line()
    try:
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
        line.send(head.encode() + raw, 60)
        status = await line.head()
        while await line.read() is not None:
            pass
        assert status == 200, status
    finally:
        line.release()


def _chat(number: int) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": f"Hi {number}"}], "max_tokens": 20}


def _line(number: int) -> dict[str, Any]:
    return {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": _chat(number)}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
