"""One mail of each kind, as a mail program would show it: 600 pixels wide, light and dark, and as narrow as a phone."""

import os
import shutil
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from playwright.sync_api import Browser, sync_playwright

from bench.replay.findings import Findings
from billing.alerts.models import Alert, Delivery
from billing.choices import AlertEvent, AlertKind
from tenants.access import org_scope
from tenants.models import Organization

Colours = Literal["light", "dark"]
#: name, width, colours
VIEWS: Final[tuple[tuple[str, int, Colours], ...]] = (
    ("light", 600, "light"),
    ("dark", 600, "dark"),
    ("phone", 375, "light"),
)


def draw(findings: Findings, org: Organization, mails: Sequence[EmailMessage], folder: Path) -> None:
    """Render the first mail of each kind into PNG files. Every kind of alert must have been mailed."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = _choose(org, mails)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for name, mail in chosen.items():
            for view, width, colours in VIEWS:
                _render(browser, mail, width, colours, folder / f"{name}-{view}.png")
        browser.close()
    missing = [kind.value for kind in AlertKind if kind.value not in chosen]
    findings.check(
        "pictures",
        not missing,
        f"{len(chosen) * len(VIEWS)} pictures of {len(chosen)} mails; kinds without a mail: {', '.join(missing) or 'none'}",
        mails=sorted(chosen),
        missing=missing,
    )


def _choose(org: Organization, mails: Sequence[EmailMessage]) -> dict[str, EmailMessage]:
    """The first mail of each kind, of budgets one of each severity, and the first that says that something is over."""
    with org_scope(org.pk):
        deliveries = {row.pk: row for row in Delivery.objects.filter(org=org)}
        alerts = {row.pk: row for row in Alert.objects.filter(org=org)}
    chosen: dict[str, EmailMessage] = {}
    for mail in mails:
        delivery = deliveries.get(UUID(str(mail["Message-ID"]).strip("<>").partition("@")[0]))
        if delivery is None or delivery.alert is None:
            continue
        alert = alerts[delivery.alert]
        if delivery.event != AlertEvent.OPENED.value:
            chosen.setdefault(delivery.event, mail)
        else:
            chosen.setdefault(alert.kind, mail)
            chosen.setdefault(f"{alert.kind}-{alert.severity}", mail) if alert.kind == AlertKind.BUDGET.value else None
    return chosen


def _render(browser: Browser, mail: EmailMessage, width: int, colours: Colours, path: Path) -> None:
    part = mail.get_body(preferencelist=("html",))
    assert part is not None, "a mail of ours has HTML"
    page = browser.new_page(viewport={"width": width, "height": 400}, color_scheme=colours)
    # Nothing may be fetched for a mail.
    page.route("**/*", lambda route: route.abort())
    page.set_content(part.get_content())
    page.screenshot(path=path, full_page=True)
    page.close()


def find_chromium() -> str:
    """Where the browser is. Raises SystemExit without one."""
    path = os.environ.get("COSTHUB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("Install Chromium, or name one in COSTHUB_CHROMIUM.")
    return path
