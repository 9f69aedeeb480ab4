"""A worker with jobs of adapters: from a version to a tuned model, through notices, cancellations and lost consent."""

import hashlib
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import obstore
import pytest

from costhub.lib.errors import Conflict, InvalidField
from proxy.learning import leases
from proxy.learning.checkpoints import Store, open_store
from proxy.learning.choices import JobKind
from proxy.learning.consent import forget_uncovered
from proxy.learning.conversations import write_line
from proxy.learning.datasets import import_lines
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.interruptions import Interruption
from proxy.learning.jobs import cancel_training_job, create_training_job
from proxy.learning.leases import Lease, take_job
from proxy.learning.lora import tuning
from proxy.learning.lora.language_models import prepare
from proxy.learning.lora.sealed import open_bytes
from proxy.learning.models import TrainingJob, TunedModel
from proxy.learning.unlearning import unlearn
from tenants.access import org_scope
from tenants.actions.capture import delete_capture_policy
from tests.learning.bases import TINY
from tests.patience import PATIENCE_SECONDS
from tests.proxy.learning.examples import make_example, make_support
from tests.proxy.learning.rows import capture, consent, embed_words, fill, make_dataset, make_version
from tests.proxy.learning.test_gpu_worker import read, rows_of
from tests.world import Tenant, World

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}")


@pytest.fixture(autouse=True)
def bases(models: str, settings: Any) -> None:
    settings.BASE_MODELS_DIR = models


def ask(tenant: Tenant, name: str = "shop", count: int = 20, **fields: Any) -> TrainingJob:
    dataset = make_dataset(tenant, name)
    fill(tenant, dataset, count)
    return ask_on(tenant, make_version(tenant, dataset), name, **fields)


def ask_on(tenant: Tenant, version: Any, name: str = "shop", **fields: Any) -> TrainingJob:
    course: dict[str, Any] = {"base_model": TINY, "epochs": 2, "batch_rows": 4, "rank": 2, "sequence_tokens": 64}
    with org_scope(tenant.org.pk):
        return create_training_job(
            actor=tenant.owner, version=version, project=tenant.project, name=name, kind=JobKind.LORA, **course | fields
        )


def worker_of(store: Store, interruption: Interruption | None = None, beat_seconds: float = 0.0) -> GpuWorker:
    kinds = [JobKind.HEAD, JobKind.LORA]
    return GpuWorker(
        store, embed_words, interruption or Interruption(), name="gpu-1", kinds=kinds, beat_seconds=beat_seconds
    )


def tuned_of(job: TrainingJob) -> TunedModel | None:
    with org_scope(job.org_id):
        return TunedModel.objects.select_related("job").filter(job=job).first()


def test_a_job_becomes_a_tuned_model(world: World, store: Store) -> None:
    acme = world.acme
    job = ask(acme, per_hour_nanos=3_600_000_000)
    # A worker without the extra leaves it alone.
    assert take_job("plain") is None
    assert worker_of(store).run(is_once=True) == 1
    done = read(job)
    assert (done.state, done.error, done.step, done.steps, done.worker) == ("done", "", 8, 8, "gpu-1")
    assert [point[0] for point in done.losses] == list(range(1, 9))
    assert done.spent_nanos == sum(row["effective_cost"] for row in rows_of(acme)) > 0
    assert {(row["kind"], row["request_model"]) for row in rows_of(acme)} == {("training", "shop")}
    tuned = tuned_of(job)
    assert tuned is not None
    assert (tuned.name, tuned.base_model, tuned.state) == ("shop", TINY, "ready")
    said = tuned.evaluation
    assert (said["trained_on"], said["left_out"], said["steps"], said["tokens"]) == (16, 0, 8, done.tokens)
    assert said["tuned"]["of"] == said["base"]["of"] == 4
    assert 0 < said["tuned"]["loss"] != said["base"]["loss"]
    assert done.tokens > 16 * 2 * 10
    assert (said["reads"], tuned.context) == (2_048, 2_048)
    with org_scope(acme.org.pk):
        adapter = open_bytes(acme.org, tuned.pk, "adapter", tuned.adapter)
        served = open_bytes(acme.org, tuned.pk, "served", tuned.served)
    assert (hashlib.sha256(adapter).hexdigest(), len(adapter)) == (tuned.sha256, tuned.size)
    assert served[:4] == b"GGUF"
    assert tuned.config["target_modules"] == ["q_proj", "v_proj"]
    assert json.dumps(tuned.config)
    # Sealed: nothing of the file can be read in the row. And nothing is left behind.
    assert adapter[:64] not in bytes(tuned.adapter)
    assert [item for batch in obstore.list(store) for item in batch] == []


