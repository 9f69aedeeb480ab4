"""Each resource, as a program uses it: exact bodies in, exact bodies out."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
import time_machine
from pytest_django import Settings

from costhub.lib.errors import Conflict
from costhub.lib.secrets import ADMIN_TOKEN, API_KEY, is_well_formed
from costhub.stack.ports import find_free_port
from tenants.access import org_scope
from tenants.actions import cache
from tenants.actions.cache import purge_cache
from tenants.actions.platform import create_platform_token
from tenants.choices import Habit, PurgeKind
from tenants.models import ListPrice
from tests.patience import PATIENCE_SECONDS
from tests.tenants.api.endpoints import schema
from tests.world import Api, World, make_catalog


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


def made(answer: Any) -> dict[str, Any]:
    """The body of a 201, its id and time checked and taken out."""
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = json.loads(answer.content)
    UUID(body.pop("id"))
    assert body.pop("created_at").endswith("Z")
    return body


def test_the_schema_is_there_for_everybody(ada: Api) -> None:
    answer = Api().client.get("/api/schema")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/vnd.oai.openapi+json"
    assert json.loads(answer.content)["paths"].keys() == schema()["paths"].keys()


class TestOrganizations:
    def test_an_operator_makes_one_that_works_at_once(self, world: World) -> None:
        operator = Api(token=create_platform_token(email="operator@costhub.example"))
        body = made(operator.post("/organizations", {"name": "Globex", "owner_email": "hank@globex.example"}))
        token, key, project = (body.pop(name) for name in ("admin_token", "api_key", "project"))
        assert body == {
            "name": "Globex",
            "slug": "globex",
            "time_zone": "UTC",
            "is_active": True,
            "is_stopped": False,
            "visits_allowed_until": None,
            "requires_second_factor": False,
            "answers_kept_hours": 0,
            "hides_amounts": False,
        }
        assert is_well_formed(token, ADMIN_TOKEN)
        assert is_well_formed(key, API_KEY)
        program = Api(token=token)
        assert [each["id"] for each in program.get("/projects").json()["data"]] == [project]
        assert [(each["email"], each["role"]) for each in program.get("/members").json()["data"]] == [
            ("hank@globex.example", "owner")
        ]

    def test_without_an_owner_named_the_operator_is(self, world: World) -> None:
        operator = Api(token=create_platform_token(email="operator@costhub.example"))
        token = operator.post("/organizations", {"name": "Globex"}).json()["admin_token"]
        assert [each["email"] for each in Api(token=token).get("/members").json()["data"]] == [
            "operator@costhub.example"
        ]

    def test_nobody_else_makes_one(self, ada: Api) -> None:
        refused = ada.post("/organizations", {"name": "Globex"})
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "Only a platform operator's token may create organisations.",
        )

    def test_the_own_one_is_shown_and_changed(self, ada: Api, world: World) -> None:
        path = f"/organizations/{world.acme.org_id}"
        changed = ada.patch(path, {"name": "Acme Ltd", "time_zone": "Europe/Berlin"})
        assert changed.status_code == 200
        assert changed.json() == ada.get(path).json()
        assert {name: changed.json()[name] for name in ("name", "slug", "time_zone")} == {
            "name": "Acme Ltd",
            "slug": "acme",
            "time_zone": "Europe/Berlin",
        }


def test_members_come_change_and_go(ada: Api) -> None:
    assert made(ada.post("/members", {"email": "carol@acme.example", "role": "viewer"})) == {
        "email": "carol@acme.example",
        "role": "viewer",
        "projects": [],
        "suspended_at": None,
        "visit_until": None,
    }
    carol = ada.get("/members").json()["data"][0]
    path = f"/members/{carol['id']}"
    assert ada.patch(path, {"role": "finance"}).json() == carol | {"role": "finance"}
    assert ada.delete(path).status_code == 204
    assert ada.get(path).status_code == 404


def test_projects(ada: Api) -> None:
    assert made(ada.post("/projects", {"name": "search"})) == {
        "name": "search",
        "is_archived": False,
        "is_stopped": False,
    }
    project = ada.get("/projects").json()["data"][0]
    changed = ada.patch(f"/projects/{project['id']}", {"name": "find", "is_archived": True})
    assert changed.json() == project | {"name": "find", "is_archived": True}


class TestKeys:
    def test_the_secret_is_shown_once(self, ada: Api, world: World) -> None:
        make_catalog(world.acme)
        answer = ada.post("/keys", {"name": "app", "project": "default", "end_user": "u-1", "models": ["small"]})
        body = made(answer)
        secret = body.pop("secret")
        assert is_well_formed(secret, API_KEY)
        assert body == {
            "name": "app",
            "prefix": secret[:12],
            "project": str(world.acme.project.pk),
            "project_name": "default",
            "end_user": "u-1",
            "models": ["small"],
            "addresses": [],
            "endpoints": [],
            "hides_amounts": False,
            "expires_at": None,
            "is_expired": False,
            "revoked_at": None,
            "is_stopped": False,
            "rotated_to": None,
            "created_by": f"token {world.acme.admin_token[:12]}",
        }
        path = f"/keys/{answer.json()['id']}"
        for shown in (ada.get(path), ada.get("/keys"), ada.get("/audit-log")):
            assert secret[12:].encode() not in shown.content

    def test_rotation_and_revocation(self, ada: Api, world: World) -> None:
        path = f"/keys/{world.acme.key.pk}"
        new = ada.post(f"{path}/rotate", {"grace_seconds": 60})
        assert (new.status_code, new.json()["name"]) == (201, "first key")
        old = ada.get(path).json()
        assert (old["rotated_to"], old["revoked_at"]) == (new.json()["id"], None)
        assert old["expires_at"] is not None
        revoked = ada.post(f"{path}/revoke")
        assert (revoked.status_code, revoked.json()["revoked_at"] is None) == (200, False)

    def test_the_list_may_be_of_one_project(self, ada: Api, world: World) -> None:
        ada.post("/projects", {"name": "search"})
        ada.post("/keys", {"name": "in search", "project": "search"})
        assert [each["name"] for each in ada.get("/keys", project="search").json()["data"]] == ["in search"]
        assert [each["name"] for each in ada.get("/keys", project=str(world.acme.project.pk)).json()["data"]] == [
            "first key"
        ]


def test_end_users(ada: Api) -> None:
    assert made(ada.post("/end-users", {"external_id": "u-1"})) == {
        "external_id": "u-1",
        "name": "",
        "is_blocked": False,
    }
    una = ada.get("/end-users").json()["data"][0]
    assert ada.patch(f"/end-users/{una['id']}", {"is_blocked": True}).json() == una | {"is_blocked": True}


class _Upstream(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(200 if self.headers.get("Authorization") == "Bearer sk-right-0123456789abcd" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


@pytest.fixture
def upstream_port(settings: Settings) -> Iterator[int]:
    """A real server on loopback, on the operator's list."""
    _Upstream.seen = []
    with HTTPServer(("127.0.0.1", 0), _Upstream) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.1/32"), server.server_port),)
        yield server.server_port
        server.shutdown()
        thread.join()


