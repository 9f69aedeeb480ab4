"""`costhub doctor`: a table of checks over a running stack, each a sentence for a person."""

import http
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from smtplib import SMTPException
from typing import Any, Final, cast
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.core import mail
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from costhub.lib import clock
from costhub.lib.money import format_usd
from costhub.lib.redis import connect, each_server, is_cluster
from costhub.ops.jobs import read_ages
from costhub.ops.watch import ARCHIVED
from costhub.stack.backup import state as archive
from costhub.stack.model_server import get_status
from costhub.stack.private_files import read_json
from costhub.stack.services import BatchWorker, SlowWorker, Worker, find_served_queues
from proxy.ledger.recount import RecountFailed, find_drift
from tenants.access import list_org_ids, list_shards
from tenants.selectors import load_org_snapshot

#: the least that is needed of a Valkey that keeps what is nowhere else: (setting, value, what would do harm)
VALKEY_NEEDS: Final = (
    ("maxmemory-policy", "noeviction", "memory pressure would drop {kept}"),
    ("appendonly", "yes", "a restart would lose {kept}"),
)
#: and of each master of a cluster
CLUSTER_NEEDS: Final = (
    ("cluster-require-full-coverage", "no", "while one master is away all others would refuse every call"),
)
ANSWER_SECONDS: Final = 3.0
#: what stands still while nobody takes from a worker's queue
_WORKERS: Final = (
    (Worker, "the ledger is not drained and nobody is alerted"),
    (SlowWorker, "sums, forecasts, corrections and recounts stand still"),
    (BatchWorker, "batches stand still"),
)
#: a sentence names so many of what it found, and the number of all
NAMED: Final = 5


@dataclass(frozen=True)
class Check:
    """One thing looked at: what, whether it works, and a sentence that says what was found or what to do.
    ``is_warning``: it works, and somebody should look at it."""

    name: str
    ok: bool
    sentence: str
    is_warning: bool = False


@dataclass(frozen=True)
class Subject:
    """What is examined: the announcement of a running `costhub up` (empty when there is none)."""

    data_dir: Path
    announced: dict[str, Any]

    def pid(self, part: str) -> int | None:
        found = self.announced.get("pids", {}).get(part)
        return int(found) if found else None


def check_postgres(subject: Subject) -> Check:
    """PostgreSQL answers the application's role, and that role is one that row-level security binds."""
    name = "PostgreSQL"
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), current_user, rolsuper OR rolbypassrls,"
                " (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
                " FROM pg_roles WHERE rolname = current_user"
            )
            row = cursor.fetchone()
    except DatabaseError as error:
        return Check(name, ok=False, sentence=f"does not answer: {_first_line(error)}")
    version, role, unbound, vector = row or ("?", "?", False, None)
    if unbound:
        return Check(name, ok=False, sentence=f"{role} bypasses row-level security: give the application another role")
    if vector is None:
        return Check(name, ok=False, sentence=f"{version} lacks pgvector: run CREATE EXTENSION vector as a superuser")
    return Check(name, ok=True, sentence=f"{version} with pgvector {vector} answers {role}")


def check_valkey(subject: Subject) -> Check:
    """Valkey answers, and keeps what it is told to keep."""
    return _check_store("Valkey", settings.REDIS_URL, "counters")


def check_broker(subject: Subject) -> Check:
    """The same of the Valkey that Celery's queue has of its own, where it has one."""
    if settings.BROKER_URL == settings.REDIS_URL:
        return Check("Broker", ok=True, sentence="the queue is in Valkey, with all else")
    return _check_store("Broker", settings.BROKER_URL, "what is queued")


def _check_store(name: str, url: str, kept: str) -> Check:
    try:
        with connect(url, decode_responses=True) as store:
            servers = each_server(store)
            needs = VALKEY_NEEDS + (CLUSTER_NEEDS if is_cluster(store) else ())
            versions = set()
            for server in servers:
                found = cast("dict[str, str]", server.config_get(*(setting for setting, _, _ in needs)))
                for setting, wanted, harm in needs:
                    if found.get(setting) != wanted:
                        told = f"{setting} is {found.get(setting)!r}, not {wanted!r}: {harm.format(kept=kept)}"
                        return Check(name, ok=False, sentence=told)
                server_info = cast("dict[str, str]", server.info("server"))
                versions.add(server_info.get("valkey_version") or server_info.get("redis_version") or "?")
    except redis.RedisError as error:
        return Check(name, ok=False, sentence=f"does not answer: {_first_line(error)}")
    masters = f" on {len(servers)} masters" if len(servers) > 1 else ""
    told = f"{', '.join(sorted(versions))} answers{masters}, append-only file on, nothing evicted"
    return Check(name, ok=True, sentence=told)


