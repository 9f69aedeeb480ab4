"""The console's page of routes: which there are and how each chooses, what they saved, and where a request would go."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET, require_POST

from billing.routes.learned import bring_back_learned, why_not
from billing.routes.playground import plan_request
from billing.routes.selectors import Replay, list_learned, read_comparisons, read_route_report, replay_calls
from billing.spend.core.ranges import Range
from costhub.console.forms import read_usd
from costhub.console.frame import frame, list_ranges, read_span
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.eval.picture import draw_curves
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField
from costhub.lib.money import Picos, compile_price, to_usd
from proxy.learning.models import PaidReplay
from proxy.learning.replay_core import estimate_ratio
from proxy.learning.replays import cancel_paid_replay, start_paid_replay
from proxy.routing.model import PAIRS
from tenants.access import Actor, access_row
from tenants.actions.routes import roll_back, update_route, use_learned
from tenants.choices import Mode, Permission
from tenants.models import Route
from tenants.selectors import list_route_changes, list_route_versions, list_routes

COLUMNS: Final = (
    Column("name", "Name", "name"),
    Column("kind", "Kind", "kind"),
    Column("mode", "Mode", "mode"),
    Column("made", "Made", "created_at"),
)
#: of each a report is read from the ledger: so many on a page
ROUTES: Final = 10
VERSIONS: Final = 10
REPLAYS: Final = 10
#: a pasted request is no longer than this
_MOST_CHARACTERS: Final = 200_000
_MOST_TRIED: Final = 20
#: what stands in the form of what-ifs, and the most that compression is taken to save there, per cent
_WHAT_IF: Final = ("model", "to", "input", "output", "share", "off", "batch")
_MOST_OFF: Final = 95
#: amounts of money are no mere numbers
_SHOWN_APART: Final = frozenset({"targets", "baseline", "answer_worth", "compare_monthly_limit"})
#: settings as a line of a route says them, where they are more than a name and a value; of 0 there is no line
_SAID: Final = {
    "sticky": ("One choice for", "a {}"),
    "hard_from": ("Hard from", "{} difficulty on"),
    "holdout_percent": ("Held out", "{} % of the conversations"),
    "share_percent": ("Second model", "{} % of the calls"),
    "explore_percent": ("Against its advice", "{} % of the calls, to learn"),
    "confidence_percent": ("Sure enough", "from {} % confidence on"),
    "latency_cap_ms": ("Longest time", "{:,} ms for all rungs"),
    "agreement_samples": ("Asked again", "{} times, to see whether it agrees"),
    "compare_percent": ("Other model asked, too", "of {} % of the calls"),
    "pack_window_ms": ("Short questions wait", "{:,} ms for each other"),
    "pack_most": ("Questions in one call", "{} at most"),
    "deadline_seconds": ("Calls may wait", "{:,} seconds"),
    "is_learning": ("Learns", "from what becomes of calls"),
    "stopped_tasks": ("By difficulty alone", "tasks {}"),
}


@require_GET
@org_page
def routes(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The page."""
    return _show(request, actor)


@require_POST
@org_page
def change_route(request: HttpRequest, actor: Actor, route_id: str) -> HttpResponse:
    """The buttons beside a route: another mode, an earlier version, nothing learned any more, or what was learned
    before."""
    route = access_row(list_routes(actor), actor, route_id)
    try:
        # What is chosen in the lists comes with every button.
        mode, number = request.POST.get("mode"), request.POST.get("number")
        if request.POST.get("unlearn"):
            actor.check(Permission.WRITE_SETTINGS)
            use_learned(actor=actor, route=route, learned="")
        elif request.POST.get("learn"):
            bring_back_learned(actor=actor, route=route, version=request.POST.get("learned", ""))
        elif mode in set(Mode):
            update_route(actor=actor, route=route, mode=Mode(mode))
        elif number is not None and mode is None:
            roll_back(actor=actor, route=route, number=_whole(number))
        else:
            raise InvalidField(f"Give one of {', '.join(Mode)}.", field="mode")
    except AppError as error:
        return _show(request, actor, error=error.message, status=error.http_status)
    return redirect("routes", slug=actor.org.slug)


