"""The official client, to a real model and back: what it understands, and one cost wherever one looks."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import httpx2
import openai
import pytest
from django.conf import settings
from django.test import override_settings
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib.money import format_usd
from costhub.stack.model_server import MODEL, ModelServer
from proxy import tasks
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import read_row
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.test_operations import wait_until
from tests.stack_fixtures import make_data_dir
from tests.world import Tenant, World, make_budget, make_catalog, make_client, make_world

pytestmark = pytest.mark.model

PARIS = "The capital of France is Paris."
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "find_capital", "parameters": {"type": "object", "properties": {}}},
}
BANK_MODEL = "bank"
#: 16 tokens in, 8 out: 16 x 123,457 + 8 x 654,321 = 7,209,880 pico-USD, rounded up once
INPUT_PRICE, OUTPUT_PRICE = "0.123457", "0.654321"
COST_NANOS, COST = 7_210, "0.000007210"


@dataclass(frozen=True)
class Stage:
    """A proxy, its world, a model and a bank behind it."""

    proxy: Deployment
    world: World
    bank: Bank

    @property
    def acme(self) -> Tenant:
        return self.world.acme

    def client(self, api_key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.proxy.base_url, api_key=api_key or self.acme.api_key)


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Stage]:
    folder = make_data_dir()
    model, bank = ModelServer(folder), Bank.start(tmp_path_factory.mktemp("bank"))
    try:
        model.start()
        with django_db_blocker.unblock(), deploy(tmp_path_factory.mktemp("proxy")) as proxy:
            model.wait_ready()
            world = make_world(unique=True)
            with override_settings(ALLOWED_PRIVATE_NETWORKS=((ip_network("127.0.0.0/8"), None),)):
                make_models(world, model, bank)
            yield Stage(proxy, world, bank)
    finally:
        bank.stop()
        model.stop()
        shutil.rmtree(folder)


def make_models(world: World, model: ModelServer, bank: Bank) -> None:
    """The real model for both organisations; for Acme also the bank's, which embeds and calls tools when told to."""
    for tenant in (world.acme, world.mallcorp):
        make_catalog(
            tenant,
            base_url=model.url,
            credential=None,
            model=MODEL,
            context_window=2048,
            max_output_tokens=512,
            input_per_million=INPUT_PRICE,
            output_per_million=OUTPUT_PRICE,
        )
    make_catalog(world.acme, base_url=bank.base_url, model=BANK_MODEL, output_per_million="0")


@pytest.fixture
def client(stage: Stage) -> Iterator[openai.OpenAI]:
    with stage.client() as client:
        yield client


def rows_of(tenant: Tenant) -> list[LedgerEntry]:
    """Every ledger row of a tenant, oldest first."""
    tasks.drain_ledger()
    with org_scope(tenant.org_id):
        return list(LedgerEntry.objects.filter(org_id=tenant.org_id).order_by("started_at"))


