"""Students: made by a training job, compared with their teacher on calls, trusted step by step, and no longer than they
agree with it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
from django.db.models import BigIntegerField, Count, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from numpy.typing import NDArray

from costhub.lib import clock
from proxy.learning import trust
from proxy.learning.choices import Stage
from proxy.learning.conversations import Example
from proxy.learning.datasets import count_withdrawn
from proxy.learning.distilled_routes import HOLDOUT_PERCENT, Around, Trust, find_route, follow, name_route
from proxy.learning.encoders.served import Encoders
from proxy.learning.evaluation import Evaluation, SuccessCost, evaluate, nearest, price_success
from proxy.learning.frames import frame_of, list_frames
from proxy.learning.head import load_weights, rate_labels
from proxy.learning.lora.sealed import ENCODER, open_bytes, seal_bytes
from proxy.learning.models import Student, TeacherRun, TrainingJob
from proxy.learning.trust import Prompt, Pupils, Said
from proxy.ledger.model import LedgerEntry
from proxy.values.attempt import Mechanism
from tenants.access import Actor, org_scope
from tenants.choices import Mode

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

#: the likelihood above which a route's whole per cents do not tell answers apart
SUREST: Final = 0.99
#: over which what a call of the teacher's costs is reckoned
COST_DAYS: Final = 28


class Answered(NamedTuple):
    """What a student says to a question, and how sure it is."""

    label: str
    likelihood: float
    is_sure: bool


class PerSuccess(NamedTuple):
    """What an answer as the teacher's costs, in nano-USD, and between what that lies; None where nobody can say."""

    nanos: int | None
    low: int | None
    high: int | None


class Economy(NamedTuple):
    """What a student saves: nano-USD of a call of the teacher's (None: there was none), the share of calls that the
    student answers, in millionths, what it has cost, of that what answers were bought for that it learned from, and the
    calls from which on it has paid. ``success``: what an answer as the teacher's costs with it, in calls of the
    teacher's. ``own_call_nanos``: what asking it costs, whether its answer is taken or not; None: nobody has said."""

    teacher_call_nanos: int | None
    answered_millionths: int
    spent_nanos: int
    bought_nanos: int
    break_even_calls: int | None
    calls_a_day_millionths: int
    success: SuccessCost | None
    own_call_nanos: int | None = 0

    @property
    def per_success(self) -> PerSuccess:
        """The same in money; an estimate, which nothing is charged by."""
        success, a_call = self.success, self.teacher_call_nanos
        if success is None or a_call is None:
            return PerSuccess(None, None, None)
        high = None if success.high is None else round(success.high * a_call)
        return PerSuccess(round(success.calls * a_call), round(success.low * a_call), high)


@dataclass(frozen=True, slots=True)
class Made:
    """What a training has made: a head as it serves, and the vectors under it of all questions, those that were learned
    from first. ``encoder``: what the encoder of these has learned, empty for the usual one. ``control``: the same
    without that."""

    head: bytes
    vectors: NDArray[np.float32]
    encoder: bytes = b""
    control: "Made | None" = None


def make_student(
    job: TrainingJob, labels: Sequence[str], made: Made, learned: Sequence[Example], held_out: Sequence[Example]
) -> Student:
    """The student of a job, evaluated on what was held out; not stored. Inside an open organisation."""
    student = Student(
        org=job.org,
        job=job,
        name=job.name,
        floor_per_mille=job.floor_per_mille,
        labels=list(labels),
        weights=made.head,
        sha256=hashlib.sha256(made.head + made.encoder).hexdigest(),
    )
    if made.encoder:
        student.encoder = seal_bytes(job.org, student.pk, ENCODER, made.encoder)
    answers, wanted = ([example.answer.strip() for example in examples] for examples in (learned, held_out))

    def judge(one: Made) -> Evaluation:
        known, asked = one.vectors[: len(learned)], one.vectors[len(learned) :]
        return evaluate(
            rate_labels(load_weights(one.head), asked),
            labels,
            wanted,
            answers,
            [answers[place] for place in nearest(known, asked)],
            student.floor_per_mille / 1_000,
            [example.gold.strip() for example in held_out],
        )

    found = judge(made)
    student.threshold = found.threshold
    student.frames = list_frames(learned)
    student.withdrawn = count_withdrawn(job.version)
    student.evaluation = found.dump() | {"trained_on": len(learned), "steps": job.steps}
    if made.control is not None:
        student.evaluation["without_encoder"] = judge(made.control).dump()
    return student


def read_encoder(student: Student) -> bytes:
    """What its encoder has learned; empty for a student that asks the usual one. Inside an open organisation. Raises
    Unreadable."""
    return open_bytes(student.org, student.pk, ENCODER, student.encoder) if student.encoder else b""


def answer(student: Student, vectors: NDArray[np.float32]) -> list[Answered]:
    """What the student says to each question, by its encoder's vectors of them."""
    chances = rate_labels(load_weights(bytes(student.weights)), vectors)
    return [
        Answered(student.labels[row.argmax()], float(row.max()), bool(row.max() >= student.threshold))
        for row in chances
    ]


