"""Whether a change pays: a worked example to the cent, each scenario by hand, and the ends of the scale."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.spend.core.roi import (
    MOST_GPUS,
    Batch,
    Cache,
    OtherModel,
    Outcome,
    SelfHost,
    Traffic,
    Verdict,
    price_tokens,
    weigh,
)
from billing.spend.core.roi_texts import describe_outcome, format_days
from tests.sampling import examples

USD = 10**9
#: pico-USD a token for a dollar per thousand tokens
PER_THOUSAND = 10**9


def make_traffic(requests: int, tokens_in: int, tokens_out: int, *, per_thousand: tuple[str, str]) -> Traffic:
    """Calls that are alike, at prices per thousand tokens."""
    prices = [Fraction(price) * PER_THOUSAND for price in per_thousand]
    total_in, total_out = Fraction(requests * tokens_in), Fraction(requests * tokens_out)
    return Traffic(Fraction(requests), total_in, total_out, price_tokens(total_in, total_out, *prices))


#: ten thousand calls a day of GPT-4 at its first prices: 420 USD
DEAR = make_traffic(10_000, 1_000, 200, per_thousand=("0.03", "0.06"))
SILENT = make_traffic(0, 1_000, 200, per_thousand=("0.03", "0.06"))
LLAMA = OtherModel(
    once=Fraction(500 * USD),
    input_price=Fraction("0.0002") * PER_THOUSAND,
    output_price=Fraction("0.0002") * PER_THOUSAND,
)


def in_usd(outcome: Outcome) -> tuple[str, str, str]:
    return tuple(f"{nanos / USD:.2f}" for nanos in (outcome.before, outcome.after, outcome.saving))  # type: ignore[return-value]


def test_a_fine_tuned_llama_in_place_of_gpt_4() -> None:
    outcome = weigh(LLAMA, DEAR, 365)
    assert (outcome.before, outcome.after, outcome.saving) == (420 * USD, 2_400_000_000, 417_600_000_000)
    assert outcome.break_even_days == Fraction(50_000, 41_760)  # 1.1973 days
    assert outcome.net == 365 * 417_600_000_000 - 500 * USD
    assert describe_outcome(outcome, has_traffic=True) == (
        "Pays for itself after 1.2 days: it saves $417.60 a day and costs $500.00 once."
    )


@pytest.mark.parametrize(
    ("scenario", "usd"),
    [
        # half stays, half goes, and a tenth of that half comes back: 210 + 1.20 + 21
        (replace(LLAMA, share=Fraction(1, 2), escalated=Fraction(1, 10)), "232.20"),
        # without its 800 tokens of examples a prompt: 10,000 x (200 + 200) tokens
        (replace(LLAMA, input_tokens=Fraction(200)), "0.80"),
        # 12 M tokens a day; a GPU does 1,000 x 86,400 / 2 = 43.2 M: one, 24 h at 2 USD
        (SelfHost(Fraction(0), Fraction(2 * USD), Fraction(1_000), Fraction(1, 2)), "48.00"),
        # a tenth as fast it takes three
        (SelfHost(Fraction(0), Fraction(2 * USD), Fraction(100), Fraction(1, 2)), "144.00"),
        # one of those does 4.32 of 12 M, the other 64 % stay: 48 + 268.80
        (SelfHost(Fraction(0), Fraction(2 * USD), Fraction(100), Fraction(1, 2), gpus=Fraction(1)), "316.80"),
        # all spot at 0.60: 14.40, and four interruptions of 15 minutes at 2 USD
        (
            SelfHost(
                *(Fraction(0), Fraction(2 * USD), Fraction(1_000), Fraction(1, 2)),
                spot_per_gpu_hour=Fraction(6 * USD, 10),
                spot_share=Fraction(1),
                interruptions_per_day=Fraction(4),
                minutes_lost=Fraction(15),
            ),
            "16.40",
        ),
        # a year of people costs 146,097 USD, in 365.2425 days of 400 USD
        (
            SelfHost(
                *(Fraction(0), Fraction(0), Fraction(1_000), Fraction(1)),
                operations_per_month=Fraction(146_097 * USD, 12),
            ),
            "400.00",
        ),
        # 70 % of 420, and a tenth of a cent for each of 10,000 look-ups
        (Cache(Fraction(0), Fraction(3, 10), Fraction(USD, 1_000)), "304.00"),
        # 40 % at half the price
        (Batch(Fraction(0), Fraction(2, 5), Fraction(1, 2)), "336.00"),
    ],
)
def test_a_day_afterwards_by_hand(scenario: Any, usd: str) -> None:
    assert in_usd(weigh(scenario, DEAR, 30))[1] == usd


def test_no_gpu_serves_nothing_and_no_fleet_is_endless() -> None:
    none = SelfHost(Fraction(0), Fraction(USD), Fraction(1), Fraction(1, 100), gpus=Fraction(0))
    assert weigh(none, DEAR, 1).saving == 0
    flood = DEAR.scale(Fraction(10**6))
    assert replace(none, gpus=None).count_gpus(flood) == MOST_GPUS
    assert replace(none, gpus=None).count_gpus(SILENT) == 0


@pytest.mark.parametrize(
    ("scenario", "traffic", "text"),
    [
        (LLAMA, SILENT, "Never pays: there are no calls that it could save anything on, and $500.00 once on top."),
        (
            SelfHost(Fraction(0), Fraction(2 * USD), Fraction(1), Fraction(1), gpus=Fraction(1)),
            SILENT,
            "Never pays: there are no calls that it could save anything on, and it costs $48.00 a day.",
        ),
        (Batch(Fraction(0), Fraction(1), Fraction(0)), DEAR, "Never pays: it saves nothing."),
        (Cache(Fraction(USD), Fraction(0)), DEAR, "Never pays: it saves nothing, and $1.00 once on top."),
        (
            Cache(Fraction(USD), Fraction(0), Fraction(USD, 1_000)),
            DEAR,
            "Never pays: it costs $10.00 a day more than now, and $1.00 once on top.",
        ),
        # all escalated: the present model is paid in full, and the trained one besides
        (replace(LLAMA, escalated=Fraction(1)), DEAR, "Never pays: it costs $2.40 a day more than now, and $500.00 once on top."),
    ],
)  # fmt: skip
def test_what_never_pays_is_said_plainly(scenario: Any, traffic: Traffic, text: str) -> None:
    outcome = weigh(scenario, traffic, 365)
    assert (outcome.verdict, outcome.break_even_days) == (Verdict.NEVER, None)
    assert outcome.net <= 0
    assert describe_outcome(outcome, has_traffic=traffic.requests > 0) == text


def test_a_change_that_costs_nothing_once_pays_from_the_first_day() -> None:
    outcome = weigh(Batch(Fraction(0), Fraction(1), Fraction(1, 2)), DEAR, 1)
    assert (outcome.verdict, outcome.break_even_days, outcome.net) == (Verdict.PAYS, Fraction(0), 210 * USD)
    assert describe_outcome(outcome, has_traffic=True) == (
        "Pays from the first day: it saves $210.00 a day and costs nothing once."
    )


def test_the_last_day_of_the_horizon_is_in_time_and_the_next_is_not() -> None:
    change = Batch(Fraction(2_100 * USD), Fraction(1), Fraction(1, 2))
    assert [weigh(change, DEAR, days).verdict for days in (9, 10)] == [Verdict.TOO_LATE, Verdict.PAYS]
    assert describe_outcome(weigh(change, DEAR, 9), has_traffic=True) == (
        "Does not pay within 9 days: it saves $210.00 a day, so $2,100.00 would come back after 10.0 days."
    )


def test_days_for_people() -> None:
    assert [format_days(Fraction(days)) for days in ("1", "0.04", "99.94", "12345.6")] == [
        *("1.0 day", "0.0 days", "99.9 days", "12,346 days")
    ]


@settings(max_examples=examples(50))
@given(
    saved=st.fractions(0, 1, max_denominator=1_000),
    once=st.integers(0, 10**15),
    requests=st.integers(0, 10**6),
    horizon=st.integers(1, 3_650),
)
def test_it_pays_exactly_when_it_is_back_by_the_end(saved: Fraction, once: int, requests: int, horizon: int) -> None:
    traffic = make_traffic(requests, 700, 90, per_thousand=("0.0025", "0.01"))
    outcome = weigh(Batch(Fraction(once), saved, Fraction(1)), traffic, horizon)
    days = outcome.break_even_days
    assert (outcome.verdict is Verdict.PAYS) == (days is not None and days <= horizon)
    assert (outcome.verdict is Verdict.NEVER) == (outcome.before == outcome.after)
    assert outcome.before - outcome.saving == outcome.after
