"""Prompts that are sent shorter than they came: what callers and the ledger are told, and what is left alone."""

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from costhub.lib.errors import InvalidField
from proxy.app import App
from proxy.cache.embedder import Embedder, load_model
from proxy.core.compression.perplexity import ScoredToken
from proxy.edges import counting as counting_module
from proxy.edges.counting import Counting
from proxy.routing.compressor import Compressor
from proxy.values.request import Controls, Endpoint
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.actions.end_users import create_end_user
from tenants.actions.system_prompts import approve_system_prompt, propose_system_prompt
from tenants.choices import BudgetAction, Compression, Mode, Tokenizer
from tenants.route_snapshots import CompressionSnapshot
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.cache.calls import call, told, written
from tests.proxy.core.examples import ORG, make_request
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, events_of
from tests.world import Tenant, World, make_budget, make_catalog

WIDE = "The   meeting    was  about     the   new   office   in   Oslo."
TIDY = "The meeting was about the new office in Oslo."


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url, tokenizer=Tokenizer.O200K)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    assert app._edges is not None
    app._edges.compressor._deadline = 60
    yield app
    await app.close()


async def make_policy(tenant: Tenant, mode: Mode = Mode.ON, *methods: Compression, **fields: Any) -> None:
    def make() -> None:
        with org_scope(tenant.org.pk):
            create_compression_policy(
                actor=tenant.owner,
                mode=mode,
                methods=methods or (Compression.LOSSLESS,),
                **{"holdout_percent": 0} | fields,
            )

    await in_thread(make)


def ask(text: str) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": text}])


async def answered(app: App, tenant: Tenant, text: str, **headers: str) -> tuple[Conversation, dict[str, Any]]:
    answer = await call(app, tenant, ask(text), **headers)
    assert answer.status == 200, answer.body
    await written(app)
    rows = {row["id"]: row for row in events_of(tenant)}
    return answer, rows[answer.headers["x-request-id"]]


async def test_a_shorter_prompt_is_sent_and_told(app: App, acme: Tenant, bank: Bank) -> None:
    await make_policy(acme)
    answer, row = await answered(app, acme, WIDE)
    before, _, after = answer.headers["x-costhub-compression"].partition(">")
    assert int(before) > int(after)
    assert row["route_reason"] == "direct; compressed"
    assert row["savings"] == {"compression": (int(before) - int(after)) * 150}
    assert row["list_cost"] - row["effective_cost"] == row["savings"]["compression"]
    # who is told to leave it alone does
    as_it_came, row = await answered(app, acme, WIDE, x_costhub_compression="off")
    assert "x-costhub-compression" not in as_it_came.headers
    assert (row["route_reason"], row["savings"]) == ("direct", {})


async def test_the_shadow_only_says_what_it_would_have_saved(app: App, acme: Tenant) -> None:
    await make_policy(acme, Mode.SHADOW)
    answer, row = await answered(app, acme, WIDE)
    assert "x-costhub-compression" not in answer.headers
    assert row["route_reason"].startswith("direct; compression shadow: ")
    assert row["savings"] == {}


async def test_one_that_is_off_for_a_model_holds_beside_one_for_all(app: App, acme: Tenant) -> None:
    await make_policy(acme)
    await make_policy(acme, Mode.OFF, model="small")
    answer, row = await answered(app, acme, WIDE)
    assert "x-costhub-compression" not in answer.headers
    assert (row["route_reason"], row["savings"]) == ("direct", {})


async def test_an_approved_system_prompt_is_sent_and_its_saving_told(app: App, acme: Tenant, bank: Bank) -> None:
    long, short = "You are a kind and very patient helper. Answer in French.", "Answer in French."
    await make_policy(acme, Mode.ON, Compression.SYSTEM_PROMPT)

    def approve() -> None:
        with org_scope(acme.org.pk):
            prompt = propose_system_prompt(actor=acme.owner, original=long, shorter=short)
            approve_system_prompt(actor=acme.owner, prompt=prompt)

    await in_thread(approve)
    await told(app, acme)
    body = chat(messages=[{"role": "system", "content": long}, {"role": "user", "content": "Hi"}])
    answer = await call(app, acme, body)
    await written(app)
    (row,) = events_of(acme)
    before, _, after = answer.headers["x-costhub-compression"].partition(">")
    name = f"{hashlib.sha256(long.encode()).hexdigest()[:8]} v1"
    assert row["route_reason"] == f"direct; system prompt {name}, compressed"
    assert row["savings"] == {"compression": (int(before) - int(after)) * 150}
    # The bank counts words: 3 of the shorter prompt, 1 of the question, and 3 for each message and the start.
    assert row["input_tokens"] == 3 + 1 + 9


async def test_some_conversations_are_held_out(app: App, acme: Tenant) -> None:
    await make_policy(acme, holdout_percent=50)
    arms = set()
    for number in range(40):
        _, row = await answered(app, acme, f"{number} {WIDE}")
        arms.add(row["route_reason"])
    assert arms == {"direct; compressed", "direct; compression held out"}


