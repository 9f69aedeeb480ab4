"""What the stack's own processes find in their environment: addresses, and keys that are made once and kept."""

import base64
import os
import secrets
from pathlib import Path
from typing import Final

from costhub.stack.part import PartFailed
from costhub.stack.private_files import read_json, write_json

#: each 32 random bytes in base64; see costhub/settings.py for what they protect
KEYS: Final = ("COSTHUB_SECRET_KEY", "COSTHUB_KEY_PEPPER", "COSTHUB_MASTER_KEY")


def load_or_make_keys(data_dir: Path) -> dict[str, str]:
    """The keys of this data directory, made at its first start. What the environment sets wins and is not stored."""
    path = data_dir / "secrets.json"
    kept = read_json(path)
    missing = [name for name in KEYS if name not in kept]
    if missing:
        kept |= {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in missing}
        write_json(path, kept)
    return {name: os.environ.get(name) or str(kept[name]) for name in KEYS}


def find_external_database() -> tuple[str, str] | None:
    """The URLs of the application's and of the owner's role of a database run by somebody else; None when unset.

    Raises PartFailed when only one of the two is set.
    """
    app, owner = os.environ.get("DATABASE_URL"), os.environ.get("DATABASE_OWNER_URL")
    if app and owner:
        return app, owner
    if app or owner:
        given, missing = ("DATABASE_URL", "DATABASE_OWNER_URL") if app else ("DATABASE_OWNER_URL", "DATABASE_URL")
        raise PartFailed(
            f"{given} is set but {missing} is not. Set both (the application's role, and the role that owns the tables "
            "and runs migrations), or neither to have PostgreSQL started for you."
        )
    return None


def find_external_redis() -> str | None:
    """The URL of a Valkey or Redis run by somebody else; None when unset."""
    return os.environ.get("REDIS_URL") or None


def allow_network(address: str) -> str:
    """COSTHUB_ALLOWED_NETWORKS with ``address`` (a network, with a port if it is only that) added."""
    return ",".join(filter(None, (os.environ.get("COSTHUB_ALLOWED_NETWORKS", ""), address)))
