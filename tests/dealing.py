"""Deals out files and not tests, where several processes share the suite: each imports and collects only what it runs.

xdist has every process collect everything, so that all of them mean the same by a number. Here they agree on the files,
each of which is one item to xdist; the process that gets it collects it then, and runs what is in it. Only where what
was asked for are files and folders: whoever names tests, or chooses by their names or marks, gets xdist's own way.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

#: what `make test` chooses by, and whoever chooses nothing
_CHOICES = {"", "not soak"}


class DealtFile(pytest.Item):
    """A file that nobody has imported yet."""

    def __init__(self, *, module: pytest.File, **more: Any) -> None:
        super().__init__(**more)
        self.module_node = module
        # What is in it is timed one by one.
        self.add_marker(pytest.mark.timeout(0))

    def runtest(self) -> None:
        """Nothing: what is in it is run in its place."""

    def collect_tests(self) -> list[pytest.Item]:
        """What is in it and was asked for, in the order in which it is run."""
        items = list(self.session.genitems(self.module_node))
        self.config.hook.pytest_collection_modifyitems(session=self.session, config=self.config, items=items)
        return items


class Dealing:
    """The part of it in a process that runs tests."""

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """Collect files only: xdist asks for the ids of what was collected, and deals out these."""
        if not _is_of_files(session.config):
            return (yield)
        original = session.genitems

        def find_files(node: pytest.Item | pytest.Collector) -> Iterator[pytest.Item]:
            if isinstance(node, pytest.Directory):
                report, duplicate = session._collect_one_node(node, True)
                if report.passed:
                    for inner in report.result:
                        yield from find_files(inner)
                if not duplicate:
                    node.ihook.pytest_collectreport(report=report)
            elif isinstance(node, pytest.File):
                assert node.parent is not None
                yield DealtFile.from_parent(node.parent, name=node.path.name, nodeid=node.nodeid, module=node)
            else:
                yield from original(node)

        session.genitems = find_files  # type: ignore[method-assign]
        try:
            return (yield)
        finally:
            del session.genitems

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if not isinstance(item, DealtFile):
            return None
        session, place = item.session, item.session.items.index(item)
        tests = item.collect_tests()
        if not tests:
            # What ran before has left standing what this file would have shared with it, such as their folder.
            session._setupstate.teardown_exact(nextitem)
        for test, following in zip(tests, [*tests[1:], nextitem], strict=False):
            # A report is checked against the item that xdist believes to be running.
            session.items[place] = test
            item.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            if session.shouldstop or session.shouldfail:
                break
        session.items[place] = item
        return True


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Have xdist deal out files in a way that a process which takes another's place goes on with."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist tells no types
        def schedule(self) -> None:
            """A process begins with a test when it knows the next one, or that there is none. One that comes later gets
            a single file, which here is one test, and would wait for ever."""
            comes_later = self.collection is not None
            super().schedule()
            if comes_later:
                super().schedule()

    return ByFile(config, log)


def _is_of_files(config: pytest.Config) -> bool:
    chooses = config.option.markexpr not in _CHOICES or config.option.keyword or config.option.deselect
    remembers = getattr(config.option, "lf", False) or getattr(config.option, "failedfirst", False)
    paths = [config.invocation_params.dir / argument for argument in config.args]
    return not chooses and not remembers and all(Path(path).exists() for path in paths)


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        config.pluginmanager.register(Dealing())
