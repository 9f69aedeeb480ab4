"""Proxies are forked (tests/nursery.py): a supervisor forks from a process that has imported what it serves, and forks
its workers in the place of spawning them. All else is the product's: ``costhub.serve``, its sockets, signals, restarts.

Only who needs the environment that this one began with is forked here: settings are read from it.
"""

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import uvicorn._subprocess
from uvicorn._subprocess import subprocess_started
from uvicorn.supervisors.multiprocess import SIGNALS

from tests.nursery import Forked, Nursery, serve_forks

#: what pytest notes there of the test that runs, what only a test's own modules read, and what Playwright's loop needs
_OF_NO_MEANING: Final = ("PYTEST_", "TEST_", "DJANGO_ALLOW_ASYNC_UNSAFE")


def fork_proxy(
    arguments: Sequence[str], whole: Mapping[str, str], environment: Mapping[str, str], log: int
) -> Forked | None:
    """A supervisor with these arguments of ``costhub.serve``, which writes to an open file; None where its ``whole``
    environment is another than the nursery began with. The ``environment`` is of this one alone, and has no settings.
    """
    began_with, nursery = _nursery()
    if began_with != _that_matters(whole):
        return None
    with Path(os.devnull).open("rb") as nothing:
        return nursery.fork(arguments, [nothing.fileno(), log, log], environment)


@cache
def _nursery() -> tuple[dict[str, str], Nursery]:
    """The one of this process, started when the first proxy is, and the environment that it began with."""
    from tests.proxy.deployment import PATIENT

    environment = _that_matters(os.environ | PATIENT)
    return environment, Nursery(__name__, environment)


def _that_matters(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_OF_NO_MEANING)}


def main() -> None:
    """Fork supervisors until whoever started this is gone."""
    from django.urls import get_resolver

    import costhub.asgi  # noqa: F401 - what every worker serves
    from costhub.serve.runner import main as serve

    # Pages, which a worker imports when it is asked for the first.
    get_resolver().url_patterns  # noqa: B018

    def become(arguments: list[str]) -> None:
        uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]
        uvicorn._subprocess.subprocess_started = _work
        serve(arguments)

    serve_forks(become)


def _work(*given: Any, **more: Any) -> None:
    """As uvicorn's own, in a process that was not forked from one that listens to signals in its own way."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subprocess_started(*given, **more)
