"""/requests: a row a call, the same number in JSON, CSV and detail."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from costhub.lib.moments import to_ms
from tenants.access import Actor, org_scope
from tenants.actions.orgs import create_admin_token
from tenants.choices import Role
from tests.billing.ledger import NOW, record_call, record_correction
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def test_a_call_is_shown_whole(ada: Api, world: World) -> None:
    call = record_call(
        world.acme,
        NOW,
        cost=1_234_567_890,
        list_cost=2_000_000_000,
        savings={"cache": 765_432_110},
        end_user="una",
        tags={"team": "search"},
        input_tokens=100,
        cache_read_input_tokens=10,
        output_tokens=20,
        duration_us=1500,
    )
    (shown,) = ada.get("/requests").json()["data"]
    assert shown == {
        "id": str(call.id),
        "started_at": "2026-11-22T12:00:00Z",
        "project": str(world.acme.project.pk),
        "key": str(world.acme.key.pk),
        "end_user": "una",
        "tags": {"team": "search"},
        "endpoint": "chat/completions",
        "request_model": "small",
        "response_model": "small",
        "upstream": None,
        "provider": "",
        "status": 200,
        "error_code": "",
        "finish_reason": "",
        "is_stream": False,
        "input_tokens": 100,
        "cache_read_input_tokens": 10,
        "cache_write_input_tokens": 0,
        "output_tokens": 20,
        "reasoning_tokens": 0,
        "audio_input_tokens": 0,
        "audio_output_tokens": 0,
        "list_cost": "2.000000000",
        "effective_cost": "1.234567890",
        "savings": {"cache": "0.765432110"},
        "price": str(call.price_id),
        "is_estimated": False,
        "is_overrun": False,
        "cache_status": "",
        "refused_by": {},
        "route_reason": "",
        "duration_us": 1500,
        "first_byte_us": None,
        "overhead_us": None,
        "recorded_at": "2026-11-22T12:00:01Z",
        "corrections": 0,
    }
    detail = ada.get(f"/requests/{call.id}").json()
    assert {name: detail[name] for name in shown} == shown
    assert (detail["project_name"], detail["key_name"], detail["upstream_name"]) == ("default", "first key", "")
    assert detail["attempts"] == [
        {"number": 1, "status": 200, "certainty": "exact", "cost": "1.234567890", "error": ""}
    ]


def test_a_correction_changes_the_number_everywhere(ada: Api, world: World) -> None:
    call = record_call(world.acme, NOW, cost=5_000_000_000, is_estimated=True)
    record_correction(world.acme, call, -1_000_000_000)
    (shown,) = ada.get("/requests").json()["data"]
    assert (shown["effective_cost"], shown["is_estimated"], shown["corrections"]) == ("4.000000000", False, 1)
    assert ada.get(f"/requests/{call.id}").json()["effective_cost"] == "4.000000000"
    assert rows_of(ada.get("/requests", format="csv"))[0]["effective_cost"] == "4.000000000"
    assert (
        ada.get("/spend", **{"from": "2026-11-22", "to": "2026-11-22"}).json()["total"]["effective_cost"]
        == "4.000000000"
    )


class TestFilters:
    @pytest.fixture(autouse=True)
    def calls(self, world: World) -> None:
        kinds: list[dict[str, Any]] = [
            {"request_model": "large"},
            {"end_user": "una"},
            {"status": 429, "error_code": "rate_limit_exceeded"},
            {"status": 502, "attempts": [{"number": 1, "status": 502}]},
            {"tags": {"team": "search", "env": "prod"}},
        ]
        for minutes, columns in enumerate(kinds):
            record_call(world.acme, NOW - timedelta(minutes=minutes), cost=minutes, **columns)

    @pytest.mark.parametrize(
        ("query", "costs"),
        [
            ({}, [0, 1, 2, 3, 4]),
            ({"model": "large"}, [0]),
            ({"end_user": "una"}, [1]),
            ({"status": "refused"}, [2]),
            ({"status": "failed"}, [3]),
            ({"status": "429"}, [2]),
            ({"status": "ok"}, [0, 1, 4]),
            ({"tag": "team=search"}, [4]),
            ({"tag:env": "prod", "tag": "team=search"}, [4]),
            ({"tag": "team=other"}, []),
            ({"project": "default"}, [0, 1, 2, 3, 4]),
            ({"from": "2026-11-22T11:58:00Z"}, [0, 1, 2]),
            ({"to": "2026-11-22T11:58:00Z"}, [3, 4]),
            ({"from": "2026-11-22T12:58:00+01:00", "to": "2026-11-22T12:00:00Z"}, [1, 2]),
            ({"from": "2026-11-22", "to": "2026-11-22"}, [0, 1, 2, 3, 4]),
            ({"from": "2026-11-23"}, []),
        ],
    )
    def test_each_narrows(self, ada: Api, query: dict[str, str], costs: list[int]) -> None:
        shown = ada.get("/requests", **query).json()["data"]
        assert [each["effective_cost"] for each in shown] == [f"0.00000000{cost}" for cost in costs]

    def test_a_key_is_named_by_its_id(self, ada: Api, world: World) -> None:
        assert len(ada.get("/requests", key=str(world.acme.key.pk)).json()["data"]) == 5

    def test_pages_follow_each_other(self, ada: Api) -> None:
        first = ada.get("/requests", limit="3").json()
        second = ada.get("/requests", limit="3", cursor=first["next"]).json()
        costs = [each["effective_cost"][-1] for page in (first, second) for each in page["data"]]
        assert (costs, second["next"]) == (list("01234"), None)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"status": "fine"}, "status"),
            ({"tag": "team"}, "tag"),
            ({"tag": "=x"}, "tag"),
            ({"tag": "a=\x00"}, "tag"),
            ({"from": "yesterday"}, "from"),
            ({"from": "2026-11-22T12:00:00"}, "from"),
            ({"to": "9999-12-31"}, "to"),
            ({"to": "0001-01-01"}, "to"),
            ({"from": "2026-02-30"}, "from"),
            ({"cursor": "x"}, "cursor"),
            ({"limit": "0"}, "limit"),
            ({"id": "xyz"}, "id"),
            ({"colour": "red"}, "colour"),
            ({"group_by": "model"}, "group_by"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, ada: Api, query: dict[str, str], field: str) -> None:
        problem = check_problem(ada.get("/requests", **query))
        assert (problem["status"], problem["errors"][0]["field"]) == (400, field)


class TestCsv:
    def test_it_says_what_json_says(self, ada: Api, world: World) -> None:
        for minutes in range(3):
            record_call(
                world.acme, NOW - timedelta(minutes=minutes), cost=minutes, tags={"team": "búsqueda"}, is_stream=True
            )
        table = rows_of(ada.send("GET", "/requests", headers={"Accept": "text/csv"}))
        shown = ada.get("/requests").json()["data"]
        assert list(table[0]) == list(shown[0])
        assert [row["effective_cost"] for row in table] == [each["effective_cost"] for each in shown]
        assert (table[0]["tags"], table[0]["is_stream"], table[0]["upstream"]) == ('{"team": "búsqueda"}', "true", "")

    def test_it_holds_more_than_a_page(self, ada: Api, world: World) -> None:
        for number in range(205):
            record_call(world.acme, NOW - timedelta(seconds=number))
        answer = ada.get("/requests", format="csv")
        assert len(rows_of(answer)) == 205
        assert "Link" not in answer
        assert answer["Content-Disposition"] == 'attachment; filename="requests.csv"'

    def test_where_it_ends_it_says_how_to_go_on(self, ada: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("billing.spend.api.requests.MAX_CSV_ROWS", 200)
        for number in range(201):
            record_call(world.acme, NOW - timedelta(seconds=number), cost=number)
        first = ada.get("/requests", format="csv", model="small")
        assert len(rows_of(first)) == 200
        link = first["Link"]
        assert link.startswith("<http://testserver/api/v1/requests?format=csv&model=small&cursor=")
        rest = ada.send("GET", link.removeprefix("<http://testserver/api/v1").removesuffix('>; rel="next"'))
        assert [row["effective_cost"] for row in rows_of(rest)] == ["0.000000200"]

    @pytest.mark.parametrize("end_user", ["=1+1", "@SUM(A1)", "+1", "-1"])
    def test_a_spreadsheet_runs_no_strangers_formula(self, ada: Api, world: World, end_user: str) -> None:
        call = record_call(world.acme, NOW, cost=5, end_user=end_user)
        record_correction(world.acme, call, -15)
        (row,) = rows_of(ada.get("/requests", format="csv"))
        assert (row["end_user"], row["effective_cost"]) == (f"'{end_user}", "-0.000000010")

    def test_a_problem_stays_json(self, ada: Api) -> None:
        assert check_problem(ada.get("/requests", format="csv", status="fine"))["status"] == 400


class TestTenancy:
    def test_a_foreign_call_is_an_unknown_one(self, world: World) -> None:
        call = record_call(world.acme, NOW)
        mallory = Api(token=world.mallcorp.admin_token)
        unknown = mallory.get(f"/requests/{uuid4()}")
        assert unknown.status_code == 404
        for request_id in (str(call.id), "x", "0" * 32, "%00", str(to_ms(NOW))):
            assert mallory.get(f"/requests/{request_id}").content == unknown.content
        assert mallory.get("/requests").json() == {"data": [], "next": None, "as_of": None, "since": None}

    @pytest.mark.parametrize("path", ["/requests", "/spend"])
    def test_a_foreign_filter_is_an_unknown_one(self, world: World, path: str) -> None:
        record_call(world.acme, NOW)
        mallory = Api(token=world.mallcorp.admin_token)
        for name, value in (("project", world.acme.project.pk), ("key", world.acme.key.pk)):
            unknown = mallory.get(path, **{name: str(uuid4())})
            foreign = mallory.get(path, **{name: str(value)})
            assert (foreign.status_code, foreign.content) == (404, unknown.content)

    @pytest.mark.parametrize("path", ["/requests", "/spend", "/requests/0198f7a2-5b1c-7d3e-8f40-1a2b3c4d5e6f"])
    def test_a_viewer_sees_no_money(self, world: World, path: str) -> None:
        owner: Actor = world.acme.owner
        with org_scope(world.acme.org.pk):
            token = create_admin_token(actor=owner, name="t", role=Role.VIEWER)
        assert Api(token=token).get(path).status_code == 403
