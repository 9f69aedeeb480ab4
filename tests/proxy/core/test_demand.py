"""What a request may be billed for beside text: service tiers, paid tools, sound and pictures."""

from dataclasses import replace
from typing import Any

import pytest

from proxy.core import demand
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.attempt import Usage
from proxy.values.plan import Demand
from tenants.price_snapshots import Rates, ServiceTier
from tests.proxy.core.examples import MODEL, PRICE, UPSTREAM, make_chat, reprice

TIERED = replace(PRICE, service_tiers=tuple(ServiceTier(name, PRICE.rates) for name in ("batch", "flex", "priority")))
SEARCHED = replace(
    reprice(PRICE, web_searches=10_000_000_000, web_searches_high=50_000_000_000, file_searches=2_500_000_000),
    units=("file_searches", "web_searches", "web_searches_high"),
)
LIMITED = replace(MODEL, max_tool_calls=3)
#: keeps to the limits of requests, and refuses what it does not know
OPENAI = replace(UPSTREAM, kind="openai")
TOOL = {"type": "web_search_20250305", "max_uses": 1}


def find_demand(request: Any, model: Any, price: Any, upstream: Any = OPENAI) -> Demand:
    return demand.find_demand(request, model, price, upstream)


@pytest.mark.parametrize(
    ("fields", "tiers"),
    [
        ({}, ("default",)),
        ({"service_tier": "auto"}, ("default",)),
        ({"service_tier": None}, ("default",)),
        ({"service_tier": "default"}, ("default",)),
        ({"service_tier": "standard_only"}, ("default",)),
        ({"service_tier": "priority"}, ("priority", "default")),
        ({"service_tier": "batch"}, ("batch", "default")),
    ],
)
def test_which_tiers_may_answer(fields: dict[str, Any], tiers: tuple[str, ...]) -> None:
    assert find_demand(make_chat(**fields), MODEL, TIERED).tiers == tiers


@pytest.mark.parametrize(
    ("account", "fields", "tiers"),
    [
        ("", {"speed": "fast"}, ("fast", "default")),
        ("", {"speed": "standard"}, ("default",)),
        ("", {"speed": "fast", "service_tier": "priority"}, ("fast", "priority", "default")),
        ("", {"speed": "fast", "service_tier": "default"}, ("fast", "default")),
        ("priority", {"speed": "fast"}, ("fast", "priority", "default")),
        ("priority", {"speed": "fast", "service_tier": "auto"}, ("fast", "priority", "default")),
        ("priority", {"speed": "fast", "service_tier": "standard_only"}, ("fast", "default")),
        ("", {"speed": "priority", "service_tier": "priority"}, ("priority", "default")),
    ],
)
def test_who_wants_speed_may_be_served_by_the_tier_as_well(
    account: str, fields: dict[str, Any], tiers: tuple[str, ...]
) -> None:
    """Anthropic's speed and its tier are two fields: the bound is the dearest of all three."""
    fast = replace(TIERED, service_tiers=(*TIERED.service_tiers, ServiceTier("fast", PRICE.rates)))
    upstream = replace(OPENAI, habits={"service_tier": account} if account else {})
    assert find_demand(make_chat(**fields), MODEL, fast, upstream).tiers == tiers


def test_of_a_speed_and_a_tier_each_needs_a_price() -> None:
    fast = replace(PRICE, service_tiers=(ServiceTier("fast", PRICE.rates),))
    with pytest.raises(ModelNotPriced, match="The service tier priority has no price") as caught:
        find_demand(make_chat(speed="fast", service_tier="priority"), MODEL, fast)
    assert caught.value.param == "service_tier"


@pytest.mark.parametrize(
    ("account", "fields", "tiers"),
    [
        ("priority", {}, ("priority", "default")),
        ("priority", {"service_tier": "auto"}, ("priority", "default")),
        ("priority", {"service_tier": "default"}, ("default",)),
        ("priority", {"service_tier": "flex"}, ("flex", "default")),
        ("scale", {}, ("default",)),
    ],
)
def test_who_names_no_tier_is_held_at_the_one_that_the_account_is_set_to(
    account: str, fields: dict[str, Any], tiers: tuple[str, ...]
) -> None:
    upstream = replace(OPENAI, habits={"service_tier": account})
    assert find_demand(make_chat(**fields), MODEL, TIERED, upstream).tiers == tiers


