"""The jobs of the semantic level: the gate learns from what became known, and what is over goes."""

import random
from datetime import timedelta
from uuid import UUID, uuid4

from costhub.lib import clock
from proxy import tasks
from proxy.cache import gate, semantic_store
from proxy.cache.model import CacheAnswer, CacheEntry, CacheGate, CacheLookup
from tenants.access import org_scope
from tenants.actions.cache import purge_cache
from tenants.choices import PurgeKind
from tests.proxy.cache.rows import keep_question
from tests.world import Tenant, World


def record_lookups(tenant: Tenant, count: int, *, seed: int = 1) -> None:
    """Look-ups whose truth is known: mostly right where the cosine is high."""
    chance, now = random.Random(seed), clock.now()
    rows = []
    for number in range(count):
        cosine = chance.uniform(0.5, 1.0)
        rows.append(
            CacheLookup(
                request_id=uuid4(),
                org_id=tenant.org.pk,
                at=now - timedelta(seconds=number),
                asked="Where?",
                features=[cosine, *(chance.random() for _ in range(10))],
                is_guarded=True,
                right=chance.random() < (0.98 if cosine > 0.8 else 0.1),
            )
        )
    with org_scope(tenant.org.pk):
        CacheLookup.objects.bulk_create(rows)


def test_a_gate_is_fitted_once_enough_is_known(world: World) -> None:
    acme = world.acme
    record_lookups(acme, gate.REFIT_EVERY - 1)
    assert tasks.fit_cache_gates() == 0
    record_lookups(acme, 101, seed=2)
    assert tasks.fit_cache_gates() == 1
    assert tasks.fit_cache_gates() == 0
    with org_scope(acme.org.pk):
        row = semantic_store.read_gate(acme.org_id)
        assert CacheGate.objects.get(org_id=acme.org.pk).learned_from == 600
    assert row is not None
    fitted = gate.Gate(row.means, row.scales, row.weights)
    sure, unsure = fitted.rate([(0.95, *[0.5] * 10), (0.6, *[0.5] * 10)])
    assert sure > 0.9 > 0.4 > unsure
    assert len(row.likelihoods) == 600
    # The stricter the wish, the higher the threshold.
    strict, lax = (gate.find_threshold(row.likelihoods, row.kappa, target) for target in (0.001, 0.05))
    assert strict > lax


def test_what_is_over_goes_with_its_answer(world: World) -> None:
    acme, mallcorp = world.acme, world.mallcorp
    over, purged, kept = (UUID(keep_question(acme, question)) for question in ("Over?", "Purged?", "Kept?"))
    others = UUID(keep_question(mallcorp, "Mine?"))
    with org_scope(acme.org.pk):
        CacheEntry.objects.filter(id=over).update(expires_at=clock.now() - timedelta(seconds=1))
        purge_cache(actor=acme.owner, kind=PurgeKind.ENTRY, subject=str(purged))
        purge_cache(actor=acme.owner, kind=PurgeKind.ENTRY, subject="no id at all")
        CacheLookup.objects.create(
            request_id=uuid4(), org_id=acme.org.pk, asked="Old?", at=clock.now() - timedelta(days=91)
        )
    assert tasks.forget_cached_answers() == 2
    with org_scope(acme.org.pk):
        assert list(CacheEntry.objects.values_list("id", flat=True)) == [kept]
        assert CacheAnswer.objects.count() == 1
        assert not CacheLookup.objects.exists()
    with org_scope(mallcorp.org.pk):
        assert list(CacheEntry.objects.values_list("id", flat=True)) == [others]
