"""Exact sums of the ledger from as few rows as there can be: whole days, then quarters, then the ledger's own.

One statement and so one view of the data: a roll-up that commits beside it neither hides nor doubles a row. A bucket,
or a block of them, is taken whole only if the statement sees no mark on it; what lies below a marked one is read in its
place.

Planning is two fifths of such a statement's time, however much it is asked: so PostgreSQL plans it once a connection,
and questions that the same cube answers share one, unless that costs more than it saves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Case, F, Model, QuerySet, TextField, Value, When
from django.db.models.functions import Cast
from django.db.models.lookups import In

from billing.spend.core.cubes import (
    BLOCK_DAYS,
    PART,
    TAG,
    TIMES,
    Choice,
    Part,
    Quarters,
    choose_cubes,
    choose_for_named,
)
from billing.spend.core.ranking import REST
from billing.spend.core.tiling import Days, Span, Tiling, cut_parts, pack_days, tile
from billing.spend.filters import LedgerFilters
from billing.spend.models import DayRollup, LedgerLine, QuarterRollup
from billing.spend.selectors import groups as keys
from costhub.lib.database import planned_once
from tenants.access import Actor
from tenants.periods import END_OF_TIME, EPOCH

_NO_SPAN: Final = "SELECT NULL::integer, NULL::timestamptz, NULL::timestamptz WHERE false"
_SPAN: Final = "SELECT %s::integer, %s::timestamptz, %s::timestamptz"
_CURRENT_DAYS: Final = "(SELECT asked, first AS starts, last AS ends FROM kept, {runs} WHERE are_current) AS spans"
_DAY_BLOCKS: Final = "(SELECT asked, first AS starts, first + 1 AS ends, cube AS block FROM whole_blocks) AS spans"
_PARTS: Final = "(SELECT asked, starts, starts + interval '1 minute' AS ends, cube AS block FROM whole_parts) AS spans"
_RECENT_GAPS: Final = (
    "(SELECT asked, greatest(starts, fine_from) AS starts, ends FROM gaps, fine WHERE ends > fine_from) AS spans"
)
#: of who has no row, whose time zone PostgreSQL does not know, there are none
_FINE: Final = """fine AS MATERIALIZED (
    SELECT coalesce((SELECT fine_from FROM billing_rollupzone WHERE org_id = %s), 'infinity') AS fine_from)"""
_WHOLE_PARTS: Final = """whole_parts AS MATERIALIZED (
    SELECT asked, cube, starts FROM (SELECT parts.*, %s::text AS cube FROM parts) AS parts, fine
    WHERE starts >= fine_from AND NOT EXISTS (SELECT FROM stale_quarters WHERE quarter >= starts AND quarter < ends)
        AND NOT EXISTS (SELECT FROM billing_blockmark AS m
                        WHERE m.cube = parts.cube AND m.starts = parts.starts AND m.org_id = %s))"""
_WHOLE_BLOCKS: Final = """whole_blocks AS MATERIALIZED (
    SELECT asked, cube, first FROM kept, blocks
    WHERE are_current AND NOT EXISTS (SELECT FROM stale_days WHERE day >= first AND day < last)
        AND NOT EXISTS (SELECT FROM billing_blockmark AS m WHERE m.cube = blocks.cube AND m.org_id = %s
                        AND m.starts = first::timestamp AT TIME ZONE 'UTC'))"""
#: those that are read from what lies below them
_OTHER_PARTS: Final = """SELECT asked, starts, ends FROM parts
    WHERE (asked, starts) NOT IN (SELECT asked, starts FROM whole_parts)"""
_OTHER_BLOCKS: Final = """SELECT asked, first, last FROM blocks
    WHERE (asked, first) NOT IN (SELECT asked, first FROM whole_blocks)"""
#: all of time would be thousands of blocks, nearly all of them empty
_MOST_IN_BLOCKS: Final = timedelta(days=1_000)
_NO_BLOCK: Final = "SELECT NULL::integer, NULL::text, NULL::date, NULL::date WHERE false"
_BLOCK: Final = "SELECT %s::integer, %s::text, %s::date, %s::date"
_RUN: Final = "SELECT %s::integer, %s::date, %s::date"
_DAY_SPAN: Final = "SELECT %s::integer, %s::date, %s::date, %s::timestamptz, %s::timestamptz"

#: what tells whether there is anything, and how new it is
_ALWAYS: Final = ("entries", "recorded_at")
#: how a measure is sent, where that is not as it is: a moment costs the driver ten times what a number does
_SHOWN: Final = {"recorded_at": "(extract(epoch FROM sum_recorded_at) * 1000000)::bigint"}
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
    """Sums of ``measures`` (columns of ``Measures``) over the rows that ``filters`` leave, by ``groups``.

    ``top``: of the last group only so many are told apart, those that cost most over all; the others are ``REST``
    together. 0: all are. ``among``: only these are, which is less to compare where there are thousands; for texts.
    """

    filters: LedgerFilters
    groups: Sequence[str] = ()
    measures: Sequence[str] = ("effective_cost",)
    top: int = 0
    among: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """All of time where there is no bound."""
        return self.filters.start or EPOCH, self.filters.end or END_OF_TIME


@dataclass(frozen=True, slots=True)
class Sums:
    """One group. ``keys`` are in the order of the groups asked for; ``amounts`` by measure. ``recorded_us`` is the
    newest row's moment in microseconds since 1970: of thousands of groups only the newest is looked at (``newest``).
    ``groups``: how many there are of the last group, where only the dearest are told apart."""

    keys: tuple[Any, ...]
    amounts: Mapping[str, int]
    recorded_us: int
    groups: int = 0


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
    tells_newest: bool = True

    @property
    def is_small(self) -> bool:
        """Whether few rows answer it, by the same indexes whatever is asked: then it is planned once a connection, and
        asked together with others. The days of some keys have an index of their own, which such a plan passes by."""
        has_keys = bool(self.filters.key or self.filters.keys)
        return self.choice is not None and self.choice.quarters is Quarters.ALL and not has_keys

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
        return list(dict.fromkeys([*_ALWAYS[: 2 if self.tells_newest else 1], *wanted]))

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


def newest(found: Iterable[Sums]) -> datetime | None:
    """When the newest row of these was recorded; None of none."""
    moment = max((sums.recorded_us for sums in found), default=None)
    return None if moment is None else EPOCH + timedelta(microseconds=moment)


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
        choice = _choose(question)
        alone = _Batch(actor.org.pk, ZoneInfo(actor.org.time_zone), choice, (question,))
        place = next((place for place, batch in enumerate(batches) if _fits(batch, alone)), None)
        if place is None:
            batches.append(alone)
        else:
            batches[place] = replace(alone, questions=(*batches[place].questions, question))
    return batches


def _choose(question: Question) -> Choice | None:
    asked = question.groups, question.filters.names()
    return (choose_for_named(*asked) if question.among else None) or choose_cubes(*asked)


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


def name_amounts(actor: Actor, questions: Sequence[Question]) -> tuple[list[str], list[Any]]:
    """Named subqueries, and what fills their placeholders. The last, ``amounts``, has what is to be added up for all
    questions, which differ in their bounds alone: by ``asked`` (a question's place), ``group_0`` and so on, as
    ``sum_<measure>`` and ``sum_entries``. The caller has checked who is asking."""
    choice = choose_cubes(questions[0].groups, questions[0].filters.names())
    batch = _Batch(actor.org.pk, ZoneInfo(actor.org.time_zone), choice, tuple(questions), tells_newest=False)
    marks, amounts = _compose(batch)
    pieces = [*marks, _Piece(f"amounts AS ({amounts.sql})", amounts.values)]
    return [piece.sql for piece in pieces], [value for piece in pieces for value in piece.values]


def _compose(batch: _Batch) -> tuple[Sequence[_Piece], _Piece]:
    """Named subqueries, and all that is to be added up, which is found by them."""
    marks: Sequence[_Piece] = []
    if batch.choice is None:
        sources: Sequence[_Piece] = [_pick(batch, number) for number in range(len(batch.questions))]
    else:
        tilings = [_tile(batch, batch.choice, question) for question in batch.questions]
        marks, sources = _marks(batch, batch.choice, tilings), _sources(batch, batch.choice, tilings)
    sql = " UNION ALL ".join(piece.sql for piece in sources)
    return marks, _Piece(sql, tuple(value for piece in sources for value in piece.values))


def _answer(cursor: CursorWrapper, batch: _Batch) -> dict[Question, list[Sums]]:
    marks, amounts = _compose(batch)
    keys = ["asked", *(f"group_{place}" for place in range(len(batch.groups)))]
    added = f"""SELECT {", ".join([*keys, *_aggregates(batch)])} FROM ({amounts.sql}) AS found
        GROUP BY {", ".join(keys)} HAVING sum(sum_entries) > 0"""  # noqa: S608 - made of names
    pieces, values = [piece.sql for piece in marks], [value for piece in (*marks, amounts) for value in piece.values]
    shown = [*keys, *(_SHOWN.get(name, f"sum_{name}") for name in batch.measures)]
    if any(question.top for question in batch.questions):
        shown += ["is_rest", "groups"]
        pieces.append(f"sums AS MATERIALIZED ({added})")
        ranks, parts = _rank(batch, keys)
        pieces += ranks
        added = " UNION ALL ".join(parts)
    sql = f"""{"WITH " if pieces else ""}{", ".join(pieces)}
        SELECT {", ".join(shown)} FROM ({added}) AS told ORDER BY {", ".join(keys)}"""  # noqa: S608 - made of names
    cursor.execute(sql, values)
    rows = cursor.fetchall()
    return {
        question: _read(batch, question, [row[1:] for row in rows if row[0] == number])
        for number, question in enumerate(batch.questions)
    }


def _aggregates(batch: _Batch) -> list[str]:
    return [
        f"{'max(sum_recorded_at)' if name == 'recorded_at' else f'costhub_whole(coalesce(sum(sum_{name}), 0))'}"
        f" AS sum_{name}"
        for name in batch.measures
    ]


def _rank(batch: _Batch, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Named subqueries that name the dearest of the last group, for each question that wants them alone; and what is
    selected in the end, with two columns more: whether a row is the others together, and how many groups there are.

    Twenty names are looked through for each row: PostgreSQL knows no size of what is added up here, and would join by
    comparing each row with each group.
    """
    kept, parts = [], []
    plain = [str(number) for number, question in enumerate(batch.questions) if not question.top]
    if plain:
        amounts = [f"sum_{name}" for name in batch.measures]
        parts.append(
            f"SELECT {', '.join([*keys, *amounts])}, false AS is_rest, 0 AS groups FROM sums"  # noqa: S608
            f" WHERE asked IN ({', '.join(plain)})"
        )
    for number, question in enumerate(batch.questions):
        if not question.top:
            continue
        name = f"group_{batch.groups.index(question.groups[-1])}"
        # Texts that are alike are one here, and stay apart below: no row is added twice, or not at all.
        text = f'coalesce({name}::text, chr(1)) COLLATE "C"'
        kept.append(
            f"kept_{number} AS MATERIALIZED ("  # noqa: S608
            f"SELECT (array_agg(text ORDER BY cost DESC, text))[1:{question.top}] AS names, count(*)::integer AS groups"
            f" FROM (SELECT {text} AS text, sum(sum_effective_cost) AS cost FROM sums WHERE asked = {number}"
            " GROUP BY 1) AS costs)"
        )
        is_shown = f"{text} = ANY (names)"
        shown = [f"CASE WHEN {is_shown} THEN {name} END AS {name}" if key == name else key for key in keys]
        grouped = [str(column + 1) for column in range(len(keys))]
        parts.append(
            f"SELECT {', '.join([*shown, *_aggregates(batch)])}, NOT {is_shown} AS is_rest, groups"  # noqa: S608
            f" FROM sums CROSS JOIN kept_{number} WHERE asked = {number} GROUP BY {', '.join(grouped)}, is_rest, groups"
        )
    return kept, parts


def _read(batch: _Batch, question: Question, rows: Sequence[Sequence[Any]]) -> list[Sums]:
    names = [*batch.groups, *batch.measures]
    keys = [names.index(name) for name in question.groups]
    measures = {name: names.index(name) for name in question.measures}
    recorded_us = names.index("recorded_at")
    found = [
        Sums(
            tuple(row[place] for place in keys),
            {name: row[place] for name, place in measures.items()},
            row[recorded_us],
        )
        for row in rows
    ]
    if question.among:
        found = [replace(sums, keys=(*sums.keys[:-1], REST)) if sums.keys[-1] is None else sums for sums in found]
    if question.top:
        found = [_name_rest(sums, *row[-2:]) for sums, row in zip(found, rows, strict=True)]
    if "effective_cost" in measures and TIMES.isdisjoint(question.groups[:1]):
        found.sort(key=lambda sums: (sums.keys[-1:] == (REST,), -sums.amounts["effective_cost"]))
    return found


def _name_rest(sums: Sums, is_rest: bool, groups: int) -> Sums:
    return replace(sums, keys=(*sums.keys[:-1], REST) if is_rest else sums.keys, groups=groups)


def _marks(batch: _Batch, choice: Choice, tilings: Sequence[Tiling]) -> Sequence[_Piece]:
    """Named subqueries: ``stale_quarters``, ``gaps`` (what no day answers) and ``cuts`` (what only rows answer); of a
    choice in blocks ``whole_blocks``, ``day_runs`` (days that are in none) and ``whole_parts``."""
    zone, org_id = batch.zone.key, batch.org_id
    pieces = [
        _Piece(
            "stale_quarters AS MATERIALIZED (SELECT DISTINCT quarter FROM billing_quartermark"
            " WHERE org_id = %s AND quarter >= %s AND quarter < %s)",
            (org_id, *_cover([tiling.whole for tiling in tilings if tiling.whole])),
        )
    ]
    if choice.quarters is Quarters.RECENT or choice.in_blocks:
        pieces.append(_Piece(_FINE, (org_id,)))
    quarters = [tiling.quarters if choice.by_quarter else tiling.rows for tiling in tilings]
    parts: list[tuple[Span, ...]] = []
    if choice.in_blocks:
        cut = [cut_parts(spans, PART) for spans in quarters]
        parts, quarters = [inside for inside, _ in cut], [rest for _, rest in cut]
    gaps = _fixed(quarters)
    days = [(number, tiling.days) for number, tiling in enumerate(tilings) if tiling.days]
    if days:
        rows = [_Piece(_DAY_SPAN, (number, each.first, each.last, *each.span)) for number, each in days]
        pieces.append(_union("day_spans (asked, first, last, starts, ends)", rows))
        span = _cover([each.span for _, each in days])
        pieces.append(_Piece(_DAYS, (org_id, zone, zone, zone, zone, org_id, *span, zone, zone, zone)))
        gaps.append(_Piece("SELECT asked, starts, ends FROM day_gaps"))
        if choice.in_blocks:
            pieces += _pack(batch, choice, days)
    if choice.in_blocks:
        pieces.append(_union("parts (asked, starts, ends)", _fixed(parts)))
        pieces.append(_Piece(_WHOLE_PARTS, (f"{choice.parts[0].cube}/4h", org_id)))
        gaps.append(_Piece(_OTHER_PARTS))
    pieces.append(_union("gaps (asked, starts, ends)", gaps))
    if choice.by_quarter:
        recent = "gaps" if choice.quarters is Quarters.ALL else _RECENT_GAPS
        cuts = [
            *_fixed([tiling.rows for tiling in tilings]),
            _Piece(
                f"SELECT asked, quarter, quarter + interval '15 minutes' FROM {recent}"  # noqa: S608 - made of names
                " JOIN stale_quarters ON quarter >= starts AND quarter < ends"
            ),
        ]
        if choice.quarters is Quarters.RECENT:
            cuts.append(_Piece("SELECT asked, starts, least(ends, fine_from) FROM gaps, fine WHERE starts < fine_from"))
        pieces.append(_union("cuts (asked, starts, ends)", cuts))
    return pieces


def _pack(batch: _Batch, choice: Choice, days: Sequence[tuple[int, Days]]) -> Sequence[_Piece]:
    """``whole_blocks`` of days, and ``day_runs``."""
    blocks, runs = [], [_Piece(_OTHER_BLOCKS)]
    for number, each in days:
        if each.last - each.first > _MOST_IN_BLOCKS:
            runs.append(_Piece(_RUN, (number, each.first, each.last)))
            continue
        for block in pack_days(each, BLOCK_DAYS):
            last = block.first + timedelta(days=block.length)
            if block.length == 1:
                runs.append(_Piece(_RUN, (number, block.first, last)))
            else:
                cube = f"{choice.parts[0].cube}/{block.length}d"
                blocks.append(_Piece(_BLOCK, (number, cube, block.first, last)))
    return [
        _union("blocks (asked, cube, first, last)", blocks, none=_NO_BLOCK),
        _Piece(_WHOLE_BLOCKS, (batch.org_id,)),
        _union("day_runs (asked, first, last)", runs),
    ]


def _sources(batch: _Batch, choice: Choice, tilings: Sequence[Tiling]) -> Sequence[_Piece]:
    """Every row that is to be added, from days, quarters and the ledger."""
    pieces = []
    has_days = any(tiling.days for tiling in tilings)
    if has_days:
        runs = _CURRENT_DAYS.replace("{runs}", "day_runs" if choice.in_blocks else "day_spans")
        for part in choice.parts:
            days = _select(batch, _rollups(batch, DayRollup, part).annotate(at=F("day")), part, "at")
            condition = "AND at NOT IN (SELECT day FROM stale_days)"
            pieces.append(_take_away(batch, part, _within(batch, runs, days, condition)))
    if choice.by_quarter:
        for part in choice.parts:
            quarters = _select(batch, _rollups(batch, QuarterRollup, part).annotate(at=F("quarter")), part, "at")
            spans = "gaps" if choice.quarters is Quarters.ALL else _RECENT_GAPS
            quarters = _within(batch, spans, quarters, "AND at NOT IN (SELECT quarter FROM stale_quarters)")
            pieces.append(_take_away(batch, part, quarters))
    if choice.in_blocks:
        pieces.append(_within_blocks(batch, _PARTS, QuarterRollup, "quarter"))
        if has_days:
            pieces.append(_within_blocks(batch, _DAY_BLOCKS, DayRollup, "day"))
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


def _take_away(batch: _Batch, part: Part, piece: _Piece) -> _Piece:
    """Of those that are named, each row twice: as its own, and taken away from all others together. Read once."""
    if not part.is_named:
        return piece
    *others, last = [f"group_{place}" for place in range(len(batch.groups))]
    sums = [name if name == "sum_recorded_at" else f"{name} * sign AS {name}" for name in _sum_names(batch)]
    columns = ", ".join(["asked", *others, f"CASE WHEN sign > 0 THEN {last} END AS {last}", *sums])
    return _Piece(
        f"SELECT {columns} FROM ({piece.sql}) AS named CROSS JOIN (VALUES (1), (-1)) AS signs (sign)",  # noqa: S608
        piece.values,
    )


def _sum_names(batch: _Batch) -> list[str]:
    return [f"sum_{name}" for name in batch.measures]


def _within_blocks(batch: _Batch, spans: str, model: type[Model], at: str) -> _Piece:
    """The rows of blocks that begin in the spans."""
    rows = _narrow(batch, model._default_manager.filter(org_id=batch.org_id).annotate(at=F(at)))
    return _within(batch, spans, _select(batch, rows, None, "at", "cube"), "AND cube = block")


def _cover(spans: Sequence[Span]) -> Span:
    """From the first to the last of them, or nothing."""
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else (EPOCH, EPOCH)


def _fixed(spans: Sequence[Sequence[Span]]) -> list[_Piece]:
    """The spans of each question, under its number."""
    return [_Piece(_SPAN, (number, *span)) for number, asked in enumerate(spans) for span in asked]


def _union(name: str, pieces: Sequence[_Piece], *, none: str = _NO_SPAN) -> _Piece:
    sql = " UNION ALL ".join(piece.sql for piece in pieces) or none
    return _Piece(f"{name} AS ({sql})", tuple(value for piece in pieces for value in piece.values))


def _lines(batch: _Batch) -> QuerySet[LedgerLine]:
    return LedgerLine.objects.filter(org_id=batch.org_id).filter(batch.filters.condition(of_lines=True))


def _rollups(batch: _Batch, model: type[Model], part: Part) -> QuerySet[Any]:
    return _narrow(batch, model._default_manager.filter(org_id=batch.org_id, cube=part.cube), part)


def _narrow(batch: _Batch, rows: QuerySet[Any], part: Part | None = None) -> QuerySet[Any]:
    tag = next((name[len(TAG) :] for name in batch.groups if name.startswith(TAG)), None)
    if part and part.cube == "tags" and tag is not None:
        rows = rows.filter(name=tag)
    if part and part.is_named:
        rows = rows.filter(subject__in=batch.questions[0].among)
    return rows.filter(batch.filters.rollup_condition())


def _pick(batch: _Batch, number: int) -> _Piece:
    filters = batch.questions[number].filters
    rows = LedgerLine.objects.filter(org_id=batch.org_id).filter(filters.condition(of_lines=True))
    inner = _select(batch, rows, None)
    return _Piece(f"SELECT {number} AS asked, picked.* FROM ({inner.sql}) AS picked", inner.values)  # noqa: S608


def _select(batch: _Batch, rows: QuerySet[Any], part: Part | None, *extra: str) -> _Piece:
    """The groups and measures of some rows as SQL, under the names of ``columns``."""
    sign = part.sign if part else 1
    named: dict[str, Any] = {}
    for place, name in enumerate(batch.groups):
        named[f"group_{place}"] = keys.expression_for(name, rows.model, batch.zone, is_rest=bool(part and part.is_rest))
    if among := batch.questions[0].among:
        name = f"group_{len(batch.groups) - 1}"
        is_other = bool(part and part.is_rest)
        last = named[name]
        named[name] = (
            Cast(Value(None), TextField())
            if is_other
            else Case(When(In(last, among), then=last), output_field=TextField())
        )
    for name in batch.measures:
        named[f"sum_{name}"] = F(name) if sign == 1 or name == "recorded_at" else F(name) * sign
    sql, values = rows.annotate(**named).order_by().values(*named, *extra).query.sql_with_params()
    return _Piece(sql, tuple(values))
