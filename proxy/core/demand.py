"""What a request may be billed for beside text, read from its body before the call."""

from typing import Final

from proxy.core import paid_fields, paid_tools, sound, tokens
from proxy.core.betas import check_betas
from proxy.core.pricing import PLAIN
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.plan import Demand
from proxy.values.request import DRAWING, LISTENING, MEDIA, Operation, Request
from tenants.choices import Habit, UpstreamKind
from tenants.price_snapshots import DEFAULT_TIER, PriceSnapshot
from tenants.snapshots import ModelSnapshot, UpstreamSnapshot

#: what a request for no tier in particular is called
_ANY_TIER: Final = frozenset({"auto"})
_DEFAULT_TIERS: Final = frozenset({DEFAULT_TIER, "standard", "standard_only"})
_TEXTS: Final = frozenset({"text", "input_text", "refusal", "output_text"})
#: without any of these fields a chat of plain texts is billed as text, by the default tier
_DEMANDING: Final = frozenset({"service_tier", "speed", "tools", "cache_control"}) | paid_fields.FIELDS
#: what a provider may do at a fee is asked for by these
BUYING: Final = frozenset({"tools"}) | paid_fields.FIELDS
_DEFAULT: Final = (DEFAULT_TIER,)
#: unit classes
IMAGES: Final = "images"
_CHARACTERS: Final = "characters"
_SECONDS: Final = "seconds"


def find_demand(request: Request, model: ModelSnapshot, price: PriceSnapshot, upstream: UpstreamSnapshot) -> Demand:
    """Which classes of the price the answer may use, and how often the model may read its whole window for it.

    Raises ModelNotPriced for a service tier or tool that has no price, or of which nobody says how often it may be
    called, and InvalidRequest for what makes no sense.
    """
    body = request.body
    if (
        request.is_plain
        and request.original is None
        and not request.is_marked
        and price.is_flat
        and _DEMANDING.isdisjoint(body)
        and request.operation not in MEDIA
        and not paid_fields.searches_unasked(model.upstream_model)
    ):
        # What nearly every call is.
        return PLAIN
    if request.original is not None and request.original.betas and upstream.kind == UpstreamKind.ANTHROPIC:
        check_betas(request.original, price)
    if request.operation in MEDIA:
        return _find_media_demand(request, model, price)
    is_usual = price.is_flat and "service_tier" not in body and "speed" not in body
    tiers = _DEFAULT if is_usual else list_tiers(request, price, upstream)
    units, context_reads = paid_tools.NONE
    name = model.upstream_model
    if not BUYING.isdisjoint(body) or paid_fields.searches_unasked(name):
        units, context_reads = paid_tools.find_tools(request, model, price, upstream)
    if request.is_plain:
        # A cache is asked for an hour in a part of a message, or beside all of them; of Messages also in what is no
        # part of a chat.
        may_cache = "tools" in body or "cache_control" in body or request.is_marked
        if request.original is not None:
            may_cache = may_cache or "cache_control" in request.original.unsaid.hints
        if not units and not context_reads and not may_cache and tiers == _DEFAULT:
            return PLAIN
        return Demand(tiers=tiers, has_long_cache=may_cache, units=units, context_reads=context_reads)
    kinds = {kind for part in tokens.parts_of(request) if isinstance(kind := part.get("type"), str)}
    return Demand(
        tiers=tiers,
        has_audio="audio" in body
        or "input_audio" in kinds
        or any(message.get("audio") for message in tokens.messages_of(request)),
        has_images=bool(kinds - _TEXTS),
        has_long_cache=True,
        units=units,
        context_reads=context_reads,
    )


def find_speed(request: Request) -> str:
    """The tier that a request names by its speed, as Anthropic has it; empty for the usual one."""
    speed = request.body.get("speed")
    return speed if isinstance(speed, str) and speed != "standard" else ""


def _find_media_demand(request: Request, model: ModelSnapshot, price: PriceSnapshot) -> Demand:
    """Pictures and characters of speech are pieces; pictures may be billed by their tokens."""
    match request.operation:
        case drawn if drawn in DRAWING:
            if IMAGES in price.units:
                return Demand(has_images=True, units=((IMAGES, request.choices),))
            if not price.rates.image_output:
                raise _without_fee("image", model)
            return Demand(has_images=True)
        case heard if heard in LISTENING:
            if _SECONDS in price.units:
                longest = request.sound_seconds or sound.measure(request).sound_seconds
                return Demand(has_audio=True, units=((_SECONDS, longest),))
            if not price.rates.audio_input:
                raise _without_fee("minute", model)
            return Demand(has_audio=True)
        case Operation.SPEECH if _CHARACTERS in price.units:
            return Demand(units=((_CHARACTERS, len(request.body["input"])),))
        case Operation.SPEECH:
            raise _without_fee("million characters", model)
    return PLAIN


def _without_fee(piece: str, model: ModelSnapshot) -> ModelNotPriced:
    return ModelNotPriced(
        f"The model {model.name} has no price for a {piece}, so what this call would cost is unknown. Ask an admin of"
        " your organisation to set the fee under Models & prices.",
        code="feature_not_priced",
        param="model",
    )


def list_tiers(request: Request, price: PriceSnapshot, upstream: UpstreamSnapshot) -> tuple[str, ...]:
    """The service tiers that may answer.

    Who names none, or ``auto``, is served by the one that the account with the provider is set to, which is the
    default one unless an admin has said otherwise (the habit ``service_tier``), and by the default one where that has
    no room. Raises ModelNotPriced for a tier that has no price, and InvalidRequest for what is no name of one.
    """
    asked = request.body.get("service_tier")
    if asked is not None and not isinstance(asked, str):
        raise InvalidRequest("service_tier must be the name of a service tier, such as flex.", param="service_tier")
    speed = find_speed(request)
    if speed:
        _check_tier(speed, "speed", price)
    if asked is None or asked in _ANY_TIER:
        usual = upstream.habits.get(Habit.SERVICE_TIER)
        tier = "" if usual is None or price.find_tier(usual) is None else usual
    elif asked in _DEFAULT_TIERS:
        tier = ""
    else:
        tier = asked
        _check_tier(tier, "service_tier", price)
    if not speed and not tier:
        return _DEFAULT
    # A provider may serve a call by the default tier that asked for another one, or for more speed.
    return tuple(dict.fromkeys([*filter(None, (speed, tier)), DEFAULT_TIER]))


def _check_tier(name: str, param: str, price: PriceSnapshot) -> None:
    if price.find_tier(name) is None:
        known = ", ".join(["auto", DEFAULT_TIER, *(tier.name for tier in price.service_tiers)])
        raise ModelNotPriced(
            f"The {param.replace('_', ' ')} {name} has no price for this model: ask for one of {known}, or have an admin"
            " set its price under Models & prices.",
            code="feature_not_priced",
            param=param,
        )
