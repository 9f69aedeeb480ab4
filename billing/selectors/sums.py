"""Exact sums of the ledger from as few rows as there can be: whole days, then quarters, then the ledger's own.

One statement and so one view of the data: a roll-up that commits beside it neither hides nor doubles a row. A bucket is
taken whole only if the statement sees no mark on it; what lies below a marked one is read in its place.

Planning is two fifths of such a statement's time, however much it is asked: so PostgreSQL plans it once a connection,
and questions that the same cube answers share one, unless that costs more than it saves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import F, Model, QuerySet

from billing.core.cubes import TAG, TIMES, Choice, Part, choose_cubes
from billing.core.tiling import Span, Tiling, tile
from billing.filters import LedgerFilters
from billing.models import DayRollup, LedgerLine, QuarterRollup
from billing.selectors import groups as keys
from costhub.lib.database import planned_once
from tenants.access import Actor
from tenants.periods import END_OF_TIME, EPOCH

_NO_SPAN: Final = "SELECT NULL::integer, NULL::timestamptz, NULL::timestamptz WHERE false"
_SPAN: Final = "SELECT %s::integer, %s::timestamptz, %s::timestamptz"
_CURRENT_DAYS: Final = "(SELECT asked, first AS starts, last AS ends FROM kept, day_spans WHERE are_current) AS spans"
_DAY_SPAN: Final = "SELECT %s::integer, %s::date, %s::date, %s::timestamptz, %s::timestamptz"

#: what tells whether there is anything, and how new it is
_ALWAYS: Final = ("entries", "recorded_at")
#: measures that a row of the ledger just has; the others are worked out from it
_PLAIN: Final = frozenset({*_ALWAYS, "requests", "input_tokens", "output_tokens", "list_cost", "effective_cost"})

#: Whether days are of the organisation's zone, and that zone the same for PostgreSQL as for Python; which of them are
#: not what their rows say; and what to read in their place.
_DAYS: Final = """kept AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM billing_rollupzone WHERE org_id = %s AND time_zone = %s) AND NOT EXISTS (
        SELECT FROM day_spans CROSS JOIN LATERAL (VALUES (starts, first), (ends, last)) AS bounds (moment, day)
        WHERE (moment AT TIME ZONE %s)::date <> day
              OR ((moment - interval '1 microsecond') AT TIME ZONE %s)::date >= day) AS are_current
), stale_days AS MATERIALIZED (
    SELECT DISTINCT (quarter AT TIME ZONE %s)::date AS day
    FROM (SELECT quarter FROM stale_quarters
          UNION ALL SELECT quarter FROM billing_daymark WHERE org_id = %s AND quarter >= %s AND quarter < %s) AS marks
    WHERE EXISTS (SELECT FROM day_spans WHERE quarter >= starts AND quarter < ends)
), day_gaps (asked, starts, ends) AS (
    SELECT asked, starts, ends FROM kept, day_spans WHERE NOT are_current
    UNION ALL
    SELECT asked, bounds.starts, bounds.ends
    FROM kept, stale_days JOIN day_spans ON day >= first AND day < last CROSS JOIN LATERAL (
        SELECT min(quarter) AS starts, max(quarter) + interval '15 minutes' AS ends
        FROM generate_series((day::timestamp AT TIME ZONE %s) - interval '3 hours',
                             (day::timestamp AT TIME ZONE %s) + interval '30 hours', interval '15 minutes') AS quarter
        WHERE (quarter AT TIME ZONE %s)::date = day) AS bounds
    WHERE are_current
)"""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Sums of ``measures`` (columns of ``Measures``) over the rows that ``filters`` leave, by ``groups``."""

    filters: LedgerFilters
    groups: Sequence[str] = ()
    measures: Sequence[str] = ("effective_cost",)

    @property
    def span(self) -> Span:
        """All of time where there is no bound."""
        return self.filters.start or EPOCH, self.filters.end or END_OF_TIME


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
class _Batch:
    """The questions of one statement, which look at the same rows but for the bounds. A question's place is its
    number."""

    org_id: Any
    zone: ZoneInfo
    choice: Choice | None
    questions: tuple[Question, ...]

    @property
    def is_small(self) -> bool:
        """Whether few rows answer it, by the same indexes whatever is asked: then it is planned once a connection, and
        asked together with others."""
        return self.choice is not None and self.choice.by_quarter

    @property
    def filters(self) -> LedgerFilters:
        """From the first moment of any to the last. Rows have these bounds in words, though spans say more: they keep
        the planner from partitions that are not meant."""
        starts, ends = zip(*(question.span for question in self.questions), strict=True)
        return replace(self.questions[0].filters, start=min(starts), end=max(ends))

    @property
    def groups(self) -> list[str]:
        """Those of all questions."""
        return list(dict.fromkeys(name for question in self.questions for name in question.groups))

    @property
    def measures(self) -> list[str]:
        """Those of all questions."""
        wanted = [name for question in self.questions for name in question.measures]
        return list(dict.fromkeys([*_ALWAYS, *wanted]))

    @property
    def columns(self) -> str:
        """What every source selects, in this order. A question's rows have nothing in the groups of others."""
        columns = ["asked"]
        for place, name in enumerate(self.groups):
            asking = [str(number) for number, question in enumerate(self.questions) if name in question.groups]
            is_shared = len(asking) == len(self.questions)
            case = f"CASE WHEN asked IN ({', '.join(asking)}) THEN group_{place} END AS group_{place}"
            columns.append(f"group_{place}" if is_shared else case)
        return ", ".join([*columns, *(f"sum_{name}" for name in self.measures)])


