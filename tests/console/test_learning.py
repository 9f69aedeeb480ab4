"""The page of learning: students with what they save, trainings with a button that ends them, and the calculator."""

import html
import re
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client

from billing.spend.api.roi_fields import SCENARIOS, TrafficBody
from costhub.console.calculator import ASKED, TYPED
from costhub.lib import clock
from proxy.learning.choices import JobState
from proxy.learning.datasets import create_dataset
from proxy.learning.evaluation import evaluate
from proxy.learning.models import Student, TrainingJob
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import User
from tests.billing.ledger import record_call
from tests.proxy.learning.rows import fill_learning
from tests.world import World, make_catalog

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(world: World, client: Client) -> Client:
    client.force_login(world.ada)
    return client


def test_without_anything_it_says_how_to_begin(ada: Client) -> None:
    text = ada.get("/o/acme/learning").content.decode()
    assert "There is no student." in text
    assert "Nothing is trained, and nothing was." in text
    # What looks at every call of four weeks comes after the page.
    address = "/o/acme/learning/reckon?scenario=fine_tune"
    assert f'hx-get="{address}"' in text
    reckoned = ada.get(address, headers={"hx-request": "true"}).content.decode()
    assert "Never pays: there are no calls that it could save anything on" in reckoned
    assert reckoned.lstrip().startswith("<section")
    assert ada.get(address).headers["Location"] == "/o/acme/learning?scenario=fine_tune#roi"


def test_a_student_is_shown_with_what_it_answered_and_saved(ada: Client, world: World) -> None:
    acme = world.acme
    student_id = fill_learning(acme)["students"][0]
    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student_id).update(
            route="shop", stage="promoted", compared=90, answered=60, agreed=57, reason="It agreed."
        )
    for saved, cost in ((2_000, 0), (0, 3_000)):
        record_call(
            acme,
            clock.now() - timedelta(minutes=1),
            request_model="shop",
            route_reason="route shop v1 cascade: student, rung 1 of 2",
            list_cost=cost + saved,
            effective_cost=cost,
            savings={"distillation": saved} if saved else {},
        )
    record_call(acme, clock.now() - timedelta(minutes=1), cost=1_000_000, request_model="small")
    page = ada.get("/o/acme/learning")
    (student,) = page.context["students"]
    assert (student["served"].calls, student["served"].answered, student["served"].saved) == (2, 1, 2_000)
    text = " ".join(page.content.decode().split())
    assert "it would have answered 60 of 90, 57 as the teacher did" in text
    assert "it answered 1 of 2 calls in 28 days" in text
    # 30 calls of the teacher's for 87 successes; three calls would have cost it 1,005,000.
    assert "costs $0.000115517 (" in text
    assert "with the teacher alone $0.000335000" in text
    assert "Exactly $0.000002" in text


def test_buttons_move_a_student_and_say_what_cannot_be(ada: Client, world: World) -> None:
    student_id = fill_learning(world.acme)["students"][0]
    path = f"/o/acme/learning/students/{student_id}/change"
    assert ada.post(path, {"stage": "canary"}).status_code == 302
    with org_scope(world.acme.org.pk):
        assert Student.objects.get(pk=student_id).stage == "canary"
    assert "No server of students is known" in ada.post(path, {"serve": "yes"}, follow=True).content.decode()
    assert "answers no calls any more" in ada.post(path, {"retire": "yes"}, follow=True).content.decode()
    assert ada.post("/o/acme/learning/students/nobody/change", {"stage": "canary"}).status_code == 404


def test_a_student_has_a_page_that_holds_it_against_others(ada: Client, world: World) -> None:
    """Of the last sixty questions it is sure of thirty; what is right is known of forty-five."""
    acme = world.acme
    student_id = fill_learning(acme)["students"][0]
    path = f"/o/acme/learning/students/{student_id}"
    bare = ada.get(path)
    assert (bare.status_code, bare.context["lines"], bare.context["labels"]) == (200, [], [])
    ups = [0.99] * 60 + [0.99, 0.98, 0.9, 0.995] * 15
    chances = np.array([[1 - up, up] for up in ups])
    teacher, gold = ["up"] * 60 + ["up", "up", "down", "down"] * 15, ["up"] * 60 + ["up", "", "down", "up"] * 15
    made = evaluate(chances, ["down", "up"], teacher, ["up", "up", "down"], ["down"] * 120, 0.9, gold)
    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student_id).update(evaluation=made.dump())
    record_call(acme, clock.now() - timedelta(minutes=1), cost=1_000_000, request_model="small")
    page = ada.get(path)
    found = [
        (line.who, line.agrees and line.agrees[:2], line.is_right and line.is_right[:2])
        for line in page.context["lines"]
    ]
    assert found == [
        ("The student, asked everything", (30, 60), (30, 45)),
        ("The student, where it is sure", (15, 30), (30, 30)),
        ("The student where it is sure, else its teacher", (45, 60), (45, 45)),
        ("The teacher", None, (30, 45)),
        ("Who says what the nearest example had", (30, 60), (15, 45)),
        ("Who always says the commonest label", (30, 60), (30, 45)),
    ]
    labels = [(label, *(told and told[:2] for told in each)) for label, *each in page.context["labels"]]
    assert labels == [("down", (0, 30), (30, 30), (0, 15)), ("up", (30, 30), (0, 30), (15, 15))]
    text = " ".join(page.content.decode().split())
    assert '50.0 % <span class="muted">36.8 to 63.2 %, 30 of 60</span>' in text
    assert "$0.001000000" in text
    assert "with the teacher for the rest 45 of 45 are (100.0 %; 92.1 to 100.0 %)" in text