class TestUpstreams:
    def test_the_credential_goes_in_and_never_out(self, ada: Api) -> None:
        body = made(
            ada.post(
                "/upstreams",
                {
                    "name": "OpenAI",
                    "kind": "openai",
                    "base_url": "https://api.openai.com/v1",
                    "credential": "sk-0123456789abcdefghij",
                    "drain_on_disconnect": True,
                },
            )
        )
        assert body == {
            "name": "OpenAI",
            "kind": "openai",
            "base_url": "https://api.openai.com/v1",
            "origin": "https://api.openai.com:443",
            "has_credential": True,
            "credential_hint": "ghij",
            "drain_on_disconnect": True,
            "bill_path": "",
            "connect_timeout_ms": 5000,
            "timeout_ms": 600_000,
            "max_retries": 2,
            "batch_concurrency": 8,
            "batch_hours": "",
            "habits": dict.fromkeys(Habit),
            "is_active": True,
        }

    def test_habits_are_set_one_by_one_and_null_is_what_is_usual(self, ada: Api, world: World) -> None:
        path = f"/upstreams/{make_catalog(world.acme).upstream.pk}"
        ada.patch(path, {"habits": {"output_limit": "max_completion_tokens", "stream_false": False}})
        changed = ada.patch(path, {"habits": {"stream_options": False, "stream_false": None}})
        given = {"output_limit": "max_completion_tokens", "stream_options": False}
        assert changed.json()["habits"] == dict.fromkeys(Habit) | given

    @pytest.mark.parametrize(
        ("habits", "field"),
        [
            ({"output_limit": "n_predict"}, "habits.output_limit"),
            ({"output_limit": 5}, "habits.output_limit"),
            ({"stream_options": "no"}, "habits.stream_options"),
            ({"stream_false": 0}, "habits.stream_false"),
            ({"tool_limits": "yes"}, "habits.tool_limits"),
            ({"service_tier": "Priority!"}, "habits.service_tier"),
            ({"service_tier": 7}, "habits.service_tier"),
            ({"streams": True}, "habits.streams"),
            ([], "habits"),
            (None, "habits"),
        ],
    )
    def test_habits_that_make_no_sense(self, ada: Api, world: World, habits: Any, field: str) -> None:
        refused = ada.patch(f"/upstreams/{make_catalog(world.acme).upstream.pk}", {"habits": habits})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)

    def test_another_origin_asks_for_the_credential_again(self, ada: Api, world: World) -> None:
        upstream = make_catalog(world.acme).upstream
        refused = ada.patch(f"/upstreams/{upstream.pk}", {"base_url": "https://evil.example/v1"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "credential")

    @pytest.mark.parametrize("kind", ["azure", "gemini"])
    def test_kinds_that_are_not_there_yet_are_refused(self, ada: Api, kind: str) -> None:
        refused = ada.post("/upstreams", {"name": "x", "kind": kind, "base_url": "https://x.example"})
        words = "Give one of: openai, openai_compatible, anthropic."
        assert refused.json()["errors"] == [{"field": "kind", "message": words}]

    def make(self, ada: Api, port: int, credential: str) -> str:
        body = {
            "name": "gpu",
            "kind": "openai_compatible",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "credential": credential,
        }
        return str(ada.post("/upstreams", body).json()["id"])

    @pytest.mark.parametrize(
        ("credential", "ok", "status", "detail"),
        [
            ("sk-right-0123456789abcd", True, 200, "The upstream answered."),
            ("sk-wrong", False, 401, "The upstream answered 401: check the credential."),
        ],
    )
    def test_a_test_asks_as_a_call_would(
        self, ada: Api, upstream_port: int, credential: str, ok: bool, status: int, detail: str
    ) -> None:
        answer = ada.post(f"/upstreams/{self.make(ada, upstream_port, credential)}/test")
        assert answer.status_code == 200
        body = answer.json()
        assert 0 <= body.pop("latency_ms") < PATIENCE_SECONDS * 1000
        assert body == {"ok": ok, "status": status, "detail": detail}
        assert _Upstream.seen == [("/v1/models", f"Bearer {credential}")]

    def test_a_test_of_a_forbidden_address_makes_no_connection(
        self, ada: Api, upstream_port: int, settings: Settings
    ) -> None:
        upstream = self.make(ada, upstream_port, "sk-x")
        settings.ALLOWED_PRIVATE_NETWORKS = ()
        body = ada.post(f"/upstreams/{upstream}/test").json()
        assert (body["ok"], body["status"]) == (False, None)
        assert "may not be called from here" in body["detail"]
        assert _Upstream.seen == []

    def test_a_test_of_nobody_says_so(self, ada: Api, settings: Settings) -> None:
        settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.1/32"), None),)
        body = ada.post(f"/upstreams/{self.make(ada, find_free_port(), 'sk-x')}/test").json()
        assert (body["ok"], body["status"]) == (False, None)
        assert body["detail"] == "The call to 127.0.0.1 failed: check that it serves HTTP there."

    def test_a_developer_may_not_test(self, world: World) -> None:
        upstream = make_catalog(world.acme).upstream
        assert Api(user=world.ben).post(f"/upstreams/{upstream.pk}/test").status_code == 403


def test_models_and_prices(ada: Api, world: World) -> None:
    upstream = make_catalog(world.acme).upstream
    assert made(ada.post("/models", {"name": "big", "upstream": upstream.name, "tokenizer": "llama3"})) == {
        "name": "big",
        "upstream": str(upstream.pk),
        "upstream_name": "for small",
        "upstream_model": "big",
        "context_window": 128_000,
        "max_output_tokens": 16_384,
        "tokenizer": "llama3",
        "max_tool_calls": None,
        "fallbacks": [],
        "merge_window_ms": 0,
        "ends_on": "",
        "student_of": "",
        "is_active": True,
        "assumed": ["context_window", "max_output_tokens"],
    }
    model = ada.get("/models").json()["data"][0]["id"]
    assert ada.patch(f"/models/{model}", {"ends_on": "2027-01-31"}).json()["ends_on"] == "2027-01-31"
    refused = ada.patch(f"/models/{model}", {"ends_on": "soon"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "ends_on")
    price = made(
        ada.post(
            "/prices",
            {
                "model": "big",
                "input_per_million": "0.150",
                "output_per_million": 0.6,
                "cached_input_per_million": "0.075",
                "effective_from": "2026-01-31T12:00:00+01:00",
            },
        )
    )
    assert price == {
        "model": "big",
        "model_id": model,
        "input_per_million": "0.15",
        "output_per_million": "0.6",
        "cached_input_per_million": "0.075",
        "cache_write_per_million": None,
        "cache_write_1h_per_million": None,
        "audio_input_per_million": None,
        "cached_audio_input_per_million": None,
        "image_input_per_million": None,
        "cached_image_input_per_million": None,
        "audio_output_per_million": None,
        "image_output_per_million": None,
        "per_request": "0",
        "fees": {},
        "long_context": [],
        "service_tiers": {},
        "effective_from": "2026-01-31T11:00:00Z",
        "source": "typed by a member",
        "created_by": f"token {world.acme.admin_token[:12]}",
    }
    assert [each["input_per_million"] for each in ada.get("/prices", model=model).json()["data"]] == ["0.15"]
    fallback = ada.post("/prices", {"model": None, "input_per_million": "5", "output_per_million": "10"}).json()
    assert (fallback["model"], fallback["model_id"]) == (None, None)
    known = ada.post("/models", {"name": "gpt-4o", "upstream": upstream.name, "max_tool_calls": 3}).json()
    assert (known["tokenizer"], known["context_window"], known["max_output_tokens"]) == ("o200k_base", 128_000, 16_384)
    assert (known["max_tool_calls"], known["assumed"]) == (3, ["context_window", "max_output_tokens", "tokenizer"])
    moved = ada.patch(f"/models/{model}", {"upstream_model": "bigger", "is_active": False}).json()
    assert (moved["upstream_model"], moved["is_active"]) == ("bigger", False)


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("-1", "Give a price in USD from 0 to 1000000."),
        ("1000000.01", "Give a price in USD from 0 to 1000000."),
        (
            "0.0833333",
            "Give at most 6 decimal places, such as 0.083334: what is finer cannot be counted exactly.",
        ),
        (
            "0.0000000000001",
            "Give at most 6 decimal places, such as 0.000001: what is finer cannot be counted exactly.",
        ),
        ("ten", 'Give a decimal number of USD as a string, such as "0.15".'),
        ("1e2", 'Give a decimal number of USD as a string, such as "0.15".'),
        ("\u0661", 'Give a decimal number of USD as a string, such as "0.15".'),
        (True, 'Give a decimal number of USD as a string, such as "0.15".'),
        (None, "This field may not be null."),
    ],
)
def test_prices_that_cannot_be(ada: Api, world: World, amount: object, message: str) -> None:
    make_catalog(world.acme)
    refused = ada.post("/prices", {"model": "small", "input_per_million": amount, "output_per_million": "1"})
    assert refused.json()["errors"] == [{"field": "input_per_million", "message": message}]


