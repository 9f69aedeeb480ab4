"""What a request buys beside its tools: fields, and names of models, by which a provider searches or parses at a fee.

Where the fee is the price's, and it is known how often it can be due, such a field is priced like a paid tool; anything
else is refused by its name, because the call could not be held to a budget.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Request
from tenants.snapshots import ModelSnapshot

#: fields that are read here
FIELDS: Final = frozenset(
    {
        *("web_search_options", "plugins", "enable_search"),
        *("search_parameters", "web_search", "enable_enhancement", "enable_deep_search", "connectors"),
        *("compound_custom", "enable_code_interpreter"),
    }
)
#: stands in the names of models that search unasked: in OpenAI's, and at the end of those that OpenRouter does it for
_SEARCHES_UNASKED: Final = "-search-"
ONLINE: Final = ":online"

_SEARCHING: Final = ("-search-preview", "-search-api")
_SIZES: Final = {"low": "web_searches_low", "medium": "web_searches", "high": "web_searches_high"}
_SEARCHES: Final = "web_searches"
#: what nobody here knows the fee of: xAI's live search, Baidu's, Tencent's and Cohere's searches, Groq's and Alibaba's
#: code that is run
_UNKNOWN: Final = (
    *("search_parameters", "web_search", "enable_enhancement", "enable_deep_search", "connectors"),
    *("compound_custom", "enable_code_interpreter"),
)
#: OpenRouter's plugins that cost nothing
_FREE_PLUGINS: Final = frozenset({"response-healing", "context-compression"})
_FREE_PARSERS: Final = frozenset({"native", "pdf-text", "cloudflare-ai"})
#: engines that OpenRouter asks once a request, and the results that one fee is for
_ENGINES: Final = frozenset({"exa", "parallel"})
_RESULTS_A_SEARCH: Final = 5


@lru_cache(maxsize=4_096)
def searches_unasked(upstream_model: str) -> bool:
    """Whether a model searches although no field asks for it, as its name says. Every call asks, of few models."""
    return _SEARCHES_UNASKED in upstream_model or upstream_model.endswith(ONLINE)


_MOST_RESULTS: Final = 100
#: Alibaba's strategies by which a request is searched for once at most
_SINGLE_STRATEGIES: Final = frozenset({"agent", "turbo", "max", "standard", "pro"})
_SHOWN: Final = 60


class Bought(NamedTuple):
    """What a field buys for one choice: the unit class of its fee, and how often that can be due.

    ``most`` is None where the provider decides that. ``least`` is what is due where no report tells; ``is_certain``
    says that it is.
    """

    unit: str
    param: str
    most: int | None = None
    least: int = 1
    is_certain: bool = True


def search_class(options: Any) -> str:
    """The unit class of a web search with these options."""
    size = options.get("search_context_size") if isinstance(options, dict) else None
    return _SIZES.get(size, _SEARCHES) if isinstance(size, str) else _SEARCHES


def list_bought(request: Request, model: ModelSnapshot) -> list[Bought]:
    """What the request buys beside its tools.

    Raises ModelNotPriced for what nobody here knows the fee of, and InvalidRequest for what makes no sense.
    """
    body = request.body
    for name in _UNKNOWN:
        value = body.get(name)
        if value and not _is_off(value):
            raise _unpriced(name, name)
    return [*_list_searches(body, model), *_list_plugins(body)]


def _list_searches(body: Mapping[str, Any], model: ModelSnapshot) -> Iterator[Bought]:
    options = body.get("web_search_options")
    if options is not None:
        if not isinstance(options, dict):
            raise InvalidRequest("web_search_options must be an object.", param="web_search_options")
        yield Bought(search_class(options), "web_search_options")
    elif any(name in model.upstream_model for name in _SEARCHING):
        yield Bought(_SEARCHES, "model")
    if model.upstream_model.endswith(ONLINE):
        yield Bought(_SEARCHES, "model")
    if body.get("enable_search"):
        options = body.get("search_options")
        if options is not None and not isinstance(options, dict):
            raise InvalidRequest("search_options must be an object.", param="search_options")
        # The model decides whether the question needs a search, and its report need not tell.
        strategy = (options or {}).get("search_strategy", "agent")
        if not isinstance(strategy, str):
            raise InvalidRequest(
                "search_options.search_strategy must be the name of a strategy.", param="search_options.search_strategy"
            )
        is_single = strategy in _SINGLE_STRATEGIES
        yield Bought(_SEARCHES, "enable_search", most=1 if is_single else None, is_certain=False)


def _list_plugins(body: Mapping[str, Any]) -> Iterator[Bought]:
    plugins = body.get("plugins") or ()
    if not isinstance(plugins, list | tuple):
        raise InvalidRequest("plugins must be a list of plugins.", param="plugins")
    for place, plugin in enumerate(plugins):
        param = f"plugins[{place}]"
        if not isinstance(plugin, dict):
            raise _unpriced(str(plugin), param)
        kind = plugin.get("id")
        if not isinstance(kind, str):
            raise InvalidRequest(f"{param}.id must be the name of a plugin.", param=f"{param}.id")
        if plugin.get("enabled") is False or kind in _FREE_PLUGINS:
            continue
        if kind == "web":
            yield _read_web_plugin(plugin, param)
        elif kind != "file-parser" or _engine_of(plugin) not in _FREE_PARSERS:
            # How many pages a file has is not known before it is parsed.
            raise _unpriced(kind, param)


def _read_web_plugin(plugin: Mapping[str, Any], param: str) -> Bought:
    results = plugin.get("max_results", _RESULTS_A_SEARCH)
    if not isinstance(results, int) or isinstance(results, bool) or not 1 <= results <= _MOST_RESULTS:
        raise InvalidRequest(
            f"{param}.max_results must be a whole number from 1 to {_MOST_RESULTS}.", param=f"{param}.max_results"
        )
    searches = -(-results // _RESULTS_A_SEARCH)
    engine = plugin.get("engine")
    # Without one, or with "native", the model's own provider searches, as often as it likes.
    is_known = isinstance(engine, str) and engine in _ENGINES
    return Bought(_SEARCHES, param, most=searches if is_known else None, least=searches)


def _is_off(value: Any) -> bool:
    return isinstance(value, dict) and (
        value.get("mode") == "off" or value.get("enable") is False or value.get("enabled") is False
    )


def _engine_of(plugin: Mapping[str, Any]) -> str:
    pdf = plugin.get("pdf")
    engine = pdf.get("engine") if isinstance(pdf, dict) else None
    return engine if isinstance(engine, str) else ""


def _unpriced(what: str, param: str) -> ModelNotPriced:
    return ModelNotPriced(
        f"What {what[:_SHOWN]} costs is not known here, so that the call cannot be held to a budget: leave {param} out.",
        code="feature_not_priced",
        param=param,
    )
