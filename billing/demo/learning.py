"""What the demo's organisation has learned: a dataset of made-up tickets, a version of it, and a student of that."""

import json
from collections.abc import Sequence
from random import Random
from typing import Final

import numpy as np

from proxy.learning.assembly import Vectors
from proxy.learning.choices import JobState, Stage
from proxy.learning.datasets import build_version, create_dataset, import_lines, request_version
from proxy.learning.head import dump_weights, number_labels
from proxy.learning.head_learner import HeadLearner, Lesson
from proxy.learning.jobs import create_training_job
from proxy.learning.leases import keep_job, leave_job, store_student, take_job_of
from proxy.learning.material import read_material
from proxy.learning.models import DatasetVersion, Student, TrainingJob
from proxy.learning.students import Made, make_student, set_stage
from tenants.access import Actor, job_scope, org_scope
from tenants.models import Project

TEACHER: Final = "gpt-4.1"
_TICKETS: Final = 210
_DIMENSIONS: Final = 384
#: by what is asked for, how people say so
_SAID: Final = {
    "refund": ("I want my money back for", "please refund", "the wrong amount was charged for"),
    "delivery": ("where is", "it has not arrived:", "the courier has lost"),
    "account": ("I cannot sign in to order", "change the address for", "close my account and"),
}
_THINGS: Final = ("the blue lamp", "order 1733", "the desk", "two chairs", "my subscription", "the gift card")
_MOODS: Final = ("", "again", "this week", "since Monday", "as promised", "quickly", "for my office", "thanks")


def make_learning(actor: Actor) -> None:
    """In transactions of its own, as a worker does it."""
    org_id = actor.org.pk
    with org_scope(org_id):
        # A threshold of 1000 compares texts alone: no vector is needed.
        dataset = create_dataset(actor=actor, name="Support tickets", teacher=TEACHER, near_per_mille=1_000)
        import_lines(actor=actor, dataset=dataset, lines=_write_tickets())
        waiting = request_version(actor=actor, dataset=dataset)
    build_version(org_id, waiting.pk, _embed)
    with org_scope(org_id):
        version = DatasetVersion.objects.get(pk=waiting.pk)
        project = Project.objects.get(org=actor.org, name="Support assistant")
        create_training_job(
            actor=actor, version=version, project=project, name="Ticket sorter", epochs=40, floor_per_mille=800
        )
    _train(actor)


def _train(actor: Actor) -> None:
    """What a worker does with a job, on vectors of which words are in a text."""
    lease = take_job_of(actor.org.pk, "demo")
    assert lease is not None, "it was made a moment ago"
    material = read_material(lease)
    learned, held_out = material.train, material.held_out
    labels = sorted({example.answer.strip() for example in learned})
    vectors = _embed([example.question for example in (*learned, *held_out)])
    answers = number_labels(labels, [example.answer.strip() for example in learned])
    learner = HeadLearner(Lesson(vectors[: len(learned)], answers, len(labels), material.rows), material.course)
    while learner.step < learner.steps:
        loss = learner.take_step(lambda: False)
        if learner.step % 10 == 0:
            keep_job(lease, step=learner.step, steps=learner.steps, loss=loss)
    with job_scope(lease.org_id):
        job = TrainingJob.objects.select_related("version", "version__dataset", "org").get(pk=lease.job_id)
        student = make_student(job, labels, Made(dump_weights(learner.state.weights), vectors), learned, held_out)
    store_student(lease, student)
    leave_job(lease, JobState.DONE)
    with org_scope(actor.org.pk):
        set_stage(actor=actor, student=Student.objects.get(pk=student.pk), stage=Stage.SHADOW)


def _write_tickets() -> str:
    random = Random(11)  # noqa: S311 - a picture, not a secret
    said = {
        f"{random.choice(ways)} {thing} {mood}".strip(): label
        for label, ways in _SAID.items()
        for thing in _THINGS
        for mood in _MOODS
        for _ in range(2)
    }
    chosen = random.sample(sorted(said.items()), _TICKETS)
    return "\n".join(
        json.dumps({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": label}]})
        for text, label in chosen
    )


def _embed(texts: Sequence[str]) -> Vectors:
    vectors = np.zeros((len(texts), _DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            vectors[row, sum(word.encode()) * 31 % _DIMENSIONS] += 1
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