def add_up(actor: Actor, questions: Iterable[Question]) -> dict[Question, list[Sums]]:
    """Sum one organisation's ledger for each question, in as few statements as there are cubes and filters.

    The dearest group comes first where ``effective_cost`` is asked for and time is not the first group; else they are
    in the order of their keys. The caller has checked who is asking.
    """
    batches = _make_batches(actor, questions)
    small = [batch for batch in batches if batch.is_small]
    others = [batch for batch in batches if not batch.is_small]
    return _answer_all(planned_once, small) | _answer_all(connection.cursor, others)


def _make_batches(actor: Actor, questions: Iterable[Question]) -> list[_Batch]:
    batches: list[_Batch] = []
    for question in questions:
        choice = choose_cubes(question.groups, question.filters.names())
        alone = _Batch(actor.org.pk, ZoneInfo(actor.org.time_zone), choice, (question,))
        place = next((place for place, batch in enumerate(batches) if _fits(batch, alone)), None)
        if place is None:
            batches.append(alone)
        else:
            batches[place] = replace(alone, questions=(*batches[place].questions, question))
    return batches


def _fits(batch: _Batch, other: _Batch) -> bool:
    """Whether one statement should answer both. Not of the fine cubes, which are a tag's or large; not where one asks
    for what would be worked out for the rows of the other too; and where they share groups, these are in one
    order."""
    if not other.is_small or batch.choice != other.choice:
        return False
    if not _PLAIN.issuperset([*batch.measures, *other.measures]):
        return False
    groups = [name for name in dict.fromkeys([*batch.groups, *other.groups]) if name in other.groups]
    bounds = batch.filters
    return groups == other.groups and bounds == replace(other.filters, start=bounds.start, end=bounds.end)


def _tile(batch: _Batch, choice: Choice, question: Question) -> Tiling:
    return tile(*question.span, batch.zone, by_day="hour" not in question.groups, by_quarter=choice.by_quarter)


def _answer_all(
    open_cursor: Callable[[], AbstractContextManager[CursorWrapper]], batches: Sequence[_Batch]
) -> dict[Question, list[Sums]]:
    found: dict[Question, list[Sums]] = {}
    if batches:
        with open_cursor() as cursor:
            for batch in batches:
                found |= _answer(cursor, batch)
    return found


