"""A cascade over three upstreams: the cheapest answer that does is given, every rung is paid and shown, and whatever
breaks, the ledger is the three banks' bills to the nano."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from socket import MSG_WAITALL
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson
import pytest

from proxy.core.routes.agreement import TEMPERATURE
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.routes import update_route
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope, Mode, RouteKind
from tenants.models import Route
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.faults import EVERY_FAULT
from tests.proxy.load import Body, Outcome, call_all, call_once
from tests.proxy.scripted_upstream import scripted, whole
from tests.proxy.several_banks import balance_banks, start_banks
from tests.sampling import IS_WHOLE
from tests.tenants.route_examples import PRICES, make_route
from tests.world import Catalog, Tenant, World, make_budget

CALLS = 9
#: calls of each fault
EACH = 18 if IS_WHOLE else 12
#: in which a first rung has answered, also where the machine is slow
CAP_MS = 5_000
#: what a server says that asks for the body
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: exp(-0.05) is 0.951, exp(-0.6) is 0.549; 0.80 is enough
SURE, UNSURE = -0.05, -0.6


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("cascades")) as proxy:
        yield proxy


def make_bodies(calls: int, **fields: Any) -> list[Body]:
    """Calls of the route, every other one a stream."""
    return [
        {
            "model": "smart",
            "messages": [{"role": "user", "content": f"{number}"}],
            "max_tokens": 20,
            "stream": number % 2 == 1,
        }
        | fields
        for number in range(calls)
    ]


def make_question(**fields: Any) -> Body:
    """A short call of the route."""
    return {"model": "smart", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20} | fields


@dataclass(frozen=True)
class Scene:
    """Acme's route ``smart`` goes from ``small`` over ``middle`` to ``large``, each at a bank of its own."""

    acme: Tenant
    banks: dict[str, Bank]
    catalogs: dict[str, Catalog]
    route: Route
    proxy: Deployment

    def call(
        self, calls: int = CALLS, leave_after: Callable[[int], int | None] = lambda _: None, **fields: Any
    ) -> list[Outcome]:
        """Calls of the route, every other one a stream."""
        bodies = make_bodies(calls, **fields)
        return asyncio.run(
            call_all(self.proxy.base_url, self.acme.api_key, iter(bodies), clients=4, leave_after=leave_after)
        )

    def make_unsure(self, **fields: Any) -> None:
        """Every call climbs to the last rung."""
        for name in ("small", "middle"):
            self.banks[name].set_default(logprob=UNSURE, **fields)

    def ask(self, more: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        """A call."""
        body = make_question(**fields)
        headers = {"authorization": f"Bearer {self.acme.api_key}"} | (more or {})
        with httpx2.Client(
            base_url=self.proxy.base_url, headers=headers, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS
        ) as http:
            return http.post("/chat/completions", json=body)

    def ask_slowly(self, after_ns: int) -> HTTPResponse:
        """A call whose body comes when it has lasted for so long. That it has begun is what the server says when it
        asks for the body, and its clock is ours."""
        body, url = orjson.dumps(make_question()), urlsplit(self.proxy.base_url)
        assert url.hostname is not None
        connection = HTTPConnection(url.hostname, url.port, timeout=PATIENCE_SECONDS)
        connection.putrequest("POST", f"{url.path}/chat/completions")
        for name, value in (
            ("authorization", f"Bearer {self.acme.api_key}"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("expect", "100-continue"),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.sock.recv(len(CONTINUE), MSG_WAITALL) == CONTINUE
        ends_ns = time.monotonic_ns() + after_ns
        while time.monotonic_ns() < ends_ns:
            pass
        connection.send(body)
        with closing(connection), connection.getresponse() as response:
            response.read()
        return response

    def respond(self, path: str, **fields: Any) -> httpx2.Response:
        """A call in another format."""
        headers = {"authorization": f"Bearer {self.acme.api_key}"}
        with httpx2.Client(
            base_url=self.proxy.base_url, headers=headers, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS
        ) as http:
            return http.post(path, json={"model": "smart"} | fields)

    def sample(self, samples: int) -> None:
        """The first rung gives no probabilities, and is asked so often again."""
        self.banks["small"].set_default(refuses_logprobs=True)
        with org_scope(self.acme.org_id):
            update_route(actor=self.acme.owner, route=self.route, agreement_samples=samples)

    def balance(self) -> list[LedgerEntry]:
        """The rows of calls, after it was seen that they are the banks' bills, call by call."""
        return balance_banks(self.acme, self.banks, PRICES)


@pytest.fixture
def scene(committed_world: World, tmp_path: Path, proxy: Deployment) -> Iterator[Scene]:
    acme = committed_world.acme
    banks, catalogs = start_banks(acme, PRICES, tmp_path, timeout_ms=60_000, max_retries=1)
    for bank in banks.values():
        bank.set_default(logprob=SURE)
    make_budget(acme, "100.00")
    make_budget(acme, "100.00", scope=BudgetScope.MODEL)
    route = make_route(acme, RouteKind.CASCADE, list(PRICES))
    yield Scene(acme, banks, catalogs, route, proxy)
    for bank in banks.values():
        bank.stop()


def models_of(row: LedgerEntry) -> list[str]:
    return [attempt["model"] for attempt in row.attempts]


def test_what_does_is_given_and_costs_one_rung(scene: Scene) -> None:
    outcomes = scene.call()
    assert {(outcome.status, outcome.is_whole) for outcome in outcomes} == {(200, True)}
    answer = scene.ask()
    assert answer.headers["x-costhub-model"] == "small"
    assert answer.headers["x-costhub-confidence"] == "0.951"
    assert answer.headers["x-costhub-route"] == (
        "route smart v1 cascade: small, rung 1 of 3; small 0.951 sure, uncalibrated, 0.80 is enough"
    )
    # only we had asked for them
    assert answer.json()["choices"][0]["logprobs"] is None
    for row in scene.balance():
        assert models_of(row) == ["small"]
        assert set(row.savings) == {"cascade"}
        # twenty times cheaper than the baseline
        assert row.list_cost == pytest.approx(row.effective_cost * 20, abs=20)


def test_what_does_not_is_paid_and_followed_and_both_are_shown(scene: Scene) -> None:
    scene.banks["small"].set_default(logprob=UNSURE)
    outcomes = scene.call()
    assert {(outcome.status, outcome.is_whole) for outcome in outcomes} == {(200, True)}
    answer = scene.ask()
    assert answer.headers["x-costhub-model"] == "middle"
    assert answer.headers["x-costhub-route"] == (
        "route smart v1 cascade: small, rung 1 of 3; small 0.549 sure, uncalibrated, below 0.80, so middle;"
        " middle 0.951 sure, uncalibrated, 0.80 is enough"
    )
    for row in scene.balance():
        small, middle = row.attempts
        assert (small["model"], small["list_cost"]) == ("small", 0)
        assert small["savings"] == {"cascade": -small["cost"]}
        assert row.list_cost == middle["list_cost"]
        assert row.savings["cascade"] == middle["list_cost"] - middle["cost"] - small["cost"]


def test_a_rung_that_is_slower_than_the_latency_cap_is_cut_off_and_paid(scene: Scene) -> None:
    """The surest answer that has come by then is given, whole and as a stream."""
    # Before anybody has asked for it: a process that knows the route without its cap hears of that a moment later.
    with org_scope(scene.acme.org_id):
        update_route(actor=scene.acme.owner, route=scene.route, latency_cap_ms=CAP_MS)
    # What a new process does at its first call would come out of the cap.
    first, asked = scene.ask(), scene.banks["large"].calls_received()
    scene.make_unsure()
    scene.banks["middle"].set_default(fault="stall", at=2)
    with ThreadPoolExecutor(2) as together:
        answers = list(together.map(lambda is_stream: scene.ask(stream=is_stream), (False, True)))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert scene.banks["large"].calls_received() == asked
    rows = [row for row in scene.balance() if str(row.id) != first.headers["x-request-id"]]
    assert {str(row.id) for row in rows} == {answer.headers["x-request-id"] for answer in answers}
    for row in rows:
        assert row.route_reason.endswith(
            "small 0.549 sure, uncalibrated, below 0.80, so middle;"
            " small given, because middle is too slow for the latency cap"
        )
        small, middle = row.attempts
        assert (small["model"], small["error"], small["list_cost"]) == ("small", "", row.list_cost)
        assert (middle["model"], middle["error"], middle["list_cost"]) == ("middle", "latency_cap", 0)
        assert middle["cost"] > 0
        assert CAP_MS * 1_000 <= row.duration_us < 60_000_000, "its upstream would have been waited for for a minute"


def test_a_rung_for_which_there_is_no_time_at_all_leaves_its_money_to_the_last(scene: Scene) -> None:
    """It is not even asked: what was set aside for it is of another model, and pays for nothing of the last one."""
    with org_scope(scene.acme.org_id):
        update_route(actor=scene.acme.owner, route=scene.route, latency_cap_ms=1)
    answer = scene.ask_slowly(after_ns=1_000_000)
    assert (answer.status, answer.headers["x-costhub-model"]) == (200, "large")
    assert [models_of(row) for row in scene.balance()] == [["large"]]
    assert len(scene.banks["small"].bill()) == 0


def test_where_nobody_has_answered_by_the_latency_cap_the_last_rung_is_asked(scene: Scene) -> None:
    scene.banks["small"].set_default(fault="stall", at=2)
    with org_scope(scene.acme.org_id):
        update_route(actor=scene.acme.owner, route=scene.route, latency_cap_ms=CAP_MS)
    answer = scene.ask()
    assert (answer.status_code, answer.headers["x-costhub-model"]) == (200, "large")
    assert answer.headers["x-costhub-route"].endswith("small is too slow for the latency cap, so large")
    # Nobody else's calls are kept from an upstream that was only too slow for this route.
    assert [models_of(row) for row in scene.balance()] == [["small", "large"]]


def test_the_last_rung_is_given_as_it_comes(scene: Scene) -> None:
    for name in ("small", "middle"):
        scene.banks[name].set_default(logprob=UNSURE)
    assert {(outcome.status, outcome.is_whole) for outcome in scene.call()} == {(200, True)}
    for row in scene.balance():
        assert models_of(row) == ["small", "middle", "large"]
        assert row.savings["cascade"] == -sum(attempt["cost"] for attempt in row.attempts[:2]) < 0
        assert row.route_reason.endswith("middle 0.549 sure, uncalibrated, below 0.80, so large")


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streams"])
def test_json_that_does_not_fit_its_schema_goes_up(scene: Scene, path: str, is_stream: bool) -> None:
    """However sure the model is. The last rung's is given as it comes."""
    reasons = []
    for word in ({"type": "string"}, {"type": "string", "enum": ["yes", "no"]}):
        schema = {"type": "object", "properties": {"said": word, "why": {"type": "string"}}, "required": ["said"]}
        if path == "/responses":
            form = {"type": "json_schema", "name": "verdict", "schema": schema}
            answer = scene.respond(path, input="Is it?", text={"format": form}, stream=is_stream)
        else:
            format_ = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
            answer = scene.ask(response_format=format_, max_tokens=None, stream=is_stream)
        assert answer.status_code == 200, answer.text
        row = scene.balance()[-1]
        reasons.append((models_of(row), "small failed: breaks schema, so middle" in row.route_reason))
    assert reasons == [(["small"], False), (["small", "middle", "large"], True)]


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streams"])
def test_a_tool_call_that_does_not_fit_its_tool_goes_up(scene: Scene, path: str, is_stream: bool) -> None:
    """The bank says its words under ``text``. Where that fits, only how sure the model is keeps it from the caller."""
    for bank in scene.banks.values():
        bank.set_default(tool_call=True)
    reasons = []
    for word in ({"type": "string"}, {"type": "string", "enum": ["yes", "no"]}):
        tool = {"name": "tell", "parameters": {"type": "object", "properties": {"text": word}, "required": ["text"]}}
        if path == "/responses":
            answer = scene.respond(path, input="Is it?", tools=[{"type": "function", **tool}], stream=is_stream)
        else:
            answer = scene.ask(tools=[{"type": "function", "function": tool}], max_tokens=None, stream=is_stream)
        assert answer.status_code == 200, answer.text
        row = scene.balance()[-1]
        assert models_of(row) == ["small", "middle", "large"]
        reasons.append(["failed: bad tool call" in row.route_reason, "nothing tells" in row.route_reason])
    assert reasons == [[False, True], [True, False]]


def test_an_upstream_that_gives_no_probabilities_is_escalated_and_not_asked_for_them_again(scene: Scene) -> None:
    scene.banks["small"].set_default(refuses_logprobs=True)
    assert {outcome.status for outcome in scene.call(4)} == {200}
    rows = scene.balance()
    assert {row.attempts[-1]["model"] for row in rows} == {"middle"}
    assert all("nothing tells how sure it is" in row.route_reason for row in rows)
    refused = [attempt for row in rows for attempt in row.attempts if attempt["status"] == 400]
    assert 1 <= len(refused) <= 4
    assert {attempt["cost"] for attempt in refused} == {0}


def test_where_no_probabilities_are_given_samples_that_agree_do(scene: Scene) -> None:
    """Three of three say the same: the answer is given, and all four tries are paid and shown."""
    scene.sample(3)
    answer = scene.ask()
    assert answer.headers["x-costhub-model"] == "small"
    assert answer.headers["x-costhub-confidence"] == "1.000"
    assert answer.headers["x-costhub-route"].endswith("small 1.000 sure, 3 of 3 samples agree, 0.80 is enough")
    (row,) = scene.balance()
    refused, given, *samples = row.attempts
    assert (refused["status"], refused["cost"]) == (400, 0)
    assert (given["judged"], given["confidence"]) == ("1.000 sure, 3 of 3 samples agree, 0.80 is enough", "1.000")
    assert [(sample["is_sample"], sample["list_cost"]) for sample in samples] == [(True, 0)] * 3
    assert all(sample["cost"] > 0 for sample in samples)
    assert row.list_cost == given["list_cost"]
    assert row.savings == {"cascade": given["list_cost"] - sum(attempt["cost"] for attempt in row.attempts)}


def test_a_sample_that_says_something_else_ends_the_asking_and_the_next_rung_is_asked(scene: Scene) -> None:
    scene.sample(3)
    # The one that is refused, the answer, a sample like it, and one that is not.
    scene.banks["small"].queue(3)
    scene.banks["small"].queue(1, refuses_logprobs=True, wide=True)
    answer = scene.ask(stream=True)
    assert answer.headers["x-costhub-model"] == "middle"
    (row,) = scene.balance()
    assert [attempt.get("is_sample", False) for attempt in row.attempts] == [False, False, True, True, False]
    assert "small 0.500 sure, 1 of 2 samples agree, below 0.80, so middle" in row.route_reason
    assert row.savings["cascade"] == row.attempts[-1]["list_cost"] - row.effective_cost


def test_samples_that_cannot_be_paid_or_had_have_not_agreed(scene: Scene) -> None:
    scene.sample(2)
    scene.banks["small"].queue(3)
    scene.banks["small"].queue(5, fault="http_503")
    answer = scene.ask()
    assert answer.headers["x-costhub-model"] == "middle"
    (row,) = scene.balance()
    assert "small 0.500 sure, 1 of 2 samples agree, below 0.80, so middle" in row.route_reason
    assert row.status == 200


def test_probabilities_that_the_caller_wants_are_the_callers(scene: Scene) -> None:
    answer = scene.ask(logprobs=True)
    assert answer.json()["choices"][0]["logprobs"]["content"][0]["logprob"] == SURE
    streamed = scene.ask(stream=True)
    events = [orjson.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert {choice["logprobs"] for event in events for choice in event["choices"]} == {None}


@pytest.mark.parametrize("habits", [{}, {"responses": True}], ids=["as-chats", "as-responses"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streams"])
def test_responses_are_judged_by_the_same_probabilities(scene: Scene, habits: dict[str, bool], is_stream: bool) -> None:
    with org_scope(scene.acme.org_id):
        for catalog in scene.catalogs.values():
            update_upstream(actor=scene.acme.owner, upstream=catalog.upstream, habits=habits)
    for certain, models in ((SURE, ["small"]), (UNSURE, ["small", "middle"])):
        scene.banks["small"].set_default(logprob=certain)
        answer = scene.respond("/responses", input="Hi", max_output_tokens=20, stream=is_stream)
        assert answer.status_code == 200, answer.text
        # only we had asked for them
        assert '"logprob"' not in answer.text
        assert ("event: response.completed" in answer.text) is is_stream
        assert models_of(scene.balance()[-1]) == models


def test_messages_are_judged_by_the_same_probabilities(scene: Scene) -> None:
    for certain, models in ((SURE, ["small"]), (UNSURE, ["small", "middle"])):
        scene.banks["small"].set_default(logprob=certain)
        answer = scene.respond("/messages", messages=[{"role": "user", "content": "Hi"}], max_tokens=20)
        assert answer.json()["content"][0]["text"]
        assert models_of(scene.balance()[-1]) == models


@pytest.mark.parametrize("path", ["/responses", "/messages"])
def test_other_formats_are_sampled_too(scene: Scene, path: str) -> None:
    scene.sample(3)
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
    answer = scene.respond(path, **(body if path == "/messages" else {"input": "Hi", "max_output_tokens": 20}))
    assert answer.status_code == 200, answer.text
    # One that refused the probabilities, the answer, and three that say the same.
    assert models_of(scene.balance()[-1]) == ["small"] * 5
    refused, given, *samples = (call.json for call in scene.banks["small"].calls_received())
    assert ("logprobs" in refused, "logprobs" in given, "temperature" in given) == (True, False, False)
    assert [sample["temperature"] for sample in samples] == [TEMPERATURE] * 3


def test_a_dear_mistake_decides_by_what_it_costs(scene: Scene) -> None:
    """0.549 sure is fine where a wrong answer costs next to nothing, 0.951 is not where it costs a fortune."""
    scene.banks["small"].set_default(logprob=UNSURE)
    with org_scope(scene.acme.org_id):
        update_route(actor=scene.acme.owner, route=scene.route, answer_worth=10)
    answer = scene.ask()
    assert answer.headers["x-costhub-route"].endswith("small 0.549 sure, uncalibrated, and middle not worth its price")
    assert [models_of(row) for row in scene.balance()] == [["small"]]


@pytest.mark.sampled
@EVERY_FAULT
def test_every_rung_misbehaves_every_third_time(scene: Scene, fault: dict[str, Any]) -> None:
    """Whole answers and streams, on all three rungs: each call has one row, and the row is what the three billed."""
    scene.make_unsure()
    for bank in scene.banks.values():
        for _ in range(EACH):
            bank.queue(2)
            bank.queue(**fault)
    outcomes = scene.call(EACH)
    rows = scene.balance()
    assert Counter(outcome.request_id for outcome in outcomes) == Counter(str(row.id) for row in rows)


@pytest.mark.parametrize("where", ["small", "middle"])
@pytest.mark.parametrize(
    "fault",
    [{"fault": "http_503"}, {"fault": "eof", "at": 2}, {"fault": "hang_up"}, {"fault": "error_event", "at": 2}],
    ids=lambda fault: str(fault["fault"]),
)
def test_a_rung_that_breaks_is_followed_by_the_next(scene: Scene, where: str, fault: dict[str, Any]) -> None:
    scene.make_unsure()
    scene.banks[where].set_default(logprob=UNSURE, **fault)
    outcomes = scene.call()
    assert {(outcome.status, outcome.is_whole) for outcome in outcomes} == {(200, True)}
    rows = scene.balance()
    assert len(rows) == CALLS
    assert {row.status for row in rows} == {200}


@pytest.mark.parametrize("where", ["small", "middle", "large"])
def test_a_rung_that_stalls_is_followed_by_the_next_and_the_last_one_by_an_error(scene: Scene, where: str) -> None:
    scene.make_unsure()
    with org_scope(scene.acme.org_id):
        update_upstream(actor=scene.acme.owner, upstream=scene.catalogs[where].upstream, timeout_ms=1_000)
    # One stream and one whole answer stall, which behind the last rung is tried once more.
    scene.banks[where].queue(3 if where == "large" else 2, fault="stall", at=2)
    outcomes = [scene.ask(stream=is_stream) for is_stream in (True, False)]
    rows = scene.balance()
    assert [str(row.id) for row in rows] == [outcome.headers["x-request-id"] for outcome in outcomes]
    if where == "large":
        # A stream that has begun cannot become another answer; in place of one that has not, the best is given.
        assert '"code":"upstream_timeout"' in outcomes[0].text
        assert [row.response_model for row in rows] == ["large", "middle"]
    else:
        assert {row.response_model for row in rows} == {"large"}
    stalled = [attempt for row in rows for attempt in row.attempts if attempt["error"] == "upstream_timeout"]
    assert {attempt["model"] for attempt in stalled} == {where}
    assert all(attempt["cost"] > 0 for attempt in stalled)


@pytest.mark.parametrize("where", ["small", "middle", "large"])
def test_callers_that_leave_while_a_rung_is_asked_pay_what_the_rungs_billed(scene: Scene, where: str) -> None:
    scene.make_unsure()
    scene.banks[where].set_default(logprob=UNSURE, fault="stall", at=2)

    async def leave() -> None:
        headers = {"authorization": f"Bearer {scene.acme.api_key}"}
        async with httpx2.AsyncClient(
            base_url=scene.proxy.base_url, headers=headers, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS
        ) as http:
            calls = [asyncio.create_task(call_once(http, body)) for body in make_bodies(CALLS)]
            while len(await asyncio.to_thread(scene.banks[where].calls_received)) < CALLS:
                assert not any(call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(leave())
    rows = scene.balance()
    assert [(row.status, row.error_code) for row in rows] == [(499, "client_disconnected")] * CALLS
    assert {row.attempts[-1]["model"] for row in rows} == {where}


def test_callers_leave_at_a_random_byte_of_the_answer(scene: Scene) -> None:
    scene.make_unsure()
    scene.banks["large"].set_default(pace_ms=1)
    chance = random.Random(7)
    leaving = {number: chance.randint(1, 2_000) for number in range(0, 4 * CALLS, 2)}
    outcomes = scene.call(4 * CALLS, leaving.get)
    rows = scene.balance()
    assert Counter(outcome.request_id for outcome in outcomes) == Counter(str(row.id) for row in rows)
    assert "left" in {outcome.error_code for outcome in outcomes}


def test_where_the_last_rung_does_not_answer_the_best_that_there_is_is_given(scene: Scene) -> None:
    scene.banks["small"].set_default(logprob=UNSURE)
    scene.banks["middle"].set_default(logprob=UNSURE * 2)
    scene.banks["large"].set_default(fault="http_503")
    answer = scene.ask()
    assert (answer.status_code, answer.headers["x-costhub-model"]) == (200, "small")
    # A worker that has met it often enough knows that the last one is away: there the one before is the last.
    assert scene.ask(stream=True).status_code == 200
    first, second = scene.balance()
    assert first.response_model == "small"
    assert str(first.upstream_id) == str(scene.catalogs["small"].upstream.pk)
    assert "small given, because large does not answer" in first.route_reason
    assert models_of(first)[:2] == models_of(second)[:2] == ["small", "middle"]
    assert second.response_model == ("small" if "large" in models_of(second) else "middle")


def test_a_rung_that_refuses_in_words_that_no_header_can_hold_is_followed_by_the_next(scene: Scene) -> None:
    """An answer that is kept for its Idempotency-Key goes by ASGI's way, which takes no such header."""
    refusal = whole({"error": {"message": "No.", "code": "no\r\nroom"}}, 503)
    with scripted(lambda _: refusal) as upstream:
        with org_scope(scene.acme.org_id):
            update_upstream(
                actor=scene.acme.owner,
                upstream=scene.catalogs["small"].upstream,
                base_url=upstream.base_url,
                credential="sk-other",
            )
        answer = scene.ask({"idempotency-key": "once"})
    assert answer.status_code == 200, answer.text
    assert "small does not answer (upstream_error), so middle" in answer.headers["x-costhub-route"]


def test_a_rung_that_a_call_cannot_afford_is_left_out(scene: Scene) -> None:
    """The caller pays 30 µ$ at most: enough for the first rung, not for the second beside it."""
    scene.banks["small"].set_default(logprob=UNSURE)
    answer = scene.ask({"x-costhub-max-cost": "0.00003"}, max_tokens=16)
    assert (answer.status_code, answer.headers["x-costhub-model"]) == (200, "small")
    assert answer.headers["x-costhub-route"].endswith("given because the next cannot be paid: max_cost_exceeded")
    (row,) = scene.balance()
    assert models_of(row) == ["small"]


def test_a_worker_that_dies_between_rungs_leaves_books_that_balance(scene: Scene, tmp_path: Path) -> None:
    scene.banks["small"].set_default(logprob=UNSURE)
    with deploy(tmp_path, workers=2) as proxy:
        own = Scene(scene.acme, scene.banks, scene.catalogs, scene.route, proxy)
        bodies = make_bodies(40, bank={"pace_ms": 10})
        killed = []

        def kill(ended: int) -> None:
            if ended == 10:
                killed.append(proxy.kill_worker(scene.banks["middle"].port))

        asyncio.run(call_all(proxy.base_url, scene.acme.api_key, iter(bodies), clients=12, on_end=kill))
        rows = own.balance()
    assert killed
    assert any(row.error_code == "worker_died" for row in rows)


def test_off_and_shadow_go_to_the_baseline(scene: Scene) -> None:
    with org_scope(scene.acme.org_id):
        update_route(actor=scene.acme.owner, route=scene.route, mode=Mode.SHADOW)
    answer = scene.ask()
    assert answer.headers["x-costhub-model"] == "large"
    assert answer.headers["x-costhub-route"] == ("route smart v2 shadow: large, would be small, rung 1 of 3")
    (row,) = scene.balance()
    assert row.savings == {}
