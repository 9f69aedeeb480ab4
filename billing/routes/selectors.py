"""What routes and compression did, from the ledger; and what past calls would have cost otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

import orjson
from django.db import connection
from django.db.models import QuerySet

from billing.routes.core.holdout import Arm, Effect, Quality, compare, compare_quality
from billing.routes.core.keeping import PASSAGES, WORDS, Kept, draw_kept
from billing.routes.core.route_replay import REPLAYED, Terms, read_call, replay_route
from billing.routes.core.thresholds import Point, Price, Rung, draw_points, is_calibrated, read_rungs, replay_call
from billing.routes.core.what_if import Band, Calls, Policy, replay
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.usage import UsageSums, add_up_usage
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import Picos
from proxy.core.batch_cost import TIER as _BATCH
from proxy.core.pricing import cost as cost_of
from proxy.core.pricing import find_tier
from proxy.routing.model import LearnedRoute
from proxy.values.attempt import Usage
from tenants.access import Actor
from tenants.choices import Mode, Permission, RouteKind
from tenants.models import CompressionPolicy, Route
from tenants.price_snapshots import DEFAULT_TIER, INPUT_CLASSES, OUTPUT_CLASSES, PriceSnapshot, Rates
from tenants.route_snapshots import COMPARISON_TAG, RouteSnapshot, TargetSnapshot
from tenants.selectors import load_org_snapshot
from tenants.snapshots import OrgSnapshot

#: the arms of a route, by the fourth word of the reason: ``route smart v3 router: ...`` or ``... v3 held out: ...``
_BY_ARM: Final = """
    SELECT CASE split_part(route_reason, ' ', 4)
             WHEN 'held' THEN 'held out' WHEN 'shadow:' THEN 'shadow' WHEN 'off:' THEN 'off' ELSE 'routed' END AS arm,
           coalesce(attempts->-1->>'model', '') AS served, count(*), coalesce(sum(effective_cost), 0)::bigint,
           coalesce(sum(effective_cost::numeric * effective_cost), 0)::numeric, coalesce(sum(list_cost), 0)::bigint,
           coalesce(sum((savings->>'routing')::bigint), 0)::bigint,
           coalesce(sum(coalesce((savings->>'cascade')::bigint, 0)
             + coalesce((savings->>'distillation')::bigint, 0)), 0)::bigint,
           count(*) FILTER (WHERE jsonb_array_length(attempts) > 1), count(told), count(*) FILTER (WHERE is_right)
    FROM proxy_ledgerentry
    LEFT JOIN (SELECT org_id AS teller, request_id AS told, is_right FROM proxy_feedback) AS feedback
      ON teller = org_id AND told = id
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call' AND request_model = %s
      AND route_reason LIKE 'route %%' AND status BETWEEN 200 AND 399
    GROUP BY 1, 2 ORDER BY 1, 2"""
#: a cascade's calls with what was thought of their answers
_JUDGED: Final = """
    SELECT attempts::text, effective_cost FROM proxy_ledgerentry
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call' AND request_model = %s
      AND route_reason LIKE 'route %% cascade: %%' AND status BETWEEN 200 AND 399 AND attempts <> '[]'
    ORDER BY started_at DESC LIMIT %s"""
#: answered calls of a model or route, the newest first
_PAST: Final = """
    SELECT tags::text, end_user, effective_cost, attempts::text FROM proxy_ledgerentry
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call' AND request_model = %s
      AND status BETWEEN 200 AND 399
    ORDER BY started_at DESC, id DESC LIMIT %s"""
_OF_THRESHOLDS: Final = (
    "What was asked is known to the nano. What would have been asked further up is priced at the prices in force now,"
    " from as long an answer as the one that was given to one as long as that model's are.",
    "How sure the further rungs would have been is not known: at the least the next one is enough, at the most all are"
    " asked.",
)
#: what the figures of shares that are kept rest on
OF_KEEPING: Final = (
    "How much of an input a policy may shorten the ledger does not say: at the least a call costs what it does where all"
    " of its input is such text, at the most what it cost as it came. Tokens are at the prices in force now.",
    "Passages: what was said in meetings and a question needed, of 244 questions about 35 meetings. Words: passages of"
    " Wikipedia that still held their answer, where that share of the tokens was left.",
    "Your own texts may keep more or less: conversations that are held out, and feedback, tell.",
)
#: more are not replayed at once
MOST_REPLAYED: Final = 20_000
#: what was asked beside a route's calls, and how often both said the same
_COMPARED: Final = """
    SELECT count(*), coalesce(sum(effective_cost), 0)::bigint,
           count(*) FILTER (WHERE route_reason LIKE '%%: the same answer'),
           count(*) FILTER (WHERE route_reason LIKE '%%: another answer')
    FROM proxy_ledgerentry
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'comparison' AND tags @> %s::jsonb"""
#: the arms of compression, by the end of the reason
_COMPRESSED: Final = """
    SELECT CASE WHEN route_reason LIKE '%%compression held out' THEN 'held out'
                WHEN route_reason LIKE '%%compressed' THEN 'compressed' ELSE 'shadow' END AS arm,
           count(*), coalesce(sum(effective_cost), 0)::bigint,
           coalesce(sum(effective_cost::numeric * effective_cost), 0)::numeric,
           count(told), count(*) FILTER (WHERE is_right),
           coalesce(sum((savings->>'compression')::bigint), 0)::bigint,
           coalesce(sum(nullif(substring(route_reason FROM 'compression shadow: ([0-9]+) tokens'), '')::bigint), 0)::bigint
    FROM proxy_ledgerentry
    LEFT JOIN (SELECT org_id AS teller, request_id AS told, is_right FROM proxy_feedback) AS feedback
      ON teller = org_id AND told = id
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call' AND status BETWEEN 200 AND 399
      AND (route_reason LIKE '%%compress%%')
    GROUP BY 1 ORDER BY 1"""


#: what models were paid for saying which words could be guessed
_SCORED: Final = """
    SELECT coalesce(sum(effective_cost), 0)::bigint FROM proxy_ledgerentry
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'scoring'"""


@dataclass(frozen=True, slots=True)
class Share:
    """Calls of one arm that one model served last. Money is nano-USD; ``saved`` may be less than nothing."""

    arm: str
    model: str
    calls: int
    cost: int
    saved: int
    several: int


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What a route did: by arm and model, what the ledger attributes to it, and what calls held out prove."""

    shares: tuple[Share, ...]
    routed: Arm
    held_out: Arm
    effect: Effect | None
    quality: Quality | None

    @property
    def saved(self) -> int:
        """Nano-USD, as the ledger attributes them."""
        return sum(share.saved for share in self.shares)

    @property
    def calls(self) -> int:
        """All of them."""
        return sum(share.calls for share in self.shares)


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What was asked beside a route's calls: how many answers and for how many nano-USD, and how many of them said the
    same, and something else; the others did not come."""

    calls: int
    cost: int
    same: int
    other: int


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """What compression did: calls that became shorter, that were held out, that were only watched; nano-USD saved,
    before what ``scoring`` words has cost, and tokens that would have been."""

    compressed: Arm
    held_out: Arm
    watched: int
    saved: int
    shadow_tokens: int
    scoring: int
    effect: Effect | None
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What past calls of a model did cost and would have cost, in nano-USD, and what that rests on, in sentences."""

    calls: int
    cost: int
    then: Band
    assumptions: tuple[str, ...]

    @property
    def saved(self) -> Band:
        """Less than nothing where it would have been dearer."""
        return Band(self.cost - self.then.high, self.cost - self.then.low)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What past calls of a cascade did cost, in nano-USD, the confidence that is enough now, what they would have come
    to with each other one, and what that rests on, in sentences. Where an answer has a worth, no confidence
    ``decides``."""

    calls: int
    cost: int
    confidence_percent: int
    decides: bool
    points: tuple[Point, ...]
    assumptions: tuple[str, ...]

    def saved(self, point: Point) -> Band:
        """What another confidence would have saved: less than nothing where it would have been dearer."""
        return Band(self.cost - point.then.high, self.cost - point.then.low)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What past calls that a compression policy is for would have cost with each share of passages and of words kept;
    ``whole`` is what they cost as they came, in nano-USD."""

    calls: int
    whole: int
    passages: tuple[Kept, ...]
    words: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    """Past calls of a cascade: of each its rungs and whether their confidences are calibrated; what all did cost."""

    calls: list[tuple[list[Rung], bool]]
    cost: int
    order: tuple[str, ...]
    price: Price
    usual: dict[str, int]