class TestChat:
    def test_an_answer(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION)
        assert answer.choices[0].message.content == PARIS
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (16, 8)

    @pytest.mark.parametrize("wants_usage", [True, False])
    def test_a_stream(self, client: openai.OpenAI, wants_usage: bool) -> None:
        more: dict[str, Any] = {"stream_options": {"include_usage": True}} if wants_usage else {}
        chunks = list(
            client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION, stream=True, **more)
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == PARIS
        usages = [(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) for chunk in chunks if chunk.usage]
        assert usages == ([(16, 8)] if wants_usage else [])

    def test_logprobs(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(
            model=MODEL, temperature=0, max_tokens=3, logprobs=True, top_logprobs=2, messages=QUESTION
        )
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        assert [(token.token, len(token.top_logprobs)) for token in logprobs.content] == [
            ("The", 2),
            (" capital", 2),
            (" of", 2),
        ]

    def test_logprobs_in_a_stream(self, client: openai.OpenAI) -> None:
        chunks = client.chat.completions.create(
            model=MODEL, temperature=0, max_tokens=3, logprobs=True, messages=QUESTION, stream=True
        )
        told = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices]
        tokens = [token.token for logprobs in told if logprobs for token in logprobs.content or ()]
        assert tokens == ["The", " capital", " of"]

    @pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
    def test_tools_and_their_results(self, client: openai.OpenAI, is_stream: bool) -> None:
        messages: list[ChatCompletionMessageParam] = [
            *QUESTION,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "find_capital", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "Paris"},
        ]
        asked: Any = {
            "model": MODEL,
            "temperature": 0,
            "max_tokens": 8,
            "tools": [TOOL],
            "tool_choice": "auto",
            "messages": messages,
        }
        if is_stream:
            chunks = list(client.chat.completions.create(**asked, stream=True))
            assert chunks[-1].choices[0].finish_reason in {"stop", "length", "tool_calls"}
        else:
            answer = client.chat.completions.create(**asked)
            assert 1 <= answer.usage.completion_tokens <= 8

    def test_a_tool_call_arrives_as_the_upstream_made_it(self, client: openai.OpenAI) -> None:
        asked: Any = {"model": BANK_MODEL, "tools": [TOOL], "messages": QUESTION}
        more = {"bank": {"tool_call": True}}
        choice = client.chat.completions.create(**asked, extra_body=more).choices[0]
        (call,) = choice.message.tool_calls
        assert (call.function.name, choice.finish_reason) == ("find_capital", "tool_calls")
        deltas = [
            delta
            for chunk in client.chat.completions.create(**asked, extra_body=more, stream=True)
            if chunk.choices
            for delta in chunk.choices[0].delta.tool_calls or ()
        ]
        assert "".join(delta.function.name or "" for delta in deltas) == "find_capital"
        assert "".join(delta.function.arguments or "" for delta in deltas) == call.function.arguments

    def test_several_choices(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(model=MODEL, temperature=0, n=2, max_tokens=4, messages=QUESTION)
        assert [choice.message.content for choice in answer.choices] == ["The capital of France"] * 2

    async def test_the_asynchronous_client(self, stage: Stage) -> None:
        async with openai.AsyncOpenAI(base_url=stage.proxy.base_url, api_key=stage.acme.api_key) as client:
            answer = await client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION)
            assert answer.choices[0].message.content == PARIS
            text = ""
            async for chunk in await client.chat.completions.create(
                model=MODEL, temperature=0, messages=QUESTION, stream=True
            ):
                text += chunk.choices[0].delta.content or ""
            assert text == PARIS
            assert [model.id async for model in client.models.list()] == [BANK_MODEL, MODEL]
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("nobody")


class TestOtherEndpoints:
    def test_a_completion(self, client: openai.OpenAI) -> None:
        answer = client.completions.create(model=MODEL, temperature=0, max_tokens=6, prompt="Two and two make")
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 6
        chunks = client.completions.create(
            model=MODEL, temperature=0, max_tokens=6, prompt="Two and two make", stream=True
        )
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == answer.choices[0].text

    def test_the_models(self, client: openai.OpenAI) -> None:
        assert [model.id for model in client.models.list()] == [BANK_MODEL, MODEL]
        assert client.models.retrieve(MODEL).owned_by == "costhub"

    def test_embeddings(self, client: openai.OpenAI) -> None:
        answer = client.embeddings.create(model=BANK_MODEL, input=["one two", "three"])
        assert [item.index for item in answer.data] == [0, 1]
        assert len(answer.data[0].embedding) == len(answer.data[1].embedding) > 0
        assert answer.usage.prompt_tokens > 0


class TestErrors:
    def test_an_unknown_key(self, stage: Stage) -> None:
        with stage.client("chk_nobody") as client, pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model=MODEL, messages=QUESTION)
        assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")

    def test_an_unknown_model(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="nobody", messages=QUESTION)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")

    def test_a_bad_request(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=MODEL, messages=QUESTION, n=0)
        assert (caught.value.type, caught.value.param) == ("invalid_request_error", "n")
        assert "n must be a whole number from 1 to 128." in caught.value.message

    @pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
    def test_a_spent_budget_is_not_tried_again(self, stage: Stage, is_stream: bool) -> None:
        mallcorp = stage.world.mallcorp
        make_budget(mallcorp, "0.000000001", scope=BudgetScope.KEY, subject=str(mallcorp.key.pk))
        before = len(rows_of(mallcorp))
        with stage.client(mallcorp.api_key) as client, pytest.raises(openai.APIStatusError) as caught:
            assert client.max_retries == 2
            client.chat.completions.create(model=MODEL, messages=QUESTION, stream=is_stream)
        assert caught.value.status_code == 402
        assert (caught.value.type, caught.value.code) == ("insufficient_quota", "budget_exceeded")
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert isinstance(caught.value.body, dict)
        assert caught.value.body["budget"]["scope"] == "key"
        # A refusal is sent in the same breath as its event.
        wait_until(lambda: len(rows_of(mallcorp)) > before)
        rows = rows_of(mallcorp)
        assert [(row.status, row.effective_cost) for row in rows[before:]] == [(402, 0)]
        assert caught.value.request_id == str(rows[-1].id)


