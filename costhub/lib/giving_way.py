"""How a process lets others on the same cores go first.

A niceness alone does little on most Linux machines: the scheduler first shares a core out to sessions (``setsid``;
sched(7), "The autogroup feature"), each the same whatever runs in it, and weighs niceness only within one. A service
that we start has a session of its own, and so has each process of PostgreSQL's, so the session is told, too.
"""

import os
from contextlib import suppress
from pathlib import Path


def give_way(niceness: int, pid: int = 0) -> None:
    """Have a process (0: this one) and, if it leads its session, that session weigh less: 0 to 19, as ``nice`` says.

    What may not be changed (somebody else's process), or is not there (another system), stays as it is. The kernel
    takes one session every 100 ms from who is not root: of several at once some keep their weight.
    """
    pid = pid or os.getpid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        if os.getsid(pid) == pid:
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")
