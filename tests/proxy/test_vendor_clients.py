"""The vendors' own clients, each against an upstream of its own format and against one of the other."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from django.db import connections
from django.test import override_settings
from openai.types.responses import FunctionToolParam
from pydantic import BaseModel
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib.money import format_usd
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.actions.upstreams import update_upstream
from tenants.choices import UpstreamKind
from tests.bank import Bank
from tests.bank.answers import answer_text
from tests.proxy.batches.desk import run_worker
from tests.proxy.cache.calls import make_policy
from tests.proxy.deployment import Deployment, deploy
from tests.world import Tenant, World, make_catalog, make_world

QUESTION: list[MessageParam] = [{"role": "user", "content": "one two three"}]
#: three words, three for the message, three for the answer's start; at 0.15 USD, and twelve words back at 0.60
COST = format_usd(9 * 150 + 12 * 600)
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}  # fmt: skip
TOOL: ToolParam = {"name": "find", "description": "Finds", "input_schema": {"type": "object"}}
FUNCTION: FunctionToolParam = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}
MODELS = ("claude", "gpt", "local")
#: the same, whose answers are kept in the cache
CACHED = tuple(f"cached-{model}" for model in MODELS)
#: one whose upstream the proxy asks once
STRICT = "strict"


class Said(BaseModel):
    """What a structured answer holds."""

    text: str


@dataclass(frozen=True)
class Stage:
    """A proxy, Acme with three upstreams, and the bank behind all of them."""

    proxy: Deployment
    acme: Tenant
    bank: Bank

    @cached_property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.proxy.base_url, api_key=self.acme.api_key, max_retries=0)

    @cached_property
    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.proxy.root_url, api_key=self.acme.api_key, max_retries=0)


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Stage]:
    bank = Bank.start(tmp_path_factory.mktemp("bank"))
    try:
        with django_db_blocker.unblock(), deploy(tmp_path_factory.mktemp("proxy")) as proxy:
            world: World = make_world(unique=True)
            with override_settings(ALLOWED_PRIVATE_NETWORKS=((ip_network("127.0.0.0/8"), None),)):
                kinds = (UpstreamKind.ANTHROPIC, UpstreamKind.OPENAI, UpstreamKind.OPENAI_COMPATIBLE)
                for model, kind in zip((*MODELS, *CACHED), 2 * kinds, strict=True):
                    make_catalog(world.acme, base_url=bank.base_url, kind=kind, model=model)
                    if model in CACHED:
                        make_policy(world.acme, model=model)
                strict = make_catalog(world.acme, base_url=bank.base_url, model=STRICT)
            with org_scope(world.acme.org_id):
                update_organization(actor=world.acme.owner, answers_kept_hours=1)
                update_upstream(actor=world.acme.owner, upstream=strict.upstream, max_retries=0)
            stage = Stage(proxy, world.acme, bank)
            yield stage
            stage.openai.close()
            stage.anthropic.close()
    finally:
        bank.stop()


@pytest.fixture(autouse=True)
def _forget_orders(stage: Stage) -> Iterator[None]:
    yield
    stage.bank.clear()


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_creates_and_streams(stage: Stage, model: str) -> None:
    raw = stage.anthropic.messages.with_raw_response.create(model=model, max_tokens=50, messages=QUESTION)
    message = raw.parse()
    assert raw.headers["x-costhub-cost"] == COST
    assert [block.text for block in message.content if block.type == "text"] == [answer_text()]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 9, 12)
    with stage.anthropic.messages.stream(model=model, max_tokens=5, messages=QUESTION) as told:
        assert "".join(told.text_stream) == answer_text(5)
        final = told.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 5)


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_uses_tools_and_takes_their_results(stage: Stage, model: str) -> None:
    stage.bank.queue(tool_call=True)
    message = stage.anthropic.messages.create(model=model, max_tokens=50, messages=QUESTION, tools=[TOOL])
    (used,) = message.content
    assert used.type == "tool_use"
    assert (message.stop_reason, used.name, set(used.input)) == ("tool_use", "find", {"text"})
    turns: list[MessageParam] = [
        *QUESTION,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": used.id, "content": "found"}]},
    ]
    again = stage.anthropic.messages.create(model=model, max_tokens=50, messages=turns, tools=[TOOL])
    assert again.stop_reason == "end_turn"


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_gets_structured_answers(stage: Stage, model: str) -> None:
    message = stage.anthropic.messages.create(
        model=model,
        max_tokens=50,
        messages=QUESTION,
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    (block,) = message.content
    assert block.type == "text"
    assert Said.model_validate_json(block.text).text.startswith(" the river")


@pytest.mark.parametrize("model", MODELS)
def test_clients_that_lose_patience_leave_nothing_running(stage: Stage, model: str) -> None:
    stage.bank.queue(count=3, first_ms=120_000)
    impatient = stage.openai.with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(model=model, messages=[{"role": "user", "content": "one"}])
    with pytest.raises(openai.APITimeoutError):
        impatient.responses.create(model=model, input="one")
    with pytest.raises(anthropic.APITimeoutError):
        stage.anthropic.with_options(timeout=0.3).messages.create(model=model, max_tokens=5, messages=QUESTION)
    # The proxy has left the upstream, too, and takes the next call.
    stage.bank.wait_quiet()
    # Who lost patience before its call came there has left its order behind.
    stage.bank.clear()
    assert stage.anthropic.messages.create(model=model, max_tokens=5, messages=QUESTION).stop_reason == "max_tokens"


def test_clients_try_again_what_an_upstream_in_trouble_refused(stage: Stage) -> None:
    """Where the proxy does not do so itself."""
    began = len(stage.bank.calls_received())
    stage.bank.queue(fault="http_503")
    told = stage.openai.with_options(max_retries=1).chat.completions.create(
        model=STRICT, messages=[{"role": "user", "content": "one"}]
    )
    assert told.choices[0].message.content == answer_text()
    stage.bank.queue(fault="http_503")
    message = stage.anthropic.with_options(max_retries=1).messages.create(model=STRICT, max_tokens=5, messages=QUESTION)
    assert message.stop_reason == "max_tokens"
    assert len(stage.bank.calls_received()) - began == 4


def test_anthropic_understands_errors(stage: Stage) -> None:
    with pytest.raises(anthropic.NotFoundError, match="does not exist"):
        stage.anthropic.messages.create(model="none", max_tokens=5, messages=QUESTION)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        stage.anthropic.messages.create(model="claude", max_tokens=0, messages=QUESTION)
    with pytest.raises(anthropic.AuthenticationError):
        stage.anthropic.with_options(api_key="sk-wrong").messages.create(
            model="claude", max_tokens=5, messages=QUESTION
        )
    stage.bank.queue(fault="rate_limited", retry_after="30")
    with pytest.raises(anthropic.RateLimitError) as refused:
        stage.anthropic.messages.create(model="claude", max_tokens=5, messages=QUESTION)
    assert refused.value.response.headers["retry-after"] == "30"
    assert refused.value.request_id
    stage.bank.queue(fault="error_event", at=2)
    with (
        pytest.raises(anthropic.APIStatusError, match="told to fail"),
        stage.anthropic.messages.stream(model="claude", max_tokens=50, messages=QUESTION) as told,
    ):
        told.get_final_message()


def test_anthropic_retries_what_was_refused(stage: Stage) -> None:
    # More often than the proxy itself tries.
    stage.bank.queue(3, fault="http_503")
    message = stage.anthropic.with_options(max_retries=2).messages.create(
        model="claude", max_tokens=50, messages=QUESTION
    )
    assert message.stop_reason == "end_turn"


def test_anthropic_counts_tokens(stage: Stage) -> None:
    counted = stage.anthropic.messages.count_tokens(model="local", messages=QUESTION)
    # of an unknown vocabulary no more than its bytes and a template
    assert 3 <= counted.input_tokens <= 120


def test_anthropic_lists_models(stage: Stage) -> None:
    assert [model.id for model in stage.anthropic.models.list()] == sorted((*MODELS, *CACHED, STRICT))


@pytest.mark.parametrize("model", MODELS)
def test_openai_creates_and_streams_responses(stage: Stage, model: str) -> None:
    raw = stage.openai.responses.with_raw_response.create(model=model, input="one two three")
    response = raw.parse()
    assert raw.headers["x-costhub-cost"] == COST
    assert (response.status, response.output_text) == ("completed", answer_text())
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (9, 12)
    with stage.openai.responses.stream(model=model, input="one two three") as told:
        deltas = [event.delta for event in told if event.type == "response.output_text.delta"]
        final = told.get_final_response()
    assert "".join(deltas) == answer_text() == final.output_text
    short = stage.openai.responses.create(model=model, input="one two three", max_output_tokens=5)
    assert (short.status, short.output_text) == ("incomplete", answer_text(5))
    assert short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("model", MODELS)
def test_openai_continues_a_response(stage: Stage, model: str) -> None:
    first = stage.openai.responses.create(model=model, input="one two three")
    second = stage.openai.responses.create(model=model, input="four", previous_response_id=first.id)
    assert second.usage is not None
    # three messages: what was asked, what was answered, what is asked now
    assert second.usage.input_tokens == 3 + 3 * 3 + 3 + 12 + 1
    assert stage.openai.responses.retrieve(second.id).output_text == second.output_text
    items = stage.openai.responses.input_items.list(first.id)
    assert [item.type for item in items] == ["message"]
    stage.openai.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        stage.openai.responses.retrieve(first.id)


@pytest.mark.parametrize("model", MODELS)
def test_openai_calls_functions_and_gets_structured_answers(stage: Stage, model: str) -> None:
    stage.bank.queue(tool_call=True)
    response = stage.openai.responses.create(model=model, input="one", tools=[FUNCTION])
    (call,) = response.output
    assert call.type == "function_call"
    assert call.name == "find"
    parsed = stage.openai.responses.parse(model=model, input="one", text_format=Said)
    assert parsed.output_parsed is not None
    assert parsed.output_parsed.text.startswith(" the river")


def test_openai_understands_errors_of_responses(stage: Stage) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        stage.openai.responses.create(model="none", input="one")
    with pytest.raises(openai.BadRequestError, match="leave store out"):
        stage.openai.responses.create(model="gpt", input="one", background=True, store=False)
    stage.bank.queue(fault="error_event", at=2)
    with pytest.raises(openai.APIError, match="told to fail"):
        list(stage.openai.responses.create(model="gpt", input="one", stream=True))


def test_openai_hands_in_and_cancels_what_runs_in_the_background(stage: Stage) -> None:
    taken = stage.openai.responses.create(model="gpt", input="one", background=True)
    assert stage.openai.responses.retrieve(taken.id).status == "queued"
    assert stage.openai.responses.cancel(taken.id).status == "cancelled"
    done = stage.openai.responses.create(model="gpt", input="one two three")
    told = list(stage.openai.responses.retrieve(done.id, stream=True, starting_after=1))
    assert [event.sequence_number for event in told] == list(range(2, 9))
    assert told[-1].type == "response.completed"


@pytest.mark.parametrize("model", MODELS)
def test_openai_compacts_a_conversation_and_goes_on_with_it(stage: Stage, model: str) -> None:
    first = stage.openai.responses.create(model=model, input="one two three")
    raw = stage.openai.responses.with_raw_response.compact(model=model, input="four", previous_response_id=first.id)
    compacted = raw.parse()
    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
    told = compacted.usage
    assert raw.headers["x-costhub-cost"] == format_usd(told.input_tokens * 150 + told.output_tokens * 600)
    items = json.loads(raw.text)["output"]
    second = stage.openai.responses.create(model=model, input=[items[-1], {"role": "user", "content": "five"}])
    assert second.usage is not None
    # what was said before, in short (six words of ours and the bank's own), and "five": for Anthropic one message
    messages = 1 if model == "claude" else 2
    assert second.usage.input_tokens == 3 + messages * 3 + 6 + 12 + 1
    with pytest.raises(openai.BadRequestError, match="leave it out"):
        stage.openai.responses.compact(model=model, input="four", extra_body={"stream": True})
    with pytest.raises(openai.BadRequestError, match="input must say something"):
        stage.openai.responses.compact(model=model)
    items[-1]["encrypted_content"] = "costhub1.%%%"
    with pytest.raises(openai.BadRequestError, match="send it as it came"):
        stage.openai.responses.create(model=model, input=items)


def test_both_are_asynchronous_too(stage: Stage) -> None:
    async def ask() -> tuple[str, str]:
        async with (
            anthropic.AsyncAnthropic(base_url=stage.proxy.root_url, api_key=stage.acme.api_key) as claude,
            openai.AsyncOpenAI(base_url=stage.proxy.base_url, api_key=stage.acme.api_key) as gpt,
        ):
            async with claude.messages.stream(model="local", max_tokens=50, messages=QUESTION) as told:
                said = "".join([text async for text in told.text_stream])
            response = await gpt.responses.create(model="local", input="one two three")
            return said, response.output_text

    assert asyncio.run(ask()) == (answer_text(), answer_text())


def test_a_file_that_openais_client_uploads_is_read_where_either_client_names_it(stage: Stage) -> None:
    words = "one two three"
    file = stage.openai.files.create(file=("letter.txt", words.encode()), purpose="user_data")
    for model in ("gpt", "local"):
        said = stage.openai.responses.create(model=model, input=words)
        named = stage.openai.responses.create(
            model=model, input=[{"role": "user", "content": [{"type": "input_file", "file_id": file.id}]}]
        )
        assert said.usage is not None
        assert named.usage is not None
        assert (named.output_text, named.usage.input_tokens) == (said.output_text, said.usage.input_tokens)
    message = stage.anthropic.beta.messages.create(
        model="local",
        max_tokens=50,
        betas=["files-api-2025-04-14"],
        messages=[
            {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": file.id}}]},
        ],
    )
    assert message.usage.input_tokens == 9
    stage.openai.files.delete(file.id)
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        stage.openai.chat.completions.create(
            model="local",
            messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]}],
        )


def test_openais_asynchronous_client_hands_in_files_and_batches(stage: Stage) -> None:
    def write(number: int) -> bytes:
        said = {"model": "local", "max_tokens": 20, "messages": [{"role": "user", "content": "one two three"}]}
        one = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": said}
        return json.dumps(one).encode() + b"\n"

    content = b"".join(map(write, range(3)))

    def work() -> None:
        run_worker(stage.acme)
        connections.close_all()

    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=stage.proxy.base_url, api_key=stage.acme.api_key, max_retries=0) as gpt:
            file = await gpt.files.create(file=("calls.jsonl", content), purpose="batch")
            assert (await gpt.files.retrieve(file.id)).bytes == len(content)
            assert (await gpt.files.content(file.id)).content == content
            batch = await gpt.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            with pytest.raises(openai.BadRequestError, match="cancel it first"):
                await gpt.files.delete(file.id)
            cancelled = await gpt.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            assert (await gpt.batches.cancel(cancelled.id)).status == "cancelling"
            await asyncio.to_thread(work)
            over = await gpt.batches.retrieve(batch.id)
            assert over.output_file_id is not None
            answers = (await gpt.files.content(over.output_file_id)).text.splitlines()
            said = [json.loads(one)["response"]["body"]["choices"][0]["message"]["content"] for one in answers]
            assert said == [answer_text()] * 3
            assert [one.id async for one in gpt.batches.list(limit=1)] == [cancelled.id, batch.id]
            with pytest.raises(openai.ConflictError):
                await gpt.batches.cancel(batch.id)
            names = [one.id async for one in gpt.files.list()]
            assert {file.id, over.output_file_id} <= {*names}
            assert [(await gpt.files.delete(name)).deleted for name in names] == [True] * len(names)
            with pytest.raises(openai.NotFoundError):
                await gpt.files.retrieve(file.id)

    asyncio.run(ask())


@pytest.mark.parametrize("model", MODELS)
def test_asynchronous_clients_use_tools(stage: Stage, model: str) -> None:
    async def ask() -> tuple[str, str, str]:
        async with (
            anthropic.AsyncAnthropic(base_url=stage.proxy.root_url, api_key=stage.acme.api_key) as claude,
            openai.AsyncOpenAI(base_url=stage.proxy.base_url, api_key=stage.acme.api_key) as gpt,
        ):
            stage.bank.queue(count=3, tool_call=True)
            message = await claude.messages.create(model=model, max_tokens=50, messages=QUESTION, tools=[TOOL])
            response = await gpt.responses.create(model=model, input="one", tools=[FUNCTION])
            chat = await gpt.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "one"}],
                tools=[{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
            )
            (used,), (call,) = message.content, response.output
            assert used.type == "tool_use"
            assert call.type == "function_call"
            assert chat.choices[0].message.tool_calls is not None
            (asked,) = chat.choices[0].message.tool_calls
            assert asked.type == "function"
            return used.name, call.name, asked.function.name

    assert asyncio.run(ask()) == ("find", "find", "find")


def test_asynchronous_clients_understand_errors(stage: Stage) -> None:
    async def ask() -> None:
        async with (
            anthropic.AsyncAnthropic(
                base_url=stage.proxy.root_url, api_key=stage.acme.api_key, max_retries=0
            ) as claude,
            openai.AsyncOpenAI(base_url=stage.proxy.base_url, api_key=stage.acme.api_key, max_retries=0) as gpt,
        ):
            with pytest.raises(anthropic.NotFoundError, match="does not exist"):
                await claude.messages.create(model="none", max_tokens=5, messages=QUESTION)
            with pytest.raises(anthropic.AuthenticationError):
                await claude.with_options(api_key="sk-wrong").models.list()
            with pytest.raises(openai.BadRequestError, match="max_output_tokens"):
                await gpt.responses.create(model="gpt", input="one", max_output_tokens=-5)
            with pytest.raises(openai.AuthenticationError):
                await gpt.with_options(api_key="sk-wrong").files.list()
            stage.bank.queue(fault="rate_limited", retry_after="30")
            with pytest.raises(openai.RateLimitError) as refused:
                await gpt.chat.completions.create(model=STRICT, messages=[{"role": "user", "content": "one"}])
            assert refused.value.response.headers["retry-after"] == "30"
            stage.bank.queue(fault="error_event", at=2)
            with pytest.raises(anthropic.APIStatusError, match="told to fail"):
                async with claude.messages.stream(model="claude", max_tokens=50, messages=QUESTION) as told:
                    await told.get_final_message()

    asyncio.run(ask())


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_reaches_all_of_them(stage: Stage, model: str) -> None:
    completion = stage.openai.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "one two three"}]
    )
    assert completion.choices[0].message.content == answer_text()
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (9, 12)


@pytest.mark.parametrize("model", CACHED)
def test_a_stream_from_the_cache_is_read_as_the_first_was(stage: Stage, model: str) -> None:
    """With the closing comment behind it, and without what it cost then."""

    def chat() -> tuple[str, str | None, str]:
        asked = stage.openai.chat.completions.with_streaming_response.create(
            model=model, messages=[{"role": "user", "content": "one two three"}], stream=True
        )
        with asked as raw:
            chunks = [chunk for chunk in raw.parse() if chunk.choices]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            return text, chunks[-1].choices[0].finish_reason, raw.headers["x-costhub-cache"]

    def respond() -> tuple[str, str | None, str]:
        asked = stage.openai.responses.with_streaming_response.create(model=model, input="one two three", stream=True)
        with asked as raw:
            *_, last = raw.parse()
            assert last.type == "response.completed"
            # Where the upstream speaks it, an answer has an id of its own to be asked for by, and is nobody else's.
            assert (raw.headers["x-costhub-cache"] == "bypass") == (model == "cached-gpt")
            return last.response.output_text, last.response.status, raw.headers["x-costhub-cache"]

    def write() -> tuple[str, str | None, str]:
        with stage.anthropic.messages.stream(model=model, max_tokens=50, messages=QUESTION) as told:
            message = told.get_final_message()
            text = "".join(block.text for block in message.content if block.type == "text")
            return text, message.stop_reason, told.response.headers["x-costhub-cache"]

    for read, end in ((chat, "stop"), (respond, "completed"), (write, "end_turn")):
        kept = {"miss": "hit-l1", "bypass": "bypass"}
        text, ended, status = read()
        assert (text, ended) == (answer_text(), end)
        assert read() == (text, ended, kept[status])
