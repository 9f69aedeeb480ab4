"""How prompts are shortened for an organisation's calls."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.choices import Compression, Mode, Permission
from tenants.models import CompressionPolicy, LanguageModel, Route


def create_compression_policy(
    *,
    actor: Actor,
    mode: Mode,
    model: str = "",
    methods: Sequence[Compression] = (Compression.LOSSLESS,),
    keep_percent: int = 0,
    holdout_percent: int = 2,
    scorer: str = "",
    extract_percent: int = 0,
) -> CompressionPolicy:
    """Say how prompts are shortened of one of the organisation's models or routes, or of all without a policy of their
    own. Raises InvalidField for what cannot be, and Conflict where there is a policy already."""
    actor.check(Permission.WRITE_SETTINGS)
    if model and not any(kind.objects.filter(org=actor.org, name=model).exists() for kind in (LanguageModel, Route)):
        raise InvalidField("Give one of the organisation's models or routes, or leave it out for all.", field="model")
    policy = CompressionPolicy(
        org=actor.org,
        model=model,
        mode=mode.value,
        methods=_check_methods(methods),
        keep_percent=_check_percent("keep_percent", keep_percent, 95),
        holdout_percent=_check_percent("holdout_percent", holdout_percent, 50),
        scorer=scorer,
        extract_percent=_check_percent("extract_percent", extract_percent, 95),
    )
    _check_scorer(actor, policy.methods, policy.keep_percent, scorer)
    try:
        with transaction.atomic():
            policy.save(force_insert=True)
            record(actor, "created", policy, model=model, mode=mode, methods=policy.methods)
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict("There is a compression policy of this name already: change that one.", field="model") from error
    return policy


def update_compression_policy(
    *,
    actor: Actor,
    policy: CompressionPolicy,
    mode: Mode | None = None,
    methods: Sequence[Compression] | None = None,
    keep_percent: int | None = None,
    holdout_percent: int | None = None,
    scorer: str | None = None,
    extract_percent: int | None = None,
) -> CompressionPolicy:
    """Change how prompts are shortened. Raises InvalidField for what cannot be."""
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, Any] = {}
    if mode is not None:
        new["mode"] = mode.value
    if methods is not None:
        new["methods"] = _check_methods(methods)
    if keep_percent is not None:
        new["keep_percent"] = _check_percent("keep_percent", keep_percent, 95)
    if holdout_percent is not None:
        new["holdout_percent"] = _check_percent("holdout_percent", holdout_percent, 50)
    if scorer is not None:
        new["scorer"] = scorer
    if extract_percent is not None:
        new["extract_percent"] = _check_percent("extract_percent", extract_percent, 95)
    pruning = ("methods", "keep_percent", "scorer")
    # Where none of these changes the scorer may be gone by now: nobody is kept from switching the policy off.
    if not new.keys().isdisjoint(pruning):
        methods_then, keep_then, scorer_then = (new.get(field, getattr(policy, field)) for field in pruning)
        _check_scorer(actor, methods_then, keep_then, scorer_then)
    apply_changes(actor, policy, new)
    return policy


def delete_compression_policy(*, actor: Actor, policy: CompressionPolicy) -> None:
    """There is no such policy any more."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        record(actor, "deleted", policy, model=policy.model)
        policy.delete()
        publish(actor.org)


def _check_methods(methods: Sequence[Compression]) -> list[str]:
    if not methods or len(set(methods)) < len(methods):
        raise InvalidField(f"Give one or more of {', '.join(Compression)}, each once.", field="methods")
    # Always in one order: what is dropped first decides what is left.
    return [method.value for method in Compression if method in methods]


def _check_scorer(actor: Actor, methods: Sequence[str], keep_percent: int, scorer: str) -> None:
    """Pruning by perplexity wants a model that is asked, and a share of words to keep."""
    if Compression.PERPLEXITY not in methods:
        if scorer:
            raise InvalidField("Only the method perplexity has a scorer.", field="scorer")
        return
    if not LanguageModel.objects.filter(org=actor.org, name=scorer, is_active=True).exists():
        raise InvalidField(
            "Give one of the organisation's models whose completions echo log probabilities of the prompt.",
            field="scorer",
        )
    if not keep_percent:
        raise InvalidField("Say how many per cent of the words are kept.", field="keep_percent")


def _check_percent(field: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidField(f"Give a whole number of per cent from 0 to {most}.", field=field)
    return value
