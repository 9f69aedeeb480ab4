"""What goes wrong outside of every view: told as a problem below /api, as a page elsewhere, and never as a
traceback."""

import pytest
from django.db import OperationalError
from django.test import Client

from tests.world import World


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(OperationalError("no more slots"), 503, "database_unavailable"), (RuntimeError("secret"), 500, "internal_error")],
    ids=["PostgreSQL is away", "our own fault"],
)
def test_a_program_gets_a_problem(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("tenants.api.budgets.list_budgets", fail)
    client = Client(raise_request_exception=False)
    answer = client.get("/api/v1/budgets", headers={"authorization": f"Bearer {world.acme.admin_token}"})
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code
    assert b"secret" not in answer.content


def test_a_person_gets_a_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("no more slots")

    monkeypatch.setattr("costhub.console.sign_in.render", fail)
    answer = Client(raise_request_exception=False).get("/login")
    assert (answer.status_code, answer["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert b"no more slots" not in answer.content
