"""Tuned models as the API, the page and consent see them: what serves and exports them, without PyTorch."""

import io
import tarfile
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse

from costhub.lib.errors import Conflict, Forbidden
from proxy.learning.choices import JobKind, JobState
from proxy.learning.jobs import find_used
from proxy.learning.leases import LONG_LEASE, keep_job, take_job_of
from proxy.learning.lora.deployment import deploy_tuned, export_merged, export_tuned, retire_tuned
from proxy.learning.lora.sealed import ADAPTER, seal_bytes
from proxy.learning.models import LearnedExample, TrainingJob, TunedModel
from proxy.learning.unlearning import unlearn
from proxy.learning.work import Work, list_orgs_with
from proxy.learning.worker_process import list_kinds
from tenants.access import org_scope
from tenants.models import AuditEntry, LanguageModel, Price, Upstream
from tests.proxy.learning.rows import fill, make_dataset, make_tuned, make_version
from tests.proxy.learning.test_merging import CONFIG, EXPECTED, PEFT, read_matrix, write_folder
from tests.world import Api, Tenant, World, make_catalog, make_client

PRICES: dict[str, Any] = {"input_per_million": Decimal("0.20"), "output_per_million": Decimal("0.80")}


@pytest.fixture
def tuned(world: World) -> TunedModel:
    acme = world.acme
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
            base_model="smollm2-135m-instruct",
            state=JobState.DONE.value,
        )
        return make_tuned(acme, job)


def fresh(tenant: Tenant, tuned: TunedModel) -> TunedModel:
    return TunedModel.objects.select_related("job__version__dataset").get(org=tenant.org, pk=tuned.pk)


def test_it_is_served_at_a_price_and_no_longer(world: World, tuned: TunedModel, settings: Any) -> None:
    acme = world.acme
    settings.TUNED_URL = "http://127.0.0.1:8021/v1"
    # What else is behind that port is not its server.
    make_catalog(acme, model="other", base_url="http://127.0.0.1:8021/teacher/v1")
    with org_scope(acme.org.pk):
        assert deploy_tuned(actor=acme.owner, tuned=fresh(acme, tuned), **PRICES).model == "tuned"
        model = LanguageModel.objects.get(org=acme.org, name="tuned")
        assert (model.student_of, model.upstream_model, model.is_active) == ("small", "tuned", True)
        assert Upstream.objects.get(pk=model.upstream_id).name == "tuned"
        price = Price.objects.get(org=acme.org, model=model)
        assert (price.input_per_million, price.output_per_million) == (Decimal("0.20"), Decimal("0.80"))
        retire_tuned(actor=acme.owner, tuned=fresh(acme, tuned))
        model.refresh_from_db()
        assert not model.is_active
        actions = AuditEntry.objects.filter(org=acme.org, target_id=str(tuned.pk)).values_list("action", flat=True)
        assert set(actions) == {"tuned_model.deployed", "tuned_model.retired"}