def read_route_report(actor: Actor, route: Route, start: datetime, end: datetime) -> RouteReport:
    """What a route did over ``[start, end)``. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    rows = _ask(_BY_ARM, actor, start, end, route.name)
    shares = tuple(
        Share(arm, served, calls, cost, routing + cascade, several)
        for arm, served, calls, cost, _, _, routing, cascade, several, _, _ in rows
    )
    routed, held_out = (
        _add_up([(*row[2:5], *row[9:11]) for row in rows if row[0] == arm]) for arm in ("routed", "held out")
    )
    return RouteReport(shares, routed, held_out, compare(routed, held_out), compare_quality(routed, held_out))


def read_comparisons(actor: Actor, route: Route, start: datetime, end: datetime) -> Comparisons:
    """What was asked beside a route's calls over ``[start, end)``. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    tag = orjson.dumps({COMPARISON_TAG: route.name}).decode()
    (row,) = _ask(_COMPARED, actor, start, end, tag)
    return Comparisons(*row)


def read_compression_report(actor: Actor, start: datetime, end: datetime) -> CompressionReport:
    """What compression did over ``[start, end)``. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    rows = {row[0]: row[1:] for row in _ask(_COMPRESSED, actor, start, end)}
    compressed, held_out = (_add_up([rows[arm][:5]] if arm in rows else []) for arm in ("compressed", "held out"))
    watched = rows.get("shadow", (0, 0, 0, 0, 0, 0, 0))
    return CompressionReport(
        compressed=compressed,
        held_out=held_out,
        watched=watched[0],
        saved=sum(row[5] for row in rows.values()),
        shadow_tokens=watched[6],
        scoring=_ask(_SCORED, actor, start, end)[0][0],
        effect=compare(compressed, held_out),
        quality=compare_quality(compressed, held_out),
    )


def read_keeping(actor: Actor, policy: CompressionPolicy, start: datetime, end: datetime) -> Keeping:
    """What the calls of a policy's model over ``[start, end)``, or of all that have none of their own, would have cost
    with each share kept. Models without a price now are left out. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    if org is None:
        return Keeping(0, 0, (), ())
    others = {row.model for row in CompressionPolicy.objects.filter(org=actor.org).exclude(pk=policy.pk)}
    filters = LedgerFilters(model=policy.model or None)
    calls = whole = text = 0
    for sums in add_up_usage(actor, start, end, ("request_model",), filters):
        (name,) = sums.keys
        if name in others:
            continue
        try:
            price = _price(org, org.routes[name].baseline if name in org.routes else name, "model")
        except InvalidField:
            continue
        found, saved = add_up_calls([sums]), sums.saved.get("compression", 0)
        without = replay(found, price.rates, Policy(off_least=Fraction(1), off_most=Fraction(1)))
        calls += found.calls
        whole += found.cost + saved
        text += found.cost - without.low + saved
    return Keeping(calls, whole, draw_kept(whole, text, PASSAGES), draw_kept(whole, text, WORDS))