@pytest.mark.parametrize("price", [PRICE, TIERED])
def test_a_tier_without_a_price_is_refused_by_name(price: Any) -> None:
    with pytest.raises(ModelNotPriced, match="The service tier scale has no price") as caught:
        find_demand(make_chat(service_tier="scale"), MODEL, price)
    assert (caught.value.param, caught.value.error_code) == ("service_tier", "feature_not_priced")


def test_a_plain_call_asks_for_text_only() -> None:
    assert find_demand(make_chat(), MODEL, PRICE) == Demand()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"audio": {"voice": "alloy"}}, Demand(has_audio=True, has_long_cache=True)),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "audio and pictures"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "pictures"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "pictures"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "an hour"),
    ],
)
def test_parts_and_fields_say_what_else(fields: dict[str, Any], expected: Any) -> None:
    named = {
        "audio and pictures": Demand(has_audio=True, has_images=True, has_long_cache=True),
        "pictures": Demand(has_images=True, has_long_cache=True),
        "an hour": Demand(has_long_cache=True),
    }
    wanted = named[expected] if isinstance(expected, str) else expected
    assert find_demand(make_chat(**fields), MODEL, PRICE) == wanted


@pytest.mark.parametrize(
    ("fields", "units"),
    [
        ({"web_search_options": {}}, (("web_searches", 3),)),
        ({"web_search_options": {"search_context_size": "high"}}, (("web_searches_high", 3),)),
        ({"web_search_options": {}, "max_tool_calls": 2}, (("web_searches", 2),)),
        ({"web_search_options": {}, "max_tool_calls": 9}, (("web_searches", 3),)),
        ({"web_search_options": {}, "n": 2}, (("web_searches", 6),)),
        ({"tools": [{"type": "file_search"}]}, (("file_searches", 3),)),
        ({"tools": [{"type": "web_search_20250305", "max_uses": 1}]}, (("web_searches", 1),)),
        # each of two tools of one class as often as it says, and searches that are asked for in two ways
        (
            {"tools": [{"type": "web_search", "max_uses": 2}, {"type": "web_search", "max_uses": 1}]},
            (("web_searches", 2), ("web_searches", 1)),
        ),
        (
            {"web_search_options": {}, "tools": [{"type": "web_search", "max_uses": 1}]},
            (("web_searches", 3), ("web_searches", 1)),
        ),
        (
            {"tools": [{"type": "web_search", "search_context_size": "high"}, {"type": "file_search"}]},
            (("web_searches_high", 3), ("file_searches", 3)),
        ),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}, {"type": "custom", "name": "x"}]}, ()),
        ({"tools": [{"function": {"name": "f"}}, {}, {"type": "bash_20250124"}]}, ()),
        ({"tools": [{"name": "f", "input_schema": {}}, {"name": "g", "parameters": {}, "strict": True}]}, ()),
        ({"tools": [{"functionDeclarations": [{"name": "f"}]}]}, ()),
        ({"tools": None}, ()),
        ({"tools": []}, ()),
        # some servers know their own tools by name alone
        ({"tools": [{"name": "web_search"}]}, (("web_searches", 3),)),
        # what only reads has no fee
        ({"tools": [{"type": "web_fetch_20250910"}, {"type": "mcp"}]}, ()),
    ],
)
def test_paid_tools_are_bounded_by_the_least_limit(fields: dict[str, Any], units: Any) -> None:
    assert find_demand(make_chat(**fields), LIMITED, SEARCHED).units == units


