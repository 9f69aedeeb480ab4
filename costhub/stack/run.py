"""`costhub run PART`: one of CostHub's own processes in the place of this one, for systemd, containers and the like."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from costhub.stack.part import PartFailed
from costhub.stack.ports import HOST
from costhub.stack.services import BatchWorker, Beat, Pages, Proxy, Service, SlowWorker, Worker

#: what the environment must name: nothing is started or made up for a part that runs by itself
REQUIRED: Final = (
    *("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"),
    *("COSTHUB_SECRET_KEY", "COSTHUB_KEY_PEPPER", "COSTHUB_MASTER_KEY"),
    # Who has another one than the rest, such as a command that erases, looks for files where none are.
    "COSTHUB_FILES_URL",
)
Make = Callable[[Path, dict[str, str]], Service]
WORKERS: Final[Mapping[str, Make]] = {
    "worker": Worker,
    "slow-worker": SlowWorker,
    "batch-worker": BatchWorker,
    "beat": Beat,
}
PARTS: Final = ("proxy", "pages", *WORKERS)


def find_part(
    name: str, data_dir: Path, environment: dict[str, str], *, host: str = HOST, port: int, workers: int
) -> Service:
    """The part of this name. Raises PartFailed where the environment does not say what it needs."""
    missing = [variable for variable in REQUIRED if not environment.get(variable)]
    if name == "pages" and not environment.get("COSTHUB_PAGES_SOCKET"):
        missing.append("COSTHUB_PAGES_SOCKET")
    if missing:
        raise PartFailed(f"{', '.join(missing)} is not set: see the README's table of settings.")
    environment = {"DJANGO_SETTINGS_MODULE": "costhub.settings"} | environment
    if name == "proxy":
        return Proxy(data_dir, environment, host=host, port=port, workers=workers)
    if name == "pages":
        return Pages(data_dir, environment, workers=workers)
    return WORKERS[name](data_dir, environment)


def run_part(part: Service) -> None:
    """Become the part's process: signals and the exit code are its own, and its log goes where this process's does."""
    part.prepare()
    # As every part of `costhub up` has it: what it keeps is nobody else's to read.
    os.umask(0o077)
    command = part.command()
    os.execve(command[0], command, part.environment())  # noqa: S606 - our own program, no shell
