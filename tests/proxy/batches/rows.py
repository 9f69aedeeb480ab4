"""A file, a batch and a line of it, for tests that walk over every table."""

import asyncio
from datetime import timedelta
from uuid import UUID

from django.conf import settings

from costhub.lib import clock
from costhub.lib.objects import Objects
from proxy.batches import store, stored_files
from proxy.batches.ids import object_path
from proxy.batches.model import Batch, StoredFile
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.store import NewLine
from tenants.sealed_rows import Sealer
from tests.world import Tenant


def fill_batches(tenant: Tenant) -> UUID:
    """A batch that is in progress, with its file. Gives its id."""
    now_ms = clock.now_ms()
    file_id, batch_id = (UUID(clock.new_id_of(now_ms)) for _ in range(2))
    who = {"org_id": tenant.org.pk, "project_id": tenant.project.pk, "end_user": ""}
    asyncio.run(_store(tenant, object_path(tenant.org_id, file_id)))
    stored_files.keep_file(StoredFile(id=file_id, filename="calls.jsonl", purpose="batch", bytes=0, **who), 1)
    batch = Batch(
        id=batch_id,
        key_id=tenant.key.pk,
        session="",
        endpoint="/v1/chat/completions",
        model="small",
        input_file_id=file_id,
        status=store.IN_PROGRESS,
        created_ms=now_ms,
        expires_at=clock.now() + timedelta(days=1),
        **who,
    )
    store.create_batch(batch)
    store.add_lines(batch, [NewLine(1, "line-1", 0, 0, 0, 0)])
    return batch_id


async def _store(tenant: Tenant, path: str) -> None:
    sealer = Sealer(str(tenant.org.pk), bytes(tenant.org.data_key))
    async with SealedFiles(Objects(settings.FILES_URL), sealer).writer(path) as writer:
        await writer.write(b"")