@pytest.mark.parametrize(
    ("fields", "context_reads"),
    [
        ({}, 0),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, 0),
        ({"web_search_options": {}}, 1 + 3),
        ({"web_search_options": {}, "max_tool_calls": 2}, 1 + 2),
        ({"web_search_options": {}, "n": 2}, 2 * (1 + 3)),
        ({"tools": [{"type": "web_fetch_20250910", "max_uses": 2}, {"type": "file_search"}]}, 1 + 2 + 3),
    ],
)
def test_behind_each_call_of_a_providers_tool_the_model_may_read_its_window_again(
    fields: dict[str, Any], context_reads: int
) -> None:
    assert find_demand(make_chat(**fields), LIMITED, SEARCHED).context_reads == context_reads


@pytest.mark.parametrize(
    ("kind", "habits", "searches"),
    [
        ("openai", {}, 1),
        ("openai", {"tool_limits": False}, 3),
        ("openai_compatible", {}, 3),
        ("openai_compatible", {"tool_limits": True}, 1),
        ("anthropic", {"tool_limits": False}, 3),
    ],
)
def test_a_request_s_own_limit_is_believed_where_the_upstream_keeps_to_it(
    kind: str, habits: dict[str, Any], searches: int
) -> None:
    upstream = replace(UPSTREAM, kind=kind, habits=habits)
    for fields in ({"tools": [TOOL]}, {"tools": [{"type": "web_search"}], "max_tool_calls": 1}):
        assert find_demand(make_chat(**fields), LIMITED, SEARCHED, upstream).units == (("web_searches", searches),)


def test_anthropic_keeps_to_a_tools_own_limit_and_knows_no_other() -> None:
    upstream = replace(UPSTREAM, kind="anthropic")
    searches = [
        find_demand(make_chat(**fields), LIMITED, SEARCHED, upstream).units
        for fields in ({"tools": [TOOL]}, {"tools": [{"type": "web_search"}], "max_tool_calls": 1})
    ]
    assert searches == [(("web_searches", 1),), (("web_searches", 3),)]
    with pytest.raises(ModelNotPriced, match=r"send tools\[0\].max_uses, or have an admin set max_tool_calls"):
        find_demand(make_chat(tools=[{"type": "web_search"}], max_tool_calls=1), MODEL, SEARCHED, upstream)


def test_where_the_upstream_may_ignore_it_a_request_s_own_limit_is_none() -> None:
    with pytest.raises(ModelNotPriced, match="have an admin set max_tool_calls for the model") as caught:
        find_demand(make_chat(tools=[TOOL]), MODEL, SEARCHED, UPSTREAM)
    assert "send max_tool_calls" not in caught.value.message


@pytest.mark.parametrize("name", ["gpt-4o-search-preview", "gpt-4o-mini-search-preview-2025-03-11", "gpt-5-search-api"])
def test_a_model_that_searches_unasked_is_held_for_it(name: str) -> None:
    found = find_demand(make_chat(), replace(LIMITED, upstream_model=name), SEARCHED)
    assert (found.units, found.context_reads) == ((("web_searches", 3),), 4)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "x_search"},
        {"type": "web_\u017fearch"},
        {"google_search": {}},
        {"googleSearch": {}},
        {"name": "f"},
        {"name": "f", "description": "of nobody knows whom"},
        {"name": "f", "parameters": {}, "google_search": {}},
        {"function_declarations": [], "google_search_retrieval": {}},
        {"Type": "web_search", "name": "f", "input_schema": {}},
        {"type": "function_of_theirs"},
        {"type": "customer_search", "name": "f"},
        {"type": "FUNCTION"},
    ],
)
def test_a_tool_that_nobody_here_knows_may_cost_anything(tool: dict[str, Any]) -> None:
    with pytest.raises(ModelNotPriced, match="is not known here") as caught:
        find_demand(make_chat(tools=[{"type": "function"}, tool]), LIMITED, SEARCHED)
    assert (caught.value.param, caught.value.error_code) == ("tools[1]", "feature_not_priced")


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"web_search_options": {}}, "web_search_options", "There is no limit on how often"),
        (
            {"web_search_options": {"search_context_size": "low"}},
            "web_search_options",
            "There is no price for web searches low",
        ),
        (
            {"tools": [{"type": "code_interpreter"}], "max_tool_calls": 2},
            "tools[0]",
            "There is no price for code sessions",
        ),
        ({"tools": [{"type": "file_search"}]}, "tools[0]", "There is no limit on how often"),
        ({"tools": [{"type": "mcp"}]}, "tools[0]", "There is no limit on how often"),
    ],
)
def test_a_tool_without_a_fee_or_a_limit_is_refused(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(ModelNotPriced, match=words) as caught:
        find_demand(make_chat(**fields), MODEL, SEARCHED)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"web_search_options": []}, "web_search_options"),
        ({"web_search_options": {}, "max_tool_calls": 0}, "max_tool_calls"),
        ({"web_search_options": {}, "max_tool_calls": True}, "max_tool_calls"),
        ({"web_search_options": {}, "max_tool_calls": "9"}, "max_tool_calls"),
        ({"tools": [{"type": "file_search", "max_uses": -1}]}, "tools[0].max_uses"),
    ],
)
def test_limits_that_make_no_sense_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_demand(make_chat(**fields), LIMITED, SEARCHED)
    assert caught.value.param == param


