"""The measurements of ``bench.semantic``: in the process that has Django, in the database that it made."""

import json
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import numpy as np
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from numpy.typing import NDArray

from costhub.lib.keyspace import shard_of
from proxy.cache import semantic_store
from proxy.cache.entries import Kept, pack
from proxy.cache.minilm import MiniLM
from proxy.cache.semantic_store import SIGNS_UP_TO, spell_vector
from proxy.values.attempt import Usage
from tenants.access import org_scope
from tenants.actions.orgs import create_organization

Vectors = NDArray[np.float32]

CENTRES: Final = 4_000
#: how far questions lie around their subject: two of one subject then have a cosine of about 0.74
SPREAD: Final = 0.6
LOOKUPS: Final = 300
#: the shares of three organisations: one that is searched through the index, one that is looked through by the signs of
#: its vectors, and a small one
LARGE: Final = 0.2
MIDDLE: Final = 0.04
SMALL: Final = 0.001
SENTENCE: Final = "How do I change the delivery address of an order that was placed yesterday?"
_BATCH: Final = 5_000
_EPOCH_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)


def measure(
    entries: int, organizations: int, centres: Vectors | None, *, with_vector: bool, processes: int
) -> Iterator[str]:
    """Fill, index, look up; the report line by line. ``centres``: vectors of questions around which others lie.
    ``processes``: how many build an index; the seconds of a core are then those of one of them."""
    call_command("migrate", database="owner", verbosity=0)
    owner = psycopg.connect(_owner_address(), autocommit=True)
    orgs = [create_organization(name=f"Org {number}", acting_name="bench").org.pk for number in range(3)]
    orgs += _make_orgs(owner, organizations - 3)
    chance = np.random.default_rng(1)
    centres = _unit(chance.standard_normal((CENTRES, 384), np.float32)) if centres is None else centres
    row = owner.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'cache_entries_by_meaning'").fetchone()
    assert row is not None
    owner.execute("DROP INDEX cache_entries_by_meaning")
    began = time.perf_counter()
    # Nobody copies into a table under row-level security, not even its owner.
    owner.execute("ALTER TABLE proxy_cacheentry NO FORCE ROW LEVEL SECURITY")
    _fill(owner, orgs, entries, centres, chance)
    owner.execute("ALTER TABLE proxy_cacheentry FORCE ROW LEVEL SECURITY")
    yield f"{entries:,} entries of {organizations:,} organisations written in {time.perf_counter() - began:.0f} s"
    owner.execute("SET maintenance_work_mem = '2GB'")
    owner.execute(f"SET max_parallel_maintenance_workers = {processes - 1}")
    model = MiniLM()
    model.embed([SENTENCE])
    embeds = [_spend(lambda: model.embed([SENTENCE])) for _ in range(100)]
    yield f"vector of a question of 14 words: {_tell(embeds)}"
    if with_vector:
        yield _build(
            owner, "vectors", "CREATE INDEX by_whole_floats ON proxy_cacheentry USING hnsw (embedding vector_ip_ops)"
        )
        owner.execute("DROP INDEX by_whole_floats")
    yield _build(owner, "halves of floats", row[0])
    owner.execute("VACUUM ANALYZE proxy_cacheentry")
    yield f"table and its other indexes: {_size(owner, 'proxy_cacheentry'):,.0f} MB"
    for name, org in zip((f"{LARGE:.0%}", f"{MIDDLE:.0%}", f"{SMALL:.1%}"), orgs, strict=False):
        yield from _look_up(f"the organisation with {name} of the entries", str(org), centres, chance, embeds)
    owner.close()


def _look_up(
    name: str, org: str, centres: Vectors, chance: np.random.Generator, embeds: list[tuple[float, float]]
) -> Iterator[str]:
    scope = _scope(UUID(org))
    with org_scope(org):
        size = semantic_store.measure_scope(org, scope)
        server: int = connection.connection.info.backend_pid
    is_small = size <= SIGNS_UP_TO
    spent, same = [], 0

    def search(vector: Vectors) -> list[semantic_store.Near]:
        with org_scope(org):
            return semantic_store.search(org, scope, vector, is_small=is_small)

    for _ in range(LOOKUPS):
        vector = _scatter(centres, chance, 1)[0]
        found: list[semantic_store.Near] = []
        spent.append(_spend(lambda to=found, of=vector: to.extend(search(of)), server))  # type: ignore[misc]
        same += bool(found) and found[0].id == _nearest(org, scope, vector)
    whole = [(wall + more, cpu + also) for (wall, cpu), (more, also) in zip(spent, embeds * LOOKUPS, strict=False)]
    how = "by their signs" if is_small else "through the index"
    yield f"{name}, {how}: search {_tell(spent)}"
    yield f"  with the vector {_tell(whole)}; recall@1 {same / LOOKUPS:.3f}"


