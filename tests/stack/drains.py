"""A worker that drains a drill's machine, for as long as a block lasts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import ROOT
from tests.stack.machine import Machine


@contextmanager
def draining(machine: Machine) -> Iterator[None]:
    """A worker that drains, beat by beat."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stack.drill_hands", "keep_draining"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | machine.environment,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
