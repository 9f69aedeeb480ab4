"""Tools that a provider runs and bills: which a request has, and how often each may be called."""

from collections.abc import Iterator
from typing import Any, Final

from proxy.core.paid_fields import list_bought, search_class
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Request
from tenants.choices import Habit, UpstreamKind
from tenants.price_snapshots import PriceSnapshot
from tenants.snapshots import ModelSnapshot, UpstreamSnapshot

#: the class of searches by OpenAI's older tool, which has a fee of its own
PREVIEW: Final = "web_searches_preview"
#: a provider's own tools that are billed by the call, by how the names of their types begin
_PAID_TOOLS: Final = {
    "web_search_preview": PREVIEW,
    "web_search": "web_searches",
    "file_search": "file_searches",
    "code_interpreter": "code_sessions",
    "code_execution": "code_sessions",
    "image_generation": "images",
}
#: tools that the caller itself runs, or the model's server for nothing: by how the names of their types begin. What the
#: caller's own bring in comes with its next call
_OWN_TOOLS: Final = ("bash_", "text_editor_", "computer_", "memory_", "tool_search")
_OWN_TYPES: Final = frozenset({"function", "custom", "local_shell", "apply_patch"})
#: what says that a tool without a type is the caller's own, and what may stand beside that
_DEFINITIONS: Final = ("function", "parameters", "input_schema", "function_declarations", "functionDeclarations")
_BESIDE: Final = frozenset(
    {
        *("name", "description", "strict", "cache_control", "input_examples", "output_schema"),
        *("defer_loading", "allowed_callers", "eager_input_streaming"),
    }
)
#: those that a provider runs for no fee, and whose results the model reads
_READING_TOOLS: Final = ("web_fetch", "url_context", "mcp")
_MOST_CALLS: Final = 10_000
_SHOWN: Final = 60
#: stands for a class where a tool has no fee
_READING: Final = "reading"
Units = tuple[tuple[str, int], ...]
#: of a request without such tools
NONE: Final[tuple[Units, int]] = ((), 0)


def find_tools(
    request: Request, model: ModelSnapshot, price: PriceSnapshot, upstream: UpstreamSnapshot
) -> tuple[Units, int]:
    """What the request has the provider do at a fee, with how often each may be done at most, and how often the model
    may read its window: for each choice once, and once more behind each call of a tool that the provider runs.

    Raises ModelNotPriced for what has no price, or of which nobody says how often it may be done, and InvalidRequest
    for what makes no sense.
    """
    units: list[tuple[str, int]] = []
    calls = 0
    bought = list_bought(request, model)
    for each in bought:
        _check_fee(price, each.unit, each.param)
        if each.most is not None:
            # It is looked for once, before the model reads.
            units.append((each.unit, each.most * request.choices))
            continue
        most = _most_calls(request, model, upstream, each.param, None)
        units.append((each.unit, max(most, each.least * request.choices)))
        calls += most
    # Of two tools of one class each may be called as often as it says.
    asked = list(_list_tools(request.body.get("tools") or (), price, upstream))
    for name, param, uses in asked:
        if name != _READING:
            _check_fee(price, name, param)
        most = _most_calls(request, model, upstream, param, uses)
        if name != _READING:
            units.append((name, most))
        calls += most
    return (tuple(units), request.choices + calls) if bought or asked else NONE


def class_of_searches(request: Request, price: PriceSnapshot, upstream: UpstreamSnapshot) -> str:
    """The unit class of the searches that the request's tools make: the dearest, where they are of several; empty where
    it has no such tool."""
    asked = _list_tools(request.body.get("tools") or (), price, upstream)
    found = {name for name, _, _ in asked if name.startswith("web_searches")}
    return max(sorted(found), key=lambda name: getattr(price.rates, name)) if found else ""


