"""The bill bridge over the ledger: of twenty planted shocks each time the planted cause carries the change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.spend.actions.rollups import roll_up
from billing.spend.core.bridge import Bridge, Cause
from billing.spend.core.bridge_texts import describe_part
from billing.spend.selectors.bridge import find_bridge
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tests.billing.ledger import make_call
from tests.world import Tenant, World, make_catalog

AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (8, 9, 10, 11))
#: pico-USD a token: input, read from the provider's cache, output
Rates = tuple[int, int, int]
PRICES: dict[str, Rates] = {
    "small": (150_000, 75_000, 600_000),
    "large": (2_500_000, 1_250_000, 10_000_000),
    "smart": (3_000_000, 300_000, 15_000_000),
}
CALLS = {"small": 240, "large": 120, "smart": 60}


@dataclass(frozen=True)
class Usual:
    """What a model's month is made of. Of its calls so many are hits of our cache or fail; every so-manieth is tried
    twice, or answered by ``small``. Compression takes so many per mille off the input."""

    calls: int
    hits: int
    failed: int = 0
    tokens: Rates = (1_000, 200, 300)
    version: str = "20260101"
    retried_every: int = 0
    routed_every: int = 0
    compressed: int = 0
    rates: Rates | None = None


USUAL = {name: Usual(calls, calls // 5) for name, calls in CALLS.items()}
Month = Mapping[str, Usual]


def month(**changes: Mapping[str, Any]) -> Month:
    """A usual month but for what is said of some models."""
    return {name: replace(usual, **changes.get(name, {})) for name, usual in USUAL.items()}


def everywhere(**changes: Any) -> Month:
    return month(**dict.fromkeys(USUAL, changes))


def calls(**numbers: int) -> Month:
    return month(**{name: {"calls": number, "hits": number // 5} for name, number in numbers.items()})


def times(rates: Rates, *factors: int) -> Rates:
    """In per cent."""
    first, second, third = (rate * factor // 100 for rate, factor in zip(rates, factors, strict=True))
    return first, second, third


@dataclass
class Books:
    """Acme's ledger, with prices of three models."""

    tenant: Tenant
    models: dict[str, Any] = field(default_factory=dict)
    prices: dict[tuple[str, Rates], UUID] = field(default_factory=dict)

    def price(self, name: str, rates: Rates, at: datetime) -> UUID:
        """The version with these rates, made where there is none."""
        if (name, rates) not in self.prices:
            with org_scope(self.tenant.org.pk):
                row = create_price(
                    actor=self.tenant.owner,
                    model=self.models[name],
                    input_per_million=Decimal(rates[0]).scaleb(-6),
                    cached_input_per_million=Decimal(rates[1]).scaleb(-6),
                    output_per_million=Decimal(rates[2]).scaleb(-6),
                    effective_from=at,
                )
            self.prices[name, rates] = row.pk
        return self.prices[name, rates]

    def write(self, start: datetime, models: Month) -> None:
        """A month of calls, a minute after each other."""
        rows = [row for name, usual in models.items() for row in self.make_rows(name, usual, start)]
        with org_scope(self.tenant.org.pk):
            LedgerEntry.objects.bulk_create(rows, batch_size=500)

    def make_rows(self, name: str, usual: Usual, start: datetime) -> Iterator[LedgerEntry]:
        """What the proxy would have written of them."""
        rates = usual.rates or PRICES[name]
        price, cheap = self.price(name, rates, start), self.price("small", PRICES["small"], start)
        for number in range(usual.calls):
            at = start + timedelta(days=2, minutes=number)
            common = {"request_model": name, "price_id": price, "response_model": f"{name}-{usual.version}"}
            full = cost_of(usual.tokens, rates)
            if number < usual.hits:
                spared = {"list_cost": full, "effective_cost": 0, "savings": {"cache": full}, "attempts": []}
                yield make_call(self.tenant, at, **common | spared | {"cache_status": "hit-l1"})
                continue
            if number < usual.hits + usual.failed:
                attempt = {"number": 1, "status": 502, "certainty": "exact", "cost": 0, "error": "down"}
                yield make_call(self.tenant, at, **common | {"status": 502, "attempts": [attempt]})
                continue
            kept = 1_000 - usual.compressed
            tokens = (usual.tokens[0] * kept // 1_000, usual.tokens[1] * kept // 1_000, usual.tokens[2])
            cost, saved = cost_of(tokens, rates), {"compression": full - cost_of(tokens, rates)}
            if usual.routed_every and number % usual.routed_every == 0:
                cost = cost_of(tokens, PRICES["small"])
                saved = {"routing": full - cost}
                common |= {"price_id": cheap, "response_model": "small-20260101"}
            tries = 2 if usual.retried_every and number % usual.retried_every == 0 else 1
            attempts = [{"number": n + 1, "status": 200, "certainty": "exact", "cost": cost} for n in range(tries)]
            yield make_call(
                self.tenant,
                at,
                **common,
                list_cost=(cost + sum(saved.values())) * tries,
                effective_cost=cost * tries,
                savings={mechanism: nanos for mechanism, nanos in saved.items() if nanos},
                attempts=attempts,
                input_tokens=(tokens[0] + tokens[1]) * tries,
                cache_read_input_tokens=tokens[1] * tries,
                output_tokens=tokens[2] * tries,
            )

    def bridge(self) -> Bridge:
        """From September to October."""
        with org_scope(self.tenant.org.pk):
            return find_bridge(self.tenant.owner, before=(SEPTEMBER, OCTOBER), after=(OCTOBER, NOVEMBER)).bridge


def cost_of(tokens: Rates, rates: Rates) -> int:
    picos = sum(count * rate for count, rate in zip(tokens, rates, strict=True))
    return -(-picos // 1_000)


@pytest.fixture
def books(world: World) -> Books:
    made = Books(world.acme)
    for name in PRICES:
        made.models[name] = make_catalog(world.acme, model=name, input_per_million=None).model
        made.price(name, PRICES[name], AUGUST)
    return made


LARGE, SMALL, SMART = PRICES["large"], PRICES["small"], PRICES["smart"]
USUALLY = month()
#: September, October, and what was planted
SHOCKS: dict[str, tuple[Month, Month, Cause]] = {
    "output of large is dearer": (USUALLY, month(large={"rates": times(LARGE, 100, 100, 120)}), Cause.PRICE),
    "all of small is cheaper": (USUALLY, month(small={"rates": times(SMALL, 50, 50, 50)}), Cause.PRICE),
    "cached input of smart is dearer": (USUALLY, month(smart={"rates": times(SMART, 100, 900, 100)}), Cause.PRICE),
    "twice the calls": (USUALLY, calls(small=480, large=240, smart=120), Cause.VOLUME),
    "a third of the calls": (month(), calls(small=80, large=40, smart=20), Cause.VOLUME),
    "small's calls go to smart": (USUALLY, calls(small=120, smart=180), Cause.MODEL_MIX),
    "smart is given up for small": (USUALLY, calls(small=295, smart=5), Cause.MODEL_MIX),
    "a new version of large is chattier": (
        USUALLY,
        month(large={"tokens": (1_000, 200, 700), "version": "20261001"}),
        Cause.OUTPUT_TOKENS,
    ),
    "all answer shorter": (USUALLY, everywhere(tokens=(1_000, 200, 150)), Cause.OUTPUT_TOKENS),
    "longer prompts": (USUALLY, everywhere(tokens=(3_000, 600, 300)), Cause.INPUT_TOKENS),
    "a new tokenizer": (
        USUALLY,
        month(smart={"tokens": (1_350, 270, 405), "version": "20261001"}),
        Cause.TOKENIZER,
    ),
    "our cache is switched off": (USUALLY, everywhere(hits=0), Cause.CACHE),
    "our cache is switched on": (everywhere(hits=0), USUALLY, Cause.CACHE),
    "the provider's cache is cold": (USUALLY, everywhere(tokens=(1_200, 0, 300)), Cause.PROVIDER_CACHE),
    "the provider's cache is warm": (USUALLY, everywhere(tokens=(300, 900, 300)), Cause.PROVIDER_CACHE),
    "retries": (USUALLY, everywhere(retried_every=4), Cause.RETRIES),
    "a quarter of large's calls fail": (USUALLY, month(large={"failed": 30}), Cause.FAILURES),
    "routing is switched off": (month(large={"routed_every": 2}, smart={"routed_every": 2}), USUALLY, Cause.ROUTING),
    "large is routed to a cheaper model": (USUALLY, month(large={"routed_every": 2}), Cause.ROUTING),
    "prompts are compressed": (USUALLY, everywhere(compressed=500), Cause.COMPRESSION),
}


@pytest.mark.parametrize("name", list(SHOCKS))
def test_the_planted_cause_carries_the_change(books: Books, name: str) -> None:
    before, after, cause = SHOCKS[name]
    books.write(SEPTEMBER, before)
    books.write(OCTOBER, after)
    bridge = books.bridge()
    assert bridge.change != 0
    assert sum(part.nanos for part in bridge.parts) == bridge.change
    (planted,) = (part for part in bridge.parts if part.cause is cause)
    assert planted.nanos / bridge.change >= 0.95, bridge.parts


def test_there_are_twenty_shocks_of_every_kind() -> None:
    assert len(SHOCKS) == 20
    assert {cause for _, _, cause in SHOCKS.values()} == set(Cause) - {Cause.BATCH, Cause.OTHER}


def test_sums_of_days_say_the_same_and_a_new_tokenizer_is_told(books: Books) -> None:
    before, after, _ = SHOCKS["a new tokenizer"]
    books.write(SEPTEMBER, before)
    books.write(OCTOBER, after)
    of_rows = books.bridge()
    while roll_up():
        pass
    assert books.bridge() == of_rows
    told = [describe_part(part) for part in of_rows.parts if part.cause is Cause.TOKENIZER]
    assert told == [
        "Tokenizers of new versions: +$0.13. The versions that answered as smart make 35 % more tokens of a call."
    ]
