"""``costhub distil``: from prompts to a canary on a running stack, each step the product's own, with figures.

A teacher answers prompts of a public set through the proxy, on a budget; its answers become a dataset and a student;
the student is compared on captured calls, and when it clears its floor it is a canary; then calls go to the route.
"""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from secrets import token_hex
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import numpy as np
import orjson
import uvicorn
from django.conf import settings
from threadpoolctl import threadpool_limits

from costhub.eval.data import read_clinc, read_headlines
from costhub.eval.stand_in import Send, StandIn
from costhub.lib import clock
from costhub.lib.money import format_usd, parse_usd
from proxy.cache.embedder import load_model
from proxy.learning.capture import store_captured
from proxy.learning.choices import JobKind, JobState, Stage, VersionState
from proxy.learning.datasets import build_version, create_dataset, embed_with, request_version
from proxy.learning.deployment import deploy_student
from proxy.learning.jobs import create_training_job
from proxy.learning.models import DatasetVersion, Student, TrainingJob
from proxy.learning.own_upstream import Receive
from proxy.learning.people_model import find_with
from proxy.learning.student_server import StudentServer
from proxy.learning.students import Embed, compare_with_calls, read_economy
from proxy.learning.teacher import continue_run, start_teacher_run
from proxy.learning.worker_process import list_kinds
from tenants.access import Actor, org_scope
from tenants.actions.budgets import create_budget
from tenants.actions.capture import create_capture_policy
from tenants.actions.models import create_model
from tenants.actions.orgs import create_organization, find_or_create_user
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import create_upstream
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, Role, Tokenizer, UpstreamKind
from tenants.models import Project

TEACHER: Final = "dear-teacher"
#: USD for a million tokens, as large models are priced
INPUT_PRICE: Final = Decimal("2.50")
OUTPUT_PRICE: Final = Decimal(10)
BUDGET: Final = parse_usd("25.00")
#: what the training is charged with, USD an hour
PER_HOUR: Final = parse_usd("0.50")
#: calls of the teacher that the student is compared on
COMPARED: Final = 250
#: of the canary's conversations, those that the teacher answers all the same
HELD_OUT_PERCENT: Final = 10
#: what may take so long on a machine that has much to do
TEACHER_SECONDS: Final = 1_200.0
#: of its turns, which come five times a second, those in which nothing was answered and something is waited for
STILL_TURNS: Final = 100
BUILD_SECONDS: Final = 300.0
TRAIN_SECONDS: Final = 600.0
COMPARE_SECONDS: Final = 120.0
#: enough for a head on so few examples; an encoder has its own
_EPOCHS: Final = {JobKind.HEAD: 30}
_TEACHER_PATH: Final = "/teacher/v1"
_UNDER_WAY: Final = (JobState.WAITING.value, JobState.RUNNING.value)


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a set's prompts, how often the teacher errs in that, and what the student must reach.
    ``instruction`` has room for the labels' names."""

    instruction: str
    errs_per_mille: int
    floor_per_mille: int
    #: labels where nobody says how many
    labels: int


TASKS: Final = {
    "clinc150": Task("Name the intent of what the user says. Answer with one of: {}.", 40, 850, 20),
    # The published accuracy of gpt-4-turbo on it is 0.863.
    "headlines": Task("Say where this headline sees the price of gold going. Answer with one of: {}.", 140, 650, 4),
}


@dataclass
class Figures:
    """What came of it. Money is decimal USD, seconds are those of this machine."""

    prompts: int = 0
    labels: int = 0
    kind: str = ""
    teacher_cost: str = ""
    learned_from: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    training_cost: str = ""
    agreement_held_out: str = ""
    answered_held_out: str = ""
    right_of_answered_held_out: str = ""
    right_by_gold_held_out: str = ""
    threshold: float = 0
    without_encoder: str = ""
    compared: str = ""
    stage: str = ""
    why: str = ""
    calls: int = 0
    answered_by_student: int = 0
    right_of_student: str = ""
    right_of_all: str = ""
    right_of_teacher: str = ""
    cost_of_calls: str = ""
    cost_without: str = ""
    ms_student: float = 0
    ms_teacher: float = 0
    teacher_call: str = ""
    success: str = ""
    break_even_calls: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    page: str = ""


class Failed(Exception):
    """It cannot go on: a sentence for whoever typed the command."""


