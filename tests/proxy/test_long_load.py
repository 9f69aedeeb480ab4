"""Hours of load on the product with everything switched on: what it holds at the end is what it held when it was warm.

That is said of proxies, pages, Celery's workers and the beat, process by process; of proxies also of the tasks on their
event loops. The load of calls is 70 % of what the same proxies can do, measured first; beside them somebody reads pages
of the console and lists of the API, hands in batches, and has calls answered by a deadline, of which a webhook is told,
as it is of alerts. ``make soak`` runs it for ``COSTHUB_SOAK_MINUTES`` (30), and for as long again with a worker killed
each minute; the suite for some seconds.
"""

import asyncio
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
import pytest
from django.db import connections
from prometheus_client.multiprocess import MultiProcessCollector
from standardwebhooks import Webhook, WebhookVerificationError

from billing.alerts.actions.channels import create_channel
from billing.choices import ChannelKind
from proxy.ledger import drain, recount
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.capture import create_capture_policy
from tenants.actions.compression import create_compression_policy
from tenants.actions.orgs import update_organization
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetAction, BudgetScope, CacheMode, LimitUnit, Mode, RouteKind
from tests.bank import Bank
from tests.hooks import Received, Receiver, run_receiver
from tests.patience import PATIENCE_SECONDS
from tests.proxy.beside import BRIEFLY, FOR_LONG, LINES, Beside, Busy, Held, Kinds, keep_busy, run_beside
from tests.proxy.books import close_the_day, open_holds
from tests.proxy.cache.calls import make_policy
from tests.proxy.deployment import NO_TLS, deploy
from tests.proxy.load import CHAT, Body, Outcome, call_once
from tests.proxy.scene import BILL_PATH, Scene, acme
from tests.proxy.test_cascades import SURE, UNSURE
from tests.tenants.route_examples import make_route
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

__all__ = ["acme"]

MINUTES: Final = float(os.environ.get("COSTHUB_SOAK_MINUTES", "30"))
SHARE: Final = 0.7
KEY: Final = "Idempotency-Key"
CLIENTS: Final = 16
#: how a row and a head say that an answer was kept
HITS: Final = frozenset({"hit-l1", "hit-l2", "hit-semantic"})
#: a run is looked at so many times; in the first of them caches, pools and the allocator's arenas fill
LOOKS: Final = 10
WARM_UP: Final = 3
#: threads of both workers' pools, which start when they are first needed: asyncio's own has as many as cores and four
#: answers that a worker keeps in memory, in bytes
CACHED: Final = str(1024 * 1024)
POOLED: Final = 2 * ((os.cpu_count() or 1) + 4)
#: what is under way for who keeps the other parts busy while nobody else calls, at most
BUSY_TASKS: Final = 8
#: so often tasks are looked at for one count, twice a second
TASK_LOOKS: Final = 6
LOOP_TASKS: Final = "costhub_loop_tasks"
#: dollars a million tokens, in and out
PRICES: Final = {"small": (Decimal("0.15"), Decimal("0.60")), "large": (Decimal("0.30"), Decimal("1.20"))}


def make_mixture(seconds: float, seed: int) -> Iterator[Body]:
    """Calls of every kind until the time is over: of a model and of a cascade, streams and not, again and new, with an
    ``Idempotency-Key``, which is no field of the body, and with answers to be stored."""
    chance, ends = random.Random(seed), time.monotonic() + seconds
    keyed: list[Body] = []
    while time.monotonic() < ends:
        again = chance.random() < 0.3
        text = f"question {chance.randint(1, 50)}" if again else f"{chance.getrandbits(64):x} " * chance.randint(1, 40)
        kind = chance.choice(["small", "small", "cascade", "none", "broken"])
        body: Body = {
            "model": "small" if kind == "broken" else kind,
            "messages": [{"role": "user", "content": text}],
            "stream": chance.random() < 0.5,
            "max_tokens": chance.randint(5, 60),
        }
        orders: dict[str, Any] = {"output_tokens": chance.randint(1, 60)}
        if kind == "cascade":
            orders["logprob"] = chance.choice([SURE, UNSURE])
        if kind == "broken":
            orders |= {"fault": "http_error", "status": 400}
        body |= {"bank": orders}
        if chance.random() < 0.1:
            body["store"] = True
        if chance.random() < 0.1:
            # Some of them are sent once more, and are answered as before.
            keyed = [*keyed[-20:], body | {KEY: f"{seed}-{chance.getrandbits(64):x}"}]
            body = keyed[-1]
        elif keyed and chance.random() < 0.05:
            body = chance.choice(keyed)
        yield body