def _nearest(org: str, scope: bytes, vector: Vectors) -> UUID | None:
    with org_scope(org), connection.cursor() as cursor:
        cursor.execute(
            """WITH scoped AS MATERIALIZED (SELECT id, embedding <#> %s::vector AS distance FROM proxy_cacheentry
                   WHERE org_id = %s AND scope = %s) SELECT id FROM scoped ORDER BY distance LIMIT 1""",
            [spell_vector(vector), org, scope],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _make_orgs(owner: psycopg.Connection, count: int) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    with owner.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO tenants_organization SELECT (jsonb_populate_record(one, %s::jsonb)).*
               FROM tenants_organization AS one LIMIT 1""",
            [
                (json.dumps({"id": str(one), "slug": f"filler-{n}", "shard": shard_of(str(one))}),)
                for n, one in enumerate(ids)
            ],
        )
    return ids


def _fill(
    owner: psycopg.Connection, orgs: list[UUID], entries: int, centres: Vectors, chance: np.random.Generator
) -> None:
    large, middle = int(entries * LARGE), int(entries * (LARGE + MIDDLE))
    small = middle + int(entries * SMALL)
    answers = {}
    for org in orgs:
        row = owner.execute(
            "INSERT INTO proxy_cacheanswer (org_id, scope) VALUES (%s, %s) RETURNING id", [org, _scope(org)]
        ).fetchone()
        assert row is not None
        answers[org] = row[0]
    packed = pack(_kept())
    with owner.cursor().copy(
        "COPY proxy_cacheentry (id, org_id, scope, answer_id, model, tags, question, packed, embedding, expires_at)"
        " FROM STDIN (FORMAT BINARY)"
    ) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for start in range(0, entries, _BATCH):
            vectors = _scatter(centres, chance, min(_BATCH, entries - start)).astype(">f4")
            for place, vector in enumerate(vectors, start):
                named = orgs[0] if place < large else orgs[1] if place < middle else orgs[2]
                org = named if place < small else orgs[3 + place % (len(orgs) - 3)]
                fields = (
                    *(uuid4().bytes, org.bytes, _scope(org), struct.pack(">q", answers[org]), b"small"),
                    *(struct.pack(">iii", 0, 0, 25), SENTENCE.encode(), packed),
                    struct.pack(">HH", 384, 0) + vector.tobytes(),
                    struct.pack(">q", int((datetime(2100, 1, 1, tzinfo=UTC) - _EPOCH_2000).total_seconds() * 10**6)),
                )
                copy.write(
                    struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(one)) + one for one in fields)
                )
        copy.write(struct.pack(">h", -1))


def _build(owner: psycopg.Connection, kind: str, statement: str) -> str:
    server = owner.info.backend_pid
    wall, cpu = _spend(lambda: owner.execute(statement), server)
    row = owner.execute("SELECT pg_relation_size(%s::regclass) / 1e6", [statement.split()[2]]).fetchone()
    assert row is not None
    return f"index of {kind}: built in {wall:.0f} s, {cpu:.0f} s of a core, {row[0]:,.0f} MB"


def _size(owner: psycopg.Connection, table: str) -> float:
    row = owner.execute(
        "SELECT (pg_total_relation_size(%s::regclass) - pg_relation_size('cache_entries_by_meaning')) / 1e6", [table]
    ).fetchone()
    assert row is not None
    return float(row[0])


def _kept() -> Kept:
    body = b'{"choices":[{"message":{"content":"' + b"word " * 60 + b'"}}]}'
    return Kept(
        "", 0, "small", "", (), "application/json", "small", "stop", "", Usage(input=10, output=60), "exact", body
    )


def _scope(org: UUID) -> bytes:
    return org.bytes + b"scop"


def _scatter(centres: Vectors, chance: np.random.Generator, count: int) -> Vectors:
    noise = chance.standard_normal((count, 384), np.float32) / np.sqrt(384)
    return _unit(centres[chance.integers(0, len(centres), count)] + np.float32(SPREAD) * noise)


def _unit(rows: Vectors) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _spend(work: Callable[[], object], server: int = 0) -> tuple[float, float]:
    """Seconds that went by, and seconds of processor time: this process's and the server's process's."""
    before, used, began = _used_by(server), time.process_time(), time.perf_counter()
    work()
    wall, used = time.perf_counter() - began, time.process_time() - used
    if server:
        # What a process used is written down when it sleeps.
        time.sleep(0.001)
    return wall, used + _used_by(server) - before


def _used_by(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 if pid else 0.0


def _tell(spent: Sequence[tuple[float, float]]) -> str:
    p50, p99 = np.percentile(np.array(spent) * 1000, [50, 99], axis=0)
    return f"p50 {p50[0]:.1f} ms, p99 {p99[0]:.1f} ms; of a core {p50[1]:.1f} and {p99[1]:.1f} ms"


def _owner_address() -> str:
    database = settings.DATABASES["owner"]
    return (
        f"host={database['HOST']} port={database['PORT']} dbname={database['NAME']} user={database['USER']}"
        f" password={database['PASSWORD']}"
    )
