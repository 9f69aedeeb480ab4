"""A batch of real prompts on a real model whose worker is killed again and again: every prompt has its answer once, and
the ledger is what the model did, to the nano.

python -m bench.arena --data DIR [--prompts 1000] [--tokens 4] [--kills 4]

The prompts are arena-hard's (``DIR/traffic``), the model is the demo's SmolLM2, on this machine's processor. Answers
are short, and prompts are cut at 600 characters, so that it ends. Before the model stands a till that writes down what
each call used, and tells it when it is asked (``bill_path``). It goes on with a call whose caller has died, as
providers do.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import orjson

from bench.batches import WORK
from bench.rollups import servers

MOST_CHARACTERS: Final = 600
INPUT, OUTPUT = "0.15", "0.60"
NANOS_IN, NANOS_OUT = 150, 600


def main(arguments: Sequence[str]) -> int:
    """Run and print; 1 where something is missing or the sums differ."""
    parser = argparse.ArgumentParser(prog="python -m bench.arena")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=1_000)
    parser.add_argument("--tokens", type=int, default=4)
    parser.add_argument("--kills", type=int, default=4)
    options = parser.parse_args(arguments)
    with servers(), tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_FILES_URL": (Path(folder) / "files").as_uri(),
            "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        import django  # noqa: PLC0415 - the settings read where the database is

        django.setup()
        return _run(Path(folder), options)


def read_prompts(data: Path, count: int) -> list[str]:
    """The first so many prompts."""
    prompts: list[str] = []
    for path in sorted((data / "traffic").glob("arena_hard_*.jsonl")):
        prompts += [json.loads(line)["prompt"][:MOST_CHARACTERS] for line in path.read_text().rstrip("\n").split("\n")]
    return prompts[:count]


class Till:
    """Stands before a model server on a loop of its own. ``billed``: the tokens in and out of each call."""

    def __init__(self, model_url: str) -> None:
        self.billed: dict[str, tuple[int, int]] = {}
        self._model_url = model_url
        self._under_way: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._http: httpx2.AsyncClient | None = None
        self._keep: set[asyncio.Task[bytes]] = set()
        ready: threading.Event = threading.Event()
        self.port = 0

        async def serve() -> None:
            self._http = httpx2.AsyncClient(trust_env=False, timeout=600)
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await server.serve_forever()

        threading.Thread(target=lambda: self._loop.run_until_complete(serve()), daemon=True).start()
        ready.wait()

    @property
    def url(self) -> str:
        """The base URL of the upstream."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def is_quiet(self) -> bool:
        """Whether no call is under way."""
        return not self._under_way

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *rest = head.split("\r\n")
                headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest) if name}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = line.split(" ")
                if method == "GET":
                    status, raw = 200, self._tell(path)
                else:
                    # A caller who leaves changes nothing: the model goes on, and it is billed.
                    task = asyncio.create_task(self._ask(path, body, headers.get("x-client-request-id", "")))
                    self._keep.add(task)
                    task.add_done_callback(self._keep.discard)
                    status, raw = 200, await asyncio.shield(task)
                answer = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
                writer.write(answer.encode() + raw)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _tell(self, path: str) -> bytes:
        name = parse_qs(urlsplit(path).query)["request_id"][0]
        if name in self._under_way:
            return b'{"status":"open"}'
        into, out = self.billed.get(name, (0, 0))
        usage = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}
        return orjson.dumps({"status": "final", "usage": usage})

    async def _ask(self, path: str, body: bytes, name: str) -> bytes:
        assert self._http is not None
        self._under_way.add(name)
        try:
            got = await self._http.post(
                f"{self._model_url}{path.removeprefix('/v1')}",
                content=body,
                headers={"content-type": "application/json"},
            )
            usage = got.json()["usage"]
            self.billed[name] = (usage["prompt_tokens"], usage["completion_tokens"])
            return got.content
        finally:
            self._under_way.discard(name)