def test_a_training_is_cancelled_by_its_button(ada: Client, world: World) -> None:
    rows = fill_learning(world.acme)
    job_id, tuning_id = rows["training-jobs"][0], rows["provider-tunings"][0]
    with org_scope(world.acme.org.pk):
        TrainingJob.objects.filter(pk=job_id).update(state=JobState.RUNNING.value, losses=[[1, 2.0], [2, 1.0]])
    assert "Loss by step" in ada.get("/o/acme/learning").content.decode()
    assert ada.post(f"/o/acme/learning/trainings/{job_id}/cancel").status_code == 302
    assert ada.post(f"/o/acme/learning/trainings/{tuning_id}/cancel", {"provider": "yes"}).status_code == 302
    with org_scope(world.acme.org.pk):
        assert TrainingJob.objects.get(pk=job_id).state == "cancelled"


def test_who_may_not_change_settings_sees_no_buttons(world: World, client: Client) -> None:
    fill_learning(world.acme)
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="fin@acme.example", role=Role.FINANCE)
    client.force_login(User.objects.get(email="fin@acme.example"))
    page = client.get("/o/acme/learning")
    assert page.status_code == 200
    assert "labels" in page.content.decode()
    assert "Make it canary" not in page.content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "scenario=fine_tune&training_cost=0&input_per_million=0&output_per_million=0&escalated_percent=100",
            "Never pays: it saves nothing",
        ),
        ("scenario=cache&hit_percent=20", "Pays from the first day"),
        ("scenario=batch", "Pays from the first day"),
        ("scenario=route&input_per_million=0&output_per_million=0", "Pays from the first day"),
        ("scenario=self_host", "Never pays: it costs"),
        ("scenario=self_host&gpus=2&operations_per_month=100", "Never pays: it costs"),
    ],
)
def test_the_calculator_reckons_on_the_ledgers_days(ada: Client, world: World, query: str, words: str) -> None:
    for day in range(1, 4):
        record_call(world.acme, clock.now() - timedelta(days=day), cost=10**6, input_tokens=900, output_tokens=9)
    assert words in ada.get(f"/o/acme/learning?{query}").content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("scenario=magic", "scenario: Give one of"),
        ("training_cost=much", "Training, USD: Give a decimal number"),
        ("training_cost=-1", "Training, USD: Give a number from 0 to"),
        ("training_cost=1e9", "Training, USD: Give a decimal number"),
        ("training_cost=", "Training, USD: This field is required"),
        ("share_percent=101", "Share of the calls, per cent: Give a number from 0 to 100"),
        ("scenario=self_host&tokens_per_second=0", "Tokens per second of a busy GPU: Give a number from 1"),
        ("model=%00", "model: "),
        ("horizon_days=0", "horizon_days: Ensure this value is greater than or equal to 1"),
        ("horizon_days=soon", "horizon_days: Give a whole number"),
        ("traffic.requests_per_day=5", "Input tokens of a call: This field is required"),
        ("low.training_cost=600&high.training_cost=700", "Training, USD: Give a low and a high"),
        ("low.training_cost=x&high.training_cost=700", "Training, USD: Give a decimal number"),
        ("low.traffic=110&high.traffic=120", "The traffic, per cent of the average day: Give a low and a high"),
        (
            "model=small&traffic.requests_per_day=1&traffic.input_tokens=1&traffic.output_tokens=1"
            "&traffic.input_per_million=1&traffic.output_per_million=1",
            "ledger: Give the traffic, or whose calls",
        ),
    ],
)
def test_what_cannot_be_reckoned_is_said(ada: Client, query: str, words: str) -> None:
    page = ada.get(f"/o/acme/learning?{query}")
    assert page.status_code == 400
    assert words in page.content.decode()


def test_the_form_asks_for_all_that_the_api_reads() -> None:
    assert {name: [each.field for each in asked] for name, asked in ASKED.items()} == {
        name: sorted(body().fields, key=[each.field for each in ASKED[name]].index)
        for name, (body, _) in SCENARIOS.items()
    }
    assert [each.field for each in TYPED] == list(TrafficBody().fields)


