"""Tuned models step by step: compared on paper, sure of what they must be sure of, asked by their route as far as they
are trusted, and what that saves."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.net import Gate
from proxy.learning import tasks
from proxy.learning.choices import JobKind, JobState, Stage
from proxy.learning.conversations import Message
from proxy.learning.datasets import delete_dataset
from proxy.learning.distilled_routes import look_around
from proxy.learning.evaluation import price_success
from proxy.learning.leases import Lease, store_tuned
from proxy.learning.lora import trials
from proxy.learning.lora.deployment import deploy_tuned, retire_tuned
from proxy.learning.lora.economy import read_economy
from proxy.learning.lora.trials import ask_server, compare_with_calls, set_stage
from proxy.learning.models import LearnedExample, TrainingJob, TunedModel
from proxy.learning.students import Economy
from proxy.learning.trust import Said
from proxy.learning.unlearning import unlearn
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.routes import update_route
from tenants.choices import RouteKind
from tenants.models import CapturePolicy, Route
from tests.audit import read_audit
from tests.bank import Bank, answer_text
from tests.billing.ledger import record_call
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.proxy.books import close_the_day
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.rows import capture, consent, fill, make_dataset, make_tuned, make_version
from tests.world import Api, Tenant, World, make_budget, make_catalog

PRICES: dict[str, Any] = {"input_per_million": Decimal("0.20"), "output_per_million": Decimal("0.80")}
ROUTE = "large-distilled"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("trials")) as proxy:
        yield proxy


class Scene:
    """Acme's tuned model and its teacher, ``large``; ``said`` is what the tuned model says to whom it is asked."""

    def __init__(self, tenant: Tenant, base_url: str) -> None:
        self.acme = tenant
        make_catalog(tenant, model="large", base_url=base_url, input_per_million="10", output_per_million="30")
        consent(tenant)
        dataset = make_dataset(tenant, teacher="large")
        fill(tenant, dataset, 9)
        version = make_version(tenant, dataset)
        with org_scope(tenant.org.pk):
            job = TrainingJob.objects.create(
                org=tenant.org,
                version=version,
                project_id=tenant.project.pk,
                name="tuned",
                kind=JobKind.LORA.value,
                base_model="smollm2-135m-instruct",
                state=JobState.DONE.value,
            )
            self.tuned_id = make_tuned(tenant, job).pk
        self.said = Said("In Ulm.", 0.8)
        self.asked = 0
        self.now = clock.now()

    def fresh(self) -> TunedModel:
        with org_scope(self.acme.org.pk):
            return TunedModel.objects.select_related("job__version__dataset").get(pk=self.tuned_id)

    def deploy(self, **fields: Any) -> TunedModel:
        with org_scope(self.acme.org.pk):
            return deploy_tuned(actor=self.acme.owner, tuned=self.fresh(), **PRICES, **fields)

    def put(self, stage: Stage, **fields: Any) -> TunedModel:
        with org_scope(self.acme.org.pk):
            return set_stage(actor=self.acme.owner, tuned=self.fresh(), stage=stage, **fields)

    def route(self) -> tuple[str, int, int]:
        """Its mode, how sure an answer must be, and how many are the teacher's alone, per cent."""
        with org_scope(self.acme.org.pk):
            there = Route.objects.get(org=self.acme.org, name=ROUTE)
        return there.mode, there.policy["confidence_percent"], there.policy["holdout_percent"]

    def call(self, count: int, answer: str = "In Ulm.") -> None:
        """So many calls that the teacher answers, each a moment after the one before."""
        for _ in range(count):
            self.now += timedelta(milliseconds=1)
            capture(self.acme, "Where are you?", answer, model="large", at=self.now)

    def compare(self) -> TunedModel:
        while compare_with_calls(self.acme.org.pk, self.tuned_id, Gate(()), 60):
            pass
        return self.fresh()

    def say(self, *_: Any) -> Said | None:
        self.asked += 1
        return self.said


