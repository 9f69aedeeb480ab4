"""The packaged price table, and the list prices that are kept in step with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command

from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.list_prices import add_list_prices, preview_list_prices
from tenants.models import ListPrice, Organization
from tenants.price_table import AMOUNTS, BEGINNING, ListedPrice, read_price_table
from tenants.price_terms import TOKEN_FIELDS, check_fees, check_long_context, check_service_tiers
from tenants.selectors import load_org_snapshot
from tests.world import World

TABLE = f"genai-prices {version('genai-prices')}"
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def listed(model: str = "one", input_per_million: str = "1", effective_from: datetime = BEGINNING) -> ListedPrice:
    amounts: dict[str, Decimal | None] = {
        "input_per_million": Decimal(input_per_million),
        "output_per_million": Decimal(2),
        "per_request": Decimal(0),
    }
    amounts = dict.fromkeys(AMOUNTS) | amounts
    return ListedPrice("acme-ai", model, effective_from, amounts, 1000, "table 1")


def history(model: str = "one") -> list[tuple[datetime, Decimal]]:
    rows = ListPrice.objects.filter(provider="acme-ai", model=model).order_by("effective_from")
    return list(rows.values_list("effective_from", "input_per_million"))


def _decimals(row: dict[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in TOKEN_FIELDS else value for name, value in row.items()}


class TestTable:
    def find(self, model: str) -> list[ListedPrice]:
        return [price for price in read_price_table("openai") if price.model == model]

    def test_a_model_with_all_that_we_know_of_it(self) -> None:
        price = self.find("gpt-4o-mini")[0]
        assert price == ListedPrice(
            provider="openai",
            model="gpt-4o-mini",
            effective_from=BEGINNING,
            amounts={
                **dict.fromkeys(AMOUNTS),
                "input_per_million": Decimal("0.15"),
                "output_per_million": Decimal("0.6"),
                "cached_input_per_million": Decimal("0.075"),
                "per_request": Decimal(0),
            },
            context_window=128_000,
            source=TABLE,
            terms={
                "fees": {
                    "web_search": "0.01",
                    "file_search": "0.0025",
                    "web_search_preview": "0.025",
                    "web_search_tokens": "8000",
                },
                "long_context": [],
                "service_tiers": {},
            },
        )

    def test_a_search_by_the_older_tool_costs_less_with_models_that_reason(self) -> None:
        fees = {
            model: self.find(model)[-1].terms["fees"].get("web_search_preview")
            for model in ("gpt-4.1", "gpt-4o-2024-05-13", "gpt-5", "gpt-6.1-sol", "o3", "o4-mini", "gpt-4.1-nano")
        }
        assert fees == {
            **dict.fromkeys(("gpt-4.1", "gpt-4o-2024-05-13"), "0.025"),
            **dict.fromkeys(("gpt-5", "gpt-6.1-sol", "o3", "o4-mini"), "0.01"),
            "gpt-4.1-nano": None,  # which has no search at all
        }

    def test_searches_of_small_models_are_billed_as_a_block_of_tokens(self) -> None:
        names = ("gpt-4o-mini-2024-07-18", "gpt-4.1-mini", "gpt-4.1", "gpt-5-mini", "gpt-4o-mini-search-preview")
        blocks = [self.find(model)[-1].terms["fees"].get("web_search_tokens") for model in names]
        assert blocks == ["8000", "8000", None, None, None]

    def test_dated_names_cost_what_the_model_does(self) -> None:
        dated, plain = self.find("gpt-4o-mini-2024-07-18"), self.find("gpt-4o-mini")
        assert dated == [replace(version, model="gpt-4o-mini-2024-07-18") for version in plain]

    def test_dated_prices_are_versions(self) -> None:
        before, after = self.find("o3")[:2]
        assert (before.effective_from, before.amounts["input_per_million"]) == (BEGINNING, Decimal(10))
        assert (after.effective_from, after.amounts["input_per_million"]) == (
            datetime(2025, 6, 10, tzinfo=UTC),
            Decimal(2),
        )

    def test_a_long_context_is_a_row_of_the_whole_call(self) -> None:
        first = self.find("gpt-5.6-luna")[0]
        assert first.amounts["input_per_million"] == Decimal(1)
        assert first.terms["long_context"] == [
            {
                "above": 272_000,
                "applies_to": "call",
                "input_per_million": "2",
                "output_per_million": "9",
                "cached_input_per_million": "0.2",
                "cache_write_per_million": "2.5",
            }
        ]
        assert first.source == TABLE

    def test_service_tiers_come_with_their_own_dates(self) -> None:
        before, tiers, batch = self.find("gpt-5")
        assert (before.terms["service_tiers"], tiers.effective_from) == ({}, datetime(2026, 10, 12, tzinfo=UTC))
        assert sorted(tiers.terms["service_tiers"]) == ["fast", "flex", "priority"]
        assert sorted(batch.terms["service_tiers"]) == ["batch", "fast", "flex", "priority"]
        assert batch.terms["service_tiers"]["priority"] == {
            "input_per_million": "2.5",
            "cached_input_per_million": "0.25",
            "output_per_million": "20",
            "long_context": [],
        }

    def test_batches_and_writes_for_an_hour_are_read(self) -> None:
        price = [price for price in read_price_table("anthropic") if price.model == "claude-haiku-4-5"][-1]
        assert (price.amounts["cache_write_per_million"], price.amounts["cache_write_1h_per_million"]) == (
            Decimal("1.25"),
            Decimal(2),
        )
        assert price.terms["service_tiers"]["batch"] == {
            "input_per_million": "0.5",
            "cached_input_per_million": "0.05",
            "cache_write_per_million": "0.625",
            "cache_write_1h_per_million": "1",
            "output_per_million": "2.5",
            "long_context": [],
        }

    @pytest.mark.parametrize("provider", ["openai", "openrouter", "anthropic", "google", "mistral", "x-ai"])
    def test_every_version_could_have_been_typed(self, provider: str) -> None:
        for price in read_price_table(provider):
            base = {field: price.amounts[field] for field in TOKEN_FIELDS}
            terms = price.terms
            rows = [_decimals(row) for row in terms["long_context"]]
            tiers = {
                name: _decimals(tier) | {"long_context": [_decimals(row) for row in tier["long_context"]]}
                for name, tier in terms["service_tiers"].items()
            }
            check_fees({name: Decimal(usd) for name, usd in terms["fees"].items()})
            check_long_context(rows, base, context_window=None)
            check_service_tiers(tiers, base, context_window=None)

    def test_an_embedding_has_no_output_that_costs(self) -> None:
        price = self.find("text-embedding-3-small")[0]
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

    def test_a_preview_says_what_would_change_and_changes_nothing(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        table = [price for price in read_price_table("mistral") if price.model == "mistral-large-latest"]
        before = ListPrice.objects.count()
        add_list_prices([replace(table[-1], amounts=table[-1].amounts | {"input_per_million": Decimal(9)})])
        call_command("seed_prices", "--provider", "mistral", "--preview")
        lines = capsys.readouterr().out.splitlines()
        whole = read_price_table("mistral")
        place = next(place for place, line in enumerate(lines) if line.startswith("  mistral-large-latest"))
        assert lines[0].endswith(f"of {len(whole)} price versions would be new.")
        assert lines[place + 1].startswith("    input_per_million: 9 -> ")
        assert ListPrice.objects.count() == before + 1


class TestPreview:
    def test_of_a_known_model_what_is_other_and_of_a_new_one_all(self, world: World) -> None:
        add_list_prices([listed()])
        with time_machine.travel(JUNE, tick=False):
            known, new = preview_list_prices([listed(input_per_million="3"), listed("two")])
        assert (known.price.effective_from, known.changed) == (JUNE, {"input_per_million": (Decimal(1), Decimal(3))})
        assert (new.price.effective_from, new.changed) == (
            BEGINNING,
            {"input_per_million": (None, Decimal(1)), "output_per_million": (None, Decimal(2))},
        )

    def test_a_later_version_is_compared_with_the_one_before_it(self, world: World) -> None:
        fees = {"fees": {"page": "0.001"}, "long_context": [], "service_tiers": {}}
        first, second = preview_list_prices([listed(), replace(listed(effective_from=JUNE), terms=fees)])
        assert first.price.effective_from == BEGINNING
        assert second.changed == {"fees": ({}, {"page": "0.001"})}
