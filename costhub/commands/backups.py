"""`costhub backup`, `restore` and `erase-again`: the database, kept and brought back."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import django
from django.core.management import call_command
from django.db import connections

from costhub.commands.arguments import Commands, count, moment, take_backup_url, take_data_dir
from costhub.commands.joining import join_stack
from costhub.stack.backup import UNFINISHED
from costhub.stack.part import PartFailed
from costhub.stack.postgres import Postgres

if TYPE_CHECKING:
    # Its library takes long to import, which `up` need not wait for.
    from costhub.stack.backup.store import ErasedEndUser


def add_parser(commands: Commands) -> None:
    """Add the commands."""
    backup = commands.add_parser(
        "backup",
        help="keep the running stack's database",
        description="Keep a base backup of the running stack's database. The stack must run with COSTHUB_BACKUP_URL, so "
        "that the write-ahead log is kept, too.",
    )
    backup.add_argument("--keep", type=count, metavar="N", help="forget all backups but the newest N")
    take_backup_url(backup)
    take_data_dir(backup)
    backup.set_defaults(do=_keep_or_bring_back)

    back = commands.add_parser(
        "restore",
        help="make a data directory with the database as it was at a moment",
        description="Make a new data directory whose database is as it was at a moment, or as late as what was kept "
        "reaches.",
    )
    back.add_argument("--to", type=moment, metavar="TIME", help="such as 2026-11-28T12:30:00+01:00")
    back.add_argument(
        "--secrets",
        type=Path,
        metavar="FILE",
        help="the secrets.json of the stack that was; without it set COSTHUB_SECRET_KEY, COSTHUB_KEY_PEPPER and "
        "COSTHUB_MASTER_KEY before the stack starts",
    )
    take_backup_url(back)
    take_data_dir(back)
    back.set_defaults(do=_keep_or_bring_back)

    again = commands.add_parser(
        "erase-again",
        help="erase who had been erased, after a database was brought back by its own tools",
        description="Erase the organisations and end users that were erased since the moment of a backup: `costhub "
        "restore` does so itself, a database that somebody else brings back needs it before anything is started on it.",
    )
    take_backup_url(again)
    take_data_dir(again)
    again.set_defaults(do=_erase_again)


def _keep_or_bring_back(options: argparse.Namespace) -> int:
    """Take a backup or restore one. Gives 0, or 1 after a sentence that says why not."""
    # Its library takes long to import, which `up` need not wait for.
    from costhub.stack.backup.restore import restore
    from costhub.stack.backup.store import BackupFailed, BackupStore
    from costhub.stack.backup.take import open_running, take_backup

    data_dir = options.data_dir.absolute()
    try:
        store = BackupStore(options.url)
        if options.command == "backup":
            backup = take_backup(open_running(data_dir), store, keep=options.keep)
            print(
                f"Backup {backup.name} is kept: {backup.size:,} bytes, good for any moment from {backup.ended_at} on."
            )
        else:
            # Before anything is brought back: a database in which nobody knows whom to erase is not wanted.
            _ = store.list_erased(), store.list_erased_end_users()
            backup = restore(store, data_dir, options.secrets, options.to)
            # And behind it, which may be an hour later: the original may have gone on, and erased.
            erased, people = store.list_erased(), store.list_erased_end_users()
            again = _erase_in_restored(data_dir, erased, people) if erased or people else (0, 0)
            (data_dir / UNFINISHED).unlink()
            until = f"as it was at {options.to}" if options.to else "as late as the log reaches"
            print(
                f"{data_dir} holds the database {until}, from backup {backup.name}. Start it with `costhub up "
                "--no-demo`: counters are then counted again from the ledger."
            )
            if any(again):
                print(f"Erased again: {again[0]} organisations and {again[1]} end users that had been erased since.")
    except (BackupFailed, PartFailed, OSError) as error:
        print(f"costhub {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _erase_in_restored(
    data_dir: Path, org_ids: Sequence[UUID], end_users: "Sequence[ErasedEndUser]"
) -> tuple[int, int]:
    """Start the database that was restored, bring its tables to this version, and erase who was erased since. Gives how
    many organisations and end users were there again. Raises PartFailed."""
    postgres = Postgres(data_dir)
    try:
        postgres.start()
        postgres.wait_ready()
        # Nothing is sealed or opened here, and keys come with the stack's start.
        os.environ |= {"DATABASE_URL": postgres.url_app, "DATABASE_OWNER_URL": postgres.url_owner}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "costhub.settings", "COSTHUB_PRODUCTION": "0"}
        django.setup()
        from costhub.ops.end_users import erase_end_users_again
        from costhub.ops.erasure import erase_again

        call_command("migrate", database="owner", interactive=False, verbosity=0)
        again = len(erase_again(org_ids)), erase_end_users_again(end_users)
        connections.close_all()
        return again
    finally:
        postgres.stop()


def _erase_again(options: argparse.Namespace) -> int:
    """Erase in a database that was brought back who had been erased. Gives 1 after a sentence that says why not."""
    if not join_stack(options.data_dir.absolute()):
        return 1
    from costhub.ops.end_users import erase_end_users_again
    from costhub.ops.erasure import erase_again
    from costhub.stack.backup.store import BackupFailed, BackupStore

    try:
        store = BackupStore(options.url)
        again = erase_again(store.list_erased())
        people = erase_end_users_again(store.list_erased_end_users())
    except (BackupFailed, OSError) as error:
        print(f"costhub erase-again: {error}", file=sys.stderr)
        return 1
    print(f"{len(again)} organisations and {people} end users were there again, and are erased.")
    return 0
