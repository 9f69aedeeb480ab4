"""Processes of llama.cpp, one for each tuned model that is asked: its base's weights are mapped, and so shared by all.

Each listens on a Unix socket in a folder that only we may enter: no other program of the machine reaches it.
"""

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2

from costhub.lib import clock

#: conversations at once
SLOTS: Final = 2
START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 600.0


class NotServed(Exception):
    """The process did not start. The message is for logs."""


@dataclass(slots=True)
class Child:
    """One process. ``calls`` are under way; ``used_ns`` is when the last one began, on the clock for durations."""

    process: asyncio.subprocess.Process
    http: httpx2.AsyncClient
    sha256: str
    calls: int = 0
    used_ns: int = field(default_factory=clock.monotonic_ns)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.returncode is None

    async def stop(self) -> None:
        """End it, and whatever it is at."""
        await self.http.aclose()
        if self.is_alive:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


async def start_child(
    folder: Path,
    *,
    name: str,
    base: Path,
    chat_template: str,
    context: int,
    adapter: bytes,
    sha256: str,
    threads: int,
) -> Child:
    """Serve a base model with an adapter; returns when it answers. ``context``: tokens of a conversation. ``folder`` is
    ours alone, and the adapter lies there no longer than it takes to be read. Raises NotServed."""
    mark = f"{clock.monotonic_ns():x}"
    file, socket = folder / f"{mark}.gguf", folder / f"{mark}.sock"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(adapter)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "costhub.stack.serve_model", "--file", str(base), "--name", name),
            *("--host", str(socket), "--port", "0", "--slots", str(SLOTS), "--tokens-per-slot", str(context)),
            *("--threads", str(threads), "--adapter", str(file), "--chat-template", chat_template),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        transport = httpx2.AsyncHTTPTransport(uds=str(socket))
        http = httpx2.AsyncClient(transport=transport, base_url="http://model", timeout=_ANSWER_SECONDS)
        child = Child(process, http, sha256)
        try:
            await _wait_until_ready(child)
        except BaseException:
            await child.stop()
            raise
        return child
    finally:
        file.unlink(missing_ok=True)


async def _wait_until_ready(child: Child) -> None:
    ends = clock.ends_in(START_SECONDS)
    while clock.monotonic_ns() < ends:
        if not child.is_alive:
            raise NotServed(f"llama.cpp ended with {child.process.returncode}.")
        # Until it listens there is no socket.
        with suppress(httpx2.HTTPError):
            if (await child.http.get("/health", timeout=_STOP_SECONDS)).status_code == 200:
                return
        await asyncio.sleep(_LOOK_SECONDS)
    raise NotServed(f"llama.cpp did not answer within {START_SECONDS:.0f} s.")
