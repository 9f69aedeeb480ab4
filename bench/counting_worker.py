"""A worker that counts what calls make the interpreter do: started by ``bench.counted``, one for each version.

It serves as a version's own workers do, in one process and without whoever replaces them. Between SIGUSR1 and SIGUSR2
it counts, on the thread that serves, as a whole and by function; then it writes the counts as a line of JSON, past
Python's buffers, which a signal may find half full.
"""

import importlib
import importlib.util
import json
import os
import signal
import sys
from collections import Counter as Tally
from types import CodeType, FrameType
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")

import uvicorn


class Counter:
    """How often the interpreter did what, while it was looked at."""

    def __init__(self) -> None:
        self.counts = {"opcodes": 0, "python calls": 0, "C calls": 0}
        self.opcodes = Tally[CodeType]()

    def begin(self, *_: object) -> None:
        """From now on."""
        self.counts = dict.fromkeys(self.counts, 0)
        self.opcodes.clear()
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        os.write(1, b"{}\n")

    def end(self, *_: object) -> None:
        """Until now."""
        sys.settrace(None)
        sys.setprofile(None)
        self.counts["opcodes"] = self.opcodes.total()
        functions = Tally[str]()
        for code, count in self.opcodes.items():
            functions[f"{_shorten(code.co_filename)} {code.co_qualname}"] += count
        os.write(1, json.dumps({"counts": self.counts, "functions": functions}).encode() + b"\n")

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.counts["python calls"] += 1
        return self._look

    def _look(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode":
            self.opcodes[frame.f_code] += 1
        return self._look

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        self.counts["C calls"] += event == "c_call"


def _shorten(path: str) -> str:
    """A module's file without what stands before it in every version."""
    return path.rpartition("/site-packages/")[2] if "site-packages" in path else "/".join(path.split("/")[-3:])


def find_protocol() -> Any:
    """How a version speaks HTTP: one before ``costhub.serve`` was a package had a class in place of a function."""
    if importlib.util.find_spec("costhub.serve").submodule_search_locations is None:  # type: ignore[union-attr]
        return importlib.import_module("costhub.serve").BoundedHttp
    return importlib.import_module("costhub.serve.runner").make_connection


def main(port: int) -> None:
    """Serve until SIGTERM."""
    counter = Counter()
    config = uvicorn.Config(
        "costhub.asgi:application",
        port=port,
        http=find_protocol(),
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    signal.signal(signal.SIGUSR1, counter.begin)
    signal.signal(signal.SIGUSR2, counter.end)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
