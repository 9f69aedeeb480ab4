"""A router of three targets learns of each pair of neighbours by itself, from labels of those two models."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from billing.routes.learned import why_not
from costhub.lib import clock
from proxy import tasks
from proxy.app import App
from proxy.core.routes.packing import (
    LearnedPairs,
    LearnedRouter,
    Unreadable,
    pack_pairs,
    pack_router,
    unpack_either,
    unpack_router,
)
from proxy.core.routes.router import Router, predict
from proxy.core.routes.scoring import score
from proxy.learning.route_training import as_pair, estimate_gains, find_labels, find_pair_labels, train_on
from proxy.learning.router_training import NothingToLearn
from proxy.routing.labels import describe_prompt
from proxy.routing.model import LearnedRoute, RouteLabel
from proxy.values.request import Controls
from proxy.values.routing import PairGain, Scores
from tenants.access import org_scope
from tenants.actions.routes import update_route
from tenants.choices import RouteKind
from tenants.models import Route
from tests.bank import Bank
from tests.patience import until
from tests.proxy.cache.calls import call
from tests.proxy.core.examples import make_chat
from tests.proxy.core.routes import examples
from tests.proxy.edges.threads import in_thread
from tests.proxy.routing.test_learning import ask, labels_of, make_gains, make_label
from tests.tenants.route_examples import make_models, make_route, targets_of
from tests.world import Tenant, World

THREE = ("small", "middle", "large")
LOWER, UPPER = ("small", "middle"), ("middle", "large")


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_models(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


def make_pair_gains(tenant: Tenant, route: Route, count: int, pair: tuple[str, str], hard: str) -> list[RouteLabel]:
    """Labels of compared answers, of which those to prompts with one word are better of the pair's dearer model."""
    rows = make_gains(tenant, route, count, hard, model=pair[0])
    for row in rows:
        row.features = {**row.features, "compared_with": pair[1]}
    return rows


def make_judged(tenant: Tenant, route: Route, model: str, shares: dict[str, int], *, right: bool) -> RouteLabel:
    features = {"prompt": describe_prompt("Hi"), "shares": shares}
    return make_label(tenant, route, "Hi", model=model, features=features, share=shares[model] / 1000, right=right)


def learned_pairs(route: Route) -> tuple[LearnedPairs, dict[str, Any]]:
    with org_scope(route.org_id):
        row = LearnedRoute.objects.get(org_id=route.org_id, pk=Route.objects.get(pk=route.pk).learned)
    found = unpack_either(bytes(row.packed))
    assert isinstance(found, LearnedPairs)
    return found, row.report


def make_router(gain: float) -> Router:
    return Router({"": gain}, np.zeros(20), np.ones(20), np.zeros(20), np.zeros(0), np.zeros(0))


def test_each_pair_learns_from_its_own_labels_and_calls_climb_by_both(acme: Tenant) -> None:
    route = make_route(acme, names=THREE, is_learning=True, sticky="request", explore_percent=0)
    with org_scope(acme.org_id):
        lower = make_pair_gains(acme, route, 300, LOWER, "integral")
        RouteLabel.objects.bulk_create(lower + make_pair_gains(acme, route, 301, UPPER, "eigenvector"))
    assert tasks.train_routes() >= 1
    learned, report = learned_pairs(route)
    assert list(learned.pairs) == [LOWER, UPPER]
    assert [(one["weak"], one["strong"], one["labels"], one["learned"]) for one in report["pairs"]] == [
        ("small", "middle", 300, True),
        ("middle", "large", 301, True),
    ]
    for pair, hard in ((LOWER, "integral"), (UPPER, "eigenvector")):
        router, threshold = learned.pairs[pair]
        hard_gain, easy_gain = (predict(router, f"wheat {word} of rice", "") for word in (hard, "margin"))
        assert hard_gain is not None and easy_gain is not None  # noqa: PT018
        assert hard_gain.value > threshold > easy_gain.value

    async def decide() -> list[str]:
        app = App()
        await app.open()
        try:
            first = await ask(app, acme, "wheat integral of rice")
            assert "what was learned is not loaded yet, it looks simple" in first.headers["x-costhub-route"]
            assert app._edges is not None
            known = app._edges.learned_routes._known
            await until(lambda: bool(known))
            asked = [await ask(app, acme, f"wheat {words} of rice") for words in ("margin", "integral eigenvector")]
            asked.append(await ask(app, acme, "wheat margin of rice", x_costhub_tags="task=new"))
            assert "the task new is new, it looks simple" in asked[2].headers["x-costhub-route"]
            assert asked[1].headers["x-costhub-route"].count("which is asked from") == 2
            return [answer.headers["x-costhub-model"] for answer in asked]
        finally:
            await app.close()

    assert asyncio.run(decide()) == ["small", "large", "small"]