@require_POST
@org_page
@works_when_read_only
def try_route(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The playground's form: the plan of a pasted request, which is not sent."""
    body, tags = request.POST.get("body", ""), request.POST.get("tags", "").strip()
    try:
        if len(body) > _MOST_CHARACTERS:
            raise InvalidField(f"Paste at most {_MOST_CHARACTERS} characters.", field="body")
        headers = {"x-costhub-tags": tags} if tags else {}
        plan = plan_request(actor, body.encode("utf-8", "replace"), headers)
    except AppError as error:
        return _show(request, actor, body=body, tags=tags, error=error.message, status=error.http_status)
    return _show(request, actor, body=body, tags=tags, plan=plan)


@require_POST
@org_page
def start_replay(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of paid replays: captured calls that another model is asked again, within a cap."""
    actor.check(Permission.WRITE_SETTINGS)
    names = ("model", "to", "cap", "calls", "api_key")
    given = {name: request.POST.get(name, "").replace("\x00", "").strip() for name in names}
    try:
        start_paid_replay(
            actor=actor,
            model=given["model"],
            to=given["to"],
            cap_nanos=read_usd(given["cap"], "cap"),
            api_key=given["api_key"],
            most_calls=_whole(given["calls"] or "100", "Give a number of calls.", "calls"),
        )
    except AppError as error:
        return _show(request, actor, replay=given, error=error.message, status=error.http_status)
    return redirect(f"{reverse('routes', args=[actor.org.slug])}#replays")


@require_POST
@org_page
def cancel_replay(request: HttpRequest, actor: Actor, replay_id: str) -> HttpResponse:
    """The button beside a replay that is under way."""
    cancel_paid_replay(actor=actor, replay=access_row(PaidReplay.objects.filter(org=actor.org), actor, replay_id))
    return redirect(f"{reverse('routes', args=[actor.org.slug])}#replays")


def _whole(text: str, message: str = "Give the number of a version.", field: str = "number") -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidField(message, field=field)
    return int(text)


def _show(
    request: HttpRequest,
    actor: Actor,
    *,
    body: str = "",
    tags: str = "",
    plan: dict[str, Any] | None = None,
    replay: dict[str, str] | None = None,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    actor.check(Permission.READ_MONEY)
    # Forms of other addresses are answered by this page, too.
    path = reverse("routes", args=[actor.org.slug])
    now, given = clock.now(), request.GET.dict()
    try:
        span = read_span(given, now, actor)
        listing = _list(request, actor, given)
    except InvalidField as found:
        error, status, given = found.message, max(status, 400), {}
        span = read_span(given, now, actor)
        listing = _list(request, actor, given)
    rows = list(listing.rows)
    context = {
        **frame(request, actor, "routes"),
        "error": error,
        "ranges": list_ranges(path, span, given),
        "listing": listing,
        "routes": [_describe(actor, route, span) for route in rows],
        "what_if": dict(zip(("typed", "found", "error"), _what_if(actor, request.GET.dict(), span), strict=True)),
        "span": span,
        "modes": [mode.value for mode in Mode],
        "can_change": actor.may(Permission.WRITE_SETTINGS),
        "body": body or _example(rows),
        "tags": tags,
        "plan": plan,
        # Not the key: a secret is typed anew.
        "replay": {name: text for name, text in (replay or {"calls": "100"}).items() if name != "api_key"},
        "replays": [
            _describe_replay(row) for row in PaidReplay.objects.filter(org=actor.org).order_by("-created_at")[:REPLAYS]
        ],
    }
    return render(request, "console/routes.html", context, status=status)


def _list(request: HttpRequest, actor: Actor, given: Mapping[str, str]) -> Listing:
    """The page's routes: each has a report, and reads the ledger for it."""
    what_if = [f"if_{name}" for name in _WHAT_IF]
    return make_listing(
        request,
        given,
        list_routes(actor),
        COLUMNS,
        search=["name"],
        sort="name",
        filters=["range", "from", "to", *what_if],
        kept=what_if,
        most=ROUTES,
        path=reverse("routes", args=[actor.org.slug]),
    )


def _describe(actor: Actor, route: Route, span: Range) -> dict[str, Any]:
    report = read_route_report(actor, route, span.start, span.end)
    versions = list(list_route_versions(actor, route)[:VERSIONS])
    # Read after them: so that it has whatever was saved in between too.
    changes = list_route_changes(actor, route)
    tried = list(list_learned(actor, route)[:_MOST_TRIED])
    learned = next((one for one in tried if str(one.pk) == route.learned), None)
    refused = tried[0].report.get("refused", "") if tried else ""
    return {
        "row": route,
        "targets": route.policy["targets"],
        "settings": [
            _say(name, value)
            for name, value in route.policy.items()
            if name not in _SHOWN_APART and (value not in ([], False, 0) or name == "holdout_percent")
        ],
        "report": report,
        "proven": report.effect.times(report.routed.calls) if report.effect else None,
        "learned": learned,
        # What it could decide by instead, the newest first.
        "other_learned": [one for one in tried if one is not learned and not why_not(one, route)][:VERSIONS],
        "refused": refused,
        "curves": _draw_all(learned.report) if learned is not None else [],
        "pairs": learned.report.get(PAIRS, []) if learned is not None else [],
        "comparisons": read_comparisons(actor, route, span.start, span.end),
        "compare_limit": route.policy.get("compare_monthly_limit", 0),
        "versions": [(row, _show_changes(changes[row.number])) for row in versions],
    }


def _show_changes(changes: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    """Of each field that a version changed its name, and what it was and became, for people."""
    return [(field.replace("_", " "), _show_value(old), _show_value(new)) for field, (old, new) in changes.items()]


def _show_value(value: Any) -> str:
    return "none" if value in (None, "", []) else str(value)


def _what_if(actor: Actor, given: Mapping[str, str], span: Range) -> tuple[dict[str, str], Replay | None, str]:
    """What was typed into the form of what-ifs, what it comes to, and why that cannot be."""
    typed = {name: given.get(f"if_{name}", "").replace("\x00", "").strip()[:200] for name in _WHAT_IF}
    if not typed["model"]:
        return typed, None, ""
    try:
        prices = [_read_price(typed[name], name) for name in ("input", "output") if typed[name]]
        if len(prices) == 1:
            raise InvalidField("Give the prices of input and of output.", field="input")
        off = _whole(typed["off"] or "0", "Give a whole number of per cent.", "off")
        if off > _MOST_OFF:
            raise InvalidField(f"Compression takes off at most {_MOST_OFF} per cent here.", field="off")
        share = _whole(typed["share"] or "100", "Give a whole number of per cent.", "share")
        if not 1 <= share <= 100:
            raise InvalidField("Give a share from 1 to 100 per cent.", field="share")
        found = replay_calls(
            actor,
            span.start,
            span.end,
            model=typed["model"],
            to=typed["to"] or None,
            prices=(prices[0], prices[1]) if prices else None,
            share_percent=share,
            off_percent=(0, off),
            is_batch=typed["batch"] == "yes",
        )
    except AppError as error:
        return typed, None, error.message
    return typed, found, ""


def _read_price(text: str, field: str) -> Picos:
    if (nanos := read_usd(text, field)) < 0:
        raise InvalidField("Give USD for a million tokens, such as 2.50.", field=field)
    return compile_price(to_usd(nanos))


def _describe_replay(row: PaidReplay) -> dict[str, Any]:
    return {
        "row": row,
        "is_under_way": row.api_key is not None,
        "answered": len(row.pairs),
        "calls": len(row.calls),
        "before": sum(before for before, _ in row.pairs),
        "ratio": estimate_ratio([(before, now) for before, now in row.pairs]),
    }


def _draw_all(report: Mapping[str, Any]) -> list[tuple[str, SafeString | str]]:
    """Every curve that there is, with the two models that it is about where a router has more than two."""
    each = [(f"{pair['weak']} or {pair['strong']}: ", pair.get("curves", {})) for pair in report.get(PAIRS, ())]
    drawn = [(about, _draw(curves)) for about, curves in each or [("", report.get("curves", {}))]]
    return [(about, picture) for about, picture in drawn if picture]


def _say(name: str, value: Any) -> tuple[str, str]:
    label, words = _SAID.get(name, (name.replace("_", " ").capitalize(), "{}"))
    return label, words.format(", ".join(value) if isinstance(value, list) else value)


def _draw(curves: dict[str, list[float]]) -> SafeString | str:
    """The quality that is kept by the share of calls that go to the strong model, beside what knows nothing."""
    if not curves:
        return ""
    points = {
        name: [(step / (len(curve) - 1), quality) for step, quality in enumerate(curve)]
        for name, curve in {**curves, "chance": [0.0, 1.0]}.items()
    }
    picture = draw_curves(
        points, x="share of the calls that go to the strong model", y="share of its gain that is kept", is_inline=True
    )
    # Made of numbers and of the names above, which are escaped.
    return mark_safe(picture)  # noqa: S308


def _example(rows: list[Route]) -> str:
    name = rows[0].name if rows else "smart"
    body = {"model": name, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
