"""What keeps files and batches from growing for ever."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import connection

from costhub.lib import clock
from costhub.lib.objects import Objects
from proxy.batches import stored_files
from proxy.batches.ids import object_path
from proxy.batches.sealed_files import delete_file

#: a batch that is being read for longer lost its process
_UNFINISHED_AFTER: Final = timedelta(hours=1)


async def forget_expired(org_ids: Iterable[str], objects: Objects) -> int:
    """Delete files whose time is over, and batches that were never taken or ended long ago. Gives how many files."""
    forgotten = 0
    for org_id in org_ids:
        files = await asyncio.to_thread(_take_expired, org_id)
        for file_id in files:
            await delete_file(objects, object_path(org_id, file_id))
        forgotten += len(files)
    return forgotten


def _take_expired(org_id: str) -> list[UUID]:
    now = clock.now()
    try:
        return stored_files.take_expired(org_id, now, now - _UNFINISHED_AFTER)
    finally:
        # The thread ends with the job, and would leave its connection open.
        connection.close()
