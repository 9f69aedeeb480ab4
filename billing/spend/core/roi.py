"""Whether a change pays: what calls cost a day now and after it, what it costs once, and when that has come back.

Amounts and shares are exact fractions until the one rounding of each side's cost a day, up to a whole nano-USD. Traffic
and prices are taken to stay as they are; ``roi_ranges`` says what comes of it where they may not.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Final, Protocol

from costhub.lib.money import PICOS_PER_NANO

HOURS_A_DAY: Final = 24
SECONDS_A_DAY: Final = 86_400
MINUTES_AN_HOUR: Final = 60
#: the mean month of the Gregorian calendar, in days
DAYS_A_MONTH: Final = Fraction(146_097, 4_800)
#: what is ever reckoned to be hired; calls that would need more stay where they are
MOST_GPUS: Final = 100_000

ZERO: Final = Fraction(0)
ONE: Final = Fraction(1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """An average day: calls that are paid for, their tokens of every class, and what they cost in nano-USD."""

    requests: Fraction
    input_tokens: Fraction
    output_tokens: Fraction
    cost: Fraction

    def scale(self, factor: Fraction) -> "Traffic":
        """The same calls, so many times as often."""
        return Traffic(
            self.requests * factor, self.input_tokens * factor, self.output_tokens * factor, self.cost * factor
        )


def price_tokens(input_tokens: Fraction, output_tokens: Fraction, in_price: Fraction, out_price: Fraction) -> Fraction:
    """Nano-USD for tokens at prices in pico-USD a token."""
    return (input_tokens * in_price + output_tokens * out_price) / PICOS_PER_NANO


class Scenario(Protocol):
    """A change. Money is nano-USD, prices are pico-USD a token, shares lie between 0 and 1."""

    @property
    def once(self) -> Fraction:
        """What it costs before the first call gains by it."""

    def cost_a_day(self, traffic: Traffic) -> Fraction:
        """What such a day costs afterwards."""


@dataclass(frozen=True, slots=True)
class OtherModel:
    """A share of the calls goes to another model: one that was fine-tuned, or a cheaper one that a router picks.

    ``input_tokens`` a call differ where the other model needs no examples in its prompt; None is as many as now. The
    calls that are ``escalated`` are asked again as now, and so are paid twice.
    """

    once: Fraction
    input_price: Fraction
    output_price: Fraction
    share: Fraction = ONE
    escalated: Fraction = ZERO
    input_tokens: Fraction | None = None

    def cost_a_day(self, traffic: Traffic) -> Fraction:
        """The calls that stay, those that go, and those that come back."""
        sent = traffic.input_tokens if self.input_tokens is None else self.input_tokens * traffic.requests
        other = price_tokens(sent, traffic.output_tokens, self.input_price, self.output_price)
        return traffic.cost * (ONE - self.share + self.share * self.escalated) + other * self.share


@dataclass(frozen=True, slots=True)
class SelfHost:
    """GPUs of one's own or hired by the hour in place of an API, some of them from the spot market.

    ``tokens_per_second`` is what a busy GPU reads and writes, ``utilisation`` the share of the day in which it is busy.
    Without ``gpus`` there are as many as the traffic needs. What they cannot serve stays at the API. A spot GPU that is
    interrupted is replaced for ``minutes_lost`` by one at the usual price, beside the minutes that are paid for it.
    """

    once: Fraction
    per_gpu_hour: Fraction
    tokens_per_second: Fraction
    utilisation: Fraction
    gpus: Fraction | None = None
    operations_per_month: Fraction = ZERO
    spot_per_gpu_hour: Fraction = ZERO
    spot_share: Fraction = ZERO
    interruptions_per_day: Fraction = ZERO
    minutes_lost: Fraction = ZERO

    def cost_a_day(self, traffic: Traffic) -> Fraction:
        """GPU hours, whether they are used or not, the people who keep them, and the calls that are left over."""
        tokens = traffic.input_tokens + traffic.output_tokens
        capacity = self.tokens_per_second * self.utilisation * SECONDS_A_DAY
        gpus = self.count_gpus(traffic)
        served = min(ONE, gpus * capacity / tokens) if tokens else ONE
        hour = self.spot_share * self.spot_per_gpu_hour + (ONE - self.spot_share) * self.per_gpu_hour
        lost = self.spot_share * self.interruptions_per_day * self.minutes_lost / MINUTES_AN_HOUR * self.per_gpu_hour
        kept = self.operations_per_month / DAYS_A_MONTH
        return gpus * (HOURS_A_DAY * hour + lost) + kept + traffic.cost * (ONE - served)

    def count_gpus(self, traffic: Traffic) -> int:
        """How many run all day."""
        if self.gpus is not None:
            return ceil(self.gpus)
        tokens = traffic.input_tokens + traffic.output_tokens
        return min(MOST_GPUS, ceil(tokens / (self.tokens_per_second * self.utilisation * SECONDS_A_DAY)))


@dataclass(frozen=True, slots=True)
class Cache:
    """A share of the calls is answered from a cache; looking costs ``per_request``, hit or not."""

    once: Fraction
    hits: Fraction
    per_request: Fraction = ZERO

    def cost_a_day(self, traffic: Traffic) -> Fraction:
        """The misses, and the looking."""
        return traffic.cost * (ONE - self.hits) + traffic.requests * self.per_request


@dataclass(frozen=True, slots=True)
class Batch:
    """A share of the calls can wait, and is sent in batches at a discount."""

    once: Fraction
    share: Fraction
    discount: Fraction

    def cost_a_day(self, traffic: Traffic) -> Fraction:
        """All calls, less the discount of those that wait."""
        return traffic.cost * (ONE - self.share * self.discount)


class Verdict(StrEnum):
    """What to think of a change within a horizon."""

    PAYS = "pays"
    #: it would, but only after the horizon
    TOO_LATE = "too_late"
    #: it saves nothing, or costs more with every day
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A change weighed over a horizon of whole days. Money is nano-USD."""

    before: int
    after: int
    once: int
    horizon_days: int

    @property
    def saving(self) -> int:
        """A day's; below zero where the change costs more than it saves."""
        return self.before - self.after

    @property
    def break_even_days(self) -> Fraction | None:
        """When ``once`` has come back; None if it never does."""
        return Fraction(self.once, self.saving) if self.saving > 0 else None

    @property
    def verdict(self) -> Verdict:
        """Paying is to have come back by the end of the horizon."""
        if self.saving <= 0:
            return Verdict.NEVER
        return Verdict.PAYS if self.net >= 0 else Verdict.TOO_LATE

    @property
    def net(self) -> int:
        """What is gained, or below zero lost, by the end of the horizon."""
        return self.net_after(self.horizon_days)

    def net_after(self, days: int) -> int:
        """What is gained or lost after so many days."""
        return self.saving * days - self.once


def weigh(scenario: Scenario, traffic: Traffic, horizon_days: int) -> Outcome:
    """Compare an average day before and after a change; every amount is rounded up once."""
    return Outcome(ceil(traffic.cost), ceil(scenario.cost_a_day(traffic)), ceil(scenario.once), horizon_days)
