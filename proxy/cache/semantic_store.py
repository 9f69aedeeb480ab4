"""The third level's tables: questions by their vectors, within one organisation and one scope. Every function blocks.

A vector has length one, so that the inner product of two is their cosine. A search within a scope of some thousand rows
compares the signs of all of them, which stand in the index of the scope, and then exactly those whose signs are nearest
(binary quantisation with rescoring); within a larger one it goes through the index over the vectors' halves, which
scans on until it has found enough rows of that scope, and puts those in the order of the whole vectors.
"""

from collections import Counter
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from costhub.lib import clock
from costhub.lib.moments import from_ms
from costhub.lib.secrets import UnusableCredential
from proxy.cache.entries import Kept, pack, unpack
from proxy.cache.gate import NEIGHBOURS, Neighbour, WordCounts
from proxy.cache.model import CacheAnswer, CacheGate, CacheLookup
from proxy.cache.sealed_questions import open_text, place_of_question, seal_lookup
from proxy.core.words import split_words
from tenants.sealed_rows import Sealer, find_sealer

#: scopes up to so many rows are looked through by the signs of all their vectors
SIGNS_UP_TO: Final = 20_000
#: so many with the nearest signs are compared exactly
_COMPARED: Final = 200
#: so many of a scope's questions say how common its words are
_WORDS_FROM: Final = 1_000

_SIZE: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM proxy_cacheentry WHERE org_id = %s AND scope = %s LIMIT %s) AS counted"
)
_FOUND: Final = """
    SELECT near.id, near.question, near.answer_id, -near.distance, answer.entries, answer.rights, answer.wrongs
    FROM near JOIN proxy_cacheanswer AS answer ON answer.org_id = %s AND answer.id = near.answer_id
    ORDER BY near.distance"""
_BY_THE_SIGNS: Final = (
    """WITH alike AS MATERIALIZED (
        SELECT id FROM proxy_cacheentry WHERE org_id = %s AND scope = %s AND expires_at > %s
        ORDER BY signs <~> binary_quantize(%s::vector)::bit(384) LIMIT %s),
    near AS MATERIALIZED (
        SELECT id, question, answer_id, embedding <#> %s::vector AS distance FROM proxy_cacheentry
        WHERE org_id = %s AND id = ANY(ARRAY(SELECT id FROM alike)) ORDER BY distance LIMIT %s)"""  # noqa: S608 - both parts stand here
    + _FOUND
)
_BY_THE_INDEX: Final = (
    """WITH near AS MATERIALIZED (
        SELECT id, question, answer_id, embedding <#> %s::vector AS distance FROM proxy_cacheentry
        WHERE org_id = %s AND scope = %s AND expires_at > %s
        ORDER BY embedding::halfvec(384) <#> %s::halfvec(384) LIMIT %s)"""  # noqa: S608 - as above
    + _FOUND
)
#: How many candidates a scan begins with: at 200,000 entries 250 find the nearest in 996 of 1,000 look-ups, at a
#: million in 973; 400 then find it in 997 (`python -m bench.semantic`). PostgreSQL knows about how many there are.
#: The other indexes would find the whole scope, which would then be sorted.
_SCAN_SETTINGS: Final = """
    SELECT set_config('hnsw.iterative_scan', 'strict_order', true),
           set_config('hnsw.ef_search', (SELECT CASE WHEN reltuples > 400000 THEN '400' ELSE '250' END FROM pg_class
                                         WHERE oid = 'proxy_cacheentry'::regclass), true),
           set_config('hnsw.max_scan_tuples', '100000', true), set_config('enable_sort', 'off', true)"""


class Near(NamedTuple):
    """An entry near a question."""

    id: UUID
    neighbour: Neighbour


class GateRow(NamedTuple):
    """What an organisation's gate has learned, as numbers."""

    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    weights: NDArray[np.float64]
    likelihoods: NDArray[np.float64]
    kappa: float
    learned_from: int


def spell_vector(vector: NDArray[np.float32]) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def search(org_id: str, scope: bytes, vector: NDArray[np.float32], *, is_small: bool) -> list[Near]:
    """The entries of a scope that are nearest to a vector, the nearest first. Inside an open organisation."""
    spelled, now = spell_vector(vector), clock.now()
    with connection.cursor() as cursor:
        if is_small:
            cursor.execute(
                _BY_THE_SIGNS,
                [org_id, scope, now, spelled, _COMPARED, spelled, org_id, NEIGHBOURS, org_id],
            )
        else:
            cursor.execute(_SCAN_SETTINGS)
            cursor.execute(_BY_THE_INDEX, [spelled, org_id, scope, now, spelled, NEIGHBOURS, org_id])
        rows = cursor.fetchall()
    if not rows:
        return []
    sealer = find_sealer(org_id)
    # A question that does not open has nothing that guards could compare.
    return [
        Near(entry_id, Neighbour(question, answer_id, cosine, entries, rights, wrongs))
        for entry_id, text, answer_id, cosine, entries, rights, wrongs in rows
        if (question := open_text(sealer, place_of_question(entry_id), text))
    ]


