"""What a drill has done by the product, in a process that knows the drill's own servers and not the test run's:
``python -m tests.stack.drill_hands furnish|settle|keep_draining|rebuild ...``. It prints one line of JSON."""

import json
import os
import select
import sys
from typing import Any
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
BEAT_SECONDS = 0.2
django.setup()

from django.conf import settings  # noqa: E402 - what follows wants Django's apps to be loaded
from django.db import DatabaseError, connection  # noqa: E402

from costhub.ops.end_users import erase_end_user  # noqa: E402
from costhub.ops.erasure import erase_organization  # noqa: E402
from proxy import tasks  # noqa: E402
from proxy.batches.model import StoredFile  # noqa: E402
from proxy.ledger import recount  # noqa: E402
from tenants.access import list_shards, org_scope  # noqa: E402
from tenants.actions.end_users import create_end_user  # noqa: E402
from tenants.actions.orgs import find_or_create_user  # noqa: E402
from tenants.choices import BudgetPeriod, BudgetScope  # noqa: E402
from tests.world import make_budget, make_catalog, make_tenant  # noqa: E402


def furnish(base_url: str) -> dict[str, Any]:
    """Acme, with a model at ``base_url`` and budgets of all time."""
    acme = make_tenant("Acme", find_or_create_user("ada@acme.example"))
    make_catalog(acme, base_url=base_url)
    make_budget(acme, "100.00", period=BudgetPeriod.TOTAL)
    make_budget(acme, "50.00", period=BudgetPeriod.TOTAL, scope=BudgetScope.MODEL, subject="small")
    make_budget(acme, "20.00", scope=BudgetScope.KEY, subject=str(acme.key.pk))
    for name in ("una", "bob"):
        with org_scope(acme.org.pk):
            create_end_user(actor=acme.owner, external_id=name, name=name.title())
            StoredFile.objects.create(
                id=uuid4(),
                org_id=acme.org.pk,
                project_id=acme.project.pk,
                end_user=name,
                filename=f"{name}.jsonl",
                purpose="batch",
                bytes=4,
            )
    return {
        "slug": acme.org.slug,
        "org": acme.org_id,
        "project": str(acme.project.pk),
        "key": str(acme.key.pk),
        "api_key": acme.api_key,
    }


def furnish_another(name: str) -> dict[str, Any]:
    """Another organisation, which has done nothing."""
    made = make_tenant(name, find_or_create_user(f"owner@{name.lower()}.example"))
    return {"slug": made.org.slug, "org": made.org_id}


def erase(slug: str, backup_url: str) -> dict[str, Any]:
    """What `costhub erase-org` does on a machine that is backed up."""
    settings.BACKUP_URL = backup_url
    return {"rows": sum(erase_organization(slug).rows.values())}


def erase_person(slug: str, end_user: str, backup_url: str) -> dict[str, Any]:
    """What `costhub erase-end-user` does on a machine that is backed up."""
    settings.BACKUP_URL = backup_url
    return {"rows": erase_end_user(slug, end_user).rows}


def settle() -> dict[str, Any]:
    """Everything that has ended is in the ledger."""
    moved = 0
    while more := tasks.drain_ledger():
        moved += more
    return {"moved": moved}


def keep_draining() -> dict[str, Any]:
    """As a worker does with its beat, until standard input ends; a database that is away is one that comes back."""
    print("ready", flush=True)
    moved = failed = 0
    while not select.select([sys.stdin], [], [], BEAT_SECONDS)[0]:
        try:
            moved += tasks.drain_ledger()
        except DatabaseError:
            failed += 1
            connection.close()
    return {"moved": moved, "failed": failed}


def rebuild() -> dict[str, Any]:
    """Counters as the ledger has them, and where they do not agree with it then."""
    tasks.rebuild_counters()
    return {"drift": [each for shard in list_shards() for each in recount.find_drift(shard)]}


VERBS = {
    each.__name__: each for each in (furnish, furnish_another, erase, erase_person, settle, keep_draining, rebuild)
}

if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    print(json.dumps(VERBS[verb](*arguments)))
