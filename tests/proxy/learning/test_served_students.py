"""A student that answers calls: what it is sure of, under instructions that it knows, as far as it is trusted; all else
is its teacher's, and the ledger has what was saved."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from django.conf import settings as configured

from costhub.lib.errors import Conflict
from costhub.stack.ports import find_free_port
from proxy.learning.checkpoints import open_store
from proxy.learning.choices import JobKind, Stage
from proxy.learning.deployment import deploy_student, retire_student
from proxy.learning.encoders.served import Encoders
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.head import Course, dump_weights, number_labels
from proxy.learning.head_learner import HeadLearner, Lesson
from proxy.learning.interruptions import Interruption
from proxy.learning.jobs import cancel_training_job, create_training_job
from proxy.learning.lora.sealed import ENCODER, seal_bytes
from proxy.learning.models import LearnedExample, Student, TrainingJob
from proxy.learning.student_server import StudentServer
from proxy.learning.students import answer as answer_on_paper
from proxy.learning.students import set_stage
from proxy.learning.unlearning import unlearn
from proxy.learning.upstream_credentials import make_credential, read_credential
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.routes import create_route, delete_route
from tenants.actions.upstreams import create_upstream
from tenants.choices import Mode, RouteKind, UpstreamKind
from tenants.models import LanguageModel, Route, Upstream
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.proxy.books import close_the_day
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.rows import embed_words, fill, make_dataset, make_version
from tests.proxy.learning.test_encoders import make_changes
from tests.world import Tenant, World, make_budget, make_catalog

QUESTION = "please refund my order of tent"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("students")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[str]:
    """The server of students, in a thread."""
    port = find_free_port()
    app = StudentServer(embed_words, configured.KEY_PEPPER)
    running = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve()))
    thread.start()
    pause = threading.Event()
    while not running.started:
        pause.wait(0.02)
    yield f"http://127.0.0.1:{port}/v1"
    running.should_exit = True
    thread.join()


@dataclass(frozen=True)
class Scene:
    acme: Tenant
    bank: Bank
    proxy: Deployment
    student: Student

    def ask(self, content: str = QUESTION, model: str = "large-distilled", **fields: Any) -> httpx2.Response:
        body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 20} | fields
        headers = {"authorization": f"Bearer {self.acme.api_key}"}
        with httpx2.Client(
            base_url=self.proxy.base_url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS
        ) as http:
            return http.post("/chat/completions", json=body)

    def rows(self) -> list[LedgerEntry]:
        close_the_day(self.acme)
        with org_scope(self.acme.org_id):
            rows = list(LedgerEntry.objects.filter(org_id=self.acme.org.pk, kind="call").order_by("started_at"))
        assert all(row.list_cost - row.effective_cost == sum(row.savings.values()) for row in rows)
        return rows

    def fresh(self) -> Student:
        with org_scope(self.acme.org.pk):
            return Student.objects.select_related("job__version__dataset").get(pk=self.student.pk)

    def put(self, stage: Stage, **fields: Any) -> None:
        with org_scope(self.acme.org.pk):
            set_stage(actor=self.acme.owner, student=self.fresh(), stage=stage, **fields)

    def deploy(self, **fields: Any) -> Student:
        with org_scope(self.acme.org.pk):
            return deploy_student(actor=self.acme.owner, student=self.fresh(), **({"holdout_percent": 0} | fields))


@pytest.fixture
def scene(committed_world: World, bank: Bank, proxy: Deployment, server: str, tmp_path: Path, settings: Any) -> Scene:
    """Acme's ``large`` is the bank's; a student has learned from 135 of its answers."""
    settings.STUDENTS_URL = server
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, model="large", input_per_million="10", output_per_million="30")
    make_budget(acme, "100.00")
    dataset = make_dataset(acme, teacher="large")
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
        )
    assert GpuWorker(open_store(f"file://{tmp_path}"), embed_words, Interruption()).run(is_once=True) >= 1
    with org_scope(acme.org.pk):
        student = Student.objects.get(job=job)
    return Scene(acme, bank, proxy, student)


def test_it_answers_what_it_is_sure_of_and_the_saving_is_distillations(scene: Scene) -> None:
    scene.put(Stage.PROMOTED)
    assert scene.deploy().route == "large-distilled"
    answer = scene.ask()
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "refund"
    assert "logprobs" not in answer.json()["choices"][0] or not answer.json()["choices"][0]["logprobs"]
    assert answer.headers["x-costhub-model"] == "student-topics"
    assert float(answer.headers["x-costhub-confidence"]) > scene.student.threshold
    stream = scene.ask(stream=True)
    assert '"content":"refund"' in stream.text
    assert stream.text.rstrip().endswith("[DONE]") or ": costhub" in stream.text
    rows = scene.rows()
    assert [row.effective_cost for row in rows] == [0, 0]
    for row in rows:
        # What the teacher would have read and written, at its price: a token for four bytes, and four around a message.
        assert row.list_cost == (len(QUESTION) // 4 + 4) * 10_000 + 30_000
        assert row.savings == {"distillation": row.list_cost}
        assert [attempt["model"] for attempt in row.attempts] == ["student-topics"]
    assert scene.bank.bill() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "system", "content": "Answer in French."}, {"role": "user", "content": QUESTION}]},
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hi"},
                {"role": "user", "content": QUESTION},
            ]
        },
        {"tools": [{"type": "function", "function": {"name": "refund", "parameters": {}}}]},
        {"response_format": {"type": "json_object"}},
    ],
    ids=["other instructions", "a conversation", "tools", "JSON"],
)
def test_what_it_has_not_learned_is_the_teachers(scene: Scene, fields: dict[str, Any]) -> None:
    scene.put(Stage.PROMOTED)
    scene.deploy()
    answer = scene.ask(**fields)
    assert (answer.status_code, answer.headers["x-costhub-model"]) == (200, "large")
    (row,) = scene.rows()
    assert [attempt["model"] for attempt in row.attempts] == ["student-topics", "large"]
    assert row.effective_cost == row.list_cost > 0
    assert row.savings == {}


def test_what_it_is_not_sure_of_is_the_teachers(scene: Scene) -> None:
    with org_scope(scene.acme.org.pk):
        Student.objects.filter(pk=scene.student.pk).update(threshold=0.985)
    scene.put(Stage.PROMOTED)
    scene.deploy()
    answer = scene.ask("refund delivery invoice parcel lamp")
    assert answer.headers["x-costhub-model"] == "large"
    assert "below 0.99" in answer.headers["x-costhub-route"]


def test_a_threshold_that_no_route_can_ask_for_holds_all_the_same(scene: Scene) -> None:
    """Routes tell whole per cents apart: of 0.99 and more the server leaves what is below the threshold out."""
    with org_scope(scene.acme.org.pk):
        student = scene.fresh()
        likelihood = answer_on_paper(student, embed_words([QUESTION]))[0].likelihood
        assert likelihood >= 0.99
        Student.objects.filter(pk=student.pk).update(threshold=(likelihood + 1) / 2)
    scene.put(Stage.PROMOTED)
    scene.deploy()
    assert scene.ask().headers["x-costhub-model"] == "large"
    with org_scope(scene.acme.org.pk):
        Student.objects.filter(pk=scene.student.pk).update(threshold=likelihood)
    wait_for_model(scene, "student-topics")


def test_a_canary_gets_its_share_of_the_questions(scene: Scene) -> None:
    scene.put(Stage.CANARY, canary_percent=1)
    scene.deploy()
    assert {scene.ask(f"please refund my order {number}").headers["x-costhub-model"] for number in range(3)} == {
        "large"
    }
    scene.put(Stage.CANARY, canary_percent=100)
    wait_for_model(scene, "student-topics")


def wait_for_model(scene: Scene, name: str) -> None:
    """The server reads a student anew every second."""
    wait_until(lambda: bool(scene.ask().headers["x-costhub-model"] == name))


def test_one_with_an_encoder_of_its_own_is_asked_by_that(scene: Scene) -> None:
    """The server's usual vectors say nothing to its classifier."""
    acme, examples, learned = scene.acme, make_support(45), make_changes()
    vectors = Encoders().embed("test", lambda: learned, [example.question for example in examples])
    answers = number_labels(scene.student.labels, [example.answer for example in examples])
    learner = HeadLearner(Lesson(vectors, answers, 3, "rows"), Course(epochs=40, batch_rows=16))
    while learner.step < learner.steps:
        learner.take_step(lambda: False)
    weights = dump_weights(learner.state.weights)
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=scene.student.job_id).update(kind=JobKind.ENCODER.value)
        Student.objects.filter(pk=scene.student.pk).update(
            weights=weights,
            encoder=seal_bytes(acme.org, scene.student.pk, ENCODER, learned),
            sha256=hashlib.sha256(weights + learned).hexdigest(),
            threshold=0.5,
        )
    scene.put(Stage.PROMOTED)
    scene.deploy()
    # The first calls may be the teacher's: loading an encoder takes longer than a call waits.
    wait_for_model(scene, "student-topics")
    for example in examples[3:9]:
        assert scene.ask(example.question).json()["choices"][0]["message"]["content"] == example.answer
    # What it has learned is gone with its consent, and it says nothing any more.
    with org_scope(acme.org.pk):
        version = scene.fresh().job.version
        LearnedExample.objects.filter(pk=version.train[0]).update(sealed=None)
    assert unlearn(acme.org.pk) == 1
    wait_for_model(scene, "large")
    with org_scope(acme.org.pk):
        assert scene.fresh().encoder is None


