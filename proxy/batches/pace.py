"""How long an upstream's calls take: what a deadline may rest on."""

from typing import Any, Final
from uuid import UUID

from django.db import connection

from costhub.lib import clock
from costhub.lib.moments import from_ms
from proxy.core.batch_cost import TIER
from proxy.core.deadlines import ASSUMED_CALL_MS
from tenants.access import org_scope

_DAY_MS: Final = 86_400_000
_KNOWN_FOR_MS: Final = 60_000
_MOST_KNOWN: Final = 10_000
#: what is looked through, by its age: the last minute, as long again before it, and so on to a day
_SLICES_MS: Final = (0, *(60_000 << place for place in range(11)), _DAY_MS)
#: in each of them so many rows, the newest: all lines of a batch are of the moment at which it came, and would hide
#: whatever came before it. Of an organisation's rows, and of a key's: those who call by deadlines may have a key of
#: their own, whose calls are few beside the others
_ROWS: Final = 100
#: so many calls say how long one takes, the newest of those: of one batch no more than half as many
_SAMPLE: Final = 4 * _ROWS
_NEWEST: Final = """
        (SELECT started_at, kind, status, upstream_id, attempts, duration_us FROM proxy_ledgerentry
         WHERE org_id = %(org)s {whose} AND started_at >= slice.since AND started_at < slice.until
         ORDER BY started_at DESC LIMIT %(rows)s)"""
_P95: Final = f"""
    SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY duration_us) FROM (
        SELECT duration_us
        FROM unnest(%(since)s::timestamptz[], %(until)s::timestamptz[]) AS slice (since, until) CROSS JOIN LATERAL (
            {_NEWEST.format(whose="")} UNION ALL {_NEWEST.format(whose="AND key_id = %(key)s")}
        ) AS newest
        WHERE kind = 'call' AND status = 200 AND upstream_id = %(upstream)s AND attempts -> -1 ->> 'model' = %(model)s
        AND attempts -> -1 ->> 'service_tier' IS DISTINCT FROM %(batch)s
        ORDER BY started_at DESC LIMIT %(sample)s
    ) AS calls
"""  # noqa: S608 - no value of a caller's is in it
#: what was found, until when it is good
_known: dict[tuple[str, UUID, UUID, str], tuple[int, int]] = {}


def find_call_ms(org_id: str, upstream_id: UUID, key_id: UUID, model: str) -> int:
    """So many ms, or fewer, 19 of 20 calls took lately that were answered by a model of an upstream, one by one; at
    least ``ASSUMED_CALL_MS``. Looked up once a minute."""
    now_ms = clock.now_ms()
    asked = (org_id, upstream_id, key_id, model)
    call_ms, until_ms = _known.get(asked, (0, 0))
    if now_ms < until_ms:
        return call_ms
    values: dict[str, Any] = {
        "org": org_id,
        "key": key_id,
        "upstream": upstream_id,
        "model": model,
        "since": [from_ms(now_ms - age_ms) for age_ms in _SLICES_MS[1:]],
        # What other processes' clocks are ahead belongs to the first.
        "until": [from_ms(now_ms - age_ms) for age_ms in (-_DAY_MS, *_SLICES_MS[1:-1])],
        "rows": _ROWS,
        "sample": _SAMPLE,
        # Of those the row's time is that of the settling.
        "batch": TIER,
    }
    with org_scope(org_id), connection.cursor() as cursor:
        cursor.execute(_P95, values)
        (found_us,) = cursor.fetchone()
    call_ms = max(ASSUMED_CALL_MS, -(-(found_us or 0) // 1000))
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[asked] = (call_ms, now_ms + _KNOWN_FOR_MS)
    return call_ms
