"""One migrated database for all processes that share a run: made once, beside their start, and copied by each.

Migrating takes five seconds of a processor, which each of them would spend at the same time. The process that deals the
tests out begins this one, which holds a lock until it is done; whoever wants the files waits for that. Where anything
goes wrong there is no copy, and each migrates for itself.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from costhub.stack.ports import find_free_port
from costhub.stack.postgres import Postgres
from costhub.stack.private_files import make_passable, read_json, write_json

#: the folder, for the processes that are started
VARIABLE: Final = "COSTHUB_TEST_TEMPLATE"
#: set in a process whose database is such a copy
MIGRATED: Final = "COSTHUB_TEST_MIGRATED"
_LOCK: Final = "lock"
_READY: Final = "ready"
_CREDENTIALS: Final = "postgres.json"


def begin_template(folder: Path) -> "subprocess.Popen[bytes]":
    """Start making it in a folder; the environment tells it to processes that are started from now on."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # The lock is the open file's, which the other process has, too, and keeps until its end.
        fcntl.flock(lock, fcntl.LOCK_EX)
        making = subprocess.Popen(
            [sys.executable, "-m", "tests.template", str(folder)],
            pass_fds=[lock],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.close(lock)
    os.environ[VARIABLE] = str(folder)
    return making


def end_template(making: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Take it away again."""
    if making.poll() is None:
        making.terminate()
    making.wait()
    shutil.rmtree(folder, ignore_errors=True)


def copy_template(data_dir: Path) -> bool:
    """Put a copy where the server of ``data_dir`` will find it, if there is one to be had. Waits while it is made."""
    if VARIABLE not in os.environ:
        return False
    folder = Path(os.environ[VARIABLE])
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
        kept = read_json(folder / _CREDENTIALS)
    except FileNotFoundError:
        return False
    near = data_dir / "postgres"
    if not (folder / _READY).exists() or not kept or Path(kept["home"]) != folder / "postgres":
        return False
    make_passable(near)
    subprocess.run(["cp", "-a", folder / "postgres" / "data", near / "data"], check=True)
    write_json(data_dir / _CREDENTIALS, {**kept, "home": str(near), "port": find_free_port()})
    os.environ[MIGRATED] = "yes"
    return True


def main(folder: Path) -> None:
    """Make it."""
    postgres = Postgres(folder, durable=False)
    postgres.start()
    try:
        postgres.wait_ready()
        os.environ |= {"DATABASE_URL": postgres.url_app, "DATABASE_OWNER_URL": postgres.url_owner}
        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        call_command("migrate", database="owner", verbosity=0)
        connections.close_all()
    finally:
        postgres.stop()
    (folder / _READY).touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
