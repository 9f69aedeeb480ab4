"""A ledger as a busy installation has it, made inside PostgreSQL: a row a call, in order of time, at random."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

DAYS: Final = 60
END_USERS: Final = 5_000
MODELS: Final = ("gpt-4o", "gpt-4o-mini", "o3-mini", "small", "large", "embed")

#: one in a hundred calls is refused, one in a hundred fails, one in two hundred is an estimate that was corrected later
_CALLS: Final = """
INSERT INTO proxy_ledgerentry (
    started_at, id, org_id, project_id, key_id, end_user, tags, session, kind, corrects, endpoint, request_model,
    response_model, upstream_id, provider, attempts, is_stream, input_tokens, cache_read_input_tokens,
    cache_write_input_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, list_cost,
    effective_cost, savings, price_id, is_estimated, is_overrun, held, cache_status, route_reason, would_refuse,
    status, error_code, finish_reason, duration_us, first_byte_us, overhead_us, recorded_at)
SELECT
    at, id, %(org)s, projects[1 + who %% cardinality(projects)], keys[1 + who], 'user-' || floor(%(users)s / cardinality(projects) * luck * luck) * cardinality(projects) + who %% cardinality(projects),
    CASE WHEN luck < 0.8 THEN jsonb_build_object('team', 'team-' || number %% 8, 'feature', 'feature-' || number %% 5)
         ELSE '{}' END,
    '', 'call', NULL, 'chat/completions', models[1 + what], models[1 + what],
    CASE WHEN is_refused THEN NULL ELSE upstreams[1 + what %% cardinality(upstreams)] END, 'openai',
    CASE WHEN is_refused THEN '[]' ELSE '[{"number": 1, "status": 200, "certainty": "exact", "cost": 1, "error": ""}]' END::jsonb,
    luck < 0.3, 400 + number %% 700, 0, 0, 100 + number %% 300, 0, 0, 0, cost + saved, cost,
    CASE WHEN saved > 0 THEN jsonb_build_object('routing', saved) ELSE '{}' END,
    CASE WHEN is_refused OR is_failed THEN NULL ELSE upstreams[1] END, number %% 200 = 0, false, cost, 'bypass', 'direct',
    '[]', CASE WHEN is_refused THEN 402 WHEN is_failed THEN 502 ELSE 200 END,
    CASE WHEN is_refused THEN 'budget_exceeded' WHEN is_failed THEN 'upstream_error' ELSE '' END, 'stop',
    800000, 90000, 900, at + interval '2 seconds'
FROM (
    SELECT number, luck, id, at, who, what, is_refused, is_failed,
           CASE WHEN is_refused THEN 0 ELSE 100000 + number %% 900000 END AS cost,
           CASE WHEN number %% 10 = 3 AND NOT is_refused THEN 12345 ELSE 0 END AS saved
    FROM (
        SELECT number, random() AS luck, gen_random_uuid() AS id,
               date_trunc('milliseconds', %(first)s::timestamptz + %(length)s::interval * (number::float8 / %(rows)s)) AS at,
               floor(random() * %(keys)s)::int AS who, floor(random() * %(models)s)::int AS what,
               number %% 100 = 7 AS is_refused, number %% 100 = 8 AS is_failed
        FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS number
    ) AS drawn
) AS calls,
(SELECT %(project_ids)s::uuid[] AS projects, %(key_ids)s::uuid[] AS keys, %(upstream_ids)s::uuid[] AS upstreams,
        %(model_names)s::text[] AS models) AS names
"""
_CORRECTIONS: Final = """
INSERT INTO proxy_ledgerentry
SELECT (e).* FROM (
    SELECT jsonb_populate_record(e, jsonb_build_object(
        'id', gen_random_uuid(), 'kind', 'correction', 'corrects', e.id, 'input_tokens', -7, 'output_tokens', -3,
        'list_cost', -1001, 'effective_cost', -1001, 'savings', '{}'::jsonb, 'is_estimated', false, 'held', 0,
        'attempts', '[]'::jsonb, 'recorded_at', e.recorded_at + interval '1 minute')) AS e
    FROM proxy_ledgerentry AS e WHERE e.is_estimated AND e.org_id = %s AND e.kind = 'call'
) AS corrections
"""
_STEP: Final = 250_000


@contextmanager
def without_indexes(owner: psycopg.Connection[Any]) -> Iterator[None]:
    """The ledger without all indexes but its key, which are made again afterwards: in half the time."""
    found = owner.execute(
        "SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index"
        " WHERE indrelid = 'proxy_ledgerentry'::regclass AND NOT indisprimary"
    ).fetchall()
    for name, _ in found:
        owner.execute(f"DROP INDEX {name}")
    yield
    for _, definition in found:
        owner.execute(definition)


def fill(
    owner: psycopg.Connection[Any],
    org: UUID,
    project_ids: list[UUID],
    key_ids: list[UUID],
    upstream_ids: list[UUID],
    rows: int,
    now: datetime,
    end_users: int = END_USERS,
) -> None:
    """So many calls of one organisation over the last ``DAYS`` days, and their corrections."""
    values = {
        "org": org,
        "project_ids": project_ids,
        "key_ids": key_ids,
        "upstream_ids": upstream_ids,
        "model_names": list(MODELS),
        "keys": len(key_ids),
        "models": len(MODELS),
        "users": end_users,
        "first": now - timedelta(days=DAYS),
        "length": timedelta(days=DAYS),
        "rows": rows,
    }
    for start in range(0, rows, _STEP):
        owner.execute(_CALLS, values | {"start": start, "stop": min(start + _STEP, rows) - 1})
    owner.execute(_CORRECTIONS, [org])
