"""What one caller can do to the others: ``python -m bench.floods``, the load generator wrk not needed.

1. A key is stopped while strangers send a thousand calls a second with keys that nobody has: how long until its first
   call is refused, from the moment at which the stop was committed? The goal is one second.
2. Somebody sends bodies of 18 MiB, in the forms that take the most reading: by how much is the slowest of a neighbour's
   calls slower meanwhile? The goal is 50 ms. What the machine does by itself in as long a time stands beside it. The
   organisation's answers are kept, so that what a body is kept under has to be found, too. Of some it is told that
   they are refused: those hold more values than are read.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.load import Caller, Endpoint
from bench.machine import Cores, share_out_cores
from bench.peers.costhub import Order, Stack, endpoint_for
from bench.upstream import Kind, start_upstream
from costhub.lib.secrets import API_KEY, make_secret

ROUNDS: Final = 5
FLOOD_A_SECOND: Final = 1_000
_SENDERS: Final = 4
_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.005
_LARGE: Final = 18 * 1024 * 1024

#: stops, or resumes, the first key of the only organisation, and says when that was committed
_STOP: Final = """
import sys, time, django; django.setup()
from tenants.access import Actor, org_scope
from tenants.actions.stops import set_stopped
from tenants.choices import Role
from tenants.models import ApiKey, Organization
[org_id] = Organization.objects.using("owner").values_list("pk", flat=True)
with org_scope(org_id):
    org = Organization.objects.get(pk=org_id)
    key = ApiKey.objects.get(name="bench 0")
    set_stopped(actor=Actor(org, Role.OWNER, "bench"), target=key, is_stopped=sys.argv[1] == "stop")
print(time.time())
"""

#: has the organisation's answers kept
_KEEP: Final = """
import django; django.setup()
from tenants.access import Actor, org_scope
from tenants.actions.cache import create_cache_policy
from tenants.choices import CacheMode, Role
from tenants.models import Organization
[org_id] = Organization.objects.using("owner").values_list("pk", flat=True)
with org_scope(org_id):
    org = Organization.objects.get(pk=org_id)
    create_cache_policy(actor=Actor(org, Role.OWNER, "bench"), mode=CacheMode.ON, holdout_percent=0)
"""


def main(arguments: Sequence[str]) -> int:
    """Print both tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.floods")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args(arguments)
    cores = share_out_cores()
    os.sched_setaffinity(0, cores.load)
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        upstream, programs = start_upstream(cores, work)
        stack = None
        try:
            stack = Stack.start(upstream, cores, work)
            [secrets] = stack.populate(Order({Kind.JSON.value: upstream.base_url(Kind.JSON)}, 1, 2))
            stopped, other = (endpoint_for(stack, Kind.JSON, secret) for secret in secrets)
            _measure_stops(stack, stopped, cores, wanted.rounds)
            subprocess.run([sys.executable, "-c", _KEEP], env=stack.environment(), check=True)
            _measure_delays(other, wanted.rounds)
        finally:
            if stack is not None:
                stack.stop()
            for program in programs:
                program.stop()
    return 0


def _measure_stops(stack: Stack, endpoint: Endpoint, cores: Cores, rounds: int) -> None:
    for is_flooded in (False, True):
        found: list[float] = []
        flood = _Flood(endpoint.port)
        if is_flooded:
            flood.begin()
        try:
            found += [_time_stop(stack, endpoint) for _ in range(rounds)]
        finally:
            sent = flood.end() if is_flooded else 0.0
        found.sort()
        beside = f"beside {sent:,.0f} unknown keys a second" if is_flooded else "alone"
        print(f"a stop, {beside}: refused after {found[len(found) // 2]:.0f} ms (at most {found[-1]:.0f})", flush=True)


def _time_stop(stack: Stack, endpoint: Endpoint) -> float:
    """Milliseconds from the commit to the first refusal. Below zero: before the stopping program could say when."""
    refused_at: list[float] = []

    def ask() -> None:
        with Caller(endpoint) as caller:
            ends = time.time() + _PATIENCE_SECONDS
            while time.time() < ends:
                if b" 200 " not in caller.call()[0][:20]:
                    refused_at.append(time.time())
                    return
                time.sleep(_PAUSE_SECONDS)

    asking = threading.Thread(target=ask)
    asking.start()
    committed_at = _set_stopped(stack, "stop")
    asking.join()
    if not refused_at:
        raise RuntimeError(f"the stop was not heard of within {_PATIENCE_SECONDS:.0f} s")
    _set_stopped(stack, "resume")
    _wait_until_served(endpoint)
    return (refused_at[0] - committed_at) * 1000