def test_a_pair_with_too_few_labels_stays_with_how_hard_a_prompt_looks(acme: Tenant) -> None:
    route = make_route(acme, names=THREE, is_learning=True)
    rows = make_pair_gains(acme, route, 300, LOWER, "integral") + make_pair_gains(acme, route, 99, UPPER, "integral")
    trained = train_on(RouteKind.ROUTER, rows, [LOWER, UPPER])
    lower, upper = trained.report["pairs"]
    assert (lower["learned"], upper["learned"], trained.labels) == (True, False, 399)
    assert upper["why"] == "It has 99 labels of the 100 that it needs."
    learned = unpack_either(trained.packed)
    assert isinstance(learned, LearnedPairs)
    assert list(learned.pairs) == [LOWER]
    with pytest.raises(NothingToLearn, match=r"small and middle: It has 0 labels .* middle and large: It has 99"):
        train_on(RouteKind.ROUTER, rows[300:], [LOWER, UPPER])


def test_one_label_may_be_of_two_pairs_and_of_each_by_its_share_there(acme: Tenant) -> None:
    """A call that is advised to go to the middle one goes there 90 times of 100, and five times to each beside it."""
    route = make_route(acme, names=THREE)
    shares = {"middle": 900, "small": 50, "large": 50}
    rows = [make_judged(acme, route, name, shares, right=True) for name in THREE]
    # Advised to stay at the small one: of it nothing is known about the upper pair.
    rows.append(make_judged(acme, route, "middle", {"small": 900, "middle": 100}, right=False))
    rows.append(make_judged(acme, route, "large", {"large": 1000}, right=False))
    of_pairs = [
        [(row.model, row.is_strong, round(row.share, 4)) for row in as_pair(rows, *pair)] for pair in (LOWER, UPPER)
    ]
    assert of_pairs == [
        [("small", False, 0.0526), ("middle", True, 0.9474), ("middle", True, 0.1)],
        [("middle", False, 0.9474), ("large", True, 0.0526)],
    ]
    # What is to be saved is as it was.
    assert [row.share for row in rows[:3]] == [0.05, 0.9, 0.05]
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(rows)
        assert [find_pair_labels(route, *pair).count() for pair in (LOWER, UPPER)] == [3, 2]
        assert find_labels(route).count() == 4


def test_feedback_on_one_of_three_at_a_time_estimates_each_pairs_gain_without_bias(acme: Tenant) -> None:
    """The models are right in 0.3, 0.5 and 0.9; eight of ten calls go to the middle one."""
    route, draw = make_route(acme, names=THREE), np.random.default_rng(4)
    right = dict(zip(THREE, (0.3, 0.5, 0.9), strict=True))
    shares = {"small": 100, "middle": 800, "large": 100}
    rows = []
    for _ in range(6_000):
        model = str(draw.choice(THREE, p=[0.1, 0.8, 0.1]))
        rows.append(make_judged(acme, route, model, shares, right=bool(draw.random() < right[model])))
    assert estimate_gains(as_pair(rows, *LOWER)).mean() == pytest.approx(0.2, abs=0.05)
    assert estimate_gains(as_pair(rows, *UPPER)).mean() == pytest.approx(0.4, abs=0.05)


