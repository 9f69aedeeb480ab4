"""Whoever may not have an answer does not get it: generated pairs of calls through the whole application, with the real
model, at every level. The keys alone are compared for ten thousand pairs in test_key.py."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from costhub.eval.near_misses import make_pairs
from proxy.app import App
from tenants.choices import CacheMode, CacheSharing
from tests.bank import Bank
from tests.proxy.cache.calls import make_policy
from tests.proxy.cache.test_semantic import app, ask, status_of
from tests.sampling import examples
from tests.world import Tenant, World, make_catalog

__all__ = ["app"]

HITS = {"hit-l1", "hit-l2", "hit-semantic", "coalesced", "recheck"}
#: equal questions and like ones: each is a hit in the call's own scope
QUESTIONS = [
    ("What is the capital city of France?", "Which city is the capital of France?"),
    ("How do I reset the password of the router?", "How can I reset the password of the router?"),
]
Body = dict[str, Any]
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
#: what makes a call another one
CHANGES: dict[str, Callable[[Body], Body]] = {
    "system prompt": lambda body: body | {"messages": [{"role": "system", "content": "Lie."}, *body["messages"]]},
    "tools": lambda body: body | {"tools": TOOLS},
    "model": lambda body: body | {"model": "large"},
    "temperature": lambda body: body | {"temperature": 0.3},
    "format": lambda body: body | {"response_format": {"type": "json_object"}},
    "limit": lambda body: body | {"max_tokens": 400},
}


@pytest.fixture
def tenants(committed_world: World, bank: Bank) -> tuple[Tenant, Tenant]:
    """Two organisations with the same two models, whose end users share nothing."""
    both = (committed_world.acme, committed_world.mallcorp)
    for tenant in both:
        for model in ("small", "large"):
            make_catalog(tenant, base_url=bank.base_url, model=model)
        make_policy(tenant, semantic=CacheMode.ON, sharing=CacheSharing.END_USER)
    return both


async def test_no_call_gets_the_answer_of_one_that_differs(app: App, tenants: tuple[Tenant, Tenant]) -> None:
    chance, (acme, mallcorp) = random.Random(27), tenants
    pairs = examples(96)
    kinds = [*CHANGES, "organisation", "end user"]
    for number in range(pairs):
        kept, like = chance.choice(QUESTIONS)
        system, kind = f"You answer in style {number}.", kinds[number % len(kinds)]
        asked = ask(chance.choice([kept, like]), system=system)
        await status_of(app, acme, ask(kept, system=system), x_costhub_user="ada")
        other = CHANGES[kind](asked) if kind in CHANGES else asked
        found = await status_of(
            app,
            mallcorp if kind == "organisation" else acme,
            other,
            x_costhub_user="ben" if kind == "end user" else "ada",
        )
        assert found not in HITS, (kind, asked)
        if number < len(kinds):
            # The same question would have been answered.
            assert await status_of(app, acme, asked, x_costhub_user="ada") in HITS, asked


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_of_five_hundred_near_misses_two_at_most_are_hits(app: App, tenants: tuple[Tenant, Tenant]) -> None:
    acme, _ = tenants
    wrong = []
    for kind, pairs in make_pairs().items():
        for number, (kept, asked) in enumerate(pairs):
            system = f"You answer in style {kind} {number}."
            await status_of(app, acme, ask(kept, system=system))
            if await status_of(app, acme, ask(asked, system=system)) in HITS:
                wrong.append((kept, asked))
    assert len(wrong) <= 2, wrong
