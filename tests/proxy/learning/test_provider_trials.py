"""Models that a provider has trained, from the shadow to their route: asked through the proxy, paid up to a cap."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as configured

from billing.alerts.checks.standing import watch_standing
from billing.alerts.models import Alert
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import Nanos, parse_usd
from costhub.lib.net import gate_from_settings
from proxy.learning import provider_trials, tasks
from proxy.learning.asking import Later, Never, gate_to_proxy
from proxy.learning.choices import Stage
from proxy.learning.datasets import delete_dataset
from proxy.learning.distilled_routes import look_around
from proxy.learning.models import LearnedExample, ProviderTuning
from proxy.learning.provider_trials import (
    compare_with_calls,
    list_warnings,
    retire_provider_model,
    serve_provider_model,
    set_stage,
)
from proxy.learning.provider_tuning import continue_tuning, create_provider_tuning
from proxy.learning.settling import read_spent
from proxy.learning.unlearning import unlearn
from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tenants.models import LanguageModel, Route
from tests.bank import Bank, answer_text
from tests.billing.ledger import record_call
from tests.proxy.books import close_the_day
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.rows import capture, consent, fill, make_dataset, make_version
from tests.world import Api, Tenant, World, make_catalog

ROUTE = "large-distilled"
CAP = Nanos(parse_usd("5.00"))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("provider-trials")) as proxy:
        yield proxy


class Scene:
    """Acme's teacher, ``large``, and the model that the bank has trained on its answers."""

    def __init__(self, tenant: Tenant, base_url: str) -> None:
        self.acme = tenant
        catalog = make_catalog(tenant, model="large", base_url=base_url, input_per_million="10")
        consent(tenant)
        dataset = make_dataset(tenant, teacher="large")
        fill(tenant, dataset, 30)
        version = make_version(tenant, dataset)
        with org_scope(tenant.org.pk):
            tuning = create_provider_tuning(
                actor=tenant.owner,
                version=version,
                upstream=catalog.upstream,
                project=tenant.project,
                name="shop",
                base_model="mini-2026",
                per_million_nanos=parse_usd("25"),
            )
        while continue_tuning(tuning.org_id, tuning.pk, gate_from_settings()):
            pass
        self.tuning_id = tuning.pk
        self.now = clock.now() + timedelta(seconds=1)
        self.called = 0

    def fresh(self) -> ProviderTuning:
        with org_scope(self.acme.org.pk):
            return ProviderTuning.objects.select_related("version__dataset").get(pk=self.tuning_id)

    def price(self, input_per_million: str = "0.30") -> None:
        with org_scope(self.acme.org.pk):
            model = LanguageModel.objects.get(org=self.acme.org, name="shop")
            asked, said = Decimal(input_per_million), Decimal("0.60")
            create_price(actor=self.acme.owner, model=model, input_per_million=asked, output_per_million=said)

    def serve(self, **fields: Any) -> ProviderTuning:
        values: dict[str, Any] = {"api_key": self.acme.api_key, "cap_nanos": CAP} | fields
        with org_scope(self.acme.org.pk):
            return serve_provider_model(actor=self.acme.owner, tuning=self.fresh(), **values)

    def put(self, stage: Stage, **fields: Any) -> ProviderTuning:
        with org_scope(self.acme.org.pk):
            return set_stage(actor=self.acme.owner, tuning=self.fresh(), stage=stage, **fields)

    def warn(self) -> list[str]:
        with org_scope(self.acme.org.pk):
            return list_warnings(self.fresh(), look_around(self.acme.owner))

    def route(self) -> tuple[str, int, int]:
        """Its mode, how sure an answer must be, and how many are the teacher's alone, per cent."""
        with org_scope(self.acme.org.pk):
            there = Route.objects.get(org=self.acme.org, name=ROUTE)
        return there.mode, there.policy["confidence_percent"], there.policy["holdout_percent"]

    def ask(self, question: str) -> None:
        """A call of these words, which the teacher answers as the bank does, a moment after the one before."""
        self.now += timedelta(milliseconds=1)
        capture(self.acme, question, answer_text(), model="large", at=self.now)

    def call(self, count: int, answer: str = "") -> None:
        """So many calls that the teacher answers, as the bank does, each a moment after the one before."""
        for _ in range(count):
            self.now += timedelta(milliseconds=1)
            self.called += 1
            question = f"Where is parcel {self.called}?"
            capture(self.acme, question, answer or answer_text(), model="large", at=self.now)

    def compare_once(self) -> int:
        return compare_with_calls(self.acme.org.pk, self.tuning_id, gate_to_proxy(), 60)

    def compare(self) -> ProviderTuning:
        while self.compare_once():
            pass
        return self.fresh()


