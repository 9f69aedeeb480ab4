"""Exact sums of the ledger from as few rows as there can be: whole days, then quarters, then the ledger's own.

One statement and so one view of the data: a roll-up that commits beside it neither hides nor doubles a row. A bucket is
taken whole only if the statement sees no mark on it; what lies below a marked one is read in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import F, Model, QuerySet

from billing.core.cubes import TAG, Choice, Part, choose_cubes
from billing.core.tiling import Span, Tiling, tile
from billing.filters import LedgerFilters
from billing.models import DayRollup, LedgerLine, QuarterRollup
from billing.selectors import groups as keys
from tenants.access import Actor
from tenants.periods import END_OF_TIME, EPOCH

_NO_SPAN: Final = "SELECT NULL::timestamptz, NULL::timestamptz WHERE false"
_SPAN: Final = "SELECT %s::timestamptz, %s::timestamptz"

#: Whether days are of the organisation's zone, and that zone the same for PostgreSQL as for Python; which of them are not
#: what their rows say; and what to read in their place.
_DAYS: Final = """kept AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM billing_rollupzone WHERE org_id = %s AND time_zone = %s) AND NOT EXISTS (
        SELECT FROM (VALUES (%s::timestamptz, %s::date), (%s, %s)) AS bounds (moment, day)
        WHERE (moment AT TIME ZONE %s)::date <> day
              OR ((moment - interval '1 microsecond') AT TIME ZONE %s)::date >= day) AS are_current
), stale_days AS MATERIALIZED (
    SELECT DISTINCT (quarter AT TIME ZONE %s)::date AS day
    FROM (SELECT quarter FROM stale_quarters
          UNION ALL SELECT quarter FROM billing_daymark WHERE org_id = %s AND quarter >= %s AND quarter < %s) AS marks
    WHERE quarter >= %s AND quarter < %s
), day_gaps (starts, ends) AS (
    SELECT %s::timestamptz, %s::timestamptz FROM kept WHERE NOT are_current
    UNION ALL
    SELECT bounds.starts, bounds.ends FROM kept, stale_days CROSS JOIN LATERAL (
        SELECT min(quarter) AS starts, max(quarter) + interval '15 minutes' AS ends
        FROM generate_series((day::timestamp AT TIME ZONE %s) - interval '3 hours',
                             (day::timestamp AT TIME ZONE %s) + interval '30 hours', interval '15 minutes') AS quarter
        WHERE (quarter AT TIME ZONE %s)::date = day) AS bounds
    WHERE are_current
)"""


@dataclass(frozen=True, slots=True)
class Sums:
    """One group. ``keys`` are in the order of the groups asked for; ``amounts`` by measure. ``recorded_at`` is the
    newest row's."""

    keys: tuple[Any, ...]
    amounts: Mapping[str, int]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class _Piece:
    """SQL and what fills its placeholders."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Question:
    org_id: Any
    zone: ZoneInfo
    filters: LedgerFilters
    groups: Sequence[str]
    measures: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """What every source selects, in this order."""
        return [*(f"group_{place}" for place in range(len(self.groups))), *(f"sum_{name}" for name in self.measures)]


def add_up(
    actor: Actor, filters: LedgerFilters, groups: Sequence[str] = (), measures: Sequence[str] = ("effective_cost",)
) -> list[Sums]:
    """Sum ``measures`` (columns of ``Measures``) of one organisation's ledger by ``groups``.

    The dearest group comes first where ``effective_cost`` is asked for and time is not the first group; else they are in
    the order of their keys. The caller has checked who is asking.
    """
    start, end = filters.start or EPOCH, filters.end or END_OF_TIME
    measures = list(dict.fromkeys(["entries", "recorded_at", *measures]))
    # Rows have the bounds in words too, though spans say them: they keep the planner from partitions that are not meant.
    question = _Question(
        actor.org.pk, ZoneInfo(actor.org.time_zone), replace(filters, start=start, end=end), groups, measures
    )
    choice = choose_cubes(groups, filters.names())
    tiling = (
        tile(start, end, question.zone, by_day="hour" not in groups, by_quarter=choice.by_quarter) if choice else None
    )
    if choice is None or tiling is None or tiling.whole is None:
        sources = [_pick(question, _lines(question))]
        marks: list[_Piece] = []
    else:
        marks = list(_marks(question, choice, tiling, tiling.whole))
        sources = list(_sources(question, choice, tiling))
    return _run(question, marks, sources)


def _run(question: _Question, marks: Sequence[_Piece], sources: Sequence[_Piece]) -> list[Sums]:
    groups = question.columns[: len(question.groups)]
    sums = [
        f"max(sum_{name})" if name == "recorded_at" else f"costhub_whole(coalesce(sum(sum_{name}), 0))"
        for name in question.measures
    ]
    order = [str(place + 1) for place in range(len(groups))]
    if "effective_cost" in question.measures and question.groups[:1] not in (["day"], ["hour"]):
        order.insert(0, f"{len(groups) + question.measures.index('effective_cost') + 1} DESC")
    sql = f"""{"WITH " if marks else ""}{", ".join(piece.sql for piece in marks)}
        SELECT {", ".join([*groups, *sums])} FROM ({" UNION ALL ".join(piece.sql for piece in sources)}) AS found
        {"GROUP BY " if groups else ""}{", ".join(groups)} HAVING sum(sum_entries) > 0
        ORDER BY {", ".join(order) or 1}"""  # noqa: S608 - made of names
    values = [value for piece in (*marks, *sources) for value in piece.values]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [_read(question, row) for row in cursor.fetchall()]


def _read(question: _Question, row: Sequence[Any]) -> Sums:
    amounts = dict(zip(question.measures, row[len(question.groups) :], strict=True))
    recorded_at = amounts.pop("recorded_at")
    return Sums(tuple(row[: len(question.groups)]), amounts, recorded_at)


def _marks(question: _Question, choice: Choice, tiling: Tiling, whole: Span) -> Sequence[_Piece]:
    """Named subqueries: ``stale_quarters``, ``gaps`` (what no day answers) and ``cuts`` (what only rows answer)."""
    zone = question.zone.key
    pieces = [
        _Piece(
            "stale_quarters AS MATERIALIZED (SELECT DISTINCT quarter FROM billing_quartermark"
            " WHERE org_id = %s AND quarter >= %s AND quarter < %s)",
            (question.org_id, *whole),
        )
    ]
    gaps = _fixed(tiling.quarters if choice.by_quarter else tiling.rows)
    if tiling.days:
        days, span = tiling.days, tiling.days.span
        pieces.append(
            _Piece(
                _DAYS,
                (
                    *(question.org_id, zone, span[0], days.first, span[1], days.last, zone, zone),
                    *(zone, question.org_id, *span, *span, *span, zone, zone, zone),
                ),
            )
        )
        gaps.append(_Piece("SELECT starts, ends FROM day_gaps"))
    pieces.append(_union("gaps", gaps))
    if choice.by_quarter:
        stale = _Piece("SELECT quarter, quarter + interval '15 minutes' FROM stale_quarters")
        pieces.append(_union("cuts", [*_fixed(tiling.rows), stale]))
    return pieces


def _sources(question: _Question, choice: Choice, tiling: Tiling) -> Sequence[_Piece]:
    """Every row that is to be added, from days, quarters and the ledger."""
    pieces = []
    if tiling.days:
        for part in choice.parts:
            days = _rollups(question, DayRollup, part).filter(day__gte=tiling.days.first, day__lt=tiling.days.last)
            inner = _select(question, days.annotate(at=F("day")), part, "at")
            pieces.append(
                _Piece(
                    f"SELECT {', '.join(question.columns)} FROM kept, ({inner.sql}) AS days"  # noqa: S608
                    " WHERE kept.are_current AND days.at NOT IN (SELECT day FROM stale_days)",
                    inner.values,
                )
            )
    if choice.by_quarter:
        for part in choice.parts:
            quarters = _rollups(question, QuarterRollup, part).annotate(at=F("quarter"))
            inner = _select(question, quarters, part, "at")
            pieces.append(_within(question, "gaps", inner, "AND at NOT IN (SELECT quarter FROM stale_quarters)"))
    lines = _select(question, _lines(question).annotate(at=F("started_at")), None, "at")
    pieces.append(_within(question, "cuts" if choice.by_quarter else "gaps", lines))
    return pieces


def _within(question: _Question, spans: str, inner: _Piece, condition: str = "") -> _Piece:
    """The rows that lie in one of the spans. OFFSET keeps the planner to one range of an index for each."""
    return _Piece(
        f"SELECT {', '.join(question.columns)} FROM {spans} CROSS JOIN LATERAL ("  # noqa: S608
        f"SELECT * FROM ({inner.sql}) AS inside WHERE at >= starts AND at < ends {condition} OFFSET 0) AS found",
        inner.values,
    )


def _fixed(spans: Sequence[Span]) -> list[_Piece]:
    return [_Piece(_SPAN, span) for span in spans]


def _union(name: str, pieces: Sequence[_Piece]) -> _Piece:
    sql = " UNION ALL ".join(piece.sql for piece in pieces) or _NO_SPAN
    return _Piece(f"{name} (starts, ends) AS ({sql})", tuple(value for piece in pieces for value in piece.values))


def _lines(question: _Question) -> QuerySet[LedgerLine]:
    return LedgerLine.objects.filter(org_id=question.org_id).filter(question.filters.condition())


def _rollups(question: _Question, model: type[Model], part: Part) -> QuerySet[Any]:
    rows = model._default_manager.filter(org_id=question.org_id, cube=part.cube)
    tag = next((name[len(TAG) :] for name in question.groups if name.startswith(TAG)), None)
    if part.cube == "tags" and tag is not None:
        rows = rows.filter(name=tag)
    return rows.filter(question.filters.rollup_condition())


def _pick(question: _Question, rows: QuerySet[LedgerLine]) -> _Piece:
    inner = _select(question, rows, None)
    return _Piece(f"SELECT {', '.join(question.columns)} FROM ({inner.sql}) AS rows", inner.values)  # noqa: S608


def _select(question: _Question, rows: QuerySet[Any], part: Part | None, *extra: str) -> _Piece:
    """The groups and measures of some rows as SQL, under the names of ``columns``."""
    sign = part.sign if part else 1
    named: dict[str, Any] = {}
    for place, name in enumerate(question.groups):
        named[f"group_{place}"] = keys.expression_for(
            name, rows.model, question.zone, is_rest=bool(part and part.is_rest)
        )
    for name in question.measures:
        named[f"sum_{name}"] = F(name) if sign == 1 or name == "recorded_at" else F(name) * sign
    sql, values = rows.annotate(**named).order_by().values(*named, *extra).query.sql_with_params()
    return _Piece(sql, tuple(values))
