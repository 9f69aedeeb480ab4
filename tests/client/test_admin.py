"""``costhub admin`` on its generated client, against the real management API over HTTP."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from costhub.cli import main
from costhub.client.document import fingerprint_of, make_document
from costhub.client.generate import FINGERPRINT
from costhub.client.generated import AuthenticatedClient
from costhub.client.generated.api.routes import route_thresholds
from costhub.client.generated.models import Problem, ThresholdsAnswer
from costhub.lib import clock
from costhub.lib.money import parse_usd
from costhub.lib.secrets import API_KEY, is_well_formed
from tenants.access import org_scope
from tenants.actions.budget_requests import ask_for_more
from tenants.choices import RouteKind
from tests.billing.ledger import record_call
from tests.tenants.route_examples import make_models, make_route
from tests.world import World, make_budget


@pytest.fixture
def costhub(
    url: str, committed_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Shell":
    monkeypatch.setenv("COSTHUB_ADMIN_TOKEN", committed_world.acme.admin_token)
    monkeypatch.setenv("COSTHUB_URL", f"{url}/v1")
    return Shell(capsys)


class Shell:
    """What somebody types, and what they see."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(["admin", *words])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *words: str) -> list[dict[str, object]]:
        code, out, err = self.run("--json", *words)
        assert (code, err) == (0, "")
        found: list[dict[str, object]] = json.loads(out)
        return found


def test_the_client_is_of_todays_document() -> None:
    assert FINGERPRINT.read_text().strip() == fingerprint_of(make_document()), "the API has changed: run `make client`"


def test_every_operation_of_the_document_is_a_function_of_the_client() -> None:
    paths = make_document()["paths"].values()
    wanted = {operation["operationId"] for item in paths for operation in item.values()}
    made = {module.stem for module in (FINGERPRINT.parent / "api").glob("*/*.py")} - {"__init__"}
    assert made == wanted
    assert len(wanted) >= 250


def test_what_the_command_line_does_not_use_is_typed_too(url: str, committed_world: World) -> None:
    make_models(committed_world.acme)
    route = make_route(committed_world.acme, RouteKind.CASCADE, confidence_percent=70)
    with AuthenticatedClient(base_url=url, token=committed_world.acme.admin_token) as client:
        found = route_thresholds.sync(str(route.pk), client=client, range_="24h")
        assert isinstance(found, ThresholdsAnswer)
        assert (found.calls, found.confidence_percent, len(found.points)) == (0, 70, 100)
        refused = route_thresholds.sync("nobody's", client=client)
        assert isinstance(refused, Problem)
        assert refused.status == 404


def test_keys_budgets_requests_spend_and_exports(costhub: Shell, committed_world: World, tmp_path: Path) -> None:
    acme = committed_world.acme
    (key,) = costhub.json("keys", "create", "from the shell", "--address", "10.1.0.0/16", "--endpoint", "/v1/models")
    assert is_well_formed(str(key["secret"]), API_KEY)
    assert (key["addresses"], key["endpoints"]) == (["10.1.0.0/16"], ["/v1/models"])
    code, out, _ = costhub.run("keys", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["id", key["id"], str(acme.key.pk)]
    (rotated,) = costhub.json("keys", "rotate", str(key["id"]))
    assert costhub.json("keys", "revoke", str(rotated["id"]))[0]["revoked_at"]

    (budget,) = costhub.json("budgets", "create", "10.00", "--period", "day")
    assert costhub.json("budgets", "set", str(budget["id"]), "12.50")[0]["limit"] == "12.500000000"
    assert [one["limit"] for one in costhub.json("budgets", "list")] == ["12.500000000"]
    with org_scope(acme.org.pk):
        ask_for_more(
            actor=committed_world.ben_actor,
            budget=make_budget(acme, "1.00"),
            amount_nanos=parse_usd("5"),
            until=clock.now() + timedelta(days=1),
            reason="a load test",
        )
    (asked,) = costhub.json("requests-for-more", "list")
    (granted,) = costhub.json("requests-for-more", "grant", str(asked["id"]), "--amount", "2")
    assert (granted["state"], granted["granted"]) == ("granted", "2.000000000")
    assert costhub.run("requests-for-more", "deny", str(asked["id"]))[::2] == (1, "This request was granted already.\n")

    record_call(acme, clock.now() - timedelta(seconds=5), cost=1_250_000_000, request_model="large")
    code, out, _ = costhub.run("spend", "--group-by", "model")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["effective_cost", "1.250000000", "1.250000000"]
    file = tmp_path / "calls.csv"
    assert costhub.run("export", "requests", "--output", str(file))[0] == 0
    assert len(file.read_text().splitlines()) == 2
    assert "BilledCost" in costhub.run("export", "focus")[1].splitlines()[0]


def test_an_export_goes_on_where_one_answer_ends(
    costhub: Shell, committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in ("MAX_CSV_ROWS", "MAX_LIMIT"):
        monkeypatch.setattr(f"billing.spend.api.requests.{most}", 2)
    calls = [record_call(committed_world.acme, clock.now() - timedelta(seconds=5 + age), cost=1) for age in range(5)]
    code, out, err = costhub.run("export", "requests")
    assert (code, err) == (0, "")
    assert [line.split(",")[0] for line in out.splitlines()] == ["id", *(str(call.id) for call in calls)]


def test_a_file_that_cannot_be_written_is_said_in_a_sentence(costhub: Shell, tmp_path: Path) -> None:
    for file, why in ((tmp_path / "missing" / "x.csv", "No such file or directory"), (tmp_path, "Is a directory")):
        said = f"{file} cannot be written: {why}. Give another file.\n"
        assert costhub.run("export", "requests", "--output", str(file)) == (1, "", said)


def test_who_reads_the_beginning_only_is_told_nothing(url: str, committed_world: World) -> None:
    acme = committed_world.acme
    record_call(acme, clock.now() - timedelta(seconds=5), cost=1)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "costhub.cli", "admin", "--url", url, "export", "requests"],
        env={**os.environ, "COSTHUB_ADMIN_TOKEN": acme.admin_token},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_refused_is_said_in_a_sentence(costhub: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert costhub.run("keys", "revoke", "x") == (1, "", "There is no such api key.\n")
    assert costhub.run("budgets", "create", "ten")[0] == 1
    assert costhub.run("export", "requests", "--from", "yesterday")[0] == 1
    monkeypatch.setenv("COSTHUB_ADMIN_TOKEN", "")
    assert costhub.run("keys", "list") == (
        1,
        "",
        "Give an admin token: set COSTHUB_ADMIN_TOKEN, or use --token.\n",
    )
    code, _, said = costhub.run("--token", "cha_x", "--url", "http://127.0.0.1:1", "keys", "list")
    assert (code, "cannot be reached" in said) == (1, True)