def test_one_that_was_withdrawn_answers_no_more_and_is_trained_anew(scene: Scene) -> None:
    scene.put(Stage.PROMOTED)
    scene.deploy()
    assert scene.ask().headers["x-costhub-model"] == "student-topics"
    with org_scope(scene.acme.org.pk):
        version = scene.fresh().job.version
        LearnedExample.objects.filter(pk=version.train[0]).update(sealed=None)
    assert unlearn(scene.acme.org.pk) == 1
    assert unlearn(scene.acme.org.pk) == 0
    wait_for_model(scene, "large")
    gone = scene.fresh()
    assert (gone.stage, bytes(gone.weights)) == ("withdrawn", b"")
    with pytest.raises(Conflict, match="nothing of it is left"):
        scene.put(Stage.PROMOTED)
    with org_scope(scene.acme.org.pk):
        job = TrainingJob.objects.get(pk=gone.job_id)
        assert job.state == "waiting"
        # Whoever trains next would take it.
        cancel_training_job(actor=scene.acme.owner, job=job)


def test_a_server_that_is_away_costs_nobody_an_answer(scene: Scene) -> None:
    scene.put(Stage.PROMOTED)
    scene.deploy()
    with org_scope(scene.acme.org.pk):
        Upstream.objects.filter(org=scene.acme.org, name="students").update(base_url="http://127.0.0.1:9/v1")
        set_stage(actor=scene.acme.owner, student=scene.fresh(), stage=Stage.PROMOTED)
        deploy_student(actor=scene.acme.owner, student=scene.fresh(), holdout_percent=1)
    answer = scene.ask()
    assert (answer.status_code, answer.headers["x-costhub-model"]) == (200, "large")