def test_the_worked_example_is_one_click_away(ada: Client) -> None:
    """10,000 calls a day of a model at 30 and 60 USD, by one that was trained for 500."""
    text = ada.get("/o/acme/learning").content.decode()
    (link,) = re.findall(r'href="([^"]*training_cost[^"]*)#roi"', text)
    page = ada.get(html.unescape(link))
    outcome = page.context["outcome"]
    assert (outcome.before, outcome.after, outcome.once) == (420 * 10**9, 2_400_000_000, 500 * 10**9)
    shown = " ".join(page.content.decode().split())
    assert "Pays for itself after 1.2 days: it saves $417.60 a day and costs $500.00 once." in shown
    assert "Calls a day, as typed" in shown
    assert "even after 1.2 days" in shown
    assert "<details open>" in shown


def test_what_is_uncertain_is_drawn_as_a_band_that_can_be_read(ada: Client) -> None:
    """Without a range the chart has a line alone; never paying is said plainly, with nothing that marks an end."""
    typed = (
        "traffic.requests_per_day=10000&traffic.input_tokens=1000&traffic.output_tokens=200"
        "&traffic.input_per_million=0.1&traffic.output_per_million=0.1"
    )
    host = f"scenario=self_host&{typed}"
    page = ada.get(f"/o/acme/learning?{host}")
    chart, spread = page.context["chart"], page.context["spread"]
    assert spread.trials == 1_000
    assert chart.band
    assert chart.mark is None
    assert page.context["tone"] == "bad"
    text = page.content.decode()
    assert text.count("data-tip ") == len(chart.steps) == 13
    assert "Four of five of 1,000 trials" in text
    fixed = "&".join(f"{each.field}={each.first}" for each in ASKED["self_host"] if each.first)
    plain = ada.get(f"/o/acme/learning?{host}&{fixed}")
    assert (plain.context["chart"].band, plain.context["spread"]) == ("", None)
    assert plain.context["outcome"] == page.context["outcome"]


def test_what_is_searched_for_is_found_among_all_of_it(ada: Client, world: World) -> None:
    acme = world.acme
    made = fill_learning(acme)
    with org_scope(acme.org.pk):
        student = Student.objects.get(pk=made["students"][0])
        Student.objects.filter(pk=student.pk).update(name="Tickets by kind")
        TrainingJob.objects.filter(org=acme.org).update(name="nightly")
    page = ada.get("/o/acme/learning", {"q": "TICKETS BY"})
    assert [each["row"].pk for each in page.context["students"]] == [student.pk]
    assert (page.context["jobs"], page.context["tuned_models"]) == ([], [])
    text = page.content.decode()
    assert ("Tickets by kind" in text, 'value="TICKETS BY"' in text) == (True, True)
    assert "There is no student" not in ada.get("/o/acme/learning", {"q": "nightly"}).content.decode()
    nothing = ada.get("/o/acme/learning", {"q": "nobody's <b>"}).content.decode()
    assert ("Nothing matches" in nothing, "<b>&quot;" in nothing, "Nothing is trained" in nothing) == (
        True,
        False,
        False,
    )
    # What is reckoned is not searched for, and the other way round.
    assert 'hx-get="/o/acme/learning/reckon' in nothing
    for wrong in ("x" * 201, "a\x00b"):
        refused = ada.get("/o/acme/learning", {"q": wrong})
        assert (refused.status_code, "q: " in refused.content.decode()) == (400, True)


def test_each_kind_has_its_pages_and_all_are_sorted(ada: Client, world: World) -> None:
    acme = world.acme
    make_catalog(acme, model="small")
    with org_scope(acme.org.pk):
        for number in range(41):
            create_dataset(actor=acme.owner, name=f"set {number:02d}", teacher="small")

    def show(query: str) -> list[str]:
        return [each.name for each in ada.get(f"/o/acme/learning?{query}").context["datasets"]]

    assert show("sort=name") == [f"set {number:02d}" for number in range(20)]
    assert show("sort=-name&show=datasets&page=2") == [f"set {number:02d}" for number in range(20, 0, -1)]
    assert show("sort=name&show=datasets&page=3") == ["set 40"]
    page = ada.get("/o/acme/learning?sort=name").content.decode()
    assert 'href="/o/acme/learning?sort=name&amp;show=datasets&amp;page=2"' in page
    last = ada.get("/o/acme/learning?sort=name&show=datasets&page=3").content.decode()
    assert ("Previous datasets" in last, "More datasets" in last, "There is no student" in last) == (True, False, False)
    assert "41 datasets" in page
    for wrong in ("sort=colour", "show=colours", "show=datasets&page=0"):
        assert ada.get(f"/o/acme/learning?{wrong}").status_code == 400, wrong
