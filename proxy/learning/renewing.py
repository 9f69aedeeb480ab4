"""What takes long and cannot be asked in between, such as the loading of a large model, done in a thread, while the
worker's hold on its job is looked after here."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from proxy.learning.interruptions import Interruption

Made = TypeVar("Made")

#: how soon a notice is heard
_LOOK_SECONDS: Final = 0.2


def run_while_renewing(work: Callable[[], Made], rest: Callable[[], bool], interruption: Interruption) -> Made | None:
    """What ``work`` gives. ``rest`` is called all the while, as between the steps of a training; where it says that a
    notice has come, nobody waits for ``work`` any longer, and None is given. ``work`` must not use the database: its
    thread has a connection of its own.

    Raises what either of them does. What ``rest`` raises ends the job, and the next one begins when ``work`` has ended:
    two models at once might be too much for the machine.
    """
    made: list[Made] = []
    failed: list[BaseException] = []
    is_over = threading.Event()

    def run() -> None:
        try:
            made.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the work was asked for
            failed.append(error)
        finally:
            is_over.set()

    # A daemon: a process that is told to end does not wait for the rest of the work.
    threading.Thread(target=run, name="renewing", daemon=True).start()
    try:
        while not is_over.wait(_LOOK_SECONDS):
            if rest():
                return None
    except BaseException:
        while not is_over.wait(_LOOK_SECONDS) and not interruption.is_noticed:
            pass
        raise
    if failed:
        raise failed[0]
    return made[0]
