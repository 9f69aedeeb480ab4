"""`costhub export-org`, `erase-end-user` and `erase-org`: whose data leaves, and who is forgotten."""

import argparse
import sys
from pathlib import Path

from costhub.commands.arguments import Commands, take_data_dir
from costhub.commands.joining import join_stack


def add_parser(commands: Commands) -> None:
    """Add the commands."""
    export = commands.add_parser(
        "export-org",
        help="write all of an organisation's data into one archive",
        description="Write every table's rows of an organisation, its files and its people into a ZIP archive. What was "
        "kept of calls is in it in clear; secrets are not in it.",
    )
    export.add_argument("org", metavar="SLUG", help="as it stands in the console's addresses")
    export.add_argument("--to", type=Path, required=True, metavar="FILE", help="must not be there yet")
    export.add_argument("--end-user", default="", metavar="ID", help="only what is kept of this person's calls")
    take_data_dir(export)
    export.set_defaults(do=_let_go)

    person = commands.add_parser(
        "erase-end-user",
        help="erase what is kept of one end user's calls",
        description="Erase what one end user of an organisation said and was told: kept answers, the cache, files, "
        "batches, what was captured and learned. What was paid stays. There is no way back.",
    )
    person.add_argument("org", metavar="SLUG", help="as it stands in the console's addresses")
    person.add_argument("end_user", metavar="ID", help="as the organisation's applications give it with calls")
    person.add_argument("--confirm", default="", metavar="ID", help="the same once more")
    take_data_dir(person)
    person.set_defaults(do=_let_go)

    erase = commands.add_parser(
        "erase-org",
        help="erase an organisation and all that is known of it",
        description="Close an organisation and erase it: rows, files, what Valkey holds, and people who belong to no "
        "other one. There is no way back.",
    )
    erase.add_argument("org", metavar="SLUG", help="as it stands in the console's addresses")
    erase.add_argument("--confirm", default="", metavar="SLUG", help="the same once more")
    erase.add_argument(
        "--invoices-are-kept-elsewhere", action="store_true", help="erase issued invoices too, which the law wants kept"
    )
    erase.add_argument(
        "--files-are-gone", action="store_true", help="erase although none of its files is in the store of files"
    )
    take_data_dir(erase)
    erase.set_defaults(do=_let_go)


def _let_go(options: argparse.Namespace) -> int:
    """Write the data of an organisation, or of one end user of it, down, or erase it. Gives 1 after a sentence that
    says why not."""
    # Where a training worker of this folder's has them unless it is told otherwise.
    near = options.data_dir.absolute() / "checkpoints"
    usual = {"COSTHUB_CHECKPOINTS_URL": near.as_uri()} if near.is_dir() else {}
    if not join_stack(options.data_dir.absolute(), **usual):
        return 1
    from costhub.lib.errors import AppError
    from costhub.ops.end_users import erase_end_user
    from costhub.ops.erasure import erase_organization
    from costhub.ops.export import export_organization
    from costhub.stack.backup.store import BackupFailed
    from proxy.learning.checkpoints import StoreFailed

    try:
        if options.command == "export-org":
            rows = export_organization(options.org, options.to, end_user=options.end_user)
            print(f"{options.to} has {sum(rows.values()):,} rows of {len(rows)} tables.")
            return 0
        if options.command == "erase-end-user":
            if options.confirm != options.end_user:
                print(f"Nothing was erased: repeat the id, --confirm {options.end_user}.", file=sys.stderr)
                return 1
            forgotten = erase_end_user(options.org, options.end_user)
            print(
                f"Erased: {sum(forgotten.rows.values()):,} rows of {len(forgotten.rows)} tables, {forgotten.answers} "
                f"answers in Valkey, {forgotten.files} files. What was paid for these calls stays."
            )
            return 0
        if options.confirm != options.org:
            print(f"Nothing was erased: repeat the name, --confirm {options.org}.", file=sys.stderr)
            return 1
        gone = erase_organization(
            options.org,
            invoices_are_kept_elsewhere=options.invoices_are_kept_elsewhere,
            files_are_gone=options.files_are_gone,
        )
        print(
            f"Erased: {sum(gone.rows.values()):,} rows of {len(gone.rows)} tables, {gone.keys} keys, {gone.files} files, "
            f"{gone.people} people."
        )
    except (AppError, BackupFailed, StoreFailed, OSError) as error:
        print(f"costhub {options.command}: {error}", file=sys.stderr)
        return 1
    return 0