def test_the_finest_prices_that_can_be_counted_are_taken_and_no_finer_fee(ada: Api, world: World) -> None:
    make_catalog(world.acme, input_per_million=None)
    body = {"model": "small", "input_per_million": "0.000001", "output_per_million": "0.1000000000"}
    refused = ada.post("/prices", body | {"per_request": "0.0000000000001"})
    assert refused.json()["errors"] == [
        {
            "field": "per_request",
            "message": "Give at most 12 decimal places, such as 0.000000000001: what is finer cannot be counted exactly.",
        }
    ]
    taken = ada.post("/prices", body | {"per_request": "0.000000000001"}).json()
    assert [taken[name] for name in ("input_per_million", "output_per_million", "per_request")] == [
        "0.000001",
        "0.1",
        "0.000000000001",
    ]


def test_a_price_of_zero_must_be_typed(ada: Api, world: World) -> None:
    make_catalog(world.acme)
    refused = ada.post("/prices", {"model": "small", "input_per_million": "0"})
    assert refused.json()["errors"] == [{"field": "output_per_million", "message": "This field is required."}]


def test_list_prices_are_everybodys_to_read(ada: Api, world: World) -> None:
    row = ListPrice.objects.create(
        provider="acme-ai", model="one", input_per_million=1, output_per_million=2, source="table 1", context_window=10
    )
    for reader in (ada, Api(token=world.mallcorp.admin_token)):
        (shown,) = reader.get("/list-prices", provider="acme-ai").json()["data"]
        assert (shown["model"], shown["input_per_million"], shown["source"]) == ("one", "1", "table 1")
        assert reader.get(f"/list-prices/{row.pk}").json() == shown
    assert ada.post("/list-prices", {}).status_code == 405