@pytest.fixture
def scene(committed_world: World, bank: Bank, proxy: Deployment, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(configured, "PROXY_URL", proxy.root_url)
    return Scene(committed_world.acme, bank.base_url)


def test_from_the_provider_to_the_route_and_back(scene: Scene, bank: Bank) -> None:
    acme = scene.acme
    assert scene.warn()[0].startswith("It is not served, so that it is compared with nothing and does not leave")
    with pytest.raises(InvalidField, match="price"):
        scene.serve()
    scene.price()
    served = scene.serve()
    assert (served.route, served.stage, scene.route()) == (ROUTE, "shadow", ("shadow", 100, 5))
    assert acme.api_key.encode() not in bytes(served.api_key or b"")
    assert scene.warn() == []
    scene.call(100)
    known = scene.compare()
    assert (known.stage, known.compared, known.answered, len(known.trials)) == ("shadow", 100, 0, 100)
    assert round(known.threshold, 4) == 0.7788
    scene.call(100)
    canary = scene.compare()
    assert (canary.stage, canary.compared, canary.answered, canary.agreed) == ("canary", 200, 100, 100)
    assert scene.route() == ("on", 78, 90)
    # Each answer was paid once, at its own price, and is in the ledger under the tag.
    bill = bank.bill()
    assert len(bill) == 200
    paid = sum(call.input_tokens * 300 + call.output_tokens * 600 for call in bill)
    assert canary.trials_nanos == paid > 0
    close_the_day(acme)
    with org_scope(acme.org.pk):
        assert read_spent(acme.owner, canary.pk, canary.created_at) == paid
    scene.call(60, "We have moved to Bonn.")
    back = scene.compare()
    assert (back.stage, scene.route()[0]) == ("rolled_back", "off")
    assert back.reason.startswith("It agreed with the teacher in 0 of its last ")
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org.pk):
        (alert,) = Alert.objects.filter(org=acme.org, kind="learned")
    assert (alert.subject, alert.facts["student"], alert.facts["route"]) == (str(scene.tuning_id), "shop", ROUTE)
    asked = len(bank.bill())
    scene.call(3)
    assert (scene.compare().compared, len(bank.bill())) == (back.compared, asked)


def test_comparisons_end_with_their_cap(scene: Scene, bank: Bank) -> None:
    scene.price()
    scene.serve(cap_nanos=Nanos(1))
    scene.call(2)
    stopped = scene.compare()
    assert (stopped.compared, stopped.trials_nanos, bank.bill()) == (0, 0, [])
    assert scene.warn() == [
        "It is not compared at present. The next comparison might cost more than is left of the cap: nothing is "
        "compared any more."
    ]
    # With more money it goes on where it stopped.
    scene.serve()
    assert scene.warn() == []
    assert tasks.compare_tuned() == 2
    assert (scene.fresh().compared, len(bank.bill())) == (2, 2)
    scene.serve(cap_nanos=Nanos(scene.fresh().trials_nanos))
    scene.call(1)
    assert scene.compare().compared == 2


