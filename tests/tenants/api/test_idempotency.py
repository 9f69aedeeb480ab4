"""A POST that is sent twice happens once."""

import hashlib
import json
from threading import Barrier, Thread
from typing import Any, cast

import pytest
from django.db import connections
from pytest_django import Settings

from costhub.lib.keyspace import management_answer_key
from costhub.lib.redis import client
from costhub.stack.ports import find_free_port
from tenants.access import org_scope
from tenants.actions.orgs import create_admin_token
from tenants.actions.platform import create_platform_token
from tenants.choices import Role
from tenants.models import ApiKey, Project
from tests.world import Api, World

CONFLICT = "This Idempotency-Key was used with another body: choose a new one."
BUSY = "A request with this Idempotency-Key is being worked on: wait for its answer."


@pytest.fixture
def ada(committed_world: World) -> Api:
    return Api(token=committed_world.acme.admin_token)


def projects(world: World) -> set[str]:
    with org_scope(world.acme.org.pk):
        return set(Project.objects.values_list("name", flat=True))


def test_the_second_answer_is_the_first_one(ada: Api, committed_world: World) -> None:
    first = ada.post("/keys", {"name": "once"}, Idempotency_Key="k-1")
    again = ada.post("/keys", {"name": "once"}, Idempotency_Key="k-1")
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert json.loads(again.content)["secret"].startswith("chk_")
    assert again["Content-Type"] == first["Content-Type"] == "application/json"
    assert ("x-costhub-replayed" in first, again["x-costhub-replayed"]) == (False, "true")
    with org_scope(committed_world.acme.org.pk):
        assert ApiKey.objects.filter(name="once").count() == 1


def test_the_secret_is_not_in_valkey_in_clear(ada: Api, committed_world: World) -> None:
    secret = ada.post("/keys", {"name": "once"}, Idempotency_Key="k-1").json()["secret"]
    prefix = management_answer_key(committed_world.acme.org_id, "*")
    names = list(client().scan_iter(prefix))
    assert len(names) == 1
    stored = cast(bytes, client().get(names[0]))
    assert secret.encode() not in stored
    assert b"once" not in stored
    assert 86_000 < client().ttl(names[0]) <= 86_400


def test_another_body_is_a_conflict(ada: Api) -> None:
    ada.post("/projects", {"name": "one"}, Idempotency_Key="k-1")
    other = ada.post("/projects", {"name": "two"}, Idempotency_Key="k-1")
    assert (other.status_code, other.json()["detail"]) == (409, CONFLICT)


def test_another_path_caller_or_organisation_has_its_own_keys(ada: Api, committed_world: World) -> None:
    with org_scope(committed_world.acme.org.pk):
        token = create_admin_token(actor=committed_world.acme.owner, name="t", role=Role.DEVELOPER)
    assert ada.post("/keys", {"name": "x"}, Idempotency_Key="k-1").status_code == 201
    assert ada.post("/projects", {"name": "x"}, Idempotency_Key="k-1").status_code == 201
    for token_ in (token, committed_world.mallcorp.admin_token):
        theirs = Api(token=token_).post("/keys", {"name": "x"}, Idempotency_Key="k-1")
        assert (theirs.status_code, "x-costhub-replayed" in theirs) == (201, False)


def test_what_failed_may_be_tried_again_under_the_same_key(ada: Api, committed_world: World) -> None:
    assert ada.post("/projects", {"name": ""}, Idempotency_Key="k-1").status_code == 400
    assert ada.post("/projects", {"name": "fine"}, Idempotency_Key="k-1").status_code == 201
    assert "fine" in projects(committed_world)


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "\u00e9"])
def test_a_key_is_visible_ascii(ada: Api, key: str) -> None:
    refused = ada.post("/projects", {"name": "x"}, Idempotency_Key=key)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


def test_a_request_that_is_being_worked_on_is_not_started_again(ada: Api, committed_world: World) -> None:
    body = {"name": "slow"}
    with org_scope(committed_world.acme.org.pk):
        # The first request has made its claim and is not done yet.
        fingerprint = hashlib.sha256(json.dumps(body).encode().hex().encode()).hexdigest()
        caller = f"token {committed_world.acme.admin_token[:12]}"
        digest = hashlib.sha256("\x00".join([caller, "/api/v1/projects", "k-1"]).encode()).hexdigest()
        client().set(
            management_answer_key(committed_world.acme.org_id, digest), json.dumps({"fingerprint": fingerprint}), ex=60
        )
    second = ada.post("/projects", body, Idempotency_Key="k-1")
    assert (second.status_code, second.json()["detail"]) == (409, BUSY)


def test_of_many_at_once_one_is_done(ada: Api, committed_world: World) -> None:
    together, answers = Barrier(4), list[Any]()

    def post() -> None:
        together.wait()
        answers.append(Api(token=ada.token).post("/projects", {"name": "race"}, Idempotency_Key="k-1"))
        connections.close_all()

    threads = [Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert {answer.json()["detail"] for answer in answers if answer.status_code == 409} <= {BUSY}
    assert projects(committed_world) == {"default", "race"}


def test_a_platform_operators_post_is_replayed_under_the_new_organisations_key(committed_world: World) -> None:
    operator = Api(token=create_platform_token(email="operator@costhub.example"))
    name = f"{committed_world.acme.org.slug} twice"
    first, again = (operator.post("/organizations", {"name": name}, Idempotency_Key="o-1") for _ in range(2))
    assert first.status_code == 201
    assert again.content == first.content


def test_without_valkey_nobody_can_tell_so_nothing_is_done(
    ada: Api, committed_world: World, settings: Settings
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{find_free_port()}/0"
    client.cache_clear()
    try:
        refused = ada.post("/projects", {"name": "x"}, Idempotency_Key="k-1")
    finally:
        client.cache_clear()
    assert (refused.status_code, refused.json()["code"]) == (503, "idempotency_unavailable")
    assert projects(committed_world) == {"default"}
