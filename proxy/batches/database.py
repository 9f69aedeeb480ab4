"""PostgreSQL and the store of files for handlers of the LLM API, whose loop must not wait for the one, and whose
callers need not know of the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.db import Error as AnyDatabaseError
from django.db import connection

from costhub.lib.objects import StoreUnavailable
from proxy.edges.database_threads import DATABASE_THREADS
from proxy.errors import GovernanceUnavailable

_OUT_OF_REACH = "Files and batches are out of reach at the moment. Try again."

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")


async def in_database(run: Callable[Arguments, Value], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
    """What ``run`` gives, in a thread. Raises GovernanceUnavailable where the database is away."""

    def work() -> Value:
        try:
            return run(*args, **kwargs)
        finally:
            connection.close_if_unusable_or_obsolete()

    try:
        return await DATABASE_THREADS.run(work)
    except AnyDatabaseError as error:
        raise GovernanceUnavailable(_OUT_OF_REACH) from error


@contextmanager
def store_in_reach() -> Iterator[None]:
    """Files are read or written here. Raises GovernanceUnavailable where their store is in trouble."""
    try:
        yield
    except StoreUnavailable as error:
        raise GovernanceUnavailable(_OUT_OF_REACH) from error
