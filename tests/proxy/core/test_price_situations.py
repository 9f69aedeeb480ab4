"""Situations as providers bill them, each with the arithmetic that they publish, to the nano-dollar.

Prices are those that the providers published by October 2026; sound, pictures, searches and pieces without tokens among
them. Those of tokens, of searches and of requests are compared with the packaged table below (genai-prices, whose
entries name the providers' pages). It has none of what is billed by the session, minute, character, image or OCR's
page, nor of searches by search-preview models. ``SOURCES`` says where each price was read beside that table, and when
that page was written or read; ``bill`` is the sum as one would do it on paper.
"""

from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from proxy.core.pricing import bound_cost, cost, make_bound
from proxy.values.attempt import Usage
from proxy.values.plan import Demand
from tenants.models import ListPrice, Price
from tenants.price_adjustments import Adjustment, adjust
from tenants.price_histories import compile_version
from tenants.price_snapshots import DEFAULT_TIER, UNIT_CLASSES, PriceSnapshot
from tenants.price_table import read_price_table
from tenants.price_terms import TOKEN_FIELDS, check_fees, check_long_context, check_service_tiers


def amounts(**classes: str) -> dict[str, Decimal]:
    """USD per million tokens, in the fields of a price."""
    return {f"{name}_per_million": Decimal(usd) for name, usd in classes.items()}


def price(
    tiers: dict[str, Any] | None = None,
    rows: list[dict[str, Any]] | None = None,
    fees: dict[str, str] | None = None,
    per_request: str = "0",
    **classes: str,
) -> PriceSnapshot:
    """A version as it would be typed."""
    base = amounts(**classes)
    row = Price(
        **base,
        per_request=Decimal(per_request),
        fees=check_fees({name: Decimal(usd) for name, usd in (fees or {}).items()}),
        long_context=check_long_context(rows or [], base, context_window=None),
        service_tiers=check_service_tiers(tiers or {}, base, context_window=None),
    )
    return compile_version(row, UUID(int=0))


def changed(listed: PriceSnapshot, percent: str) -> PriceSnapshot:
    """The price with a discount or mark-up."""
    return adjust(listed, Adjustment("a", 0, Decimal(percent)))


def tokens(count: int, usd_per_million: str) -> Decimal:
    return count * Decimal(usd_per_million) / 1_000_000


def piece(count: int, usd: str) -> Decimal:
    return count * Decimal(usd)


