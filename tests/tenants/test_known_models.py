"""What is assumed of a model by its name."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from costhub.lib.errors import InvalidField
from tenants.access import org_scope
from tenants.actions.models import create_model, update_model
from tenants.choices import Tokenizer, UpstreamKind
from tenants.known_models import find_known_model
from tenants.models import ListPrice
from tests.world import World, make_catalog


@pytest.mark.parametrize(
    ("name", "tokenizer", "window", "most"),
    [
        ("gpt-4o", "o200k_base", 128_000, 16_384),
        ("openai/gpt-4o-2024-08-06", "o200k_base", 128_000, 16_384),
        ("gpt-4o-2024-05-13", "o200k_base", 128_000, 4_096),
        ("GPT-4.1-mini", "o200k_base", 1_047_576, 32_768),
        ("gpt-5.6-luna", "o200k_base", 400_000, 128_000),
        ("gpt-5-chat-latest", "o200k_base", 128_000, 16_384),
        ("o3-mini", "o200k_base", 200_000, 100_000),
        ("gpt-4", "cl100k_base", 8_192, 8_192),
        ("gpt-4-0613", "cl100k_base", 8_192, 8_192),
        ("gpt-4-turbo-2024-04-09", "cl100k_base", 128_000, 4_096),
        ("gpt-3.5-turbo", "cl100k_base", 16_385, 4_096),
        ("text-embedding-3-small", "cl100k_base", 8_191, None),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3", 131_072, None),
        ("qwen3-235b-a22b", "qwen3", None, None),
    ],
)
def test_well_known_names(name: str, tokenizer: str, window: int | None, most: int | None) -> None:
    assert find_known_model(name) == (Tokenizer(tokenizer), window, most)


@pytest.mark.parametrize(
    "name", ["", "small", "my-gpt-4o", "gpt-4ox", "gpt-2", "mistral-large", "o1o", "gpt-4-vision-x"]
)
def test_any_other_name_tells_nothing(name: str) -> None:
    assert find_known_model(name) is None


def test_what_is_left_out_is_assumed_and_what_is_given_stays(world: World) -> None:
    upstream = make_catalog(world.acme).upstream
    with org_scope(world.acme.org.pk):
        known = create_model(actor=world.acme.owner, name="gpt-4o", upstream=upstream)
        given = create_model(
            actor=world.acme.owner,
            name="mine",
            upstream=upstream,
            upstream_model="gpt-4o",
            context_window=9_000,
            tokenizer=Tokenizer.BYTES,
        )
        other = create_model(actor=world.acme.owner, name="other", upstream=upstream)
    assert (known.tokenizer, known.context_window, known.max_output_tokens) == ("o200k_base", 128_000, 16_384)
    assert (given.tokenizer, given.context_window, given.max_output_tokens) == ("bytes", 9_000, 9_000)
    assert (other.tokenizer, other.context_window, other.max_output_tokens) == ("bytes", 128_000, 16_384)


def test_a_list_price_knows_the_window_better(world: World) -> None:
    ListPrice.objects.create(
        provider="openai",
        model="gpt-5.6-luna",
        input_per_million=Decimal(1),
        output_per_million=Decimal(6),
        effective_from=datetime(2026, 1, 1, tzinfo=UTC),
        context_window=1_050_000,
    )
    upstream = make_catalog(world.acme, kind=UpstreamKind.OPENAI).upstream
    with org_scope(world.acme.org.pk):
        model = create_model(actor=world.acme.owner, name="gpt-5.6-luna", upstream=upstream)
    assert (model.tokenizer, model.context_window, model.max_output_tokens) == ("o200k_base", 1_050_000, 128_000)


@pytest.mark.parametrize("most", [0, -1, 10_001])
def test_tool_calls_that_cannot_be(world: World, most: int) -> None:
    catalog = make_catalog(world.acme)
    with org_scope(world.acme.org.pk):
        with pytest.raises(InvalidField, match="from 1 to 10000") as caught:
            update_model(actor=world.acme.owner, model=catalog.model, max_tool_calls=most)
        assert caught.value.field == "max_tool_calls"
        update_model(actor=world.acme.owner, model=catalog.model, max_tool_calls=None)
