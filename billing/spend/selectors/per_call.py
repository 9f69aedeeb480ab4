"""What a single call costs at the dear end, which no sum knows: read from the newest calls."""

from collections.abc import Sequence
from typing import Final

from django.db import connection
from django.db.models import BooleanField, Expression, ExpressionWrapper, F, Func, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce

from billing.spend.core.cubes import TAG
from billing.spend.core.tiling import Span
from billing.spend.filters import LedgerFilters
from proxy.models import LedgerEntry
from tenants.access import Actor
from tenants.choices import Permission

#: so many calls are looked at, whatever is asked of them: a ledger of millions answers as quickly as a small one
NEWEST: Final = 10_000
_COLUMNS: Final = {"model": "request_model", "project": "project_id", "key": "key_id", "end_user": "end_user"}
_ANSWERED: Final = Q(status__gte=200, status__lt=400)
_SQL: Final = """
    SELECT named, percentile_disc(0.95) WITHIN GROUP (ORDER BY effective_cost) FROM ({newest}) AS newest
    WHERE is_chosen AND named = ANY (%s) GROUP BY named"""


def find_p95(actor: Actor, group: str, span: Span, filters: LedgerFilters, keys: Sequence[str]) -> dict[str, int]:
    """What the dearest of twenty answered calls costs, in nano-USD before corrections, for each of a group's ``keys``:
    of those among the newest calls of ``span`` that ``filters`` choose. A key without one is left out.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    start, end = span
    calls = LedgerEntry.objects.filter(org_id=actor.org.pk, started_at__gte=start, started_at__lt=end, kind="call")
    chosen = ExpressionWrapper(filters.condition() & _ANSWERED, output_field=BooleanField())
    columns = calls.order_by("-started_at").values("effective_cost", named=_name(group), is_chosen=chosen)
    newest, values = columns[:NEWEST].query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_SQL.format(newest=newest), [*values, list(keys)])
        return dict(cursor.fetchall())


def _name(group: str) -> Expression:
    """A call's key in the group, as a text."""
    if not group.startswith(TAG):
        return Cast(F(_COLUMNS[group]), TextField())
    tag = Func(F("tags"), Value(group.removeprefix(TAG)), function="jsonb_extract_path_text", output_field=TextField())
    return Coalesce(tag, Value(""), output_field=TextField())
