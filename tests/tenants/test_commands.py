"""What an operator types: the demo, and tokens of the platform."""

import json
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tenants.access import access_org, enter_org
from tenants.models import Budget, LanguageModel, PlatformToken, Price, Route, Upstream, User
from tests.world import Api, close_scopes


@pytest.fixture(autouse=True)
def allow_loopback(db: None, settings: Settings) -> None:
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.1/32"), None),)


def seed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    call_command("seed_demo", "--org", "Test demo", "--json", *arguments)
    close_scopes()
    return json.loads(capsys.readouterr().out)


def test_the_demo_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    demo = seed(capsys, "--model-url", "http://127.0.0.1:8081/v1")
    assert demo.keys() == {"admin_email", "admin_password", "admin_token", "api_key", "org"}
    assert (demo["admin_email"], demo["org"]) == ("admin@demo.localhost", "test-demo")
    user = authenticate(username=demo["admin_email"], password=demo["admin_password"])
    assert isinstance(user, User)
    enter_org(access_org(user, "test-demo").org.pk)
    for name, into, out in (("smollm2-135m-instruct", "0.10", "0.40"), ("large-stand-in", "2.50", "10.00")):
        model = LanguageModel.objects.get(name=name)
        price = Price.objects.get(model=model)
        assert (model.upstream_model, model.tokenizer) == ("smollm2-135m-instruct", "bytes")
        assert (model.context_window, model.max_output_tokens) == (2048, 512)
        assert (price.input_per_million, price.output_per_million) == (Decimal(into), Decimal(out))
    route = Route.objects.get()
    assert (route.name, route.kind, route.mode, route.policy["baseline"], route.policy["holdout_percent"]) == (
        *("smart", "cascade", "on"),
        *("large-stand-in", 0),
    )
    assert [target["model"] for target in route.policy["targets"]] == ["smollm2-135m-instruct", "large-stand-in"]
    budgets = Budget.objects.order_by("scope").values_list("scope", "subject", "period", "limit_nanos", "action")
    assert list(budgets) == [
        ("key", "", "day", 5_000_000_000, "block"),
        ("organization", "", "day", 5_000_000_000, "block"),
    ]
    assert Api(token=demo["admin_token"]).get("/keys").json()["data"][0]["prefix"] == demo["api_key"][:12]


def test_a_second_start_keeps_it_and_follows_the_model_to_its_new_port(capsys: pytest.CaptureFixture[str]) -> None:
    first = seed(capsys, "--model-url", "http://127.0.0.1:8081/v1")
    assert seed(capsys, "--model-url", "http://127.0.0.1:9999/v1") == {"exists": True}
    assert seed(capsys) == {"exists": True}
    upstreams = Api(token=first["admin_token"]).get("/upstreams").json()["data"]
    assert {(upstream["name"], upstream["base_url"]) for upstream in upstreams} == {
        ("local", "http://127.0.0.1:9999/v1"),
        ("stand-in", "http://127.0.0.1:9999/v1"),
    }


def test_without_a_model_it_may_come_later(capsys: pytest.CaptureFixture[str]) -> None:
    demo = seed(capsys)
    assert Api(token=demo["admin_token"]).get("/models").json()["data"] == []
    seed(capsys, "--model-url", "http://127.0.0.1:8081/v1")
    assert len(Api(token=demo["admin_token"]).get("/models").json()["data"]) == 2


def test_a_model_that_may_not_be_called_is_refused_and_nothing_is_left(settings: Settings) -> None:
    settings.ALLOWED_PRIVATE_NETWORKS = ()
    with pytest.raises(CommandError, match="COSTHUB_ALLOWED_NETWORKS"):
        call_command("seed_demo", "--org", "Test demo", "--model-url", "http://127.0.0.1:8081/v1")
    assert not User.objects.filter(email="admin@demo.localhost").exists()
    assert Upstream.objects.count() == 0


def test_for_people_it_prints_lines(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed_demo", "--org", "Test demo")
    assert capsys.readouterr().out.startswith("admin_email: admin@demo.localhost\nadmin_password: ")


def test_a_platform_token_is_printed_once_and_works(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_platform_token", "--email", "Op@costhub.example")
    token = capsys.readouterr().out.strip()
    row = PlatformToken.objects.get(prefix=token[:12])
    assert row.user is not None
    assert (row.user.email, row.user.is_platform_operator) == ("op@costhub.example", True)
    assert token not in str(vars(row))
    assert Api(token=token).post("/organizations", {"name": "Globex"}).status_code == 201


def test_an_operator_has_an_address() -> None:
    with pytest.raises(CommandError, match="is not an e-mail address"):
        call_command("create_platform_token", "--email", "somebody")
