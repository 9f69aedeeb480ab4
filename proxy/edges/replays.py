"""The same Idempotency-Key again: the first answer, charged once.

A key is claimed before anything is spent, for as long as the call may last; the answer is kept for a day.
A call that failed gives its claim back, so that it may be tried again. Only calls that carry the header come here.
"""

import asyncio
import hashlib
from types import TracebackType
from typing import Final

import hiredis
import orjson

from costhub.lib import keyspace
from proxy.edges.entry import Entry
from proxy.edges.reply import Reply
from proxy.edges.valkey import Script, Valkey, ValkeyUnavailable
from proxy.errors import GovernanceUnavailable, IdempotencyConflict
from proxy.types import Request

#: beside what all attempts may take
CLAIM_MARGIN_SECONDS: Final = 60
KEPT_SECONDS: Final = 86_400
REPLACE_CLAIM: Final = Script("replace_claim")
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024


def _claim_seconds(entry: Entry) -> int:
    """As long as the call may last."""
    if entry.plan is None:
        return CLAIM_MARGIN_SECONDS
    upstream = entry.plan.upstream
    longest_ms = entry.plan.delay_ms + upstream.timeout_ms * (upstream.max_retries + 1)
    return longest_ms // 1000 + CLAIM_MARGIN_SECONDS


class _Once:
    """The block of one call. A class, because every call enters it and hardly one has an Idempotency-Key."""

    __slots__ = ("_call", "_idempotency_key", "_is_first", "_replays")

    def __init__(
        self, replays: "Replays", idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply
    ) -> None:
        self._replays = replays
        self._idempotency_key = idempotency_key
        self._call = (request, raw, entry, reply)
        self._is_first = True

    async def __aenter__(self) -> bool:
        if self._idempotency_key:
            try:
                self._is_first = not await self._replays.replay(self._idempotency_key, *self._call)
            except asyncio.CancelledError:
                # Whether the key was claimed for this call is not known: if so, it is given back.
                self._replays.give_back(self._idempotency_key, self._call[2])
                raise
        return self._is_first

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._idempotency_key or not self._is_first:
            return
        if error is None:
            self._replays.keep(self._idempotency_key, *self._call)
        else:
            self._replays.give_back(self._idempotency_key, self._call[2])


class Replays:
    """First answers, by organisation, key and Idempotency-Key."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    def once(self, idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply) -> "_Once":
        """Whether this call is the first of its Idempotency-Key, or has none; if not, the first answer is sent again.

        What is sent in the block becomes the key's answer, if the block ends well. Raises as ``replay``.
        """
        return _Once(self, idempotency_key, request, raw, entry, reply)

    async def replay(self, idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply) -> bool:
        """Send the first answer again and say True; or claim the key for this call, and say False.

        Raises IdempotencyConflict if the key stands for another body or its first call still runs, and
        GovernanceUnavailable if that cannot be known.
        """
        name = self._name(idempotency_key, entry)
        fingerprint = hashlib.sha256(request.endpoint.encode() + b"\n" + raw).hexdigest()
        claim = orjson.dumps({"body": fingerprint, "request_id": entry.request_id})
        try:
            earlier = await self._valkey.send(b"SET", name, claim, b"NX", b"GET", b"EX", _claim_seconds(entry))
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            raise GovernanceUnavailable("The Idempotency-Key cannot be checked at the moment. Try again.") from error
        if earlier is None:
            reply.transcript = []
            return False
        head, _, answer = earlier.partition(b"\n")
        known = orjson.loads(head)
        if known["body"] != fingerprint:
            raise IdempotencyConflict("This Idempotency-Key was used with another body: use a new one.")
        if "content_type" not in known:
            raise IdempotencyConflict(
                "The first call with this Idempotency-Key still runs.", headers={"retry-after": "1"}
            )
        headers = {
            "content-type": known["content_type"],
            "x-request-id": entry.request_id,
            "x-costhub-replayed": "true",
            "x-costhub-original-request-id": known["request_id"],
            "x-costhub-cost": "0.000000000",
        }
        entry.row["cache_status"] = "replayed"
        await reply.send(200, headers, answer)
        return True

    def keep(self, idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply) -> None:
        """The call succeeded: its answer is what the key stands for from now on."""
        answer = b"".join(reply.transcript or ())
        if len(answer) > MAX_KEPT_BYTES:
            return
        head = orjson.dumps(
            {
                "body": hashlib.sha256(request.endpoint.encode() + b"\n" + raw).hexdigest(),
                "request_id": entry.request_id,
                "content_type": "text/event-stream" if request.is_stream else "application/json",
            }
        )
        self._replace(idempotency_key, entry, head + b"\n" + answer)

    def give_back(self, idempotency_key: str, entry: Entry) -> None:
        """The call failed: the key may be used again."""
        self._replace(idempotency_key, entry, b"")

    def _name(self, idempotency_key: str, entry: Entry) -> str:
        digest = hashlib.sha256(idempotency_key.encode("utf-8", "surrogateescape")).hexdigest()
        return keyspace.idempotency_key(entry.org.shard, entry.key.id, digest)

    def _replace(self, idempotency_key: str, entry: Entry, value: bytes) -> None:
        try:
            answer = self._valkey.run(
                REPLACE_CLAIM, [self._name(idempotency_key, entry)], [entry.request_id, value, KEPT_SECONDS]
            )
        except ValkeyUnavailable:
            return  # the claim ends by itself
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
