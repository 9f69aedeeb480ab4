"""The hot path's connection to Valkey: one socket a process, and a tick's commands in few writes.

Why not redis-py: a call awaits one script and leaves a second behind, and redis-py's asyncio client spends 73 to 90 us
of CPU on each; packing with hiredis and answering futures from ``data_received`` costs 5 (docs/benchmarks.md). It does
nothing else: no pool, no retries. Whoever sends a command says what an unknown outcome means.

This one knows one server, or the master of whom Sentinels tell; ``valkey_cluster`` a connection to each master.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from costhub.lib.valkey_url import Kind, parse_valkey_url
from proxy.edges.standing_tasks import start_standing
from proxy.edges.valkey_dial import CONNECT_TIMEOUT_SECONDS, FAILURES, Dial, Script
from proxy.edges.valkey_line import Answer, Argument, Line, OutcomeUnknown, ValkeyUnavailable

__all__ = ["Answer", "Argument", "OutcomeUnknown", "Script", "Valkey", "ValkeyUnavailable"]

_log = logging.getLogger(__name__)

RECONNECT_SECONDS: Final = 0.05
#: how often Sentinels are asked whether there is another master: the old one may not know it yet
_LOOK_SECONDS: Final = 0.5


class Valkey:
    """A pipelining client with one connection, which it restores by itself.

    ``timeout_ms`` bounds how long any command waits: then the connection is given up, with everything on it, because
    behind a command that is not answered nothing else is either.
    """

    def __init__(self, url: str, scripts: Sequence[Script], timeout_ms: int) -> None:
        self._dial = Dial(parse_valkey_url(url), scripts, timeout_ms / 1000)
        self._line: Line | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._run_id = b""
        self._restored = asyncio.Event()
        #: counted up when another server, or one that was started again, stands where one stood before: it may not have
        #: what was written last
        self.generation = 0

    async def open(self) -> None:
        """Connect, or begin to try: a gateway starts also when Valkey does not."""
        self._keeper = start_standing("valkey", self._keep_connected)
        try:
            await asyncio.wait_for(self._restored.wait(), CONNECT_TIMEOUT_SECONDS)
        except TimeoutError:
            _log.warning("Valkey does not answer yet: calls are refused until it does")

    async def close(self) -> None:
        """Close the connection; commands on their way have an unknown outcome."""
        if self._keeper:
            self._keeper.cancel()
        if self._line:
            self._line.abort()

    @property
    def is_connected(self) -> bool:
        """Whether a command can be sent now; on a cluster, to some of its masters."""
        return self._line is not None

    @property
    def is_whole(self) -> bool:
        """Whether there is a connection; on a cluster, one for every slot."""
        return self._restored.is_set()

    async def wait_connected(self) -> None:
        """Return once there is a connection; on a cluster, one for every slot."""
        await self._restored.wait()

    def send(self, *command: Argument) -> Answer:
        """Send one command with this tick's others. The future fails with ValkeyUnavailable where it was not run, with
        OutcomeUnknown, or with a server's error.

        Raises ValkeyUnavailable when there is no connection.
        """
        if self._line is None:
            raise ValkeyUnavailable
        return self._line.send(command)

    def run(self, script: Script, keys: Sequence[Argument], arguments: Sequence[Argument]) -> Answer:
        """Send one of our scripts. Fails as ``send`` does, and raises ValkeyUnavailable when there is no connection."""
        if self._line is None:
            raise ValkeyUnavailable
        return self._line.send((b"EVALSHA", script.sha, len(keys), *keys, *arguments))

    async def _keep_connected(self) -> None:
        """Connect, and come back when the connection is lost."""
        try:
            line = await asyncio.wait_for(self._dial.master(), CONNECT_TIMEOUT_SECONDS)
        except FAILURES as error:
            _log.warning("Valkey is out of reach: %s", type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        self._line = line
        if line.run_id != self._run_id or not self._run_id:
            self._run_id = line.run_id
            self.generation += 1
        self._restored.set()
        try:
            await self._wait_lost(line)
        finally:
            # It is given up, too, where it was not lost: nobody would close it.
            line.abort()
            self._line = None
            self._restored.clear()

    async def _wait_lost(self, line: Line) -> None:
        if self._dial.url.kind is not Kind.SENTINEL:
            await line.broken
            return
        while not (await asyncio.wait({line.broken}, timeout=_LOOK_SECONDS))[0]:
            with suppress(ValkeyUnavailable):
                if await self._dial.find_master() != self._dial.address:
                    line.abort()
