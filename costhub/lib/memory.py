"""How a process that serves calls looks after its memory."""

import gc
import sys


def settle_memory() -> None:
    """What is loaded now stays for good: leave it out of the search for garbage, and search more rarely. A call leaves
    hundreds of objects, hardly one of them in a cycle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    # A thread that counts tokens, renders a page or waits for PostgreSQL gives way to calls after that.
    sys.setswitchinterval(0.001)
