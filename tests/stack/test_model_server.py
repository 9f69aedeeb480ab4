"""The demo's model, really loaded: what an OpenAI client gets from it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionUserMessageParam,
)

from costhub.stack.model_server import MODEL, ModelServer, get_status
from costhub.stack.ports import find_free_port
from tests.stack.conftest import ROOT
from tests.stack_fixtures import make_data_dir

pytestmark = pytest.mark.model
WORDS = "What is the capital of France?"
QUESTION: ChatCompletionUserMessageParam = {"role": "user", "content": WORDS}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    folder = make_data_dir()
    server = ModelServer(folder)
    try:
        server.start()
        server.wait_ready()
        with openai.OpenAI(base_url=server.url, api_key="none is asked for", max_retries=0) as made:
            yield made
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.mark.parametrize("own", ["", "active"])
def test_its_threads_wait_for_each_other_asleep_unless_the_machine_s_owner_says_otherwise(own: str) -> None:
    """A loop would take the processor from the thread that is waited for, where others want it too."""
    told = subprocess.run(
        [sys.executable, "-c", "import costhub.stack.serve_model, os; print(os.environ['OMP_WAIT_POLICY'])"],
        env={name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        | ({"OMP_WAIT_POLICY": own} if own else {}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == (own or "passive")


def test_it_knows_the_capital_of_france(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, temperature=0, messages=[QUESTION])
    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (16, 8)


def test_a_message_in_parts_is_the_same_message(client: openai.OpenAI) -> None:
    parts: ChatCompletionUserMessageParam = {"role": "user", "content": [{"type": "text", "text": WORDS}]}
    answer = client.chat.completions.create(model=MODEL, temperature=0, messages=[parts])
    assert answer.choices[0].message.content == "The capital of France is Paris."


def test_it_gives_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, temperature=0, max_tokens=3, logprobs=True, top_logprobs=2, messages=[QUESTION]
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [token.token for token in logprobs.content] == ["The", " capital", " of"]
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in logprobs.content)


def test_it_streams_and_ends_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, temperature=0, stream=True, stream_options={"include_usage": True}, messages=[QUESTION]
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "The capital of France is Paris."
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (16, 8)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_tools_and_their_results_are_accepted(client: openai.OpenAI) -> None:
    tool: ChatCompletionFunctionToolParam = {
        "type": "function",
        "function": {"name": "find_capital", "parameters": {"type": "object", "properties": {}}},
    }
    call: ChatCompletionMessageFunctionToolCallParam = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "find_capital", "arguments": "{}"},
    }
    answer = client.chat.completions.create(
        model=MODEL,
        temperature=0,
        max_tokens=8,
        tools=[tool],
        messages=[
            QUESTION,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Paris"},
        ],
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 8


def test_nobody_answers_on_a_free_port() -> None:
    assert get_status(find_free_port(), "/health") is None