def test_what_a_newer_table_would_change_is_shown_before(ada: Api, world: World) -> None:
    preview = ada.get("/list-prices/preview", provider="mistral").json()
    assert preview["provider"] == "mistral"
    change = next(one for one in preview["changes"] if one["model"] == "mistral-large-latest")
    assert change["changed"]["input_per_million"][0] is None
    assert ada.get("/list-prices").json()["data"] == []
    unknown = ada.get("/list-prices/preview", provider="nobody")
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (400, "provider")


def test_discounts_are_made_and_shown(ada: Api, world: World) -> None:
    catalog = make_catalog(world.acme)
    found = made(ada.post("/price-adjustments", {"model": "small", "kind": "discount", "percent": "12.5"}))
    del found["effective_from"]
    assert found == {
        "model": "small",
        "upstream": None,
        "kind": "discount",
        "percent": "12.5",
        "created_by": f"token {world.acme.admin_token[:12]}",
    }
    more = ada.post("/price-adjustments", {"upstream": catalog.upstream.name, "kind": "markup", "percent": 3}).json()
    assert (more["kind"], more["percent"], more["model"]) == ("markup", "3", None)
    assert len(ada.get("/price-adjustments").json()["data"]) == 2
    for body, field in (
        ({"model": "small", "kind": "discount", "percent": "-1"}, "percent"),
        ({"model": "small", "kind": "discount", "percent": "100"}, "percent"),
        ({"model": "nobody", "kind": "discount", "percent": "1"}, "model"),
        ({"kind": "discount", "percent": "1"}, "model"),
        ({"model": "small", "kind": "gift", "percent": "1"}, "kind"),
    ):
        refused = ada.post("/price-adjustments", body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) in {(400, field), (404, field)}