SEARCHES = {"web_search": "0.01", "file_search": "0.0025", "code_session": "0.03"}
GPT_4O = price(
    {"priority": amounts(input="4.25", cached_input="2.125", output="17")},
    input="2.5",
    cached_input="1.25",
    output="10",
)
GPT_4O_MINI = price(input="0.15", cached_input="0.075", output="0.6")
GPT_4O_MINI_SEARCHING = price(
    fees={"web_search": "0.01", "web_search_tokens": "8000"}, input="0.15", cached_input="0.075", output="0.6"
)
O3 = price({"flex": amounts(input="1", cached_input="0.25", output="4")}, input="2", cached_input="0.5", output="8")
GPT_5 = price(
    {"batch": amounts(input="0.625", cached_input="0.0625", output="5")},
    input="1.25",
    cached_input="0.125",
    output="10",
)
GPT_5_4 = price(
    {
        "flex": {
            **amounts(input="1.25", cached_input="0.13", output="7.5"),
            "long_context": [{"above": 272_000, **amounts(input="2.5", cached_input="0.25", output="11.25")}],
        }
    },
    [{"above": 272_000, **amounts(input="5", cached_input="0.5", output="22.5")}],
    input="2.5",
    cached_input="0.25",
    output="15",
)
GPT_5_6_SOL = price(
    {
        "priority": {
            **amounts(input="8", cached_input="0.8", cache_write="10", output="40"),
            "long_context": [
                {"above": 272_000, **amounts(input="16", cached_input="1.6", cache_write="20", output="60")}
            ],
        }
    },
    [{"above": 272_000, **amounts(input="8", cached_input="0.8", cache_write="10", output="30")}],
    input="4",
    cached_input="0.4",
    cache_write="5",
    output="20",
)
GPT_4_1 = price(fees=SEARCHES, input="2", cached_input="0.5", output="8")
SEARCH_PREVIEW = price(
    fees={"web_search_low": "0.03", "web_search": "0.035", "web_search_high": "0.05"}, input="2.5", output="10"
)
GPT_4_1_MINI = price(
    {"batch": amounts(input="0.2", cached_input="0.1", output="0.8")},
    fees={"web_search": "0.01", "web_search_preview": "0.025", "web_search_tokens": "8000"},
    input="0.4",
    cached_input="0.1",
    output="1.6",
)
GPT_5_MINI = price(
    {"priority": amounts(input="0.45", cached_input="0.045", output="3.6")},
    fees={"web_search": "0.01", "web_search_preview": "0.01"},
    input="0.25",
    cached_input="0.025",
    output="2",
)
GPT_5_SEARCHING = price(fees={"web_search": "0.01"}, input="1.25", cached_input="0.125", output="10")
GPT_REALTIME = price(
    input="4",
    cached_input="0.4",
    audio_input="32",
    cached_audio_input="0.4",
    image_input="5",
    cached_image_input="0.5",
    output="16",
    audio_output="64",
)
GPT_IMAGE_1_5 = price(
    input="5", cached_input="1.25", image_input="8", cached_image_input="2", output="10", image_output="32"
)
GPT_IMAGE_1_MINI = price(
    input="2", cached_input="0.2", image_input="2.5", cached_image_input="0.25", output="8", image_output="8"
)
GPT_IMAGE_1_MEDIUM = price(fees={"image": "0.042"}, input="0", output="0")
OPUS_4_6_FAST = price(
    {
        "fast": {
            **amounts(input="30", output="150"),
            "long_context": [{"above": 200_000, **amounts(input="60", output="225")}],
        }
    },
    [{"above": 200_000, **amounts(input="10", output="37.5")}],
    input="5",
    output="25",
)
DEEPSEEK_FLASH_PEAK = price(input="0.3", cached_input="0.006", output="1.2")
KIMI_SEARCHING = price(fees={"web_search": "0.005"}, input="0.6", output="2.5")
EXA = price(fees={"web_search": "0.02"}, input="0", output="0")
GEMINI_IMAGE = price(input="2", output="12", image_output="120")
GEMINI_PRO = price(
    rows=[{"above": 200_000, **amounts(input="2.5", cached_input="0.25", output="15")}],
    input="1.25",
    cached_input="0.125",
    output="10",
)
GEMINI_FLASH = price(input="0.3", cached_input="0.03", audio_input="1", cached_audio_input="0.1", output="2.5")
SONNET_4_5 = price(
    rows=[
        {
            "above": 200_000,
            **amounts(input="6", cached_input="0.6", cache_write="7.5", cache_write_1h="12", output="22.5"),
        }
    ],
    input="3",
    cached_input="0.3",
    cache_write="3.75",
    cache_write_1h="6",
    output="15",
)
HAIKU_4_5 = price(
    {"batch": amounts(input="0.5", cached_input="0.05", cache_write="0.625", cache_write_1h="1", output="2.5")},
    fees={"web_search": "0.01"},
    input="1",
    cached_input="0.1",
    cache_write="1.25",
    cache_write_1h="2",
    output="5",
)
DEEPSEEK = price(input="0.135", cached_input="0.035", output="0.55")
SONAR = price(per_request="0.012", input="1", output="1")
EMBEDDING = price(input="0.02", output="0")
WHISPER = price(fees={"minute": "0.006"}, input="0", output="0")
TTS = price(fees={"million_characters": "15"}, input="0", output="0")
DALL_E = price(fees={"image": "0.04"}, input="0", output="0")
OCR = price(fees={"page": "0.002"}, input="0", output="0")
MARGINAL = price(
    rows=[{"above": 128_000, "applies_to": "tokens_above", **amounts(input="2", cached_input="0.2")}],
    input="1",
    cached_input="0.1",
    output="4",
)


class Situation(NamedTuple):
    name: str
    price: PriceSnapshot
    usage: Usage
    nanos: int
    bill: list[Decimal]
    tier: str


