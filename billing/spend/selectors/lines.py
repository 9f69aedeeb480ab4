"""Sums by one group against those of another stretch of time: one page of them, searched and ordered by PostgreSQL. Of
ten thousand end users a page shows fifty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db import DataError, connection, transaction

from billing.spend.core.tiling import Span
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.spend import ask_spend
from billing.spend.selectors.sums import add_up, name_amounts
from billing.spend.selectors.tiles import Change
from billing.spend.selectors.totals import Totals, read_totals
from tenants.access import Actor

MEASURES: Final = ("requests", "input_tokens", "output_tokens", "effective_cost")
#: what lines may be ordered by
ORDERS: Final = {
    "name": 'lower(label) COLLATE "C"',
    "requests": "requests",
    "tokens": "input_tokens + output_tokens",
    "spend": "effective_cost",
    "change": "effective_cost - before",
}
#: the rows that say what a group's keys are called: key, label, and a name beside it
_NAMES: Final = {
    "project": "id::text, name, name FROM tenants_project",
    "key": "id::text, name, name FROM tenants_apikey",
    "upstream": "id::text, name, name FROM tenants_upstream",
    "end_user": "external_id, external_id, name FROM tenants_enduser",
}
#: of which there may be many more than a page shows
_MANY: Final = "end_user"
#: the most that a sum is, up or down: costhub_whole's
_MOST: Final = 9 * 10**18
#: what is ``asked`` for a row that is only a name
_KNOWN: Final = 2
_PAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """One page: of the lines with ``text`` in their names, by ``order`` (one of ``ORDERS``), ``most`` from place
    ``first`` on."""

    order: str = "spend"
    is_falling: bool = True
    text: str = ""
    first: int = 0
    most: int = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A group's spend, and what it was in the other stretch. ``label`` is what to call it; ``key`` is empty for calls
    that have none."""

    key: str
    label: str
    totals: Totals
    change: Change


@dataclass(frozen=True, slots=True)
class Lines:
    """``rows`` of the ``count`` lines that match. ``total`` and ``change`` are of all, and so is ``mover``, whose spend
    changed most, up or down; None without any, or if nobody asked for it."""

    rows: tuple[Line, ...]
    count: int
    total: Totals
    change: Change
    mover: Line | None


def find_lines(
    actor: Actor,
    group: str,
    span: Span,
    wanted: Wanted,
    *,
    before: Span | None = None,
    filters: LedgerFilters | None = None,
    with_known: bool = False,
    with_mover: bool = True,
) -> Lines:
    """Spend over ``span`` by one of ``GROUPS`` or a tag, against ``before``. ``with_known``: who is known
    and has not called is a line too, and calls of nobody are none. Without ``with_mover`` of ten thousand end users the
    stretch before is read for those that are shown alone.

    Raises Forbidden if the actor may not see money, InvalidField for a group that there is not.
    """
    if before and not with_mover and group == _MANY and wanted.order != "change":
        lines = find_lines(actor, group, span, wanted, filters=filters, with_known=with_known)
        return _compare(actor, lines, before, filters)
    spans = [each for each in (span, before) if each]
    questions = [
        ask_spend(actor, start=start, end=end, group_by=[group], filters=filters, measures=MEASURES)
        for start, end in spans
    ]
    pieces, values = name_amounts(actor, questions)
    names = ""
    if group in _NAMES:
        names = f"UNION ALL SELECT {_KNOWN}, {', '.join('0' for _ in MEASURES)}, 0, {_NAMES[group]} WHERE org_id = %s"
        values.append(actor.org.pk)
    is_line = f"count(*) FILTER (WHERE asked = {_KNOWN}) > 0 AND key <> ''" if with_known else "false"
    parts = {
        "named": ", ".join(pieces),
        "known": names,
        "names": ", ".join(MEASURES),
        "sums": ", ".join(f"sum_{name}" for name in MEASURES),
        "nobody": "AND key <> ''" if with_known else "",
        "is_line": is_line,
        "order": f"{ORDERS[wanted.order]} {'DESC' if wanted.is_falling else 'ASC'}",
    }
    values += [wanted.text, wanted.text, wanted.most, wanted.first]
    with connection.cursor() as cursor:
        # Else PostgreSQL, which takes the sums for many more than they are, sorts them on disk.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        try:
            with transaction.atomic():
                cursor.execute(_write(parts, is_exact=False), values)
        except DataError:  # a sum is larger than a whole number may be
            cursor.execute(_write(parts, is_exact=True), values)
        rows = cursor.fetchall()
    return _read(rows)