def test_a_whole_table_is_typed_and_shown(ada: Api, world: World) -> None:
    make_catalog(world.acme, context_window=1_000_000)
    row = {"input_per_million": "2", "output_per_million": "9"}
    table = {
        "model": "small",
        "input_per_million": "1",
        "output_per_million": "6",
        "image_output_per_million": None,
        "fees": {"web_search": "0.01", "minute": 0.006},
        "long_context": [{"above": 272_000, **row}],
        "service_tiers": {
            "flex": {**row, "long_context": [{"above": 9, "applies_to": "tokens_above", "input_per_million": "3"}]}
        },
    }
    answer = ada.post("/prices", table)
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert shown["fees"] == {"web_search": "0.01", "minute": "0.006"}
    assert shown["long_context"] == [{"above": 272_000, "applies_to": "call", **row}]
    assert shown["service_tiers"]["flex"]["long_context"] == [
        {"above": 9, "applies_to": "tokens_above", "input_per_million": "3"}
    ]
    for change, field in (
        ({"long_context": [{"above": 2_000_000, **row}]}, "long_context[0].above"),
        ({"long_context": [{"above": 9, **row}, {"above": 9, **row}]}, "long_context[1].above"),
        ({"long_context": [{"above": "9", **row}]}, "long_context[0].above"),
        ({"long_context": [{"above": 9, **row, "x": 1}]}, "long_context[0].x"),
        ({"long_context": {"above": 9}}, "long_context"),
        ({"service_tiers": {"default": row}}, "service_tiers.default"),
        (
            {"service_tiers": {"flex": {"input_per_million": "-1", "output_per_million": "1"}}},
            "service_tiers.flex.input_per_million",
        ),
        ({"fees": {"web_search": "-1"}}, "fees.web_search"),
        ({"fees": {"walk": "1"}}, "fees.walk"),
        ({"fees": ["walk"]}, "fees"),
    ):
        refused = ada.post("/prices", {**table, **change})
        assert refused.status_code == 400, change
        assert refused.json()["errors"][0]["field"] == field


class TestBudgets:
    def test_as_tools_send_them(self, ada: Api, world: World) -> None:
        body = {
            "scope": "key",
            "subject": str(world.acme.key.pk),
            "period": "month",
            "limit": "10.00",
            "action": "warn",
        }
        assert made(ada.post("/budgets", body)) == {
            "name": "",
            "scope": "key",
            "subject": str(world.acme.key.pk),
            "within": None,
            "period": "month",
            "limit": "10.000000000",
            "rollover": False,
            "increased_by": "0.000000000",
            "effective_limit": "10.000000000",
            "action": "warn",
            "ladder": [],
            "thresholds": [50, 80, 100],
            "is_shadow": False,
            "is_active": True,
        }

    def test_a_budget_changes_and_is_switched_off(self, ada: Api) -> None:
        budget = ada.post("/budgets", {"scope": "organization", "period": "day", "limit": "5"}).json()
        path = f"/budgets/{budget['id']}"
        changed = ada.patch(path, {"limit": "2.5", "thresholds": [90]}).json()
        assert changed == budget | {"limit": "2.500000000", "effective_limit": "2.500000000", "thresholds": [90]}
        assert ada.delete(path).status_code == 204
        assert ada.get(path).json() == changed | {"is_active": False}

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("limit", "0", "Give a limit above zero and up to $9,000,000.00."),
            ("limit", "9000000.000000001", "Give a limit above zero and up to $9,000,000.00."),
            ("limit", "0.0000000001", 'Give an amount of USD with at most 9 decimal places, such as "10.00".'),
            ("scope", "galaxy", "Give one of: organization, project, key, end_user, model, tag, session."),
            ("period", "year", "Give one of: minute, hour, day, week, month, total."),
            ("action", "give up", "Give one of: block, warn, degrade."),
            (
                "thresholds",
                [100, 50],
                "Give up to 10 rising whole numbers of per cent from 1 to 200, such as 50, 80, 100.",
            ),
        ],
    )
    def test_what_is_refused(self, ada: Api, field: str, value: object, message: str) -> None:
        body = {"scope": "organization", "period": "day", "limit": "5"} | {field: value}
        refused = ada.post("/budgets", body)
        assert (refused.status_code, refused.json()["errors"]) == (400, [{"field": field, "message": message}])

    def test_the_list_may_be_of_one_scope(self, ada: Api) -> None:
        for scope in ("organization", "key"):
            ada.post("/budgets", {"scope": scope, "period": "day", "limit": "5"})
        assert [each["scope"] for each in ada.get("/budgets", scope="key").json()["data"]] == ["key"]


