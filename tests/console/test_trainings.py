"""Trainings by hand: asked for by a form, watched, and what comes of them served."""

import io
import re
import tarfile
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from costhub.console import trainings
from costhub.lib import clock
from proxy.learning.choices import JobKind, JobState
from proxy.learning.models import DatasetVersion, ProviderTuning, TrainingJob, TunedModel
from tenants.access import org_scope
from tenants.actions.models import create_model
from tenants.actions.pricing import create_price
from tenants.models import AuditEntry, LanguageModel, Route, Upstream
from tests.billing.ledger import record_call
from tests.console.client import Visit, error_of, text_of
from tests.proxy.learning.rows import fill, fill_learning, make_dataset, make_version
from tests.world import World, make_catalog, sign_in_now

NEW = "/o/acme/learning/trainings/new"


@pytest.fixture
def ada(world: World) -> Visit:
    return Visit(world.ada)


@pytest.fixture
def version(world: World) -> DatasetVersion:
    dataset = make_dataset(world.acme)
    fill(world.acme, dataset, 30)
    return make_version(world.acme, dataset)


def start(ada: Visit, on: DatasetVersion, **typed: str) -> Any:
    return ada.submit(NEW, **{"name": "shop", "version": str(on.pk)} | typed)


def test_an_adapter_is_asked_for_watched_and_cancelled(ada: Visit, world: World, version: DatasetVersion) -> None:
    acme = world.acme
    page = text_of(ada.get(NEW))
    assert "support, version 1: 24 to learn from, 3 labels" in page
    typed = {"kind": "lora", "base_model": "tiny", "per_hour": "0.90", "most": "2", "rank": "4", "epochs": "5"}
    made = start(ada, version, **typed)
    with org_scope(acme.org.pk):
        job = TrainingJob.objects.get(org=acme.org)
    assert made.headers["Location"] == f"/o/acme/learning/trainings/{job.pk}"
    assert (job.kind, job.base_model, job.rank, job.sequence_tokens, job.epochs) == ("lora", "tiny", 4, 512, 5)
    assert (job.per_hour_nanos, job.most_nanos, job.batch_rows) == (900_000_000, 2_000_000_000, 8)
    path = made.headers["Location"]
    assert f'href="{path}"' in ada.get("/o/acme/learning").content.decode()
    assert "none yet: it waits for a worker" in text_of(ada.get(path))
    now = clock.now()
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=job.pk).update(
            state=JobState.RUNNING.value,
            worker="gpu-1",
            fence=2,
            step=3,
            steps=9,
            tokens=1_234,
            losses=[[1, 2.5], [3, 1.25]],
            segment_from=now - timedelta(seconds=60),
            segment_until=now,
            pace_step=1,
            pace_from=now - timedelta(seconds=60),
            held_nanos=150_000_000,
        )
    running = text_of(ada.get(path))
    for words in (
        "3 of 9",
        "2.5000 at first, 1.2500 now",
        "1,234",
        "about 180 s",
        " of at most $2.00 , $0.15 held",
        "gpu-1, the 2. that had it",
        "adapter of tiny, on support, version 1",
    ):
        assert words in running, words
    part = ada.get(path, **{"hx-request": "true"}).content.decode()
    assert "every 2s" in part
    assert part.lstrip().startswith('<div id="training" hx-get=')
    assert "<h1" not in part
    assert ada.post(f"{path}/cancel").status_code == 302
    ended = ada.get(path).content.decode()
    assert "cancelled" in ended
    # Nothing comes any more: nobody asks again.
    assert "every 2s" not in ended


def test_every_kind_is_offered_in_words(ada: Visit, world: World, version: DatasetVersion) -> None:
    assert trainings.KINDS.keys() == set(JobKind)
    assert "A student with an encoder that learns too" in text_of(ada.get(NEW))
    assert start(ada, version, kind="encoder", rank="4").status_code == 302
    with org_scope(world.acme.org.pk):
        job = TrainingJob.objects.get(org=world.acme.org)
    assert (job.kind, job.rank, job.base_model) == ("encoder", 4, "")


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"version": ""}, "version", "Choose a version"),
        ({"name": ""}, "name", "Fill this in."),
        ({"kind": "lora"}, "base_model", "Give"),
        ({"per_hour": "much"}, "per_hour", "Give an amount in USD"),
        ({"epochs": "0"}, "epochs", "Give from 1 to 10,000."),
        ({"floor_per_mille": "12"}, "floor_per_mille", "Give from 500 to 999."),
    ],
)
def test_what_cannot_be_trained_is_said_at_its_field(
    ada: Visit, version: DatasetVersion, typed: dict[str, str], field: str, words: str
) -> None:
    answer = start(ada, version, **typed)
    assert (answer.status_code, words in error_of(answer)) == (400, True)
    assert f'id="field-{field}-error"' in answer.content.decode()