PREVIEWED = replace(
    reprice(SEARCHED, web_searches_preview=25_000_000_000), units=("web_searches", "web_searches_preview")
)
PREVIEW = {"type": "web_search_preview_2025_03_11", "search_context_size": "high"}


@pytest.mark.parametrize(
    ("kind", "price", "unit"),
    [
        ("openai", PREVIEWED, "web_searches_preview"),
        ("openai_compatible", PREVIEWED, "web_searches_preview"),
        ("openai_compatible", SEARCHED, "web_searches_high"),
    ],
)
def test_the_older_search_tool_has_a_fee_of_its_own(kind: str, price: Any, unit: str) -> None:
    upstream = replace(UPSTREAM, kind=kind)
    assert find_demand(make_chat(tools=[PREVIEW]), LIMITED, price, upstream).units == ((unit, 3),)


def test_openai_bills_it_apart_so_that_another_fee_does_not_do() -> None:
    with pytest.raises(ModelNotPriced, match="There is no price for web searches preview with this model"):
        find_demand(make_chat(tools=[PREVIEW]), LIMITED, SEARCHED)


@pytest.mark.parametrize(
    ("fields", "units", "context_reads"),
    [
        ({"plugins": [{"id": "web", "engine": "exa"}]}, (("web_searches", 1),), 1),
        ({"plugins": [{"id": "web", "engine": "exa", "max_results": 11}], "n": 2}, (("web_searches", 6),), 2),
        # the model's own provider searches, as often as it likes
        ({"plugins": [{"id": "web"}]}, (("web_searches", 3),), 4),
        ({"plugins": [{"id": "web", "engine": "native", "max_results": 100}]}, (("web_searches", 20),), 4),
        ({"plugins": [{"id": "web", "enabled": False}, {"id": "response-healing"}]}, (), 0),
        ({"plugins": [{"id": "file-parser", "pdf": {"engine": "pdf-text"}}]}, (), 0),
        ({"plugins": []}, (), 0),
        ({"enable_search": True}, (("web_searches", 1),), 1),
        ({"enable_search": True, "search_options": {"search_strategy": "turbo"}}, (("web_searches", 1),), 1),
        ({"enable_search": True, "search_options": {"search_strategy": "agent_max"}}, (("web_searches", 3),), 4),
        ({"enable_search": False, "search_options": {}}, (), 0),
        ({"search_parameters": {"mode": "off"}, "web_search": {"enable": False}, "connectors": []}, (), 0),
    ],
)
def test_what_is_bought_by_a_field_is_held(fields: dict[str, Any], units: Any, context_reads: int) -> None:
    found = find_demand(make_chat(**fields), LIMITED, SEARCHED)
    assert (found.units, found.context_reads) == (units, context_reads)