class TestIncreases:
    UNTIL = "2026-12-01T00:00:00Z"

    @pytest.fixture
    def path(self, ada: Api) -> Iterator[str]:
        with time_machine.travel("2026-11-25T12:00:00Z", tick=False):
            budget = ada.post("/budgets", {"scope": "organization", "period": "day", "limit": "5"}).json()
            yield f"/budgets/{budget['id']}"

    def test_one_is_made_shown_and_ended(self, ada: Api, world: World, path: str) -> None:
        answer = ada.post(f"{path}/increases", {"amount": "2.50", "until": self.UNTIL, "reason": "launch"})
        assert made(answer) == {
            "amount": "2.500000000",
            "until": self.UNTIL,
            "reason": "launch",
            "created_by": f"token {world.acme.admin_token[:12]}",
            "ended_at": None,
        }
        one = answer.json()
        assert ada.get(f"{path}/increases").json() == {"data": [one], "next": None}
        shown = ada.get(path).json()
        assert [shown[name] for name in ("limit", "increased_by", "effective_limit")] == [
            "5.000000000",
            "2.500000000",
            "7.500000000",
        ]
        assert ada.get("/budgets").json()["data"] == [shown]
        for _ in range(2):
            assert ada.delete(f"{path}/increases/{one['id']}").status_code == 204
        (ended,) = ada.get(f"{path}/increases").json()["data"]
        assert ended == one | {"ended_at": "2026-11-25T12:00:00Z"}
        assert ada.get(path).json()["effective_limit"] == "5.000000000"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("amount", "0"),
            ("amount", "-1"),
            ("amount", "NaN"),
            ("amount", "0.0000000001"),
            ("amount", "9000000"),
            ("amount", None),
            ("until", "2026-11-25T12:00:00Z"),
            ("until", "2028-01-01T00:00:00Z"),
            ("until", "9999-12-31T23:59:59-23:59"),
            ("until", "tomorrow"),
            ("until", 5),
            ("reason", "a\u0007b"),
            ("reason", 5),
        ],
    )
    def test_what_is_refused(self, ada: Api, path: str, field: str, value: object) -> None:
        refused = ada.post(f"{path}/increases", {"amount": "1", "until": self.UNTIL} | {field: value})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)
        assert ada.get(f"{path}/increases").json()["data"] == []

    def test_those_of_others_and_of_other_budgets_do_not_exist(self, ada: Api, world: World, path: str) -> None:
        one = ada.post(f"{path}/increases", {"amount": "1", "until": self.UNTIL}).json()["id"]
        other = ada.post("/budgets", {"scope": "organization", "period": "day", "limit": "5"}).json()["id"]
        mallory = Api(token=world.mallcorp.admin_token)
        for api, target in (
            (ada, f"/budgets/{other}/increases/{one}"),
            (ada, f"{path}/increases/{other}"),
            (ada, f"{path}/increases/x"),
            (mallory, f"{path}/increases/{one}"),
        ):
            assert api.delete(target).status_code == 404
        assert mallory.get(f"{path}/increases").status_code == 404
        assert Api(user=world.ben).delete(f"{path}/increases/{one}").status_code == 403
        assert ada.get(f"{path}/increases").json()["data"][0]["ended_at"] is None


