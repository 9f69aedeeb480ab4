"""``costhub student-server``: students as models of an upstream, in OpenAI's form, so that a route can ask them.

It is no part of the proxy, which asks it as any other upstream: with a price, a hold, and a teacher that answers where
it does not. One that falls behind, or is gone, costs nobody more than its upstream's short time-outs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from costhub.lib import clock
from proxy.learning.choices import JobKind
from proxy.learning.encoders.served import Encoders
from proxy.learning.head import load_weights, rate_labels
from proxy.learning.models import Student
from proxy.learning.own_upstream import Answer, Key, OwnUpstream, Send, refuse
from proxy.learning.student_answers import AROUND_MESSAGE, count_tokens, read_asked, render
from proxy.learning.students import SUREST, Embed, read_encoder
from tenants.access import org_scope
from tenants.choices import Tokenizer
from tenants.models import LanguageModel

_MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Known:
    """A student as it was at a moment."""

    stage: str
    canary_percent: int
    threshold: float
    frames: tuple[str, ...]
    labels: tuple[str, ...]
    weights: NDArray[np.float64] | None
    row_id: UUID
    sha256: str
    has_encoder: bool
    #: its teacher's
    tokenizer: str


class StudentServer(OwnUpstream[_Known]):
    """An ASGI application. The thread that reads embeds too: a second one would only take the other's core."""

    def __init__(self, embed: Embed, pepper: bytes) -> None:
        super().__init__(pepper, what="students", most_bytes=_MOST_BYTES)
        self._embed = embed
        self._encoders = Encoders()
        #: whose encoders these are, by their digests; the thread's, as they are
        self._owners: dict[str, Key] = {}

    async def sweep(self) -> None:
        """Their encoders too."""
        await super().sweep()
        for sha256, key in await self.run(self._list_loaded):
            known = await self._find(key)
            if known is None or known.weights is None or known.sha256 != sha256:
                await self.run(self._encoders.forget, sha256)

    async def complete(
        self, key: Key, known: _Known | None, body: dict[str, Any], call_id: str, send: Send
    ) -> Answer | None:
        """A label, or an empty answer where the teacher is to be asked."""
        name = key[1]
        if known is None:
            return refuse(404, f"There is no student {name!r}.", "model_not_found")
        asked = read_asked(body, stage=known.stage, canary_percent=known.canary_percent, frames=known.frames)
        label, likelihood = "", 0.0
        if known.weights is not None and not asked.why_not:
            label, likelihood = await self.run(self._decide, key, known, asked.question)
            if SUREST <= likelihood < known.threshold:
                label = ""  # its route cannot tell these apart
        options = body.get("stream_options")
        content_type, answer = render(
            call_id=call_id,
            created=clock.now_ms() // 1_000,
            model=name,
            label=label,
            likelihood=likelihood,
            prompt_tokens=count_tokens(asked.texts, known.tokenizer, around=AROUND_MESSAGE),
            label_tokens=count_tokens([label], known.tokenizer),
            is_stream=body.get("stream") is True,
            wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )
        return 200, content_type, answer

    def load(self, org_id: UUID, name: str) -> _Known | None:
        """By its name."""
        students = Student.objects.select_related("job__version__dataset").filter(org_id=org_id, name=name)
        if (student := students.first()) is None:
            return None
        teacher = LanguageModel.objects.filter(org_id=org_id, name=student.job.version.dataset.teacher)
        tokenizer = teacher.values_list("tokenizer", flat=True).first() or Tokenizer.BYTES.value
        return _Known(
            student.stage,
            student.canary_percent,
            student.threshold,
            tuple(student.frames),
            tuple(student.labels),
            load_weights(bytes(student.weights)) if student.weights else None,
            student.pk,
            student.sha256,
            student.job.kind == JobKind.ENCODER.value,
            tokenizer,
        )

    def list_names(self, org_id: UUID) -> Sequence[str]:
        """All of them: each says itself where it does not answer."""
        return list(Student.objects.filter(org_id=org_id).order_by("name").values_list("name", flat=True))

    def _list_loaded(self) -> list[tuple[str, Key]]:
        self._owners = {sha256: self._owners[sha256] for sha256 in self._encoders.loaded}
        return list(self._owners.items())

    def _decide(self, key: Key, student: _Known, question: str) -> tuple[str, float]:
        assert student.weights is not None
        if student.has_encoder:
            self._owners[student.sha256] = key
            vectors = self._encoders.embed(student.sha256, partial(_read_encoder, key[0], student.row_id), [question])
        else:
            vectors = self._embed([question])
        (chances,) = rate_labels(student.weights, vectors)
        return student.labels[int(chances.argmax())], float(chances.max())


def _read_encoder(org_id: UUID, row_id: UUID) -> bytes:
    with org_scope(org_id):
        return read_encoder(Student.objects.select_related("org").get(org_id=org_id, pk=row_id))
