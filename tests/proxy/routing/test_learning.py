"""A route learns from what became of its calls: labels are left behind, a job trains, calls decide by it and say so,
and what has drifted is taken back."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from billing.alerts.checks.standing import watch_standing
from billing.alerts.models import Alert
from costhub.lib import clock
from proxy import tasks
from proxy.app import App
from proxy.core.routes.packing import LearnedRouter, Unreadable, pack_router, unpack_cascade, unpack_router
from proxy.core.routes.router import Router, predict
from proxy.core.routes.said import Said
from proxy.learning import route_training
from proxy.learning.route_jobs import LABELS_KEPT
from proxy.learning.route_training import (
    FEWEST_LABELS,
    MORE_LABELS,
    estimate_gains,
    find_labels,
    list_newest,
    train_on,
)
from proxy.learning.router_training import NothingToLearn
from proxy.routing.labels import describe_prompt, describe_said
from proxy.routing.model import Feedback, LearnedRoute, RouteLabel
from tenants.access import org_scope
from tenants.actions.routes import use_learned
from tenants.choices import RouteKind
from tenants.models import Route
from tests.bank import Bank
from tests.patience import until
from tests.proxy.cache.calls import call, told, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat
from tests.tenants.route_examples import make_models, make_route
from tests.world import Tenant, World

SURE, UNSURE = -0.05, -0.6


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


async def ask(app: App, tenant: Tenant, text: str = "Hi there", **headers: str) -> Conversation:
    body = chat(model="smart", messages=[{"role": "user", "content": text}])
    answer = await call(app, tenant, body, **headers)
    assert answer.status == 200, answer.body
    assert app._edges is not None
    while app._edges.labels._waiting:
        await asyncio.wait(app._edges.labels._waiting)
    await written(app)
    return answer


def labels_of(tenant: Tenant) -> list[RouteLabel]:
    with org_scope(tenant.org.pk):
        return list(RouteLabel.objects.filter(org_id=tenant.org.pk).order_by("at", "is_strong"))


def make_label(tenant: Tenant, route: Route, text: str, **fields: Any) -> RouteLabel:
    return RouteLabel(
        id=uuid.uuid4(),
        org_id=tenant.org.pk,
        route_id=route.pk,
        request_id=uuid.uuid4(),
        **{"model": "small", "features": {"prompt": describe_prompt(text)}} | fields,
    )


def make_gains(tenant: Tenant, route: Route, count: int, hard: str = "integral", **fields: Any) -> list[RouteLabel]:
    """Labels of prompts of which those with one word are answered better by the strong model."""
    draw = np.random.default_rng(count)
    rows = []
    for _ in range(count):
        is_hard = bool(draw.integers(2))
        text = f"{draw.choice(['barley', 'wheat', 'oats'])} {hard if is_hard else 'margin'} of rice"
        rows.append(make_label(tenant, route, text, gain=float(draw.random() < (0.9 if is_hard else 0.05)), **fields))
    return rows


async def test_a_routers_calls_leave_numbers_and_no_text(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_route(acme, is_learning=True, sticky="request", explore_percent=0))
    answer = await ask(app, acme, "Where is the secret vault?", x_costhub_tags="task=talk")
    (label,) = await in_thread(lambda: labels_of(acme))
    assert (label.model, label.task, label.is_strong, label.share, label.right) == ("small", "talk", False, 1.0, None)
    assert label.features.keys() == {"prompt", "arm"}
    assert "vault" not in str(label.features)
    request_id = answer.headers["x-request-id"]
    path = f"/v1/costhub/requests/{request_id}/feedback"
    said = await call(app, acme, {"verdict": "wrong"}, path=path)
    assert said.status == 200
    (label,) = await in_thread(lambda: labels_of(acme))
    assert label.right is False


async def test_a_route_that_does_not_learn_leaves_nothing(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_route(acme))
    await ask(app, acme)
    assert await in_thread(lambda: labels_of(acme)) == []


async def test_a_cascades_rungs_are_compared(app: App, acme: Tenant, bank: Bank) -> None:
    """The bank says the same whoever is asked: so the weak answer was right, and climbing was for nothing."""
    await in_thread(lambda: make_route(acme, RouteKind.CASCADE, is_learning=True))
    bank.set_default(logprob=UNSURE)
    await ask(app, acme)
    weak, strong = await in_thread(lambda: labels_of(acme))
    assert (weak.model, weak.right, weak.gain, weak.is_strong) == ("small", True, 0.0, False)
    assert (strong.model, strong.right, strong.gain, strong.is_strong) == ("large", None, None, True)
    assert len(weak.features["answer"]["logprobs"]) == 6


def test_what_is_learned_decides_and_says_why(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True, sticky="request", explore_percent=0)
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(make_gains(acme, route, 400))
    assert tasks.train_routes() >= 1
    with org_scope(acme.org_id):
        found = LearnedRoute.objects.get(org_id=acme.org.pk)
        assert Route.objects.get(pk=route.pk).learned == str(found.pk)
    assert (found.kind, found.labels) == ("router", 400)
    assert 0.3 < found.report["mean_gain"] < 0.7
    assert found.report["correlation"] > 0.5
    # nothing new: nothing is trained
    assert tasks.train_routes() == 0
    router, threshold = unpack_router(bytes(found.packed))
    gains = {word: predict(router, f"wheat {word} of rice", "") for word in ("integral", "margin")}
    assert gains["integral"] is not None and gains["margin"] is not None  # noqa: PT018
    assert gains["integral"].value > threshold > gains["margin"].value

    async def decide() -> tuple[list[str], list[str]]:
        app = App()
        await app.open()
        try:
            first = await ask(app, acme, "wheat integral of rice")
            assert "what was learned is not loaded yet: it looks simple" in first.headers["x-costhub-route"]
            assert app._edges is not None
            learned = app._edges.learned_routes
            await until(lambda: bool(learned._known))
            answers = [await ask(app, acme, f"wheat {word} of rice") for word in ("integral", "margin")]
            new = await ask(app, acme, "wheat integral of rice", x_costhub_tags="task=new")
            told_why = [answer.headers["x-costhub-route"] for answer in [*answers, new]]
            return [answer.headers["x-costhub-model"] for answer in [*answers, new]], told_why
        finally:
            await app.close()

    models, why = asyncio.run(decide())
    assert models == ["large", "small", "small"]
    assert all("words " in one and "is expected of large, the strong model from" in one for one in why[:2])
    assert "the task new is new: it looks simple" in why[2]


def add_gains(tenant: Tenant, route: Route, count: int, hard: str = "integral", **fields: Any) -> None:
    with org_scope(tenant.org_id):
        RouteLabel.objects.bulk_create(make_gains(tenant, route, count, hard, **fields))


def versions_of(route: Route) -> list[LearnedRoute]:
    with org_scope(route.org_id):
        return list(LearnedRoute.objects.filter(org_id=route.org_id, route_id=route.pk).order_by("made_at"))


def learned_of(route: Route) -> str:
    with org_scope(route.org_id):
        return Route.objects.get(pk=route.pk).learned


def test_labels_that_come_sixty_at_a_time_are_learned_and_drift_is_noticed_all_the_same(acme: Tenant) -> None:
    """Each run of the job has enough new labels to train anew, so that none ever waits for the next version."""
    route = make_route(acme, is_learning=True)
    add_gains(acme, route, 240)
    assert tasks.train_routes() >= 1
    for count in (60, 61, 62):
        add_gains(acme, route, count)
        assert tasks.train_routes() >= 1
    # As many versions, and nothing is taken back where nothing has changed.
    before = versions_of(route)
    assert [version.labels for version in before] == [240, 300, 361, 423]
    assert learned_of(route) == str(before[-1].pk)
    # From here on it is the other prompts that the strong model answers better.
    runs = 0
    while learned_of(route):
        runs += 1
        draw = np.random.default_rng(runs)
        with org_scope(acme.org_id):
            texts = [str(draw.choice(["wheat margin of rice", "oats margin of rice"])) for _ in range(60)]
            RouteLabel.objects.bulk_create([make_label(acme, route, text, gain=1.0) for text in texts])
        tasks.train_routes()
        assert runs <= 3
    drifted = [version for version in versions_of(route) if "drifted_since" in version.report]
    assert [version.pk for version in drifted] == [versions_of(route)[-1].pk]


def test_what_has_drifted_is_taken_back_and_followed_by_what_newer_labels_teach(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    add_gains(acme, route, 300)
    assert tasks.train_routes() >= 1
    with org_scope(acme.org_id):
        # The strong model has become no better than the weak one.
        RouteLabel.objects.bulk_create(
            [make_label(acme, route, f"wheat integral of rice {number}", gain=0.0) for number in range(200)]
        )
    tasks.train_routes()
    (first,) = versions_of(route)
    assert first.report["drifted_since"] > first.made_at.isoformat()
    assert learned_of(route) == ""
    # What is told of stands until there is something to follow it.
    tasks.train_routes()
    _, refused = versions_of(route)
    assert (refused.labels, "refused" in refused.report, learned_of(route)) == (200, True, "")
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org_id):
        alert = Alert.objects.get(org=acme.org, kind="learned")
    assert (alert.facts["labels"], alert.ended_at) == (300, None)
    # Another word tells hard from easy: of labels since the drift that is learned, and decides.
    add_gains(acme, route, 301, hard="tensor")
    assert tasks.train_routes() >= 1
    newest = versions_of(route)[-1]
    assert (newest.labels, learned_of(route)) == (501, str(newest.pk))
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org_id):
        assert Alert.objects.get(pk=alert.pk).ended_at is not None


def test_what_a_person_has_taken_back_stays_so(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    add_gains(acme, route, 300)
    assert tasks.train_routes() >= 1
    with org_scope(acme.org_id):
        use_learned(actor=acme.owner, route=Route.objects.get(pk=route.pk), learned="")
    add_gains(acme, route, 60)
    assert tasks.train_routes() >= 1
    assert [version.labels for version in versions_of(route)] == [300, 360]
    assert learned_of(route) == ""


def test_a_route_goes_on_learning_when_old_labels_go_as_fast_as_new_ones_come(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_training, "MOST_LABELS", 300)
    route = make_route(acme, is_learning=True)
    add_gains(acme, route, 320)
    assert tasks.train_routes() >= 1
    # No more of them than before are learned from, and they are others.
    add_gains(acme, route, MORE_LABELS)
    assert tasks.train_routes() >= 1
    with org_scope(acme.org_id):
        # Ninety days later there are fewer than there were.
        oldest = RouteLabel.objects.filter(org_id=acme.org.pk).order_by("at").values("pk")[:200]
        RouteLabel.objects.filter(pk__in=oldest).update(at=clock.now() - LABELS_KEPT - timedelta(days=1))
    add_gains(acme, route, MORE_LABELS + 1)
    assert tasks.train_routes() >= 1
    assert [version.labels for version in versions_of(route)] == [300, 300, 221]
    # One fewer is not enough.
    add_gains(acme, route, MORE_LABELS - 1)
    assert tasks.train_routes() == 0


def test_a_word_on_an_old_call_is_a_new_label(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    add_gains(acme, route, 300)
    with org_scope(acme.org_id):
        unjudged = [make_label(acme, route, "wheat margin of rice") for _ in range(MORE_LABELS)]
        RouteLabel.objects.bulk_create(unjudged)
    assert tasks.train_routes() >= 1
    assert tasks.train_routes() == 0
    with org_scope(acme.org_id):
        for label in unjudged:
            Feedback(org=acme.org, request_id=label.request_id, is_right=True).save(force_insert=True)
        # Both models were asked: the gain of each is known without a model of the other's answers.
        RouteLabel.objects.filter(pk__in=[label.pk for label in unjudged]).update(right=True, gain=0.0)
    assert tasks.train_routes() >= 1
    assert [version.labels for version in versions_of(route)] == [300, 350]


def test_people_are_told_of_what_has_drifted_until_the_route_learns_anew(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    fields = {"org_id": acme.org.pk, "route_id": route.pk, "kind": "router", "packed": b""}
    first = LearnedRoute(id=uuid.uuid4(), labels=240, report={"drifted_since": "2026-07-01T00:00:00+00:00"}, **fields)
    with org_scope(acme.org_id):
        first.save(force_insert=True)
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org_id):
        (alert,) = Alert.objects.filter(org=acme.org, kind="learned")
    assert (alert.subject, alert.severity, alert.ended_at) == (str(route.pk), "warning", None)
    assert alert.facts == {"route": "smart", "learned": first.made_at.isoformat(), "labels": 240}
    with org_scope(acme.org_id):
        LearnedRoute(id=uuid.uuid4(), labels=400, **fields).save(force_insert=True)
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org_id):
        assert Alert.objects.get(pk=alert.pk).ended_at is not None


def test_a_cascade_learns_how_sure_its_answers_are(acme: Tenant) -> None:
    route = make_route(acme, RouteKind.CASCADE, is_learning=True)
    draw = np.random.default_rng(5)
    rows = []
    for _ in range(240):
        is_right = bool(draw.integers(2))
        said = Said("3 * 4 = 12, so 12." if is_right else "3 * 4 = 13, maybe.", (), (-0.1 if is_right else -1.0,) * 4)
        features = {"prompt": describe_prompt("What?"), "answer": describe_said("What?", said)}
        rows.append(make_label(acme, route, "What?", features=features, right=is_right))
    trained = train_on(RouteKind.CASCADE, rows)
    learned = unpack_cascade(trained.packed)
    assert learned.confidences.keys() == {"small"}
    assert trained.report["models"]["small"]["right"] == pytest.approx(0.5, abs=0.1)
    assert learned.confidences["small"].has_logprobs


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"right": True}] * 20, "No answer of the strong model has a label"),
        ([{"right": True, "is_strong": True}] * 20, "No answer of the weak model has a label"),
        ([{"gain": 0.0}] * 20, "Both models were equally good on every prompt"),
    ],
)
def test_labels_that_teach_nothing_are_refused_in_words(
    acme: Tenant, labels: list[dict[str, Any]], message: str
) -> None:
    route = make_route(acme, is_learning=True)
    with pytest.raises(NothingToLearn, match=message):
        train_on(RouteKind.ROUTER, [make_label(acme, route, "Hi", **label) for label in labels])


def test_without_labels_nothing_happens(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    assert tasks.train_routes() == 0
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(make_gains(acme, route, FEWEST_LABELS - 1))
        assert tasks.train_routes() == 0
        # one class: nothing can be learned, and nothing breaks
        RouteLabel.objects.filter(org_id=acme.org.pk).update(gain=1.0)
        RouteLabel.objects.bulk_create([make_label(acme, route, "Hi", gain=1.0)])
        assert len(list_newest(find_labels(route))) == FEWEST_LABELS
    assert tasks.train_routes() == 0
    with org_scope(acme.org_id):
        refused = LearnedRoute.objects.get(org_id=acme.org.pk)
        assert "equally good on every prompt" in refused.report["refused"]
        assert Route.objects.get(pk=route.pk).learned == ""
        # It is not tried again before there are more labels, and then what they teach is used.
        RouteLabel.objects.bulk_create(make_gains(acme, route, 300))
    assert tasks.train_routes() >= 1
    with org_scope(acme.org_id):
        assert LearnedRoute.objects.filter(org_id=acme.org.pk).count() == 2
        assert Route.objects.get(pk=route.pk).learned != ""


def poison(rows: list[RouteLabel], share: float) -> list[RouteLabel]:
    """So many of the labels say the opposite."""
    draw = np.random.default_rng(9)
    for row in rows:
        if draw.random() < share:
            assert row.gain is not None
            row.gain = 1 - row.gain
    return rows


def test_with_three_labels_in_ten_flipped_it_still_tells_hard_from_easy(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    trained = train_on(RouteKind.ROUTER, poison(make_gains(acme, route, 400), 0.3))
    router, _ = unpack_router(trained.packed)
    hard, easy = (predict(router, f"wheat {word} of rice", "") for word in ("integral", "margin"))
    assert hard is not None and easy is not None  # noqa: PT018
    assert hard.value > easy.value + 0.1
    # and the report says that it is less sure
    clean = train_on(RouteKind.ROUTER, make_gains(acme, route, 400))
    assert 0.5 < trained.report["area_at_least"] < clean.report["area_at_least"]
    curve = clean.report["curves"]["learned"]
    assert (len(curve), curve[0], curve[-1]) == (21, 0.0, 1.0)
    assert curve[10] > 0.85 > clean.report["curves"]["length"][10]


def test_labels_that_mean_nothing_are_refused_in_words(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    with pytest.raises(NothingToLearn, match=r"tells better than chance .* and chance has 0\.5\."):
        train_on(RouteKind.ROUTER, poison(make_gains(acme, route, 400), 0.5))


def test_a_cascade_whose_answers_are_right_less_often_than_it_says_is_taken_back(acme: Tenant) -> None:
    route = make_route(acme, RouteKind.CASCADE, is_learning=True)

    def labels(count: int, *, is_right_where_sure: bool, **fields: Any) -> list[RouteLabel]:
        draw = np.random.default_rng(count)
        rows = []
        for _ in range(count):
            is_sure = bool(draw.integers(2))
            said = Said("3 * 4 = 12, so 12." if is_sure else "3 * 4 = 13, maybe.", (), (-0.1 if is_sure else -1.0,) * 4)
            right = bool(draw.random() < (0.9 if is_sure and is_right_where_sure else 0.1))
            features = {"prompt": describe_prompt("What?"), "answer": describe_said("What?", said)}
            rows.append(make_label(acme, route, "What?", features=features, right=right, **fields))
        return rows

    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(labels(240, is_right_where_sure=True))
    assert tasks.train_routes() >= 1
    with org_scope(acme.org_id):
        # As before: nothing is taken back.
        RouteLabel.objects.bulk_create(labels(120, is_right_where_sure=True, at=clock.now() + timedelta(minutes=30)))
    tasks.train_routes()
    with org_scope(acme.org_id):
        assert Route.objects.get(pk=route.pk).learned != ""
        RouteLabel.objects.bulk_create(labels(300, is_right_where_sure=False, at=clock.now() + timedelta(hours=1)))
    tasks.train_routes()
    with org_scope(acme.org_id):
        assert Route.objects.get(pk=route.pk).learned == ""
        drifted = [one for one in LearnedRoute.objects.filter(org_id=acme.org.pk) if "drifted_since" in one.report]
        assert len(drifted) == 1


def test_newest_labels_of_one_model_alone_take_nothing_back(acme: Tenant) -> None:
    route = make_route(acme, is_learning=True)
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create(make_gains(acme, route, 300))
    assert tasks.train_routes() >= 1
    later = clock.now() + timedelta(hours=1)
    with org_scope(acme.org_id):
        RouteLabel.objects.bulk_create([make_label(acme, route, "Hi", right=True, at=later) for _ in range(120)])
    tasks.train_routes()
    with org_scope(acme.org_id):
        assert Route.objects.get(pk=route.pk).learned != ""


def test_labels_that_cannot_be_read_keep_no_other_organisation_from_learning(
    acme: Tenant, committed_world: World
) -> None:
    mallcorp = committed_world.mallcorp
    make_models(mallcorp)
    for tenant in (acme, mallcorp):
        route = make_route(tenant, is_learning=True)
        with org_scope(tenant.org_id):
            rows = make_gains(tenant, route, 300)
            if tenant is mallcorp:
                for row in rows:
                    row.features = {"prompt": "nonsense"}
            RouteLabel.objects.bulk_create(rows)
    assert tasks.train_routes() >= 1
    for tenant, learns in ((acme, True), (mallcorp, False)):
        with org_scope(tenant.org_id):
            assert bool(Route.objects.get(org=tenant.org).learned) is learns


def test_feedback_on_one_model_at_a_time_estimates_the_gain_without_bias(acme: Tenant) -> None:
    """The weak model is right in 0.5, the strong one in 0.8; nine of ten calls go to the weak one."""
    route = make_route(acme)
    draw = np.random.default_rng(3)
    rows = []
    for _ in range(4_000):
        is_strong = bool(draw.random() < 0.1)
        right = bool(draw.random() < (0.8 if is_strong else 0.5))
        rows.append(
            make_label(acme, route, "", features={}, is_strong=is_strong, share=0.1 if is_strong else 0.9, right=right)
        )
    assert estimate_gains(rows).mean() == pytest.approx(0.3, abs=0.05)


def test_bytes_of_another_kind_are_not_read() -> None:
    values = (np.zeros(20), np.ones(20), np.zeros(20), np.zeros(0), np.zeros(0))
    router = LearnedRouter(Router({"": 0.1}, *values), -np.inf)
    raw = pack_router(router)
    again = unpack_router(raw)
    assert again.threshold == -np.inf
    assert predict(again.router, "Hi", "") == predict(router.router, "Hi", "")
    for bad in (b"", b"PK", raw[:50], raw[:-30]):
        with pytest.raises(Unreadable):
            unpack_router(bad)
    with pytest.raises(Unreadable):
        unpack_cascade(raw)


async def test_a_call_of_a_new_version_waits_for_nothing(app: App, acme: Tenant) -> None:
    """What was learned is gone: it is looked for once, and calls go on."""
    route = await in_thread(lambda: make_route(acme))

    def point_nowhere() -> None:
        with org_scope(acme.org_id):
            Route.objects.filter(pk=route.pk).update(learned=str(uuid.uuid4()))

    await in_thread(point_nowhere)
    await told(app, acme)
    answer = await ask(app, acme)
    assert "what was learned is not loaded yet: it looks simple" in answer.headers["x-costhub-route"]