def list_learned(actor: Actor, route: Route) -> QuerySet[LearnedRoute]:
    """What a route has learned, the newest first."""
    return LearnedRoute.objects.filter(org_id=actor.org.pk, route_id=route.pk).order_by("-made_at").defer("packed")


def replay_calls(
    actor: Actor,
    start: datetime,
    end: datetime,
    *,
    model: str,
    to: str | None = None,
    prices: tuple[Picos, Picos] | None = None,
    share_percent: int = 100,
    off_percent: tuple[int, int] = (0, 0),
    is_batch: bool = False,
) -> Replay:
    """What the calls of a model or route over ``[start, end)`` would have cost under another policy: asked of another
    model, by another route, or at other prices of a token of input and of output.

    Raises InvalidField for a model that is not there or has no price now, a route that chooses by what the ledger does
    not say, or either of them beside prices; Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    if to is not None and prices is not None:
        raise InvalidField("Give another model or other prices, and not both.", field="to")
    if org is not None and to is not None and (to in org.routes or model in org.routes):
        off = Fraction(off_percent[0], 100), Fraction(off_percent[1], 100)
        terms = Terms(Fraction(share_percent, 100), off, _BATCH if is_batch else DEFAULT_TIER)
        return _replay_by_route(actor, org, start, end, model, to, terms)
    sums = add_up_usage(actor, start, end, ("response_model", "price_id"), LedgerFilters(model=model))
    calls = add_up_calls(sums)
    name = model if org is None or model not in org.routes else org.routes[model].baseline
    price = _price(org, name, "model")
    tier = _BATCH if is_batch else DEFAULT_TIER
    policy = Policy(
        share=Fraction(share_percent, 100),
        off_least=Fraction(off_percent[0], 100),
        off_most=Fraction(off_percent[1], 100),
        kept=find_tier(price, tier).rates,
    )
    others, asked = None, {name: price}
    if prices is not None:
        into, out = prices
        then = Rates(**dict.fromkeys(INPUT_CLASSES, into), **dict.fromkeys(OUTPUT_CLASSES, out))
        policy = replace(policy, rates=then)
    if to is not None:
        asked[to] = _price(org, to, "to")
        others = add_up_calls(add_up_usage(actor, start, end, (), LedgerFilters(model=to)))
        policy = replace(policy, rates=find_tier(asked[to], tier).rates, per_request=asked[to].per_request)
    return Replay(
        calls.calls,
        calls.cost,
        replay(calls, price.rates, policy, others),
        _assumptions(policy, to, others, is_priced=prices is not None) + _about_batches(asked, is_batch=is_batch),
    )


def _replay_by_route(
    actor: Actor, org: OrgSnapshot, start: datetime, end: datetime, model: str, to: str, terms: Terms
) -> Replay:
    """The newest calls of a model or route by another route, or of a route by another model."""
    if model not in org.routes:
        _price(org, model, "model")
    route = org.routes.get(to) or RouteSnapshot("", to, RouteKind.FIXED, Mode.ON, 1, (TargetSnapshot(to),), to)
    if route.kind not in REPLAYED:
        raise InvalidField(
            f"A {route.kind} reads prompts, which the ledger does not have: give a route of another kind, or watch this"
            " one in shadow.",
            field="to",
        )
    if any(target.when.has_tools is not None or target.when.is_degraded is not None for target in route.targets):
        raise InvalidField(
            "The ledger does not say whether a call had tools or was on a rung: give a route without such conditions.",
            field="to",
        )
    names = {target.model for target in route.targets} | {route.baseline}
    at_ms = to_ms(clock.now())
    priced = {name: found.find_price(at_ms) for name in names if (found := org.models.get(name)) is not None}
    prices = {name: price for name, price in priced.items() if price is not None}
    if not prices:
        raise InvalidField("Give one of the organisation's models or routes that has a price.", field="to")
    rows = _ask(_PAST, actor, start, end, model, MOST_REPLAYED)
    calls = [read_call(orjson.loads(tags), user, paid, orjson.loads(attempts)) for tags, user, paid, attempts in rows]
    usual = {
        name: length
        for name in prices
        if (length := add_up_calls(add_up_usage(actor, start, end, (), LedgerFilters(model=name))).output_a_call)
    }
    said = [
        "Tokens are those of the ledger, at the prices in force now; a call that would have gone where it went costs"
        " what it did.",
        "Chance is taken by its shares, and what is asked beside calls is left out.",
        "Another model's answers are between as long as those that were given and, where it has any, as long as its own"
        " are.",
    ]
    if any(target.when.min_tokens or target.when.max_tokens for target in route.targets):
        said.append("For the length of a body, which conditions ask for, the tokens that were billed are taken.")
    if len(rows) == MOST_REPLAYED:
        said.append(f"These are the newest {MOST_REPLAYED:,} calls.")
    if terms.off[1]:
        said.append("What compression takes off the input is what you said.")
    said += _about_batches(prices, is_batch=terms.tier == _BATCH)
    said.append("Whether the answers would be as good is not in it: watch a route in shadow for that.")
    cost = sum(paid for _, _, paid, _ in rows)
    return Replay(len(rows), cost, replay_route(calls, route, prices, usual, terms), tuple(said))


def replay_threshold(actor: Actor, start: datetime, end: datetime, *, name: str, confidence_percent: int) -> Replay:
    """What the calls of a cascade over ``[start, end)``, the newest so many, would have cost had another confidence
    been enough.

    Raises InvalidField for a name that is no cascade's, Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    route = org.routes.get(name) if org is not None else None
    if org is None or route is None or route.kind != RouteKind.CASCADE:
        raise InvalidField("Give one of the organisation's cascades: it has a confidence.", field="model")
    judged = _read_judged(actor, org, route, start, end)
    floor = confidence_percent / 100
    then = [replay_call(rungs, judged.order, floor, judged.price, judged.usual) for rungs, _ in judged.calls]
    return Replay(
        calls=len(judged.calls),
        cost=judged.cost,
        then=Band(sum(one.low for one in then), sum(one.high for one in then)),
        assumptions=(
            *_OF_THRESHOLDS,
            "Whether the answers would be as good is not in it: watch a route in shadow for that.",
        ),
    )


