"""Students after their training: compared with their teacher on its calls, moved by what comes of it, and what they
save."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.alerts.checks.standing import watch_standing
from billing.alerts.core.texts import describe
from billing.alerts.models import Alert
from billing.choices import AlertEvent, AlertKind
from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from proxy.learning.checkpoints import open_store
from proxy.learning.choices import Stage
from proxy.learning.deployment import deploy_student, retire_student
from proxy.learning.distilled_routes import look_around
from proxy.learning.evaluation import price_success
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.interruptions import Interruption
from proxy.learning.jobs import create_training_job
from proxy.learning.models import DatasetVersion, LearnedExample, Student, TeacherRun
from proxy.learning.students import Economy, answer, compare_with_calls, list_warnings, read_economy, set_stage
from proxy.learning.unlearning import unlearn
from tenants.access import org_scope
from tenants.actions.routes import update_route
from tenants.choices import RouteKind
from tenants.models import CapturePolicy, Route
from tests.audit import read_audit
from tests.billing.ledger import record_call
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.rows import capture, consent, embed_words, fill, make_dataset, make_version
from tests.world import Api, Tenant, World


@pytest.fixture
def student(world: World, tmp_path: Path) -> Student:
    """Of 135 questions to a shop; sure of nearly all."""
    acme = world.acme
    consent(acme)
    dataset = make_dataset(acme)
    fill(acme, dataset, 135)
    version = make_version(acme, dataset)
    with org_scope(acme.org.pk):
        job = create_training_job(
            actor=acme.owner,
            version=version,
            project=acme.project,
            name="topics",
            epochs=20,
            batch_rows=16,
            floor_per_mille=700,
            per_hour_nanos=3_600_000_000_000,
        )
    store = open_store(f"file://{tmp_path}")
    assert GpuWorker(store, embed_words, Interruption()).run(is_once=True) == 1
    with org_scope(acme.org.pk):
        return Student.objects.get(job=job)


def call_teacher(tenant: Tenant, count: int, *, wrong: bool = False, start: int = 0) -> None:
    """Calls that the teacher answers, each a moment after the one before; ``wrong``: as nobody learned it."""
    now = clock.now()
    for place, example in enumerate(make_support(count)):
        said = "something else" if wrong else example.answer
        capture(tenant, example.question, said, at=now + timedelta(milliseconds=start + place))


def compare(student: Student) -> Student:
    while compare_with_calls(student.org_id, student.pk, embed_words):
        pass
    with org_scope(student.org_id):
        return Student.objects.get(pk=student.pk)


def test_it_answers_what_it_is_sure_of(student: Student) -> None:
    said = answer(student, embed_words(["please refund my order of tent", "when will drone be delivered", "hm"]))
    assert [one.label for one in said[:2]] == ["refund", "delivery"]
    assert [one.is_sure for one in said] == [True, True, said[2].likelihood >= student.threshold]


def test_from_the_shadow_to_earnest_and_back_when_the_world_changes(world: World, student: Student) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student.pk).update(threshold=0)
    call_teacher(acme, 110)
    canary = compare(student)
    assert (canary.stage, canary.compared, canary.answered, canary.agreed) == ("canary", 110, 110, 110)
    assert canary.reason == (
        "It agreed with the teacher in 110 of 110 answers: at least 95.3%, and 70.0% is the floor."
    )
    assert canary.recent == ""
    call_teacher(acme, 135, start=1_000)
    call_teacher(acme, 135, start=2_000)
    assert compare(student).stage == "canary"
    call_teacher(acme, 45, start=3_000)
    assert compare(student).stage == "promoted"
    # The teacher speaks otherwise now.
    call_teacher(acme, 40, wrong=True, start=4_000)
    back = compare(student)
    assert (back.stage, back.agreed, back.answered) == ("rolled_back", 425, 465)
    assert back.reason.startswith("It agreed with the teacher in 0 of its last 40 answers: at most 8.8%")
    call_teacher(acme, 10, start=5_000)
    assert compare(student).compared == 465
    assert [move.changes["stage"] for move in read_audit(acme.org, action="student.moved")] == [
        ["shadow", "canary"],
        ["canary", "promoted"],
        ["promoted", "rolled_back"],
    ]


def test_only_calls_of_its_teacher_that_are_consented_to_are_compared(world: World, student: Student) -> None:
    later = clock.now() + timedelta(seconds=1)
    capture(world.acme, "Where is my parcel with shoes", "delivery", at=later, model="large")
    capture(world.acme, "No answer", " ", at=later)
    before = clock.now() - timedelta(days=2)
    capture(world.acme, "Where is my parcel with lamp", "delivery", at=before)
    # Under instructions that it has not learned under it answers nothing, on paper neither.
    with org_scope(world.acme.org.pk):
        Student.objects.filter(pk=student.pk).update(frames=["another one"])
    capture(world.acme, "Where is my parcel with tent", "delivery", at=later)
    assert compare(student).compared == 0


def test_moved_by_hand(world: World, student: Student) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        moved = set_stage(actor=acme.owner, student=student, stage=Stage.PROMOTED, floor_per_mille=800)
        assert (moved.stage, moved.floor_per_mille, moved.reason) == ("promoted", 800, f"By {acme.owner.name}.")
        with pytest.raises(InvalidField):
            set_stage(actor=acme.owner, student=student, stage=Stage.SHADOW, floor_per_mille=1_000)
        with pytest.raises(Forbidden):
            set_stage(actor=world.ben_actor, student=student, stage=Stage.SHADOW)
        Student.objects.filter(pk=student.pk).update(threshold=1.01)
        student.refresh_from_db()
        with pytest.raises(Conflict, match="sure of no answer"):
            set_stage(actor=acme.owner, student=student, stage=Stage.CANARY)
        assert set_stage(actor=acme.owner, student=student, stage=Stage.ROLLED_BACK).stage == "rolled_back"


def test_what_it_saves(world: World, student: Student) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        spent = student.job.spent_nanos
        assert spent > 0
        assert read_economy(acme.owner, student)[0] is None
        assert read_economy(acme.owner, student).break_even_calls is None
        for _ in range(2):
            record_call(acme, clock.now(), cost=1_000_000, request_model="small")
        record_call(acme, clock.now(), cost=9_000_000, request_model="other")
        economy = read_economy(acme.owner, student)
        tested = student.evaluation["answered"]
        share = tested["found"] * 1_000_000 // tested["of"]
        success = price_success(tested["of"], tested["found"], student.evaluation["right"]["found"])
        break_even = -(-spent * 1_000_000 // (share * 1_000_000))
        assert economy == Economy(1_000_000, share, spent, 0, break_even, 71_428, success)
        dataset = student.job.version.dataset
        made = student.job.version.created_at
        for cost, seconds in ((500_000, -1), (70_000, 1)):
            run = TeacherRun.objects.create(
                org=acme.org, dataset=dataset, state="done", prompts=b"", total=1, cost_nanos=cost
            )
            TeacherRun.objects.filter(pk=run.pk).update(created_at=made + timedelta(seconds=seconds))
        economy = read_economy(acme.owner, student)
        assert (economy.bought_nanos, economy.spent_nanos) == (500_000, spent + 500_000)
        assert economy.break_even_calls == -(-(spent + 500_000) * 1_000_000 // (share * 1_000_000))
        student.compared, student.answered, student.agreed = 100, 70, 68
        assert read_economy(acme.owner, student).per_success == (306_122, 201_876, 449_232)


def test_it_saves_by_what_its_teacher_costs_when_all_calls_come_by_the_route(world: World, student: Student) -> None:
    """Of three calls of the route the student answered two, which the teacher would have for 1,000,000."""
    acme = world.acme
    for saved in (1_000_000, 1_000_000, 0):
        record_call(
            acme,
            clock.now(),
            cost=0 if saved else 1_000_000,
            request_model="small-distilled",
            savings={"distillation": saved} if saved else {},
        )
    with org_scope(acme.org.pk):
        economy = read_economy(acme.owner, student)
    assert (economy.teacher_call_nanos, economy.calls_a_day_millionths) == (1_000_000, 107_142)
    assert economy.break_even_calls is not None


def test_its_route_follows_its_stage_and_people_hear_that_it_was_rolled_back(
    world: World, student: Student, settings: Any
) -> None:
    settings.STUDENTS_URL = "http://127.0.0.1:8020/v1"
    acme = world.acme

    def read_route() -> tuple[str, int, int]:
        with org_scope(acme.org.pk):
            route = Route.objects.get(org=acme.org, name="small-distilled")
        return route.mode, route.policy["holdout_percent"], route.policy["confidence_percent"]

    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student.pk).update(threshold=0.123)
        student.refresh_from_db()
        assert deploy_student(actor=acme.owner, student=student, holdout_percent=10).route == "small-distilled"
    assert read_route() == ("shadow", 10, 13)
    call_teacher(acme, 110)
    assert compare(student).stage == "canary"
    assert read_route() == ("on", 10, 13)
    call_teacher(acme, 40, wrong=True, start=4_000)
    assert compare(student).stage == "rolled_back"
    assert read_route() == ("off", 10, 13)
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org.pk):
        (alert,) = Alert.objects.filter(org=acme.org, kind="learned")
        assert (alert.subject, alert.ended_at) == (str(student.pk), None)
        assert alert.facts["student"] == "topics"
        text = describe(AlertKind.LEARNED, alert.facts, AlertEvent.OPENED, ZoneInfo("UTC"))
        assert text.title == "topics was rolled back: its teacher answers the route small-distilled alone"
        assert text.figures[0][1].startswith("It agreed with the teacher in 0 of its last 40 answers")
        student.refresh_from_db()
        with pytest.raises(Conflict, match="was rolled back"):
            deploy_student(actor=acme.owner, student=student)
        set_stage(actor=acme.owner, student=student, stage=Stage.SHADOW)
    assert read_route() == ("shadow", 10, 13)
    watch_standing(acme.org.pk, clock.now())
    with org_scope(acme.org.pk):
        assert Alert.objects.get(pk=alert.pk).ended_at is not None


def test_a_student_has_one_route(world: World, student: Student, settings: Any) -> None:
    settings.STUDENTS_URL = "http://127.0.0.1:8020/v1"
    acme = world.acme
    with org_scope(acme.org.pk):
        student = deploy_student(actor=acme.owner, student=student, holdout_percent=10)
        with pytest.raises(
            Conflict, match="The route small-distilled asks it: leave the route out, or serve it no longer"
        ):
            deploy_student(actor=acme.owner, student=student, route="another")
        assert deploy_student(actor=acme.owner, student=student, route="small-distilled").route == "small-distilled"
        retire_student(actor=acme.owner, student=student)
        assert deploy_student(actor=acme.owner, student=student, route="another").route == "another"


def test_who_is_compared_with_nothing_says_so(world: World, student: Student, settings: Any) -> None:
    settings.STUDENTS_URL = "http://127.0.0.1:8020/v1"
    acme = world.acme
    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student.pk).update(threshold=0.5)
        student.refresh_from_db()
        assert list_warnings(student, look_around(acme.owner)) == []
        set_stage(actor=acme.owner, student=student, stage=Stage.PROMOTED)
        CapturePolicy.objects.filter(org=acme.org).update(per_mille=0)
        student.refresh_from_db()
        (blind,) = list_warnings(student, look_around(acme.owner))
    assert blind == (
        "No calls of small are kept, so that it is compared with nothing and is never rolled back: "
        "consent to keep calls."
    )
    shown = Api(token=acme.admin_token).get("/students").json()["data"][0]
    assert shown["warnings"] == [blind]
    with org_scope(acme.org.pk):
        student = deploy_student(actor=acme.owner, student=student, holdout_percent=0)
        assert list_warnings(student, look_around(acme.owner))[0].startswith(
            "No calls of small or small-distilled are kept"
        )
    consent(acme, model="small-distilled")
    with org_scope(acme.org.pk):
        (warning,) = list_warnings(student, look_around(acme.owner))
        assert warning.startswith("The route small-distilled holds out no conversations")
        set_stage(actor=acme.owner, student=student, stage=Stage.ROLLED_BACK)
        student.refresh_from_db()
        assert list_warnings(student, look_around(acme.owner)) == []


def test_the_api_tells_of_jobs_and_students(world: World, student: Student) -> None:
    ada = Api(token=world.acme.admin_token)
    shown = ada.get("/students").json()["data"][0]
    assert (shown["name"], shown["stage"], shown["labels"]) == ("topics", "shadow", ["delivery", "invoice", "refund"])
    assert shown["economy"]["teacher_call"] is None
    assert shown["economy"]["per_success"] is None
    assert shown["evaluation"]["success"]["calls"] <= shown["evaluation"]["success"]["high"]
    assert "weights" not in shown
    job = ada.get(f"/training-jobs/{shown['job']}").json()
    assert (job["state"], job["step"], job["seconds_left"]) == ("done", job["steps"], None)
    assert job["losses"][0][1] > job["losses"][-1][1]
    moved = ada.patch(f"/students/{shown['id']}", {"stage": "canary"})
    assert (moved.status_code, moved.json()["stage"]) == (200, "canary")
    body = {"version": job["version"], "project": "Default", "name": "again", "per_hour": "1.5", "most": "2"}
    body["project"] = str(world.acme.project.pk)
    made = ada.post("/training-jobs", body)
    assert made.status_code == 201, made.content
    assert (made.json()["per_hour"], made.json()["most"], made.json()["state"]) == (
        "1.500000000",
        "2.000000000",
        "waiting",
    )
    assert ada.delete(f"/training-jobs/{made.json()['id']}").status_code == 204
    assert ada.get(f"/training-jobs/{made.json()['id']}").json()["state"] == "cancelled"
    assert Api(user=world.ben, org=world.acme.org.slug).post("/training-jobs", body).status_code == 403


def test_a_route_wants_one_that_is_trained_anew_as_sure_as_it_must_be_now(
    world: World, student: Student, tmp_path: Path, settings: Any
) -> None:
    acme, settings.STUDENTS_URL = world.acme, "http://127.0.0.1:8020/v1"

    def train_anew() -> tuple[Student, Route]:
        with org_scope(acme.org.pk):
            version = DatasetVersion.objects.get(pk=student.job.version_id)
            left = LearnedExample.objects.filter(pk__in=version.train, sealed__isnull=False)
            LearnedExample.objects.filter(pk=left.values_list("pk", flat=True)[0]).update(sealed=None)
        assert unlearn(acme.org.pk) == 1
        assert GpuWorker(open_store(f"file://{tmp_path}"), embed_words, Interruption()).run(is_once=True) == 1
        with org_scope(acme.org.pk):
            return Student.objects.get(job=student.job_id), Route.objects.get(org=acme.org)

    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student.pk).update(threshold=0.6)
        known = Student.objects.select_related("job__version__dataset").get(pk=student.pk)
        set_stage(actor=acme.owner, student=known, stage=Stage.PROMOTED)
        known.refresh_from_db()
        deploy_student(actor=acme.owner, student=known, holdout_percent=7)
        route = Route.objects.get(org=acme.org)
    assert (route.policy["confidence_percent"], route.version) == (60, 1)
    anew, route = train_anew()
    assert (anew.stage, anew.route, anew.reason) == ("shadow", route.name, "")
    wanted = min(99, math.ceil(anew.threshold * 100))
    assert wanted > 60
    assert (route.mode, route.version) == ("shadow", 2)
    assert (route.policy["confidence_percent"], route.policy["holdout_percent"]) == (wanted, 7)
    # One that somebody has changed to ask others is left alone.
    with org_scope(acme.org.pk):
        update_route(actor=acme.owner, route=route, kind=RouteKind.FIXED, targets=[{"model": "small"}])
    _, route = train_anew()
    assert (route.kind, route.version) == ("fixed", 3)