def _run(folder: Path, options: argparse.Namespace) -> int:
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415

    from costhub.stack.model_server import MODEL, ModelServer  # noqa: PLC0415
    from tenants.access import org_scope  # noqa: PLC0415
    from tenants.actions.upstreams import update_upstream  # noqa: PLC0415
    from tests.proxy.books import close_the_day  # noqa: PLC0415
    from tests.proxy.deployment import deploy  # noqa: PLC0415
    from tests.world import make_budget, make_catalog, make_world  # noqa: PLC0415

    call_command("migrate", database="owner", verbosity=0)
    acme = make_world().acme
    prompts = read_prompts(options.data, options.prompts)
    with ExitStack() as stack:
        server = ModelServer(folder)
        server.start()
        stack.callback(server.stop)
        server.wait_ready()
        till = Till(server.url)
        catalog = make_catalog(
            acme,
            base_url=till.url,
            upstream_model=MODEL,
            input_per_million=INPUT,
            output_per_million=OUTPUT,
            max_output_tokens=100,
        )
        with org_scope(acme.org_id):
            update_upstream(
                actor=acme.owner,
                upstream=catalog.upstream,
                bill_path="/costhub/bill",
                batch_concurrency=4,
                max_retries=0,
            )
        make_budget(acme, "1000.00")
        connections.close_all()
        with deploy(folder) as proxy:
            over, answers, kills = _work_through(proxy.base_url, acme.api_key, prompts, options)
        while not till.is_quiet:
            time.sleep(0.2)
        close_the_day(acme)
        return _judge(acme.org_id, prompts, over, answers, till, kills)


def _work_through(
    base_url: str, key: str, prompts: Sequence[str], options: argparse.Namespace
) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """The batch when it is over, its answers, and how many workers were killed."""
    lines = [
        {
            "custom_id": f"prompt-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "small",
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": options.tokens,
            },
        }
        for number, prompt in enumerate(prompts)
    ]
    content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    began, kills = time.perf_counter(), 0
    with httpx2.Client(
        base_url=base_url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=300
    ) as http:
        file = http.post("/files", data={"purpose": "batch"}, files={"file": ("arena.jsonl", content)}).json()
        asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = http.post("/batches", json=asked).json()
        marks = [len(prompts) * turn // (options.kills + 1) for turn in range(1, options.kills + 1)]
        while True:
            worker = subprocess.Popen([sys.executable, "-c", WORK], stdin=subprocess.DEVNULL)
            while worker.poll() is None:
                time.sleep(0.3)
                done = http.get(f"/batches/{batch['id']}").json()["request_counts"]["completed"]
                if kills < len(marks) and done >= marks[kills]:
                    worker.kill()
                    worker.wait()
                    kills += 1
                    print(f"killed a worker at {done} of {len(prompts)}", flush=True)
            over = http.get(f"/batches/{batch['id']}").json()
            if over["status"] == "completed":
                break
        print(f"{len(prompts)} prompts in {time.perf_counter() - began:.0f} s", flush=True)
        raw = http.get(f"/files/{over['output_file_id']}/content").content
    return over, [orjson.loads(line) for line in raw.splitlines()], kills


def _judge(
    org_id: str, prompts: Sequence[str], over: dict[str, Any], answers: list[dict[str, Any]], till: Till, kills: int
) -> int:
    from proxy.models import LedgerEntry  # noqa: PLC0415
    from tenants.access import org_scope  # noqa: PLC0415

    with org_scope(org_id):
        rows = list(LedgerEntry.objects.filter(org_id=org_id))
    spent = sum(row.effective_cost for row in rows)
    billed = sum(into * NANOS_IN + out * NANOS_OUT for into, out in till.billed.values())
    names = [answer["custom_id"] for answer in answers]
    is_whole = names == [f"prompt-{number}" for number in range(len(prompts))]
    corrections = sum(row.kind == "correction" for row in rows)
    print(
        f"{over['request_counts']}; {kills} workers killed; answers {'complete, each once' if is_whole else 'NOT complete'};"
        f" the model answered {len(till.billed)} calls; ledger {spent:,} nano-USD with {corrections} corrections, the"
        f" till {billed:,}: {'the same' if spent == billed else 'NOT the same'}"
    )
    return 0 if is_whole and spent == billed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