def _answer(cursor: CursorWrapper, batch: _Batch) -> dict[Question, list[Sums]]:
    if batch.choice is None:
        return _run(cursor, batch, [], [_pick(batch, _lines(batch))])
    tilings = [_tile(batch, batch.choice, question) for question in batch.questions]
    return _run(cursor, batch, _marks(batch, batch.choice, tilings), _sources(batch, batch.choice, tilings))


def _run(
    cursor: CursorWrapper, batch: _Batch, marks: Sequence[_Piece], sources: Sequence[_Piece]
) -> dict[Question, list[Sums]]:
    keys = ["asked", *(f"group_{place}" for place in range(len(batch.groups)))]
    sums = [
        f"max(sum_{name})" if name == "recorded_at" else f"costhub_whole(coalesce(sum(sum_{name}), 0))"
        for name in batch.measures
    ]
    sql = f"""{"WITH " if marks else ""}{", ".join(piece.sql for piece in marks)}
        SELECT {", ".join([*keys, *sums])} FROM ({" UNION ALL ".join(piece.sql for piece in sources)}) AS found
        GROUP BY {", ".join(keys)} HAVING sum(sum_entries) > 0
        ORDER BY {", ".join(keys)}"""  # noqa: S608 - made of names
    values = [value for piece in (*marks, *sources) for value in piece.values]
    cursor.execute(sql, values)
    rows = cursor.fetchall()
    return {
        question: _read(batch, question, [row[1:] for row in rows if row[0] == number])
        for number, question in enumerate(batch.questions)
    }


def _read(batch: _Batch, question: Question, rows: Sequence[Sequence[Any]]) -> list[Sums]:
    names = [*batch.groups, *batch.measures]
    keys = [names.index(name) for name in question.groups]
    measures = {name: names.index(name) for name in question.measures}
    recorded_at = names.index("recorded_at")
    found = [
        Sums(
            tuple(row[place] for place in keys),
            {name: row[place] for name, place in measures.items()},
            row[recorded_at],
        )
        for row in rows
    ]
    if "effective_cost" in measures and TIMES.isdisjoint(question.groups[:1]):
        found.sort(key=lambda sums: -sums.amounts["effective_cost"])
    return found


def _marks(batch: _Batch, choice: Choice, tilings: Sequence[Tiling]) -> Sequence[_Piece]:
    """Named subqueries: ``stale_quarters``, ``gaps`` (what no day answers) and ``cuts`` (what only rows answer)."""
    zone, org_id = batch.zone.key, batch.org_id
    pieces = [
        _Piece(
            "stale_quarters AS MATERIALIZED (SELECT DISTINCT quarter FROM billing_quartermark"
            " WHERE org_id = %s AND quarter >= %s AND quarter < %s)",
            (org_id, *_cover([tiling.whole for tiling in tilings if tiling.whole])),
        )
    ]
    gaps = _fixed([tiling.quarters if choice.by_quarter else tiling.rows for tiling in tilings])
    days = [(number, tiling.days) for number, tiling in enumerate(tilings) if tiling.days]
    if days:
        rows = [_Piece(_DAY_SPAN, (number, each.first, each.last, *each.span)) for number, each in days]
        pieces.append(_union("day_spans (asked, first, last, starts, ends)", rows))
        span = _cover([each.span for _, each in days])
        pieces.append(_Piece(_DAYS, (org_id, zone, zone, zone, zone, org_id, *span, zone, zone, zone)))
        gaps.append(_Piece("SELECT asked, starts, ends FROM day_gaps"))
    pieces.append(_union("gaps (asked, starts, ends)", gaps))
    if choice.by_quarter:
        stale = _Piece(
            "SELECT asked, quarter, quarter + interval '15 minutes'"
            " FROM gaps JOIN stale_quarters ON quarter >= starts AND quarter < ends"
        )
        cuts = [*_fixed([tiling.rows for tiling in tilings]), stale]
        pieces.append(_union("cuts (asked, starts, ends)", cuts))
    return pieces


