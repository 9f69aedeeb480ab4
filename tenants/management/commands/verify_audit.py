"""Count the chains of the audit log anew."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.actions.audit import list_audit_hashes, verify_audit_chain
from tenants.models import Organization


class Command(BaseCommand):
    """`manage.py verify_audit [--since FILE]`: a line of JSON an organisation; fails where a chain is broken."""

    help = (
        "Counts every organisation's audit log again and prints how far it reaches, a line of JSON each. Keep what it "
        "prints where the database's owner cannot write: with --since it tells, too, whether what was there then is "
        "there now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=Path, metavar="FILE", help="what an earlier run printed")

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        earlier = _read(options["since"]) if options["since"] else {}
        for org_id, slug in Organization.objects.using("owner").order_by("slug").values_list("pk", "slug"):
            chain = verify_audit_chain(org_id, using="owner")
            found = {"org": str(org_id), "slug": slug, "entries": chain.entries, "hash": chain.hash}
            if chain.first_broken is not None:
                found["first_broken"] = chain.first_broken
            if (before := earlier.get(org_id)) is not None and before[0]:
                hashes = list_audit_hashes(org_id, [before[0]], using="owner")
                if hashes.get(before[0]) != before[1]:
                    found["lost"] = f"entry {before[0]} is not the one that an earlier run saw"
            wrong += "first_broken" in found or "lost" in found
            self.stdout.write(json.dumps(found))
        if wrong:
            raise CommandError(f"{wrong} audit logs are not what was written.")


def _read(path: Path) -> dict[UUID, tuple[int, str]]:
    """How far each organisation's log reached. Raises CommandError for a file that no run of this has printed."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line]
        return {UUID(line["org"]): (int(line["entries"]), str(line["hash"])) for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} is not what `verify_audit` prints: {error}") from error