def _write(parts: Mapping[str, str], *, is_exact: bool) -> str:
    """The statement. What is exact never is too large, and takes half as long again."""

    def add(name: str, asked: int | None = None) -> str:
        chosen = "" if asked is None else f" FILTER (WHERE asked = {asked})"
        if is_exact:
            return f"coalesce(costhub_whole(sum({name}){chosen}), 0)"
        return f"greatest(least(coalesce(costhub_add({name}){chosen}, 0), {_MOST}), -{_MOST})"

    return _SQL.format(
        **parts,
        added=", ".join(f"{add(name, 0)} AS {name}" for name in MEASURES),
        before=add("effective_cost", 1),
        entries=add("entries", 0),
        total=", ".join(add(name) for name in (*MEASURES, "before")),
    )


def _compare(actor: Actor, lines: Lines, before: Span, filters: LedgerFilters | None) -> Lines:
    """The same lines against another stretch."""
    shown = tuple(line.key for line in lines.rows)
    question = ask_spend(
        actor,
        start=before[0],
        end=before[1],
        group_by=[_MANY],
        filters=filters,
        measures=("effective_cost",),
        among=shown or ("",),
    )
    found = add_up(actor, [question])[question]
    costs = {str(sums.keys[-1] or ""): sums.amounts["effective_cost"] for sums in found}
    return replace(
        lines,
        rows=tuple(replace(line, change=Change(line.change.now, costs.get(line.key, 0))) for line in lines.rows),
        change=Change(lines.change.now, max(-_MOST, min(sum(costs.values()), _MOST))),
        mover=None,
    )


#: Both stretches and the names are put together by adding up: joined, PostgreSQL, which knows no size of them, might
#: compare each with each.
_SQL: Final = """WITH {named}, all_lines AS MATERIALIZED (
    SELECT key, coalesce(max(label), nullif(key, ''), '(none)') AS label, coalesce(max(name), '') AS name, {added},
           {before} AS before, {entries} > 0 {nobody} OR {is_line} AS is_line
    FROM (SELECT asked, {sums}, sum_entries, coalesce(group_0::text, ''), NULL::text, NULL::text FROM amounts {known})
        AS every (asked, {names}, entries, key, label, name)
    GROUP BY key
), lines AS (
    SELECT * FROM all_lines WHERE is_line
), found AS MATERIALIZED (
    SELECT * FROM lines WHERE %s = '' OR strpos(lower(label || ' ' || name), lower(%s)) > 0
), page AS (
    SELECT 2 AS part, row_number() OVER () AS place, 0 AS count, key, label, {names}, before
    FROM (SELECT * FROM found ORDER BY {order}, key LIMIT %s OFFSET %s) AS cut
), mover AS (
    SELECT 1 AS part, 0 AS place, 0 AS count, key, label, {names}, before
    FROM lines ORDER BY abs(effective_cost - before) DESC, effective_cost DESC, key LIMIT 1
), whole AS (
    SELECT 0 AS part, 0 AS place, (SELECT count(*) FROM found) AS count, '' AS key, '' AS label, {total} FROM all_lines
)
SELECT * FROM whole UNION ALL SELECT * FROM mover UNION ALL SELECT * FROM page ORDER BY part, place"""


def _read(rows: Sequence[Sequence[Any]]) -> Lines:
    whole, *others = rows
    total = _line(whole)
    lines = [(row[0], _line(row)) for row in others]
    return Lines(
        rows=tuple(line for part, line in lines if part == _PAGE),
        count=whole[2],
        total=total.totals,
        change=total.change,
        mover=next((line for part, line in lines if part != _PAGE), None),
    )


def _line(row: Sequence[Any]) -> Line:
    _, _, _, key, label, *amounts, before = row
    totals = read_totals(dict(zip(MEASURES, amounts, strict=True)))
    return Line(key, label, totals, Change(totals.effective_cost, before))