def _set_stopped(stack: Stack, what: str) -> float:
    ran = subprocess.run(
        [sys.executable, "-c", _STOP, what], env=stack.environment(), capture_output=True, text=True, check=True
    )
    return float(ran.stdout)


def _wait_until_served(endpoint: Endpoint) -> None:
    with Caller(endpoint) as caller:
        while b" 200 " not in caller.call()[0][:20]:
            time.sleep(_PAUSE_SECONDS)


class _Flood:
    """Strangers, each call with another key of the right form that nobody has."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self._sent = 0
        self._began = 0.0
        self._threads = [threading.Thread(target=self._send) for _ in range(_SENDERS)]

    def begin(self) -> None:
        """Send from now on."""
        self._began = time.perf_counter()
        for thread in self._threads:
            thread.start()

    def end(self) -> float:
        """Calls a second, until now."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        return self._sent / (time.perf_counter() - self._began)

    def _send(self) -> None:
        pause = _SENDERS / FLOOD_A_SECOND
        due = time.perf_counter()
        while not self._is_over.is_set():
            headers = {"authorization": f"Bearer {make_secret(API_KEY, b'').text}"}
            with Caller(Endpoint(self._port, Kind.JSON, headers=headers)) as caller:
                caller.call()
            self._sent += 1
            due += pause
            self._is_over.wait(max(0.0, due - time.perf_counter()))


def _measure_delays(endpoint: Endpoint, rounds: int) -> None:
    print("\n| bodies of 18 MiB | slowest neighbour, ms, by round | the same without, ms |\n|---|---:|---:|")
    for name, path, body in _large_bodies(endpoint.model):
        slowest, usual = [], []
        for _ in range(rounds):
            usual.append(_slowest_call(endpoint, partial(time.sleep, 1.0)))
            slowest.append(_slowest_call(endpoint, partial(_post, endpoint, path, body)))
        print(f"| {name} | {_told(slowest)} | {_told(usual)} |", flush=True)


def _large_bodies(model: str) -> list[tuple[str, str, bytes]]:
    turns = [{"role": "user", "content": "hi"}] * (_LARGE // 36)
    words = "word " * (_LARGE // 5)
    many = json.dumps({"model": model, "messages": turns}).encode()
    long = json.dumps({"model": model, "messages": [{"role": "user", "content": words}], "max_tokens": 5}).encode()
    unknown = json.dumps({"model": "nobody-knows", "messages": turns}).encode()
    question = {"role": "user", "content": "Hi there"}
    system = {"model": model, "messages": [{"role": "system", "content": words}, question], "max_tokens": 5}
    # Three values of the fifty thousand that may be lists, objects or their members, each.
    allowed = [{"role": "user", "content": words[: _LARGE // 16_000]}] * 16_000
    most = json.dumps({"model": model, "messages": allowed, "max_tokens": 5}).encode()
    messages = {"model": model, "max_tokens": 5, "system": words, "messages": [question]}
    batch = json.dumps({"model": model, "input": ["a"] * 399_000}).encode()
    return [
        ("to estimate, many messages (refused)", "/v1/costhub/estimate", many),
        ("to estimate, one long text", "/v1/costhub/estimate", long),
        ("a call with one long text", "/v1/chat/completions", long),
        ("for an unknown model (refused)", "/v1/chat/completions", unknown),
        ("a long beginning and a short question", "/v1/chat/completions", json.dumps(system).encode()),
        ("as many messages as are read", "/v1/chat/completions", most),
        ("Messages with a long beginning", "/v1/messages", json.dumps(messages).encode()),
        ("embeddings of 399,000 texts, 2 MB", "/v1/embeddings", batch),
    ]


def _post(endpoint: Endpoint, path: str, body: bytes) -> None:
    line = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=_PATIENCE_SECONDS)
    line.request("POST", path, body, endpoint.all_headers())
    line.getresponse().read()
    line.close()


def _slowest_call(endpoint: Endpoint, work: Callable[[], None]) -> float:
    """Milliseconds of the slowest of one caller's calls while ``work`` goes on in another thread."""
    over = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            over.set()

    working = threading.Thread(target=run)
    slowest = 0.0
    with Caller(endpoint) as caller:
        caller.call()
        working.start()
        while not over.is_set():
            slowest = max(slowest, caller.call()[2])
            time.sleep(_PAUSE_SECONDS)
    working.join()
    return slowest * 1000


def _told(found: list[float]) -> str:
    return ", ".join(f"{each:.0f}" for each in sorted(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
