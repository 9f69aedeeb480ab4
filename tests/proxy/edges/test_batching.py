"""What a turn of the loop gathers, and who hears of what becomes of it."""

import asyncio
from collections.abc import Sequence

import hiredis
import pytest

from proxy.edges.batching import Tick
from proxy.edges.valkey import Answer


class Post:
    """Sends what it is given, and keeps it: numbers come back doubled, and ``bad`` ones make the whole fail."""

    def __init__(self, bad: int | None = None) -> None:
        self.sent: list[tuple[str, list[int]]] = []
        self.bad = bad

    def send(self, name: str, things: Sequence[int]) -> Answer:
        self.sent.append((name, list(things)))
        answer: Answer = asyncio.get_running_loop().create_future()
        if self.bad in things:
            answer.set_exception(hiredis.ReplyError("WRONGTYPE"))
        else:
            answer.set_result([2 * thing for thing in things])
        return answer


async def test_things_of_one_name_go_together_at_the_end_of_the_turn() -> None:
    post = Post()
    tick: Tick[str, int] = Tick(post.send, apart=False)
    answers = [tick.add(name, thing, 1) for name, thing in (("a", 1), ("b", 2), ("a", 3))]
    assert post.sent == []
    assert await asyncio.gather(*answers) == [2, 4, 6]
    assert post.sent == [("a", [1, 3]), ("b", [2])]
    assert await tick.add("a", 4, 1) == 8


@pytest.mark.parametrize(
    ("breadth", "sizes"), [(1, [16, 16, 8]), (33, [16, 16, 8]), (34, [15, 15, 10]), (499, [2] * 20), (500, [1] * 40)]
)
async def test_no_more_than_a_script_can_do_quickly(breadth: int, sizes: list[int]) -> None:
    post = Post()
    tick: Tick[str, int] = Tick(post.send, apart=False)
    assert await asyncio.gather(*(tick.add("a", thing, breadth) for thing in range(40))) == list(range(0, 80, 2))
    assert [len(things) for _, things in post.sent] == sizes


async def test_where_one_makes_all_fail_each_is_sent_alone() -> None:
    post = Post(bad=2)
    tick: Tick[str, int] = Tick(post.send, apart=True)
    told = await asyncio.gather(*(tick.add("a", thing, 1) for thing in (1, 2, 3)), return_exceptions=True)
    assert (told[0], told[2]) == (2, 6)
    assert isinstance(told[1], hiredis.ReplyError)
    assert [things for _, things in post.sent] == [[1, 2, 3], [1], [2], [3]]


async def test_or_all_hear_of_it_where_nothing_may_be_sent_twice() -> None:
    post = Post(bad=2)
    tick: Tick[str, int] = Tick(post.send, apart=False)
    told = await asyncio.gather(*(tick.add("a", thing, 1) for thing in (1, 2, 3)), return_exceptions=True)
    assert [type(each) for each in told] == [hiredis.ReplyError] * 3
    assert [things for _, things in post.sent] == [[1, 2, 3]]


async def test_what_cannot_even_be_sent_keeps_nobody_waiting() -> None:
    def send(name: str, things: Sequence[int]) -> Answer:
        raise ZeroDivisionError

    tick: Tick[str, int] = Tick(send, apart=True)
    told = await asyncio.gather(*(tick.add("a", thing, 1) for thing in (1, 2)), return_exceptions=True)
    assert [type(each) for each in told] == [ZeroDivisionError] * 2


async def test_who_waits_no_longer_is_not_answered() -> None:
    post = Post()
    tick: Tick[str, int] = Tick(post.send, apart=True)
    gone, stays = tick.add("a", 1, 1), tick.add("a", 2, 1)
    gone.cancel()
    assert await stays == 4
    assert gone.cancelled()
    assert post.sent == [("a", [1, 2])]
