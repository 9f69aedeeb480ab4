"""A job's classifier, from its examples to a student: on the questions' plain vectors (``head``), or on those of an
encoder that learns from them first (``encoder``)."""

import io
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from costhub.lib import clock
from proxy.learning.assembly import Vectors
from proxy.learning.checkpoints import Checkpoints, StoreFailed
from proxy.learning.choices import JobKind, JobState
from proxy.learning.encoders.served import Encoders
from proxy.learning.head import Course, dump_weights, load_weights, number_labels
from proxy.learning.head_learner import HeadLearner, Lesson
from proxy.learning.interruptions import Interruption
from proxy.learning.leases import Lease, keep_job, store_student
from proxy.learning.material import Material, TooLittle, check_consent, read_material
from proxy.learning.models import TrainingJob
from proxy.learning.students import Made, make_student
from proxy.learning.training import Ended, Learner, Stretch, train
from tenants.access import job_scope

_log = logging.getLogger(__name__)

Embed = Callable[[Sequence[str]], Vectors]

_EMBED_AT_ONCE: Final = 16
#: what is kept of a job's parts that are done, for whoever goes on
_PLAIN: Final = "vectors"
_ENCODER: Final = "encoder"
_OWN: Final = "own-vectors"
_CONTROL: Final = "control"


class _Interrupted(Exception):
    """A notice came: whoever goes on finds what is done."""


class Classifying:
    """One job's training by one worker. ``embed`` gives plain vectors; it is asked for a few texts at a time, so that a
    notice is heard between."""

    def __init__(
        self,
        lease: Lease,
        checkpoints: Checkpoints,
        interruption: Interruption,
        embed: Embed,
        *,
        save_seconds: float,
        beat_seconds: float,
    ) -> None:
        self._lease = lease
        self._checkpoints = checkpoints
        self._interruption = interruption
        self._embed = embed
        self._save_seconds = save_seconds
        self._beat_seconds = beat_seconds

    def train(self) -> JobState:
        """Train to the end, or until a notice comes; from the last checkpoint on where there is one. Raises TooLittle,
        and what the loop raises."""
        material = read_material(self._lease)
        labels = _find_labels(material)
        try:
            made = self._make(material, labels)
        except _Interrupted:
            return JobState.WAITING
        with job_scope(self._lease.org_id):
            job = TrainingJob.objects.select_related("version", "version__dataset", "org").get(pk=self._lease.job_id)
            student = make_student(job, labels, made, material.train, material.held_out)
        store_student(self._lease, student)
        return JobState.DONE

    def _make(self, material: Material, labels: Sequence[str]) -> Made:
        answers = number_labels(labels, [example.answer.strip() for example in material.train])
        lesson = partial(Lesson, answers=answers, labels=len(labels))
        count = len(answers)
        plain = self._embed_all(material, _PLAIN, self._embed)
        if self._lease.kind is JobKind.HEAD:
            learner = HeadLearner(lesson(plain[:count], rows=material.rows), material.course)
            self._run(material, learner)
            return Made(dump_weights(learner.state.weights), plain)
        # The job's course is the encoder's; the heads below and above it have the usual one.
        usual = Course(seed=material.course.seed)
        encoding, heading = material.course.count_steps(count), usual.count_steps(count)

        def teach_control() -> bytes:
            control = HeadLearner(lesson(plain[:count], rows=f"{material.rows}:{_CONTROL}"), usual)
            self._run(material, control, after=encoding + heading)
            return dump_weights(control.state.weights)

        # What the same examples teach without an encoder of its own: it begins there, and has to be worth it.
        control = self._do_once(material, _CONTROL, teach_control)

        def teach_encoder() -> bytes:
            from proxy.learning.encoders.learner import EncoderLearner, load_encoder  # noqa: PLC0415 - PyTorch

            encoder = load_encoder(rank=material.job.rank, seed=material.course.seed)
            texts = [example.question for example in material.train]
            rows = f"{material.rows}:{_ENCODER}"
            learner = EncoderLearner(encoder, texts, answers, load_weights(control), material.course, rows)
            self._run(material, Stretch(learner, heading), after=heading)
            return learner.export()

        learned = self._do_once(material, _ENCODER, teach_encoder)
        own = self._embed_all(material, _OWN, partial(Encoders().embed, material.rows, lambda: learned))
        learner = HeadLearner(lesson(own[:count], rows=material.rows), usual)
        self._run(material, Stretch(learner, heading + encoding))
        return Made(dump_weights(learner.state.weights), own, learned, Made(control, plain))

    def _do_once(self, material: Material, what: str, do: Callable[[], bytes]) -> bytes:
        """What comes of a part of the job; an earlier worker's, where it has left it."""
        name = f"{what}-{material.rows}"
        kept = self._checkpoints.find(name)
        if kept is None:
            kept = do()
            self._checkpoints.keep(name, kept)
        return kept

    def _run(self, material: Material, learner: Learner, *, after: int = 0) -> None:
        """Train one of the job's learners; so many steps come ``after`` it. Raises _Interrupted, and what the loop
        raises."""

        def beat(loss: float | None) -> None:
            keep_job(self._lease, step=learner.step, steps=learner.steps + after, loss=loss, tokens=learner.tokens)
            check_consent(self._lease, material)

        outcome = train(
            *(learner, self._checkpoints, self._interruption, beat),
            save_seconds=self._save_seconds,
            beat_seconds=self._beat_seconds,
        )
        _log.info(
            "a training ended",
            extra={"job": str(self._lease.job_id), "how": outcome.ended.value, "step": outcome.step},
        )
        if outcome.ended is Ended.INTERRUPTED:
            raise _Interrupted

    def _embed_all(self, material: Material, what: str, embed: Embed) -> Vectors:
        """The questions' vectors, those that are learned from first. They are kept as they are made, a piece every few
        seconds: who goes on makes only those that are missing. Raises _Interrupted."""
        texts = [example.question for example in (*material.train, *material.held_out)]
        pieces = _Pieces(self._checkpoints, f"{what}-{material.rows}")
        next_beat, next_save = clock.ends_in(0), clock.ends_in(self._save_seconds)
        for start in range(pieces.count, len(texts), _EMBED_AT_ONCE):
            if self._interruption.is_noticed:
                pieces.keep()
                raise _Interrupted
            if clock.monotonic_ns() >= next_beat:
                keep_job(self._lease)
                next_beat = clock.ends_in(self._beat_seconds)
            pieces.add(embed(texts[start : start + _EMBED_AT_ONCE]))
            if clock.monotonic_ns() >= next_save:
                try:
                    pieces.keep()
                except StoreFailed as failed:
                    # It is tried again with the next ones.
                    _log.warning("vectors could not be kept", extra={"reason": str(failed)})
                next_save = clock.ends_in(self._save_seconds)
        pieces.keep()
        return pieces.join()