def distil(
    folder: Path,
    data_dir: Path,
    *,
    email: str,
    prompts: int,
    calls: int,
    name: str = "clinc150",
    labels: int | None = None,
    kind: JobKind = JobKind.HEAD,
    tell: Callable[[str], None] = lambda step: None,
) -> Figures:
    """Do all of it on the set of this name, of which ``labels`` are taken. ``tell`` is called with each step as it
    begins. Raises DataMissing, and Failed."""
    if not settings.STUDENTS_URL:
        raise Failed(
            "This stack has no demo: start it with COSTHUB_STUDENTS_URL=http://127.0.0.1:8020/v1 and "
            "COSTHUB_ALLOWED_NETWORKS=127.0.0.1:8020, another free port or that one."
        )
    if kind not in list_kinds():
        raise Failed("An encoder is trained with the extra costhub[learning], which is not installed here.")
    task = TASKS[name]
    rows = _choose(_read_rows(folder, name), labels or task.labels, prompts + COMPARED + calls)
    asked, compared, played = rows[:prompts], rows[prompts : prompts + COMPARED], rows[prompts + COMPARED :]
    names = sorted({label for _, label in rows})
    figures = Figures(prompts=len(asked), labels=len(names), kind=kind.value)
    embed = embed_with(partial(load_model, settings.CACHE_EMBEDDER))
    stand_in = StandIn(dict(rows), task.errs_per_mille)
    with threadpool_limits(1), _serve(embed, stand_in):
        actor, project, key = _make_org(email, _find_teacher_url())
        run = _Run(actor, project, key, embed, figures, task, names, stand_in, tell)
        version = run.learn(asked)
        student = run.train(version, data_dir, kind)
        run.compare(student, compared)
        if figures.stage == Stage.CANARY.value:
            run.play(student, played)
        run.reckon(student)
    return figures


def _read_rows(folder: Path, name: str) -> list[tuple[str, str]]:
    if name == "headlines":
        return [*read_headlines(folder, "train"), *read_headlines(folder, "test")]
    # Out of scope is no intent.
    return [(text, label) for text, label in read_clinc(folder) if label != "oos"]


