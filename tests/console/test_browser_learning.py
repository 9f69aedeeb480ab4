"""A training that is asked for, watched and cancelled on a telephone, in a real Chromium."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, expect

from costhub.lib import clock
from proxy.learning.choices import JobState
from proxy.learning.models import TrainingJob
from tenants.access import org_scope
from tests.console.test_browser import NARROW, Visitor, chromium, console, spent, violations_of
from tests.proxy.learning.rows import fill, make_dataset, make_version
from tests.world import World

__all__ = ["chromium", "console", "spent"]

pytestmark = pytest.mark.browser


def test_a_training_is_watched_without_anybody_asking(chromium: Browser, console: str, spent: World) -> None:
    acme = spent.acme
    dataset = make_dataset(acme, "support")
    fill(acme, dataset, 30)
    make_version(acme, dataset)
    visitor = Visitor(chromium.new_context(viewport=NARROW, color_scheme="dark"), console)
    page = visitor.enter(spent)
    page.goto(f"{console}/o/{acme.org.slug}/learning")
    page.get_by_role("link", name="New training").click()
    page.get_by_label("Name").fill("shop")
    page.get_by_label("What is trained").select_option("lora")
    page.get_by_label("Adapter: of which model").fill("tiny")
    page.get_by_label("USD that an hour of the worker costs").fill("0.90")
    page.get_by_role("button", name="Start training").click()
    progress = page.locator("#training")
    expect(progress).to_contain_text("it waits for a worker")
    now = clock.now()
    with org_scope(acme.org.pk):
        jobs = TrainingJob.objects.filter(org=acme.org, name="shop")
        jobs.update(
            state=JobState.RUNNING.value,
            worker="gpu-1",
            step=30,
            steps=90,
            tokens=1_234,
            losses=[[number, 3 / number] for number in range(1, 31)],
            segment_from=now - timedelta(seconds=60),
            segment_until=now,
        )
    expect(progress).to_contain_text("30 of 90", timeout=15_000)
    expect(progress.get_by_role("img", name="Loss by step")).to_be_visible()
    assert violations_of(page, "a training") == []
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(re.compile(r"/learning$"))
    with org_scope(acme.org.pk):
        assert jobs.get().state == "cancelled"
    page.context.close()
    visitor.check()
