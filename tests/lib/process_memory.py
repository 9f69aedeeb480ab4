"""What lies in the memory of another process."""

import re
from pathlib import Path
from typing import Final

_RANGE: Final = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw", re.MULTILINE)


def count_in_memory(pid: int, secret: bytes) -> int:
    """How often bytes stand in what a process can write to: its heaps, stacks and Python's own pools."""
    found = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for begins, ends in _RANGE.findall(Path(f"/proc/{pid}/maps").read_text()):
            start, end = int(begins, 16), int(ends, 16)
            try:
                memory.seek(start)
                part = memory.read(end - start)
            except OSError:
                continue  # it was given back meanwhile
            found += part.count(secret)
    return found
