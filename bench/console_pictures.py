"""The pages of the demo organisation as pictures: those of docs/console.md.

python -m bench.console_pictures [--folder docs/console] [--only routes]

Starts PostgreSQL, Valkey and the console, as `costhub up` runs them, and seeds the demo's history; needs Chromium.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from playwright.sync_api import expect

from bench.invoice_pictures import browse, prepare, serve, sign_in
from bench.rollups import servers

Colours = Literal["light", "dark"]
#: a picture's name, its page below the organisation's address, how wide it is and by day or night. ``{request}`` is
#: somebody's request for more, ``{policy}`` a compression policy, ``{upstream}`` the one whose bill is fetched
PICTURES: Final[tuple[tuple[str, str, int, Colours], ...]] = (
    ("overview", "", 1440, "light"),
    ("welcome", "welcome", 1440, "light"),
    ("breakdown", "breakdown", 768, "dark"),
    ("requests", "requests", 390, "light"),
    ("alerts", "alerts", 768, "dark"),
    ("budgets", "budgets", 1440, "light"),
    ("budget-request", "budget-requests/{request}", 390, "light"),
    ("budget-requests", "budget-requests", 390, "dark"),
    ("keys", "keys", 390, "light"),
    ("projects", "projects", 768, "dark"),
    ("end-users", "end-users", 390, "dark"),
    ("models", "models", 768, "dark"),
    ("upstreams", "upstreams", 1440, "light"),
    ("bill-days", "upstreams/{upstream}/bill/days", 1440, "light"),
    ("cache", "cache", 1440, "light"),
    ("compression", "compression", 768, "dark"),
    ("compression-policy", "compression/{policy}/edit", 768, "light"),
    ("routes", "routes", 1440, "light"),
    ("batches", "batches", 390, "light"),
    ("learning", "learning", 1440, "dark"),
    ("invoices", "invoices", 1440, "light"),
    ("billing", "billing", 768, "light"),
    ("members", "members", 768, "light"),
    ("tokens", "tokens", 768, "dark"),
    ("sign-ons", "sign-ons", 390, "light"),
    ("api-reference", "api-reference", 1440, "light"),
    ("audit-log", "audit-log", 1440, "light"),
    ("settings", "settings", 390, "light"),
)
_HEIGHT: Final = 900
#: of lists the beginning will do
_MOST_HEIGHT: Final = 2_300
#: parts that come after their page and have not come yet
_PENDING: Final = ".pending > a:only-child, [aria-busy=true]"
_PARTS_MS: Final = 60_000


def main(arguments: Sequence[str]) -> int:
    """Seed and draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.console_pictures")
    parser.add_argument("--folder", type=Path, default=Path("docs/console"))
    parser.add_argument("--only", nargs="*", choices=[name for name, *_ in PICTURES], help="some of the pictures")
    wanted = parser.parse_args(arguments)
    with servers():
        import django  # noqa: PLC0415 - the settings read where the database is

        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        django.setup()
        _draw(wanted.folder, wanted.only or [name for name, *_ in PICTURES])
    return 0


def _draw(folder: Path, names: Sequence[str]) -> None:
    from billing.demo.seed import seed_history  # noqa: PLC0415 - as above

    owner = prepare()
    org = seed_history(owner=owner)
    assert org is not None, "the demo is made once"
    ids = _find_ids(org.pk)
    folder.mkdir(parents=True, exist_ok=True)
    with serve() as base, browse() as browser:
        cookie = sign_in(owner, base)
        for name, path, width, colours in PICTURES:
            if name not in names:
                continue
            context = browser.new_context(viewport={"width": width, "height": _HEIGHT}, color_scheme=colours)
            context.add_cookies([cookie])
            page = context.new_page()
            page.goto(f"{base}/o/{org.slug}/{path.format(**ids)}")
            # Without a script of ours: the pages allow none.
            expect(page.locator(_PENDING)).to_have_count(0, timeout=_PARTS_MS)
            height = min(page.evaluate("document.documentElement.scrollHeight"), _MOST_HEIGHT)
            clip = {"x": 0, "y": 0, "width": width, "height": height}
            page.screenshot(path=folder / f"{name}-{width}-{colours}.png", full_page=True, clip=clip)
            context.close()


def _find_ids(org_id: UUID) -> dict[str, Any]:
    from billing.bills.models import BillSource  # noqa: PLC0415
    from tenants.access import job_scope  # noqa: PLC0415
    from tenants.models import BudgetRequest, CompressionPolicy  # noqa: PLC0415

    with job_scope(org_id) as actor:
        return {
            "request": BudgetRequest.objects.filter(org=actor.org).latest("created_at").pk,
            "policy": CompressionPolicy.objects.get(org=actor.org).pk,
            "upstream": BillSource.objects.get(org=actor.org).upstream,
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
