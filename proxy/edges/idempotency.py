"""The same Idempotency-Key again: the first answer, charged once.

A key is claimed before anything is spent, for as long as the call may last; the answer is kept for a day. Of one that
is too long to be kept it is kept that it was given: the same call again is not made and charged again.
A call that failed gives its claim back, so that it may be tried again. Only calls that carry the header come here.

A key belongs to the end user for whom it was sent: nobody is given what was written for another, nor learns that there
is something. Other tags or another run are another call: who pays would differ.
"""

import asyncio
import hashlib
from types import TracebackType
from typing import Any, Final

import hiredis
import orjson

from costhub.lib import keyspace
from proxy.core.retries import longest_call_ms
from proxy.core.row import BATCHES
from proxy.edges.entry import Entry
from proxy.edges.reply import Reply
from proxy.edges.valkey import Script, Valkey, ValkeyUnavailable
from proxy.errors import GovernanceUnavailable, IdempotencyConflict
from proxy.values.request import Request

#: a larger body is hashed in a thread
HASHED_AT_ONCE_BYTES: Final = 128 * 1024
#: beside what all attempts and the pauses between them may take
CLAIM_MARGIN_SECONDS: Final = 60
#: 50,000 lines are read within it
FILE_READ_SECONDS: Final = 600
KEPT_SECONDS: Final = 86_400
REPLACE_CLAIM: Final = Script("replace_claim")
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024


async def _fingerprint(entry: Entry, raw: bytes) -> str:
    """What makes a second call the same: the path and the body."""
    whole = b"%b\n%b" % (str(entry.row["endpoint"]).encode(), raw)
    # A hundred kilobytes take a tenth of a millisecond, twenty megabytes twenty milliseconds.
    return _digest(whole) if len(raw) <= HASHED_AT_ONCE_BYTES else await asyncio.to_thread(_digest, whole)


def _digest(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()


def _claim_seconds(entry: Entry) -> int:
    """As long as the call may last."""
    if entry.row["endpoint"] == BATCHES:
        return FILE_READ_SECONDS
    if entry.plan is None:
        return CLAIM_MARGIN_SECONDS
    return longest_call_ms(entry.plan) // 1000 + CLAIM_MARGIN_SECONDS


class _Once:
    """The block of one call. A class, because every call enters it and hardly one has an Idempotency-Key."""

    __slots__ = ("_call", "_claims", "_fingerprint", "_idempotency_key", "_is_first")

    def __init__(
        self, claims: "Idempotency", idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply
    ) -> None:
        self._claims = claims
        self._idempotency_key = idempotency_key
        self._call = (request, raw, entry, reply)
        self._fingerprint = ""
        self._is_first = True

    async def __aenter__(self) -> bool:
        if self._idempotency_key:
            _, raw, entry, reply = self._call
            self._fingerprint = await _fingerprint(entry, raw)
            try:
                self._is_first = not await self._claims.replay(self._idempotency_key, self._fingerprint, entry, reply)
            except asyncio.CancelledError:
                # Whether the key was claimed for this call is not known: if so, it is given back.
                self._claims.give_back(self._idempotency_key, self._call[2])
                raise
        return self._is_first

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._idempotency_key or not self._is_first:
            return
        if error is None:
            request, _, entry, reply = self._call
            self._claims.keep(self._idempotency_key, self._fingerprint, request, entry, reply)
        else:
            self._claims.give_back(self._idempotency_key, self._call[2])


class Idempotency:
    """First answers, by organisation, key and Idempotency-Key."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    def once(self, idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply) -> "_Once":
        """Whether this call is the first of its Idempotency-Key, or has none; if not, the first answer is sent again.

        What is sent in the block becomes the key's answer, if the block ends well. Raises as ``replay``.
        """
        return _Once(self, idempotency_key, request, raw, entry, reply)

    async def replay(self, idempotency_key: str, fingerprint: str, entry: Entry, reply: Reply) -> bool:
        """Send the first answer again and say True; or claim the key for this call, and say False.

        Raises IdempotencyConflict if the key stands for another body or other tags, if its first call still runs, or
        if the first answer was too long to be kept, and GovernanceUnavailable if that cannot be known.
        """
        name = self._name(idempotency_key, entry)
        charged = _digest_charged(entry)
        claim = orjson.dumps({"body": fingerprint, "charged": charged, "request_id": entry.request_id})
        try:
            earlier = await self._valkey.send(b"SET", name, claim, b"NX", b"GET", b"EX", _claim_seconds(entry))
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            raise GovernanceUnavailable("The Idempotency-Key cannot be checked at the moment. Try again.") from error
        if earlier is None:
            reply.keep_transcript(MAX_KEPT_BYTES)
            return False
        head, _, answer = earlier.partition(b"\n")
        known = orjson.loads(head)
        if known["body"] != fingerprint:
            raise IdempotencyConflict("This Idempotency-Key was used with another body: use a new one.")
        if known.get("charged", charged) != charged:
            raise IdempotencyConflict(
                "This Idempotency-Key was used with other tags, or in another session: use a new one."
            )
        if known.get("is_too_long"):
            raise IdempotencyConflict(
                f"The first call with this Idempotency-Key, {known['request_id']}, was answered and charged, but its"
                f" answer is longer than {MAX_KEPT_BYTES} bytes and was not kept: use a new key to have it made again.",
                headers={"x-should-retry": "false"},
            )
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
        await reply.send(known.get("status", 200), headers, answer)
        return True

    def keep(self, idempotency_key: str, fingerprint: str, request: Request, entry: Entry, reply: Reply) -> None:
        """The call succeeded: its answer is what the key stands for from now on."""
        answer = reply.transcript
        head: dict[str, Any] = {
            "body": fingerprint,
            "charged": _digest_charged(entry),
            "request_id": entry.request_id,
        }
        if answer is None:
            head["is_too_long"] = True
        else:
            usual = "text/event-stream" if request.is_stream else "application/json"
            head["content_type"] = reply.content_type or usual
        if reply.status != 200:
            # One that is taken for later is so again.
            head["status"] = reply.status
        self._replace(idempotency_key, entry, orjson.dumps(head) + b"\n" + b"".join(answer or ()))

    def give_back(self, idempotency_key: str, entry: Entry) -> None:
        """The call failed: the key may be used again."""
        self._replace(idempotency_key, entry, b"")

    def _name(self, idempotency_key: str, entry: Entry) -> str:
        whole = f"{entry.row['end_user']}\n{idempotency_key}" if entry.row["end_user"] else idempotency_key
        digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
        return keyspace.idempotency_key(entry.org.shard, entry.key.id, digest)

    def _replace(self, idempotency_key: str, entry: Entry, value: bytes) -> None:
        try:
            answer = self._valkey.run(
                REPLACE_CLAIM, [self._name(idempotency_key, entry)], [entry.request_id, value, KEPT_SECONDS]
            )
        except ValkeyUnavailable:
            return  # the claim ends by itself
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())


def _digest_charged(entry: Entry) -> str:
    """Of all that decides who pays, beside key and end user."""
    charged = orjson.dumps([entry.row["tags"], entry.row["session"]], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(charged).hexdigest()[:16]