def measure_scope(org_id: str, scope: bytes) -> int:
    """How many entries a scope has, counted up to one more than are looked through by their signs. Inside an open
    organisation."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZE, [org_id, scope, SIGNS_UP_TO + 1])
        return int(cursor.fetchone()[0])


def count_words(org_id: str, scope: bytes) -> WordCounts:
    """How common words are in a scope's questions, as many as say so. Inside an open organisation."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, question FROM proxy_cacheentry WHERE org_id = %s AND scope = %s LIMIT %s",
            [org_id, scope, _WORDS_FROM],
        )
        rows = cursor.fetchall()
    sealer = find_sealer(org_id) if rows else None
    questions = [open_text(sealer, place_of_question(entry_id), text) for entry_id, text in rows if sealer]
    counts = Counter(word for question in questions for word in set(split_words(question)))
    return WordCounts(len(questions), counts)


def read_kept(org_id: str, entry_id: UUID) -> Kept | None:
    """An entry's answer; None where there is none, or it cannot be opened. Call it inside an open organisation."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT packed, (SELECT data_key FROM tenants_organization WHERE id = org_id) FROM proxy_cacheentry"
            " WHERE org_id = %s AND id = %s",
            [org_id, entry_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    try:
        return unpack(Sealer(org_id, bytes(row[1])).open(_place_of(entry_id), bytes(row[0])))
    except UnusableCredential:
        return None


def read_gate(org_id: str) -> GateRow | None:
    """What the organisation's gate has learned, if anything. Inside an open organisation."""
    row = CacheGate.objects.filter(org_id=org_id).first()
    if row is None:
        return None
    return GateRow(
        means=np.array(row.means),
        scales=np.array(row.scales),
        weights=np.array(row.weights),
        likelihoods=np.array(row.likelihoods),
        kappa=row.kappa,
        learned_from=row.learned_from,
    )


def keep(
    org_id: str, scope: bytes, question: str, vector: NDArray[np.float32], kept: Kept, ttl_seconds: int, answer_id: int
) -> None:
    """Keep an answer to a question, both sealed with the organisation's data key; ``answer_id`` is the one that it says
    again, or 0 for a new one. Inside an open organisation."""
    sealer = find_sealer(org_id)
    packed, asked = sealer.seal(_place_of(kept.id), pack(kept)), sealer.seal_text(place_of_question(kept.id), question)
    if answer_id:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE proxy_cacheanswer SET entries = entries + 1 WHERE org_id = %s AND id = %s", [org_id, answer_id]
            )
            if cursor.rowcount == 0:
                answer_id = 0
    if not answer_id:
        answer_id = CacheAnswer.objects.create(org_id=org_id, scope=scope).id
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO proxy_cacheentry
                   (id, org_id, scope, answer_id, model, tags, question, packed, embedding, created_at, expires_at)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::vector, %s, %s) ON CONFLICT DO NOTHING""",
            [
                *(kept.id, org_id, scope, answer_id, kept.model, list(kept.tags), asked, packed),
                *(spell_vector(vector), from_ms(kept.stored_ms)),
                from_ms(kept.stored_ms) + timedelta(seconds=ttl_seconds),
            ],
        )


def _place_of(entry_id: UUID | str) -> str:
    """What an answer is sealed for: in another entry it does not open."""
    return f"cached answer of entry {entry_id}"


def note_lookup(org_id: str, request_id: str, values: dict[str, Any]) -> None:
    """Write down one look-up: ``values`` of its columns, the questions as they were asked. Inside an open
    organisation."""
    asked, kept = seal_lookup(find_sealer(org_id), request_id, values["asked"], values.get("kept_question", ""))
    values = values | {"asked": asked, "kept_question": kept}
    if not CacheLookup.objects.filter(org_id=org_id, request_id=request_id).update(**values):
        CacheLookup.objects.create(org_id=org_id, request_id=request_id, **values)


def note_truth(org_id: str, answer_id: int, *, is_right: bool) -> None:
    """An answer was found right or wrong for a request. Inside an open organisation."""
    column = "rights" if is_right else "wrongs"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE proxy_cacheanswer SET {column} = {column} + 1 WHERE org_id = %s AND id = %s",  # noqa: S608 - one of two
            [org_id, answer_id],
        )
