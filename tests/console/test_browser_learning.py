"""A training that is asked for, watched and cancelled on a telephone, in a real Chromium."""

import re
from datetime import timedelta
from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from costhub.lib import clock
from proxy.learning.choices import JobState
from proxy.learning.models import TrainingJob
from tenants.access import org_scope
from tests.console.test_browser import NARROW, WIDE, Visitor, chromium, console, spent, violations_of
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
    expect(progress).to_contain_text("30 of 90")
    expect(progress.get_by_role("img", name="Loss by step")).to_be_visible()
    assert violations_of(page, "a training") == []
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(re.compile(r"/learning$"))
    with org_scope(acme.org.pk):
        assert jobs.get().state == "cancelled"
    page.context.close()
    visitor.check()


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide", "narrow"])
def test_the_calculators_chart_is_read_day_by_day(
    chromium: Browser, console: str, spent: World, width: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    visitor = Visitor(chromium.new_context(viewport=width, color_scheme=scheme), console)
    page = visitor.enter(spent)
    page.goto(f"{console}/o/{spent.acme.org.slug}/learning")
    page.get_by_role("link", name="An example: 10,000 calls a day").click()
    expect(page.locator("#roi .notice")).to_have_text(
        "Pays for itself after 1.2 days: it saves $417.60 a day and costs $500.00 once."
    )
    page.get_by_label("Training, USD, at least").fill("200")
    page.get_by_label("Training, USD, at most").fill("20000")
    page.get_by_role("button", name="Work it out").click()
    chart = page.locator(".gain")
    expect(chart.locator(".mark-text")).to_have_text("even after 1.2 days")
    expect(chart.locator("polygon.band")).to_have_count(1)
    chart.focus()
    page.keyboard.press("ArrowRight")
    expect(chart.locator("[data-tip]:not([hidden])")).to_contain_text("Day 0")
    chart.locator("[data-bar]").last.hover()
    expect(chart.locator("[data-tip]:not([hidden])")).to_contain_text("Day 365 $151,924.000000000")
    assert violations_of(page, "the calculator") == []
    assert page.evaluate("document.documentElement.scrollWidth") == width["width"]
    page.context.close()
    visitor.check()
