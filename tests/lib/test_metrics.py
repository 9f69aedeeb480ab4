"""What processes that share a folder count, read by whoever is asked: after some of them were killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from costhub.lib.metrics import collect_processes
from tests.stack.conftest import ROOT

#: a process that takes calls, as far as its metrics go: so many tasks, and a call of one for which another was asked
TELL: Final = """
import sys
from costhub.lib import metrics
metrics.LOOP_TASKS.set(int(sys.argv[1]))
metrics.FALLBACKS.inc()
print(flush=True)
input()
"""


@contextmanager
def telling(folder: Path, tasks: int) -> Iterator["subprocess.Popen[str]"]:
    """It has said so, and lives until it is killed."""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "costhub.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    command = [sys.executable, "-c", TELL, str(tasks)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        try:
            yield process
        finally:
            process.kill()


def read(folder: Path) -> tuple[float | None, float | None]:
    """Tasks, and calls for which another model was asked."""
    found = collect_processes(folder)
    return found.get_sample_value("costhub_loop_tasks"), found.get_sample_value("costhub_fallbacks_total")


def test_the_tasks_of_a_process_that_was_killed_go_and_what_it_counted_stays(tmp_path: Path) -> None:
    with telling(tmp_path, 5), telling(tmp_path, 700) as killed:
        assert read(tmp_path) == (705, 2)
        killed.kill()
        killed.wait()
        assert read(tmp_path) == (5, 2)
        # Its successor counts on, and tells of its own tasks alone.
        with telling(tmp_path, 30):
            assert read(tmp_path) == (35, 3)
    assert read(tmp_path) == (None, 3)
