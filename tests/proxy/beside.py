"""What runs beside proxies under long load, as `costhub up` has it: pages, the Celery workers and a beat; and who keeps
these busy: somebody who reads the console's pages, somebody who hands in batches and waits for them, and somebody who
has calls answered later and is told of it by a webhook."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import orjson
import psutil
from django.conf import settings
from django.test import Client

from costhub.celery import app
from costhub.lib import clock
from costhub.lib.keyspace import SLOW_QUEUE
from costhub.ops.jobs import read_ages
from costhub.ops.schedule import JOBS
from costhub.stack.services import BatchWorker, Beat, Pages, Service, SlowWorker, Worker
from tests.hooks import Receiver
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import BOUNDARY, form, line
from tests.proxy.deployment import NO_TLS, PATIENT, ROOT, Deployment
from tests.stack.queue import clean_queue
from tests.world import Tenant, World

Kinds = tuple[type[Service], ...]
#: within seconds none of the slow jobs is due twice
BRIEFLY: Final[Kinds] = (Pages, Worker, BatchWorker, Beat)
FOR_LONG: Final[Kinds] = (*BRIEFLY, SlowWorker)
LINES: Final = 12
#: pages of an organisation that look at what calls leave, and what an admin's program asks for
PAGES: Final = ("", "breakdown", "requests", "alerts", "budgets", "cache", "batches", "keys")
ASKED: Final = ("spend", "requests", "budgets", "batches")
#: between two of them: nobody reads faster, and pages give way to calls
PAUSE_SECONDS: Final = 0.5
BATCH_SECONDS: Final = 300.0
#: all jobs have run once by then: one of them trains
JOBS_SECONDS: Final = 300.0
#: a call with a deadline comes as often
DEFER_SECONDS: Final = 1.0
_OVER: Final = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True)
class Held:
    """What processes hold: resident bytes of each, descriptors and threads of all."""

    each: tuple[int, ...]
    descriptors: int
    threads: int

    @classmethod
    def by(cls, pids: list[int]) -> "Held":
        """Over all of these, at this moment."""
        found = [psutil.Process(pid) for pid in pids]
        return cls(
            tuple(each.memory_info().rss for each in found),
            sum(each.num_fds() for each in found),
            sum(each.num_threads() for each in found),
        )

    @property
    def memory(self) -> int:
        """Resident bytes of all of them."""
        return sum(self.each)


@dataclass(frozen=True)
class Beside:
    """The processes, by their names."""

    parts: dict[str, Service]

    def wait_ready(self) -> None:
        """Return when all of them work."""
        for part in self.parts.values():
            part.wait_ready(PATIENCE_SECONDS)

    def run_slow_jobs(self) -> None:
        """Have each slow job run once, if a worker for them is here, and return when all have. What a job's first run
        imports stays in memory: of those that are due once an hour a run of half an hour would see the first alone."""
        if SlowWorker.name not in self.parts:
            return
        asked_ms, asked = clock.now_ms(), {job.task for job in JOBS if job.is_slow}
        for task in asked:
            app.send_task(task, queue=SLOW_QUEUE)

        def have_run() -> bool:
            since = (clock.now_ms() - asked_ms) / 1000
            return all(age.seconds <= since for age in read_ages() if age.job.task in asked)

        pause, ends = threading.Event(), time.monotonic() + JOBS_SECONDS
        while not have_run():
            assert time.monotonic() < ends, [age for age in read_ages() if age.is_late]
            pause.wait(0.5)

    def held(self) -> dict[str, Held]:
        """What each holds, with those that it has forked."""
        found = {}
        for name, part in self.parts.items():
            assert part.pid is not None, f"{name} has ended: {part.log_path.read_text()[-2000:]}"
            whole = psutil.Process(part.pid)
            pids = [whole.pid, *(child.pid for child in whole.children(recursive=True))]
            found[name] = Held.by(sorted(pids))
        return found


@contextmanager
def run_beside(folder: Path, pages_socket: Path, kinds: Kinds) -> Iterator[Beside]:
    """Start all of them at once, and wait for none; they are killed behind the block, as nobody may rely on more."""
    environment = os.environ | PATIENT | {"COSTHUB_PAGES_SOCKET": str(pages_socket), "PYTHONPATH": str(ROOT)}
    with clean_queue(), ExitStack() as stack:
        parts: dict[str, Service] = {}
        for kind in kinds:
            home = folder / kind.name
            home.mkdir()
            part = parts[kind.name] = kind(home, environment)
            part.start()
            stack.callback(part.reap)
            stack.callback(part.kill)
        yield Beside(parts)


@dataclass
class Busy:
    """Who keeps them busy, and what came of it. ``wrong`` is whatever was not as it should be."""

    proxy: Deployment
    acme: Tenant
    cookie: str
    receiver: Receiver
    pages: int = 0
    answers: int = 0
    batches: int = 0
    deferred: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def read_pages(self) -> None:
        """Page after page of the console, and list after list of the API."""
        with self._client() as http:
            http.cookies.set(settings.SESSION_COOKIE_NAME, self.cookie)
            number = 0
            while not self.is_over.wait(PAUSE_SECONDS):
                page, asked = PAGES[number % len(PAGES)], ASKED[number % len(ASKED)]
                number += 1
                shown = http.get(f"{self.proxy.root_url}/o/{self.acme.org.slug}/{page}")
                told = http.get(
                    f"{self.proxy.root_url}/api/v1/{asked}",
                    headers={"authorization": f"Bearer {self.acme.admin_token}"},
                )
                self.pages, self.answers = self.pages + 1, self.answers + 1
                self.wrong += [f"{one.url}: {one.status_code}" for one in (shown, told) if one.status_code != 200]

    def make_batches(self) -> None:
        """A file, a batch of it, its answers, and the file deleted; again and again."""
        headers = {"authorization": f"Bearer {self.acme.api_key}"}
        content = b"".join(orjson.dumps(line(number)) + b"\n" for number in range(LINES))
        form_type = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        with self._client(base_url=self.proxy.base_url, headers=headers) as http:
            while not self.is_over.is_set():
                file: Any = http.post("/files", content=form(content), headers=form_type).raise_for_status().json()
                asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
                batch: Any = http.post("/batches", json=asked).raise_for_status().json()
                ends = time.monotonic() + BATCH_SECONDS
                while batch["status"] not in _OVER and time.monotonic() < ends:
                    # Whether it is over by now: one that was handed in is waited for.
                    self.is_over.wait(0.1)
                    batch = http.get(f"/batches/{batch['id']}").raise_for_status().json()
                self.batches += 1
                if (batch["status"], batch["request_counts"]["completed"]) != ("completed", LINES):
                    self.wrong.append(f"batch {batch['id']}: {batch['status']}, {batch['request_counts']}")
                    continue
                lines = http.get(f"/files/{batch['output_file_id']}/content").raise_for_status().text
                if (count := len(lines.splitlines())) != LINES:
                    self.wrong.append(f"batch {batch['id']}: {count} answers")
                for gone in (file["id"], batch["output_file_id"]):
                    http.delete(f"/files/{gone}").raise_for_status()

    def defer_calls(self) -> None:
        """A call with a deadline, again and again; in the end the webhook has been told of each."""
        headers = {"authorization": f"Bearer {self.acme.api_key}", "x-costhub-deadline": "900"}
        with self._client(base_url=self.proxy.base_url, headers=headers) as http:
            while not self.is_over.wait(DEFER_SECONDS):
                text = f"Later, please: {len(self.deferred)}"
                body = {"model": "small", "messages": [{"role": "user", "content": text}], "max_tokens": 20}
                taken = http.post("/chat/completions", json=body)
                if taken.status_code != 202:
                    self.wrong.append(f"a call with a deadline: {taken.status_code} {taken.text[:200]}")
                    continue
                self.deferred.append(taken.json()["id"])
        pause, ends = threading.Event(), time.monotonic() + BATCH_SECONDS
        while (missing := self._untold()) and time.monotonic() < ends:
            pause.wait(0.1)
        self.wrong += [f"nobody was told of {name}" for name in missing]

    def _untold(self) -> list[str]:
        missing = sorted(set(self.deferred) - set(self.told("deferred.")))
        return missing if self.told("alert.") else ["an alert", *missing]

    def told(self, kind: str) -> list[str]:
        """What webhooks were told of, by its id: one message of each, however often it was sent."""
        found: dict[str, str] = {}
        for call in list(self.receiver.calls):
            message = orjson.loads(call.body)
            if message["type"].startswith(kind):
                found[call.headers["webhook-id"]] = message["data"]["id"]
        return list(found.values())

    @staticmethod
    def _client(**options: Any) -> httpx2.Client:
        return httpx2.Client(timeout=PATIENCE_SECONDS, trust_env=False, verify=NO_TLS, **options)


@contextmanager
def keep_busy(proxy: Deployment, world: World, receiver: Receiver) -> Iterator[Busy]:
    """Have pages read, batches made and calls deferred, until the block ends, the last batch has come to its end, and
    the last webhook has been told."""
    browser = Client()
    browser.force_login(world.ada)
    busy = Busy(proxy, world.acme, browser.cookies[settings.SESSION_COOKIE_NAME].value, receiver)

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            busy.wrong.append(f"{act.__name__}: {error!r}")

    acts = (busy.read_pages, busy.make_batches, busy.defer_calls)
    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield busy
    finally:
        busy.is_over.set()
        for thread in threads:
            thread.join()
