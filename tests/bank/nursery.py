"""Banks are forked (tests/nursery.py): each is a fork of one process that has imported what they all need."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import IO

from tests.nursery import Forked, Nursery, serve_forks
from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class ForkedBank:
    """A bank's process, which ends with its standard input and prints its port."""

    process: Forked
    stdin: IO[bytes]
    stdout: IO[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self, number: int | None = None) -> None:
        """Return when it has ended: by this signal, or because its input has. Raises TimeoutExpired."""
        if number is not None:
            self.process.send_signal(number)
        self.stdin.close()
        self.stdout.close()
        self.process.wait(PATIENCE_SECONDS)


def fork_bank(arguments: Sequence[str], stderr: IO[bytes]) -> ForkedBank:
    """A bank with these arguments of ``python -m tests.bank``, whose complaints go to ``stderr``."""
    their_stdin, stdin = os.pipe()
    stdout, their_stdout = os.pipe()
    with ExitStack() as theirs:
        for file in (their_stdin, their_stdout):
            theirs.callback(os.close, file)
        process = _nursery().fork(arguments, [their_stdin, their_stdout, stderr.fileno()])
    return ForkedBank(process, os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"))


@cache
def _nursery() -> Nursery:
    return Nursery(__name__, os.environ)


def main() -> None:
    """Fork banks until whoever started this is gone."""
    from tests.bank.__main__ import main as serve

    def become(arguments: list[str]) -> None:
        sys.argv = ["tests.bank", *arguments]
        serve()

    serve_forks(become)