SITUATIONS = [
    Situation(
        "gpt-4o, a chat",
        GPT_4O,
        Usage(input=1_203, output=347),
        6_477_500,
        [tokens(1_203, "2.5"), tokens(347, "10")],
        "default",
    ),
    Situation(
        "gpt-4o, of the prompt 1,024 tokens cached",
        GPT_4O,
        Usage(input=976, cached_input=1_024, output=500),
        8_720_000,
        [tokens(976, "2.5"), tokens(1_024, "1.25"), tokens(500, "10")],
        "default",
    ),
    Situation(
        "gpt-4o-mini, one token each way",
        GPT_4O_MINI,
        Usage(input=1, output=1),
        750,
        [tokens(1, "0.15"), tokens(1, "0.6")],
        "default",
    ),
    Situation(
        "gpt-4o by the tier priority",
        GPT_4O,
        Usage(input=10_000, cached_input=2_000, output=1_000),
        63_750_000,
        [tokens(10_000, "4.25"), tokens(2_000, "2.125"), tokens(1_000, "17")],
        "priority",
    ),
    Situation(
        "o3, reasoning is output",
        O3,
        Usage(input=800, output=5_120, reasoning=4_864),
        42_560_000,
        [tokens(800, "2"), tokens(5_120, "8")],
        "default",
    ),
    Situation(
        "o3 by the tier flex",
        O3,
        Usage(input=800, cached_input=1_024, output=5_120, reasoning=4_864),
        21_536_000,
        [tokens(800, "1"), tokens(1_024, "0.25"), tokens(5_120, "4")],
        "flex",
    ),
    Situation(
        "gpt-5.4 at its last short length",
        GPT_5_4,
        Usage(input=272_000, output=100),
        681_500_000,
        [tokens(272_000, "2.5"), tokens(100, "15")],
        "default",
    ),
    Situation(
        "gpt-5.4, a token longer: the whole call is dearer",
        GPT_5_4,
        Usage(input=272_001, output=100),
        1_362_255_000,
        [tokens(272_001, "5"), tokens(100, "22.5")],
        "default",
    ),
    Situation(
        "gpt-5.4, long by what is cached",
        GPT_5_4,
        Usage(input=44_000, cached_input=256_000, output=900),
        368_250_000,
        [tokens(44_000, "5"), tokens(256_000, "0.5"), tokens(900, "22.5")],
        "default",
    ),
    Situation(
        "gpt-5.4, long and flex",
        GPT_5_4,
        Usage(input=300_000, output=1_000),
        761_250_000,
        [tokens(300_000, "2.5"), tokens(1_000, "11.25")],
        "flex",
    ),
    Situation(
        "gpt-5.6-sol, long, with a cache written",
        GPT_5_6_SOL,
        Usage(input=20_000, cached_input=200_000, cache_write=80_000, output=4_000),
        1_240_000_000,
        [tokens(20_000, "8"), tokens(200_000, "0.8"), tokens(80_000, "10"), tokens(4_000, "30")],
        "default",
    ),
    Situation(
        "gpt-5.6-sol, long and priority",
        GPT_5_6_SOL,
        Usage(input=300_000, output=2_000),
        4_920_000_000,
        [tokens(300_000, "16"), tokens(2_000, "60")],
        "priority",
    ),
    Situation(
        "gpt-5, a batch",
        GPT_5,
        Usage(input=123_457, output=6_543),
        109_875_625,
        [tokens(123_457, "0.625"), tokens(6_543, "5")],
        "batch",
    ),
    Situation(
        "gpt-4.1 with three searches of medium size",
        GPT_4_1,
        Usage(input=2_500, output=800, web_searches=3),
        41_400_000,
        [tokens(2_500, "2"), tokens(800, "8"), piece(3, "0.01")],
        "default",
    ),
    Situation(
        "a search model of 2025, by context size",
        SEARCH_PREVIEW,
        Usage(input=60, output=420, web_searches_high=1),
        54_350_000,
        [tokens(60, "2.5"), tokens(420, "10"), piece(1, "0.05")],
        "default",
    ),
    Situation(
        "the same with a small context",
        SEARCH_PREVIEW,
        Usage(input=60, output=420, web_searches_low=1),
        34_350_000,
        [tokens(60, "2.5"), tokens(420, "10"), piece(1, "0.03")],
        "default",
    ),
    Situation(
        "gpt-4.1 with file searches and a code session",
        GPT_4_1,
        Usage(input=9_000, output=1_200, file_searches=4, code_sessions=1),
        67_600_000,
        [tokens(9_000, "2"), tokens(1_200, "8"), piece(4, "0.0025"), piece(1, "0.03")],
        "default",
    ),
    Situation(
        "gpt-4.1-mini by the older search tool, as a caller was billed for it",
        GPT_4_1_MINI,
        Usage(input=347, output=540, web_searches_preview=1),
        26_002_800,
        [tokens(347, "0.4"), tokens(540, "1.6"), piece(1, "0.025")],
        "default",
    ),
    Situation(
        "gpt-5-mini by the same, of whose content most was cached",
        GPT_5_MINI,
        Usage(input=4_654, cached_input=8_448, output=1_060, reasoning=256, web_searches_preview=1),
        13_494_700,
        [tokens(4_654, "0.25"), tokens(8_448, "0.025"), tokens(1_060, "2"), piece(1, "0.01")],
        "default",
    ),
    Situation(
        "30,000 searches of gpt-5, of 3,000 tokens each: $412.50",
        GPT_5_SEARCHING,
        Usage(input=90_000_000, web_searches=30_000),
        412_500_000_000,
        [tokens(90_000_000, "1.25"), piece(30_000, "0.01")],
        "default",
    ),
    Situation(
        "the same of gpt-4.1-mini, a block of 8,000 tokens each: $396",
        GPT_4_1_MINI,
        Usage(web_searches=30_000),
        396_000_000_000,
        [tokens(240_000_000, "0.4"), piece(30_000, "0.01")],
        "default",
    ),
    Situation(
        "gpt-4.1-mini searches once with much context: the block stands beside what is reported",
        GPT_4_1_MINI,
        Usage(input=347, output=540, web_searches_high=1),
        14_202_800,
        [tokens(347, "0.4"), tokens(540, "1.6"), tokens(8_000, "0.4"), piece(1, "0.01")],
        "default",
    ),
    Situation(
        "two searches of it in a batch, whose block is input of a batch",
        GPT_4_1_MINI,
        Usage(input=347, output=540, web_searches=2),
        23_701_400,
        [tokens(347, "0.2"), tokens(540, "0.8"), tokens(16_000, "0.2"), piece(2, "0.01")],
        "batch",
    ),
    Situation(
        "a search of gpt-4o-mini at a reseller's 10 % less",
        changed(GPT_4O_MINI_SEARCHING, "-10"),
        Usage(input=1_000, output=100, web_searches=1),
        10_269_000,
        [tokens(1_000, "0.135"), tokens(100, "0.54"), tokens(8_000, "0.135"), piece(1, "0.009")],
        "default",
    ),
    Situation(
        "gpt-5-mini by the tier priority, mostly cached",
        GPT_5_MINI,
        Usage(input=512, cached_input=30_720, output=2_000),
        8_812_800,
        [tokens(512, "0.45"), tokens(30_720, "0.045"), tokens(2_000, "3.6")],
        "priority",
    ),
    Situation(
        "a search by Kimi's own tool",
        KIMI_SEARCHING,
        Usage(input=4_100, output=60, web_searches=1),
        7_610_000,
        [tokens(4_100, "0.6"), tokens(60, "2.5"), piece(1, "0.005")],
        "default",
    ),
    Situation(
        "OpenRouter's plugin looks at five results of Exa",
        EXA,
        Usage(web_searches=1),
        20_000_000,
        [piece(5, "0.004")],
        "default",
    ),
    Situation(
        "gpt-image-1-mini edits a picture of which half was cached",
        GPT_IMAGE_1_MINI,
        Usage(input=40, cached_input=24, image_input=500, cached_image_input=500, image_output=1_056),
        9_907_800,
        [tokens(40, "2"), tokens(24, "0.2"), tokens(500, "2.5"), tokens(500, "0.25"), tokens(1_056, "8")],
        "default",
    ),
    Situation(
        "gpt-image-1, three square pictures of medium quality",
        GPT_IMAGE_1_MEDIUM,
        Usage(images=3),
        126_000_000,
        [piece(3, "0.042")],
        "default",
    ),
    Situation(
        "claude-opus-4-6 in a hurry",
        OPUS_4_6_FAST,
        Usage(input=12_000, output=2_000),
        660_000_000,
        [tokens(12_000, "30"), tokens(2_000, "150")],
        "fast",
    ),
    Situation(
        "claude-opus-4-6 in a hurry and long: twelve times as dear",
        OPUS_4_6_FAST,
        Usage(input=200_001, output=2_000),
        12_450_060_000,
        [tokens(200_001, "60"), tokens(2_000, "225")],
        "fast",
    ),
    Situation(
        "deepseek-flash at its peak hours, nearly all of it cached",
        DEEPSEEK_FLASH_PEAK,
        Usage(input=1_001, cached_input=99_000, output=500),
        1_494_300,
        [tokens(1_001, "0.3"), tokens(99_000, "0.006"), tokens(500, "1.2")],
        "default",
    ),
    Situation(
        "gpt-realtime, sound both ways, much of it cached",
        GPT_REALTIME,
        Usage(input=150, cached_input=600, audio_input=1_400, cached_audio_input=2_000, output=40, audio_output=900),
        104_680_000,
        [
            tokens(150, "4"),
            tokens(600, "0.4"),
            tokens(1_400, "32"),
            tokens(2_000, "0.4"),
            tokens(40, "16"),
            tokens(900, "64"),
        ],
        "default",
    ),
    Situation(
        "gpt-realtime is shown a picture",
        GPT_REALTIME,
        Usage(input=30, image_input=765, cached_image_input=255, output=60),
        5_032_500,
        [tokens(30, "4"), tokens(765, "5"), tokens(255, "0.5"), tokens(60, "16")],
        "default",
    ),
    Situation(
        "gpt-image-1.5 edits a picture",
        GPT_IMAGE_1_5,
        Usage(input=90, image_input=1_120, image_output=4_160),
        142_530_000,
        [tokens(90, "5"), tokens(1_120, "8"), tokens(4_160, "32")],
        "default",
    ),
    Situation(
        "gemini-3-pro-image draws and thinks",
        GEMINI_IMAGE,
        Usage(input=10, output=280, reasoning=200, image_output=1_120),
        137_780_000,
        [tokens(10, "2"), tokens(280, "12"), tokens(1_120, "120")],
        "default",
    ),
    Situation(
        "gemini-2.5-pro above 200,000 tokens",
        GEMINI_PRO,
        Usage(input=210_000, cached_input=40_000, output=3_000),
        580_000_000,
        [tokens(210_000, "2.5"), tokens(40_000, "0.25"), tokens(3_000, "15")],
        "default",
    ),
    Situation(
        "gemini-2.5-flash hears",
        GEMINI_FLASH,
        Usage(input=40, audio_input=1_920, cached_audio_input=640, output=310),
        2_771_000,
        [tokens(40, "0.3"), tokens(1_920, "1"), tokens(640, "0.1"), tokens(310, "2.5")],
        "default",
    ),
    Situation(
        "claude-sonnet-4-5 writes a cache for five minutes",
        SONNET_4_5,
        Usage(input=21, cache_write=188_086, output=393),
        711_280_500,
        [tokens(21, "3"), tokens(188_086, "3.75"), tokens(393, "15")],
        "default",
    ),
    Situation(
        "claude-sonnet-4-5 reads it",
        SONNET_4_5,
        Usage(input=21, cached_input=188_086, output=393),
        62_383_800,
        [tokens(21, "3"), tokens(188_086, "0.3"), tokens(393, "15")],
        "default",
    ),
    Situation(
        "claude-sonnet-4-5 writes for an hour beside it",
        SONNET_4_5,
        Usage(input=2_048, cached_input=1_800, cache_write=148, cache_write_1h=100, output=503),
        15_384_000,
        [tokens(2_048, "3"), tokens(1_800, "0.3"), tokens(148, "3.75"), tokens(100, "6"), tokens(503, "15")],
        "default",
    ),
    Situation(
        "claude-sonnet-4-5 above 200,000 tokens, cache included",
        SONNET_4_5,
        Usage(input=5_000, cached_input=190_000, cache_write_1h=10_000, output=1_500),
        297_750_000,
        [tokens(5_000, "6"), tokens(190_000, "0.6"), tokens(10_000, "12"), tokens(1_500, "22.5")],
        "default",
    ),
    Situation(
        "claude-haiku-4-5, a batch with two searches",
        HAIKU_4_5,
        Usage(input=7_000, cached_input=3_000, output=900, web_searches=2),
        25_900_000,
        [tokens(7_000, "0.5"), tokens(3_000, "0.05"), tokens(900, "2.5"), piece(2, "0.01")],
        "batch",
    ),
    Situation(
        "deepseek-chat, cache hit and miss",
        DEEPSEEK,
        Usage(input=3_001, cached_input=6_144, output=777),
        1_047_525,
        [tokens(3_001, "0.135"), tokens(6_144, "0.035"), tokens(777, "0.55")],
        "default",
    ),
    Situation(
        "sonar, a fee a request",
        SONAR,
        Usage(input=26, output=832),
        12_858_000,
        [tokens(26, "1"), tokens(832, "1"), piece(1, "0.012")],
        "default",
    ),
    Situation(
        "text-embedding-3-small, 8 tokens: rounded up", EMBEDDING, Usage(input=8), 160, [tokens(8, "0.02")], "default"
    ),
    Situation(
        "whisper-1, 61 seconds of sound", WHISPER, Usage(seconds=61), 6_100_000, [piece(61, "0.0001")], "default"
    ),
    Situation(
        "tts-1 speaks 1,234 characters", TTS, Usage(characters=1_234), 18_510_000, [tokens(1_234, "15")], "default"
    ),
    Situation("dall-e-3 draws two pictures", DALL_E, Usage(images=2), 80_000_000, [piece(2, "0.04")], "default"),
    Situation("mistral-ocr-2512 reads 17 pages", OCR, Usage(pages=17), 34_000_000, [piece(17, "0.002")], "default"),
    Situation(
        "gpt-4o at 12.5 % less",
        changed(GPT_4O, "-12.5"),
        Usage(input=1_000, cached_input=1_000, output=1_000),
        12_031_250,
        [tokens(1_000, "2.1875"), tokens(1_000, "1.09375"), tokens(1_000, "8.75")],
        "default",
    ),
    Situation(
        "gpt-4o by a reseller at 7 % more, priority",
        changed(GPT_4O, "7"),
        Usage(input=1_000, output=1_000),
        22_737_500,
        [tokens(1_000, "4.5475"), tokens(1_000, "18.19")],
        "priority",
    ),
    Situation(
        "a marginal tier: only what is above costs more",
        MARGINAL,
        Usage(input=50_000, cached_input=100_000, output=1_000),
        86_000_000,
        [tokens(28_000, "1"), tokens(22_000, "2"), tokens(100_000, "0.1"), tokens(1_000, "4")],
        "default",
    ),
]


