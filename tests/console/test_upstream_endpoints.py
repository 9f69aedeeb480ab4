"""The servers that share an upstream's calls: added, weighed, drained and removed by hand."""

import pytest
from django.conf import settings

from costhub.lib.secrets import unseal
from tenants.access import org_scope
from tenants.actions.endpoints import register_endpoint
from tenants.models import UpstreamEndpoint
from tests.audit import read_audit
from tests.console.client import Visit, error_of, read_form, refresh, text_of
from tests.world import Catalog, World, make_catalog

URL = "https://two.acme.example/v1"


@pytest.fixture
def catalog(world: World) -> Catalog:
    return make_catalog(world.acme)


def page_of(catalog: Catalog) -> str:
    return f"/o/acme/upstreams/{catalog.upstream.pk}"


def reveal(world: World, row: UpstreamEndpoint) -> str:
    """Its key in clear, as a call has it."""
    org = world.acme.org
    return unseal(
        settings.MASTER_KEYS,
        bytes(org.data_key),
        org_id=str(org.pk),
        origin=row.origin,
        sealed=bytes(row.credential or b""),
    )


def find_endpoints(world: World) -> list[UpstreamEndpoint]:
    with org_scope(world.acme.org.pk):
        return list(UpstreamEndpoint.objects.filter(org=world.acme.org).order_by("created_at"))


def test_an_endpoint_is_added_weighed_drained_and_removed(world: World, catalog: Catalog) -> None:
    ada, page = Visit(world.ada), page_of(catalog)
    assert "None: calls go to its base URL." in text_of(ada.get(page))
    made = ada.submit(f"{page}/endpoints/new", base_url=f"{URL}/", name="rack 2", credential="sk-two", weight="3")
    assert (made.status_code, made.headers["Location"]) == (302, page)
    (row,) = find_endpoints(world)
    assert (row.upstream_id, row.base_url, row.name, row.weight) == (catalog.upstream.pk, URL, "rack 2", 3)
    assert (row.credential is not None, row.lease_until) == (True, None)
    shown = ada.get(page)
    assert f"{URL} rack 2, weight 3" in text_of(shown)
    assert f'href="{page}/endpoints/{row.pk}"' in shown.content.decode()
    own = f"{page}/endpoints/{row.pk}"
    assert ada.submit(own, weight="5", is_draining="1").headers["Location"] == page
    assert f"{URL} rack 2, weight 5, draining" in text_of(ada.get(page))
    assert ada.submit(own, is_draining=None).headers["Location"] == page
    refresh(row)
    assert (row.weight, row.is_draining) == (5, False)
    # It goes by its address alone.
    assert ada.press(own, f"{own}/remove", confirm="rack 2").headers["Location"] == own
    assert f"Nothing was done. Type {URL} exactly to confirm it." in text_of(ada.get(own))
    assert ada.press(own, f"{own}/remove", confirm=URL).headers["Location"] == page
    assert f"{URL} takes no calls any more." in text_of(ada.get(page))
    assert ada.post(f"{own}/remove", {"confirm": URL}).status_code == 404
    refresh(row)
    assert row.ended_at is not None
    told = read_audit(world.acme.org, target_id=str(row.pk))
    assert [each.action.partition(".")[2] for each in told] == ["created", "updated", "updated", "deleted"]
    assert "sk-two" not in str([each.changes for each in told])