def test_what_one_number_of_targets_has_taught_is_not_used_by_another(acme: Tenant) -> None:
    route = make_route(acme, names=THREE, is_learning=True)
    pairs = LearnedPairs({LOWER: LearnedRouter(make_router(0.2), 0.1)})
    asked, none = make_chat(model="smart"), Controls()
    three, two = (examples.make_route("router", names, learned="l-1") for names in (THREE, LOWER))
    (gain,) = score(three, pairs, asked, none).pairs.items()
    assert gain == (LOWER, PairGain(0.2, 0.1, "task +0.200, form +0.000, words +0.000"))
    why = "what was learned is of another number of targets"
    assert score(two, pairs, asked, none) == Scores("l-1", None, why=why)
    assert score(three, pairs.pairs[LOWER], asked, none) == Scores("l-1", None, why=why)
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(make_pair_gains(acme, route, 120, LOWER, "integral"))
        RouteLabel.objects.bulk_create([make_judged(acme, route, "middle", {"middle": 900, "small": 100}, right=True)])
        row = LearnedRoute(kind="router", report={"pairs": []})
        assert (find_labels(route).count(), why_not(row, route)) == (121, "")
        fewer = update_route(actor=acme.owner, route=route, targets=targets_of(*LOWER))
        assert find_labels(fewer).count() == 0
        assert why_not(row, fewer) == "This was learned by a router of another number of targets."


def test_a_pair_whose_newest_labels_say_something_else_has_all_taken_back(acme: Tenant) -> None:
    route = make_route(acme, names=THREE, is_learning=True)
    with org_scope(acme.org_id):
        for pair in (LOWER, UPPER):
            RouteLabel.objects.bulk_create(make_pair_gains(acme, route, 300, pair, "integral"))
    assert tasks.train_routes() >= 1
    later = make_pair_gains(acme, route, 200, UPPER, "integral")
    for row in later:
        row.at, row.gain = clock.now() + timedelta(hours=1), 1.0
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(later)
    tasks.train_routes()
    with org_scope(acme.org_id):
        assert Route.objects.get(pk=route.pk).learned == ""


async def test_calls_of_a_router_of_three_leave_what_its_pairs_learn_from(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_route(acme, names=THREE, is_learning=True, sticky="request", explore_percent=10))
    answer = await ask(app, acme, "Explain rain.")
    (label,) = await in_thread(lambda: labels_of(acme))
    assert label.features["shares"] == {"middle": 900, "small": 50, "large": 50}
    assert (label.model, label.share) == (answer.headers["x-costhub-model"], 0.9 if label.model == "middle" else 0.05)
    path = f"/v1/costhub/requests/{answer.headers['x-request-id']}/feedback"
    assert (await call(app, acme, {"verdict": "right"}, path=path)).status == 200
    (label,) = await in_thread(lambda: labels_of(acme))
    assert label.right is True


def test_pairs_are_read_back_as_they_were_written() -> None:
    pairs = LearnedPairs({LOWER: LearnedRouter(make_router(0.5), -np.inf), UPPER: LearnedRouter(make_router(0.25), 2)})
    raw = pack_pairs(pairs)
    again = unpack_either(raw)
    assert isinstance(again, LearnedPairs)
    assert [(names, one.threshold, one.router.task_gains) for names, one in again.pairs.items()] == [
        (LOWER, -np.inf, {"": 0.5}),
        (UPPER, 2.0, {"": 0.25}),
    ]
    assert isinstance(unpack_either(pack_router(pairs.pairs[LOWER])), LearnedRouter)
    with pytest.raises(Unreadable):
        unpack_router(raw)
    with pytest.raises(Unreadable):
        unpack_either(raw[:-40])
