"""The settings of a stack that somebody else has started, for a command that works on it."""

import os
import sys
from pathlib import Path

import django

from costhub.stack.private_files import read_json


def join_stack(data_dir: Path, **usual: str) -> bool:
    """Read the settings of the environment, of the stack in a folder, and those that are usual where neither has one.
    Says, on stderr too, where there are none."""
    for name, value in (usual | read_json(data_dir / "environment.json")).items():
        os.environ.setdefault(name, str(value))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
    if not {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"} <= os.environ.keys():
        print(
            f"There is no stack in {data_dir}: start one with `costhub up`, or set DATABASE_URL, DATABASE_OWNER_URL "
            "and REDIS_URL.",
            file=sys.stderr,
        )
        return False
    django.setup()
    return True