async def test_a_rung_of_a_ladder_shortens(app: App, acme: Tenant) -> None:
    ladder = [{"at": 1, "rung": "compress"}]
    await in_thread(lambda: make_budget(acme, "0.0003", action=BudgetAction.DEGRADE, ladder=ladder))
    rows = [(await answered(app, acme, WIDE))[1] for _ in range(2)]
    assert [row["route_reason"] for row in rows] == ["direct", "degraded: compress"]
    assert rows[1]["savings"].keys() == {"compression"}


async def test_a_word_that_is_no_switch_is_refused(app: App, acme: Tenant) -> None:
    answer = await call(app, acme, ask(WIDE), x_costhub_compression="maximum")
    assert answer.status == 400
    assert b"The only value of x-costhub-compression is off." in answer.body


async def test_passages_that_do_not_matter_are_left_out(app: App, acme: Tenant) -> None:
    """With the real model: of twelve towns one is asked for."""
    await make_policy(acme, Mode.ON, Compression.EXTRACT)
    towns = "Bergen Paris Lima Cairo Delhi Osaka Quito Accra Perth Miami Turin Leeds".split()
    passages = [f"{town} lies in its country beside the sea and has markets, bridges and schools." for town in towns]
    passages[3] = "The composer Anna Berg was born in Cairo in 1921 and wrote nine operas there."
    text = "\n\n".join(["Answer from these passages.", *passages, "Where was the composer Anna Berg born?"])
    answer, row = await answered(app, acme, text)
    before, _, after = answer.headers["x-costhub-compression"].partition(">")
    assert int(after) < int(before) / 2
    assert row["savings"]["compression"] == (int(before) - int(after)) * 150


PROSE = (
    "The office of the company is very nice and the office has its windows for the sun. " * 6
    + "The contract with Anna Berg was signed in Oslo.\n\nWho signed the contract?"
)


async def test_vectors_have_a_bound_also_where_each_deadline_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.routing.compressor._MOST_VECTORS", 5)

    class Stuck:
        async def embed(self, text: str) -> Any:
            return np.zeros(3) if text.startswith("Passage") else await asyncio.Event().wait()

    counting = Counting()
    compressor = Compressor(counting, cast("Embedder", Stuck()), 50)
    org = replace(ORG, compression=(CompressionSnapshot("", Mode.ON.value, (Compression.EXTRACT.value,)),))
    said = ["Answer.", *(f"Passage {place} has five words." for place in range(20)), "Which one is it?"]
    request = make_request(Endpoint.CHAT, ask("\n\n".join(said)))
    try:
        assert await compressor.apply(request, Controls(), org) is request
    finally:
        counting.close()
    assert len(compressor._vectors) == 5


async def test_words_that_a_model_would_have_guessed_are_left_out_and_asking_it_is_paid(
    app: App, acme: Tenant, bank: Bank
) -> None:
    await make_policy(acme, Mode.ON, Compression.PERPLEXITY, keep_percent=60, scorer="small")
    answer, row = await answered(app, acme, PROSE)
    rows = {row["kind"]: row for row in events_of(acme)}
    before, _, after = answer.headers["x-costhub-compression"].partition(">")
    assert int(after) < 0.75 * int(before)
    assert row["savings"] == {"compression": (int(before) - int(after)) * 150}
    scoring = rows["scoring"]
    assert scoring["route_reason"] == f"scoring for {row['id']}"
    assert (scoring["request_model"], scoring["endpoint"], scoring["output_tokens"]) == ("small", "completions", 1)
    assert scoring["effective_cost"] == scoring["list_cost"] > 0
    # The next turn has the same text: it is not scored, and paid, again.
    await answered(app, acme, PROSE)
    assert [row["kind"] for row in events_of(acme)].count("scoring") == 1
    assert len(bank.bill()) == 3


async def test_what_one_organisations_model_has_scored_shortens_nobody_elses_prompt() -> None:
    """Of two whose scorers have one name each asks its own: it may be anybody's server."""
    policy = CompressionSnapshot("", Mode.ON.value, (Compression.PERPLEXITY.value,), 600, scorer="small")
    counting = Counting()
    compressor = Compressor(counting, Embedder(partial(load_model, "onnx")), 60_000)
    request, sent = make_request(Endpoint.CHAT, ask(PROSE)), []
    try:
        for name, slope, base in (("acme", -1, 0), ("globex", 1, -len(PROSE))):
            org = replace(ORG, id=name, compression=(policy,))

            # To the one the words at the end are the surprising ones, to the other those at the beginning.
            async def score(_: str, text: str, slope: int = slope, base: int = base) -> list[ScoredToken]:
                words = re.finditer(r"\S+", text)
                return [ScoredToken(word.start(), word.end(), base + slope * word.start()) for word in words]

            shorter = await compressor.apply(request, Controls(), org, score)
            sent.append(shorter.body["messages"][0]["content"])
    finally:
        counting.close()
    assert all(len(text) < 0.75 * len(PROSE) for text in sent)
    assert sent[0] != sent[1]


