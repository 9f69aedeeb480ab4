"""The first two minutes, as somebody new spends them: signing up by mail, an organisation, an upstream of their own, a
model, a price, and the page's own snippets, pasted as they stand, whose calls arrive on the page."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from costhub.stack.ports import find_free_port
from costhub.stack.services import Proxy
from proxy.tasks import drain_ledger
from tests.bank import Bank
from tests.console.test_browser import PASSWORD, Visitor, chromium
from tests.patience import PATIENCE_SECONDS

__all__ = ["chromium"]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def mail_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mail")


@pytest.fixture(scope="module")
def open_console(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory, mail_dir: Path) -> Iterator[str]:
    """CostHub as `costhub up` runs it: anybody may sign up, mails are files, servers of this machine are reached."""
    more = {
        "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        "COSTHUB_MAIL_DIR": str(mail_dir),
        "COSTHUB_SIGN_UP": "open",
    }
    server = Proxy(tmp_path_factory.mktemp("open"), dict(os.environ) | more, port=find_free_port(), workers=1)
    server.start()
    try:
        server.wait_ready(PATIENCE_SECONDS)
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """The newcomer's own server of models."""
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def drained(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The worker's job beside a test: calls that are settled move into the ledger."""
    stop = threading.Event()

    def drain() -> None:
        while not stop.wait(0.2):
            drain_ledger()
        connections.close_all()

    thread = threading.Thread(target=drain)
    with django_db_blocker.unblock():
        thread.start()
        yield
        stop.set()
        thread.join()


def read_code(mail_dir: Path, address: str) -> str:
    """The code in the newest mail to somebody."""
    for file in sorted(mail_dir.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True):
        message = message_from_bytes(file.read_bytes(), policy=default)
        if address in str(message["To"]):
            body = message.get_body(("plain",))
            found = re.search(r"^([A-Z0-9]{3,5}-?[A-Z0-9]{3,5})$", body.get_content() if body else "", re.MULTILINE)
            assert found, file
            return found[1]
    raise AssertionError(f"no mail to {address}")


def snippet(page: Page, name: str) -> str:
    """What the button beside a snippet copies."""
    return page.locator(f"#snippet-{name}").text_content() or ""


def fill(page: Page, values: dict[str, str], button: str) -> None:
    """Fill a form in and send it."""
    for label, value in values.items():
        page.get_by_label(label, exact=False).first.fill(value)
    page.get_by_role("button", name=button).click()


def test_from_nothing_to_calls_by_the_pages_own_snippets(
    chromium: Browser, open_console: str, mail_dir: Path, bank: Bank, drained: None
) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    visitor = Visitor(context, open_console)
    page, who = visitor.page, uuid4().hex[:10]
    page.goto(f"{open_console}/login")
    page.get_by_role("link", name="Make an account").click()
    page.locator("[name=email]").fill(f"{who}@globex.example")
    page.locator("[name=password1]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("[name=code]")).to_be_visible()
    page.locator("[name=code]").fill(read_code(mail_dir, f"{who}@globex.example"))
    page.keyboard.press("Enter")
    fill(page, {"Name": f"Globex {who}"}, "Make it")

    expect(page.get_by_role("heading", name="Your first API key")).to_be_visible()
    key = page.locator("#new-key").text_content() or ""
    assert key in snippet(page, "curl")
    welcome = page.url
    page.get_by_role("link", name="An upstream: make it").click()
    fill(page, {"Name": "our GPUs", "Base URL": bank.base_url}, "Create upstream")
    # Each form leads back to the steps, where the next one waits.
    page.get_by_role("link", name="A model: make it").click()
    page.get_by_label("Name", exact=True).fill("house-model")
    page.get_by_role("button", name="Create model").click()
    expect(page.get_by_text("Calls to house-model are refused until there is one.")).to_be_visible()
    page.get_by_role("link", name="A price: make it").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value("house-model")
    fill(page, {"Input, USD": "0.15", "Output, USD": "0.60"}, "Add this price")

    asked: list[str | None] = []
    page.on("request", lambda one: asked.append(one.headers.get("x-costhub-refresh")))
    assert page.url.startswith(welcome)
    page.reload()
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()
    assert "house-model" in snippet(page, "curl")
    environment = os.environ | {"no_proxy": "127.0.0.1"}
    pasted = snippet(page, "curl").replace("YOUR_API_KEY", key)
    said = subprocess.run(
        ["bash", "-c", pasted], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert '"object":"chat.completion"' in said.stdout.replace(" ", ""), said
    page.locator("body").click(position={"x": 600, "y": 5})
    expect(page.get_by_text("A call has arrived")).to_be_visible()
    assert (asked[0], "1" in asked) == (None, True), "a page that asks for itself says so: nobody may sit before it"
    python = snippet(page, "python").replace("YOUR_API_KEY", key)
    said = subprocess.run(
        [sys.executable, "-c", python], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert (said.returncode, bool(said.stdout.strip())) == (0, True), said.stderr
    page.get_by_role("link", name="A budget: make it").click()
    fill(page, {"Limit": "5.00"}, "Create budget")
    expect(page.get_by_role("link", name=": make it")).to_have_count(0)
    page.get_by_role("link", name="Requests", exact=True).click()
    expect(page.locator("table.requests tbody tr")).to_have_count(2)
    expect(page.locator("table.requests tbody tr").first).to_contain_text("house-model")
    context.close()
    visitor.check()
