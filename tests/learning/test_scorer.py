"""A small model as the scorer of compression: each token of a prompt with how likely it was, in vLLM's form."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import numpy as np
import pytest
import torch

from costhub.stack.model_server import MODEL
from proxy.core.compression.apply import prune_scored
from proxy.core.compression.perplexity import ScoredToken
from proxy.learning.lora import prompt_scorer
from proxy.learning.lora.bases import find_base
from proxy.learning.lora.prompt_scorer import PromptScorer
from proxy.learning.lora.scorer_server import ScorerServer
from proxy.scoring import read_scores
from tests.learning.bases import TINY

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]

TEXT = "The capital of France is Paris. Ça va, 東京? 👩‍👩‍👧 done"
ASKED = {"model": TINY, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 0}


@pytest.fixture(scope="module")
def scorer(models: str) -> PromptScorer:
    return PromptScorer(find_base(TINY, models))


@pytest.fixture
async def http(scorer: PromptScorer) -> AsyncIterator[httpx2.AsyncClient]:
    app: Any = ScorerServer(scorer.score, TINY, "s3cret")
    transport = httpx2.ASGITransport(app=app)
    headers = {"authorization": "Bearer s3cret"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://scorer/v1", headers=headers) as client:
        yield client


def test_tokens_are_the_text_and_as_likely_as_the_model_says(scorer: PromptScorer) -> None:
    scored = scorer.score(TEXT)
    assert "".join(one.text for one in scored) == TEXT
    assert scored[0].logprob is None
    assert all(one.text for one in scored)
    # Together they are what the model's own loss says of the text.
    ids = torch.tensor([scorer._tokenizer(TEXT, add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        loss = float(scorer._model(ids, labels=ids).loss)
    total = sum(one.logprob for one in scored if one.logprob is not None)
    assert total == pytest.approx(-loss * (ids.shape[1] - 1), rel=1e-4)
    assert scorer.score("") == []


def test_a_long_text_is_rated_in_parts_as_it_is_at_once(scorer: PromptScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "One line of a long text. " * 60
    whole = [one.logprob for one in scorer.score(text)][1:]
    monkeypatch.setattr(prompt_scorer, "_PLACES", 7)
    parts = [one.logprob for one in scorer.score(text)][1:]
    np.testing.assert_allclose(np.array(whole, float), np.array(parts, float), atol=1e-4)


async def test_it_answers_as_the_proxy_asks(scorer: PromptScorer, http: httpx2.AsyncClient) -> None:
    answer = await http.post("/completions", json=ASKED | {"prompt": TEXT})
    assert answer.status_code == 200, answer.text
    scored = read_scores(answer.content, TEXT)
    assert [TEXT[one.start : one.end] for one in scored] == [one.text for one in scorer.score(TEXT)]
    usage = answer.json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (len(scored), 0)
    listed = await http.get("/models")
    assert [model["id"] for model in listed.json()["data"]] == [TINY]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"prompt": "Hi", "echo": False}, 400, "invalid_request_error"),
        ({"prompt": "Hi", "logprobs": None}, 400, "invalid_request_error"),
        ({"prompt": "Hi", "stream": True}, 400, "invalid_request_error"),
        ({"prompt": ""}, 400, "invalid_request_error"),
        ({"prompt": ["Hi"]}, 400, "invalid_request_error"),
        ({"prompt": "a b " * 10_000}, 400, "context_length_exceeded"),
        ({"prompt": "x" * 2**20}, 413, "body_too_large"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_it_does_not_answer_it_refuses_in_words(
    http: httpx2.AsyncClient, fields: dict[str, Any], status: int, code: str
) -> None:
    refused = await http.post("/completions", json=ASKED | fields)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


async def test_strangers_and_other_paths_are_refused(http: httpx2.AsyncClient) -> None:
    for headers in ({"authorization": "Bearer guess"}, {"authorization": ""}):
        stranger = await http.post("/completions", json=ASKED | {"prompt": "Hi"}, headers=headers)
        assert stranger.status_code == 401
    assert (await http.post("/chat/completions", json={})).status_code == 404
    assert (await http.post("/completions", content=b"{")).status_code == 400


@pytest.mark.model
def test_smollm2_finds_what_can_be_guessed_and_pruning_leaves_the_rest() -> None:
    """With the real model: the words that it could have written itself go first."""
    scorer = PromptScorer(find_base(MODEL, ""))
    text = (
        "The office of the company is very nice and the office has its windows for the sun. " * 3
        + "The contract with Anna Berg was signed in Oslo.\n\nWho signed the contract?"
    )
    told = {one.text.strip(): one.logprob for one in scorer.score("The capital of France is Paris")}
    assert told["Paris"] is not None
    assert told["France"] is not None
    assert told["Paris"] > told["France"]
    head = text.partition("\n\n")[0]
    scored, place = [], 0
    for one in scorer.score(head):
        scored.append(ScoredToken(place, place + len(one.text), one.logprob))
        place += len(one.text)
    pruned = prune_scored(text, scored, 0.6)
    assert len(pruned) < 0.8 * len(text)
    assert "Anna Berg" in pruned
    assert pruned.endswith("Who signed the contract?")