def read_thresholds(actor: Actor, route: Route, start: datetime, end: datetime) -> Thresholds:
    """What the calls of a cascade over ``[start, end)``, the newest so many, would have come to with each confidence
    that may be set.

    Raises InvalidField for a route that is no cascade, or whose models have no price now; Forbidden if the actor may
    not see money.
    """
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    known = org.routes.get(route.name) if org is not None else None
    if org is None or known is None or known.kind != RouteKind.CASCADE:
        raise InvalidField("Give one of the organisation's cascades: it has a confidence.", field="id")
    judged = _read_judged(actor, org, known, start, end)
    learned = list_learned(actor, route).filter(pk=route.learned).first() if route.learned else None
    strong_right = learned.report.get("strong_right") if learned is not None else None
    return Thresholds(
        calls=len(judged.calls),
        cost=judged.cost,
        confidence_percent=known.confidence_permille // 10,
        decides=not known.answer_worth,
        points=tuple(draw_points(judged.calls, judged.order, judged.price, judged.usual, strong_right)),
        assumptions=(
            *_OF_THRESHOLDS,
            "An answer is right as often as what the route has learned says of it, and the last rung's as often as its"
            " labels say.",
        ),
    )


def _read_judged(actor: Actor, org: OrgSnapshot, route: RouteSnapshot, start: datetime, end: datetime) -> _Judged:
    rows = [
        (orjson.loads(attempts), cost) for attempts, cost in _ask(_JUDGED, actor, start, end, route.name, MOST_REPLAYED)
    ]
    calls = [(read_rungs(attempts), is_calibrated(attempts)) for attempts, _ in rows]
    order = tuple(target.model for target in route.targets)
    prices = {model: _price(org, model, "model") for model in order}
    usual = {
        model: sum(out) // len(out)
        for model in order
        if (out := [rung.tokens[1] for rungs, _ in calls for rung in rungs if rung.model == model])
    }

    def price(model: str, into: int, out: int) -> int:
        return cost_of(Usage(input=into, output=out), prices[model])

    return _Judged(calls, sum(cost for _, cost in rows), order, price, usual)