@pytest.fixture
def scene(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Scene:
    settings.TUNED_URL = "http://127.0.0.1:8021/v1"
    made = Scene(world.acme, "https://llm.acme.example/v1")
    monkeypatch.setattr(trials, "ask_server", made.say)
    return made


def test_from_the_shadow_to_the_route_and_back_when_the_world_changes(scene: Scene) -> None:
    scene.deploy(route=ROUTE)
    assert scene.route() == ("shadow", 100, 5)
    scene.call(99)
    tried = scene.compare()
    assert (tried.stage, tried.compared, tried.answered, tried.threshold > 1) == ("shadow", 99, 0, True)
    # By the hundredth it is known how sure it must be; what comes then is what counts.
    scene.call(1)
    known = scene.compare()
    assert (known.stage, known.threshold, len(known.trials)) == ("shadow", 0.8, 100)
    scene.call(100)
    canary = scene.compare()
    assert (canary.stage, canary.compared, canary.answered, canary.agreed) == ("canary", 200, 100, 100)
    assert scene.route() == ("on", 80, 90)
    # What it is less sure of is the teacher's, whatever it says.
    scene.said = Said("In Bonn.", 0.7)
    scene.call(50)
    assert (scene.compare().answered, scene.fresh().stage) == (100, "canary")
    scene.said = Said("In Ulm.", 0.9)
    scene.call(300)
    assert scene.compare().stage == "promoted"
    assert scene.route() == ("on", 80, 5)
    scene.call(40, "We have moved to Bonn.")
    back = scene.compare()
    assert (back.stage, scene.route()[0]) == ("rolled_back", "off")
    assert back.reason.startswith("It agreed with the teacher in ")
    asked = scene.asked
    scene.call(5)
    assert (scene.compare().compared, scene.asked) == (back.compared, asked)
    moves = read_audit(scene.acme.org, action="tuned_model.moved")
    assert [move.changes["stage"][1] for move in moves] == ["canary", "promoted", "rolled_back"]


def test_what_it_saves_and_what_a_success_costs(scene: Scene) -> None:
    """A call of the teacher's has 1,000 tokens in and 100 out, and costs $0.013; one of the tuned model's $0.00028."""
    acme = scene.acme

    def read() -> Economy:
        with org_scope(acme.org.pk):
            return read_economy(acme.owner, scene.fresh())

    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=scene.fresh().job_id).update(spent_nanos=2_000_000_000)
    never = read()
    assert (never.teacher_call_nanos, never.own_call_nanos, never.break_even_calls) == (None, None, None)
    for _ in range(28):
        tokens = {"input_tokens": 1_000, "output_tokens": 100}
        record_call(acme, clock.now(), cost=13_000_000, request_model="large", **tokens)
    unpriced = read()
    assert (unpriced.teacher_call_nanos, unpriced.own_call_nanos, unpriced.break_even_calls) == (13_000_000, None, None)
    assert unpriced.success is None
    scene.deploy()
    # Of what was held out three of four: each answer is its own, wrong or not.
    held_out = read()
    assert (held_out.own_call_nanos, held_out.answered_millionths) == (280_000, 1_000_000)
    assert held_out.break_even_calls == -(-2_000_000_000 // (13_000_000 - 280_000)) == 158
    assert held_out.success == price_success(4, 4, 3, 280_000 / 13_000_000)
    assert (held_out.per_success.nanos, held_out.calls_a_day_millionths) == (373_333, 1_000_000)
    # By calls, from when it is known how sure it must be: 80 of them are its, and 76 of these as the teacher's.
    scene.call(100)
    assert read() == held_out
    scene.compare()
    assert read() == held_out
    scene.call(76)
    scene.compare()
    scene.said = Said("In Bonn.", 0.9)
    scene.call(4)
    scene.compare()
    scene.said = Said("In Bonn.", 0.7)
    scene.call(20)
    compared = scene.compare()
    assert (compared.compared, compared.unsure, compared.answered, compared.agreed) == (200, 100, 80, 76)
    by_calls = read()
    assert by_calls.answered_millionths == 800_000
    # Four fifths of a call of the teacher's are saved, for one of its own.
    assert by_calls.break_even_calls == -(-2_000_000_000 // (10_400_000 - 280_000)) == 198
    # A fifth of the teacher's calls and all of its own, for 96 of 100 that are not wrong.
    assert by_calls.per_success.nanos == round((0.2 * 13_000_000 + 280_000) / 0.96) == 3_000_000
    low, high = by_calls.per_success.low, by_calls.per_success.high
    assert low is not None
    assert high is not None
    assert low < 3_000_000 < high < 13_000_000
    # Calls of the route are its teacher's too, at what that alone would have cost.
    for _ in range(28):
        saved = {"distillation": 12_720_000}
        record_call(acme, clock.now(), cost=280_000, request_model="large-distilled", savings=saved, **tokens)
    assert (read().teacher_call_nanos, read().calls_a_day_millionths) == (13_000_000, 2_000_000)
    # Dearer than its teacher it never pays.
    with org_scope(acme.org.pk):
        dear: Any = {"input_per_million": Decimal(20), "output_per_million": Decimal(60)}
        deploy_tuned(actor=acme.owner, tuned=scene.fresh(), **dear)
    assert (read().own_call_nanos, read().break_even_calls) == (26_000_000, None)


def test_a_tuned_model_has_one_route(scene: Scene) -> None:
    scene.deploy()
    # It had none.
    assert scene.deploy(route=ROUTE).route == ROUTE
    with pytest.raises(Conflict, match=f"The route {ROUTE} asks it: leave the route out, or serve it no longer first"):
        scene.deploy(route="another")
    assert scene.deploy().route == ROUTE


def test_who_agrees_too_seldom_is_never_trusted(scene: Scene) -> None:
    scene.deploy()
    scene.call(60)
    scene.call(60, "Elsewhere.")
    tried = scene.compare()
    assert (tried.stage, tried.answered, tried.threshold > 1, len(tried.trials)) == ("shadow", 0, True, 120)
    with pytest.raises(Conflict, match="sure of no answer"):
        scene.put(Stage.CANARY)
    by_hand = scene.put(Stage.CANARY, confidence_percent=75, canary_percent=40)
    assert (by_hand.threshold, by_hand.stage) == (0.75, "canary")
    # Back in the shadow nothing is known of it.
    again = scene.put(Stage.SHADOW)
    assert (again.threshold > 1, again.trials) == (True, [])
    # But for what is typed with it.
    typed = scene.put(Stage.SHADOW, confidence_percent=70)
    assert (typed.threshold, typed.trials) == (0.7, [])
    with pytest.raises(InvalidField):
        scene.put(Stage.CANARY, confidence_percent=100)


def test_a_server_that_is_away_or_slow_leaves_the_rest_for_later(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.deploy()
    scene.call(3)
    said: list[Said | None] = [Said("In Ulm.", 0.9), None]
    monkeypatch.setattr(trials, "ask_server", lambda *_: said.pop(0))
    assert compare_with_calls(scene.acme.org.pk, scene.tuned_id, Gate(()), 60) == 1
    monkeypatch.setattr(trials, "ask_server", lambda *_: None)
    assert compare_with_calls(scene.acme.org.pk, scene.tuned_id, Gate(()), 60) == 0
    monkeypatch.setattr(trials, "ask_server", scene.say)
    # A turn without time asks once.
    assert compare_with_calls(scene.acme.org.pk, scene.tuned_id, Gate(()), 0) == 1
    assert (scene.compare().compared, scene.asked) == (3, 2)


def test_only_what_is_served_is_compared(scene: Scene, settings: Any) -> None:
    scene.call(2)
    assert tasks.compare_tuned() == 0
    scene.deploy()
    assert tasks.compare_tuned() == 2
    with org_scope(scene.acme.org.pk):
        retire_tuned(actor=scene.acme.owner, tuned=scene.fresh())
    scene.call(2)
    assert tasks.compare_tuned() == 0
    scene.deploy()
    settings.TUNED_URL = ""
    assert (tasks.compare_tuned(), scene.asked) == (0, 2)


def test_withdrawn_it_is_asked_by_nobody_and_what_is_trained_anew_begins_in_the_shadow(scene: Scene) -> None:
    scene.deploy(route=ROUTE)
    scene.put(Stage.PROMOTED, confidence_percent=50)
    assert scene.route()[0] == "on"
    acme = scene.acme
    with org_scope(acme.org.pk):
        LearnedExample.objects.filter(pk=scene.fresh().job.version.train[0]).update(sealed=None)
    assert unlearn(acme.org.pk) == 1
    gone = scene.fresh()
    assert (gone.stage, gone.state, scene.route()[0]) == ("withdrawn", "withdrawn", "off")
    with pytest.raises(Conflict, match="nothing of it is left"):
        scene.put(Stage.SHADOW)
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=gone.job_id).update(state="running", fence=3, floor_per_mille=850)
        made = TunedModel(
            org=acme.org, job=gone.job, name="tuned", base_model="tiny", sha256="", adapter=b"", served=b"x"
        )
        store_tuned(Lease(acme.org.pk, gone.job_id, 3, JobKind.LORA), made)
    scene.tuned_id = made.pk
    anew = scene.fresh()
    assert (anew.stage, anew.model, anew.route, anew.floor_per_mille) == ("shadow", "tuned", ROUTE, 850)
    scene.deploy()
    assert scene.route()[0] == "shadow"


def test_a_route_that_somebody_has_changed_is_left_alone(scene: Scene) -> None:
    scene.deploy(route=ROUTE)
    acme = scene.acme
    with org_scope(acme.org.pk):
        route = Route.objects.get(org=acme.org, name=ROUTE)
        update_route(actor=acme.owner, route=route, kind=RouteKind.FIXED, targets=[{"model": "large"}])
    scene.put(Stage.PROMOTED, confidence_percent=50)
    with org_scope(acme.org.pk):
        route.refresh_from_db()
        assert (route.kind, route.mode) == ("fixed", "shadow")
        with pytest.raises(InvalidField, match="something else"):
            deploy_tuned(actor=acme.owner, tuned=scene.fresh(), **PRICES)
        retire_tuned(actor=acme.owner, tuned=scene.fresh())
        assert Route.objects.filter(org=acme.org, name=ROUTE).exists()
    assert scene.fresh().route == ""


def test_a_dataset_goes_only_when_nobody_is_answered_by_what_it_taught(scene: Scene) -> None:
    scene.deploy(route=ROUTE)
    acme = scene.acme
    with org_scope(acme.org.pk):
        dataset = scene.fresh().job.version.dataset
        with pytest.raises(Conflict, match="answers calls of tuned: serve it no longer first"):
            delete_dataset(actor=acme.owner, dataset=dataset)
        retire_tuned(actor=acme.owner, tuned=scene.fresh())
        delete_dataset(actor=acme.owner, dataset=dataset)
        assert not TunedModel.objects.filter(org=acme.org).exists()


def test_one_that_is_no_cheaper_than_its_teacher_gets_no_route(scene: Scene) -> None:
    with org_scope(scene.acme.org.pk), pytest.raises(InvalidField, match="tuned is not cheaper than large"):
        dear = {"input_per_million": Decimal(20), "output_per_million": Decimal(60)}
        deploy_tuned(actor=scene.acme.owner, tuned=scene.fresh(), route=ROUTE, **dear)


def test_the_api_moves_it(scene: Scene, world: World) -> None:
    scene.deploy()
    ada = Api(token=scene.acme.admin_token)
    path = f"/tuned-models/{scene.tuned_id}"
    moved = ada.patch(path, {"stage": "canary", "confidence_percent": 60, "canary_percent": 25}).json()
    assert moved["agreement"] == {
        "found": 3,
        "of": 4,
        "low": pytest.approx(0.194, abs=1e-3),
        "high": pytest.approx(0.9937, abs=1e-4),
    }
    assert (moved["without_adapter"]["found"], moved["without_adapter"]["of"]) == (1, 4)
    assert (moved["economy"]["own_call"], moved["economy"]["teacher_call"], moved["economy"]["per_success"]) == (
        None,
        None,
        None,
    )
    assert {name: moved[name] for name in ("stage", "threshold", "canary_percent", "compared", "route")} == {
        "stage": "canary",
        "threshold": 0.6,
        "canary_percent": 25,
        "compared": 0,
        "route": "",
    }
    prices = {name: str(price) for name, price in PRICES.items()}
    assert ada.send("PUT", f"{path}/deployment", prices | {"route": ROUTE}).json()["route"] == ROUTE
    assert scene.route() == ("on", 60, 75)
    assert ada.patch(path, {"stage": "canary", "floor_per_mille": 1_000}).status_code == 400
    assert Api(user=world.ben, org=world.acme.org.slug).patch(path, {"stage": "shadow"}).status_code == 403
    assert ada.delete(f"{path}/deployment").json()["route"] == ""


def test_its_server_is_asked_and_judged_as_a_cascade_would(
    world: World, bank: Bank, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TUNED_URL = bank.base_url
    gate = Gate(((ip_network("127.0.0.0/8"), None),))

    def ask() -> Said | None:
        return ask_server(gate, world.acme.org.pk, "tuned", (Message("user", "Where are you?"),), 1_024)

    said = ask()
    assert said is not None
    assert (said.answer, round(said.sureness, 4)) == (answer_text(), 0.7788)
    bank.queue(1, fault="http_error", status=503)
    assert ask() is None
    # Another error is about what was asked: asking it for ever would keep all that come after it away.
    bank.queue(1, fault="http_500")
    assert ask() == Said("", 0.0)
    bank.queue(1, fault="http_error", status=400)
    assert ask() == Said("", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(trials, "_ANSWER_SECONDS", 2)
        bank.queue(1, fault="slow_headers")
        assert ask() == Said("", 0.0)
    # Nothing tells how sure it is of an answer without probabilities: the teacher is asked.
    bank.queue(1, fault="not_json")
    assert ask() == Said("", 0.0)
    settings.TUNED_URL = "http://127.0.0.1:9/v1"
    assert ask() is None


def test_what_its_route_saves_is_distillations(
    committed_world: World, bank: Bank, proxy: Deployment, settings: Any
) -> None:
    """The bank is the server of tuned models and the teacher: what each says is as sure as the other."""
    settings.TUNED_URL = bank.base_url
    scene = Scene(committed_world.acme, bank.base_url)
    acme = scene.acme
    make_budget(acme, "100.00")
    scene.deploy(route=ROUTE)

    said: list[str] = []

    def ask() -> str:
        """A new conversation; gives how it was routed."""
        body = {"model": ROUTE, "messages": [{"role": "user", "content": f"Number {len(said)}?"}], "max_tokens": 20}
        headers = {"authorization": f"Bearer {acme.api_key}"}
        with httpx2.Client(base_url=proxy.base_url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS) as http:
            answer = http.post("/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        said.append(answer.headers["x-costhub-model"])
        return str(answer.headers["x-costhub-route"])

    def wait_until_known() -> None:
        """Until the proxies have the route's present version."""
        with org_scope(acme.org.pk):
            version = Route.objects.get(org=acme.org, name=ROUTE).version
        wait_until(lambda: f" v{version} " in ask())

    wait_until_known()
    assert set(said) == {"large"}
    scene.put(Stage.PROMOTED, confidence_percent=70)
    wait_until_known()
    for _ in range(40):
        ask()
    # All but the few that prove it: more than half would be so by chance in no lifetime.
    assert said[-40:].count("tuned") >= 20
    scene.put(Stage.ROLLED_BACK)
    wait_until_known()
    ask()
    assert said[-1] == "large"
    close_the_day(acme)
    with org_scope(acme.org.pk):
        rows = list(LedgerEntry.objects.filter(org_id=acme.org.pk, kind="call"))
    assert all(row.list_cost - row.effective_cost == sum(row.savings.values()) for row in rows)
    saved = [row.savings["distillation"] for row in rows if row.savings]
    assert (len(rows), len(saved), min(saved) > 0) == (len(said), said.count("tuned"), True)
    assert {mechanism for row in rows for mechanism in row.savings} == {"distillation"}


def test_it_says_where_nobody_notices_whether_it_still_agrees(scene: Scene) -> None:
    def warn() -> list[str]:
        with org_scope(scene.acme.org.pk):
            return trials.list_warnings(scene.fresh(), look_around(scene.acme.owner))

    assert warn() == ["It is not served, so that it is compared with nothing and does not leave the shadow: serve it."]
    scene.deploy(route=ROUTE)
    assert warn() == []
    scene.put(Stage.PROMOTED, confidence_percent=80)
    with org_scope(scene.acme.org.pk):
        route = Route.objects.get(org=scene.acme.org, name=ROUTE)
        update_route(actor=scene.acme.owner, route=route, holdout_percent=0)
        CapturePolicy.objects.filter(org=scene.acme.org).update(per_mille=0)
    blind, unproven = warn()
    assert blind == (
        f"No calls of large or {ROUTE} are kept, so that it is compared with nothing and is never rolled back: consent "
        "to keep calls."
    )
    assert unproven.startswith(f"The route {ROUTE} holds out no conversations")
    shown = Api(token=scene.acme.admin_token).get(f"/tuned-models/{scene.tuned_id}").json()
    assert shown["warnings"] == [blind, unproven]
    scene.put(Stage.ROLLED_BACK)
    assert warn() == []
