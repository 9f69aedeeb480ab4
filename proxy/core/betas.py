"""Features of Anthropic's API that a header switches on, or ``betas`` in a body: which of them an upstream is told of,
and which must have a price first. Pure.

A feature is known by its name without the date of its version: what it adds to a body is held against its price where
that stands. What may make a call dearer by the header alone is refused; what is not known here is left out, and named.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Original, Request, Unsaid
from tenants.price_snapshots import PriceSnapshot

HEADER: Final = "anthropic-beta"
#: the same in a body: clients make the header of it, other programs send it as it is
FIELD: Final = "betas"
_HOW: Final = {HEADER: "with commas between them", FIELD: "a list of texts"}
_MOST: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
#: what costs nothing by itself: it changes how an answer is written, or what a body may hold, which has its own price
_KNOWN: Final = frozenset(
    {
        *("interleaved-thinking", "dev-full-thinking", "redact-thinking", "thinking-token-count"),
        *("thinking-display-updates", "adaptive-thinking", "effort", "task-budgets"),
        *("output-128k", "output-300k", "structured-outputs", "model-context-window-exceeded", "context-management"),
        *("prompt-caching", "extended-cache-ttl", "pdfs", "search-results", "token-counting", "claude-code"),
        *("computer-use", "code-execution", "web-search", "web-fetch", "files-api", "mcp-client", "skills"),
        *("token-efficient-tools", "fine-grained-tool-streaming", "advanced-tool-use", "tool-search-tool"),
        *("tool-examples", "fast-mode"),
    }
)
#: prompts that are longer than usual are dearer, too
_LONG: Final = "context-1m"
#: other models may answer, or a model that nobody asked for shortens the conversation
_UNPRICED: Final = frozenset({"server-side-fallback", "fallback-credit", "compact", "advisor-tool"})


def add_betas(request: Request, names: Sequence[str]) -> Request:
    """The request of a message with the features that its caller asks for, beside those that its body names; no chat
    can say any of them. Raises InvalidRequest where they are too many together."""
    original = request.original
    if original is None or not names:
        return request
    new = tuple(name for name in dict.fromkeys(names) if name not in original.betas)
    betas = _check((*original.betas, *new), HEADER)
    unsaid = Unsaid(original.unsaid.fields, (*original.unsaid.hints, *new))
    return request._replace(original=original._replace(betas=betas, unsaid=unsaid))


def parse_betas(headers: Mapping[str, str], repeated: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The features that a call's headers name, each once. Raises InvalidRequest for what is no name of one."""
    if HEADER not in headers:
        return ()
    lines = repeated.get(HEADER, (headers[HEADER],))
    return _check(dict.fromkeys(name for part in ",".join(lines).split(",") if (name := part.strip())), HEADER)


def take_betas(body: dict[str, Any]) -> tuple[str, ...]:
    """Take out of the body of a message the features that it names itself, each once: they go on as the header, where
    Anthropic reads them. Raises InvalidRequest for what is no list of such names."""
    given = body.pop(FIELD, None)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InvalidRequest(f"{FIELD} must be a list of names of features.", param=FIELD)
    return _check(dict.fromkeys(given), FIELD)


def _check(names: Iterable[str], param: str) -> tuple[str, ...]:
    found = tuple(names)
    if len(found) > _MOST or not all(map(_NAME.fullmatch, found)):
        raise InvalidRequest(f"{param} must be names of features, {_MOST} at most: {_HOW[param]}.", param=param)
    return found


def list_sent(original: Original | None) -> tuple[str, ...]:
    """The features that an upstream of Anthropic's format is told of."""
    if original is None or not original.betas:
        return ()
    return tuple(name for name in original.betas if _family(name) in _KNOWN or _family(name) == _LONG)


def list_dropped(original: Original) -> tuple[str, ...]:
    """Those that it is not told of."""
    sent = list_sent(original)
    return tuple(name for name in original.betas if name not in sent)


def check_betas(original: Original, price: PriceSnapshot) -> None:
    """Raise ModelNotPriced for a feature by which a call may cost what the price does not say."""
    for name in original.betas:
        family = _family(name)
        if family in _UNPRICED:
            raise ModelNotPriced(
                f"What a call costs with {name} is not known here, so that it cannot be held to a budget: leave it out"
                f" of {HEADER} and of {FIELD}.",
                code="feature_not_priced",
                param=HEADER,
            )
        if family == _LONG and not price.long_context:
            raise ModelNotPriced(
                f"There is no price for long prompts with this model, which {name} allows: leave it out of {HEADER} and"
                f" of {FIELD}, or have an admin set that price under Models & prices.",
                code="feature_not_priced",
                param=HEADER,
            )


def _family(name: str) -> str:
    return _VERSION.sub("", name)
