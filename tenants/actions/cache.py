"""What the cache may do for an organisation's calls, and giving up what is in it."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.choices import CacheMode, CacheSharing, Permission, PurgeKind
from tenants.models import CachePolicy, CachePurge, LanguageModel, Route
from tenants.models.cache import MAX_TTL_SECONDS
from tenants.selectors import list_purges_in_force

MAX_TEMPERATURE: Final = Decimal(2)
MAX_ERROR_RATE: Final = Decimal("0.1")
#: every proxy keeps them all in mind
MAX_PURGES: Final = 1_000
#: applications give up entries by their feedback: what an administrator purges always has room beside that
MAX_ENTRY_PURGES: Final = 900
MAX_SUBJECT_CHARACTERS: Final = 200
MAX_REPLAY_MS: Final = 1_000
MAX_HOLDOUT_PERCENT: Final = 50


def create_cache_policy(
    *,
    actor: Actor,
    mode: CacheMode,
    model: str = "",
    semantic: CacheMode = CacheMode.OFF,
    ttl_seconds: int = 3_600,
    max_temperature: Decimal = Decimal("0.7"),
    max_error_rate: Decimal = Decimal("0.01"),
    sharing: CacheSharing = CacheSharing.KEY,
    marks_prompts: bool = False,
    replay_ms: int = 0,
    holdout_percent: int = 2,
) -> CachePolicy:
    """Say what the cache may do for one of the organisation's models, or for every model without a policy of its own.

    Raises InvalidField for what cannot be, and Conflict where that model has a policy.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if model and not any(kind.objects.filter(org=actor.org, name=model).exists() for kind in (LanguageModel, Route)):
        raise InvalidField("Give one of the organisation's models or routes, or leave it out for all.", field="model")
    policy = CachePolicy(
        org=actor.org,
        model=model,
        mode=mode.value,
        semantic=semantic.value,
        ttl_seconds=_check_ttl(ttl_seconds),
        max_temperature=_check_share("max_temperature", max_temperature, MAX_TEMPERATURE, places=2),
        max_error_rate=_check_share("max_error_rate", max_error_rate, MAX_ERROR_RATE, places=3),
        sharing=sharing.value,
        marks_prompts=marks_prompts,
        replay_ms=_check_pace(replay_ms),
        holdout_percent=_check_holdout(holdout_percent),
    )
    try:
        with transaction.atomic():
            policy.save(force_insert=True)
            record(actor, "created", policy, model=model, mode=mode, semantic=semantic, sharing=sharing)
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict("There is a cache policy of this model already: change that one.", field="model") from error
    return policy


def update_cache_policy(
    *,
    actor: Actor,
    policy: CachePolicy,
    mode: CacheMode | None = None,
    semantic: CacheMode | None = None,
    ttl_seconds: int | None = None,
    max_temperature: Decimal | None = None,
    max_error_rate: Decimal | None = None,
    sharing: CacheSharing | None = None,
    marks_prompts: bool | None = None,
    replay_ms: int | None = None,
    holdout_percent: int | None = None,
) -> CachePolicy:
    """Change what the cache may do. Raises InvalidField for what cannot be."""
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, object] = {}
    if mode is not None:
        new["mode"] = mode.value
    if semantic is not None:
        new["semantic"] = semantic.value
    if sharing is not None:
        new["sharing"] = sharing.value
    if ttl_seconds is not None:
        new["ttl_seconds"] = _check_ttl(ttl_seconds)
    if max_temperature is not None:
        new["max_temperature"] = _check_share("max_temperature", max_temperature, MAX_TEMPERATURE, places=2)
    if max_error_rate is not None:
        new["max_error_rate"] = _check_share("max_error_rate", max_error_rate, MAX_ERROR_RATE, places=3)
    if marks_prompts is not None:
        new["marks_prompts"] = marks_prompts
    if replay_ms is not None:
        new["replay_ms"] = _check_pace(replay_ms)
    if holdout_percent is not None:
        new["holdout_percent"] = _check_holdout(holdout_percent)
    apply_changes(actor, policy, new)
    return policy


def delete_cache_policy(*, actor: Actor, policy: CachePolicy) -> None:
    """The model has no policy of its own any more."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        record(actor, "deleted", policy, model=policy.model)
        policy.delete()
        publish(actor.org)


def purge_cache(*, actor: Actor, kind: PurgeKind, subject: str = "", before: datetime | None = None) -> CachePurge:
    """Give up what the cache kept before a moment, now where none is given: nobody gets it any more, in any process,
    once the change is announced.

    ``subject`` is a model's name, a tag (``team=search``), a scope or an entry's id, as the cache's entries show them.

    Raises InvalidField for a kind without its subject and the reverse, or a moment to come; Conflict where more purges
    are in force than proxies keep in mind.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if kind is PurgeKind.ALL and subject:
        raise InvalidField("A purge of all has no subject: leave it out.", field="subject")
    if kind is not PurgeKind.ALL and not subject:
        raise InvalidField(f"Say which {kind.value} is given up.", field="subject")
    if len(subject) > MAX_SUBJECT_CHARACTERS or not subject.isprintable():
        raise InvalidField(f"Give at most {MAX_SUBJECT_CHARACTERS} printable characters.", field="subject")
    now = clock.now()
    if before is not None and before > now:
        raise InvalidField("Give a moment that has passed, or none for now.", field="before")
    purge = CachePurge(org=actor.org, kind=kind.value, subject=subject, before=before or now)
    with transaction.atomic():
        # What it covers need not be remembered beside it: reports of the same wrong answer are one purge.
        covered = CachePurge.objects.filter(org=actor.org, before__lte=purge.before)
        if kind is not PurgeKind.ALL:
            covered = covered.filter(kind=kind.value, subject=subject)
        covered.delete()
        most = MAX_ENTRY_PURGES if kind is PurgeKind.ENTRY else MAX_PURGES
        if kind is not PurgeKind.ALL and list_purges_in_force(actor.org).count() >= most:
            raise Conflict(f"{most} purges are in force: purge all, which takes their place.")
        purge.save(force_insert=True)
        record(actor, "created", purge, kind=kind, subject=subject, before=purge.before)
        publish(actor.org)
    return purge


def _check_ttl(seconds: int) -> int:
    if not 1 <= seconds <= MAX_TTL_SECONDS:
        raise InvalidField(f"Give 1 to {MAX_TTL_SECONDS} seconds, which are thirty days.", field="ttl_seconds")
    return seconds


def _check_pace(pause_ms: int) -> int:
    if not 0 <= pause_ms <= MAX_REPLAY_MS:
        raise InvalidField(f"Give 0 to {MAX_REPLAY_MS} milliseconds between two events.", field="replay_ms")
    return pause_ms


def _check_holdout(percent: int) -> int:
    if not 0 <= percent <= MAX_HOLDOUT_PERCENT:
        raise InvalidField(f"Give 0 to {MAX_HOLDOUT_PERCENT} percent of the calls.", field="holdout_percent")
    return percent


def _check_share(field: str, value: Decimal, most: Decimal, *, places: int) -> Decimal:
    if not 0 <= value <= most or value != round(value, places):
        raise InvalidField(f"Give a number from 0 to {most}, with at most {places} decimal places.", field=field)
    return round(value, places)
