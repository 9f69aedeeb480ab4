"""The jobs of the semantic level: the gate learns, what is over goes, and what lies open is sealed."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models import Q

from costhub.lib import clock
from proxy.cache import gate
from proxy.cache.gate import Gate, Observation
from proxy.cache.model import CacheAnswer, CacheEntry, CacheGate, CacheLookup
from proxy.cache.sealed_questions import seal_what_is_not
from tenants.access import org_scope
from tenants.choices import PurgeKind
from tenants.models import CachePurge
from tenants.models.cache import MAX_TTL_SECONDS

#: the newest so many look-ups whose truth is known teach the gate
MOST_OBSERVATIONS: Final = 20_000
#: look-ups, with what was asked in them, are remembered so long
LOOKUPS_KEPT: Final = timedelta(days=90)
#: so long one run seals questions from before they were sealed: each is written into the index of vectors anew, and a
#: task has little more than three minutes
SEALED_FOR_SECONDS: Final = 60


def fit_gate(org_id: UUID) -> bool:
    """Fit the organisation's gate, if enough became known since it was fitted last. Says whether it was."""
    with org_scope(org_id):
        known = CacheLookup.objects.filter(org_id=org_id, right__isnull=False, features__isnull=False)
        before = CacheGate.objects.filter(org_id=org_id).first()
        learned_from = before.learned_from if before else 0
        total = known.count()
        # What was forgotten since makes the number of those that are left no measure of what is new.
        if abs(total - learned_from) < gate.REFIT_EVERY:
            return False
        # Without what was asked, which may be long: twenty thousand of it would be most of a worker's memory.
        needed = known.only("features", "right", "share", "is_recheck", "likelihood")
        newest = list(needed.order_by("-at")[:MOST_OBSERVATIONS])
        fitted = gate.fit_gate([Observation(tuple(one.features or ()), one.right is True, one.share) for one in newest])
        if fitted is None:
            return False
        recent = CacheLookup.objects.filter(org_id=org_id)
        checked = [one for one in newest if one.is_recheck and one.likelihood is not None]
        CacheGate.objects.update_or_create(
            org_id=org_id,
            defaults={
                "means": fitted.means.tolist(),
                "scales": fitted.scales.tolist(),
                "weights": fitted.weights.tolist(),
                "likelihoods": _rate_recent(
                    fitted, list(recent.only("features", "is_guarded").order_by("-at")[: gate.WINDOW])
                ),
                "kappa": gate.measure_kappa(
                    sum((1 - (one.likelihood or 0.0) for one in checked), 0.0), sum(not one.right for one in checked)
                ),
                "learned_from": total,
                "fitted_at": clock.now(),
            },
        )
    return True


def forget_what_is_over(org_id: UUID) -> int:
    """Delete entries whose time is over or that were given up, answers without entries, and what is too old to be
    learned from. Gives the number of entries that are gone."""
    now = clock.now()
    with org_scope(org_id):
        gone, _ = CacheEntry.objects.filter(org_id=org_id, expires_at__lte=now).delete()
        for purge in CachePurge.objects.filter(org_id=org_id):
            meant = CacheEntry.objects.filter(org_id=org_id, created_at__lt=purge.before)
            if (matching := _matching(purge)) is not None:
                gone += meant.filter(matching).delete()[0]
        with connection.cursor() as cursor:
            cursor.execute(
                """DELETE FROM proxy_cacheanswer AS answer WHERE org_id = %s AND NOT EXISTS
                   (SELECT 1 FROM proxy_cacheentry WHERE org_id = answer.org_id AND answer_id = answer.id)""",
                [org_id],
            )
        CacheLookup.objects.filter(org_id=org_id, at__lt=now - LOOKUPS_KEPT).delete()
        CachePurge.objects.filter(org_id=org_id, before__lt=now - timedelta(seconds=MAX_TTL_SECONDS)).delete()
    return gone


def seal_the_rest(org_ids: Iterable[UUID]) -> None:
    """Seal what is left of before questions were sealed, of one organisation after the other; what there is no time for
    is sealed the next time."""
    until_ns = clock.monotonic_ns() + SEALED_FOR_SECONDS * 1_000_000_000
    for org_id in org_ids:
        seal_what_is_not(org_id, until_ns)


def has_semantic_level(org_id: UUID) -> bool:
    """Whether there is anything to do for an organisation."""
    with org_scope(org_id):
        return (
            CacheAnswer.objects.filter(org_id=org_id).exists()
            or CacheLookup.objects.filter(org_id=org_id).exists()
            or CachePurge.objects.filter(org_id=org_id).exists()
        )


def _rate_recent(fitted: Gate, recent: Sequence[CacheLookup]) -> list[float]:
    """How likely the candidates of recent look-ups are right, and 0 for those that no guard would let be served: the
    threshold is about the share of all of them."""
    servable = [tuple(one.features) for one in recent if one.features and one.is_guarded]
    likelihoods = np.zeros(len(recent))
    if servable:
        likelihoods[: len(servable)] = fitted.rate(servable)
    return [round(float(likelihood), 6) for likelihood in likelihoods]


def _matching(purge: CachePurge) -> Q | None:
    """The entries that a purge is about; None where its subject is nothing that an entry has."""
    subject = purge.subject
    try:
        match purge.kind:
            case PurgeKind.ALL.value:
                return Q()
            case PurgeKind.MODEL.value:
                return Q(model=subject)
            case PurgeKind.TAG.value:
                return Q(tags__contains=[subject])
            case PurgeKind.SCOPE.value:
                return Q(scope=bytes.fromhex(subject))
            case _:
                return Q(id=UUID(subject))
    except ValueError:
        return None