@dataclass(frozen=True)
class _Run:
    actor: Actor
    project: Project
    key: str
    embed: Embed
    figures: Figures
    task: Task
    labels: Sequence[str]
    stand_in: StandIn
    tell: Callable[[str], None]

    def _messages(self, question: str) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": self.task.instruction.format(", ".join(self.labels))},
            {"role": "user", "content": question},
        ]

    def learn(self, rows: Sequence[tuple[str, str]]) -> DatasetVersion:
        """Have the teacher answer, and make a version of that."""
        org = self.actor.org
        with self._timed("teacher answers"):
            with org_scope(org.pk):
                dataset = create_dataset(actor=self.actor, name="labels", teacher=TEACHER)
                lines = b"\n".join(
                    orjson.dumps({"messages": self._messages(question), "gold": truth}) for question, truth in rows
                )
                run = start_teacher_run(actor=self.actor, dataset=dataset, prompts=lines.decode(), api_key=self.key)
            # The stack's own job may go on with it at any time: whoever is first asks the next prompt.
            reached, still = 0, 0
            for _ in _turns(TEACHER_SECONDS):
                continue_run(org.pk, run.pk)
                with org_scope(org.pk):
                    run.refresh_from_db()
                if run.state not in _UNDER_WAY:
                    break
                # Both may ask one prompt at the same moment: then one of them waits, and goes on.
                still, reached = still + 1 if run.answered == reached else 0, run.answered
                if run.error and still > STILL_TURNS:
                    raise Failed(f"The teacher's run waits: {run.error}")
        if run.answered < len(rows):
            raise Failed(f"The teacher answered {run.answered} of {len(rows)} prompts. {run.error}")
        self.figures.teacher_cost = format_usd(run.cost_nanos)
        find = find_with()
        with self._timed("dataset"):
            with org_scope(org.pk):
                version = request_version(actor=self.actor, dataset=dataset)
            for _ in _turns(BUILD_SECONDS):
                build_version(org.pk, version.pk, self.embed, find)
                with org_scope(org.pk):
                    made = DatasetVersion.objects.select_related("dataset").get(pk=version.pk)
                if made.state != VersionState.WAITING.value:
                    break
        if made.state != VersionState.READY.value:
            raise Failed(made.error or "The dataset's version was not made in time.")
        self.figures.learned_from = len(made.train)
        self.figures.dropped = made.lineage.get("dropped", {})
        return made

    def train(self, version: DatasetVersion, data_dir: Path, kind: JobKind) -> Student:
        """Have a worker train a student on it, a process of its own as any worker is."""
        with self._timed("training"):
            with org_scope(self.actor.org.pk):
                job = create_training_job(
                    actor=self.actor,
                    version=version,
                    project=self.project,
                    name="labels",
                    kind=kind,
                    epochs=_EPOCHS.get(kind),
                    floor_per_mille=self.task.floor_per_mille,
                    per_hour_nanos=PER_HOUR,
                )
            worker = subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", "costhub", "gpu-worker", "--once", "--data-dir", str(data_dir)],
                stdout=subprocess.DEVNULL,
                check=False,
            )
            if worker.returncode:
                raise Failed(f"The worker ended with {worker.returncode}.")
            for _ in _turns(TRAIN_SECONDS):
                with org_scope(self.actor.org.pk):
                    done = TrainingJob.objects.get(pk=job.pk)
                if done.state not in _UNDER_WAY:
                    break  # another worker of the stack may have it
        with org_scope(self.actor.org.pk):
            student = Student.objects.filter(job=job).first()
        if student is None:
            raise Failed(f"The training ended as {done.state}: {done.error}")
        figures, found = self.figures, student.evaluation
        figures.training_cost, figures.threshold = format_usd(done.spent_nanos), round(student.threshold, 4)
        figures.agreement_held_out = _share(found["agreement"])
        figures.answered_held_out, figures.right_of_answered_held_out = (
            _share(found["answered"]),
            _share(found["right"]),
        )
        figures.right_by_gold_held_out = "; ".join(
            f"{who} {_share(share)}"
            for who, share in found["gold"].items()
            if who in {"student", "teacher", "together"}
        )
        if "without_encoder" in found:
            plain = found["without_encoder"]
            figures.without_encoder = (
                f"agrees {_share(plain['agreement'])}, answers {_share(plain['answered'])}, "
                f"of these right {_share(plain['right'])}"
            )
        return student

    def compare(self, student: Student, rows: Sequence[tuple[str, str]]) -> None:
        """Calls of the teacher's, captured, on which the student answers on paper: by them it becomes a canary."""
        with self._timed("shadow"):
            with self._client() as http:
                for question, _ in rows:
                    self._call(http, TEACHER, question)
            for _ in _turns(COMPARE_SECONDS):
                store_captured()
                compare_with_calls(self.actor.org.pk, student.pk, self.embed)
                with org_scope(self.actor.org.pk):
                    student.refresh_from_db()
                if student.compared >= len(rows):
                    break
        self.figures.compared = (
            f"answered {student.answered} of {student.compared}, {student.agreed} as the teacher did"
        )
        self.figures.stage = student.stage
        self.figures.why = student.reason or f"That does not clear its floor of {self.task.floor_per_mille / 10:g} %."

    def play(self, student: Student, rows: Sequence[tuple[str, str]]) -> None:
        """Serve it, and send it calls that nobody has seen."""
        with org_scope(self.actor.org.pk):
            Student.objects.filter(pk=student.pk).update(canary_percent=100)
            student = Student.objects.select_related("job__version__dataset").get(pk=student.pk)
            student = deploy_student(actor=self.actor, student=student, holdout_percent=HELD_OUT_PERCENT)
        right, by_student, taken = Counter[str](), 0, {"student": [0.0], "teacher": [0.0]}
        cost = without = 0
        with self._timed("calls"), self._client() as http:
            for question, truth in rows:
                began = clock.monotonic_ns()
                answer = self._call(http, student.route, question)
                is_students = answer.headers["x-costhub-model"] != TEACHER
                taken["student" if is_students else "teacher"].append((clock.monotonic_ns() - began) / 1e6)
                is_right = answer.json()["choices"][0]["message"]["content"] == truth
                by_student += is_students
                right["all"] += is_right
                right["student"] += is_right and is_students
                right["teacher"] += self.stand_in.say(question) == truth
                cost += parse_usd(answer.headers["x-costhub-cost"])
                without += parse_usd(answer.headers["x-costhub-list-cost"])
        figures, count = self.figures, len(rows)
        figures.calls, figures.answered_by_student = count, by_student
        figures.right_of_student = f"{right['student']} of {by_student}"
        figures.right_of_all, figures.right_of_teacher = f"{right['all']} of {count}", f"{right['teacher']} of {count}"
        figures.cost_of_calls, figures.cost_without = format_usd(cost), format_usd(without)
        figures.ms_student, figures.ms_teacher = (round(median(taken[who][1:] or [0]), 1) for who in taken)

    def reckon(self, student: Student) -> None:
        """What it costs and saves, as the page says it."""
        figures = self.figures
        with org_scope(self.actor.org.pk):
            student.refresh_from_db()
            economy = read_economy(self.actor, student)
        found = [format_usd(nanos) for nanos in economy.per_success if nanos is not None]
        figures.success = f"{found[0]} [{', '.join(found[1:])}]" if found else ""
        figures.teacher_call = format_usd(economy.teacher_call_nanos or 0)
        figures.break_even_calls = economy.break_even_calls
        figures.page = f"{settings.PROXY_URL}/o/{self.actor.org.slug}/learning"

    def _call(self, http: httpx2.Client, model: str, question: str) -> httpx2.Response:
        answer = http.post("/chat/completions", json={"model": model, "messages": self._messages(question)})
        if answer.status_code != 200:
            raise Failed(f"A call was answered with {answer.status_code}: {answer.text[:300]}")
        return answer

    def _client(self) -> httpx2.Client:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx2.Client(base_url=f"{settings.PROXY_URL}/v1", headers=headers, trust_env=False, timeout=60)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        self.tell(what)
        began = clock.monotonic_ns()
        yield
        self.figures.seconds[what] = round((clock.monotonic_ns() - began) / 1e9, 1)


