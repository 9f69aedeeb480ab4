"""Models: the names that an organisation's applications may ask for."""

from typing import Any, Final

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.values import check_identifier
from tenants.choices import Permission, Tokenizer
from tenants.models import LanguageModel, Upstream

MAX_TOKENS: Final = 100_000_000
DEFAULT_CONTEXT_WINDOW: Final = 128_000
DEFAULT_MAX_OUTPUT_TOKENS: Final = 16_384


def create_model(
    *,
    actor: Actor,
    name: str,
    upstream: Upstream,
    upstream_model: str = "",
    context_window: int = DEFAULT_CONTEXT_WINDOW,
    max_output_tokens: int | None = None,
    tokenizer: Tokenizer = Tokenizer.BYTES,
) -> LanguageModel:
    """Create a model. The upstream knows it as ``upstream_model``, or by the same name.

    Raises InvalidField for sizes that cannot be, Conflict if the name is taken.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if max_output_tokens is None:
        max_output_tokens = min(DEFAULT_MAX_OUTPUT_TOKENS, context_window)
    _check_sizes(context_window, max_output_tokens)
    model = LanguageModel(
        org=actor.org,
        name=check_identifier(name, "name"),
        upstream=upstream,
        upstream_model=check_identifier(upstream_model or name, "upstream_model"),
        context_window=context_window,
        max_output_tokens=max_output_tokens,
        tokenizer=tokenizer.value,
    )
    try:
        with transaction.atomic():
            model.save(force_insert=True)
            record(actor, "created", model, name=name, upstream=upstream.name, upstream_model=model.upstream_model)
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict("There is a model of this name already.", field="name") from error
    return model


def update_model(*, actor: Actor, model: LanguageModel, **changes: Any) -> LanguageModel:
    """Change a model; ``changes`` are ``create_model``'s arguments but ``name``, and ``is_active``.

    The name stays: budgets and the ledger know the model by it. Raises InvalidField for sizes that cannot be.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if "upstream_model" in changes:
        changes["upstream_model"] = check_identifier(changes["upstream_model"], "upstream_model")
    if "upstream" in changes:
        changes["upstream_id"] = changes.pop("upstream").pk
    if "tokenizer" in changes:
        changes["tokenizer"] = changes["tokenizer"].value
    _check_sizes(
        changes.get("context_window", model.context_window), changes.get("max_output_tokens", model.max_output_tokens)
    )
    apply_changes(actor, model, changes)
    return model


def _check_sizes(context_window: int, max_output_tokens: int) -> None:
    for field, value in (("context_window", context_window), ("max_output_tokens", max_output_tokens)):
        if not 1 <= value <= MAX_TOKENS:
            raise InvalidField(f"Give a number of tokens from 1 to {MAX_TOKENS}.", field=field)
    if max_output_tokens > context_window:
        raise InvalidField("A model cannot put out more than its context window holds.", field="max_output_tokens")
