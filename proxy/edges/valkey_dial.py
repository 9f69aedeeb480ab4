"""New connections of the hot path to Valkey: named, with TLS where that is asked for, with every script loaded."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import hiredis

from costhub.lib.valkey_url import Address, Kind, ValkeyUrl
from proxy.edges.valkey_line import ConfirmedLine, Line, Refused, ValkeyUnavailable

CONNECT_TIMEOUT_SECONDS: Final = 2.0
_SCRIPTS: Final = Path(__file__).parent / "lua"
#: who is silent for so long is not waited for where others can be asked
ASKED_SECONDS: Final = 0.5

_RUN_ID: Final = re.compile(rb"run_id:([0-9a-f]+)")

#: what a connection may fail by
FAILURES: Final = (OSError, TimeoutError, ValkeyUnavailable, hiredis.ReplyError)


Told = TypeVar("Told")


async def gather_first(asking: Sequence[Coroutine[Any, Any, Told]], enough: int) -> list[Told]:
    """What so many of them tell first; fewer where others fail, or are silent for too long."""
    tasks = [asyncio.ensure_future(one) for one in asking]
    told: list[Told] = []
    try:
        for answer in asyncio.as_completed(tasks, timeout=ASKED_SECONDS):
            with suppress(*FAILURES):
                told.append(await answer)
            if len(told) >= enough:
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return told


class Script:
    """A Lua script of ours, run by its digest. What it shares with others stands before it."""

    def __init__(self, name: str, *, shares: str = "") -> None:
        names = [shares, name] if shares else [name]
        self.source = b"".join((_SCRIPTS / f"{each}.lua").read_bytes() for each in names)
        self.sha = b""


class Dial:
    """Makes connections to what a URL names."""

    def __init__(self, url: ValkeyUrl, scripts: Sequence[Script], timeout: float) -> None:
        self.url = url
        self._scripts = scripts
        self._timeout = timeout
        #: of the master to which ``master`` connected last
        self.address: Address = url.nodes[0]

    async def master(self) -> Line:
        """A connection to the server, or to the master that the Sentinels name. Raises one of FAILURES."""
        if self.url.kind is not Kind.SENTINEL:
            return await self.node(self.url.nodes[0])
        self.address = await self.find_master()
        line = await self.node(self.address)
        try:
            role = await line.send((b"ROLE",))
            if role[0] != b"master":
                raise ValkeyUnavailable("the Sentinels name a server that is no master yet")
        except BaseException:
            line.abort()
            raise
        return line

    async def node(self, address: Address, refused: Refused | None = None) -> Line:
        """A connection to one server. Raises one of FAILURES."""
        line = await self._connect(address, refused, is_confirmed=True)
        try:
            await self._log_in(line)
            if self.url.database:
                await line.send((b"SELECT", self.url.database))
            line.run_id = await _ask_run_id(line)
            for script in self._scripts:
                script.sha = await line.send((b"SCRIPT", b"LOAD", script.source))
        except BaseException:
            line.abort()
            raise
        return line

    async def teller(self, address: Address) -> Line:
        """A connection to one server that is only asked who has what: a replica can tell, too, and could confirm
        nothing. Raises one of FAILURES."""
        line = await self._connect(address)
        try:
            await self._log_in(line)
        except BaseException:
            line.abort()
            raise
        return line

    async def _log_in(self, line: Line) -> None:
        if self.url.password:
            await line.send((b"AUTH", self.url.user or "default", self.url.password))

    async def _connect(self, address: Address, refused: Refused | None = None, *, is_confirmed: bool = False) -> Line:
        loop, timeout, replicas = asyncio.get_running_loop(), self._timeout, self.url.replicas

        def make() -> Line:
            if replicas and is_confirmed:
                return ConfirmedLine(loop, timeout, refused, replicas=replicas)
            return Line(loop, timeout, refused)

        _, line = await loop.create_connection(make, *address, ssl=self.url.tls)
        return line

    async def find_master(self) -> Address:
        """The master that most Sentinels name. Where they differ, the one that was elected last: a Sentinel that is cut
        off with a former master goes on naming that. Raises ValkeyUnavailable where none names one."""
        sentinels = self.url.nodes
        told = await gather_first([self._ask_sentinel(one) for one in sentinels], len(sentinels) // 2 + 1)
        if not told:
            raise ValkeyUnavailable("no Sentinel names a master")
        return max(told, key=lambda one: one[0])[1]

    async def _ask_sentinel(self, sentinel: Address) -> tuple[int, Address]:
        """(the epoch of the election, the master). Raises one of FAILURES."""
        line = await self._connect(sentinel)
        try:
            if self.url.sentinel_password:
                await line.send((b"AUTH", self.url.sentinel_user or "default", self.url.sentinel_password))
            found, fields = await asyncio.gather(
                line.send((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self.url.master)),
                line.send((b"SENTINEL", b"MASTER", self.url.master)),
            )
        finally:
            line.abort()
        if not found:
            raise ValkeyUnavailable("a Sentinel does not know the master")
        return int(fields[fields.index(b"config-epoch") + 1]), (found[0].decode(), int(found[1]))


async def _ask_run_id(line: Line) -> bytes:
    """Which process it is; empty where it does not tell us."""
    try:
        told: bytes = await line.send((b"INFO", b"server"))
    except hiredis.ReplyError:
        return b""
    found = _RUN_ID.search(told)
    return found[1] if found else b""
