"""What an operator's tools ask: is it alive, is it ready, what does it count."""

from pathlib import Path
from threading import Event
from typing import Final, cast

import redis
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from redis.exceptions import RedisError

from costhub.lib import metrics
from costhub.lib.redis import client, each_server
from costhub.ops.backlog import count_queued, read_backlog
from costhub.ops.jobs import read_ages
from costhub.stack.backup import state as archive
from proxy.telemetry.figures import Figures, read_figures

#: a database that has all that this process knows of keeps it. Looking takes as long as hundreds of calls
_was_migrated: Final = Event()


@transaction.non_atomic_requests
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "alive"})


@transaction.non_atomic_requests
def readyz(request: HttpRequest) -> HttpResponse:
    """PostgreSQL and Valkey answer, and the database is migrated; 503 names what is not. ``?for=calls`` asks what no
    call can do without: a Valkey, and of a cluster one master. While PostgreSQL is away calls go on, so that who
    balances them must not take their proxies away."""
    if request.GET.get("for") == "calls":
        checks = {"valkey": _some_valkey_answers()}
    else:
        is_there = _database_answers()
        checks = {"postgresql": is_there, "valkey": _valkey_answers(), "migrations": is_there and _is_migrated()}
    return JsonResponse({"checks": checks}, status=200 if all(checks.values()) else 503)


@transaction.non_atomic_requests
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus's text format, summed over this machine's proxy processes; whatever is away, what is here is told.

    Figures of all tenants: what came by way of the proxy that callers come by is none of Prometheus's, and finds
    nothing here.
    """
    if settings.TRUSTED_PROXIES and "X-Forwarded-For" in request.headers:
        raise Http404
    _read_valkey()
    for kept, seconds in archive.read_ages(settings.ARCHIVE_STATE).items():
        metrics.ARCHIVE_AGE.labels(kept).set(seconds)
    registry = metrics.collect_processes(Path(settings.METRICS_DIR)) if settings.METRICS_DIR else REGISTRY
    return HttpResponse(generate_latest(registry) + _tell_figures(), content_type=CONTENT_TYPE_LATEST)


def _tell_figures() -> bytes:
    try:
        figures = read_figures()
    except RedisError:
        return b""  # Prometheus takes an absent series for what it is
    return _figures_text.of(figures)


class _FiguresText:
    """Text of the figures, made again when they have changed: for a thousand organisations that takes 45 ms, which the
    calls of this process would wait for at every scrape."""

    def __init__(self) -> None:
        self._made: tuple[Figures, bytes] = (Figures(), b"")

    def of(self, figures: Figures) -> bytes:
        known, text = self._made
        if figures != known:
            registry = CollectorRegistry()
            registry.register(metrics.LedgerFigures(figures.day_costs, figures.remaining, figures.drift))
            text = generate_latest(registry)
            self._made = figures, text
        return text


_figures_text = _FiguresText()


def _read_valkey() -> None:
    backlog = read_backlog()
    metrics.HOLDS_OPEN.set(backlog.holds)
    metrics.LEDGER_UNREAD.set(backlog.events)
    metrics.LEDGER_LAG.set(backlog.lag_seconds)
    metrics.SHARDS_AWAY.set(len(backlog.away))
    try:
        queued, ages = count_queued(), read_ages()
    except RedisError:
        # What was read last of jobs stays. That nobody knows better is what an alert is for.
        metrics.QUEUE_AWAY.set(1)
        return
    metrics.QUEUE_AWAY.set(0)
    metrics.QUEUED.set(queued)
    for age in ages:
        metrics.JOB_AGE.labels(age.job.name).set(age.seconds)
        metrics.JOB_LATE_AFTER.labels(age.job.name).set(age.job.late_after_seconds)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cast("tuple[int]", cursor.fetchone())[0] == 1
    except AnyDatabaseError:
        return False


def _valkey_answers() -> bool:
    return _answers(client())


def _some_valkey_answers() -> bool:
    try:
        servers = each_server(client())
    except RedisError:
        return False
    return any(_answers(server) for server in servers)


def _answers(server: redis.Redis) -> bool:
    try:
        return bool(server.ping())
    except RedisError:
        return False


def _is_migrated() -> bool:
    if _was_migrated.is_set():
        return True
    try:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            _was_migrated.set()
    except AnyDatabaseError:
        return False
    return _was_migrated.is_set()
