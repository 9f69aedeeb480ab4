"""The scripts that end a call otherwise than by settling its hold, and the id of the correction that may follow."""

from typing import Final

from proxy.edges.valkey import Script

GIVE_UP: Final = Script("give_up", shares="rates")
CORRECT: Final = Script("correct")
LATE: Final = Script("late")


def correction_id(request_id: str) -> str:
    """The id of a call's one correction: the call's own, with its version nibble changed, so that it is made once."""
    return request_id[:14] + "8" + request_id[15:]
