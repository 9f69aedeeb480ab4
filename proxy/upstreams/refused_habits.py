"""What upstreams have refused of our own writing, as this process has seen it."""

from collections import OrderedDict
from typing import Final

from costhub.lib import clock
from tenants.choices import Habit

#: how many pairs of upstream and model are remembered, and for how long: servers are replaced by better ones
MAX_REMEMBERED: Final = 1_000
REMEMBERED_MS: Final = 3_600_000
_NOTHING: Final[frozenset[Habit]] = frozenset()


class RefusedHabits:
    """Habits by upstream and model."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[frozenset[Habit], int]] = OrderedDict()

    def of(self, upstream_id: str, model: str) -> frozenset[Habit]:
        """What is known of an upstream with a model."""
        if not self._known:
            return _NOTHING
        found = self._known.get((upstream_id, model))
        if found is None:
            return _NOTHING
        habits, until_ms = found
        if clock.now_ms() >= until_ms:
            del self._known[upstream_id, model]
            return _NOTHING
        return habits

    def note(self, upstream_id: str, model: str, habit: Habit) -> bool:
        """Remember what was refused. Says whether it was news: else it would be refused for ever."""
        before = self.of(upstream_id, model)
        if habit in before:
            return False
        self._known[upstream_id, model] = (before | {habit}, clock.now_ms() + REMEMBERED_MS)
        self._known.move_to_end((upstream_id, model))
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return True
