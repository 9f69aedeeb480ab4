"""In which order the files of the suite are dealt to the processes that share it (tests/dealing.py): the dearest
first, so that these end together.

``dearest.txt`` has what files took, in seconds, when that was measured; whatever is not there comes behind, in random
order. It only has to be about right. To measure anew: ``make test ARGS="--junitxml=suite.xml"``, then
``python -m tests.order suite.xml > tests/dearest.txt``.
"""

import gc
import os
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

COSTS: Final = Path(__file__).with_name("dearest.txt")
#: files that take less need no place of their own
LEAST_SECONDS: Final = 5
#: what a module has imported, and a test asks for, that starts processes beside the run's own servers
STARTERS: Final = {"deploy", "subprocess", "Supervisor"}
FIXTURES: Final = {"bank", "proxy", "place", "house", "browser"}


@cache
def read_costs() -> dict[str, float]:
    """Seconds by file, as ``dearest.txt`` has them."""
    return {path: float(seconds) for seconds, path in (line.split() for line in COSTS.read_text().splitlines())}


class Marks:
    """Says which tests start processes, before anything is chosen by its marks."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            module = getattr(item, "module", None)
            if FIXTURES & {*getattr(item, "fixturenames", ())} or (module and STARTERS & vars(module).keys()):
                item.add_marker("processes")


class Order:
    """Puts the dearest files first, after whatever has put them in a random order."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        costs = read_costs()
        items.sort(key=lambda item: _place(item.nodeid.partition("::")[0], costs))


def pytest_collection_finish() -> None:
    """What is loaded stays until the end: searching it for garbage again and again would be for nothing. Of what comes
    later little is garbage in a cycle, so that it is searched more rarely, as in the web server (costhub/asgi.py)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Marks())
    if "PYTEST_XDIST_WORKER" in os.environ:
        config.pluginmanager.register(Order())


def _place(path: str, costs: dict[str, float]) -> tuple[float, str]:
    return (-costs[path], path) if path in costs else (0, "")


def sum_costs(report: Path) -> list[tuple[float, str]]:
    """Seconds and path of each file in a JUnit report that takes long, the dearest first."""
    costs: defaultdict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        costs[_path_of(case.get("classname", ""))] += float(case.get("time", 0))
    dear = [(seconds, path) for path, seconds in costs.items() if seconds >= LEAST_SECONDS]
    return sorted(dear, reverse=True)


def _path_of(classname: str) -> str:
    """The file of a test's module, whose name may be followed by classes."""
    parts = classname.split(".")
    while len(parts) > 1 and not Path(*parts).with_suffix(".py").exists():
        parts.pop()
    return str(Path(*parts).with_suffix(".py"))


if __name__ == "__main__":
    for seconds, path in sum_costs(Path(sys.argv[1])):
        print(f"{seconds:.0f} {path}")
