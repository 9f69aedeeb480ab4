"""The page of keys: the secret once, rotation, the end of a key, and who may."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from costhub.console.projects import sum_by_month
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.models import ApiKey
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, refresh, rows_of, text_of
from tests.watched import watched
from tests.world import Api, World, make_catalog

PAGE = "/o/acme/keys"


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def all_keys(world: World) -> dict[str, ApiKey]:
    with org_scope(world.acme.org.pk):
        return {row.name: row for row in ApiKey.objects.filter(org=world.acme.org)}


def test_a_secret_is_shown_once_and_works(world: World) -> None:
    make_catalog(world.acme, model="small")
    ben = Visit(world.ben)
    page = ben.submit(f"{PAGE}/new", name="💸 search", end_user="mia", models=["small"], expires_at="2026-12-24T18:00")
    found = re.search(r'<code id="secret">([^<]+)</code>', page.content.decode())
    assert found is not None
    key = all_keys(world)["💸 search"]
    assert found[1].startswith(key.prefix)
    assert (key.end_user, key.allowed_models, key.created_by) == ("mia", ["small"], world.ben.email)
    assert (key.expires_at, page.headers["Cache-Control"]) == (NOW + timedelta(days=32, hours=6), "private, no-store")
    assert found[1] not in ben.get(PAGE).content.decode() + ben.get(f"{PAGE}/{key.pk}").content.decode()
    assert Api(token=found[1]).get("/keys").status_code == 401


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": " "}, "1 to 120 visible characters"),
    ({"name": "a\nb"}, "visible characters"),
    ({"end_user": "two words"}, "without blanks"),
    ({"models": ["nothing"]}, "does not exist"),
    ({"expires_at": "yesterday"}, "Give a day and time"),
    ({"expires_at": "2020-01-01T00:00"}, "in the future"),
    ({"project": "0190aaaa-0000-7000-8000-00000000b001"}, "There is no such project."),
]


def test_what_cannot_be_is_said(world: World) -> None:
    ben = Visit(world.ben)
    for typed, words in BAD:
        answer = ben.submit(f"{PAGE}/new", **{"name": "new", **typed})
        assert (400 <= answer.status_code < 500, words in error_of(answer)) == (True, True), typed
    assert list(all_keys(world)) == ["first key"]


def test_a_key_is_narrowed_to_networks_and_paths(world: World) -> None:
    ben = Visit(world.ben)
    typed = {"addresses": "10.1.0.0/16, 192.0.2.7", "endpoints": "/v1/models\r\n/v1/embeddings"}
    assert ben.submit(f"{PAGE}/new", name="narrow", **typed).status_code == 200
    key = all_keys(world)["narrow"]
    assert key.allowed_addresses == ["10.1.0.0/16", "192.0.2.7/32"]
    assert key.allowed_endpoints == ["/v1/embeddings", "/v1/models"]
    assert "From 10.1.0.0/16, 192.0.2.7/32 May call /v1/embeddings, /v1/models" in text_of(ben.get(f"{PAGE}/{key.pk}"))
    ben.submit(f"{PAGE}/{key.pk}", addresses="", name="wider")
    refresh(key)
    assert (key.allowed_addresses, key.allowed_endpoints) == ([], ["/v1/embeddings", "/v1/models"])
    wrong = ben.submit(f"{PAGE}/{key.pk}", addresses="10.1.0.0/33")
    assert (wrong.status_code, "10.1.0.0/33" in error_of(wrong)) == (400, True)


def test_the_snippets_beside_a_secret_name_a_model_that_the_key_may_call(world: World) -> None:
    make_catalog(world.acme, model="large")
    make_catalog(world.acme, model="small")
    page = Visit(world.ben).submit(f"{PAGE}/new", name="small only", models=["small"])
    secret = re.search(r'<code id="secret">([^<]+)</code>', page.content.decode())
    assert secret is not None
    for name in ("curl", "python", "node"):
        shown = re.search(rf'<code id="snippet-{name}">(.*?)</code>', page.content.decode(), re.DOTALL)
        assert shown is not None
        assert (secret[1] in shown[1], "small" in shown[1], "large" in shown[1]) == (True, True, False), name


def test_the_list_is_searched_and_says_when_a_key_was_used(world: World) -> None:
    record_call(world.acme, NOW - timedelta(hours=2), cost=3 * 10**9)
    record_call(world.acme, NOW - timedelta(days=25), cost=10**9)
    with org_scope(world.acme.org.pk):
        create_key(actor=world.acme.owner, name="batch", end_user="tom")
    ben = Visit(world.ben)
    prefix = world.acme.key.prefix
    assert f"first key {prefix}… default – 22 Nov, 10:00 $3.00 never 22 Nov 2026 live" in rows_of(ben.get(PAGE))
    assert f'href="/o/acme/requests?key={world.acme.key.pk}&amp;range=mtd"' in ben.get(PAGE).content.decode()
    assert len(rows_of(ben.get(f"{PAGE}?q=tom"))) == 1
    assert [row.split()[0] for row in rows_of(ben.get(f"{PAGE}?sort=-name"))] == ["first", "batch"]
    assert "No live key" not in text_of(ben.get(f"{PAGE}?state=stopped"))
    assert ben.get(f"{PAGE}?state=unheard").status_code == 400


def test_a_page_sums_its_own_keys_alone(world: World) -> None:
    with org_scope(world.acme.org.pk):
        other = create_key(actor=world.acme.owner, name="other").key
    for key, dollars in ((world.acme.key, 1), (other, 2)):
        record_call(world.acme, NOW - timedelta(hours=2), cost=dollars * 10**9, key_id=key.pk)
    with watched(sum_by_month) as sums:
        (row,) = rows_of(Visit(world.ben).get(f"{PAGE}?q=other"))
        assert ("$2.00" in row, [set(one.result) for one in sums]) == (True, [{str(other.pk)}])
        assert rows_of(Visit(world.ben).get(f"{PAGE}?q=nothing")) == []
    assert len(sums) == 1


def test_fifty_keys_are_a_page(world: World) -> None:
    with org_scope(world.acme.org.pk):
        for number in range(51):
            create_key(actor=world.acme.owner, name=f"key {number:02d}")
    ben = Visit(world.ben)
    first, second = ben.get(f"{PAGE}?sort=name"), ben.get(f"{PAGE}?sort=name&page=2")
    assert [len(rows_of(page)) for page in (first, second)] == [50, 2]
    assert "51 to 52 of 52" in text_of(second)
    assert 'href="/o/acme/keys?sort=name&amp;page=2"' in first.content.decode()
    project = ben.get(f"/o/acme/projects/{world.acme.project.pk}")
    assert "All 52 keys" in text_of(project)
    assert f'href="/o/acme/keys?project={world.acme.project.pk}"' in project.content.decode()


def test_a_key_is_changed_rotated_stopped_and_revoked(world: World) -> None:
    make_catalog(world.acme, model="small")
    ada, key = Visit(world.ada), world.acme.key
    page = f"{PAGE}/{key.pk}"
    assert ada.submit(page, name="renamed", models=["small"]).status_code == 302
    ada.press(page, f"{page}/stop")
    refresh(key)
    assert (key.name, key.allowed_models, key.is_stopped) == ("renamed", ["small"], True)
    ada.press(page, f"{page}/stop")
    rotated = ada.post(f"{page}/rotate", {"grace_seconds": "86400"})
    assert "renamed is rotated" in text_of(rotated)
    refresh(key)
    assert (key.expires_at, key.is_stopped) == (NOW + timedelta(days=1), False)
    assert "rotated, works until 23 Nov 2026" in text_of(ada.get(page))
    assert ada.post(f"{page}/rotate", {"grace_seconds": "0"}).status_code == 302
    assert "rotated before" in text_of(ada.get(page))
    ada.post(f"{page}/revoke", {"confirm": "renamed?"})
    refresh(key)
    assert key.revoked_at is None
    assert "Type renamed exactly" in text_of(ada.get(page))
    ada.post(f"{page}/revoke", {"confirm": "renamed"})
    refresh(key)
    assert key.revoked_at == NOW
    assert f"{key.prefix}… default" in text_of(ada.get(f"{PAGE}?state=dead"))


def test_who_may_not_is_refused(world: World) -> None:
    """A developer makes keys; stopping is money's business, as in the API."""
    page = f"{PAGE}/{world.acme.key.pk}"
    ben = Visit(world.ben)
    assert ben.post(f"{page}/stop", {"is_stopped": "yes"}).status_code == 403
    assert "Stop it" not in text_of(ben.get(page))
    refresh(world.acme.key)
    assert not world.acme.key.is_stopped