def test_without_a_version_it_says_what_to_do_first(ada: Visit, world: World) -> None:
    make_catalog(world.acme)
    assert "There is no version of a dataset yet" in text_of(ada.get(NEW))


def test_a_tuned_model_is_served_moved_and_retired(ada: Visit, world: World, settings: Any) -> None:
    acme = world.acme
    settings.TUNED_URL = "https://tuned.acme.example/v1"
    tuned_id = fill_learning(acme)["tuned-models"][0]
    path = f"/o/acme/learning/tuned/{tuned_id}"
    assert f'href="{path}"' in ada.get("/o/acme/learning").content.decode()
    shown = text_of(ada.get(path))
    assert "3 of 4 answers as the teacher's (19.4% to 99.4%); 1 without the adapter (0.6% to 80.6%)" in shown
    assert "known when it has a price, and its teacher answers calls" in shown
    assert "it is compared from when it is served" in shown
    wrong = ada.submit(path, input_per_million="cheap", output_per_million="0.20")
    assert (wrong.status_code, "Give a decimal number" in error_of(wrong)) == (400, True)
    dear = ada.submit(path, input_per_million="5", output_per_million="5")
    assert (dear.status_code, "tuned is not cheaper than small" in error_of(dear)) == (400, True)
    assert ada.submit(path, input_per_million="0.05", output_per_million="0.20").headers["Location"] == path
    with org_scope(acme.org.pk):
        assert LanguageModel.objects.get(org=acme.org, name="tuned").student_of == "small"
        assert Route.objects.get(org=acme.org, name="small-distilled").mode == "shadow"
    assert "as tuned , and first by the route small-distilled" in text_of(ada.get(path))
    # The teacher's calls have 2,000 tokens: $0.001 each; three of four that the model gets for $0.0001 are right.
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(name="labels").update(spent_nanos=90_000_000)
    record_call(acme, clock.now() - timedelta(minutes=1), cost=1_000_000, input_tokens=2_000)
    shown = text_of(ada.get(path))
    costs = "a call of it $0.000100000, and a call of the teacher's $0.001000000"
    assert f"Break-even after 100 calls: it has cost $0.09 , {costs}" in shown
    assert "A success costs $0.000133333" in shown
    refused = ada.post(f"{path}/change", {"stage": "canary"})
    assert refused.headers["Location"] == path
    assert "It is sure of no answer" in text_of(ada.get(path))
    with org_scope(acme.org.pk):
        TunedModel.objects.filter(pk=tuned_id).update(threshold=0.5, compared=200, answered=100, agreed=95)
    ada.post(f"{path}/change", {"stage": "canary"})
    assert "it would have answered 100 of 200, 95 as the teacher did (95 %)" in text_of(ada.get(path))
    record_call(
        acme,
        clock.now() - timedelta(minutes=1),
        request_model="small-distilled",
        route_reason="route small-distilled v2 cascade: tuned, rung 1 of 2",
        list_cost=3_000,
        effective_cost=1_000,
        savings={"distillation": 2_000},
    )
    assert "it answered 1 of 1 calls in 28 days, which saved" in text_of(ada.get("/o/acme/learning"))
    ada.post(f"{path}/change", {"retire": "yes"})
    with org_scope(acme.org.pk):
        assert not LanguageModel.objects.get(org=acme.org, name="tuned").is_active
        assert not Route.objects.filter(org=acme.org).exists()
    assert Visit(world.ben).post(f"{path}/change", {"stage": "shadow"}).status_code == 403


def test_a_training_at_a_provider_is_asked_for_and_tells_its_events(
    ada: Visit, world: World, version: DatasetVersion
) -> None:
    acme = world.acme
    new = "/o/acme/learning/provider-tunings/new"
    assert f'href="{new}"' in ada.get("/o/acme/learning").content.decode()
    typed = {"name": "shop-mini", "base_model": "mini-2026", "per_million": "25", "version": str(version.pk)}
    assert "from 0 to 100,000 USD" in error_of(ada.submit(new, **typed | {"per_million": "200000"}))
    made = ada.submit(new, **typed)
    with org_scope(acme.org.pk):
        tuning = ProviderTuning.objects.get(org=acme.org)
    path = f"/o/acme/learning/provider-tunings/{tuning.pk}"
    assert made.headers["Location"] == path
    assert (tuning.name, tuning.base_model, tuning.epochs, tuning.per_million_nanos) == (
        "shop-mini",
        "mini-2026",
        3,
        25 * 10**9,
    )
    assert "It has reported none yet." in text_of(ada.get(path))
    with org_scope(acme.org.pk):
        ProviderTuning.objects.filter(pk=tuning.pk).update(
            state="running", remote_state="validating_files", remote_job="ftjob-1", events=["Files checked", "Step 5"]
        )
    page = ada.get(path)
    for words in ("which says: validating_files", "ftjob-1", "Files checked", "Step 5", "for small"):
        assert words in text_of(page), words
    assert 'hx-trigger="every 5s"' in page.content.decode()
    assert f'href="{path}"' in ada.get("/o/acme/learning").content.decode()
    ada.post(f"/o/acme/learning/trainings/{tuning.pk}/cancel", {"provider": "yes"})
    with org_scope(acme.org.pk):
        assert ProviderTuning.objects.get(pk=tuning.pk).is_cancelled