def test_its_key_and_name_are_changed_in_place(world: World, catalog: Catalog) -> None:
    ada, page = Visit(world.ada), page_of(catalog)
    ada.submit(f"{page}/endpoints/new", base_url=URL, name="rack 2")
    (row,) = find_endpoints(world)
    own = f"{page}/endpoints/{row.pk}"
    assert "API key optional None is stored. Sent to this server only." in text_of(ada.get(own))
    assert ada.submit(own, credential="sk-first").headers["Location"] == page
    assert "API key optional One is stored. Left empty, it stays." in text_of(ada.get(own))
    refresh(row)
    assert reveal(world, row) == "sk-first"
    # It is on no page, and what else is saved leaves it as it is.
    assert "sk-first" not in ada.get(own).content.decode()
    assert ada.submit(own, name="rack 3").headers["Location"] == page
    refresh(row)
    assert (row.name, row.weight, reveal(world, row)) == ("rack 3", 1, "sk-first")
    refused = ada.submit(own, credential="two words")
    assert (refused.status_code, "without blanks" in error_of(refused)) == (400, True)
    ada.submit(own, credential="sk-second")
    refresh(row)
    assert reveal(world, row) == "sk-second"
    told = read_audit(world.acme.org, target_id=str(row.pk))
    assert [each.changes for each in told if each.action.endswith("updated")] == [
        {"credential": "changed"},
        {"name": ["rack 2", "rack 3"]},
        {"credential": "changed"},
    ]


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"base_url": "two.acme.example"}, "base_url", "URL"),
        ({"base_url": ""}, "base_url", "Fill this in."),
        ({"weight": "0"}, "weight", "Give a whole number from 1 to 1,000."),
        ({"weight": "some"}, "weight", "Give a whole number, such as 60."),
        ({"name": "a\tb"}, "name", "Give at most 120 visible characters."),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    world: World, catalog: Catalog, typed: dict[str, str], field: str, words: str
) -> None:
    answer = Visit(world.ada).submit(f"{page_of(catalog)}/endpoints/new", **{"base_url": URL, **typed})
    assert (answer.status_code, words in error_of(answer)) == (400, True), error_of(answer)
    assert f'id="field-{field}-error"' in answer.content.decode()
    assert find_endpoints(world) == []


def test_a_form_that_is_sent_twice_adds_one(world: World, catalog: Catalog) -> None:
    ada, new = Visit(world.ada), f"{page_of(catalog)}/endpoints/new"
    sent = read_form(ada.get(new).content.decode()) | {"base_url": URL}
    assert ada.post(new, sent).status_code == 302
    again = ada.post(new, sent)
    assert (again.status_code, "sent before" in error_of(again)) == (409, True)
    assert len(find_endpoints(world)) == 1


def test_one_that_a_worker_has_registered_keeps_its_lease_and_key(world: World, catalog: Catalog) -> None:
    with org_scope(world.acme.org.pk):
        spot = register_endpoint(
            actor=world.acme.owner, upstream=catalog.upstream, base_url=URL, credential="sk-spot", lease_seconds=60
        )
    ada, page = Visit(world.ada), page_of(catalog)
    answer = ada.submit(f"{page}/endpoints/new", base_url=f"{URL}/")
    assert (answer.status_code, error_of(answer)) == (
        409,
        "This endpoint is there already: change it on the upstream's page.",
    )
    refresh(spot)
    assert (spot.credential is not None, spot.lease_until is not None) == (True, True)
    assert "A worker has registered it, and may do so again" in text_of(ada.get(f"{page}/endpoints/{spot.pk}"))


def test_it_belongs_to_its_own_upstream(world: World, catalog: Catalog) -> None:
    other = make_catalog(world.acme, model="other")
    with org_scope(world.acme.org.pk):
        row = register_endpoint(actor=world.acme.owner, upstream=other.upstream, base_url=URL)
    ada, foreign = Visit(world.ada), f"{page_of(catalog)}/endpoints/{row.pk}"
    assert ada.get(foreign).status_code == 404
    assert ada.post(f"{foreign}/remove", {"confirm": URL}).status_code == 404
    refresh(row)
    assert row.ended_at is None


def test_who_may_not_change_settings_sees_them_and_no_form(world: World, catalog: Catalog) -> None:
    with org_scope(world.acme.org.pk):
        row = register_endpoint(actor=world.acme.owner, upstream=catalog.upstream, base_url=URL)
    ben, page = Visit(world.ben), page_of(catalog)
    shown = ben.get(page)
    assert f"{URL} weight 1" in text_of(shown)
    assert "/endpoints/" not in shown.content.decode()
    for path in ("new", str(row.pk)):
        assert ben.get(f"{page}/endpoints/{path}").status_code == 403, path
        assert ben.post(f"{page}/endpoints/{path}", {"base_url": URL, "weight": "2"}).status_code == 403, path
    assert ben.post(f"{page}/endpoints/{row.pk}/remove", {"confirm": URL}).status_code == 403
    assert Visit(world.mallory).get(f"{page}/endpoints/{row.pk}").status_code == 404
