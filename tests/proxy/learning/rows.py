"""Rows of learning's tables, made with the product's own actions where there are any."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import orjson

from costhub.lib import clock
from costhub.lib.money import Nanos
from proxy.edges.capture import place_of
from proxy.learning.assembly import Vectors
from proxy.learning.choices import JobState
from proxy.learning.conversations import write_line
from proxy.learning.datasets import build_version, create_dataset, import_lines, request_version
from proxy.learning.lora.sealed import ADAPTER, SERVED, seal_bytes
from proxy.learning.models import (
    CapturedCall,
    Dataset,
    DatasetVersion,
    ProviderTuning,
    Student,
    TrainingJob,
    TunedModel,
)
from proxy.learning.replays import start_paid_replay
from proxy.learning.sealing import seal
from proxy.learning.teacher import start_teacher_run
from proxy.ledger.drain import read_events
from tenants.access import org_scope
from tenants.actions.capture import create_capture_policy
from tenants.models import CapturePolicy, LanguageModel
from tests.proxy.learning.examples import make_support
from tests.world import Tenant, make_catalog


def consent(tenant: Tenant, model: str = "", per_mille: int = 1_000, **fields: Any) -> CapturePolicy:
    """The organisation consents."""
    with org_scope(tenant.org.pk):
        return create_capture_policy(actor=tenant.owner, model=model, per_mille=per_mille, **fields)


def capture(
    tenant: Tenant, question: str, answer: str, *, at: datetime | None = None, model: str = "small", **fields: Any
) -> CapturedCall:
    """A call that was kept."""
    call_id, at = uuid4(), at or clock.now()
    said = {
        "messages": [{"role": "user", "content": question}],
        "answer": orjson.dumps({"choices": [{"message": {"content": answer}}]}).decode(),
        "content_type": "application/json",
    }
    with org_scope(tenant.org.pk):
        return CapturedCall.objects.create(
            id=call_id,
            org=tenant.org,
            at=at,
            project_id=tenant.project.pk,
            model=model,
            sealed=seal(tenant.org, place_of(str(call_id)), orjson.dumps(said).decode()),
            **{"teacher": model, "expires_at": at + timedelta(days=30)} | fields,
        )


def make_dataset(tenant: Tenant, name: str = "support", teacher: str = "small", **fields: Any) -> Dataset:
    """A dataset that compares texts alone, of a model that is made if need be."""
    with org_scope(tenant.org.pk):
        is_there = LanguageModel.objects.filter(org=tenant.org, name=teacher).exists()
    if not is_there:
        make_catalog(tenant, model=teacher)
    with org_scope(tenant.org.pk):
        return create_dataset(
            actor=tenant.owner,
            name=name,
            teacher=teacher,
            **{"near_per_mille": 1_000, "drops_outvoted": False} | fields,
        )


def fill(tenant: Tenant, dataset: Dataset, count: int = 90) -> None:
    """Questions to a shop with their labels, imported."""
    lines = b"\n".join(write_line(example) for example in make_support(count)).decode()
    with org_scope(tenant.org.pk):
        import_lines(actor=tenant.owner, dataset=dataset, lines=lines)


def make_version(tenant: Tenant, dataset: Dataset) -> DatasetVersion:
    """A version of what there is, made or failed."""
    with org_scope(tenant.org.pk):
        version = request_version(actor=tenant.owner, dataset=dataset)
    build_version(tenant.org.pk, version.pk, embed_words)
    with org_scope(tenant.org.pk):
        return DatasetVersion.objects.select_related("dataset").get(pk=version.pk)


def embed_words(texts: Sequence[str]) -> Vectors:
    """Unit vectors of which words are in a text: near where texts share them, and made in no time."""
    vectors = np.zeros((len(texts), 384), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            vectors[row, sum(word.encode()) * 31 % 384] += 1
        vectors[row, 0] += 0.01
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def read_own(tenant: Tenant) -> list[dict[str, Any]]:
    """The ledger events that nobody has drained of a tenant that lives on a test's own shard."""
    events = [orjson.loads(fields[b"e"]) for _, fields in read_events(tenant.org.shard)]
    return [event for event in events if event["org_id"] == tenant.org_id]


def make_tuned(tenant: Tenant, job: TrainingJob, name: str = "tuned") -> TunedModel:
    """What a job would have made of a language model, with files that say so. Inside an open organisation."""
    said = {"loss": 0.5, "same": 3, "of": 4}
    row = TunedModel(org=tenant.org, job=job, name=name, base_model="smollm2-135m-instruct", sha256="", size=7)
    row.evaluation = {"tuned": said, "base": said | {"same": 1}}
    row.adapter = seal_bytes(tenant.org, row.pk, ADAPTER, b"weights")
    row.served = seal_bytes(tenant.org, row.pk, SERVED, b"GGUF")
    row.save(force_insert=True)
    return row


def fill_learning(tenant: Tenant) -> dict[str, list[str]]:
    """A row of every table; gives ids by the API's resources."""
    policy = consent(tenant)
    capture(tenant, "Where?", "There.")
    dataset = make_dataset(tenant)
    fill(tenant, dataset, 9)
    version = make_version(tenant, dataset)
    with org_scope(tenant.org.pk):
        prompts = '{"messages": [{"role": "user", "content": "Where?"}]}'
        run = start_teacher_run(actor=tenant.owner, dataset=dataset, prompts=prompts, api_key=tenant.api_key)
        replay = start_paid_replay(
            actor=tenant.owner, model="small", to="small", cap_nanos=Nanos(10**9), api_key=tenant.api_key
        )
        job = TrainingJob.objects.create(
            org=tenant.org, version=version, project_id=tenant.project.pk, name="labels", state=JobState.DONE.value
        )
        tuning = ProviderTuning.objects.create(
            org=tenant.org,
            version=version,
            upstream_id=uuid4(),
            project_id=tenant.project.pk,
            name="tuned",
            base_model="small",
            per_million_nanos=0,
            state=JobState.DONE.value,
        )
        student = Student.objects.create(org=tenant.org, job=job, name="labels", weights=b"", sha256="")
        tuned = make_tuned(tenant, job)
    return {
        "capture-policies": [str(policy.pk)],
        "datasets": [str(dataset.pk)],
        "dataset-versions": [str(version.pk)],
        "teacher-runs": [str(run.pk)],
        "paid-replays": [str(replay.pk)],
        "training-jobs": [str(job.pk)],
        "provider-tunings": [str(tuning.pk)],
        "students": [str(student.pk)],
        "tuned-models": [str(tuned.pk)],
    }