@pytest.mark.parametrize(
    ("longest", "reads", "context"),
    [(512, None, 2_048), (512, 8_192, 2_048), (8_192, 8_192, 8_192), (512, 1_024, 1_024), (4_096, None, 4_096)],
)
def test_a_conversation_may_be_as_long_as_what_was_learned_from(
    world: World, tuned: TunedModel, settings: Any, longest: int, reads: int | None, context: int
) -> None:
    acme = world.acme
    settings.TUNED_URL = "http://127.0.0.1:8021/v1"
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=tuned.job_id).update(sequence_tokens=longest)
        TunedModel.objects.filter(pk=tuned.pk).update(evaluation={**tuned.evaluation, "reads": reads})
        assert fresh(acme, tuned).context == context
        deploy_tuned(actor=acme.owner, tuned=fresh(acme, tuned), **PRICES)
        model = LanguageModel.objects.get(org=acme.org, name="tuned")
    assert (model.context_window, model.max_output_tokens) == (context, context // 2)


def test_what_is_in_the_way_is_said(world: World, tuned: TunedModel, settings: Any) -> None:
    acme = world.acme
    settings.TUNED_URL = ""
    with org_scope(acme.org.pk):
        with pytest.raises(Conflict, match="set COSTHUB_TUNED_URL"):
            deploy_tuned(actor=acme.owner, tuned=fresh(acme, tuned), **PRICES)
        settings.TUNED_URL = "http://127.0.0.1:8021/v1"
        TunedModel.objects.filter(pk=tuned.pk).update(served=b"")
        with pytest.raises(Conflict, match=r"llama\.cpp serves no adapters of this kind"):
            deploy_tuned(actor=acme.owner, tuned=fresh(acme, tuned), **PRICES)
        with pytest.raises(Forbidden):
            export_tuned(actor=world.ben_actor, tuned=fresh(acme, tuned))
        with tarfile.open(fileobj=io.BytesIO(export_tuned(actor=acme.owner, tuned=fresh(acme, tuned)))) as files:
            assert files.getnames() == ["adapter_config.json", "adapter_model.safetensors"]
            weights = files.extractfile("adapter_model.safetensors")
            assert weights is not None
            assert weights.read() == b"weights"
        TunedModel.objects.filter(pk=tuned.pk).update(state="withdrawn")
        # Withdrawn between the look at it and its lock.
        seen = fresh(acme, tuned)
        seen.state, seen.served = "ready", b"GGUF"
        with pytest.raises(Conflict, match="nothing of it is left"):
            deploy_tuned(actor=acme.owner, tuned=seen, **PRICES)
        for act in (
            lambda one: deploy_tuned(actor=acme.owner, tuned=one, **PRICES),
            lambda one: export_tuned(actor=acme.owner, tuned=one),
        ):
            with pytest.raises(Conflict, match="nothing of it is left"):
                act(fresh(acme, tuned))


def test_withdrawn_examples_take_the_model_with_them(world: World, tuned: TunedModel) -> None:
    acme = world.acme
    # The job that unlearns looks at organisations of this list alone.
    assert acme.org.pk in list_orgs_with(Work.TRAINED)
    assert unlearn(acme.org.pk) == 0
    with org_scope(acme.org.pk):
        version = fresh(acme, tuned).job.version
        LearnedExample.objects.filter(pk=version.train[0]).update(sealed=None)
    assert unlearn(acme.org.pk) == 1
    with org_scope(acme.org.pk):
        gone = fresh(acme, tuned)
        assert (gone.state, bytes(gone.adapter), bytes(gone.served), gone.withdrawn) == ("withdrawn", b"", b"", 1)
        assert gone.job.state == "waiting"
    assert acme.org.pk not in list_orgs_with(Work.TRAINED)


def test_only_who_can_takes_an_adapters_job_and_keeps_it_longer(world: World, tuned: TunedModel) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=tuned.job_id).update(state=JobState.WAITING.value)
    # Of this organisation alone: others' tests may have left jobs that wait.
    assert take_job_of(acme.org.pk, "plain") is None
    lease = take_job_of(acme.org.pk, "gpu", list(JobKind))
    assert lease is not None
    assert (lease.job_id, lease.kind) == (tuned.job_id, JobKind.LORA)
    keep_job(lease, step=1, steps=2, loss=1.5, tokens=70)
    with org_scope(acme.org.pk):
        job = TrainingJob.objects.get(pk=tuned.job_id)
        assert (job.step, job.tokens, job.losses) == (1, 70, [[1, 1.5]])
        assert job.lease_until is not None
        assert job.segment_until is not None
        assert job.lease_until - job.segment_until == LONG_LEASE
        # What it has cost by now is known before it is charged: a second at 3.6 USD an hour.
        job.spent_nanos, job.per_hour_nanos = 5, 3_600_000_000
        job.segment_from = job.segment_until - timedelta(seconds=1)
        assert find_used(job) == 1_000_005
        job.segment_from = None
        assert find_used(job) == 5


def test_an_installation_without_the_extra_says_so() -> None:
    assert list_kinds() == (list(JobKind) if find_spec("torch") else [JobKind.HEAD])