def compare_with_calls(org_id: UUID, student_id: UUID, embed: Embed, encoders: Encoders | None = None) -> int:
    """Have the student answer the teacher's newer captured calls, on paper: see ``trust.compare``. ``embed`` is the
    usual encoder; ``encoders`` are those of students with their own."""

    def say(student: Student, prompts: Sequence[Prompt]) -> list[Said]:
        asked = [Example("", 0, prompt, "").question for prompt in prompts]
        with org_scope(org_id):
            learned = read_encoder(student)
        own = partial((encoders or Encoders()).embed, student.sha256, lambda: learned) if learned else embed
        return [Said(one.label, one.likelihood) for one in answer(student, own(asked))]

    return trust.compare(STUDENTS, org_id, student_id, say)


def set_stage(
    *,
    actor: Actor,
    student: Student,
    stage: Stage,
    floor_per_mille: int | None = None,
    canary_percent: int | None = None,
) -> Student:
    """Put a student somewhere else by hand. Raises what ``trust.set_stage`` does."""
    shares = {"floor_per_mille": floor_per_mille, "canary_percent": canary_percent}
    return trust.set_stage(STUDENTS, actor=actor, row=student, stage=stage, **shares)


def find_trust(student: Student, holdout_percent: int = HOLDOUT_PERCENT) -> Trust:
    """How a route asks it. Of a canary's questions the server draws the share that it gets, and of those that a route
    cannot refuse in whole per cent it leaves what is below the threshold to the teacher."""
    mode = {Stage.SHADOW.value: Mode.SHADOW, Stage.CANARY.value: Mode.ON, Stage.PROMOTED.value: Mode.ON}
    return Trust(min(student.threshold, SUREST), holdout_percent, mode.get(student.stage, Mode.OFF))


def list_warnings(student: Student, around: Around) -> list[str]:
    """Why nobody notices whether it still agrees with its teacher, where that is so."""
    teacher = student.job.version.dataset.teacher
    route = around.find_route(student.route, upstream_model=student.name, teacher=teacher)
    return trust.list_warnings(student, route, around.kept)


class TeacherCalls(NamedTuple):
    """Calls of a teacher over ``COST_DAYS``, what they would have cost if it had answered each (nano-USD), and their
    tokens."""

    calls: int
    nanos: int
    input_tokens: int
    output_tokens: int


def add_up_teacher(actor: Actor, teacher: str, route: str) -> TeacherCalls:
    """From the ledger. Calls of the route that asks a student first are its teacher's too, at what that alone would
    have cost; ``route`` is empty where nobody has named one. Inside an open organisation."""
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk,
        started_at__gte=clock.now() - timedelta(days=COST_DAYS),
        request_model__in={teacher, name_route("", route, teacher)},
        kind="call",
        status=200,
    ).exclude(cache_status__startswith="hit")
    saved = Cast(KeyTextTransform(Mechanism.DISTILLATION.value, "savings"), BigIntegerField())
    found = rows.aggregate(
        calls=Count("id"),
        cost=Sum("effective_cost"),
        saved=Sum(saved),
        inputs=Sum("input_tokens"),
        outputs=Sum("output_tokens"),
    )
    calls, cost, not_paid, inputs, outputs = (int(total or 0) for total in found.values())
    return TeacherCalls(calls, cost + not_paid, inputs, outputs)


def read_economy(actor: Actor, student: Student) -> Economy:
    """What a student saves at the teacher's cost of a call over the last four weeks, from the ledger: of calls of the
    teacher's, and of the route that asks the student first. Inside an open organisation. It has cost its training, and
    what runs of the teacher for its dataset did; captured calls were paid for anyway. Its own answers cost milliseconds
    of a processor that is there, and count as nothing."""
    job = student.job
    teacher = add_up_teacher(actor, job.version.dataset.teacher, student.route)
    of, found, agreed = (student.compared, student.answered, student.agreed) if student.compared else _tested(student)
    share = found * 1_000_000 // of if of else 0
    a_call = teacher.nanos // teacher.calls if teacher.calls else None
    saved_picos = (a_call or 0) * share
    runs = TeacherRun.objects.filter(
        org=actor.org, dataset_id=job.version.dataset_id, created_at__lt=job.version.created_at
    )
    bought = int(runs.aggregate(total=Sum("cost_nanos"))["total"] or 0)
    spent = job.spent_nanos + bought
    break_even = -(-spent * 1_000_000 // saved_picos) if saved_picos else None
    success = price_success(of, found, agreed)
    return Economy(a_call, share, spent, bought, break_even, teacher.calls * 1_000_000 // COST_DAYS, success)


def _tested(student: Student) -> tuple[int, int, int]:
    """Questions that were held out, those that it answered, and as the teacher did."""
    answered, right = student.evaluation.get("answered", {}), student.evaluation.get("right", {})
    return answered.get("of", 0), answered.get("found", 0), right.get("found", 0)


def _find() -> QuerySet[Student]:
    return Student.objects.select_related("job__version__dataset", "org")


def _reads(student: Student, prompt: Prompt) -> bool:
    """Under other instructions it answers nothing."""
    return not student.frames or frame_of(prompt) in student.frames


def _is_same(label: str, teacher: str) -> bool:
    return label == teacher.strip()


def _follow(actor: Actor, student: Student) -> None:
    """Its route asks it as far as it is trusted now."""
    teacher = student.job.version.dataset.teacher
    route = find_route(actor, student.route, upstream_model=student.name, teacher=teacher)
    held_out = route.policy["holdout_percent"] if route is not None else 0
    follow(actor, student, route, find_trust(student, held_out))


STUDENTS: Final = Pupils(_find, _reads, _is_same, note=lambda *_: None, after_move=_follow)
