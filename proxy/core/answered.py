"""At which price an answer is billed: that of the model and the service tier that did answer."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.core import pricing
from proxy.core.demand import BUYING, IMAGES, find_speed
from proxy.core.paid_fields import list_bought, searches_unasked
from proxy.core.paid_tools import class_of_searches
from proxy.values.attempt import PriceDoubt, Usage
from proxy.values.plan import Candidate
from proxy.values.request import Request
from tenants.choices import UpstreamKind
from tenants.price_snapshots import APART, DEFAULT_TIER, UNIT_CLASSES, PriceSnapshot
from tenants.snapshots import ModelSnapshot, OrgSnapshot

#: what answers call the tier without a name
_DEFAULT_TIERS: Final = frozenset({"", DEFAULT_TIER, "standard", "auto"})
#: what asks for a tier
_TIERS: Final = frozenset({"service_tier", "speed"})
#: by these something may be billed apart
_APART_FIELDS: Final = BUYING | _TIERS
#: what a provider writes behind the name of a model for one version of it
_VERSION: Final = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest|preview|exp)")
#: the first so many classes of a usage are those of text, whose prices are in every version
_CLASSES_OF_TEXT: Final = min(Usage._fields.index(name) for name in (*APART, *UNIT_CLASSES))
#: and from here on all are units
_UNITS_FROM: Final = min(Usage._fields.index(name) for name in UNIT_CLASSES)
_NO_DOUBTS: Final[tuple[PriceDoubt, ...]] = ()
_SEARCHES: Final = ("web_searches_low", "web_searches", "web_searches_high", "web_searches_preview")


class Answered(NamedTuple):
    """The price to bill by and the tier's name, empty for the default one; and what is not certain about them."""

    price: PriceSnapshot
    service_tier: str = ""
    doubts: tuple[PriceDoubt, ...] = ()


def is_usual(request: Request, candidate: Candidate, model: str, service_tier: str, used: Usage) -> bool:
    """Whether an answer is billed as nearly every one is: as text, at its candidate's price, and nothing else was asked
    for that is billed apart. Then ``find_answered`` and ``settle_searches`` change nothing."""
    return (
        model == candidate.model.upstream_model
        and service_tier in _DEFAULT_TIERS
        and _APART_FIELDS.isdisjoint(request.body)
        and not any(used[_CLASSES_OF_TEXT:])
        and not searches_unasked(model)
    )


def find_answered(request: Request, candidate: Candidate, model: str, service_tier: str, used: Usage) -> Answered:
    """How an answer is billed that says it came from ``model`` and ``service_tier``, either empty where it says
    nothing."""
    price, doubts = candidate.price, list[PriceDoubt]()
    if model and model != candidate.model.upstream_model:
        found = find_price_of(model, candidate.model, candidate.price, candidate.neighbours, candidate.at_ms)
        if found is not None:
            price = found
        elif not is_same_model(model, candidate.model.upstream_model):
            is_provider = candidate.upstream.kind in (UpstreamKind.OPENAI, UpstreamKind.ANTHROPIC)
            doubts.append(PriceDoubt.OTHER_MODEL if is_provider else PriceDoubt.OTHER_NAME)
    tier = service_tier or _asked_tier(request)
    if tier in _DEFAULT_TIERS:
        tier = ""
    elif price.find_tier(tier) is None:
        doubts.append(PriceDoubt.OTHER_TIER)
    elif not service_tier and candidate.upstream.kind == UpstreamKind.OPENAI_COMPATIBLE:
        # Many servers take the field and know nothing of tiers.
        doubts.append(PriceDoubt.UNTOLD_TIER)
        if pricing.cost(used, price) > pricing.cost(used, price, tier):
            tier = ""
    if any(used[_CLASSES_OF_TEXT:]):
        if any(getattr(used, name) for name in UNIT_CLASSES if name not in price.units):
            doubts.append(PriceDoubt.UNPRICED_UNIT)
        if any(getattr(used, name) and name not in price.units for name in APART):
            doubts.append(PriceDoubt.UNPRICED_CLASS)
    return Answered(price, tier, tuple(doubts))


def settle_searches(request: Request, candidate: Candidate, used: Usage) -> tuple[Usage, tuple[PriceDoubt, ...]]:
    """A usage with its web searches in the class that was asked for, and with those that no report counts.

    OpenAI's search models and OpenRouter's plugins always search and need not tell; where a model may have searched or
    not, it is taken to have, which is a doubt.
    """
    name = candidate.model.upstream_model
    if BUYING.isdisjoint(request.body) and not searches_unasked(name):
        return used, _NO_DOUBTS
    told = sum(getattr(used, name) for name in _SEARCHES)
    bought = list_bought(request, candidate.model)
    if not told and not bought:
        return used, ()
    name = bought[0].unit if bought else class_of_searches(request, candidate.price, candidate.upstream)
    if not name:
        return used, ()
    # A report says how many there were, and not of which kind; of a search whose results are counted not how many.
    least = sum(one.least for one in bought) * request.choices
    if told:
        least = sum(one.most for one in bought if one.most is not None and one.is_certain) * request.choices
    is_doubted = not told and any(not one.is_certain for one in bought)
    sized = used.web_searches_low or used.web_searches_high
    if sized and told >= least:
        return used, ()
    found = used._replace(**dict.fromkeys(_SEARCHES, 0))._replace(**{name: max(told, least)})
    return found, (PriceDoubt.UNTOLD_SEARCH,) if is_doubted else ()


def has_tokens(used: Usage) -> bool:
    """Whether a usage counts tokens of any class, or units alone."""
    return any(used[:_UNITS_FROM])


def settle_images(used: Usage, price: PriceSnapshot) -> Usage:
    """The usage of a call that draws: pictures that are billed by their tokens are not by the piece as well."""
    if IMAGES not in price.units and used.output_tokens:
        return used._replace(images=0)
    return used


def is_same_model(answered: str, asked: str) -> bool:
    """Whether an answer's name is the one that was asked for, a version of it, or either with its provider before
    it."""
    mine, theirs = answered.lower(), asked.lower()
    if mine == theirs:
        return True
    mine, theirs = mine.rsplit("/", 1)[-1], theirs.rsplit("/", 1)[-1].removesuffix("-latest")
    return mine == theirs or (mine.startswith(theirs) and _VERSION.fullmatch(mine[len(theirs) :]) is not None)


@lru_cache(maxsize=4_096)
def index_models(org: OrgSnapshot) -> Mapping[str, Mapping[str, ModelSnapshot]]:
    """An organisation's models by upstream and the name that it knows them by."""
    found: dict[str, dict[str, ModelSnapshot]] = {}
    for model in org.models.values():
        found.setdefault(model.upstream_id, {}).setdefault(model.upstream_model, model)
    return found


def find_price_of(
    name: str, asked: ModelSnapshot, price: PriceSnapshot, neighbours: Mapping[str, ModelSnapshot], at_ms: int
) -> PriceSnapshot | None:
    """The price of the model that an upstream calls so, where it is not the one that was ``asked`` and has ``price``:
    another of the catalog at the same upstream, or a version of it, if that has a price of its own."""
    if name == asked.upstream_model:
        return None
    other = neighbours.get(name)
    if other is not None and (found := other.find_price(at_ms)) is not None:
        return found
    dated = asked.find_dated_price(name, at_ms)
    return dated if dated is not None and dated.id != price.id else None


def _asked_tier(request: Request) -> str:
    if speed := find_speed(request):
        return speed
    asked = request.body.get("service_tier")
    return asked if isinstance(asked, str) and asked not in {"auto", "standard_only"} else ""
