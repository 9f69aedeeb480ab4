"""The demo organisation's newest invoice, its credit note, mail and bridge as pictures: those of docs/invoices.md.

python -m bench.invoice_pictures [--folder docs/images]

Starts PostgreSQL, Valkey and the console, as `costhub up` runs them, and seeds the demo's history; needs Chromium, and
poppler's pdftoppm. All pages of the console about billing are drawn beside it, at three widths, light and dark, with
``--pages FOLDER``: to be looked at.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bench.rollups import servers

EMAIL: Final = "ada@northwind.example"
#: of a mail, and of the console
MAIL_WIDTH: Final = 700
WIDTHS: Final = (1440, 768, 390)
#: below an organisation's address
PAGES: Final = ("invoices/bridge", "invoices", "billing", "billing/papers-to")
_DOTS: Final = "96"


def main(arguments: Sequence[str]) -> int:
    """Seed and draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.invoice_pictures")
    parser.add_argument("--folder", type=Path, default=Path("docs/images"))
    parser.add_argument("--pages", type=Path, help="where all pages about billing go")
    wanted = parser.parse_args(arguments)
    with servers():
        import django  # noqa: PLC0415 - the settings read where the database is

        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        django.setup()
        _draw(wanted.folder, wanted.pages)
    return 0


def _draw(folder: Path, pages: Path | None) -> None:
    from django.core import mail  # noqa: PLC0415 - as above
    from django.test import override_settings  # noqa: PLC0415

    from billing.demo.seed import seed_history  # noqa: PLC0415
    from billing.invoices.actions.documents import get_document  # noqa: PLC0415
    from billing.invoices.actions.mails import mail_invoice  # noqa: PLC0415
    from billing.invoices.models import Invoice  # noqa: PLC0415
    from costhub.lib import clock  # noqa: PLC0415
    from tenants.access import job_scope  # noqa: PLC0415

    owner = prepare()
    org = seed_history(owner=owner)
    assert org is not None, "the demo is made once"
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"), job_scope(org.pk) as actor:
        newest = Invoice.objects.filter(kind="invoice").order_by("-period_start")[0]
        _rasterise(get_document(actor, newest, "pdf"), folder / "invoice")
        assert mail_invoice(actor, newest, clock.now())
        sent = mail.outbox[-1]
        assert isinstance(sent, mail.EmailMultiAlternatives)
        body, _ = sent.alternatives[0]
        link = f"invoices/{newest.pk}"
    with serve() as base, browse() as browser:
        page = browser.new_page(viewport={"width": MAIL_WIDTH, "height": 400})
        page.set_content(str(body))
        page.screenshot(path=folder / "invoice-mail.png", full_page=True)
        page.close()
        context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900})
        context.add_cookies([sign_in(owner, base)])
        page = context.new_page()
        page.goto(f"{base}/o/{org.slug}/invoices/bridge")
        page.locator("#bridge").screenshot(path=folder / "bill-bridge.png")
        if pages is not None:
            pages.mkdir(parents=True, exist_ok=True)
            _draw_pages(browser, base, owner, [f"o/{org.slug}/{path}" for path in (*PAGES, link)], pages)
    # Last, as it changes what the month cost.
    note_id = _make_rerated_note(org.pk)
    with job_scope(org.pk) as actor:
        _rasterise(get_document(actor, Invoice.objects.get(pk=note_id), "pdf"), folder / "credit-note")


def _make_rerated_note(org_id: UUID) -> UUID:
    """A model's price of the newest month was wrong by a tenth: the note that follows."""
    from billing.invoices.actions.rerating import approve_rerating, carry_on, preview_rerating  # noqa: PLC0415
    from billing.invoices.models import Invoice, Rerating  # noqa: PLC0415
    from billing.invoices.selectors.rerating import find_next_rerating  # noqa: PLC0415
    from costhub.lib import clock  # noqa: PLC0415
    from tenants.access import job_scope  # noqa: PLC0415
    from tenants.actions.pricing import create_price  # noqa: PLC0415
    from tenants.models import LanguageModel, Price  # noqa: PLC0415

    with job_scope(org_id) as actor:
        invoice = Invoice.objects.filter(kind="invoice").order_by("-period_start")[0]
        line = invoice.lines.filter(kind="usage").exclude(price="").order_by("-nanos")[0]
        model = LanguageModel.objects.get(name=line.model)
        old = Price.objects.get(pk=line.price.partition("/")[0])
        classes = ("input_per_million", "cached_input_per_million", "output_per_million")
        amounts = {name: getattr(old, name) for name in classes}
        create_price(
            actor=actor,
            model=model,
            **{name: (usd * Decimal("0.9")).normalize() for name, usd in amounts.items() if usd is not None},
            effective_from=invoice.period_start + timedelta(hours=1),
        )
    with job_scope(org_id) as actor:
        row = preview_rerating(
            actor=actor,
            model=model.name,
            start=invoice.period_start,
            end=invoice.period_end,
            reason="The provider's price was typed wrongly",
        )
        approve_rerating(actor=actor, rerating=row, change_nanos=row.change_nanos)
    while True:
        with job_scope(org_id) as actor:
            if (found := find_next_rerating(actor)) is None:
                return UUID(str(Rerating.objects.get(pk=row.pk).notes[0]))
            carry_on(actor, found, clock.now())


def prepare() -> Any:
    """Tables, list prices, and a person."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", database="owner", verbosity=0)
    call_command("seed_prices", verbosity=0)
    return get_user_model().objects.create_user(email=EMAIL)


def _rasterise(pdf: bytes, path: Path) -> None:
    """The first page as ``path``.png."""
    subprocess.run(["pdftoppm", "-png", "-r", _DOTS, "-singlefile", "-", str(path)], input=pdf, check=True)


@contextmanager
def serve() -> Iterator[str]:
    from costhub.stack.ports import find_free_port  # noqa: PLC0415
    from costhub.stack.services import Proxy  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="costhub-pictures-") as folder:
        server = Proxy(Path(folder), dict(os.environ), port=find_free_port(), workers=1)
        server.start()
        try:
            server.wait_ready(60)
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.stop()


@contextmanager
def browse() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    from bench.replay.pictures import find_chromium  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def sign_in(owner: Any, base: str) -> Any:
    """The cookie of somebody who has signed in a moment ago."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from django.conf import settings  # noqa: PLC0415

    from tests.world import make_client, sign_in_now  # noqa: PLC0415

    def enter() -> Any:
        client = make_client()
        sign_in_now(client, owner)
        return client.cookies[settings.SESSION_COOKIE_NAME]

    # Playwright keeps an event loop in this thread, which Django would take for ours.
    with ThreadPoolExecutor(max_workers=1) as beside:
        cookie = beside.submit(enter).result()
    return {"name": cookie.key, "value": cookie.value, "url": base}


def _draw_pages(browser: Any, base: str, owner: Any, paths: Sequence[str], folder: Path) -> None:
    cookie = sign_in(owner, base)
    for colours in ("light", "dark"):
        for width in WIDTHS:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=colours)
            context.add_cookies([cookie])
            page = context.new_page()
            for path in paths:
                page.goto(f"{base}/{path}")
                name = path.split("/", 2)[2].replace("/", "-")
                page.screenshot(path=folder / f"{name[:24]}-{width}-{colours}.png", full_page=True)
            context.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
