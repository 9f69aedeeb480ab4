"""What people do to what is kept, and what callers say of it."""

from uuid import UUID

from django.db import transaction

from costhub.lib.errors import NotFound
from proxy.cache import semantic_store
from proxy.cache.model import CacheEntry, CacheLookup
from tenants.access import Actor, find_uuid
from tenants.actions.cache import purge_cache
from tenants.choices import Permission, PurgeKind


def forget_entry(*, actor: Actor, entry_id: str) -> None:
    """Give up one entry, at every level. Raises NotFound where the semantic level has none of this id."""
    actor.check(Permission.WRITE_SETTINGS)
    wanted = find_uuid(entry_id)
    if wanted is None or not CacheEntry.objects.filter(org_id=actor.org.pk, id=wanted).exists():
        raise NotFound("There is no such cache entry.")
    give_up(actor=actor, entry_id=wanted)


def take_feedback(*, actor: Actor, request_id: UUID, entry_id: UUID, is_right: bool) -> None:
    """A caller says whether the answer to a call was right: both teach the gate, and a wrong one answers no like
    question any more. ``give_up`` gives it up for equal calls, too.

    ``entry_id`` is the answer that the call got: another call's, or its own.
    """
    with transaction.atomic():
        looked = CacheLookup.objects.filter(org_id=actor.org.pk, request_id=request_id, was_served=True).first()
        if looked is not None and looked.right is not is_right:
            # Whoever reports chooses what: it stands for itself, and not for all the others of which nobody spoke.
            looked.right, looked.share = is_right, 1.0
            looked.save(update_fields=["right", "share"])
            if looked.answer_id is not None:
                semantic_store.note_truth(str(actor.org.pk), looked.answer_id, is_right=is_right)
        if not is_right:
            CacheEntry.objects.filter(org_id=actor.org.pk, id=entry_id).delete()


def give_up(*, actor: Actor, entry_id: UUID) -> None:
    """Give up one entry, at every level. Raises Conflict where more purges are in force than proxies keep in mind."""
    with transaction.atomic():
        purge_cache(actor=actor, kind=PurgeKind.ENTRY, subject=str(entry_id))
        CacheEntry.objects.filter(org_id=actor.org.pk, id=entry_id).delete()
