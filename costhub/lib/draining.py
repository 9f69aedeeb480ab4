"""How long calls that are under way may still take when their server stops: said once, for all who must know."""

from typing import Final

#: the setting's name, and what it is where nobody sets it
DRAIN: Final = "COSTHUB_DRAIN_SECONDS"
DRAIN_SECONDS: Final = 20
#: what a server takes beyond that: what it cuts off is settled, and its last entries are written
GRACE_SECONDS: Final = 20
