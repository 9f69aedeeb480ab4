"""Which models may stand in for another."""

import pytest

from costhub.lib.errors import InvalidField
from tenants.access import org_scope
from tenants.actions.models import create_model, update_model
from tenants.selectors import load_org_snapshot
from tenants.snapshots import OrgSnapshot
from tests.world import World, make_catalog


def test_they_are_kept_in_their_order_and_reach_the_proxies(world: World) -> None:
    acme = world.acme
    for name in ("other", "third"):
        make_catalog(acme, model=name)
    small = make_catalog(acme, model="small").model
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=small, fallbacks=["third", "other"])
        small.refresh_from_db()
    assert small.fallbacks == ["third", "other"]
    snapshot = load_org_snapshot(acme.org_id)
    assert snapshot is not None
    assert snapshot.models["small"].fallbacks == ("third", "other")
    assert OrgSnapshot.from_json(snapshot.to_json()) == snapshot


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["small"], "A model cannot be its own fallback."),
        (["other", "other"], "Name each model once."),
        (["nowhere"], "There is no active model nowhere."),
        (["foreign"], "There is no active model foreign."),
        (["unpriced"], "The model unpriced has no price: set one first, under Models & prices."),
        (["back"], "The model back falls back to small itself: the two would be a circle."),
        ([f"m{number}" for number in range(6)], "Give 5 models at most."),
    ],
)
def test_one_that_cannot_be_is_refused_in_words(world: World, names: list[str], message: str) -> None:
    acme = world.acme
    small = make_catalog(acme, model="small").model
    make_catalog(acme, model="other")
    make_catalog(acme, model="unpriced", input_per_million=None)
    make_catalog(world.mallcorp, model="foreign")
    make_catalog(acme, model="back", fallbacks=["small"])
    with org_scope(acme.org_id), pytest.raises(InvalidField) as caught:
        update_model(actor=acme.owner, model=small, fallbacks=names)
    assert (caught.value.field, caught.value.message) == ("fallbacks", message)


def test_a_new_model_is_held_to_the_same(world: World) -> None:
    acme = world.acme
    catalog = make_catalog(acme, model="small")
    with org_scope(acme.org_id):
        with pytest.raises(InvalidField):
            create_model(actor=acme.owner, name="new", upstream=catalog.upstream, fallbacks=["new"])
        new = create_model(actor=acme.owner, name="new", upstream=catalog.upstream, fallbacks=["small"])
    assert new.fallbacks == ["small"]