class TestCachePolicies:
    def test_one_a_model_and_one_for_all_others(self, ada: Api, world: World) -> None:
        make_catalog(world.acme)
        whole = made(ada.post("/cache-policies", {"mode": "shadow"}))
        assert whole == {
            "model": "",
            "mode": "shadow",
            "semantic": "off",
            "ttl_seconds": 3_600,
            "max_temperature": "0.7",
            "max_error_rate": "0.01",
            "sharing": "key",
            "marks_prompts": False,
            "replay_ms": 0,
            "holdout_percent": 2,
        }
        body = {
            "model": "small",
            "mode": "on",
            "semantic": "shadow",
            "ttl_seconds": 60,
            "max_temperature": "1.25",
            "max_error_rate": "0.005",
            "sharing": "organization",
            "marks_prompts": True,
            "replay_ms": 20,
            "holdout_percent": 5,
        }
        assert made(ada.post("/cache-policies", body)) == body
        assert ada.post("/cache-policies", body).status_code == 409
        own = ada.get("/cache-policies").json()["data"][0]
        path = f"/cache-policies/{own['id']}"
        assert ada.patch(path, {"semantic": "on", "sharing": "end_user"}).json() == own | {
            "semantic": "on",
            "sharing": "end_user",
        }
        assert ada.delete(path).status_code == 204
        assert ada.get(path).status_code == 404

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model", "unknown"),
            ("mode", "maybe"),
            ("ttl_seconds", 0),
            ("ttl_seconds", 2_592_001),
            ("max_temperature", "2.01"),
            ("max_temperature", "0.123"),
            ("max_error_rate", "0.2"),
            ("max_error_rate", "-1"),
            ("sharing", "world"),
            ("replay_ms", -1),
            ("replay_ms", 1_001),
            ("holdout_percent", -1),
            ("holdout_percent", 51),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_field(self, ada: Api, field: str, value: object) -> None:
        refused = ada.post("/cache-policies", {"mode": "on"} | {field: value})
        assert refused.status_code == 400
        assert field in refused.content.decode()

    def test_a_purge_of_all_takes_the_place_of_earlier_ones(self, ada: Api) -> None:
        one = made(ada.post("/cache-purges", {"kind": "tag", "subject": "team=search"}))
        assert (one["kind"], one["subject"]) == ("tag", "team=search")
        made(ada.post("/cache-purges", {"kind": "all"}))
        assert [purge["kind"] for purge in ada.get("/cache-purges").json()["data"]] == ["all"]
        for body, field in (
            ({"kind": "all", "subject": "x"}, "subject"),
            ({"kind": "model"}, "subject"),
            ({"kind": "all", "before": "2100-01-01"}, "before"),
            ({"kind": "planet"}, "kind"),
        ):
            refused = ada.post("/cache-purges", body)
            assert (refused.status_code, field in refused.content.decode()) == (400, True)

    def test_what_applications_give_up_leaves_room_for_what_people_do(
        self, world: World, ada: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "MAX_ENTRY_PURGES", 2)
        with org_scope(world.acme.org.pk):
            for subject in ("a", "b", "b", "b"):
                # The same wrong answer, reported again, is the same purge.
                purge_cache(actor=world.acme.owner, kind=PurgeKind.ENTRY, subject=subject)
            with pytest.raises(Conflict, match="2 purges are in force"):
                purge_cache(actor=world.acme.owner, kind=PurgeKind.ENTRY, subject="c")
        made(ada.post("/cache-purges", {"kind": "model", "subject": "small"}))
        assert sorted(purge["subject"] for purge in ada.get("/cache-purges").json()["data"]) == ["a", "b", "small"]