def _list_tools(tools: Any, price: PriceSnapshot, upstream: UpstreamSnapshot) -> Iterator[tuple[str, str, Any]]:
    """The unit class of each tool that the provider runs, its place in the request, and how often it may be used."""
    if not isinstance(tools, list | tuple):
        raise InvalidRequest("tools must be a list of tools.", param="tools")
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise InvalidRequest(f"tools[{place}] must be an object.", param=f"tools[{place}]")
        if name := _class_of(tool, f"tools[{place}]"):
            if name == PREVIEW and PREVIEW not in price.units and upstream.kind != UpstreamKind.OPENAI:
                name = search_class(tool)
            yield name, f"tools[{place}]", tool.get("max_uses")


def _class_of(tool: dict[str, Any], param: str) -> str:
    """The unit class of a tool that the provider runs; empty for one that the caller does.

    Raises ModelNotPriced for one that nobody here knows: it may cost anything.
    """
    kind = _kind_of(tool, param)
    if kind in _OWN_TYPES or kind.startswith(_OWN_TOOLS):
        return ""
    if kind.startswith(_READING_TOOLS):
        return _READING
    name = next((name for prefix, name in _PAID_TOOLS.items() if kind.startswith(prefix)), "")
    if not name:
        raise ModelNotPriced(
            f"What the tool {kind[:_SHOWN]!r} costs is not known here, so that the call cannot be held to a budget:"
            f" leave {param} out, or where it is a function of your own, say so by its type and its parameters.",
            code="feature_not_priced",
            param=param,
        )
    return search_class(tool) if name == "web_searches" else name


def _kind_of(tool: dict[str, Any], param: str) -> str:
    """A tool's type, or where it has none what it is by its fields. Raises InvalidRequest for what is no type."""
    kind = tool.get("type")
    if kind is not None:
        if not isinstance(kind, str):
            raise InvalidRequest(f"{param}.type must be a text, such as function.", param=f"{param}.type")
        return kind
    # as Gemini writes them: {"google_search": {}}
    others = [name for name in tool if name not in _DEFINITIONS and name not in _BESIDE and name != "type"]
    if len(others) > 1:
        raise InvalidRequest(f"{param} is several tools in one: list each by itself.", param=param)
    if others:
        return others[0]
    if not tool or any(isinstance(tool.get(name), dict | list) for name in _DEFINITIONS):
        return "function"
    # A server may know a tool of its own by such a name.
    return str(tool.get("name", ""))


def _check_fee(price: PriceSnapshot, name: str, param: str) -> None:
    if name not in price.units:
        raise ModelNotPriced(
            f"There is no price for {name.replace('_', ' ')} with this model, so that the call cannot be held to a budget:"
            f" leave {param} out, or have an admin set the fee under Models & prices.",
            code="feature_not_priced",
            param=param,
        )


def _most_calls(request: Request, model: ModelSnapshot, upstream: UpstreamSnapshot, param: str, max_uses: Any) -> int:
    """Calls of a tool over all choices. The request's own limits count where the upstream is known to keep to them:
    most servers ignore a field that they do not know. OpenAI refuses it; Anthropic knows no limit but a tool's own."""
    of_tool = _limit(max_uses, f"{param}.max_uses")
    of_request = _limit(request.body.get("max_tool_calls"), "max_tool_calls")
    is_anthropic = upstream.kind == UpstreamKind.ANTHROPIC
    kept: tuple[int | None, ...] = ()
    send = ""
    if upstream.habits.get(Habit.TOOL_LIMITS, is_anthropic or upstream.kind == UpstreamKind.OPENAI):
        kept = (of_tool,) if is_anthropic else (of_tool, of_request)
        send = f"send {f'{param}.max_uses' if is_anthropic else 'max_tool_calls'}, or "
    known: list[int] = [limit for limit in (*kept, model.max_tool_calls) if limit is not None]
    if not known:
        raise ModelNotPriced(
            f"There is no limit on how often {param} may be called, so that the call cannot be held to a budget: {send}have"
            " an admin set max_tool_calls for the model.",
            code="feature_not_priced",
            param=param,
        )
    most: int = min(known)
    return most * request.choices


def _limit(value: Any, param: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_CALLS:
        raise InvalidRequest(f"{param} must be a whole number from 1 to {_MOST_CALLS}.", param=param)
    return value
