"""Lists as pages show them: searched, sorted and in pages, all of it in the address."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.http import urlencode

from costhub.lib.errors import InvalidField

PAGE: Final = 50
MAX_SEARCH_CHARACTERS: Final = 200
#: what every list's address may say
PARAMETERS: Final = frozenset({"q", "sort", "page"})
#: parameters that choose what is looked at, and leave nothing out of it
_VIEWS: Final = frozenset({"range", "from", "to", "by", "show"})
_MAX_PAGE: Final = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``order`` is what the list is sorted by for it: a field of rows, a function of values, or what whoever
    cuts the list calls it."""

    name: str
    label: str
    order: str | Callable[[Any], Any] | None = None
    title: str = ""
    css: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a list is wanted: rows with ``text`` in them, by ``order`` of a column, from place ``first`` on, so
    many."""

    text: str
    order: str
    is_falling: bool
    first: int
    most: int = PAGE


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's head. ``link`` sorts by it, ``aria_sort`` says whether it does now."""

    column: Column
    link: str
    aria_sort: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list. ``path`` is its address without parameters; ``kept`` are those that a search leaves as they
    are."""

    path: str
    rows: Sequence[Any]
    headings: Sequence[Heading]
    total: int
    first: int
    search: str
    sort: str
    is_filtered: bool
    previous_link: str
    next_link: str
    kept: Sequence[tuple[str, str]] = ()

    @property
    def last(self) -> int:
        """The number of the page's last row."""
        return self.first + len(self.rows) - 1


def check_parameters(params: Mapping[str, str], known: Iterable[str]) -> None:
    """Raise InvalidField for a parameter that means nothing here, and for characters that no name has."""
    allowed = frozenset(known)
    for name, value in params.items():
        if name not in allowed and not (name.startswith("tag:") and "tag:" in allowed):
            raise InvalidField(
                f"There is no such parameter here: {name[:60]!r}. Leave it out; there are {', '.join(sorted(allowed))}.",
                field=name[:60],
            )
        if "\x00" in value:
            raise InvalidField(f"{name}: remove the character NUL.", field=name)


def make_listing(
    request: HttpRequest,
    params: Mapping[str, str],
    rows: QuerySet[Any] | Sequence[Any] | Callable[[Cut], tuple[Sequence[Any], int]],
    columns: Sequence[Column],
    *,
    search: Sequence[str] | Callable[[Any], str] = (),
    sort: str,
    filters: Iterable[str] = (),
    kept: Iterable[str] = (),
    most: int = PAGE,
    path: str = "",
) -> Listing:
    """The page of ``rows`` that ``params`` ask for. ``search`` is the fields looked through, or a value's words;
    ``sort`` a column's name, with a minus before it for falling. Where ``rows`` is a function, it finds the page's rows
    and says how many match. ``filters`` are parameters that the caller has read; of them a search keeps ``kept``. There
    are ``most`` rows on a page. A page that answers a form of another address, too, gives its own ``path``: the form's
    cannot be opened.

    Raises InvalidField for what cannot be read.
    """
    check_parameters(params, [*PARAMETERS, *filters])
    path = path or request.path
    text = read_search(params)
    wanted = params.get("sort") or sort
    column = next((each for each in columns if each.name == wanted.removeprefix("-") and each.order), None)
    if column is None:
        names = ", ".join(each.name for each in columns if each.order)
        raise InvalidField(f"sort: give one of {names}; with a minus before it for falling.", field="sort")
    page = read_page(params.get("page", ""))
    is_falling = wanted.startswith("-")
    first = (page - 1) * most
    if callable(rows):
        shown, total = rows(Cut(text, str(column.order), is_falling, first, most))
    else:
        ordered = _sort(_search(rows, text, search), column, is_falling=is_falling)
        total = ordered.count() if isinstance(ordered, QuerySet) else len(ordered)
        shown = list(ordered[first : first + most])
    return Listing(
        path=path,
        rows=shown,
        headings=[_heading(path, params, each, wanted) for each in columns],
        total=total,
        first=first + 1,
        search=text,
        sort=wanted,
        is_filtered=bool(text) or any(params.get(name) for name in filters if name not in _VIEWS),
        previous_link=_link(path, params, page=str(page - 1) if page > 2 else "") if page > 1 else "",
        next_link=_link(path, params, page=str(page + 1)) if total > first + most else "",
        kept=[(name, params[name]) for name in ("sort", "range", "from", "to", "by", *kept) if params.get(name)],
    )


def read_search(params: Mapping[str, str]) -> str:
    """What is searched for. Raises InvalidField."""
    text = params.get("q", "").strip()
    if len(text) > MAX_SEARCH_CHARACTERS:
        raise InvalidField(f"q: search for at most {MAX_SEARCH_CHARACTERS} characters.", field="q")
    if "\x00" in text:
        raise InvalidField("q: remove the character NUL.", field="q")
    return text


def search_rows(rows: QuerySet[Any], text: str, fields: Sequence[str]) -> QuerySet[Any]:
    """The rows with a text in one of the fields, whatever its case; all of them without one."""
    wanted = Q()
    for field in fields if text else ():
        wanted |= Q(**{f"{field}__icontains": text})
    return rows.filter(wanted)


def _search(
    rows: QuerySet[Any] | Sequence[Any], text: str, search: Sequence[str] | Callable[[Any], str]
) -> QuerySet[Any] | Sequence[Any]:
    if not text:
        return rows
    if isinstance(rows, QuerySet):
        assert not callable(search), "rows are searched by fields"
        return search_rows(rows, text, search)
    assert callable(search), "values are searched by their words"
    return [each for each in rows if text.casefold() in search(each).casefold()]


def _sort(rows: QuerySet[Any] | Sequence[Any], column: Column, *, is_falling: bool) -> QuerySet[Any] | Sequence[Any]:
    if isinstance(rows, QuerySet):
        field = F(str(column.order))
        return rows.order_by(field.desc(nulls_last=True) if is_falling else field.asc(nulls_last=True), "pk")
    assert callable(column.order), "values are sorted by a function"
    return sorted(rows, key=column.order, reverse=is_falling)


def read_page(text: str) -> int:
    """The number of a page, 1 for an empty text. Raises InvalidField."""
    if not text:
        return 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _MAX_PAGE:
        raise InvalidField(f"page: give a whole number from 1 to {_MAX_PAGE}.", field="page")
    return int(text)


def _heading(path: str, params: Mapping[str, str], column: Column, wanted: str) -> Heading:
    if not column.order:
        return Heading(column, "", "")
    is_current = wanted.removeprefix("-") == column.name
    is_falling = wanted.startswith("-")
    turned = column.name if is_current and is_falling else f"-{column.name}" if is_current else column.name
    direction = ("descending" if is_falling else "ascending") if is_current else "none"
    return Heading(column, _link(path, params, sort=turned, page=""), direction)


def _link(path: str, params: Mapping[str, str], **changes: str) -> str:
    merged = {name: value for name, value in {**params, **changes}.items() if value}
    return f"{path}?{urlencode(merged)}" if merged else path
