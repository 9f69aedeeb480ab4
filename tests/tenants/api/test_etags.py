"""Two people edit one row: the second is told, and nothing is undone unseen."""

import pytest

from tests.tenants.api.rows import make_rows
from tests.world import Api, World, make_budget


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


def edit(api: Api, path: str, body: object, tag: str) -> int:
    return api.send("PATCH", path, body, headers={"If-Match": tag}).status_code


def test_an_edit_of_what_was_seen_goes_through_and_an_older_one_does_not(world: World, ada: Api) -> None:
    path = f"/budgets/{make_budget(world.acme, '10.00').pk}"
    seen = ada.get(path)["ETag"]
    assert edit(ada, path, {"limit": "11.00"}, seen) == 200
    late = ada.send("PATCH", path, {"limit": "12.00"}, headers={"If-Match": seen})
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert ada.get(path).json()["limit"] == "11.000000000"
    assert edit(ada, path, {"limit": "12.00"}, f'"other", {ada.get(path)["ETag"]}') == 200
    assert edit(ada, path, {"limit": "13.00"}, "*") == 200
    assert ada.send("DELETE", path, headers={"If-Match": seen}).status_code == 412
    assert ada.send("DELETE", path, headers={"If-Match": ada.get(path)["ETag"]}).status_code == 204


def test_an_answer_to_an_edit_carries_the_tag_of_the_next(world: World, ada: Api) -> None:
    path = f"/projects/{world.acme.project.pk}"
    first = ada.patch(path, {"name": "one"})
    assert first["ETag"] == ada.get(path)["ETag"]
    assert edit(ada, path, {"name": "two"}, first["ETag"]) == 200
    assert edit(ada, path, {"name": "three"}, first["ETag"]) == 412


def test_every_row_has_one_and_it_changes_with_the_row_only(world: World, ada: Api) -> None:
    for resource, row_id in make_rows(world).items():
        answer = ada.get(f"/{resource}/{row_id}")
        if answer.status_code == 200 and "ETag" in answer:
            assert answer["ETag"] == ada.get(f"/{resource}/{row_id}")["ETag"], resource


def test_the_organisation_has_one_too(world: World, ada: Api) -> None:
    path = f"/organizations/{world.acme.org_id}"
    seen = ada.get(path)["ETag"]
    assert edit(ada, path, {"name": "Acme Ltd"}, seen) == 200
    assert edit(ada, path, {"name": "Acme plc"}, seen) == 412
