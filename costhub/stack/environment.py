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
MASTER_KEY: Final = "COSTHUB_MASTER_KEY"
#: there only while the master key is being changed: keys that open what they sealed, with commas between them
FORMER_KEYS: Final = "COSTHUB_FORMER_MASTER_KEYS"


def load_or_make_keys(data_dir: Path) -> dict[str, str]:
    """The keys of this data directory, made at its first start. What the environment sets wins and is not stored."""
    path = data_dir / "secrets.json"
    kept = read_json(path)
    missing = [name for name in KEYS if name not in kept]
    if missing:
        kept |= {name: _make_key() for name in missing}
        write_json(path, kept)
    keys = {name: os.environ.get(name) or str(kept[name]) for name in KEYS}
    former = os.environ.get(FORMER_KEYS) or str(kept.get(FORMER_KEYS, ""))
    return keys | {FORMER_KEYS: former} if former else keys


def begin_rotation(data_dir: Path) -> bool:
    """Give the stack of a folder a new master key, and keep the old one as a former one. False where that has been done
    already and is not over."""
    path = data_dir / "secrets.json"
    kept = read_json(path)
    if kept.get(FORMER_KEYS):
        return False
    write_json(path, kept | {MASTER_KEY: _make_key(), FORMER_KEYS: kept[MASTER_KEY]})
    return True


def end_rotation(data_dir: Path) -> None:
    """Forget the former master keys of the stack of a folder: what is still sealed under them never opens again."""
    path = data_dir / "secrets.json"
    kept = read_json(path)
    kept.pop(FORMER_KEYS, None)
    write_json(path, kept)


def _make_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


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


def find_backup_url(*, is_embedded: bool) -> str | None:
    """Where the database is backed up to; None for nowhere. Raises PartFailed where the database is not ours."""
    url = os.environ.get("COSTHUB_BACKUP_URL") or None
    if url and not is_embedded:
        raise PartFailed(
            "COSTHUB_BACKUP_URL is set, and so is DATABASE_URL: a database that somebody else runs is backed up by its "
            "own tools. Unset one of the two."
        )
    return url


def allow_networks(*addresses: str) -> str:
    """COSTHUB_ALLOWED_NETWORKS with these (networks, each with a port if it is only that) added."""
    return ",".join(filter(None, (os.environ.get("COSTHUB_ALLOWED_NETWORKS", ""), *addresses)))
