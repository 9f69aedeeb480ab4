"""What a student's encoder has learned leaves the memory of its server with the student, whether anybody calls it or
not."""

import asyncio
from typing import Any

import numpy as np
import pytest
from django.conf import settings as configured

from proxy.learning.choices import JobKind, JobState
from proxy.learning.head import dump_weights
from proxy.learning.lora.sealed import ENCODER, seal_bytes
from proxy.learning.models import Student, TrainingJob
from proxy.learning.student_server import StudentServer
from tenants.access import org_scope
from tests.proxy.learning.rows import embed_words, fill, make_dataset, make_version
from tests.proxy.learning.test_encoders import make_changes
from tests.world import World


class FakeModel:
    """MiniLM, as far as nobody asks how good it is."""

    def __init__(self, change: Any) -> None:
        self.embed = embed_words


@pytest.mark.parametrize("change", ["withdrawn", "trained again", "gone"])
def test_it_is_forgotten_within_a_sweep(committed_world: World, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = committed_world.acme
    dataset = make_dataset(acme)
    fill(acme, dataset, 9)
    version = make_version(acme, dataset)
    with org_scope(acme.org.pk):
        job = TrainingJob.objects.create(
            org=acme.org,
            version=version,
            project_id=acme.project.pk,
            name="topics",
            kind=JobKind.ENCODER.value,
            state=JobState.DONE.value,
        )
        student = Student(org=acme.org, job=job, name="topics", labels=["a", "b"], sha256="first")
        student.weights = dump_weights(np.zeros((385, 2)))
        student.encoder = seal_bytes(acme.org, student.pk, ENCODER, make_changes())
        student.save(force_insert=True)
    monkeypatch.setattr("proxy.learning.own_upstream.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("proxy.cache.minilm.MiniLM", FakeModel)

    def apply() -> None:
        with org_scope(acme.org.pk):
            row = Student.objects.filter(pk=student.pk)
            if change == "gone":
                row.delete()
            else:
                row.update(**({"weights": b""} if change == "withdrawn" else {"sha256": "another"}))

    async def look() -> tuple[list[str], list[str], int]:
        server, key = StudentServer(embed_words, configured.KEY_PEPPER), (acme.org.pk, "topics")
        known = await server._find(key)
        assert known is not None
        await server.run(server._decide, key, known, "Where is my parcel?")
        await server.sweep()
        before = server._encoders.loaded
        await server.run(apply)
        await server.sweep()
        # The weights that its classifier was read with are not kept for nobody either.
        await super(StudentServer, server).sweep()
        after, known_still = server._encoders.loaded, len(server._known)
        await server.close()
        return before, after, known_still

    assert asyncio.run(look()) == (["first"], [], 0)
