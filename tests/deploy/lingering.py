"""The product's own ASGI application, in processes that, once they stop, answer for longer what comes on connections at
rest: a server before them that gets no turn for a second still closes its own first, as on a machine with time."""

from costhub.asgi import application
from costhub.serve import connection

__all__ = ["application"]

connection.LAST_REQUEST_SECONDS = 20  # type: ignore[misc]