async def load(
    scene: Scene,
    seconds: float,
    pause: float = 0.0,
    *,
    seed: int = 1,
    every: float = 1.0,
    act: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Calls for so long, each caller at most one each ``pause`` seconds; ``act`` at each ``every``. Gives how each
    ended."""
    bodies, chance = make_mixture(seconds, seed), random.Random(seed)
    outcomes: list[Outcome] = []
    headers = {"authorization": f"Bearer {scene.acme.api_key}", "x-costhub-tags": "team=search"}
    limits = httpx2.Limits(max_connections=CLIENTS)
    next_act = time.monotonic() + every
    async with httpx2.AsyncClient(
        base_url=scene.proxy.base_url,
        headers=headers,
        limits=limits,
        timeout=PATIENCE_SECONDS,
        trust_env=False,
        verify=NO_TLS,
    ) as http:

        async def work() -> None:
            nonlocal next_act
            for body in bodies:
                began = time.monotonic()
                leaves_after = chance.randint(1, 3_000) if chance.random() < 0.02 else None
                sent = {name: value for name, value in body.items() if name != KEY}
                keys = {KEY: body[KEY]} if KEY in body else {}
                outcomes.append(await call_once(http, sent, leaves_after, CHAT, keys))
                if began >= next_act:
                    next_act = began + every
                    await asyncio.to_thread(act)
                await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))

        await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return outcomes


def empty_stream(tenant: Tenant) -> None:
    """What a worker's beat does: what has ended goes into the ledger."""
    try:
        while drain.drain(tenant.org.shard):
            pass
    finally:
        connections.close_all()


@pytest.fixture
def furnished(acme: Tenant, bank: Bank) -> Tenant:
    """Everything on: a cache, exact and by meaning, a cascade, budgets, windows of requests, tokens and dollars,
    compression, stored answers, and calls that are kept to learn from."""
    into, out = PRICES["large"]
    large = make_catalog(
        acme, base_url=bank.base_url, model="large", input_per_million=str(into), output_per_million=str(out)
    )
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=large.upstream, bill_path=BILL_PATH, timeout_ms=20_000)
        update_organization(actor=acme.owner, answers_kept_hours=1)
        create_compression_policy(actor=acme.owner, mode=Mode.ON)
        create_capture_policy(actor=acme.owner, per_mille=200)
    make_route(acme, RouteKind.CASCADE, ["small", "large"], name="cascade")
    make_policy(acme, semantic=CacheMode.SHADOW)
    for unit in (LimitUnit.REQUESTS, LimitUnit.TOKENS, LimitUnit.USD):
        make_rate_limit(acme, 10**9, unit, scope=BudgetScope.ORGANIZATION)
    make_rate_limit(acme, 1_000, LimitUnit.CONCURRENT)
    # Used up within the first seconds, and none that refuses: there is something to alert of.
    make_budget(acme, "0.001", action=BudgetAction.WARN)
    return acme


@pytest.fixture
def receiver(furnished: Tenant) -> Iterator[Receiver]:
    """Acme's webhook: it is told of alerts and of calls with deadlines."""
    with run_receiver() as receiver:
        with org_scope(furnished.org_id):
            _, secret = create_channel(
                actor=furnished.owner, kind=ChannelKind.WEBHOOK, name="Soak", url=receiver.url, gets_calls=True
            )
        assert secret is not None
        signed = Webhook(secret)

        def verify(call: Received) -> bool:
            # As it comes: a signature that is five minutes old is none.
            with suppress(WebhookVerificationError):
                return bool(signed.verify(call.body, call.headers))
            return False

        receiver.takes = verify
        yield receiver
        assert receiver.refused == []


@pytest.fixture
def scene(furnished: Tenant, bank: Bank, tmp_path: Path) -> Iterator[Scene]:
    """Proxies alone."""
    # Answers in the memory of a worker have a bound, which is reached while it warms up: else they are what grows.
    with deploy(tmp_path, workers=2, COSTHUB_CACHE_PROCESS_BYTES=CACHED) as proxy:
        yield Scene(furnished, bank, proxy)