@pytest.mark.parametrize("found", SITUATIONS, ids=lambda found: found.name)
def test_a_call_costs_what_the_provider_bills(found: Situation) -> None:
    on_paper = sum(found.bill, Decimal(0)) * 1_000_000_000
    assert found.nanos == int(on_paper.to_integral_value(ROUND_CEILING))
    assert cost(found.usage, found.price, found.tier) == found.nanos


@pytest.mark.parametrize("found", SITUATIONS, ids=lambda found: found.name)
def test_what_was_held_for_it_was_enough(found: Situation) -> None:
    used = found.usage
    demand = Demand(
        tiers=(found.tier, "default"),
        has_audio=True,
        has_images=True,
        has_long_cache=True,
        units=tuple((name, count) for name in UNIT_CLASSES if (count := getattr(used, name))),
    )
    bound = make_bound(
        found.price,
        input_tokens=used.input_tokens,
        choices=1,
        max_output=used.output_tokens,
        is_exact=True,
        demand=demand,
    )
    assert cost(used, found.price, found.tier) <= bound_cost(bound, used.output_tokens)


def test_there_are_more_than_thirty_and_every_class_is_in_one() -> None:
    assert len(SITUATIONS) >= 30
    used = {name for found in SITUATIONS for name, count in zip(Usage._fields, found.usage, strict=True) if count}
    assert used == set(Usage._fields)
    assert len(TOKEN_FIELDS) == len(Usage._fields) - len(UNIT_CLASSES) - 1