def test_a_name_may_ask_for_a_search() -> None:
    online = replace(LIMITED, upstream_model="meta-llama/llama-4:online")
    assert find_demand(make_chat(), online, SEARCHED).units == (("web_searches", 3),)
    with pytest.raises(ModelNotPriced, match="leave model out, or have an admin set the fee"):
        find_demand(make_chat(), online, PRICE)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"plugins": [{"id": "web", "engine": "exa"}]}, "plugins[0]"),
        ({"plugins": [{"id": "response-healing"}, {"id": "file-parser"}]}, "plugins[1]"),
        ({"plugins": [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]}, "plugins[0]"),
        ({"plugins": [{"id": "their-newest"}]}, "plugins[0]"),
        ({"plugins": ["plugin_web_search"]}, "plugins[0]"),
        ({"enable_search": True}, "enable_search"),
        ({"search_parameters": {"mode": "auto"}}, "search_parameters"),
        ({"web_search": {"enable": True}}, "web_search"),
        ({"enable_enhancement": True}, "enable_enhancement"),
        ({"enable_code_interpreter": True}, "enable_code_interpreter"),
        ({"connectors": [{"id": "web-search"}]}, "connectors"),
        ({"compound_custom": {"tools": {"enabled_tools": ["web_search"]}}}, "compound_custom"),
    ],
)
def test_what_a_field_buys_is_refused_where_no_fee_is_known(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ModelNotPriced) as caught:
        find_demand(make_chat(**fields), LIMITED, PRICE)
    assert (caught.value.param, caught.value.error_code) == (param, "feature_not_priced")
    assert f"leave {param} out" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"plugins": {"id": "web"}}, "plugins"),
        ({"plugins": [{"id": "web", "max_results": 0}]}, "plugins[0].max_results"),
        ({"plugins": [{"id": "web", "max_results": True}]}, "plugins[0].max_results"),
        ({"plugins": [{"id": "web", "max_results": "9"}]}, "plugins[0].max_results"),
        ({"plugins": [{"id": ["web"]}]}, "plugins[0].id"),
        ({"plugins": [{"id": "response-healing"}, {}]}, "plugins[1].id"),
        ({"enable_search": True, "search_options": "agent"}, "search_options"),
        ({"enable_search": True, "search_options": {"search_strategy": ["agent"]}}, "search_options.search_strategy"),
    ],
)
def test_what_is_bought_makes_sense(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_demand(make_chat(**fields), LIMITED, SEARCHED)
    assert caught.value.param == param


def test_every_class_has_a_name_in_the_order_of_the_rates() -> None:
    assert Usage._fields == Rates._fields


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("web_search", "tools"),
        ({"google_search": {}}, "tools"),
        (["web_search"], "tools[0]"),
        ([{"type": "function"}, 7], "tools[1]"),
        ([{"type": 7}], "tools[0].type"),
        ([{"type": ["web_search"]}], "tools[0].type"),
        ([{"type": {"web_search": {}}, "name": "f", "parameters": {}}], "tools[0].type"),
        ([{"google_search": {}, "code_execution": {}}], "tools[0]"),
        ([{"web_search": {}, "max_uses": 1}], "tools[0]"),
    ],
)
def test_what_is_no_tool_is_refused_in_words(tools: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_demand(make_chat(tools=tools), LIMITED, SEARCHED)
    assert caught.value.param == param


FASTER = replace(PRICE, service_tiers=(ServiceTier("fast", PRICE.rates),))


@pytest.mark.parametrize(
    ("fields", "tiers"),
    [
        ({"speed": "fast"}, ("fast", "default")),
        ({"speed": "fast", "service_tier": "auto"}, ("fast", "default")),
        ({"speed": "standard"}, ("default",)),
        ({"speed": None}, ("default",)),
        # of a server that means something else by it
        ({"speed": 1.25}, ("default",)),
    ],
)
def test_a_speed_is_a_tier(fields: dict[str, Any], tiers: tuple[str, ...]) -> None:
    assert find_demand(make_chat(**fields), MODEL, FASTER).tiers == tiers


@pytest.mark.parametrize("price", [PRICE, TIERED])
def test_a_speed_without_a_price_is_refused_by_name(price: Any) -> None:
    with pytest.raises(ModelNotPriced, match="The speed fast has no price") as caught:
        find_demand(make_chat(speed="fast"), MODEL, price)
    assert (caught.value.param, caught.value.error_code) == ("speed", "feature_not_priced")