class TestOneCostEverywhere:
    """The header or the stream's last comment, our own endpoint, the ledger, the management API and the page."""

    def test_of_a_plain_call(self, stage: Stage, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(model=MODEL, temperature=0, messages=QUESTION)
        assert raw.parse().choices[0].message.content == PARIS
        assert raw.headers["x-costhub-list-cost"] == COST
        assert raw.headers["x-costhub-savings"] == "0.000000000"
        self.look_everywhere(stage, raw.headers["x-request-id"], raw.headers["x-costhub-cost"])

    def test_of_a_stream(self, stage: Stage, client: openai.OpenAI) -> None:
        with client.chat.completions.with_streaming_response.create(
            model=MODEL, temperature=0, messages=QUESTION, stream=True
        ) as answer:
            request_id = answer.headers["x-request-id"]
            assert "x-costhub-cost" not in answer.headers
            lines = list(answer.iter_lines())
        comments = dict(line[2:].split(": ") for line in lines if line.startswith(": "))
        assert [line for line in lines if line][-1] == "data: [DONE]"
        assert comments["x-costhub-list-cost"] == COST
        self.look_everywhere(stage, request_id, comments["x-costhub-cost"])

    def look_everywhere(self, stage: Stage, request_id: str, told: str) -> None:
        assert told == COST
        unread = self.ask_proxy(stage, request_id)
        row = read_row(stage.acme, request_id)
        read = self.ask_proxy(stage, request_id)
        for story in (unread, read):
            assert (story["effective_cost"], story["net_effective_cost"], story["list_cost"]) == (COST, COST, COST)
        assert (row.effective_cost, row.list_cost, row.savings) == (COST_NANOS, COST_NANOS, {})
        assert (row.input_tokens, row.output_tokens, row.is_estimated) == (16, 8, False)
        assert format_usd(row.effective_cost) == told
        managed = self.ask_management(stage, request_id)
        assert (managed["effective_cost"], managed["list_cost"]) == (COST, COST)
        assert self.read_page(stage, request_id) == f"${COST}"

    @staticmethod
    def ask_proxy(stage: Stage, request_id: str) -> dict[str, Any]:
        return _get(f"{stage.proxy.base_url}/costhub/requests/{request_id}", stage.acme.api_key)

    @staticmethod
    def ask_management(stage: Stage, request_id: str) -> dict[str, Any]:
        return _get(f"{stage.proxy.root_url}/api/v1/requests/{request_id}", stage.acme.admin_token)

    @staticmethod
    def read_page(stage: Stage, request_id: str) -> str:
        """The cost as Ada reads it on the page that a request's id leads to."""
        browser = make_client()
        browser.force_login(stage.world.ada)
        with httpx2.Client(trust_env=False, verify=NO_TLS, follow_redirects=True, timeout=PATIENCE_SECONDS) as http:
            http.cookies.set(settings.SESSION_COOKIE_NAME, browser.cookies[settings.SESSION_COOKIE_NAME].value)
            page = http.get(f"{stage.proxy.root_url}/requests/{request_id}").raise_for_status().text
        shown = re.search(r'data-detail="cost">(.*?)</dd>', page, re.DOTALL)
        assert shown is not None
        return re.sub(r"<[^>]*>|\s", "", shown[1])


def _get(url: str, token: str) -> dict[str, Any]:
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        answer = http.get(url, headers={"authorization": f"Bearer {token}"}).raise_for_status()
    body: dict[str, Any] = answer.json()
    return body
