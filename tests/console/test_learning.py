"""The page of learning: students with what they save, trainings with a button that ends them, and the calculator."""

from datetime import timedelta

import pytest
from django.test import Client

from costhub.lib import clock
from proxy.learning.choices import JobState
from proxy.learning.models import Student, TrainingJob
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import User
from tests.billing.ledger import record_call
from tests.proxy.learning.rows import fill_learning
from tests.world import World

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
    # 30 calls of the teacher's for 87 successes.
    assert "costs $0.000344828 (" in text
    assert "with the teacher alone $0.001000000" in text
    assert "Exactly $0.000002" in text


def test_buttons_move_a_student_and_say_what_cannot_be(ada: Client, world: World) -> None:
    student_id = fill_learning(world.acme)["students"][0]
    path = f"/o/acme/learning/students/{student_id}"
    assert ada.post(path, {"stage": "canary"}).status_code == 302
    with org_scope(world.acme.org.pk):
        assert Student.objects.get(pk=student_id).stage == "canary"
    assert "No server of students is known" in ada.post(path, {"serve": "yes"}, follow=True).content.decode()
    assert "answers no calls any more" in ada.post(path, {"retire": "yes"}, follow=True).content.decode()
    assert ada.post("/o/acme/learning/students/nobody", {"stage": "canary"}).status_code == 404


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
        ("scenario=fine_tune&once=0&input=0&output=0&share=100&escalated=100", "Never pays: it saves nothing"),
        ("scenario=cache&hits=20", "Pays from the first day"),
        ("scenario=fine_tune&once=0&input=0&output=0&share=100&escalated=0", "Pays from the first day"),
    ],
)
def test_the_calculator_reckons_on_the_ledgers_days(ada: Client, world: World, query: str, words: str) -> None:
    for day in range(1, 4):
        record_call(world.acme, clock.now() - timedelta(days=day), cost=10**6)
    assert words in ada.get(f"/o/acme/learning?{query}").content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("scenario=magic", "scenario: Give one of"),
        ("once=much", "once: Give a number"),
        ("once=-1", "once: Give a number"),
        ("once=1e9", "once: Give a number"),
        ("share=101", "share: Give from 0 to 100 per cent"),
        ("scenario=self_host&speed=0", "speed: Give more than nothing"),
        ("model=%00", "model: Give a model"),
    ],
)
def test_what_cannot_be_reckoned_is_said(ada: Client, query: str, words: str) -> None:
    page = ada.get(f"/o/acme/learning?{query}")
    assert page.status_code == 400
    assert words in page.content.decode()
