"""The official clients for JavaScript: whole calls, and every kind of stream that we write. Node and its registry are
no part of the suite's needs, so that this is one of the long runs."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.choices import UpstreamKind
from tenants.models import Upstream
from tests.bank import Bank, answer_text
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import line, run_worker
from tests.proxy.books import assert_balanced
from tests.proxy.cache.calls import make_policy
from tests.proxy.deployment import Deployment, deploy
from tests.world import Tenant, World, make_catalog

pytestmark = pytest.mark.soak

Json = dict[str, Any]

HERE: Final = Path(__file__).resolve().parent / "npm"
#: 3 + 3 + 2 words in at 0.15, 12 out at 0.60 USD a million
COST: Final = "0.000008400"
USAGE: Final = {"stream_options": {"include_usage": True}}
TOOL: Final = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
#: which model's upstream speaks what
KINDS: Final = {
    "local": UpstreamKind.OPENAI_COMPATIBLE,
    "gpt": UpstreamKind.OPENAI,
    "claude": UpstreamKind.ANTHROPIC,
}
QUESTION: Final = [{"role": "user", "content": "Hi there"}]
CALLS: Final[dict[str, Json]] = {
    "chat": {"messages": QUESTION},
    "responses": {"input": "Hi there"},
    "messages": {"messages": QUESTION, "max_tokens": 50},
}
ENDS: Final = {"chat": "stop", "responses": "completed", "messages": "end_turn"}
TOOLS: Final[dict[str, Json]] = {
    "chat": TOOL,
    "responses": {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}},
    "messages": {"name": "find", "input_schema": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside the clients that it imports, installed at the versions that package.json names."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "streams.mjs", "clients.mjs"):
        shutil.copy(HERE / name, folder / name)
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True, timeout=300
    )
    return folder


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("npm-proxy")) as proxy:
        yield proxy


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """With a model at an upstream of each kind, and one more."""
    for model, kind in {"small": UpstreamKind.OPENAI_COMPATIBLE, **KINDS}.items():
        make_catalog(committed_world.acme, base_url=bank.base_url, kind=kind, model=model)
    return committed_world.acme


def ask(client: Path, proxy: Deployment, acme: Tenant, *calls: Json) -> list[Json]:
    """What the clients make of the streams of these calls."""
    return run(client, proxy, acme, "streams.mjs", calls=calls)


def act(client: Path, proxy: Deployment, acme: Tenant, *steps: Json) -> list[Json]:
    """What comes of whole calls with the clients."""
    return run(client, proxy, acme, "clients.mjs", steps=steps)


def run(client: Path, proxy: Deployment, acme: Tenant, script: str, **given: Any) -> list[Json]:
    """What a script tells."""
    asked = {"base_url": proxy.base_url, "root_url": proxy.root_url, "api_key": acme.api_key, **given}
    ran = subprocess.run(
        ["node", script],
        cwd=client,
        input=orjson.dumps(asked),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    told: list[Json] = orjson.loads(ran.stdout)
    return told


def read(client: Path, proxy: Deployment, acme: Tenant, *bodies: Json) -> list[Json]:
    """The same of chats of the model small."""
    call = {"model": "small", **CALLS["chat"]}
    return ask(client, proxy, acme, *({"api": "chat", "body": call | body} for body in bodies))


def list_calls(**more: Json) -> list[Json]:
    """A call in each form, to an upstream of each kind; with what ``more`` has for the form."""
    return [
        {"api": api, "body": {"model": model, **body, **more.get(api, {})}}
        for api, body in CALLS.items()
        for model in KINDS
    ]


def test_every_stream_is_read_to_its_end_fresh_and_from_the_cache(
    client: Path, proxy: Deployment, acme: Tenant
) -> None:
    make_policy(acme)
    calls = list_calls()
    fresh = ask(client, proxy, acme, *calls)
    again = ask(client, proxy, acme, *calls)
    for call, first, second in zip(calls, fresh, again, strict=True):
        assert (first["error"], second["error"]) == (None, None), call
        assert (first["text"], first["finish"]) == (answer_text(), ENDS[call["api"]]), call
        assert (second["text"], second["finish"], second["usage"]) == (first["text"], first["finish"], first["usage"])
        is_own = (call["api"], call["body"]["model"]) == ("responses", "gpt")
        # Where the upstream speaks it, a response has an id of its own to be asked for by, and is nobody else's.
        assert (first["cache"], second["cache"]) == (("bypass",) * 2 if is_own else ("miss", "hit-l1")), call
        if call["api"] != "chat" and not is_own:
            # A chat says what it cost in a comment, or beside the usage that was asked for.
            assert (first["costhub"]["cost"], second["costhub"]["cost"]) == (COST, "0.000000000"), call


def test_a_tools_arguments_are_put_together(client: Path, proxy: Deployment, acme: Tenant) -> None:
    calls = list_calls(**{api: {"tools": [tool], "bank": {"tool_call": True}} for api, tool in TOOLS.items()})
    seen = ask(client, proxy, acme, *calls)
    assert [one["error"] for one in seen] == [None] * len(calls)
    assert all(isinstance(orjson.loads(one["arguments"]), dict) for one in seen)


def test_however_the_upstream_writes_its_events_the_client_reads_the_answer(
    client: Path, proxy: Deployment, acme: Tenant
) -> None:
    ways: list[Json] = [
        {},
        *({"bank": {"fault": fault}} for fault in ("crlf", "cr", "multi_line", "no_done", "duplicate_final")),
        {"bank": {"wide": True}},
        {"n": 2, "bank": {"output_tokens": 1}},
    ]
    plain = read(client, proxy, acme, *ways)
    assert [seen["error"] for seen in plain] == [None] * len(ways)
    assert [(seen["text"], seen["finish"], seen["usage"]) for seen in plain[:6]] == [(answer_text(), "stop", None)] * 6
    reported = read(client, proxy, acme, *(way | USAGE for way in ways[:6]))
    assert {seen["costhub"]["cost"] for seen in reported} == {COST}
    assert {(seen["usage"]["prompt_tokens"], seen["usage"]["completion_tokens"]) for seen in reported} == {(8, 12)}


@pytest.mark.parametrize("fault", ["reset", "eof", "error_event"])
def test_a_stream_that_breaks_off_is_an_error_of_the_clients_own_kind(
    client: Path, proxy: Deployment, acme: Tenant, fault: str
) -> None:
    broken = {"bank": {"fault": fault, "at": 3}}
    for call, seen in zip(
        list_calls(),
        ask(client, proxy, acme, *list_calls(**dict.fromkeys(CALLS, broken))),
        strict=True,
    ):
        assert seen["error"] is not None, call
        assert seen["error"]["is_api_error"], (call, seen)
        if call["api"] == "chat" and fault != "error_event":
            assert seen["error"]["code"] == "upstream_broke_off"


def test_a_refusal_before_the_first_byte_has_its_status(client: Path, proxy: Deployment, acme: Tenant) -> None:
    calls = [{"api": api, "body": {"model": "nobody's", **body}} for api, body in CALLS.items()]
    unknown = ask(client, proxy, acme, *calls)
    assert [(seen["error"]["status"], seen["error"]["code"]) for seen in unknown] == [(404, "model_not_found")] * 3
    refused = {"bank": {"fault": "http_error", "status": 400}}
    refusing = list_calls(**dict.fromkeys(CALLS, refused))
    assert {seen["error"]["status"] for seen in ask(client, proxy, acme, *refusing)} == {400}


SCHEMA: Final[Json] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
#: how each form asks for an answer that keeps to a schema
STRUCTURED: Final[dict[str, Json]] = {
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "said", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "said", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
}


def list_steps(options: Json | None = None, **more: Json) -> list[Json]:
    """The calls of ``list_calls`` as steps."""
    return [{"act": one["api"], "body": one["body"], "options": options or {}} for one in list_calls(**more)]


def test_calls_are_created_with_tools_and_with_structured_answers(
    client: Path, proxy: Deployment, acme: Tenant
) -> None:
    plain, structured = list_steps(), list_steps(**STRUCTURED)
    tools = list_steps(**{api: {"tools": [tool], "bank": {"tool_call": True}} for api, tool in TOOLS.items()})
    told = act(client, proxy, acme, *plain, *structured, *tools, {"act": "models"})
    assert [one["error"] for one in told] == [None] * len(told)
    came = [one["came"] for one in told]
    for step, said in zip(plain, came[:9], strict=True):
        assert (said["text"], said["finish"], said["cost"]) == (answer_text(), ENDS[step["act"]], COST), step
    assert all(set(orjson.loads(said["text"])) == {"text"} for said in came[9:18])
    assert [(said["tool"]["name"], set(said["tool"]["input"])) for said in came[18:27]] == [("find", {"text"})] * 9
    assert came[27] == dict.fromkeys(("openai", "anthropic"), sorted(["small", *KINDS]))


def test_what_is_refused_is_an_error_of_its_own_kind(client: Path, proxy: Deployment, acme: Tenant) -> None:
    unknown = [{"act": api, "body": {"model": "none", **body}} for api, body in CALLS.items()]
    wrong = [
        {"act": "chat", "body": {"model": "small", **CALLS["chat"], "n": 0}},
        {"act": "messages", "body": {"model": "small", **CALLS["messages"], "max_tokens": 0}},
    ]
    told = act(client, proxy, acme, *unknown, *wrong, {"act": "collect", "id": "batch_none", "file": "file-none"})
    assert [(one["error"]["kind"], one["error"]["status"]) for one in told] == [
        *[("NotFoundError", 404)] * 3,
        *[("BadRequestError", 400)] * 2,
        ("NotFoundError", 404),
    ]


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("loop", ["runTools", "runMessageTools"])
def test_their_loops_run_a_tool_and_come_to_an_answer(
    client: Path, proxy: Deployment, acme: Tenant, bank: Bank, loop: str, model: str
) -> None:
    bank.queue(tool_call=True)
    (told,) = act(client, proxy, acme, {"act": loop, "model": model, "question": "Hi there"})
    assert told["error"] is None, told
    assert (told["came"]["text"], [set(given) for given in told["came"]["called"]]) == (answer_text(), [{"text"}])
    assert len(assert_balanced(acme, bank).rows) == 2


def test_features_that_are_named_in_code_are_told_in_the_header(
    client: Path, proxy: Deployment, acme: Tenant, bank: Bank
) -> None:
    body = {"model": "claude", **CALLS["messages"], "betas": ["effort-2025-11-24", "strange-2031-01-01"]}
    (told,) = act(client, proxy, acme, {"act": "betaMessages", "body": body})
    assert told == {"came": answer_text(), "error": None}
    assert [call.header("anthropic-beta") for call in bank.calls_received()] == ["effort-2025-11-24"]


def test_clients_wait_no_longer_than_they_are_told_and_try_again(
    client: Path, proxy: Deployment, acme: Tenant, bank: Bank
) -> None:
    slow = {"bank": {"first_ms": 120_000}}
    told = act(client, proxy, acme, *list_steps({"timeout": 300}, **dict.fromkeys(CALLS, slow)))
    assert {one["error"]["kind"] for one in told} == {"APIConnectionTimeoutError"}
    bank.wait_quiet()
    with org_scope(acme.org_id):
        for upstream in Upstream.objects.filter(org=acme.org):
            # Else the proxy tries again, and the client hears nothing of it.
            update_upstream(actor=acme.owner, upstream=upstream, max_retries=0)
    came = []
    for step in list_steps({"maxRetries": 1}):
        bank.queue(fault="http_503")
        came += act(client, proxy, acme, step)
    assert [one["error"] for one in came] == [None] * 9


def test_files_and_batches_from_hand_to_hand(client: Path, proxy: Deployment, acme: Tenant) -> None:
    lines = [line(number) for number in range(3)]
    (taken,) = act(client, proxy, acme, {"act": "batch", "lines": lines})
    made = taken["came"]
    assert (taken["error"], made["status"], made["is_same"]) == (None, "in_progress", True)
    run_worker(acme)
    over, late = act(
        client,
        proxy,
        acme,
        {"act": "collect", "id": made["id"], "file": made["file"]},
        {"act": "cancel", "id": made["id"]},
    )
    assert over["error"] is None
    assert (over["came"]["status"], over["came"]["counts"]) == ("completed", {"total": 3, "completed": 3, "failed": 0})
    assert [one["custom_id"] for one in over["came"]["answers"]] == ["line-0", "line-1", "line-2"]
    assert (over["came"]["listed"], over["came"]["deleted"]) == ([made["id"]], True)
    assert (late["error"]["kind"], late["error"]["code"]) == ("ConflictError", "batch_not_cancellable")


def test_message_batches_from_hand_to_hand(client: Path, proxy: Deployment, acme: Tenant, bank: Bank) -> None:
    params = {"model": "claude", **CALLS["messages"]}
    requests = [{"custom_id": f"ask-{number}", "params": params} for number in range(3)]
    first, second = act(client, proxy, acme, *[{"act": "messageBatch", "requests": requests}] * 2)
    assert (first["error"], first["came"]["status"]) == (None, "in_progress")
    assert (first["came"]["counts"]["processing"], second["error"]) == (3, None)
    gone, early = second["came"]["id"], {"act": "messageResults", "id": first["came"]["id"]}
    (ending, none_yet) = act(client, proxy, acme, {"act": "cancelMessages", "id": gone}, early)
    assert (ending["came"], none_yet["error"] is None) == ("canceling", False)
    run_worker(acme)
    over, cancelled, late, files = act(
        client,
        proxy,
        acme,
        early,
        {"act": "messageResults", "id": gone},
        {"act": "cancelMessages", "id": gone},
        {"act": "betaFiles"},
    )
    assert (over["error"], over["came"]["status"], over["came"]["counts"]["succeeded"]) == (None, "ended", 3)
    results = over["came"]["results"]
    assert [one["custom_id"] for one in results] == ["ask-0", "ask-1", "ask-2"]
    assert {one["result"]["message"]["content"][0]["text"] for one in results} == {answer_text()}
    assert set(over["came"]["listed"]) == {first["came"]["id"], gone}
    assert over["came"]["type"] == "message_batch_deleted"
    assert [one["result"]["type"] for one in cancelled["came"]["results"]] == ["canceled"] * 3
    assert (late["error"]["kind"], late["error"]["status"]) == ("NotFoundError", 404)
    assert (files["error"]["kind"], files["error"]["code"]) == ("NotFoundError", "not_served")
    assert_balanced(acme, bank)