@dataclass(frozen=True)
class House:
    """Proxies, what runs beside them, and who keeps that busy."""

    scene: Scene
    beside: Beside
    busy: Busy
    metrics: Path

    def look(self) -> dict[str, Held]:
        """What is held by whom at this moment."""
        return {"proxy": Held.by(self.scene.proxy.worker_pids), **self.beside.held()}

    def count_tasks(self) -> int:
        """Tasks on the proxies' event loops while nobody calls but who keeps the others busy: the least of some
        seconds, in each of which they are counted once."""
        pause, counts = threading.Event(), []
        for _ in range(TASK_LOOKS):
            pause.wait(0.5)
            families = MultiProcessCollector.merge(map(str, self.metrics.glob("gauge_*.db")))  # type: ignore[no-untyped-call]
            counts += [int(sample.value) for each in families if each.name == LOOP_TASKS for sample in each.samples]
        return min(counts)


@contextmanager
def open_house(world: World, bank: Bank, receiver: Receiver, folder: Path, kinds: Kinds) -> Iterator[House]:
    """The whole product, as `costhub up` runs it, under load beside the calls until the block ends; then jobs and beat
    stop, so that the books can be closed."""
    # A socket's name has to be short.
    with TemporaryDirectory(prefix="costhub-") as short:
        socket, metrics = Path(short) / "s", folder / "metrics"
        with (
            run_beside(folder, socket, kinds) as beside,
            deploy(
                folder,
                workers=2,
                COSTHUB_CACHE_PROCESS_BYTES=CACHED,
                COSTHUB_PAGES_SOCKET=str(socket),
                PROMETHEUS_MULTIPROC_DIR=str(metrics),
            ) as proxy,
        ):
            # All start together: most of a start is imports.
            beside.wait_ready()
            with keep_busy(proxy, world, receiver) as busy:
                yield House(Scene(world.acme, bank, proxy), beside, busy, metrics)


def balance(scene: Scene) -> set[str]:
    """The ledger is the bank's bill, call by call, and no money is held. Gives the ids of the calls that have a row."""
    scene.bank.wait_quiet()
    close_the_day(scene.acme)
    billed: dict[str, int] = defaultdict(int)
    for call in scene.bank.bill():
        billed[call.request_id.partition(":")[0]] += call.cost_nanos(*PRICES[call.model])
    charged: dict[str, int] = defaultdict(int)
    rows: list[str] = []
    with org_scope(scene.acme.org_id):
        for row in LedgerEntry.objects.filter(org_id=scene.acme.org_id).iterator():
            charged[str(row.corrects or row.id)] += row.effective_cost
            if row.kind == "call":
                rows.append(str(row.id))
    assert {call: nanos for call, nanos in charged.items() if nanos} == {call: n for call, n in billed.items() if n}
    assert sorted(charged) == sorted(rows)
    assert open_holds(scene.acme.org) == []
    assert recount.find_drift(scene.acme.org.shard) == []
    return set(rows)


def soak(house: House, seconds: float) -> tuple[list[dict[str, Held]], list[int], int]:
    """What is held, by part, and how many tasks there are, from the moment at which all is warm to the end, look by
    look; and how many calls there were."""
    scene = house.scene
    tenant = scene.acme
    most = len(asyncio.run(load(scene, max(3.0, seconds / 20))))
    house.beside.run_slow_jobs()
    rate = SHARE * most / max(3.0, seconds / 20)
    pause = CLIENTS / rate
    made, looks, tasks = most, [], []
    for seed in range(LOOKS):
        part = load(scene, seconds / LOOKS, pause, seed=seed, act=lambda: empty_stream(tenant))
        made += len(asyncio.run(part))
        looks.append(house.look())
        if seed in {WARM_UP - 1, LOOKS - 1}:
            tasks.append(house.count_tasks())
    return looks[WARM_UP - 1 :], tasks, made