def test_who_is_not_trusted_is_not_served(scene: Scene, settings: Any) -> None:
    scene.deploy()
    answer = scene.ask()
    assert (answer.status_code, answer.headers["x-costhub-model"]) == (200, "large")
    scene.put(Stage.ROLLED_BACK)
    with pytest.raises(Conflict, match="This student was rolled back"):
        scene.deploy()
    assert scene.ask().headers["x-costhub-model"] == "large"
    scene.put(Stage.PROMOTED)
    settings.STUDENTS_URL = ""
    with pytest.raises(Conflict, match="COSTHUB_STUDENTS_URL"):
        scene.deploy()


def test_it_is_retired_and_deployed_again(scene: Scene) -> None:
    scene.put(Stage.PROMOTED)
    scene.deploy(route="shop")
    with org_scope(scene.acme.org.pk):
        assert retire_student(actor=scene.acme.owner, student=scene.fresh()).route == ""
        assert not Route.objects.filter(org=scene.acme.org).exists()
    assert scene.deploy().route == "large-distilled"
    with org_scope(scene.acme.org.pk):
        assert LanguageModel.objects.filter(org=scene.acme.org, student_of="large").count() == 1


def test_an_upstream_at_another_path_of_the_same_port_is_not_its_server(scene: Scene, settings: Any) -> None:
    acme = scene.acme
    with org_scope(acme.org.pk):
        other = create_upstream(
            actor=acme.owner,
            name="stand-in",
            kind=UpstreamKind.OPENAI_COMPATIBLE,
            base_url=settings.STUDENTS_URL.replace("/v1", "/teacher/v1"),
        )
    scene.put(Stage.PROMOTED)
    scene.deploy()
    with org_scope(acme.org.pk):
        model = LanguageModel.objects.select_related("upstream").get(org=acme.org, student_of="large")
        assert model.upstream_id != other.pk
        assert (model.upstream.name, model.upstream.base_url) == ("students", settings.STUDENTS_URL)


def test_a_route_of_its_name_that_asks_somebody_else_is_left_alone(scene: Scene) -> None:
    scene.put(Stage.PROMOTED)
    scene.deploy(route="shop")
    acme = scene.acme
    with org_scope(acme.org.pk):
        delete_route(actor=acme.owner, route=Route.objects.get(org=acme.org, name="shop"))
        by_hand = create_route(
            actor=acme.owner, name="shop", kind=RouteKind.FIXED, mode=Mode.ON, targets=[{"model": "large"}]
        )
        assert retire_student(actor=acme.owner, student=scene.fresh()).route == ""
        assert Route.objects.get(org=acme.org).pk == by_hand.pk


def test_a_credential_is_one_organisations(world: World) -> None:
    pepper = configured.KEY_PEPPER
    text = make_credential(world.acme.org.pk, pepper)
    assert read_credential(text, pepper) == world.acme.org.pk
    assert read_credential(text[:-1] + "0", pepper) in {None, world.acme.org.pk if text.endswith("0") else None}
    forged = text.replace(world.acme.org.pk.hex, world.mallcorp.org.pk.hex)
    assert [read_credential(wrong, pepper) for wrong in (forged, "", "chs_", "é")] == [None] * 4


def test_strangers_and_nonsense_are_refused(server: str, world: World) -> None:
    mine = {"authorization": f"Bearer {make_credential(world.acme.org.pk, configured.KEY_PEPPER)}"}
    with httpx2.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        assert http.post(f"{server}/chat/completions", json={}).status_code == 401
        assert http.get(f"{server}/nothing", headers=mine).status_code == 404
        assert http.post(f"{server}/chat/completions", headers=mine, content=b"{").status_code == 400
        assert http.post(f"{server}/chat/completions", headers=mine, json=[]).status_code == 400
        unknown = http.post(f"{server}/chat/completions", headers=mine, json={"model": "nobody"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
        assert http.get(server.removesuffix("/v1") + "/metrics").text == "llamacpp:requests_processing 0\n"
