"""What the console's pages share: what stands around them, and how their addresses are read and written."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from billing.spend.core import ranges
from billing.spend.core.ranges import Range, choose_usual, read_range
from billing.spend.filters import BY_ROW, LedgerFilters, parse_filters
from costhub.console.navigation import find_start, list_links
from costhub.console.snippets import YOUR_KEY, Snippet, make_snippets
from costhub.lib.errors import InvalidField
from tenants.access import VISITOR, Actor, list_memberships
from tenants.choices import Permission
from tenants.models import Membership, User
from tenants.onboarding import find_callable_model

#: parameters of an address that choose calls, beside tags
FILTERS: Final = frozenset({"model", "project", "key", "end_user", "upstream", "status", "id"})


def frame(request: HttpRequest, actor: Actor, section: str) -> dict[str, Any]:
    """What every page of an organisation shows around itself. What only some of its templates show is read when they
    do."""
    return {
        "actor": actor,
        "org": actor.org,
        "section": section,
        "sees_money": actor.may(Permission.READ_MONEY),
        "may_stop": actor.may(Permission.WRITE_MONEY),
        "may_end_demo": actor.may(Permission.WRITE_MEMBERS),
        "may_make_keys": actor.may_anywhere(Permission.WRITE_KEYS),
        "nav": partial(list_links, actor),
        "start": reverse("overview" if actor.may(Permission.READ_MONEY) else "welcome", args=[actor.org.slug]),
        "memberships": partial(_list_starts, request),
        "may_found": settings.SIGN_UP == "open",
        "visit_until": partial(_find_visit_end, request, actor),
        "snippets": partial(list_snippets, request, actor),
    }


def render_page(
    request: HttpRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The page for a browser, its fragment for htmx."""
    is_fragment = bool(getattr(request, "htmx", False))
    response = render(
        request, fragment if is_fragment else page, {**context, "is_fragment": is_fragment}, status=status
    )
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


def make_link(request: HttpRequest, params: Mapping[str, str], **changes: str) -> str:
    """This page under other parameters; an empty one is left out."""
    merged = {name: value for name, value in {**params, **changes}.items() if value}
    return f"{request.path}?{urlencode(merged)}" if merged else request.path


def list_ranges(path: str, span: Range, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """The ranges that have a name, each with its link at ``path`` and whether it is the one that is shown; the days of
    one that has none, if that is shown. What else the address asks for stays, but for its page."""
    kept = {name: value for name, value in params.items() if value and name not in {"range", "from", "to", "page"}}

    def link(title: str, **days: str) -> dict[str, Any]:
        is_current = days.get("range", "custom") == span.name
        return {"name": title, "link": f"{path}?{urlencode(kept | days)}", "is_current": is_current}

    found = [link(title, range=name) for name, title in ranges.NAMES.items() if name != "custom"]
    if span.name == "custom":
        days = {"from": span.first.isoformat(), "to": span.last.isoformat()}
        found.append(link(f"{_say_day(span.first)} – {_say_day(span.last)}", **days))
    return found


def link_calls(actor: Actor, span: Range, params: Mapping[str, str], calls: int, group: str = "", key: str = "") -> str:
    """To the calls that a figure is made of: those of the range that a page's filters choose, and of them those of one
    line by ``group``. An empty ``key`` stands for calls that have none. Empty where there are no ``calls``, as of
    hours of GPUs alone, and where calls cannot be filtered so: a status beside one that says more than a number."""
    given = {name: text for name, text in params.items() if text and (name in FILTERS or name.startswith("tag:"))}
    if not calls or (group == "status" and given.get("status") in BY_ROW):
        return ""
    if span.name == "custom":
        given |= {"from": span.first.isoformat(), "to": span.last.isoformat()}
    else:
        given["range"] = span.name
    if group:
        given |= {group: key} if key else {"without": group}
    return f"{reverse('requests', args=[actor.org.slug])}?{urlencode(given)}"


def read_span(params: Mapping[str, str], now: datetime, actor: Actor) -> Range:
    """The stretch of time of an address, the usual one where it names none. Raises InvalidField naming the parameter
    that cannot be read."""
    zone = actor.org.time_zone
    is_given = any(params.get(name) for name in ("range", "from", "to"))
    return read_range(params if is_given else {"range": choose_usual(now, zone)}, now, zone)


def read_params(params: Mapping[str, str], now: datetime, actor: Actor) -> tuple[Range, LedgerFilters]:
    """The stretch of time and the filters of an address. Raises InvalidField naming the parameter that cannot be
    read."""
    span = read_span(params, now, actor)
    return span, parse_filters(params, start=span.start, end=span.end)


def spread_tag(params: Mapping[str, str]) -> dict[str, str]:
    """The parameters with ``tag``, as people type it, ``team=blue``, as the ``tag:team`` that addresses have, before
    other tags; an empty one is none. Raises InvalidField for what is no name and value."""
    if "tag" not in params:
        return dict(params)
    name, separator, value = params["tag"].partition("=")
    given = {key: text for key, text in params.items() if key != "tag"}
    if not params["tag"].strip():
        return given
    if not separator or not name.strip() or not value.strip():
        raise InvalidField("tag: give a name and a value, as in team=blue.", field="tag")
    typed = {f"tag:{name.strip()}": value.strip()}
    return typed | given | typed


def show_tags(request: HttpRequest, params: Mapping[str, str]) -> dict[str, Any]:
    """What ``console/_tag_field.html`` shows: the first tag that is asked for as people type it, to be changed, and the
    others, each with the page without it."""
    given = [(name, value) for name, value in params.items() if name.startswith("tag:") and value]
    typed = [f"{name.removeprefix('tag:')}={value}" for name, value in given]
    others = [
        {"name": name, "value": value, "typed": text, "without": make_link(request, params, **{name: "", "cursor": ""})}
        for (name, value), text in zip(given[1:], typed[1:], strict=True)
    ]
    return {"tag": typed[0] if typed else "", "more_tags": others}


def list_snippets(
    request: HttpRequest, actor: Actor, key: str = YOUR_KEY, allowed: Collection[str] = ()
) -> list[Snippet]:
    """A first call of a model that answers, if one does. ``allowed``: the models of a key that has not all."""
    model = find_callable_model(actor, allowed) or "gpt-4o-mini"
    return make_snippets(request.build_absolute_uri("/v1"), model, key)


def _say_day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _list_starts(request: HttpRequest) -> list[tuple[Membership, str]]:
    """A person's organisations, each with the page on which they begin there."""
    return [(one, find_start(one)) for one in list_memberships(cast(User, request.user))]


def _find_visit_end(request: HttpRequest, actor: Actor) -> datetime | None:
    """When an operator's visit ends; None for a member."""
    if actor.narrowed is not VISITOR:
        return None
    here = [one.visit_until for one in list_memberships(cast(User, request.user)) if one.org_id == actor.org.pk]
    return here[0] if here else None
