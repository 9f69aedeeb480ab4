"""A worker with jobs of encoders: from a version to a student that is served without PyTorch."""

from pathlib import Path
from typing import Any

import obstore
import pytest

from costhub.lib.errors import InvalidField
from proxy.learning import classifying
from proxy.learning.checkpoints import Store, open_store
from proxy.learning.choices import JobKind
from proxy.learning.consent import forget_uncovered
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.interruptions import Interruption
from proxy.learning.leases import Lease, keep_job, take_job
from proxy.learning.models import Student, TrainingJob
from proxy.learning.students import compare_with_calls, read_encoder
from proxy.learning.unlearning import unlearn
from tenants.access import org_scope
from tenants.actions.capture import delete_capture_policy
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.rows import capture, consent, embed_words, fill, make_dataset, make_version
from tests.proxy.learning.test_gpu_worker import ask as ask_head
from tests.proxy.learning.test_gpu_worker import ask_on, read, rows_of, student_of
from tests.world import Tenant, World

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]

#: 24 questions to learn from in two steps, twice; and each head's 60 epochs of one step
COURSE: dict[str, Any] = {"kind": JobKind.ENCODER, "epochs": 2, "batch_rows": 16, "rank": 2, "rate_millionths": 1_000}
STEPS = 60 + 4 + 60


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}")


def ask(tenant: Tenant, name: str = "topics", **fields: Any) -> TrainingJob:
    return ask_head(tenant, name, 30, **COURSE | fields)


def worker_of(store: Store, interruption: Interruption | None = None, embed: Any = embed_words) -> GpuWorker:
    return GpuWorker(store, embed, interruption or Interruption(), kinds=list(JobKind), beat_seconds=0.0)


def encoder_of(student: Student) -> bytes:
    with org_scope(student.org_id):
        return read_encoder(Student.objects.select_related("org").get(pk=student.pk))


def test_a_job_becomes_a_student_with_an_encoder_of_its_own(world: World, store: Store) -> None:
    acme = world.acme
    job = ask(acme, per_hour_nanos=3_600_000_000)
    # A worker without the extra leaves it alone.
    assert take_job("plain") is None
    assert worker_of(store).run(is_once=True) == 1
    done = read(job)
    assert (done.state, done.error, done.step, done.steps) == ("done", "", STEPS, STEPS)
    assert [point[0] for point in done.losses] == list(range(1, STEPS + 1))
    assert done.spent_nanos == sum(row["effective_cost"] for row in rows_of(acme)) > 0
    assert {(row["kind"], row["request_model"]) for row in rows_of(acme)} == {("training", "topics")}
    student = student_of(job)
    assert student is not None
    assert student.stage == "shadow"
    found = student.evaluation
    assert found["trained_on"] == 24
    assert found["tested"] == found["without_encoder"]["tested"] == 3
    # The control is a head as a job of that kind makes it.
    twin = ask_head(acme, "twin", 30, epochs=60, batch_rows=64, rate_millionths=10_000)
    assert worker_of(store).run(is_once=True) == 1
    plain = student_of(twin)
    assert plain is not None
    assert {name: plain.evaluation[name] for name in found["without_encoder"]} == found["without_encoder"]
    # Sealed, and only read where it is asked for; nothing is left behind.
    learned = encoder_of(student)
    assert len(learned) > 100_000
    assert "encoder" in student.get_deferred_fields()
    with org_scope(acme.org.pk):
        assert learned[500:600] not in bytes(student.encoder or b"")
    assert encoder_of(plain) == b""
    assert [item for batch in obstore.list(store) for item in batch] == []


@pytest.mark.parametrize("stops_at", [30, 62, 100], ids=["the control", "the encoder", "the head"])
def test_who_goes_on_after_a_notice_ends_with_the_same_bits(world: World, store: Store, stops_at: int) -> None:
    whole = ask(world.acme)
    assert worker_of(store).run(is_once=True) == 1
    job, interruption = ask(world.acme, "again"), Interruption()

    def keep_and_stop(lease: Lease, *, step: int = 0, **said: Any) -> None:
        keep_job(lease, step=step, **said)
        if step == stops_at:
            interruption.notice("test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifying, "keep_job", keep_and_stop)
        assert worker_of(store, interruption).run() == 0
    assert (read(job).state, read(job).step) == ("waiting", stops_at)
    assert worker_of(store, embed=never).run(is_once=True) == 1
    assert [point[0] for point in read(job).losses] == list(range(1, STEPS + 1))
    first, second = student_of(whole), student_of(job)
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256
    assert (bytes(first.weights), encoder_of(first)) == (bytes(second.weights), encoder_of(second))


def never(texts: Any) -> Any:
    """What is done is not done again."""
    raise AssertionError("These vectors are there.")


def test_it_is_compared_by_its_own_encoder_and_erased_with_its_consent(world: World, store: Store) -> None:
    acme = world.acme
    policy = consent(acme)
    dataset = make_dataset(acme)
    fill(acme, dataset, 30)
    for example in make_support(33)[30:]:
        capture(acme, f"{example.question} now", example.answer)
    job = ask_on(acme, make_version(acme, dataset), **COURSE)
    assert worker_of(store).run(is_once=True) == 1
    student = student_of(job)
    assert student is not None
    with org_scope(acme.org.pk):
        Student.objects.filter(pk=student.pk).update(threshold=0)
    for example in make_support(45)[36:]:
        capture(acme, example.question, example.answer)
    assert compare_with_calls(acme.org.pk, student.pk, never) == 9
    compared = student_of(job)
    assert compared is not None
    assert (compared.compared, compared.answered) == (9, 9)
    assert compared.agreed >= 6
    with org_scope(acme.org.pk):
        delete_capture_policy(actor=acme.owner, policy=policy)
    forget_uncovered(acme.org.pk)
    assert unlearn(acme.org.pk) == 1
    gone = student_of(job)
    assert gone is not None
    assert (gone.stage, bytes(gone.weights), encoder_of(gone)) == ("withdrawn", b"", b"")
    # It is trained anew without them, encoder and all.
    assert worker_of(store).run(is_once=True) == 1
    again = student_of(job)
    assert again is not None
    assert (again.stage, again.withdrawn) == ("shadow", 3)
    assert len(encoder_of(again)) > 100_000


@pytest.mark.parametrize(("field", "value"), [("rank", 0), ("rank", 65), ("epochs", 51), ("batch_rows", 257)])
def test_what_cannot_be_is_refused(world: World, field: str, value: Any) -> None:
    with pytest.raises(InvalidField) as raised:
        ask(world.acme, **{field: value})
    assert raised.value.field == field
