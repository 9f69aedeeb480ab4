"""Keeps what is said in a call, where its organisation has consented: sampled, sealed with the organisation's key, and
put on a stream from which a job stores it. Nothing is awaited, and nothing of it fails a call.
"""

import logging
import zlib
from typing import Any, Final

import orjson

from costhub.lib import keyspace, secrets
from proxy.core import exact_json
from proxy.edges.entry import Entry
from proxy.edges.valkey import Valkey, ValkeyUnavailable
from proxy.values.answer import Answer
from proxy.values.attempt import Certainty
from proxy.values.plan import Plan
from proxy.values.request import Operation

_log = logging.getLogger(__name__)

#: longer calls are not kept
MOST_BYTES: Final = 64 * 1024
#: so many wait for the job at the most, about: 128 MB of the longest
MOST_WAITING: Final = 2_000
_OF: Final = 1_000


class Capture:
    """What a process keeps of its calls."""

    def __init__(self, valkey: Valkey, master_keys: secrets.MasterKeys) -> None:
        self._valkey = valkey
        self._master_keys = master_keys

    def wants(self, entry: Entry, plan: Plan) -> bool:
        """Whether a call is to be kept, if its answer is whole. One that must not be stored elsewhere is not."""
        if not entry.org.capture_policies or plan.request.operation is not Operation.CHAT:
            return False
        share = entry.org.find_capture_share(plan.request.model)
        return draw(entry.request_id) < share and not plan.controls.cache.no_store

    def take(self, entry: Entry, plan: Plan, answer: Answer | None) -> None:
        """Keep a call that is wanted, if it ended with a whole answer of one choice."""
        request = plan.request
        if answer is None or not answer.parts or not answer.is_complete or answer.finish_reason != "stop":
            return
        if request.choices != 1 or answer.certainty not in {Certainty.EXACT, Certainty.COUNTED}:
            return
        before = sum(len(text) for text, _ in request.shortened)
        if request.body_bytes + before + sum(map(len, answer.parts)) > MOST_BYTES:
            return
        said = {
            "messages": request.body.get("messages"),
            "answer": answer.body.decode("utf-8", "replace"),
            "content_type": answer.content_type,
        }
        if request.shortened:
            # What it was before it was shortened, for whoever wants to see what that did.
            said["shortened"] = request.shortened
        try:
            sealed = secrets.seal(
                self._master_keys,
                entry.org.data_key,
                org_id=entry.org.id,
                origin=place_of(entry.request_id),
                # orjson alone would not write whole numbers of more than 64 bits, which bodies may hold.
                text=exact_json.dumps(said).decode(),
            )
        except secrets.UnusableCredential:
            _log.warning("a call could not be captured: the key of its organisation does not open")
            return
        head = {
            "id": entry.request_id,
            "at_ms": entry.started_at_ms,
            "org": entry.org.id,
            "project": entry.key.project_id,
            "model": request.model,
            # Another model may have stood in.
            "teacher": entry.attempts[-1].model,
            "end_user": plan.controls.end_user,
        }
        try:
            sent = self._valkey.send(
                *(b"XADD", keyspace.CAPTURED, b"MAXLEN", b"~", MOST_WAITING, b"*"),
                *(b"h", orjson.dumps(head), b"s", sealed),
            )
        except ValkeyUnavailable:
            return
        sent.add_done_callback(_forget)


def draw(request_id: str) -> int:
    """A number below a thousand, the same for a call whenever it is asked for."""
    return zlib.crc32(request_id.encode()) % _OF


def place_of(request_id: str) -> str:
    """What a captured call is sealed for: moved to another one's row it does not open."""
    return f"captured call {request_id}"


def _forget(sent: Any) -> None:
    if not sent.cancelled():
        sent.exception()
