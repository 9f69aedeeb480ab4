"""The jobs over all organisations."""

import subprocess
import sys
from datetime import datetime

import pytest

from billing import tasks
from billing.spend.models import Forecast
from costhub.celery import app
from tenants.access import Actor, org_scope
from tests.patience import PATIENCE_SECONDS
from tests.world import World


def test_every_organisation_has_its_turn_and_one_that_fails_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def act(actor: Actor, now: datetime) -> int:
        seen.append(actor.org.pk)
        if actor.org.pk == world.acme.org.pk:
            raise ValueError("broken")
        return 1

    assert tasks.run_for_all(act) >= 1
    assert {world.acme.org.pk, world.mallcorp.org.pk} <= set(seen)
    assert "a job failed for an organisation" in caplog.text


def test_an_inactive_organisation_is_left_alone(world: World) -> None:
    with org_scope(world.acme.org.pk):
        world.acme.org.is_active = False
        world.acme.org.save()
    tasks.refresh_forecasts()
    with org_scope(world.acme.org.pk, world.mallcorp.org.pk):
        assert not Forecast.objects.filter(org=world.acme.org).exists()
        assert Forecast.objects.filter(org=world.mallcorp.org).exists()


def test_when_time_is_up_the_rest_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "RUN_SECONDS", -1)
    assert tasks.detect_anomalies() == 0
    assert tasks.run_for_all(lambda actor, now: 1) == 0


def test_the_schedule_has_them() -> None:
    app.loader.import_default_modules()
    for name in ("billing.tasks.refresh_forecasts", "billing.tasks.detect_anomalies"):
        assert name in app.tasks
        assert app.conf.beat_schedule[name]["schedule"].minute in ({4}, {9})


@pytest.mark.parametrize("module", ["costhub.asgi", "billing.tasks"])
def test_statistics_are_not_loaded_before_they_are_needed(module: str) -> None:
    script = f"import sys, django; import {module}; from django.urls import get_resolver; get_resolver().url_patterns; print([n for n in ('statsmodels', 'scipy', 'pandas') if n in sys.modules])"
    if module == "billing.tasks":
        script = (
            "import os; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'costhub.settings'); import django; django.setup(); "
            + script
        )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert answer.stdout.strip() == "[]", answer.stderr
