import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from costhub.lib.process_slots import ProcessSlots

SIT = "import sys, pathlib; from costhub.lib.process_slots import ProcessSlots; print(ProcessSlots(pathlib.Path(sys.argv[1])).number(), flush=True); input()"


@contextmanager
def seated(folder: Path) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """A process that has taken a seat and keeps it."""
    with subprocess.Popen(
        [sys.executable, "-c", SIT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
        process.kill()


def test_living_processes_have_different_numbers_and_the_next_one_takes_a_dead_ones(tmp_path: Path) -> None:
    folder = tmp_path / "made when needed"
    with seated(folder) as (first, killed), seated(folder) as (second, _):
        assert (first, second) == (0, 1)
        killed.kill()
        killed.wait()
        with seated(folder) as (third, _):
            assert third == 0
            ours = ProcessSlots(folder)
            assert [ours.number(), ours.number()] == [2, 2]
    assert sorted(path.name for path in folder.iterdir()) == ["0.lock", "1.lock", "2.lock"]


def test_free_are_those_of_the_dead_and_nobody_takes_one_that_is_looked_at(tmp_path: Path) -> None:
    ours = ProcessSlots(tmp_path)
    assert ours.number() == 0
    with seated(tmp_path) as (_, killed), seated(tmp_path):
        assert list(ours.find_free()) == []
        killed.kill()
        killed.wait()
        for number in ours.find_free():
            assert number == 1
            with seated(tmp_path) as (taken, _):
                assert taken == 3
        assert list(ours.find_free()) == [1, 3]
        with seated(tmp_path) as (taken, _):
            assert taken == 1