PUBLISHED = [
    ("openai", "gpt-4o", GPT_4O),
    ("openai", "gpt-4o-mini", GPT_4O_MINI),
    ("openai", "gpt-4o-mini", GPT_4O_MINI_SEARCHING),
    ("openai", "o3", O3),
    ("openai", "gpt-5", GPT_5),
    ("openai", "gpt-5.4", GPT_5_4),
    ("openai", "gpt-5.6-sol", GPT_5_6_SOL),
    ("openai", "gpt-4.1", GPT_4_1),
    ("openai", "gpt-4o-search-preview", SEARCH_PREVIEW),
    ("openai", "gpt-realtime", GPT_REALTIME),
    ("openai", "gpt-image-1.5", GPT_IMAGE_1_5),
    ("openai", "text-embedding-3-small", EMBEDDING),
    ("openai", "gpt-4.1-mini", GPT_4_1_MINI),
    ("openai", "gpt-5-mini", GPT_5_MINI),
    ("openai", "gpt-5", GPT_5_SEARCHING),
    ("openai", "gpt-image-1-mini", GPT_IMAGE_1_MINI),
    ("google", "gemini-3-pro-image-preview", GEMINI_IMAGE),
    ("google", "gemini-2.5-pro", GEMINI_PRO),
    ("google", "gemini-2.5-flash", GEMINI_FLASH),
    ("anthropic", "claude-sonnet-4-5", SONNET_4_5),
    ("anthropic", "claude-haiku-4-5", HAIKU_4_5),
    ("deepseek", "deepseek-chat", DEEPSEEK),
    ("perplexity", "sonar", SONAR),
]
#: priced by the piece, which the packaged table does not have
BY_THE_PIECE = [
    ("whisper-1", WHISPER),
    ("tts-1", TTS),
    ("dall-e-3", DALL_E),
    ("mistral-ocr-2512", OCR),
    ("gpt-image-1, medium", GPT_IMAGE_1_MEDIUM),
    ("exa by openrouter", EXA),
]
#: as a provider's page had them, where the table has another day's price, or none
BY_THE_PAGE = [
    ("claude-opus-4-6, fast", OPUS_4_6_FAST),
    ("deepseek-flash, peak", DEEPSEEK_FLASH_PEAK),
    ("kimi, searching", KIMI_SEARCHING),
]
#: for the form of their bills alone: discounts and mark-ups on prices above, and a tier that no provider has
MADE_UP = 4
_TABLE = "genai-prices 0.2.3 alone, which names the provider's page"
_OPENAI_2025 = "OpenAI's pricing page of 2025-06-03, as the package openai_responses 0.4.1 (hex.pm) quotes it"
_CLAUDE = (
    "Anthropic's pricing page, verified 2026-10-10 by the crate synaps 0.10.2 (docs.rs), with its factors for caches"
)
#: where a price was read, and when
SOURCES = {
    "gpt-4o": _OPENAI_2025,
    "gpt-4o-mini": "openai.com/api/pricing, as the wiki of CommitBrief/commitbrief quotes it, 2026-05-27; 8,000 tokens a"
    " search: the note in OpenAI's pricing page that names gpt-4.1-mini too",
    "o3": _TABLE,
    "gpt-5": "openai.com/api/pricing in spring 2026, as the crate openai-cost 0.1.0 (docs.rs) quotes it; half of it in a"
    " batch: tokenmix.ai after OpenAI's page, 2026-06-04; $412.50 for 30,000 searches: modelcostwatch.com, 2026-03-12",
    "gpt-5-mini": "what a search of it used, and $0.01 for it: community.openai.com 1347529; the rest: the table",
    "gpt-4.1-mini": "$0.026003 for a call with a search: community.openai.com 1347529, $25 a thousand there and in OpenAI's"
    " page by community.openai.com 1363698; $396 for 30,000 searches in blocks of tokens: modelcostwatch.com, 2026-03-12;"
    " a batch: the table",
    "gpt-5.4": "OpenAI's pricing page of 2026-05-04, as api-evangelist/openai (plans) quotes it; rows of tiers: the table",
    "gpt-5.6-sol": "developers.openai.com, docs/models/gpt-5.6-sol, read in November 2026, with its factors for long"
    " prompts and for caches that are written; the tier priority: the table",
    "gpt-4.1": f"{_OPENAI_2025}; $0.03 a session: community.openai.com 1360060; $10 a thousand searches: the table",
    "gpt-4o-search-preview": "openrouter.ai's page of the model, 2026: $35 a thousand searches; $30 and $50 for small"
    " and large contexts are of OpenAI's announcement of March 2025, and were not found again",
    "gpt-realtime": "OpenAI's pricing page of 2026-05-04 for text (api-evangelist/openai); of 2025-10-17 for sound and"
    " pictures (askai.glarity.app)",
    "gpt-image-1.5": "docs.apiyi.com's page of the model, 2026, for texts; pictures: the table",
    "gpt-image-1-mini": "developers.openai.com, docs/models/gpt-image-1-mini, read in autumn 2026",
    "gpt-image-1, medium": "developers.openai.com, docs/models/gpt-image-1, read after 2026-10-23, when it was shut down",
    "exa by openrouter": "openrouter.ai, docs/features/web-search: $4 a thousand results, five by default",
    "text-embedding-3-small": "docs.praison.ai, embeddings/providers/openai, 2026",
    "gemini-3-pro-image-preview": _TABLE,
    "gemini-2.5-pro": "Google's pricing page, 200,000 tokens as the bound: the crate gemini-cost 0.1.0 (docs.rs), 2026",
    "gemini-2.5-flash": "$1.00 for sound: QuantumNous' table of tools after Google's page, 2025; the rest: the table",
    "claude-sonnet-4-5": _CLAUDE,
    "claude-haiku-4-5": f"{_CLAUDE}; $0.01 a search: the crate claude-api 0.5.2",
    "deepseek-chat": "api-docs.deepseek.com, pricing-details-usd, of 2025: $0.27, $0.07 and $1.10, half of it off-peak",
    "deepseek-flash, peak": "api-docs.deepseek.com, quick_start/pricing, read in autumn 2026; off-peak it is half",
    "claude-opus-4-6, fast": "platform.claude.com, build-with-claude/fast-mode, of spring 2026; it had no caches there",
    "kimi, searching": "platform.kimi.ai, docs/pricing/tools: $0.005 a search; a model's tokens made up",
    "sonar": "docs.perplexity.ai, guides/pricing; $12 a thousand requests with much context: its state of 2025-07-05",
    "whisper-1": "developers.openai.com, docs/models/whisper-1, read in November 2026: $0.006 a minute",
    "tts-1": "developers.openai.com, docs/models/tts-1, read in November 2026: $15 a million characters",
    "dall-e-3": "openai.com/pricing of 2023-12-25, as kevinhermawan/Canvas quotes it; the model has been shut down since",
    "mistral-ocr-2512": "hardais.com's page of the model, December 2025: $2 a thousand pages",
}
#: what the table has no price for, and what only stands here for its form
NOT_IN_THE_TABLE = {
    "gpt-4o-search-preview": {"web_searches_low", "web_searches", "web_searches_high"},
    "gpt-4.1": {"code_sessions"},
}
#: the rows for which nothing but the packaged table was found
ALONE = {"o3", "gemini-3-pro-image-preview"}