def test_the_api_asks_for_one_shows_it_and_gives_its_files(world: World, tuned: TunedModel, settings: Any) -> None:
    settings.TUNED_URL = "http://127.0.0.1:8021/v1"
    ada = Api(token=world.acme.admin_token)
    with org_scope(world.acme.org.pk):
        version = str(fresh(world.acme, tuned).job.version_id)
    body = {"version": version, "project": str(world.acme.project.pk), "name": "by-api", "kind": "lora"}
    refused = ada.post("/training-jobs", body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "base_model")
    unserved = ada.post("/training-jobs", body | {"name": "two words", "base_model": "tiny"})
    assert (unserved.status_code, unserved.json()["errors"][0]["field"]) == (400, "name")
    made = ada.post(
        "/training-jobs", body | {"base_model": "smollm2-135m-instruct", "rank": 4, "per_hour": "0.90"}
    ).json()
    shown = {name: made[name] for name in ("kind", "base_model", "rank", "sequence_tokens", "epochs", "batch_rows")}
    assert shown == {
        "kind": "lora",
        "base_model": "smollm2-135m-instruct",
        "rank": 4,
        "sequence_tokens": 512,
        "epochs": 3,
        "batch_rows": 8,
    }
    assert (made["tokens"], made["per_hour"], made["state"]) == (0, "0.900000000", "waiting")
    (one,) = ada.get("/tuned-models").json()["data"]
    assert (one["name"], one["evaluation"]["tuned"]["same"], one["model"]) == ("tuned", 3, "")
    prices = {"input_per_million": "0.20", "output_per_million": "0.80"}
    assert ada.send("PUT", f"/tuned-models/{tuned.pk}/deployment", prices).json()["model"] == "tuned"
    exported = ada.get(f"/tuned-models/{tuned.pk}/export")
    assert (exported.status_code, exported.headers["content-type"]) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(exported.content)) as files:
        assert len(files.getnames()) == 3
    # Programs that read errors accept JSON; the archive is the same for them.
    program = make_client()
    headers = {"authorization": f"Bearer {world.acme.admin_token}", "accept": "application/json"}
    path = "/api/v1/tuned-models/{}/export"
    assert program.get(path.format(tuned.pk), headers=headers).content == exported.content
    unknown = program.get(path.format(world.acme.org.pk), headers=headers)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert ada.delete(f"/tuned-models/{tuned.pk}/deployment").status_code == 200
    assert Api(user=world.ben, org=world.acme.org.slug).get(f"/tuned-models/{tuned.pk}/export").status_code == 403
    page = make_client()
    page.force_login(world.ada)
    text = " ".join(page.get("/o/acme/learning").content.decode().split())
    assert "adapter of smollm2-135m-instruct" in text
    assert '<td class="number">3 of 4</td> <td class="number">1 of 4</td>' in text


def test_its_base_is_exported_with_it(world: World, tuned: TunedModel, settings: Any, tmp_path: Path) -> None:
    acme, ada = world.acme, Api(token=world.acme.admin_token)
    path = f"/tuned-models/{tuned.pk}/export?weights="
    settings.BASE_MODELS_DIR = str(tmp_path)
    (tmp_path / "tiny").mkdir()
    write_folder(tmp_path / "tiny", "F32")
    with org_scope(acme.org.pk):
        adapter = seal_bytes(acme.org, tuned.pk, ADAPTER, PEFT)
        TunedModel.objects.filter(pk=tuned.pk).update(adapter=adapter, config=CONFIG, base_model="nowhere")
    refused = ada.get(path + "merged")
    assert (refused.status_code, refused.json()["detail"][:27]) == (409, "This machine has no model '")
    assert ada.get(path + "both").json()["errors"][0]["field"] == "weights"
    with org_scope(acme.org.pk):
        TunedModel.objects.filter(pk=tuned.pk).update(base_model="tiny")
    answer = ada.get(path + "merged")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(async_to_sync(collect)(cast("Any", answer)))) as files:
        assert files.getnames() == [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ]
        weights = files.extractfile("model-00001-of-00002.safetensors")
        assert weights is not None
        assert np.abs(read_matrix(weights.read()) - EXPECTED).max() < 1e-5
    with org_scope(acme.org.pk):
        entries = AuditEntry.objects.filter(org=acme.org, action="tuned_model.exported")
        assert [entry.changes.get("merged") for entry in entries] == [True]
        with pytest.raises(Forbidden):
            export_merged(actor=world.ben_actor, tuned=fresh(acme, tuned))
        TunedModel.objects.filter(pk=tuned.pk).update(state="withdrawn")
    assert ada.get(path + "merged").status_code == 409


async def collect(answer: StreamingHttpResponse) -> bytes:
    return b"".join([part async for part in answer])
