"""Shorter words for system prompts: proposed by whoever may change settings, sent once somebody has approved them."""

import hashlib
from typing import Final

from django.db import transaction
from django.db.models import Max

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import publish
from tenants.choices import Permission, PromptState
from tenants.models import Organization, SystemPrompt

#: every proxy keeps those that are approved in mind
MOST_APPROVED: Final = 50
MOST_CHARACTERS: Final = 50_000
MOST_VERSIONS: Final = 1_000


def propose_system_prompt(*, actor: Actor, original: str, shorter: str) -> SystemPrompt:
    """Keep shorter words for a system prompt as a new version, which changes no call yet. ``original`` is the whole
    text as calls send it, byte for byte.

    Raises InvalidField for words that are none or not shorter, and Conflict where there are too many versions.
    """
    actor.check(Permission.WRITE_SETTINGS)
    for field, text in (("original", original), ("shorter", shorter)):
        if not text.strip() or len(text) > MOST_CHARACTERS or "\0" in text:
            raise InvalidField(f"Give a text of 1 to {MOST_CHARACTERS} characters.", field=field)
    if len(shorter) >= len(original):
        raise InvalidField("This is not shorter than the original: nothing would be saved.", field="shorter")
    digest = digest_of(original)
    with transaction.atomic():
        _lock(actor)
        own = SystemPrompt.objects.filter(org=actor.org)
        if own.count() >= MOST_VERSIONS:
            raise Conflict(f"There are {MOST_VERSIONS} versions of system prompts already.")
        last = own.filter(digest=digest).aggregate(last=Max("number"))["last"] or 0
        made = SystemPrompt(
            org=actor.org,
            digest=digest,
            number=last + 1,
            original=original,
            shorter=shorter,
            state=PromptState.PROPOSED.value,
            made_by=actor.name,
        )
        made.save(force_insert=True)
        record(actor, "created", made, digest=digest, number=made.number)
    return made


def approve_system_prompt(*, actor: Actor, prompt: SystemPrompt) -> SystemPrompt:
    """Send a version's words in the place of its original from now on; the version that was sent before is retired.
    Raises Conflict where too many prompts have an approved version."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        _lock(actor)
        prompt = SystemPrompt.objects.select_for_update().get(pk=prompt.pk)
        if prompt.state == PromptState.APPROVED:
            return prompt
        approved = SystemPrompt.objects.filter(org=actor.org, state=PromptState.APPROVED.value)
        before = approved.filter(digest=prompt.digest).first()
        if before is not None:
            _decide(actor, before, PromptState.RETIRED)
        elif approved.count() >= MOST_APPROVED:
            raise Conflict(f"{MOST_APPROVED} system prompts have shorter words already: retire one first.")
        _decide(actor, prompt, PromptState.APPROVED)
        publish(actor.org)
    return prompt


def retire_system_prompt(*, actor: Actor, prompt: SystemPrompt) -> SystemPrompt:
    """Send the original again, or have a proposal be none any more."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        prompt = SystemPrompt.objects.select_for_update().get(pk=prompt.pk)
        if prompt.state != PromptState.RETIRED:
            was_sent = prompt.state == PromptState.APPROVED
            _decide(actor, prompt, PromptState.RETIRED)
            if was_sent:
                publish(actor.org)
    return prompt


def digest_of(text: str) -> str:
    """What a system prompt is known by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _decide(actor: Actor, prompt: SystemPrompt, state: PromptState) -> None:
    before, prompt.state = prompt.state, state.value
    prompt.decided_by, prompt.decided_at = actor.name, clock.now()
    prompt.save(update_fields=["state", "decided_by", "decided_at"])
    record(actor, "updated", prompt, state=(before, state.value), number=prompt.number)


def _lock(actor: Actor) -> None:
    """Two decisions at once are one after the other."""
    Organization.objects.select_for_update().get(pk=actor.org.pk)
