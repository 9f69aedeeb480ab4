"""The packaged price table, and the list prices that are kept in step with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version

import pytest
import time_machine
from django.core.management import CommandError, call_command

from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.list_prices import add_list_prices
from tenants.models import ListPrice, Organization
from tenants.price_table import BEGINNING, ListedPrice, read_price_table
from tenants.selectors import load_org_snapshot
from tests.world import World

TABLE = f"genai-prices {version('genai-prices')}"
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def listed(model: str = "one", input_per_million: str = "1", effective_from: datetime = BEGINNING) -> ListedPrice:
    amounts: dict[str, Decimal | None] = {
        "input_per_million": Decimal(input_per_million),
        "output_per_million": Decimal(2),
        "cached_input_per_million": None,
        "cache_write_per_million": None,
        "audio_input_per_million": None,
        "audio_output_per_million": None,
        "per_request": Decimal(0),
    }
    return ListedPrice("acme-ai", model, effective_from, amounts, 1000, "table 1")


def history(model: str = "one") -> list[tuple[datetime, Decimal]]:
    rows = ListPrice.objects.filter(provider="acme-ai", model=model).order_by("effective_from")
    return list(rows.values_list("effective_from", "input_per_million"))


class TestTable:
    def find(self, model: str) -> list[ListedPrice]:
        return [price for price in read_price_table("openai") if price.model == model]

    def test_a_model_with_all_that_we_know_of_it(self) -> None:
        (price,) = self.find("gpt-4o-mini")
        assert price == ListedPrice(
            provider="openai",
            model="gpt-4o-mini",
            effective_from=BEGINNING,
            amounts={
                "input_per_million": Decimal("0.15"),
                "output_per_million": Decimal("0.6"),
                "cached_input_per_million": Decimal("0.075"),
                "cache_write_per_million": None,
                "audio_input_per_million": None,
                "audio_output_per_million": None,
                "per_request": Decimal(0),
            },
            context_window=128_000,
            source=TABLE,
        )

    def test_dated_names_cost_what_the_model_does(self) -> None:
        (dated,), (plain,) = self.find("gpt-4o-mini-2024-07-18"), self.find("gpt-4o-mini")
        assert dated == replace(plain, model="gpt-4o-mini-2024-07-18")

    def test_dated_prices_are_versions(self) -> None:
        before, after = self.find("o3")
        assert (before.effective_from, before.amounts["input_per_million"]) == (BEGINNING, Decimal(10))
        assert (after.effective_from, after.amounts["input_per_million"]) == (
            datetime(2025, 6, 10, tzinfo=UTC),
            Decimal(2),
        )

    def test_of_tiers_the_base_is_taken_and_told(self) -> None:
        first = self.find("gpt-5.6-luna")[0]
        assert first.amounts["input_per_million"] == Decimal(1)
        assert first.source == f"{TABLE}, base tier: dearer from 272000 tokens on"

    def test_an_embedding_has_no_output_that_costs(self) -> None:
        (price,) = self.find("text-embedding-3-small")
        assert (price.amounts["input_per_million"], price.amounts["output_per_million"]) == (
            Decimal("0.02"),
            Decimal(0),
        )

    @pytest.mark.parametrize("model", ["whisper-1", "tts-1", "moderation"])
    def test_what_is_not_billed_by_tokens_is_left_out(self, model: str) -> None:
        assert self.find(model) == []

    def test_every_version_fits_into_its_row(self) -> None:
        prices = read_price_table("openai")
        assert len({(price.model, price.effective_from) for price in prices}) == len(prices) >= 200
        for price in prices:
            assert len(price.model) <= 200
            assert len(price.source) <= 200
            for amount in price.amounts.values():
                assert amount is None or 0 <= amount <= 1_000_000

    def test_what_is_finer_than_can_be_counted_is_rounded_up_and_told(self) -> None:
        """The table has thirds of a cent, and decimals that went through a binary fraction."""
        found = {price.model: price for price in read_price_table("openrouter")}
        price = found["google/gemini-3.5-flash"]
        assert price.amounts["cache_write_per_million"] == Decimal("0.083334")
        assert price.source == f"{TABLE}, rounded up to 6 decimal places"
        found = {price.model: price for price in read_price_table("huggingface_together")}
        dusty = found["meta-llama/Llama-3.3-70B-Instruct"]
        assert dusty.amounts["input_per_million"] == Decimal("1.04")

    @pytest.mark.parametrize("provider", ["openai", "openrouter", "huggingface_together", "anthropic"])
    def test_every_price_can_be_counted_exactly(self, provider: str) -> None:
        for price in read_price_table(provider):
            for column, amount in price.amounts.items():
                places = 12 if column == "per_request" else 6
                assert amount is None or amount == amount.quantize(Decimal(1).scaleb(-places)), (price.model, column)

    def test_an_unknown_provider_is_named(self) -> None:
        with pytest.raises(ValueError, match="'nobody'"):
            read_price_table("nobody")


class TestListPrices:
    def test_the_second_time_nothing_is_new(self, world: World) -> None:
        table = [listed(), listed(input_per_million="0.5", effective_from=JUNE), listed("two")]
        assert (add_list_prices(table), add_list_prices(table)) == (3, 0)
        assert history() == [(BEGINNING, Decimal(1)), (JUNE, Decimal("0.5"))]

    def test_an_undated_change_holds_from_now_and_history_stays(self, world: World) -> None:
        add_list_prices([listed()])
        with time_machine.travel(JUNE, tick=False):
            assert add_list_prices([listed(input_per_million="3")]) == 1
            assert add_list_prices([listed(input_per_million="3")]) == 0
        assert history() == [(BEGINNING, Decimal(1)), (JUNE, Decimal(3))]

    def test_a_dated_change_holds_from_its_date(self, world: World) -> None:
        add_list_prices([listed()])
        tomorrow = clock.now() + timedelta(days=1)
        table = [listed(), listed(input_per_million="3", effective_from=tomorrow)]
        assert (add_list_prices(table), add_list_prices(table)) == (1, 0)
        assert history() == [(BEGINNING, Decimal(1)), (tomorrow, Decimal(3))]

    def test_another_remark_alone_is_no_new_price(self, world: World) -> None:
        add_list_prices([listed()])
        assert add_list_prices([replace(listed(), source="table 2")]) == 0

    def test_every_organisation_hears_of_it_once(self, world: World) -> None:
        add_list_prices([listed(), listed("two")])
        add_list_prices([listed()])
        for tenant in (world.acme, world.mallcorp):
            with org_scope(tenant.org.pk):
                assert Organization.objects.get().version == 3
            snapshot = load_org_snapshot(tenant.org_id)
            assert snapshot is not None
            assert snapshot.version == 3

    def test_the_command_says_how_many(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("seed_prices", "--provider", "mistral")
        call_command("seed_prices", "--provider", "mistral")
        count = len(read_price_table("mistral"))
        assert capsys.readouterr().out.splitlines() == [
            f"mistral: {count} of {count} price versions were new.",
            f"mistral: 0 of {count} price versions were new.",
        ]

    def test_the_command_names_an_unknown_provider(self, world: World) -> None:
        with pytest.raises(CommandError, match="nobody"):
            call_command("seed_prices", "--provider", "nobody")
