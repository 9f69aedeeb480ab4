"""Snapshots in memory, up to so many bytes."""

from threading import Lock
from typing import Generic, TypeVar

Name = TypeVar("Name")
Value = TypeVar("Value")


class Shelf(Generic[Name, Value]):
    """Values by name. Where there is no room for another one, those go that were put there longest ago.

    Not the least recently used: that order would have to be kept at every call, and a value that is missed is read from
    Valkey in one round trip. Any thread may use it.
    """

    def __init__(self, most_bytes: int) -> None:
        """``most_bytes`` bounds the sum of the sizes that ``put`` is told."""
        self._most_bytes = most_bytes
        self._values: dict[Name, Value] = {}
        self._sizes: dict[Name, int] = {}
        self._changing = Lock()
        self.bytes = 0
        #: the value of a name, or None; the dictionary's own, because every call asks twice
        self.get = self._values.get

    def __len__(self) -> int:
        return len(self._values)

    def put(self, name: Name, value: Value, size: int) -> None:
        """Keep a value of so many bytes in the place of the name's last one. The newest one always stays."""
        with self._changing:
            self._drop(name)
            self._values[name], self._sizes[name] = value, size
            self.bytes += size
            while self.bytes > self._most_bytes and len(self._values) > 1:
                self._drop(next(iter(self._values)))

    def replace(self, name: Name, value: Value) -> None:
        """Another value of the same size, if the name still has one."""
        with self._changing:
            if name in self._values:
                self._values[name] = value

    def drop(self, name: Name) -> None:
        """Forget a value, if it is there."""
        with self._changing:
            self._drop(name)

    def items(self) -> list[tuple[Name, Value]]:
        """All of them, the oldest first, as they are at this moment."""
        with self._changing:
            return list(self._values.items())

    def _drop(self, name: Name) -> None:
        self._values.pop(name, None)
        self.bytes -= self._sizes.pop(name, 0)
