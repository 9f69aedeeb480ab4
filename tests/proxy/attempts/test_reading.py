"""What an upstream answers is read where it holds up nobody: what is short at once, what is long in a thread."""

import threading
from typing import Any

import orjson
import pytest

from proxy.attempts.reading import drop_logprobs, read_answer, read_said
from proxy.core.routes import said
from proxy.core.routes.said import Said
from proxy.core.weight import SMALL_BYTES
from proxy.upstreams.openai import AnswerReader
from proxy.upstreams.openai_responses import ResponsesReader
from proxy.values.answer import Answer
from proxy.values.attempt import Certainty, Usage
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, converse, make_known, running, send_to, serve
from tests.proxy.scripted_upstream import DONE, USAGE, Script, answer, chunk, scripted, stream, whole
from tests.watched import watched
from tests.world import Tenant, World, make_catalog

#: a text that is longer than what is read at once
LONG = "word " * SMALL_BYTES


class Watched(AnswerReader):
    """Notes which thread reads."""

    threads: list[threading.Thread]

    def __init__(self) -> None:
        super().__init__()
        self.threads = []

    def read_answer(self, raw: bytes) -> bytes:
        self.threads.append(threading.current_thread())
        return super().read_answer(raw)


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    """Acme, whose upstream says what a test has it say."""
    make_catalog(committed_world.acme, base_url="https://127.0.0.1:1")
    make_known(committed_world.acme)
    return committed_world.acme


async def ask(acme: Tenant, script: Script, **fields: Any) -> Any:
    with scripted(script) as upstream:
        send_to(acme, upstream.base_url)
        async with running() as app:
            return await serve(app, converse(acme.api_key, chat(**fields)))


@pytest.mark.parametrize(("text", "is_beside"), [("Hi", False), (LONG, True)])
async def test_what_is_long_is_read_in_a_thread(text: str, is_beside: bool) -> None:
    reader = Watched()
    raw = orjson.dumps(answer(text, USAGE))
    assert await read_answer(raw, reader) is raw
    assert [one is not threading.main_thread() for one in reader.threads] == [is_beside]
    assert reader.texts == [text]


@pytest.mark.parametrize(("text", "is_beside"), [("Hi", False), (LONG, True)])
async def test_so_is_an_event(acme: Tenant, text: str, is_beside: bool) -> None:
    first = chunk({"content": text}, "stop")
    with watched(AnswerReader.read_part) as seen:
        told = await ask(acme, lambda _: stream(first, chunk(usage=USAGE), DONE), stream=True)
    assert told.status == 200
    assert text.encode() in told.body
    read_on_the_loop = [event for one in seen for event in one.names["events"]]
    assert any(text.encode() in event for event in read_on_the_loop) is not is_beside


async def test_an_answer_of_a_million_values_is_none(acme: Tenant) -> None:
    told = await ask(acme, lambda _: whole(answer("", USAGE, content=["a"] * 1_100_000)))
    assert told.status == 502
    assert orjson.loads(told.body)["error"]["code"] == "upstream_malformed"


@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_sixteen_thousand_tokens_with_twenty_alternatives_each_are_an_answer(wire: str) -> None:
    """They are 23 MB, and five million values."""
    more = [{"token": f" a{number}", "logprob": -1.5, "bytes": [32, 97]} for number in range(20)]
    tokens = [{"token": " a", "logprob": -0.25, "bytes": [32, 97], "top_logprobs": more}] * 16_000
    if wire == "chat":
        body = answer("Hi", USAGE)
        body["choices"][0]["logprobs"] = {"content": tokens}
        reader: Any = AnswerReader()
    else:
        part = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": tokens}
        item = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
        body = {"id": "r", "model": "small", "status": "completed", "output": [item], "usage": usage}
        reader = ResponsesReader()
    raw = orjson.dumps(body)
    assert reader.read_answer(raw) is raw
    assert (reader.texts, reader.certainty) == (["Hi"], Certainty.EXACT)
    assert (reader.report.usage.input, reader.report.usage.output) == (9, 2)


@pytest.mark.parametrize(("text", "is_beside"), [("Hi", False), (LONG, True)])
async def test_what_a_long_answer_says_is_found_in_a_thread(text: str, is_beside: bool) -> None:
    """Of a rung of a cascade, and without the probabilities that only we asked for."""
    body = answer(text, USAGE)
    body["choices"][0]["logprobs"] = {"content": [{"token": "Hi", "logprob": -0.25}]}
    raw = orjson.dumps(body)
    kept = Answer("application/json", False, (raw,), "small", Usage(), Certainty.EXACT, "stop", True)
    with watched(said.read_answer, said.drop_logprobs) as seen:
        assert await read_said(kept) == Said(text, logprobs=(-0.25,))
        (without,) = await drop_logprobs(kept.parts, is_stream=False)
    body["choices"][0]["logprobs"] = None
    assert orjson.loads(without) == body
    assert [one.name for one in seen] == ([] if is_beside else ["read_answer", "drop_logprobs"])


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ({"base_resp": {"status_code": 1004, "status_msg": "bad key sk-proj-AbCdEfGhIjKl..."}}, 502),
        ({"detail": "bad key sk-proj-AbCdEfGhIjKl...", "status": 400}, 400),
        ({"errors": [{"message": "bad key sk-proj-AbCdEfGhIjKl...", "code": 400}]}, 400),
        ({"message": "bad key sk-proj-AbCdEfGhIjKl..."}, 502),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_of_a_refusal_in_a_200_nobody_gets_half_of_the_credential(
    committed_world: World, refusal: Any, status: int, is_stream: bool
) -> None:
    with scripted(lambda _: stream(refusal, DONE) if is_stream else whole(refusal)) as upstream:

        def make() -> None:
            credential = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz"
            make_catalog(committed_world.acme, base_url=upstream.base_url, credential=credential)

        await in_thread(make)
        async with running() as app:
            told = await serve(app, converse(committed_world.acme.api_key, chat(stream=is_stream)))
    assert told.status == status, told.body
    assert "bad key [credential]..." in orjson.loads(told.body)["error"]["message"]