def check_migrations(subject: Subject) -> Check:
    """No migration waits to be applied."""
    name = "Migrations"
    try:
        executor = MigrationExecutor(connections["owner"])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Check(name, ok=False, sentence=f"cannot be read: {_first_line(error)}")
    if pending:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in pending)
        return Check(
            name, ok=False, sentence=f"{len(pending)} pending ({names}): run `manage.py migrate --database owner`"
        )
    return Check(name, ok=True, sentence="all applied")


def check_proxy(subject: Subject) -> Check:
    """The proxy answers /readyz."""
    address = urlsplit(subject.announced.get("base_url", ""))
    if not address.port:
        return Check(
            "Proxy", ok=False, sentence=f"no stack.json in {subject.data_dir}: start the stack with `costhub up`"
        )
    status = get_status(address.port, "/readyz", timeout_seconds=5)
    if status != http.HTTPStatus.OK:
        return Check("Proxy", ok=False, sentence=f"/readyz of port {address.port} answers {status or 'nothing'}")
    return Check("Proxy", ok=True, sentence=f"ready on port {address.port}")


def check_worker(subject: Subject) -> Check:
    """From each queue a Celery worker takes its messages."""
    served = find_served_queues(settings.BROKER_URL, ANSWER_SECONDS)
    missing = [
        f"nobody takes from the queue {worker.queue}: {loss}; see logs/{worker.name}.log, or start a Celery worker with "
        f"--queues {worker.queue}"
        for worker, loss in _WORKERS
        if worker.queue not in served
    ]
    if missing:
        return Check("Worker", ok=False, sentence=". ".join(missing))
    return Check("Worker", ok=True, sentence="every queue has one that answers")


def check_beat(subject: Subject) -> Check:
    """The stack's Celery beat lives."""
    pid = subject.pid("beat")
    if pid is None or not Path(f"/proc/{pid}").exists():
        return Check("Beat", ok=False, sentence="no beat of this stack runs: nothing is scheduled; see logs/beat.log")
    return Check("Beat", ok=True, sentence=f"runs as process {pid}")


def check_jobs(subject: Subject) -> Check:
    """Every job of the schedule has succeeded lately."""
    name = "Jobs"
    try:
        late = [age for age in read_ages() if age.is_late]
    except redis.RedisError as error:
        return Check(name, ok=False, sentence=f"cannot be read: {_first_line(error)}")
    if late:
        told = [f"{age.job.name} ({_ago(age.seconds)})" for age in late]
        return Check(name, ok=False, sentence=f"late: {_name_some(told)}; see logs/worker.log and logs/beat.log")
    return Check(name, ok=True, sentence="every job has succeeded lately")


def check_backups(subject: Subject) -> Check:
    """The archive of the stack, where it has one, has kept the log and a base backup lately."""
    name, ages = "Backups", archive.read_ages(settings.ARCHIVE_STATE)
    if not ages:
        return Check(name, ok=True, sentence="this stack keeps none: COSTHUB_BACKUP_URL is not set")
    late = [
        f"{told} has not been kept for {ages[kept]:.0f} s. {advice}"
        for kept, (told, advice) in ARCHIVED.items()
        if ages[kept] > archive.LATE_AFTER[kept]
    ]
    if late:
        return Check(name, ok=False, sentence=" ".join(late))
    missing = [kept for kept in ages if not archive.was_kept(settings.ARCHIVE_STATE, kept)]
    if missing:
        told = f"of {' and '.join(missing)} nothing is kept yet, since {_ago(max(ages.values()))}: take a base with"
        return Check(name, ok=True, is_warning=True, sentence=f"{told} `costhub backup`")
    return Check(name, ok=True, sentence=", ".join(f"{kept} kept {_ago(seconds)}" for kept, seconds in ages.items()))


def check_model(subject: Subject) -> Check:
    """The demo's model server answers, where the stack has one."""
    if "model" not in subject.announced.get("pids", {}):
        return Check("Model server", ok=True, sentence="not part of this stack")
    port = int(read_json(subject.data_dir / "model.json").get("port", 0))
    if get_status(port, "/health") != http.HTTPStatus.OK:
        return Check("Model server", ok=False, sentence=f"does not answer on port {port}; see logs/model.log")
    return Check("Model server", ok=True, sentence=f"answers on port {port}")