async def test_what_a_scoring_says_that_misses_its_deadline_is_paid_once_and_used_in_the_next_turn() -> None:
    policy = CompressionSnapshot("", Mode.ON.value, (Compression.PERPLEXITY.value,), 600, scorer="small")
    counting, asked, answers = Counting(), list[str](), asyncio.Event()
    compressor = Compressor(counting, Embedder(partial(load_model, "onnx")), 1)
    request, org = make_request(Endpoint.CHAT, ask(PROSE)), replace(ORG, compression=(policy,))

    async def score(scorer: str, text: str) -> list[ScoredToken]:
        asked.append(scorer)
        await answers.wait()
        return [ScoredToken(word.start(), word.end(), -word.start()) for word in re.finditer(r"\S+", text)]

    try:
        # The second turn comes while the first one's scoring is still under way, the third when it is there.
        assert [await compressor.apply(request, Controls(), org, score) for _ in range(2)] == [request] * 2
        answers.set()
        (scoring,) = compressor._scoring.values()
        await scoring
        shorter = await compressor.apply(request, Controls(), org, score)
    finally:
        await compressor.close()
        counting.close()
    assert asked == ["small"]
    assert len(shorter.body["messages"][0]["content"]) < 0.75 * len(PROSE)


async def test_a_scoring_that_is_under_way_ends_with_its_process() -> None:
    policy = CompressionSnapshot("", Mode.ON.value, (Compression.PERPLEXITY.value,), 600, scorer="small")
    counting, ended = Counting(), list[bool]()
    compressor = Compressor(counting, Embedder(partial(load_model, "onnx")), 1)

    async def score(_: str, __: str) -> list[ScoredToken]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return []

    request, org = make_request(Endpoint.CHAT, ask(PROSE)), replace(ORG, compression=(policy,))
    try:
        assert await compressor.apply(request, Controls(), org, score) == request
    finally:
        await compressor.close()
        counting.close()
    assert ended == [True]


async def test_without_scores_the_prompt_is_sent_as_it_is(app: App, acme: Tenant, bank: Bank) -> None:
    await make_policy(acme, Mode.ON, Compression.PERPLEXITY, keep_percent=60, scorer="small")
    bank.queue(1, refuses_logprobs=True)
    answer, row = await answered(app, acme, PROSE)
    assert "x-costhub-compression" not in answer.headers
    assert (row["route_reason"], row["savings"]) == ("direct", {})


async def test_who_is_blocked_has_nothing_scored(app: App, acme: Tenant, bank: Bank) -> None:
    await make_policy(acme, Mode.ON, Compression.PERPLEXITY, keep_percent=60, scorer="small")

    def block() -> None:
        with org_scope(acme.org.pk):
            create_end_user(actor=acme.owner, external_id="mallory", is_blocked=True)

    await in_thread(block)
    await told(app, acme)
    answer = await call(app, acme, ask(PROSE), x_costhub_user="mallory")
    assert answer.status == 403
    await written(app)
    assert [row["kind"] for row in events_of(acme)] == ["call"]
    assert bank.bill() == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"keep_percent": 60}, "scorer"),
        ({"keep_percent": 60, "scorer": "nobody"}, "scorer"),
        ({"scorer": "small"}, "keep_percent"),
        ({"scorer": "small", "methods": [Compression.LOSSLESS]}, "scorer"),
    ],
)
def test_a_scorer_is_a_model_and_keeps_a_share(acme: Tenant, given: dict[str, Any], field: str) -> None:
    with org_scope(acme.org.pk), pytest.raises(InvalidField) as refused:
        create_compression_policy(actor=acme.owner, mode=Mode.ON, **{"methods": [Compression.PERPLEXITY]} | given)
    assert refused.value.field == field


async def test_long_prompts_of_one_organisation_keep_no_others_from_being_shortened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of those that are shortened beside the loop at once no organisation has more than its share."""
    monkeypatch.setattr(counting_module, "DEADLINE_SECONDS", PATIENCE_SECONDS)
    policy = CompressionSnapshot("", Mode.ON.value, (Compression.LOSSLESS.value,))
    acme = replace(ORG, compression=(policy,))
    mallcorp = replace(acme, id="0197e9d4-0000-7000-8000-00000000000f")
    request = make_request(Endpoint.CHAT, ask(WIDE * 2_000))
    assert request.body_bytes > counting_module.INLINE_BYTES
    counting, is_over = Counting(), threading.Event()
    compressor = Compressor(counting, Embedder(lambda: load_model("onnx")), 60_000)
    long = [
        asyncio.create_task(counting.run(request.body_bytes, is_over.wait, lambda: False, whose=mallcorp.id))
        for _ in range(counting_module.MOST_OF_ONE)
    ]
    await asyncio.sleep(0)
    assert await compressor.apply(request, Controls(), mallcorp) is request
    shortening = asyncio.create_task(compressor.apply(request, Controls(), acme))
    await asyncio.sleep(0)
    is_over.set()
    assert (await shortening).shortened
    assert all(await asyncio.gather(*long))
    counting.close()
