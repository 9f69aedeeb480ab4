"""Work that SIGKILL ends in the middle of, in a process of its own."""

import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any

from django.db import connection, connections


def run_and_die(work: Callable[[], None], at: int) -> bool:
    """Run it in a process of its own that SIGKILL ends before its ``at``-th statement; says whether it was ended.

    What it works on must be committed.
    """
    connections.close_all()
    if (child := os.fork()) == 0:
        statements = count(1)

        def execute(run: Callable[..., Any], *arguments: Any) -> Any:
            if next(statements) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return run(*arguments)

        try:
            with connection.execute_wrapper(execute):
                work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