def check_prices(subject: Subject) -> Check:
    """Every active model of every organisation has a price now: calls to one without are refused."""
    name = "Prices"
    try:
        unpriced = find_unpriced_models()
    except DatabaseError as error:
        return Check(name, ok=False, sentence=f"cannot be read: {_first_line(error)}")
    if unpriced:
        return Check(
            name,
            ok=True,
            is_warning=True,
            sentence=f"no price now for {_name_some(unpriced)}: calls to them are refused until their organisation "
            "gives them a price or has a fallback price",
        )
    return Check(name, ok=True, sentence="every active model has one")


def check_address(subject: Subject) -> Check:
    """What mails and webhooks link to is an address that people can open."""
    name = "Address"
    if not settings.PUBLIC_URL:
        return Check(
            name, ok=True, is_warning=True, sentence="COSTHUB_PUBLIC_URL is not set: mails link to this machine"
        )
    url = urlsplit(settings.PUBLIC_URL)
    told = f"people find the console at {settings.PUBLIC_URL}"
    if settings.PRODUCTION and _is_this_machine(url.hostname or ""):
        told = f"COSTHUB_PUBLIC_URL is {settings.PUBLIC_URL}, where nobody but this machine finds the console"
        return Check(name, ok=False, sentence=f"{told}: mails link to it")
    if settings.PRODUCTION and url.scheme != "https":
        told = f"COSTHUB_PUBLIC_URL is {settings.PUBLIC_URL}: without https passwords and keys can be read on the way"
        return Check(name, ok=True, is_warning=True, sentence=told)
    return Check(name, ok=True, sentence=told)


def check_mail(subject: Subject) -> Check:
    """The mail server takes a connection, and whom it knows."""
    name = "Mail"
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        folder = getattr(settings, "EMAIL_FILE_PATH", None)
        where = f"written to {folder}" if folder else "sent nowhere"
        told = f"mails are {where}: set COSTHUB_SMTP_URL to have them sent"
        return Check(name, ok=True, is_warning=settings.PRODUCTION, sentence=told)
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        with mail.get_connection():
            return Check(name, ok=True, sentence=f"{where} answers")
    except (SMTPException, OSError) as error:
        return Check(name, ok=False, sentence=f"{where} takes no mail: {_first_line(error)}")


def find_unpriced_models() -> list[str]:
    """``organisation/model`` of every active model that has no price in effect now, its own or any other."""
    now_ms = clock.now_ms()
    unpriced = []
    for org_id in list_org_ids():
        org = load_org_snapshot(str(org_id))
        if org is not None and org.is_active:
            unpriced += [
                f"{org.slug}/{model.name}" for model in org.models.values() if model.find_price(now_ms) is None
            ]
    return sorted(unpriced)


def check_counters(subject: Subject) -> Check:
    """What Valkey has counted as spent is what the ledger says, budget by budget."""
    name = "Counters"
    try:
        differing = [drift for shard in list_shards() for drift in find_drift(shard)]
    except (DatabaseError, redis.RedisError) as error:
        return Check(name, ok=False, sentence=f"cannot be compared with the ledger: {_first_line(error)}")
    except RecountFailed:
        return Check(name, ok=False, sentence="cannot be compared with the ledger: its drain is too far behind")
    if differing:
        told = [
            f"{counter} has {format_usd(counted)} for {format_usd(booked)}" for counter, counted, booked in differing
        ]
        return Check(
            name,
            ok=False,
            sentence=f"not what the ledger says: {_name_some(told)}: the worker's recount sets them right",
        )
    return Check(name, ok=True, sentence="agree with the ledger")


#: the table: every check of the doctor, in the order in which a person would look
CHECKS: Final[tuple[Callable[[Subject], Check], ...]] = (
    check_postgres,
    check_valkey,
    check_broker,
    check_migrations,
    check_proxy,
    check_worker,
    check_beat,
    check_jobs,
    check_backups,
    check_model,
    check_address,
    check_mail,
    check_prices,
    check_counters,
)


def examine(data_dir: Path) -> list[Check]:
    """Run every check of the table. Django must have been set up with the stack's environment."""
    subject = Subject(data_dir, read_json(data_dir / "stack.json"))
    return [check(subject) for check in CHECKS]


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _name_some(found: Sequence[str]) -> str:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if isfinite(seconds) else "never"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
