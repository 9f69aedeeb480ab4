"""A process that serves a tuned model ends with the model, whether anybody calls it or not."""

import asyncio

import pytest
from django.conf import settings as configured

from proxy.learning.choices import JobKind, JobState
from proxy.learning.lora.serving import Child
from proxy.learning.lora.tuned_server import TunedServer
from proxy.learning.models import TrainingJob, TunedModel
from tenants.access import org_scope
from tests.proxy.learning.rows import fill, make_dataset, make_tuned, make_version
from tests.world import World


class Process(Child):
    """One that only notes that it was ended."""

    def __init__(self, sha256: str) -> None:
        self.sha256, self.calls, self.is_stopped = sha256, 0, False

    @property
    def is_alive(self) -> bool:
        """Until it is ended."""
        return not self.is_stopped

    async def stop(self) -> None:
        """End it."""
        self.is_stopped = True


@pytest.mark.parametrize("change", ["withdrawn", "trained again", "gone"])
def test_it_ends_within_a_sweep(committed_world: World, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = committed_world.acme
    dataset = make_dataset(acme)
    fill(acme, dataset, 9)
    version = make_version(acme, dataset)
    with org_scope(acme.org.pk):
        job = TrainingJob.objects.create(
            org=acme.org,
            version=version,
            project_id=acme.project.pk,
            name="tuned",
            kind=JobKind.LORA.value,
            state=JobState.DONE.value,
        )
        tuned = make_tuned(acme, job)
    monkeypatch.setattr("proxy.learning.own_upstream.FRESH_SECONDS", 0.0)

    def apply() -> None:
        with org_scope(acme.org.pk):
            row = TunedModel.objects.filter(pk=tuned.pk)
            if change == "gone":
                row.delete()
            else:
                row.update(**({"state": "withdrawn"} if change == "withdrawn" else {"sha256": "another"}))

    async def look() -> tuple[bool, bool]:
        server, process = TunedServer(configured.KEY_PEPPER), Process("")
        server._children[acme.org.pk, "tuned"] = process
        await server.sweep()
        before = process.is_stopped
        await server.run(apply)
        await server.sweep()
        await server.close()
        return before, process.is_stopped

    assert asyncio.run(look()) == (False, True)