def test_what_was_asked_alike_is_paid_once(scene: Scene, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.price()
    scene.serve()
    scene.call(2)
    with monkeypatch.context() as patch:
        # The worker dies between the answers and the database.
        patch.setattr("proxy.learning.trust._count", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scene.compare()
    assert (scene.fresh().compared, len(bank.bill())) == (0, 2)
    again = scene.compare()
    assert (again.compared, len(bank.bill())) == (2, 2)
    assert again.trials_nanos == sum(call.input_tokens * 300 + call.output_tokens * 600 for call in bank.bill())


def test_questions_that_are_nearly_the_same_are_each_asked(scene: Scene, bank: Bank) -> None:
    scene.price()
    scene.serve()
    for question in ("Where is my card?", "where is my card?", "Where  is my card?", "Where is my card?"):
        scene.ask(question)
    compared = scene.compare()
    # The last is the first to the letter.
    assert (compared.compared, compared.trials_error, len(bank.bill())) == (4, "", 3)


@pytest.mark.parametrize(("fault", "told"), [("http_500", "500: "), ("hang_up", "502: ")])
def test_a_question_that_gets_no_answer_holds_up_no_other(scene: Scene, bank: Bank, fault: str, told: str) -> None:
    scene.price()
    scene.serve()
    scene.call(3)
    for turn in range(1, 4):
        # As often as the proxy tries it.
        bank.queue(20, fault=fault)
        assert scene.compare_once() == 0
        bank.clear()
        stuck = scene.fresh()
        assert (stuck.compared, stuck.trials_failed, stuck.trials_error[:5]) == (0, turn, told)
    assert scene.compare_once() == 3
    over = scene.fresh()
    assert (over.compared, over.trials_failed, over.trials_error) == (3, 0, "")
    assert [sureness for sureness, _ in over.trials] == [0.0, *[pytest.approx(0.7788, abs=1e-4)] * 2]


def test_a_question_that_is_too_dear_holds_up_no_other(scene: Scene, bank: Bank) -> None:
    scene.price()
    # All that a short one may cost fits many times, and a long one's prompt alone does not: 0.30 a million.
    scene.serve(cap_nanos=Nanos(parse_usd("0.01")))
    scene.ask("Where is it? " * 50_000)
    scene.call(2)
    compared = scene.compare()
    assert (compared.compared, compared.trials_error, len(bank.bill())) == (3, "", 2)
    assert [sureness > 0 for sureness, _ in compared.trials] == [False, True, True]


def test_what_was_added_up_once_is_not_read_again(scene: Scene) -> None:
    scene.price()
    scene.serve()
    with org_scope(scene.acme.org.pk):
        long_ago = clock.now() - timedelta(days=3)
        ProviderTuning.objects.filter(pk=scene.tuning_id).update(trials_counted_until=long_ago)
    # A try whose answer nobody has heard.
    tags = {"learning-run": str(scene.tuning_id)}
    record_call(scene.acme, long_ago + timedelta(days=1), cost=7_000_000, tags=tags)
    record_call(scene.acme, long_ago + timedelta(days=1), cost=9, tags={"learning-run": "of another"})
    scene.call(1)
    first = scene.compare()
    heard = first.trials_nanos - 7_000_000
    assert (first.compared, first.trials_counted_nanos, heard > 0) == (1, 7_000_000, True)
    assert first.trials_counted_until is not None
    assert clock.now() - timedelta(minutes=6) < first.trials_counted_until < clock.now() - timedelta(minutes=5)
    # Nobody reads these days any more, whatever they have.
    record_call(scene.acme, long_ago + timedelta(days=1), cost=CAP, tags=tags)
    scene.call(1)
    second = scene.compare()
    assert (second.compared, second.trials_nanos, second.trials_error) == (2, 7_000_000 + heard * 2, "")


def test_another_worker_and_another_key_are_not_spoken_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.price()
    scene.serve()
    scene.call(1)

    def run_elsewhere(*_: Any) -> Any:
        raise Later("409: The first call with this Idempotency-Key still runs.", "idempotency_conflict", status=409)

    with monkeypatch.context() as patch:
        patch.setattr(provider_trials, "_ask", run_elsewhere)
        assert scene.compare_once() == 0
    assert (scene.warn(), scene.fresh().trials_failed) == ([], 1)

    def give_another_key(*_: Any) -> Any:
        scene.serve()
        raise Never("401: Incorrect API key provided.")

    with monkeypatch.context() as patch:
        patch.setattr(provider_trials, "_ask", give_another_key)
        assert scene.compare_once() == 0
    assert (scene.warn(), scene.fresh().trials_failed) == ([], 0)


def test_it_has_one_route(scene: Scene) -> None:
    scene.price()
    scene.serve()
    with pytest.raises(Conflict, match=f"The route {ROUTE} asks it: leave the route out, or serve it no longer first"):
        scene.serve(route="another")
    with org_scope(scene.acme.org.pk):
        assert [route.name for route in Route.objects.filter(org=scene.acme.org)] == [ROUTE]
        retire_provider_model(actor=scene.acme.owner, tuning=scene.fresh())
    assert scene.serve(route="another").route == "another"


def test_what_was_rolled_back_is_not_served_and_a_pause_is_not_paid_for(scene: Scene, bank: Bank) -> None:
    scene.price()
    scene.serve()
    scene.call(1)
    assert scene.compare().compared == 1
    scene.put(Stage.ROLLED_BACK)
    with pytest.raises(Conflict, match="This model was rolled back: put it into the shadow, or train another one"):
        scene.serve()
    scene.put(Stage.SHADOW)
    with org_scope(scene.acme.org.pk):
        retire_provider_model(actor=scene.acme.owner, tuning=scene.fresh())
    scene.now = clock.now() - timedelta(seconds=1)
    scene.call(5)
    scene.serve()
    assert (scene.compare().compared, len(bank.bill())) == (1, 1)


def test_a_model_that_tells_no_probabilities_is_sure_of_nothing(scene: Scene, bank: Bank) -> None:
    scene.price()
    scene.serve()
    scene.call(2)
    bank.queue(1, fault="http_error", status=400)
    tried = scene.compare()
    assert (tried.compared, tried.answered, tried.stage) == (2, 0, "shadow")
    assert [sureness for sureness, _ in tried.trials] == [0.0, pytest.approx(0.7788, abs=1e-4)]


def test_what_cannot_be_served_is_said(scene: Scene, committed_world: World) -> None:
    scene.price("20")
    with pytest.raises(InvalidField, match="shop is not cheaper than large"):
        scene.serve()
    with pytest.raises(InvalidField, match="Give an API key of this organisation"):
        scene.serve(api_key=committed_world.mallcorp.api_key)
    with pytest.raises(InvalidField, match="Give more than nothing"):
        scene.serve(cap_nanos=Nanos(0))
    with org_scope(scene.acme.org.pk):
        ProviderTuning.objects.filter(pk=scene.tuning_id).update(state="running")
    with pytest.raises(Conflict, match="The provider has not trained it"):
        scene.serve()
    with org_scope(scene.acme.org.pk):
        ProviderTuning.objects.filter(pk=scene.tuning_id).update(state="done")
        LanguageModel.objects.filter(org=scene.acme.org, name="shop").update(is_active=False)
    with pytest.raises(Conflict, match="There is no model shop of ft:mini-2026:bank::1 any more"):
        scene.serve()


def test_withdrawn_it_is_asked_by_nobody(scene: Scene, bank: Bank) -> None:
    scene.price()
    scene.serve()
    scene.put(Stage.PROMOTED, confidence_percent=50)
    assert scene.route()[0] == "on"
    with org_scope(scene.acme.org.pk):
        LearnedExample.objects.filter(pk=scene.fresh().version.train[0]).update(sealed=None)
    assert unlearn(scene.acme.org.pk) == 1
    gone = scene.fresh()
    assert (gone.stage, gone.api_key, scene.route()[0], scene.warn()) == ("withdrawn", None, "off", [])
    scene.call(1)
    assert (scene.compare().compared, bank.bill()) == (0, [])
    with pytest.raises(Conflict, match="was withdrawn: train another one"):
        scene.serve()
    with pytest.raises(Conflict, match="nothing of it is left"):
        scene.put(Stage.SHADOW)


def test_a_dataset_goes_only_when_its_route_is_gone(scene: Scene) -> None:
    acme = scene.acme
    scene.price()
    scene.serve()
    with org_scope(acme.org.pk):
        dataset = scene.fresh().version.dataset
        with pytest.raises(Conflict, match=f"answers calls of {ROUTE}: serve it no longer first"):
            delete_dataset(actor=acme.owner, dataset=dataset)
        retired = retire_provider_model(actor=acme.owner, tuning=scene.fresh())
        assert (retired.route, retired.api_key) == ("", None)
        assert not Route.objects.filter(org=acme.org).exists()
        assert LanguageModel.objects.get(org=acme.org, name="shop").is_active
        delete_dataset(actor=acme.owner, dataset=dataset)


def test_the_api_serves_and_moves_it(scene: Scene, committed_world: World) -> None:
    scene.price()
    ada, path = Api(token=scene.acme.admin_token), f"/provider-tunings/{scene.tuning_id}"
    body = {"api_key": scene.acme.api_key, "cap": "2.50", "route": ROUTE}
    assert ada.send("PUT", f"{path}/deployment", {**body, "cap": "-1"}).status_code == 400
    shown = ada.send("PUT", f"{path}/deployment", body).json()
    assert {name: shown[name] for name in ("route", "stage", "cap", "compared_for", "warnings", "compared")} == {
        "route": ROUTE,
        "stage": "shadow",
        "cap": "2.500000000",
        "compared_for": "0.000000000",
        "warnings": [],
        "compared": 0,
    }
    assert "api_key" not in shown
    moved = ada.patch(path, {"stage": "canary", "confidence_percent": 60, "canary_percent": 25}).json()
    assert (moved["stage"], moved["threshold"], scene.route()) == ("canary", 0.6, ("on", 60, 75))
    ben = Api(user=committed_world.ben, org=scene.acme.org.slug)
    assert ben.patch(path, {"stage": "shadow"}).status_code == 403
    assert ben.send("PUT", f"{path}/deployment", body).status_code == 403
    mallory = Api(token=committed_world.mallcorp.admin_token)
    assert mallory.send("PUT", f"{path}/deployment", body).status_code == 404
    assert ada.delete(f"{path}/deployment").json()["route"] == ""