class _Pieces:
    """Vectors that are kept in pieces, each under the place of its first one. ``count``: how many there are."""

    def __init__(self, checkpoints: Checkpoints, name: str) -> None:
        self._checkpoints = checkpoints
        self._name = name
        self._kept: list[Vectors] = []
        self._fresh: list[Vectors] = []
        self.count = 0
        while (found := checkpoints.find(f"{name}-{self.count}")) is not None:
            self._kept.append(np.load(io.BytesIO(found), allow_pickle=False))
            self.count += len(self._kept[-1])

    def add(self, vectors: Vectors) -> None:
        """These come next."""
        self._fresh.append(vectors.astype(np.float32))
        self.count += len(vectors)

    def keep(self) -> None:
        """Have those kept that are not yet. Raises StoreFailed."""
        if not self._fresh:
            return
        piece, raw = np.vstack(self._fresh), io.BytesIO()
        np.save(raw, piece, allow_pickle=False)
        self._checkpoints.keep(f"{self._name}-{self.count - len(piece)}", raw.getvalue())
        self._kept.append(piece)
        self._fresh.clear()

    def join(self) -> Vectors:
        """All of them, once they are kept."""
        return np.vstack(self._kept)


def _find_labels(material: Material) -> list[str]:
    labels = sorted({example.answer.strip() for example in material.train})
    if len(labels) < 2 or len(material.held_out) < 2:
        raise TooLittle(
            f"{len(material.train)} examples of {len(labels)} labels to learn from and {len(material.held_out)} to "
            "test on are left: two labels and two to test on are the least."
        )
    return labels
