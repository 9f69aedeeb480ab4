"""Values up to so many bytes, whatever is put there and dropped."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.edges.shelf import Shelf

NAMES = st.sampled_from("abcdef")


def test_the_oldest_goes_first() -> None:
    shelf: Shelf[str, int] = Shelf(10)
    for number, name in enumerate("abc"):
        shelf.put(name, number, 4)
    assert shelf.items() == [("b", 1), ("c", 2)]
    shelf.put("b", 3, 4)
    shelf.put("d", 4, 4)
    assert shelf.items() == [("b", 3), ("d", 4)]


def test_the_newest_stays_however_large() -> None:
    shelf: Shelf[str, int] = Shelf(10)
    shelf.put("a", 1, 4)
    shelf.put("b", 2, 100)
    assert shelf.items() == [("b", 2)]


def test_only_what_is_there_is_replaced() -> None:
    shelf: Shelf[str, int] = Shelf(10)
    shelf.put("a", 1, 4)
    shelf.replace("a", 2)
    shelf.replace("b", 3)
    assert (shelf.get("a"), shelf.get("b"), shelf.bytes) == (2, None, 4)


@given(st.lists(st.tuples(NAMES, st.integers(-1, 12))))
def test_its_bytes_are_those_of_its_values(steps: list[tuple[str, int]]) -> None:
    """A size of -1 drops the name."""
    shelf: Shelf[str, int] = Shelf(20)
    for name, size in steps:
        if size < 0:
            shelf.drop(name)
            assert shelf.get(name) is None
        else:
            shelf.put(name, size, size)
            assert shelf.get(name) == size
        assert shelf.bytes == sum(size for _, size in shelf.items())
        assert shelf.bytes <= 20 or len(shelf) == 1