def test_who_goes_on_after_a_notice_ends_with_the_same_adapter(world: World, store: Store) -> None:
    whole = ask(world.acme)
    assert worker_of(store).run(is_once=True) == 1
    job, interruption = ask(world.acme, "again"), Interruption()
    keep = leases.keep_job

    def keep_and_stop(lease: Lease, **so_far: Any) -> None:
        keep(lease, **so_far)
        if so_far.get("step") == 3:
            interruption.notice("test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "keep_job", keep_and_stop)
        assert worker_of(store, interruption).run() == 0
    assert (read(job).state, read(job).step) == ("waiting", 3)
    assert worker_of(store).run(is_once=True) == 1
    one, other = tuned_of(whole), tuned_of(job)
    assert one is not None
    assert other is not None
    assert (one.sha256, one.evaluation) == (other.sha256, other.evaluation)


def test_a_base_that_takes_long_to_load_keeps_its_lease_and_hears_a_notice(world: World, store: Store) -> None:
    job = ask(world.acme)
    kept, goes_on = threading.Event(), threading.Event()
    keep = leases.keep_job

    def keep_and_say(lease: Lease, **so_far: Any) -> None:
        keep(lease, **so_far)
        kept.set()

    def load_slowly(*given: Any, **more: Any) -> Any:
        # As long as it takes until the lease was renewed.
        assert kept.wait(PATIENCE_SECONDS)
        return prepare(*given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "keep_job", keep_and_say)
        patch.setattr(tuning, "prepare", load_slowly)
        assert worker_of(store).run(is_once=True) == 1
    assert read(job).state == "done"
    # Who is told to end while a model is loaded does not wait for it.
    other, interruption = ask(world.acme, "other"), Interruption()

    def never(*_: Any, **__: Any) -> Any:
        interruption.notice("test")
        goes_on.wait(PATIENCE_SECONDS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "prepare", never)
        assert worker_of(store, interruption).run() == 0
    goes_on.set()
    assert (read(other).state, read(other).step) == ("waiting", 0)


def test_a_cancelled_job_leaves_nothing(world: World, store: Store) -> None:
    job = ask(world.acme)
    keep = leases.keep_job

    def cancel(lease: Lease, **so_far: Any) -> None:
        with org_scope(world.acme.org.pk):
            cancel_training_job(actor=world.acme.owner, job=job)
        keep(lease, **so_far)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "keep_job", cancel)
        assert worker_of(store).run(is_once=True) == 1
    assert read(job).state == "cancelled"
    assert tuned_of(job) is None
    assert [item for batch in obstore.list(store) for item in batch] == []


def test_consent_that_is_withdrawn_reaches_training_and_what_came_of_it(world: World, store: Store) -> None:
    acme = world.acme
    policy = consent(acme)
    dataset = make_dataset(acme)
    # Calls that are older than what is imported: these are learned from, the newest are held out.
    for example in make_support(60)[56:]:
        capture(acme, f"{example.question} now", example.answer)
    fill(acme, dataset, 16)
    version = make_version(acme, dataset)
    job = ask_on(acme, version)
    assert worker_of(store).run(is_once=True) == 1
    before = tuned_of(job)
    assert before is not None
    during = ask_on(acme, version, "during")
    keep = leases.keep_job
    trained: list[int] = []

    def withdraw(lease: Lease, **so_far: Any) -> None:
        if so_far.get("step") == 2 and not trained:
            trained.append(2)
            with org_scope(acme.org.pk):
                delete_capture_policy(actor=acme.owner, policy=policy)
            forget_uncovered(acme.org.pk)
        keep(lease, **so_far)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "keep_job", withdraw)
        assert worker_of(store).run(is_once=True) == 1
    # What was trained before is withdrawn, and trained anew.
    assert unlearn(acme.org.pk) == 1
    gone = tuned_of(job)
    assert gone is not None
    assert (gone.state, bytes(gone.adapter), bytes(gone.served)) == ("withdrawn", b"", b"")
    assert "was withdrawn" in gone.reason
    assert unlearn(acme.org.pk) == 0
    assert read(job).state == "waiting"
    assert worker_of(store).run(is_once=True) == 1
    # All three that never saw those rows are one.
    never = ask_on(acme, version, "never")
    assert worker_of(store).run(is_once=True) == 1
    found = {one.sha256 for each in (job, during, never) if (one := tuned_of(each)) is not None}
    assert len(found) == 1
    assert found != {before.sha256}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"base_model": "nowhere"}, "This machine has no model 'nowhere': it has smollm2-135m-instruct, tiny."),
        ({"sequence_tokens": 16}, "Of 16 examples 2 are of at most 16 tokens, and of 4 to test on 0: raise"),
    ],
)
def test_what_cannot_be_trained_fails_in_words(world: World, store: Store, fields: dict[str, Any], says: str) -> None:
    job = ask(world.acme, **fields)
    assert worker_of(store).run(is_once=True) == 1
    assert (read(job).state, read(job).error[: len(says)]) == ("failed", says)


