"""The supervisor: what dies is started again or named, and nothing outlives it."""

import errno
import os
import re
import signal
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
import redis

from costhub.stack import supervisor
from costhub.stack.part import Part
from costhub.stack.supervisor import StopRequested, Supervisor
from tests.patience import PATIENCE_SECONDS
from tests.stack.conftest import Start, Watch


def is_started_again(said: str, part: str) -> bool:
    """Sooner where a busy machine took so long that it was no quick death."""
    return re.fullmatch(rf"{part} ended with exit code -9\. It is started again in 0\.0[12] s\.", said) is not None


@pytest.mark.parametrize(
    ("number", "parts"),
    [(signal.SIGTERM, ["postgres", "valkey"]), (signal.SIGINT, ["valkey"]), (signal.SIGHUP, ["valkey"])],
)
def test_a_signal_stops_everything(start_supervised: Start, number: signal.Signals, parts: list[str]) -> None:
    stack = start_supervised(*parts)
    everything = Watch(stack.descendants())
    stack.process.send_signal(number)
    _, said = stack.process.communicate(timeout=PATIENCE_SECONDS)
    assert everything.survivors(0) == []
    assert (stack.process.returncode, said) == (
        0,
        f"Stopping after {number.name}. Ask once more to kill what is slow.\nstopped\n",
    )


def test_a_part_that_ignores_requests_is_killed_with_its_children(start_supervised: Start) -> None:
    stack = start_supervised("deaf")
    everything = Watch(stack.descendants())
    assert len(stack.descendants()) >= 2
    stack.process.terminate()
    stack.process.communicate(timeout=PATIENCE_SECONDS)
    assert everything.survivors() == []


def test_nothing_outlives_a_killed_supervisor(start_supervised: Start) -> None:
    stack = start_supervised("postgres", "valkey")
    everything = Watch(stack.descendants())
    assert len(stack.descendants()) >= 7
    stack.process.kill()
    assert everything.survivors() == []


def test_a_killed_part_is_started_again_with_its_data(start_supervised: Start) -> None:
    stack = start_supervised("postgres", "valkey")
    before = stack.told
    with redis.Redis.from_url(before["redis_url"], decode_responses=True) as client:
        client.set("held", "7")
    os.kill(before["pids"]["valkey"], signal.SIGKILL)
    assert is_started_again(stack.read_said(), "valkey")
    after = stack.read_told()
    assert stack.read_said() == "valkey answers again."
    assert after["redis_url"] == before["redis_url"]
    assert after["pids"]["postgres"] == before["pids"]["postgres"]
    assert after["pids"]["valkey"] != before["pids"]["valkey"]
    with redis.Redis.from_url(after["redis_url"], decode_responses=True) as client:
        assert client.get("held") == "7"


def test_a_killed_database_is_started_again_at_the_same_address(start_supervised: Start) -> None:
    stack = start_supervised("postgres")
    url = stack.told["database_url"]
    os.kill(stack.told["pids"]["postgres"], signal.SIGKILL)
    assert is_started_again(stack.read_said(), "postgres")
    assert stack.read_told()["database_url"] == url
    assert stack.read_said() == "postgres answers again."
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_part_that_keeps_dying_is_named_and_the_others_live_on(start_supervised: Start) -> None:
    stack = start_supervised("valkey", "crasher")
    os.kill(stack.told["pids"]["crasher"], signal.SIGKILL)
    said = [stack.read_said()]
    while "FAILING" not in said[-1]:
        stack.read_told()
        said.append(stack.read_said())
    assert [re.sub(r"in [\d.]+ s\.", "in a while.", line) for line in said[:4]] == [
        "crasher ended with exit code -9. It is started again in a while.",
        *["crasher ended with exit code 3. It is started again in a while."] * 3,
    ]
    assert said[4].startswith(
        "crasher is FAILING: it ended with exit code 3, 5 times within 10 s of its start. Its log is "
    )
    assert len(said) == 5
    with redis.Redis.from_url(stack.told["redis_url"]) as client:
        assert client.ping() is True


def test_a_second_signal_has_no_patience(start_supervised: Start) -> None:
    stack = start_supervised("postgres")
    everything = Watch(stack.descendants())
    os.kill(stack.told["pids"]["postgres"], signal.SIGSTOP)
    stack.process.terminate()
    assert stack.read_said() == "Stopping after SIGTERM. Ask once more to kill what is slow."
    stack.process.terminate()
    stack.process.communicate(timeout=PATIENCE_SECONDS)
    assert everything.survivors() == []


class Sleeper(Part):
    """A part that does nothing."""

    name: ClassVar[str] = "sleeper"

    def prepare(self) -> None:
        """Nothing."""

    def command(self) -> list[str]:
        return ["/bin/sleep", "600"]

    def is_ready(self) -> bool:
        return self.is_alive()


def test_a_full_disk_on_which_nothing_can_be_noted_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TELL_AGAIN_SECONDS", 0.01)
    said: list[str] = []
    noted: list[int | None] = []

    def note() -> None:
        noted.append(part.pid)
        if len(noted) < 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), signal.SIGTERM)

    part = Sleeper(tmp_path)
    with pytest.raises(StopRequested), Supervisor(said.append, first_delay_seconds=0.01) as stack:
        stack.on_change = note
        stack.start(part)
        before = part.pid
        part.kill()
        stack.run()
    assert len(noted) == 3
    assert len({before, *noted}) == 2, "the one that was started again lives on"
    again, told, *_ = said
    assert is_started_again(again, "sleeper")
    assert told == (
        "Which processes run cannot be noted: [Errno 28] No space left on device. It is tried again, and they go on."
    )