def _turns(seconds: float) -> Iterator[None]:
    """Again and again for so long, at once and then five times a second."""
    pause, ends = threading.Event(), clock.ends_in(seconds)
    yield
    while clock.monotonic_ns() < ends:
        pause.wait(0.2)
        yield


def _choose(rows: list[tuple[str, str]], labels: int, count: int) -> list[tuple[str, str]]:
    """So many different questions of so many labels, in a drawn order."""
    names = sorted({label for _, label in rows})[:labels]
    known = dict(row for row in rows if row[1] in set(names))
    chosen = sorted(known.items())
    order = np.random.default_rng(0).permutation(len(chosen))
    if len(chosen) < count:
        raise Failed(
            f"{labels} labels have {len(chosen)} questions, and {count} are asked for: take more labels, or fewer prompts."
        )
    return [chosen[place] for place in order[:count]]


def _make_org(email: str, teacher_url: str) -> tuple[Actor, Project, str]:
    """An organisation of its own, with the teacher as its model, under a budget."""
    owner = find_or_create_user(email)
    made = create_organization(name=f"Distilled {token_hex(3)}", owner=owner, acting_name="costhub distil")
    actor = Actor(made.org, Role.OWNER, owner.email, owner.pk)
    with org_scope(made.org.pk):
        upstream = create_upstream(
            actor=actor, name="stand-in", kind=UpstreamKind.OPENAI_COMPATIBLE, base_url=teacher_url
        )
        model = create_model(actor=actor, name=TEACHER, upstream=upstream, tokenizer=Tokenizer.O200K)
        create_price(actor=actor, model=model, input_per_million=INPUT_PRICE, output_per_million=OUTPUT_PRICE)
        create_budget(
            actor=actor,
            scope=BudgetScope.ORGANIZATION,
            subject="",
            period=BudgetPeriod.MONTH,
            limit_nanos=BUDGET,
            action=BudgetAction.BLOCK,
        )
        create_capture_policy(actor=actor, per_mille=1_000)
    return actor, made.project, made.api_key


class _Desk:
    """The stand-in and the server of students behind one port: the one that the stack lets the proxies reach."""

    def __init__(self, stand_in: StandIn, students: StudentServer) -> None:
        self._stand_in = stand_in
        self._students = students

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_TEACHER_PATH):
            await self._stand_in(scope, receive, send)
        else:
            await self._students(scope, receive, send)


def _find_teacher_url() -> str:
    url = urlsplit(settings.STUDENTS_URL)
    return f"{url.scheme}://{url.netloc}{_TEACHER_PATH}"


@contextmanager
def _serve(embed: Embed, stand_in: StandIn) -> Iterator[None]:
    """Both of them, in a thread of this process."""
    port = urlsplit(settings.STUDENTS_URL).port or 80
    app = _Desk(stand_in, StudentServer(embed, settings.KEY_PEPPER))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    pause = threading.Event()
    while not server.started and thread.is_alive():
        pause.wait(0.05)
    if not server.started:
        raise Failed(f"Nothing can listen on port {port}: is another `costhub student-server` there?")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _share(found: dict[str, Any]) -> str:
    return f"{found['found']} of {found['of']} [{found['low']:.1%}, {found['high']:.1%}]"


def show(figures: Figures) -> str:
    """A line for each figure."""
    rows = asdict(figures)
    seconds = rows.pop("seconds")
    # What there is none of, such as calls by a student that stays in the shadow, is left out.
    lines = [f"{name.replace('_', ' '):<28}{value}" for name, value in rows.items() if value not in ("", None)]
    lines += [f"{'seconds: ' + name:<28}{value}" for name, value in seconds.items()]
    return "\n".join(lines)
