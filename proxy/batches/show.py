"""A batch as OpenAI's clients know it."""

from datetime import datetime
from typing import Any

from costhub.lib.moments import to_ms
from costhub.lib.money import format_usd
from proxy.batches.ids import BATCH, FILE, show_id
from proxy.batches.model import Batch
from tenants.snapshots import KeySnapshot


def show_batch(batch: Batch, key: KeySnapshot) -> dict[str, Any]:
    """A batch, and under ``costhub`` what was set aside for it, unless the key hides amounts."""
    return {
        "id": show_id(BATCH, batch.id),
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model or None,
        "errors": batch.errors,
        "input_file_id": show_id(FILE, batch.input_file_id),
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": show_id(FILE, batch.output_file_id) if batch.output_file_id and _is_over(batch) else None,
        "error_file_id": show_id(FILE, batch.error_file_id) if batch.error_file_id and _is_over(batch) else None,
        "created_at": batch.created_ms // 1000,
        "in_progress_at": _seconds(batch.in_progress_at),
        "expires_at": _seconds(batch.expires_at),
        "finalizing_at": _seconds(batch.finalizing_at),
        "completed_at": _seconds(batch.completed_at),
        "failed_at": _seconds(batch.failed_at),
        "expired_at": _seconds(batch.expired_at),
        "cancelling_at": _seconds(batch.cancelling_at),
        "cancelled_at": _seconds(batch.cancelled_at),
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.metadata,
        **({} if key.hides_amounts else {"costhub": {"held": format_usd(batch.held)}}),
    }


def _is_over(batch: Batch) -> bool:
    """Its files have their names before they are written."""
    return bool(batch.completed_at or batch.expired_at or batch.cancelled_at)


def _seconds(moment: datetime | None) -> int | None:
    return to_ms(moment) // 1000 if moment else None
