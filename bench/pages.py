"""What people who reload the console do to calls: calls a second and their p99, alone and with five browsers beside
them, with pages in processes of their own and, for comparison, in the processes that take calls. Once as fast as calls
are answered, once at a pace that leaves the machine something over.

    python -m bench.pages [--seconds 8] [--rows 200000] [--apart]

The first page is also asked for by one person alone, without a call beside it, once the ledger's sums are made.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg

from bench.ledger_rows import fill, without_indexes
from bench.load import Throughput, call_once, run_load
from bench.machine import share_out_cores, wait_until_quiet
from bench.peers.costhub import Order, Stack, endpoint_for
from bench.upstream import Kind, start_upstream

BROWSERS: Final = 5
CONNECTIONS: Final = 16
ROUNDS: Final = 3
#: what each connection waits after an answer: 16 of them make 1,250 calls a second so, as in the report that led here
PAUSES_MS: Final = (0, 11)
#: makes a member of the newest organisation, signs them in, and prints what the bench needs to know
_SIGN_IN: Final = """
import json, django
django.setup()
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, BACKEND_SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from tenants.access import Actor, list_orgs, org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import ApiKey, Organization, Project, Upstream, User
org_id = list_orgs()[0][0]
with org_scope(org_id):
    org = Organization.objects.get(pk=org_id)
    add_member(actor=Actor(org, Role.OWNER, "bench"), email="bench@costhub.example", role=Role.OWNER)
    ids = [[str(pk) for pk in model.objects.values_list("pk", flat=True)] for model in (Project, ApiKey, Upstream)]
user = User.objects.get(email="bench@costhub.example")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print(json.dumps({"org": str(org_id), "slug": org.slug, "cookie": f"{settings.SESSION_COOKIE_NAME}={session.session_key}", "ids": ids}))
"""


#: makes the sums of what was filled in, as the worker would in its own time
_ROLL_UP: Final = """
import django
django.setup()
from billing.spend.actions.rollups import roll_up
while roll_up():
    pass
print("done")
"""
_ALONE: Final = 60


@dataclass
class Browsers:
    """People who reload the first page as soon as it is there."""

    port: int
    path: str
    cookie: str
    seconds: list[float] = field(default_factory=list)
    people: int = BROWSERS
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Browsers":
        self._threads = [threading.Thread(target=self._reload, daemon=True) for _ in range(self.people)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _reload(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._stop.is_set():
            started = time.perf_counter()
            connection.request("GET", self.path, headers={"cookie": self.cookie})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or b"Spend this month" not in body:
                raise RuntimeError(f"the first page answered {answer.status}")
            self.seconds.append(time.perf_counter() - started)
        connection.close()


def measure(work: Path, *, is_apart: bool, seconds: float, rows: int) -> None:
    """Print the figures of one way of serving pages."""
    cores = share_out_cores()
    upstream, programs = start_upstream(cores, work)
    more: dict[str, Any] = {} if is_apart else {"COSTHUB_PAGES_SOCKET": ""}
    stack = Stack.start(upstream, cores, work, **more)
    try:
        [[secret]] = stack.populate(Order({Kind.JSON.value: upstream.base_url(Kind.JSON)}, organizations=1, keys=1))
        known = json.loads(_run(stack, _SIGN_IN))
        _fill(stack, known, rows)
        _run(stack, _ROLL_UP)
        endpoint = endpoint_for(stack, Kind.JSON, secret)
        call_once(endpoint)
        browsers = Browsers(stack.port, f"/o/{known['slug']}/", known["cookie"])
        with browsers:
            time.sleep(3)  # templates are compiled, statements planned
        single = Browsers(browsers.port, browsers.path, browsers.cookie, people=1)
        wait_until_quiet(cores)
        with single:
            while len(single.seconds) < _ALONE:
                time.sleep(0.1)
        browsers.seconds.clear()
        print(
            f"pages {'in processes of their own' if is_apart else 'in the processes that take calls'}, "
            f"{rows:,} calls in the ledger:",
            flush=True,
        )
        for pause in PAUSES_MS:
            alone: list[Throughput] = []
            beside: list[Throughput] = []
            for _ in range(ROUNDS):
                wait_until_quiet(cores)
                alone.append(run_load(endpoint, CONNECTIONS, seconds, cores.load, work, pause_ms=pause))
                with Browsers(browsers.port, browsers.path, browsers.cookie, browsers.seconds):
                    beside.append(run_load(endpoint, CONNECTIONS, seconds, cores.load, work, pause_ms=pause))
            print(f"  calls {f'every {pause} ms' if pause else 'as fast as they can'}", flush=True)
            for name, found in (("alone", alone), (f"{BROWSERS} browsers", beside)):
                rates, p99s = [each.per_second for each in found], [each.p99_ms for each in found]
                print(f"    {name:12} {statistics.median(rates):8.0f} calls/s   p99 {statistics.median(p99s):7.1f} ms")
        for name, took in (
            ("one person, no calls", single.seconds),
            (f"{BROWSERS} people beside calls", browsers.seconds),
        ):
            print(f"  first page, {name}: {_describe(took)}")
    finally:
        stack.stop()
        for program in programs:
            program.stop()


def _describe(seconds: list[float]) -> str:
    ms = sorted(one * 1000 for one in seconds)
    return f"median {ms[len(ms) // 2]:.0f} ms, p95 {ms[len(ms) * 95 // 100]:.0f} ms of {len(ms)}"


def _run(stack: Stack, program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=stack.environment(), check=True
    )
    return ran.stdout.strip().splitlines()[-1]


def _fill(stack: Stack, known: dict[str, object], rows: int) -> None:
    if not rows:
        return
    projects, keys, upstreams = ([UUID(one) for one in ids] for ids in known["ids"])  # type: ignore[attr-defined]
    with psycopg.connect(stack.environment()["DATABASE_OWNER_URL"], autocommit=True) as owner, without_indexes(owner):
        fill(owner, UUID(str(known["org"])), projects, keys, upstreams, rows, datetime.now(UTC))


def main() -> None:
    """Both ways, one after the other."""
    parser = argparse.ArgumentParser(prog="bench.pages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--apart", action="store_true", help="only with pages in processes of their own")
    options = parser.parse_args()
    for is_apart in (True,) if options.apart else (False, True):
        with tempfile.TemporaryDirectory(prefix="pages-") as folder:
            Path(folder).chmod(0o711)  # PostgreSQL drops root's rights and must still pass through
            measure(Path(folder), is_apart=is_apart, seconds=options.seconds, rows=options.rows)


if __name__ == "__main__":
    main()