class TestRateLimits:
    def test_as_tools_send_them(self, ada: Api, world: World) -> None:
        body = {"scope": "key", "subject": str(world.acme.key.pk), "unit": "usd", "limit": "0.50", "window_seconds": 60}
        assert made(ada.post("/rate-limits", body)) == body | {
            "within": None,
            "limit": "0.500000000",
            "is_shadow": False,
            "is_active": True,
        }

    @pytest.mark.parametrize("path", ["/budgets", "/rate-limits"])
    def test_one_may_be_within_a_project_or_key(self, ada: Api, world: World, path: str) -> None:
        body: dict[str, object] = {"scope": "end_user", "limit": "5"}
        body |= {"period": "day"} if path == "/budgets" else {"unit": "requests", "window_seconds": 60}
        for within in ({"project": str(world.acme.project.pk)}, {"key": str(world.acme.key.pk)}, None):
            shown = ada.post(path, body | {"within": within}).json()
            assert shown["within"] == within
            assert ada.get(f"{path}/{shown['id']}").json() == shown
        bad: list[tuple[object, str]] = [
            ({}, "within"),
            ({"project": "default", "key": "x"}, "within"),
            ({"key": str(world.mallcorp.key.pk)}, "within"),
            ({"project": None}, "within.project"),
            ({"key": 5}, "within.key"),
            ({"key": ""}, "within.key"),
            ({"model": "small"}, "within.model"),
            ([], "within"),
            ("default", "within"),
        ]
        for place, field in bad:
            refused = ada.post(path, body | {"within": place})
            assert (refused.status_code in {400, 404}, refused.json()["errors"][0]["field"]) == (True, field)
        changed = ada.patch(f"{path}/{shown['id']}", {"within": None})
        assert changed.json()["errors"][0]["field"] == "within"

    @pytest.mark.parametrize(("unit", "limit", "shown"), [("requests", 60, "60"), ("tokens", "90000", "90000")])
    def test_numbers_are_whole(self, ada: Api, unit: str, limit: object, shown: str) -> None:
        body = {"scope": "end_user", "unit": unit, "limit": limit, "window_seconds": 1}
        assert ada.post("/rate-limits", body).json()["limit"] == shown

    def test_calls_under_way_have_no_window(self, ada: Api) -> None:
        made_one = ada.post(
            "/rate-limits", {"scope": "key", "unit": "concurrent", "limit": 4, "is_shadow": True}
        ).json()
        assert (made_one["limit"], made_one["window_seconds"], made_one["is_shadow"]) == ("4", 0, True)

    def test_one_changes_and_is_switched_off(self, ada: Api) -> None:
        body = {"scope": "organization", "unit": "usd", "limit": "5", "window_seconds": 60}
        limit = ada.post("/rate-limits", body).json()
        path = f"/rate-limits/{limit['id']}"
        changed = ada.patch(path, {"limit": "2.5", "is_shadow": True}).json()
        assert changed == limit | {"limit": "2.500000000", "is_shadow": True}
        assert ada.delete(path).status_code == 204
        assert ada.get(path).json() == changed | {"is_active": False}

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("limit", 0, "Give a whole number from 1 to 1000000000000."),
            ("limit", -3, "Give a whole number from 1 to 1000000000000."),
            ("limit", "2.5", "A number of requests is a whole number."),
            ("limit", "NaN", 'Give a whole number, or an amount of USD such as "0.50" where that is the unit.'),
            ("unit", "cents", "Give one of: requests, tokens, usd, concurrent."),
            ("window_seconds", 0, "Give a window of 1 to 3600 seconds. For a longer one, make a budget."),
            ("window_seconds", 3_601, "Give a window of 1 to 3600 seconds. For a longer one, make a budget."),
            ("subject", "acme", "What holds for the whole organisation has no subject: leave it out."),
        ],
    )
    def test_what_is_refused(self, ada: Api, field: str, value: object, message: str) -> None:
        body = {"scope": "organization", "unit": "requests", "limit": 5, "window_seconds": 60} | {field: value}
        refused = ada.post("/rate-limits", body)
        assert (refused.status_code, refused.json()["errors"]) == (400, [{"field": field, "message": message}])

    @pytest.mark.parametrize(
        ("more", "field", "message"),
        [
            (
                {"unit": "usd", "limit": "9000000.000000001"},
                "limit",
                "Give a limit above zero and up to $9,000,000.00.",
            ),
            ({"unit": "usd", "limit": "-1"}, "limit", "Give a limit above zero and up to $9,000,000.00."),
            (
                {"unit": "usd", "limit": "0.0000000001"},
                "limit",
                'Give an amount of USD with at most 9 decimal places, such as "0.50".',
            ),
            ({"unit": "concurrent"}, "window_seconds", "Calls under way have no window: leave it out."),
        ],
    )
    def test_so_is_what_does_not_go_together(self, ada: Api, more: dict[str, object], field: str, message: str) -> None:
        body = {"scope": "organization", "unit": "requests", "limit": 5, "window_seconds": 60} | more
        refused = ada.post("/rate-limits", body)
        assert (refused.status_code, refused.json()["errors"]) == (400, [{"field": field, "message": message}])

    def test_the_list_may_be_of_one_scope(self, ada: Api) -> None:
        for scope in ("organization", "key"):
            ada.post("/rate-limits", {"scope": scope, "unit": "requests", "limit": 5, "window_seconds": 60})
        assert [each["scope"] for each in ada.get("/rate-limits", scope="key").json()["data"]] == ["key"]


class TestPages:
    def test_pages_follow_each_other_without_gap_or_overlap(self, ada: Api) -> None:
        for number in range(5):
            ada.post("/end-users", {"external_id": f"u-{number}"})
        seen, cursor = [], ""
        while True:
            page = ada.get("/end-users", limit="2", **({"cursor": cursor} if cursor else {})).json()
            seen.append([each["external_id"] for each in page["data"]])
            if page["next"] is None:
                break
            # What comes meanwhile is newer than all that is still to be shown.
            ada.post("/end-users", {"external_id": f"late-{len(seen)}"})
            cursor = page["next"]
        assert seen == [["u-4", "u-3"], ["u-2", "u-1"], ["u-0"]]

    def test_an_empty_list_is_a_page(self, ada: Api) -> None:
        assert ada.get("/budgets").json() == {"data": [], "next": None}


def test_the_audit_log_tells_who_did_what(ada: Api, world: World) -> None:
    Api(user=world.ben).post("/keys", {"name": "ben's"})
    (entry,) = ada.get("/audit-log", actor="ben@acme.example", action="api_key.created").json()["data"]
    assert (entry["target_kind"], entry["changes"]["name"]) == ("api_key", "ben's")
    assert ada.get("/audit-log", target_id=entry["target_id"]).json()["data"] == [entry]


def test_answers_are_kept_by_no_cache(ada: Api) -> None:
    assert ada.get("/keys")["Cache-Control"] == "no-store"