def test_thirty_situations_rest_on_more_than_our_own_table() -> None:
    alone = {model for model, where in SOURCES.items() if where == _TABLE}
    assert alone == ALONE
    priced = [price for _, model, price in PUBLISHED if model not in alone]
    priced += [price for _, price in (*BY_THE_PIECE, *BY_THE_PAGE)]
    assert sum(found.price in priced for found in SITUATIONS) >= 40


def test_of_every_price_it_is_said_where_it_was_read() -> None:
    apart = (*BY_THE_PIECE, *BY_THE_PAGE)
    assert set(SOURCES) == {model for _, model, _ in PUBLISHED} | {model for model, _ in apart}
    read = [price for *_, price in (*PUBLISHED, *apart)]
    assert len([found for found in SITUATIONS if found.price not in read]) == MADE_UP


@pytest.mark.parametrize(("provider", "model", "typed"), PUBLISHED, ids=[model for _, model, _ in PUBLISHED])
def test_what_is_typed_here_is_what_the_packaged_table_says(provider: str, model: str, typed: PriceSnapshot) -> None:
    newest = [one for one in read_price_table(provider) if one.model == model][-1]
    columns = {name: amount for name, amount in newest.amounts.items() if amount is not None} | {
        "output_per_million": newest.amounts["output_per_million"] or Decimal(0),
        "per_request": newest.amounts["per_request"] or Decimal(0),
    }
    row = ListPrice(provider=provider, model=model, effective_from=newest.effective_from, **columns, **newest.terms)
    listed = compile_version(row, UUID(int=0))
    assert typed.per_request == listed.per_request
    for tier in (DEFAULT_TIER, *(one.name for one in typed.service_tiers)):
        mine, theirs = typed.find_tier(tier), listed.find_tier(tier)
        assert mine is not None
        assert theirs is not None
        rows = [(mine.rates, theirs.rates)] + [
            (ours.rates, other.rates)
            for ours, other in zip(mine.long_context, theirs.long_context, strict=True)
            if ours.above == other.above
        ]
        assert len(rows) == 1 + len(mine.long_context)
        for ours, other in rows:
            units = set(typed.units) - NOT_IN_THE_TABLE.get(model, set())
            names = [name for name in ours._fields if name not in UNIT_CLASSES or name in units]
            assert {name: getattr(ours, name) for name in names} == {name: getattr(other, name) for name in names}