def _assumptions(policy: Policy, to: str | None, others: Calls | None, *, is_priced: bool) -> tuple[str, ...]:
    said = ["Tokens are those of the ledger, at the prices in force now."]
    if to is not None and (others is None or not others.calls):
        said.append(f"There are no calls of {to}: its answers are taken for as long as those that were given.")
    elif to is not None:
        said.append(f"Answers of {to} are between as long as those that were given and as long as its own are.")
    if is_priced:
        said.append(
            "All tokens of input, cached ones too, are taken at the one price that you gave, and all of output."
        )
    if policy.off_most:
        said.append("What compression takes off the input is what you said.")
    said.append("Whether the answers would be as good is not in it: watch a route in shadow for that.")
    return tuple(said)


def _about_batches(prices: Mapping[str, PriceSnapshot], *, is_batch: bool) -> tuple[str, ...]:
    """At which prices calls are taken that are made as a batch."""
    if not is_batch:
        return ()
    without = sorted(name for name, price in prices.items() if price.find_tier(_BATCH) is None)
    said: tuple[str, ...] = ("A batch is taken at the price of the service tier batch.",)
    if without:
        said += (f"There is none of {', '.join(without)}, whose calls cost in a batch what they do alone.",)
    return said


def _price(org: OrgSnapshot | None, name: str, field: str) -> PriceSnapshot:
    model = org.models.get(name) if org is not None else None
    price = model.find_price(to_ms(clock.now())) if model is not None else None
    if price is None:
        raise InvalidField("Give one of the organisation's models that has a price.", field=field)
    return price


def add_up_calls(sums: Sequence[UsageSums]) -> Calls:
    """The calls of some sums together."""
    tokens: dict[str, int] = {}
    for row in sums:
        for name, count in row.tokens.items():
            tokens[name] = tokens.get(name, 0) + count
    return Calls(sum(row["billed"] for row in sums), tokens, sum(row["effective_cost"] for row in sums))


def _add_up(rows: list[Any]) -> Arm:
    """``rows``: calls, cost, squares, told, right."""
    return Arm(*(sum(int(value) for value in column) for column in zip(*rows, strict=True))) if rows else Arm(0, 0, 0)


def _ask(sql: str, actor: Actor, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [actor.org.pk, *values])
        return list(cursor.fetchall())