def test_memory_that_does_not_suffice_fails_in_words(world: World, store: Store) -> None:
    job = ask(world.acme)

    def prepare(*_: Any, **__: Any) -> Any:
        raise MemoryError("The worker's memory does not hold this training: give fewer sequence_tokens.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "prepare", prepare)
        assert worker_of(store).run(is_once=True) == 1
    assert (read(job).state, read(job).error[:35]) == ("failed", "The worker's memory does not hold t")


def test_a_base_that_cannot_be_read_fails_in_words(world: World, store: Store, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "llama"}')
    settings.BASE_MODELS_DIR = str(tmp_path)
    job = ask(world.acme, base_model="broken")
    assert worker_of(store).run(is_once=True) == 1
    assert (read(job).state, read(job).error[:26]) == ("failed", "The model cannot be read: ")


def test_a_template_that_refuses_the_examples_fails_in_words(
    world: World, store: Store, models: str, tmp_path: Path, settings: Any
) -> None:
    shutil.copytree(Path(models) / TINY, tmp_path / "strict")
    (tmp_path / "strict" / "chat_template.jinja").write_text("{{ raise_exception('Only a system may begin.') }}")
    settings.BASE_MODELS_DIR = str(tmp_path)
    job = ask(world.acme, base_model="strict")
    assert worker_of(store).run(is_once=True) == 1
    said = "The model's chat template does not take these examples: Only a system may begin."
    assert (read(job).state, read(job).error) == ("failed", said)


def test_examples_longer_than_the_base_reads_are_not_learned_from(world: World, store: Store) -> None:
    job = ask(world.acme, sequence_tokens=4_096)
    assert worker_of(store).run(is_once=True) == 1
    said = "The base model reads 2,048 tokens at the most: lower sequence_tokens to that."
    assert (read(job).state, read(job).error) == ("failed", said)


def test_an_adapter_that_no_row_holds_is_refused_before_it_is_trained(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "MOST_ADAPTER_BYTES", 1_000)
    job = ask(world.acme)
    assert worker_of(store).run(is_once=True) == 1
    assert (read(job).state, read(job).step) == ("failed", 0)
    assert read(job).error.endswith("1,000 are the most: lower the rank.")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_model", ""),
        ("base_model", "two words"),
        ("name", "two words"),
        ("rank", 0),
        ("rank", 65),
        ("sequence_tokens", 15),
        ("sequence_tokens", 8_193),
        ("epochs", 51),
        ("batch_rows", 257),
    ],
)
def test_what_cannot_be_is_refused(world: World, field: str, value: Any) -> None:
    dataset = make_dataset(world.acme)
    fill(world.acme, dataset, 9)
    with pytest.raises(InvalidField) as raised:
        ask_on(world.acme, make_version(world.acme, dataset), **{field: value})
    assert raised.value.field == field


def test_one_answer_or_too_few_examples_are_refused(world: World, store: Store) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    lines = [write_line(make_example(f"Q{number}", "yes")).decode() for number in range(8)]
    with org_scope(acme.org.pk):
        import_lines(actor=acme.owner, dataset=dataset, lines="\n".join(lines))
    with pytest.raises(InvalidField, match="Every answer of this version is 'yes'"):
        ask_on(acme, make_version(acme, dataset))
    # Free text is what this is for.
    free = make_dataset(acme, "free")
    lines = [write_line(make_example(f"Q{number}", f"Answer {number}")).decode() for number in range(8)]
    with org_scope(acme.org.pk):
        import_lines(actor=acme.owner, dataset=free, lines="\n".join(lines))
    version = make_version(acme, free)
    ask_on(acme, version, "free")
    with pytest.raises(Conflict, match="of this name already"):
        ask_on(acme, version, "free")
    assert worker_of(store).run(is_once=True) == 1
