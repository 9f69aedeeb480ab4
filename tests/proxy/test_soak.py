"""Long runs, only in ``make soak``: a minute without PostgreSQL, and many rounds of everything that can be killed."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.proxy.load import Body, call_all, make_bodies
from tests.proxy.scene import CLIENTS, Scene, acme
from tests.proxy.test_deaths import pid_of, scene, stack, stopped
from tests.stack_fixtures import TestStack

__all__ = ["acme", "scene", "stack"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

OUTAGE_SECONDS = 60
ROUNDS = 12


def bodies_for(seconds: float) -> Iterator[Body]:
    """Calls without end, until the time is over."""
    ends = time.monotonic() + seconds
    for body in make_bodies(1_000_000, "small"):
        if time.monotonic() > ends:
            return
        yield body


def test_postgresql_is_away_for_a_minute(scene: Scene, stack: TestStack) -> None:
    assert {outcome.status for outcome in scene.run(calls=10)} == {200}
    with stopped(pid_of(stack.postgres)):
        outcomes = asyncio.run(
            call_all(scene.proxy.base_url, scene.acme.api_key, bodies_for(OUTAGE_SECONDS), clients=CLIENTS)
        )
    assert {outcome.status for outcome in outcomes} == {200}
    assert len(scene.balance().rows) == 10 + len(outcomes)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_anything_dies_at_any_moment(scene: Scene, stack: TestStack, seed: int) -> None:
    chance = random.Random(seed)

    def kill_valkey() -> None:
        os.kill(pid_of(stack.valkey), signal.SIGKILL)
        stack.valkey.stop()
        stack.valkey.start()
        stack.valkey.wait_ready()

    def kill_postgresql() -> None:
        os.kill(pid_of(stack.postgres), signal.SIGKILL)
        stack.postgres.stop()
        stack.postgres.start()
        stack.postgres.wait_ready()

    acts: list[Callable[[], object]] = [lambda: scene.proxy.kill_worker(scene.bank.port), kill_valkey, kill_postgresql]
    moments = {chance.randint(20, 280): chance.choice(acts) for _ in range(3)}

    def on_end(ended: int) -> None:
        if act := moments.get(ended):
            act()

    leaving = {number: chance.randint(1, 3_000) for number in range(0, 300, 7)}
    assert scene.run(calls=20)
    scene.run(on_end=on_end, leave_after=leaving.get)
    scene.balance()
