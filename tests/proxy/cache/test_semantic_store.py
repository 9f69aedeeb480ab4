"""Neighbours, found by the signs of all vectors of a scope and through the index: the nearest of this scope of this
organisation that are not over."""

from datetime import timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from costhub.lib import clock
from proxy.cache import semantic_store
from proxy.cache.entries import pack
from proxy.cache.gate import NEIGHBOURS
from proxy.cache.model import CacheEntry
from tenants.access import org_scope
from tests.proxy.cache.examples import make_kept
from tests.world import Tenant, World

Vectors = NDArray[np.float32]


def make_vectors(count: int, seed: int = 1) -> Vectors:
    """Questions of a few subjects: unit vectors around ten centres."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(10, 384))
    rows = centres[draw.integers(10, size=count)] + 0.6 * draw.normal(size=(count, 384))
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def keep(tenant: Tenant, scope: bytes, vectors: Vectors) -> list[UUID]:
    ids = [uuid4() for _ in vectors]
    with org_scope(tenant.org.pk):
        for entry_id, vector in zip(ids, vectors, strict=True):
            semantic_store.keep(tenant.org_id, scope, "Where?", vector, make_kept(id=str(entry_id)), 60, 0)
    return ids


@pytest.mark.parametrize("is_small", [True, False])
def test_the_nearest_of_its_own_scope(world: World, is_small: bool) -> None:
    acme, mallcorp = world.acme, world.mallcorp
    vectors, asked = make_vectors(60), make_vectors(1, seed=2)[0]
    ids = keep(acme, b"here", vectors)
    # Nearer than all, and not to be found.
    keep(acme, b"there", asked[None])
    keep(mallcorp, b"here", asked[None])
    (over,) = keep(acme, b"here", asked[None])
    with org_scope(acme.org.pk):
        CacheEntry.objects.filter(id=over).update(expires_at=clock.now() - timedelta(seconds=1))
        found = semantic_store.search(acme.org_id, b"here", asked, is_small=is_small)
        assert semantic_store.measure_scope(acme.org_id, b"here") == 61
    cosines = vectors @ asked
    nearest = np.argsort(-cosines)[:NEIGHBOURS]
    assert [one.id for one in found][:5] == [ids[place] for place in nearest[:5]]
    assert [one.neighbour.cosine for one in found] == pytest.approx(
        [float(cosines[place]) for place in nearest], abs=2e-3
    )


def test_nothing_is_found_where_nothing_is_kept(world: World) -> None:
    with org_scope(world.acme.org.pk):
        for is_small in (True, False):
            assert semantic_store.search(world.acme.org_id, b"here", make_vectors(1)[0], is_small=is_small) == []


def test_an_answer_is_sealed_for_its_own_entry(world: World) -> None:
    acme = world.acme
    first, second = uuid4(), uuid4()
    with org_scope(acme.org.pk):
        for entry_id, said in ((first, b'{"said":"Rome"}'), (second, b'{"said":"Oslo"}')):
            kept = make_kept(said, id=str(entry_id))
            semantic_store.keep(acme.org_id, b"here", "Where?", make_vectors(1)[0], kept, 60, 0)
        rows = CacheEntry.objects.filter(org_id=acme.org.pk)
        packed = {entry_id: bytes(raw) for entry_id, raw in rows.values_list("id", "packed")}
        assert [raw[:1] for raw in packed.values()] == [b"\x01"] * 2
        assert not any(said in raw for raw in packed.values() for said in (b"Rome", b"Oslo"))
        opened = semantic_store.read_kept(acme.org_id, first)
        assert opened is not None
        assert opened.body == b'{"said":"Rome"}'
        # Another entry's, and one from before they were sealed.
        rows.filter(id=first).update(packed=packed[second])
        assert semantic_store.read_kept(acme.org_id, first) is None
        rows.filter(id=first).update(packed=pack(opened))
        assert semantic_store.read_kept(acme.org_id, first) == opened
