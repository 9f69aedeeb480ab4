"""The assumptions of /roi as callers write them, read into the exact fractions that the core reckons with."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from rest_framework import serializers

from billing.spend.core.roi import MOST_GPUS, Batch, Cache, OtherModel, SelfHost
from costhub.lib.money import NANOS_PER_USD, PICOS_PER_TOKEN_AT_ONE_USD_PER_MILLION
from tenants.api.fields import Amount, Body, Text, Whole

MOST_WEEKS: Final = 26
MOST_TRIALS: Final = 2_000
MOST_DAYS: Final = 3_650
_MOST_SEED: Final = 2**53


class Quantity(Amount):
    """A decimal number between bounds; inside, a fraction ``scale`` times as large."""

    def __init__(self, unit: str, *, least: str = "0", most: str, scale: Fraction | int = 1, **options: Any) -> None:
        self._bounds = Decimal(least), Decimal(most)
        self._scale = scale
        super().__init__(**{"help_text": f"{unit}, {least} to {most}"} | options)

    def to_internal_value(self, data: Any) -> Any:
        """The scaled number. Raises ValidationError."""
        try:
            number = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError('Give a decimal number as a string, such as "0.15".') from error
        least, most = self._bounds
        if not least <= number <= most:
            raise serializers.ValidationError(f"Give a number from {least} to {most}.")
        return Fraction(number) * self._scale


def _usd(most: str = "1000000000", **options: Any) -> Quantity:
    return Quantity("USD", most=most, scale=NANOS_PER_USD, **options)


def _price(**options: Any) -> Quantity:
    scale = PICOS_PER_TOKEN_AT_ONE_USD_PER_MILLION
    return Quantity("USD per million tokens", most="10000", scale=scale, **options)


def _per_cent(most: str = "100", **options: Any) -> Quantity:
    return Quantity("per cent", most=most, scale=Fraction(1, 100), **options)


class FineTuneBody(Body):
    """Training once, then calls at the trained model's prices. ``escalated_percent`` of them are asked of the present
    model again; ``input_tokens`` is a call's prompt where the trained model needs a shorter one."""

    training_cost = _usd()
    input_per_million = _price()
    output_per_million = _price()
    share_percent = _per_cent(required=False)
    escalated_percent = _per_cent(required=False)
    input_tokens = Quantity("tokens", most="1000000", required=False)


class RouteBody(Body):
    """A share of the calls is sent to a cheaper model, and some of these are escalated: asked again as now."""

    share_percent = _per_cent()
    input_per_million = _price()
    output_per_million = _price()
    escalated_percent = _per_cent(required=False)
    setup_cost = _usd(required=False)


class SelfHostBody(Body):
    """GPUs in place of the API. ``tokens_per_second`` is what one of them reads and writes when it is busy, which it is
    for ``utilisation_percent`` of the day. Without ``gpus`` there are as many as the traffic needs."""

    per_gpu_hour = _usd(most="10000")
    tokens_per_second = Quantity("tokens", least="1", most="100000000")
    utilisation_percent = _per_cent(least="1")
    gpus = Quantity("GPUs", most=str(MOST_GPUS), required=False)
    setup_cost = _usd(required=False)
    operations_per_month = _usd(required=False)
    spot_per_gpu_hour = _usd(most="10000", required=False)
    spot_percent = _per_cent(required=False)
    interruptions_per_day = Quantity("interruptions of a spot GPU", most="1000", required=False)
    minutes_lost = Quantity("minutes an interruption", most="1440", required=False)


class CacheBody(Body):
    """A share of the calls is answered from a cache. ``per_request`` is what looking costs."""

    hit_percent = _per_cent()
    per_request = _usd(most="10000", required=False)
    setup_cost = _usd(required=False)


class BatchBody(Body):
    """A share of the calls can wait, and gets a discount for it."""

    share_percent = _per_cent()
    discount_percent = _per_cent()
    setup_cost = _usd(required=False)


#: what a scenario is called, how its assumptions are written, and what they make
SCENARIOS: Final[Mapping[str, tuple[type[Body], Any]]] = {
    "fine_tune": (FineTuneBody, OtherModel),
    "route": (RouteBody, OtherModel),
    "self_host": (SelfHostBody, SelfHost),
    "cache": (CacheBody, Cache),
    "batch": (BatchBody, Batch),
}
#: the core's names for the assumptions whose names have a unit in them
CORE_NAMES: Final = {
    "training_cost": "once",
    "setup_cost": "once",
    "input_per_million": "input_price",
    "output_per_million": "output_price",
    "share_percent": "share",
    "escalated_percent": "escalated",
    "utilisation_percent": "utilisation",
    "spot_percent": "spot_share",
    "hit_percent": "hits",
    "discount_percent": "discount",
}


class TrafficBody(Body):
    """An average day as somebody expects it: calls, their tokens, and the prices that are paid for them now."""

    requests_per_day = Quantity("calls", most="1000000000")
    input_tokens = Quantity("tokens a call", most="1000000")
    output_tokens = Quantity("tokens a call", most="1000000")
    input_per_million = _price()
    output_per_million = _price()


class LedgerBody(Body):
    """Whose calls of the ledger make the average day, and of how many weeks until now: 4, if it is not said."""

    model = Text(required=False, help_text="a model's name")
    project = Text(required=False, help_text="a project's name or id")
    weeks = Whole(required=False, min_value=1, max_value=MOST_WEEKS)


class RangeBody(Body):
    """Between what an assumption may lie, in its own unit."""

    low = Amount()
    high = Amount()


class Ranges(serializers.DictField):
    """Ranges by the names of the scenario's assumptions; ``traffic`` is one in per cent of the average day."""

    child = RangeBody()


#: the traffic's range, in per cent of the average day
TRAFFIC_PER_CENT: Final = _per_cent(most="1000")


class RoiBody(Body):
    """One scenario by its name, its assumptions in it; the traffic, typed or the ledger's; and what is uncertain."""

    fine_tune = FineTuneBody(required=False)
    route = RouteBody(required=False)
    self_host = SelfHostBody(required=False)
    cache = CacheBody(required=False)
    batch = BatchBody(required=False)
    traffic = TrafficBody(required=False)
    ledger = LedgerBody(required=False)
    horizon_days = Whole(required=False, min_value=1, max_value=MOST_DAYS, help_text="365, if it is not said")
    ranges = Ranges(required=False, help_text="low and high, by the name of an assumption; traffic in per cent")
    seed = Whole(required=False, min_value=0, max_value=_MOST_SEED)
    trials = Whole(required=False, min_value=100, max_value=MOST_TRIALS, help_text="1000, if it is not said")
