"""Ledgers of many rows, written by SQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connections


def fill_ledger(orgs: Sequence[UUID], start: datetime, rows: int) -> None:
    """So many calls of eight models for each organisation, spread over 30 days: the n-th costs 1,000 + n nano-USD."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s::date, 1)", [start.date()])
        cursor.execute(
            """INSERT INTO proxy_ledgerentry (started_at, id, org_id, project_id, key_id, end_user, tags, kind, endpoint,
                   request_model, response_model, provider, attempts, is_stream, input_tokens, cache_read_input_tokens,
                   cache_write_input_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens,
                   list_cost, effective_cost, savings, is_estimated, is_overrun, held, cache_status, route_reason, status,
                   error_code, finish_reason, duration_us)
               SELECT %s::timestamptz + n * (interval '30 days' / %s), gen_random_uuid(), id, id, id, '',
                   '{}', 'call', 'chat', 'm' || n %% 8, 'm' || n %% 8, 'openai', '[{"cost": 1}]', false, 1000, 0, 0, 100,
                   0, 0, 0, 1000 + n, 1000 + n, '{}', false, false, 0, '', '', 200, '', '', 0
               FROM unnest(%s::uuid[]) AS id, generate_series(1, %s) AS n""",
            [start, rows + 1, list(orgs), rows],
        )


def sum_of(rows: int) -> int:
    """What such a ledger sums to, in nano-USD."""
    return 1_000 * rows + rows * (rows + 1) // 2
