"""How many tokens a shorter prompt saved, and what they would have cost."""

from typing import Final

from proxy.core import tokens
from proxy.values.attempt import Usage
from proxy.values.request import Request
from tenants.choices import Tokenizer
from tenants.snapshots import ModelSnapshot, OrgSnapshot

#: what stands in for a vocabulary that is not known: bytes would be several times too many
_STAND_IN: Final = Tokenizer.O200K


def count_shortened(request: Request, org: OrgSnapshot) -> Request:
    """The request with its tokens before and after it was shortened (``counted``), in the vocabulary of the model that
    was asked for; of a route, of its baseline. Takes as long as its texts are."""
    if not request.shortened or (model := _find_model(request.model, org)) is None:
        return request
    after, saved = tokens.count_exactly(request, model), count_saved(request, model.tokenizer)
    return request._replace(counted=(after + saved, after))


def count_saved(request: Request, tokenizer: str) -> int:
    """Tokens of the texts that were shortened, less those of what is sent in their place; 0 where nothing was."""
    vocabulary = _STAND_IN if tokenizer == Tokenizer.BYTES else tokenizer
    saved = sum(
        tokens.count_text(before, vocabulary) - tokens.count_text(after, vocabulary)
        for before, after in request.shortened
    )
    return max(0, saved)


def saved_by(request: Request) -> int:
    """Tokens that shortening has saved, as they were counted then."""
    before, after = request.counted
    return before - after


def show_saved(request: Request) -> str:
    """Tokens before and after, as callers are told of them; empty where nothing became shorter."""
    before, after = request.counted
    return f"{before}>{after}" if before else ""


def as_it_was(used: Usage, saved: int) -> Usage:
    """The usage of the request as the caller sent it: so many tokens more, of which as large a part would have come
    from the provider's own cache as of those that were sent."""
    cached = saved * used.cached_input // max(used.input + used.cached_input, 1)
    return used._replace(input=used.input + saved - cached, cached_input=used.cached_input + cached)


def _find_model(name: str, org: OrgSnapshot) -> ModelSnapshot | None:
    route = org.routes.get(name)
    return org.models.get(name if route is None else route.baseline)