def test_what_a_provider_has_trained_is_compared_and_moved(ada: Visit, world: World, version: DatasetVersion) -> None:
    acme = world.acme
    typed = {"name": "shop-mini", "base_model": "mini-2026", "per_million": "25", "version": str(version.pk)}
    ada.submit("/o/acme/learning/provider-tunings/new", **typed)
    with org_scope(acme.org.pk):
        tuning = ProviderTuning.objects.get(org=acme.org)
        upstream = Upstream.objects.get(pk=tuning.upstream_id)
    path = f"/o/acme/learning/provider-tunings/{tuning.pk}"
    trials = f"{path}/trials"
    assert f'href="{trials}"' not in ada.get(path).content.decode()
    assert "not trained yet" in text_of(ada.get(trials))
    with org_scope(acme.org.pk):
        ProviderTuning.objects.filter(pk=tuning.pk).update(state="done", remote_model="ft:mini")
        model = create_model(
            actor=acme.owner, name="shop-mini", upstream=upstream, upstream_model="ft:mini", student_of="small"
        )
        cheap, less = Decimal("0.02"), Decimal("0.01")
        create_price(actor=acme.owner, model=model, input_per_million=less, output_per_million=cheap)
    assert f'href="{trials}"' in ada.get(path).content.decode()
    assert "It is not served, so that it is compared with nothing" in text_of(ada.get(trials))
    assert "Give an API key of this organisation" in error_of(ada.submit(trials, api_key="sk-1", cap="1"))
    mistaken = ada.submit(trials, api_key=acme.api_key, cap="0")
    assert "Give more than nothing" in error_of(mistaken)
    assert acme.api_key not in mistaken.content.decode(), "a key is typed anew, and stands on no page"
    assert re.search(
        r'<input[^>]*type="password"[^>]*name="api_key"|name="api_key"[^>]*type="password"', mistaken.content.decode()
    )
    assert ada.submit(trials, api_key=acme.api_key, cap="1.50").headers["Location"] == trials
    page = text_of(ada.get(trials))
    assert "not compared yet" in page
    assert "$0.00 of at most $1.50" in page
    assert "small-distilled" in page
    # Nobody knows yet how sure it must be.
    assert ada.post(f"{trials}/change", {"stage": "canary"}).headers["Location"] == trials
    assert "It is sure of no answer" in text_of(ada.get(trials))
    ada.post(f"{trials}/change", {"stage": "rolled_back"})
    assert "shop-mini is rolled back now." in text_of(ada.get(trials))
    ada.post(f"{trials}/change", {"retire": "yes"})
    with org_scope(acme.org.pk):
        assert not Route.objects.filter(org=acme.org).exists()
    assert Visit(world.ben).post(f"{trials}/change", {"stage": "shadow"}).status_code == 403


def test_a_tuned_models_files_are_taken_out_by_who_has_just_signed_in(ada: Visit, world: World) -> None:
    acme = world.acme
    world.ada.set_password("correct horse battery staple")
    world.ada.save()
    sign_in_now(ada.client, world.ada)
    session = ada.client.session
    records = session["account_authentication_methods"]
    records[0]["at"] -= 16 * 60
    session["account_authentication_methods"] = records
    session.save()
    tuned_id = fill_learning(acme)["tuned-models"][0]
    page, path = f"/o/acme/learning/tuned/{tuned_id}", f"/o/acme/learning/tuned/{tuned_id}/export"
    assert "Take its adapter out" in text_of(ada.get(page))
    stale = ada.post(path, {"weights": "adapter"})
    assert (stale.status_code, "/account/reauthenticate/" in stale.headers["Location"]) == (302, True)
    sign_in_now(ada.client, world.ada)
    taken = ada.post(path, {"weights": "adapter"})
    assert taken.headers["Content-Disposition"] == f'attachment; filename="tuned-{tuned_id}-adapter.tar"'
    with tarfile.open(fileobj=io.BytesIO(taken.content)) as archive:
        assert archive.getnames() == ["adapter_config.json", "adapter_model.safetensors", "adapter.gguf"]
    for weights, words in (("all", "Give one of adapter, merged."), ("", "Give one of adapter, merged.")):
        assert ada.post(path, {"weights": weights}).headers["Location"] == page
        assert words in text_of(ada.get(page))
    with org_scope(acme.org.pk):
        assert AuditEntry.objects.filter(org=acme.org, action__endswith=".exported").count() == 1
