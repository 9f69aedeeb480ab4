"""Starts the stack before anything else: pytest loads this with `-p`, earlier than pytest-django and any conftest.py.

pytest-django reads the settings, and so DATABASE_URL, before it looks for a conftest.py; only a plugin that wraps
that very step is early enough. With DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL set, nothing is started. Where the
tests are dealt out to several processes (`-n 2`), each of these has servers of its own, and the one that deals has
none: it has the database made that the others copy (tests/template.py).
"""

import os
import sys
from collections.abc import Generator
from functools import partial
from typing import Final

import pytest

from costhub.stack import ports
from tests.patience import PATIENT
from tests.stack_fixtures import TestStack, make_data_dir, start_test_stack
from tests.template import begin_template, end_template

STACK = pytest.StashKey[TestStack]()
#: Processes that share a machine multiply matrices by themselves: helpers would wait for more in a loop, and take the
#: processor from whoever has work. It is read when the libraries are loaded.
_ALONE: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Have the servers running when pytest-django loads the settings; stop them when pytest is done."""
    _keep_bytecode()
    _take_own_ports()
    # Tests send what takes people an hour within a minute.
    os.environ.setdefault("COSTHUB_API_CALLS_A_MINUTE", "0")
    for name, value in (PATIENT | _ALONE).items():
        os.environ.setdefault(name, value)
    if {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"} <= os.environ.keys():
        pass
    elif _is_dealer(early_config):
        folder = make_data_dir()
        early_config.add_cleanup(partial(end_template, begin_template(folder), folder))
    else:
        stack = start_test_stack()
        early_config.stash[STACK] = stack
        early_config.add_cleanup(stack.stop)
    yield


def _keep_bytecode() -> None:
    """Have modules compiled once, not by every process that a test starts: of a proxy's start that is the greater part.

    PYTHONDONTWRITEBYTECODE, which containers like to set, would have it so, and would lose rewritten assertions too.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _take_own_ports() -> None:
    """A part of the range of ports is this process's alone: another one might find one free that is about to be used
    here."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    if name:
        # One that takes a dead one's place has a further number, and that one's ports.
        workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        share = (ports.HIGHEST - ports.LOWEST) // workers
        lowest = ports.LOWEST + share * (int(name.removeprefix("gw")) % workers)
        vars(ports).update(LOWEST=lowest, HIGHEST=lowest + share)


def _is_dealer(config: pytest.Config) -> bool:
    return "PYTEST_XDIST_WORKER" not in os.environ and bool(getattr(config.known_args_namespace, "numprocesses", None))