def _sources(batch: _Batch, choice: Choice, tilings: Sequence[Tiling]) -> Sequence[_Piece]:
    """Every row that is to be added, from days, quarters and the ledger."""
    pieces = []
    if any(tiling.days for tiling in tilings):
        for part in choice.parts:
            days = _select(batch, _rollups(batch, DayRollup, part).annotate(at=F("day")), part, "at")
            condition = "AND at NOT IN (SELECT day FROM stale_days)"
            pieces.append(_within(batch, _CURRENT_DAYS, days, condition))
    if choice.by_quarter:
        for part in choice.parts:
            quarters = _select(batch, _rollups(batch, QuarterRollup, part).annotate(at=F("quarter")), part, "at")
            pieces.append(_within(batch, "gaps", quarters, "AND at NOT IN (SELECT quarter FROM stale_quarters)"))
    lines = _select(batch, _lines(batch).annotate(at=F("started_at")), None, "at")
    pieces.append(_within(batch, "cuts" if choice.by_quarter else "gaps", lines))
    return pieces


def _within(batch: _Batch, spans: str, inner: _Piece, condition: str = "") -> _Piece:
    """The rows that lie in one of the spans. OFFSET keeps the planner to one range of an index for each."""
    return _Piece(
        f"SELECT found.* FROM {spans} CROSS JOIN LATERAL ("  # noqa: S608
        f"SELECT {batch.columns} FROM ({inner.sql}) AS inside WHERE at >= starts AND at < ends {condition} OFFSET 0)"
        " AS found",
        inner.values,
    )


def _cover(spans: Sequence[Span]) -> Span:
    """From the first to the last of them, or nothing."""
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else (EPOCH, EPOCH)


def _fixed(spans: Sequence[Sequence[Span]]) -> list[_Piece]:
    """The spans of each question, under its number."""
    return [_Piece(_SPAN, (number, *span)) for number, asked in enumerate(spans) for span in asked]


def _union(name: str, pieces: Sequence[_Piece]) -> _Piece:
    sql = " UNION ALL ".join(piece.sql for piece in pieces) or _NO_SPAN
    return _Piece(f"{name} AS ({sql})", tuple(value for piece in pieces for value in piece.values))


def _lines(batch: _Batch) -> QuerySet[LedgerLine]:
    return LedgerLine.objects.filter(org_id=batch.org_id).filter(batch.filters.condition())


def _rollups(batch: _Batch, model: type[Model], part: Part) -> QuerySet[Any]:
    rows = model._default_manager.filter(org_id=batch.org_id, cube=part.cube)
    tag = next((name[len(TAG) :] for name in batch.groups if name.startswith(TAG)), None)
    if part.cube == "tags" and tag is not None:
        rows = rows.filter(name=tag)
    return rows.filter(batch.filters.rollup_condition())


def _pick(batch: _Batch, rows: QuerySet[LedgerLine]) -> _Piece:
    inner = _select(batch, rows, None)
    return _Piece(f"SELECT 0 AS asked, picked.* FROM ({inner.sql}) AS picked", inner.values)  # noqa: S608


def _select(batch: _Batch, rows: QuerySet[Any], part: Part | None, *extra: str) -> _Piece:
    """The groups and measures of some rows as SQL, under the names of ``columns``."""
    sign = part.sign if part else 1
    named: dict[str, Any] = {}
    for place, name in enumerate(batch.groups):
        named[f"group_{place}"] = keys.expression_for(name, rows.model, batch.zone, is_rest=bool(part and part.is_rest))
    for name in batch.measures:
        named[f"sum_{name}"] = F(name) if sign == 1 or name == "recorded_at" else F(name) * sign
    sql, values = rows.annotate(**named).order_by().values(*named, *extra).query.sql_with_params()
    return _Piece(sql, tuple(values))
