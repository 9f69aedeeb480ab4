"""Models: the names that an organisation's applications may ask for."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.fallbacks import check_fallbacks
from tenants.actions.paid_by_hour import check_move
from tenants.actions.values import check_identifier
from tenants.choices import Permission, Tokenizer
from tenants.known_models import KnownModel, find_known_model
from tenants.models import LanguageModel, ListPrice, Route, Upstream
from tenants.price_histories import LIST_PRICES_OF, list_price_names

MAX_TOOL_CALLS: Final = 10_000
MAX_MERGE_WINDOW_MS: Final = 100
MAX_TOKENS: Final = 100_000_000
DEFAULT_CONTEXT_WINDOW: Final = 128_000
DEFAULT_MAX_OUTPUT_TOKENS: Final = 16_384


def create_model(
    *,
    actor: Actor,
    name: str,
    upstream: Upstream,
    upstream_model: str = "",
    context_window: int | None = None,
    max_output_tokens: int | None = None,
    tokenizer: Tokenizer | None = None,
    max_tool_calls: int | None = None,
    fallbacks: Sequence[str] = (),
    merge_window_ms: int = 0,
    ends_on: str = "",
    student_of: str = "",
) -> LanguageModel:
    """Create a model. The upstream knows it as ``upstream_model``, or by the same name; what is left out is assumed by
    that (``assume``).

    ``student_of`` is the model that it was trained to stand in for: what a route saves by asking it is distillation's.
    Raises InvalidField for sizes or fallbacks that cannot be, Conflict if the name is taken.
    """
    actor.check(Permission.WRITE_SETTINGS)
    assumed = assume(upstream_model or name, upstream)
    tokenizer = tokenizer or assumed.tokenizer
    if Route.objects.filter(org=actor.org, name=name).exists():
        raise Conflict("There is a route of this name: a model needs one of its own.", field="name")
    if context_window is None:
        context_window = assumed.context_window or DEFAULT_CONTEXT_WINDOW
    if max_output_tokens is None:
        max_output_tokens = min(assumed.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS, context_window)
    _check_sizes(context_window, max_output_tokens)
    _check_tool_calls(max_tool_calls)
    _check_window(merge_window_ms)
    model = LanguageModel(
        org=actor.org,
        name=check_identifier(name, "name"),
        upstream=upstream,
        upstream_model=check_identifier(upstream_model or name, "upstream_model"),
        context_window=context_window,
        max_output_tokens=max_output_tokens,
        tokenizer=tokenizer.value,
        max_tool_calls=max_tool_calls,
        fallbacks=check_fallbacks(actor, name, fallbacks),
        merge_window_ms=merge_window_ms,
        ends_on=_check_day(ends_on),
        student_of=_check_teacher(name, student_of),
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

    The name stays: budgets and the ledger know the model by it. Raises InvalidField for sizes or fallbacks that cannot
    be, Conflict for an upstream whose hours pay for calls that the model has a price for.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if "upstream_model" in changes:
        changes["upstream_model"] = check_identifier(changes["upstream_model"], "upstream_model")
    if "upstream" in changes:
        changes["upstream_id"] = changes.pop("upstream").pk
    if "fallbacks" in changes:
        changes["fallbacks"] = check_fallbacks(actor, model.name, changes["fallbacks"])
    if "ends_on" in changes:
        changes["ends_on"] = _check_day(changes["ends_on"])
    if "student_of" in changes:
        changes["student_of"] = _check_teacher(model.name, changes["student_of"])
    if "tokenizer" in changes:
        changes["tokenizer"] = changes["tokenizer"].value
    _check_sizes(
        changes.get("context_window", model.context_window), changes.get("max_output_tokens", model.max_output_tokens)
    )
    _check_tool_calls(changes.get("max_tool_calls"))
    _check_window(changes.get("merge_window_ms", 0))
    with transaction.atomic():
        if changes.get("upstream_id", model.upstream_id) != model.upstream_id:
            check_move(actor, model, changes["upstream_id"])
        apply_changes(actor, model, changes)
    return model


def assume(upstream_model: str, upstream: Upstream) -> KnownModel:
    """What is known of a model by the name that its upstream knows it by: of a list price's model its context window,
    and of a well-known one the rest. Of any other, that its text has as many tokens as bytes at most."""
    known = find_known_model(upstream_model) or KnownModel(Tokenizer.BYTES)
    provider = LIST_PRICES_OF.get(upstream.kind)
    window: int | None = None
    for name in list_price_names(provider, upstream_model) if provider else ():
        windows = ListPrice.objects.filter(provider=provider, model=name).exclude(context_window=None)
        window = window or windows.order_by("-effective_from").values_list("context_window", flat=True).first()
    return known._replace(context_window=window or known.context_window)


def _check_day(day: str) -> str:
    if not day:
        return ""
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError as error:
        raise InvalidField("Give a day such as 2027-01-31, or an empty text.", field="ends_on") from error


def _check_teacher(name: str, teacher: str) -> str:
    if teacher and check_identifier(teacher, "student_of") == name:
        raise InvalidField("No model is its own student: give the model that it stands in for.", field="student_of")
    return teacher


def _check_tool_calls(most: int | None) -> None:
    if most is not None and not 1 <= most <= MAX_TOOL_CALLS:
        raise InvalidField(f"Give a number of calls from 1 to {MAX_TOOL_CALLS}, or null.", field="max_tool_calls")


def _check_window(milliseconds: int) -> None:
    if not 0 <= milliseconds <= MAX_MERGE_WINDOW_MS:
        raise InvalidField(f"Give milliseconds from 0 to {MAX_MERGE_WINDOW_MS}.", field="merge_window_ms")


def _check_sizes(context_window: int, max_output_tokens: int) -> None:
    for field, value in (("context_window", context_window), ("max_output_tokens", max_output_tokens)):
        if not 1 <= value <= MAX_TOKENS:
            raise InvalidField(f"Give a number of tokens from 1 to {MAX_TOKENS}.", field=field)
    if max_output_tokens > context_window:
        raise InvalidField("A model cannot put out more than its context window holds.", field="max_output_tokens")