def report(what: str, looks: list[dict[str, Held]], tasks: list[int], made: int, busy: Busy) -> None:
    """For who runs it with ``-s``."""
    print(f"\n{what}: {made} calls, {busy.pages} pages, {busy.answers} lists, {busy.batches} batches,", end=" ")
    print(f"{len(busy.deferred)} calls with deadlines; webhooks told of {len(busy.told('deferred.'))} of them", end=" ")
    print(f"and of {len(busy.told('alert.'))} alerts; tasks {' -> '.join(map(str, tasks))}")
    for name in looks[0]:
        warm, end = looks[0][name], looks[-1][name]
        grown = 100 * (end.memory / warm.memory - 1)
        print(f"  {name}: {warm.memory >> 20} -> {end.memory >> 20} MiB ({grown:+.2f} %);", end=" ")
        print("KiB, look by look:", " ".join(str(look[name].memory >> 10) for look in looks), end="; ")
        print(f"descriptors {warm.descriptors} -> {end.descriptors}, threads {warm.threads} -> {end.threads}")


def check(looks: list[dict[str, Held]], tasks: list[int], made: int, house: House) -> None:
    """No descriptor, no thread, no task and no hold is left, webhooks were told of all that they were to be told of,
    nothing went wrong beside the calls, and the books balance."""
    assert house.busy.wrong == []
    assert sorted(house.busy.told("deferred.")) == sorted(house.busy.deferred)
    assert house.busy.told("alert.")
    warm_tasks, tasks_left = tasks
    assert tasks_left <= warm_tasks + BUSY_TASKS
    for name in looks[0]:
        warm, end = looks[0][name], looks[-1][name]
        # Connections to the upstream, one a caller of a moment: as many as there are callers, and not with the calls.
        assert end.descriptors <= warm.descriptors + 2 * CLIENTS, name
        assert end.threads <= warm.threads + POOLED, name
    # A batch and each of its lines is a call of its own, and so is a call with a deadline when it is asked.
    others = house.busy.batches * (LINES + 1) + 2 * len(house.busy.deferred)
    assert len(balance(house.scene)) <= made + others


@pytest.mark.usefixtures("furnished")
def test_some_seconds_leave_no_descriptor_and_no_hold(
    committed_world: World, bank: Bank, receiver: Receiver, tmp_path: Path
) -> None:
    with open_house(committed_world, bank, receiver, tmp_path, BRIEFLY) as house:
        looks, tasks, made = soak(house, 6)
    report("6 s", looks, tasks, made, house.busy)
    assert made >= 100
    assert house.busy.pages >= 1
    assert house.busy.batches >= 1
    assert house.busy.deferred
    check(looks, tasks, made, house)


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 * 2 + 600)
@pytest.mark.usefixtures("furnished")
def test_memory_is_flat(committed_world: World, bank: Bank, receiver: Receiver, tmp_path: Path) -> None:
    with open_house(committed_world, bank, receiver, tmp_path, FOR_LONG) as house:
        looks, tasks, made = soak(house, MINUTES * 60)
    report(f"{MINUTES:g} min", looks, tasks, made, house.busy)
    check(looks, tasks, made, house)
    grown = {name: looks[-1][name].memory / looks[0][name].memory for name in looks[0]}
    assert {name: share for name, share in grown.items() if share >= 1.02} == {}


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 * 2 + 600)
def test_a_worker_dies_each_minute(scene: Scene) -> None:
    killed: list[int] = []
    held: set[str] = set()

    def act() -> None:
        empty_stream(scene.acme)
        killed.append(scene.proxy.kill_worker(scene.bank.port))
        held.update(open_holds(scene.acme.org))

    outcomes = asyncio.run(load(scene, MINUTES * 60, 0.05, every=60, act=act))
    assert len(killed) >= int(MINUTES) - 1
    rows = balance(scene)
    # What was under way when a worker died has a row if money was held for it. What has none was never held, is not on
    # the bank's bill (the books balance), and its caller was told nothing.
    assert held <= rows
    untold = [outcome for outcome in outcomes if not outcome.status]
    # A hit and a model that there is not hold nothing: who is killed before it has sent such a row has answered it all
    # the same.
    lost = [outcome for outcome in outcomes if outcome.status and outcome.request_id not in rows]
    assert [each for each in lost if each.cache not in HITS and each.error_code != "model_not_found"] == []
    assert len(lost) <= len(killed) * CLIENTS
    without = len(outcomes) - len(rows)
    assert 0 <= without - len(lost) <= len(untold)
    print(f"\n{MINUTES:g} min: {len(outcomes)} calls, {len(killed)} workers killed, {len(rows)} rows,", end=" ")
    print(f"{len(untold)} callers told nothing, {without - len(lost)} of their calls never held,", end=" ")
    print(f"{len(lost)} that held nothing without a row")
