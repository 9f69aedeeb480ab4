"""The same Idempotency-Key again: the first answer, charged once.

A key is claimed before anything is spent, for as long as the call may last; the answer is kept for a day. Of one that
is too long to be kept it is kept that it was given: the same call again is not made and charged again.
A call that failed gives its claim back, so that it may be tried again. Only calls that carry the header come here, and
among them requests that cost nothing.

An answer is sealed with its organisation's data key, for its own Idempotency-Key: whoever has Valkey, or a copy of it,
and not the master key reads none of it, nor does anybody when that organisation was erased. What was kept before that
was so is read as it is.

A key belongs to the end user for whom it was sent: nobody is given what was written for another, nor learns that there
is something. Other tags or another run are another call: who pays would differ.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple

import hiredis
import orjson

from costhub.lib import keyspace
from costhub.lib.secrets import UnusableCredential
from proxy.core.retries import longest_call_ms
from proxy.core.row import BATCHES
from proxy.edges.entry import Entry
from proxy.edges.reply import Reply
from proxy.edges.valkey import Script, Valkey, ValkeyUnavailable
from proxy.errors import GovernanceUnavailable, IdempotencyConflict
from proxy.values.request import Controls, Request
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot, OrgSnapshot

#: a larger body is hashed in a thread
HASHED_AT_ONCE_BYTES: Final = 128 * 1024
#: beside what all attempts and the pauses between them may take
CLAIM_MARGIN_SECONDS: Final = 60
#: 50,000 lines are read within it
FILE_READ_SECONDS: Final = 600
KEPT_SECONDS: Final = 86_400
REPLACE_CLAIM: Final = Script("replace_claim")
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024
_CANNOT_CHECK: Final = "The Idempotency-Key cannot be checked at the moment. Try again."


class Asker(NamedTuple):
    """Who has sent an Idempotency-Key: the ``name`` under which that is known, a digest of who pays, the id of the
    call, how long this may last, and what seals its answer."""

    name: str
    charged: str
    request_id: str
    seconds: int
    sealer: Sealer

    @property
    def place(self) -> str:
        """What its answer is sealed for: under another key it does not open."""
        return f"replay of {self.name}"


def _asker_of(idempotency_key: str, entry: Entry) -> Asker:
    charged = _digest_charged(entry.row["tags"], entry.row["session"])
    name = _name(idempotency_key, entry.org.shard, entry.key.id, entry.row["end_user"])
    sealer = Sealer(entry.org.id, entry.org.data_key)
    return Asker(name, charged, entry.request_id, _claim_seconds(entry), sealer)


def _name(idempotency_key: str, shard: int, key_id: str, end_user: str) -> str:
    whole = f"{end_user}\n{idempotency_key}" if end_user else idempotency_key
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
    return keyspace.idempotency_key(shard, key_id, digest)


def _digest_charged(tags: Mapping[str, str], session: str) -> str:
    """A digest of everything that decides who pays, except key and end user."""
    return hashlib.sha256(orjson.dumps([tags, session], option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _claim_seconds(entry: Entry) -> int:
    """As long as the call may last."""
    if entry.row["endpoint"] == BATCHES:
        return FILE_READ_SECONDS
    if entry.plan is None:
        return CLAIM_MARGIN_SECONDS
    return longest_call_ms(entry.plan) // 1000 + CLAIM_MARGIN_SECONDS


async def _fingerprint(path: str, raw: bytes, boundary: bytes) -> str:
    """What makes a second call the same: the path and the body. A client draws a form's boundary anew for each try."""
    # A hundred kilobytes take a tenth of a millisecond, twenty megabytes twenty milliseconds.
    if len(raw) <= HASHED_AT_ONCE_BYTES:
        return _digest(path, raw, boundary)
    return await asyncio.to_thread(_digest, path, raw, boundary)


def _digest(path: str, raw: bytes, boundary: bytes) -> str:
    return hashlib.sha256(b"%b\n%b" % (path.encode(), raw.replace(boundary, b"") if boundary else raw)).hexdigest()


class _Once:
    """The block of one call. A class, because every call enters it and hardly one has an Idempotency-Key."""

    __slots__ = ("_asker", "_body", "_claims", "_entry", "_fingerprint", "_is_first", "_is_told", "_reply", "first_id")

    def __init__(
        self,
        claims: "Idempotency",
        asker: Asker | None,
        body: tuple[str, bytes, bytes],
        reply: Reply,
        *,
        entry: Entry | None = None,
        is_told: bool = True,
    ) -> None:
        self._claims = claims
        self._asker = asker
        self._body = body
        self._reply = reply
        self._entry = entry
        self._is_told = is_told
        self._fingerprint = ""
        self._is_first = True
        #: the id of the call that was the first, where this one is not
        self.first_id = ""

    async def __aenter__(self) -> bool:
        if self._asker is not None:
            self._fingerprint = await _fingerprint(*self._body)
            try:
                known = await self._claims.claim(self._asker, self._fingerprint, self._reply)
            except asyncio.CancelledError:
                # Whether the key was claimed for this call is not known: if so, it is given back.
                self._claims.give_back(self._asker)
                raise
            if known is not None:
                await self._tell(self._asker, known)
        return self._is_first

    async def look(self) -> str:
        """In the place of the block: as entering it where the key is known, and gives the id of its first call; else
        nothing is done, and the key is free still."""
        assert self._asker is not None, "there is a key"
        self._fingerprint = await _fingerprint(*self._body)
        known = await self._claims.look(self._asker, self._fingerprint)
        if known is not None:
            await self._tell(self._asker, known)
        return self.first_id

    async def _tell(self, asker: Asker, known: "_Known") -> None:
        self._is_first, self.first_id = False, known.request_id
        if self._entry is not None:
            self._entry.note_cache("replayed")
        if self._is_told:
            await known.send(asker.request_id, self._reply)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._asker is None or not self._is_first:
            return
        if error is None:
            self._claims.keep(self._asker, self._fingerprint, self._reply)
        else:
            self._claims.give_back(self._asker)


class _Known(NamedTuple):
    """A first answer."""

    request_id: str
    status: int
    content_type: str
    answer: bytes

    async def send(self, request_id: str, reply: Reply) -> None:
        """Send it again."""
        headers = {
            "content-type": self.content_type,
            "x-request-id": request_id,
            "x-costhub-replayed": "true",
            "x-costhub-original-request-id": self.request_id,
            "x-costhub-cost": "0.000000000",
        }
        await reply.send(self.status, headers, self.answer)


class Idempotency:
    """First answers, by organisation, key and Idempotency-Key."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    def once(
        self, idempotency_key: str, request: Request, raw: bytes, entry: Entry, reply: Reply, *, is_told: bool = True
    ) -> "_Once":
        """Whether this call is the first of its Idempotency-Key, or has none; if not, the first answer is sent again,
        unless that is told in a way of its own (not ``is_told``).

        What is sent in the block becomes the key's answer, if the block ends well. Raises IdempotencyConflict if the
        key stands for another body or other tags, if its first call still runs, or if the first answer was too long to
        be kept, and GovernanceUnavailable if that cannot be known.
        """
        boundary = b"" if request.form is None else request.form.boundary
        asker = _asker_of(idempotency_key, entry) if idempotency_key else None
        # The model may come from a header, and what is asked for besides.
        place = f"{entry.row['endpoint']}\n{request.model}"
        if request.original is not None and request.original.betas:
            place += f"\n{','.join(sorted(request.original.betas))}"
        body = place, raw, boundary
        return _Once(self, asker, body, reply, entry=entry, is_told=is_told)

    def once_free(
        self, controls: Controls, call_id: str, path: str, raw: bytes, key: KeySnapshot, org: OrgSnapshot, reply: Reply
    ) -> "_Once":
        """``once`` for a request that costs nothing, and has no entry in the ledger."""
        if not controls.idempotency_key:
            return _Once(self, None, ("", b"", b""), reply)
        name = _name(controls.idempotency_key, org.shard, key.id, key.end_user or controls.end_user)
        charged = _digest_charged(controls.tags, controls.session)
        asker = Asker(name, charged, call_id, CLAIM_MARGIN_SECONDS, Sealer(org.id, org.data_key))
        return _Once(self, asker, (path, raw, b""), reply)

    async def claim(self, asker: Asker, fingerprint: str, reply: Reply) -> _Known | None:
        """The first answer; or None, and the key is claimed for this call. Raises as ``once``."""
        claim = orjson.dumps({"body": fingerprint, "charged": asker.charged, "request_id": asker.request_id})
        try:
            earlier = await self._valkey.send(b"SET", asker.name, claim, b"NX", b"GET", b"EX", asker.seconds)
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            raise GovernanceUnavailable(_CANNOT_CHECK) from error
        if earlier is None:
            reply.keep_transcript(MAX_KEPT_BYTES)
            return None
        return _read(asker, fingerprint, earlier)

    async def look(self, asker: Asker, fingerprint: str) -> _Known | None:
        """``claim``, but without a claim."""
        try:
            earlier = await self._valkey.send(b"GET", asker.name)
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            raise GovernanceUnavailable(_CANNOT_CHECK) from error
        return None if earlier is None else _read(asker, fingerprint, earlier)

    def keep(self, asker: Asker, fingerprint: str, reply: Reply) -> None:
        """The call succeeded: its answer is what the key stands for from now on."""
        sealed = _seal(asker, reply.transcript)
        head: dict[str, Any] = {"body": fingerprint, "charged": asker.charged, "request_id": asker.request_id}
        if reply.transcript is None:
            head["is_too_long"] = True
        elif sealed is None:
            head["is_lost"] = True
        else:
            # To a proxy of the version before, which knows no such name, the first call still runs.
            head["sealed_type"] = reply.content_type
        if reply.status != 200:
            # One that is taken for later is so again.
            head["status"] = reply.status
        self._replace(asker, orjson.dumps(head) + b"\n" + (sealed or b""))

    def give_back(self, asker: Asker) -> None:
        """The call failed: the key may be used again."""
        self._replace(asker, b"")

    def _replace(self, asker: Asker, value: bytes) -> None:
        try:
            answer = self._valkey.run(REPLACE_CLAIM, [asker.name], [asker.request_id, value, KEPT_SECONDS])
        except ValkeyUnavailable:
            return  # the claim ends by itself
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())


def _read(asker: Asker, fingerprint: str, earlier: bytes) -> _Known:
    """What a key stands for. Raises IdempotencyConflict."""
    head, _, answer = earlier.partition(b"\n")
    known = orjson.loads(head)
    if known["body"] != fingerprint:
        raise IdempotencyConflict("This Idempotency-Key was used with another body: use a new one.")
    if known.get("charged", asker.charged) != asker.charged:
        raise IdempotencyConflict(
            "This Idempotency-Key was used with other tags, or in another session: use a new one."
        )
    if known.get("is_too_long"):
        raise IdempotencyConflict(
            f"The first call with this Idempotency-Key, {known['request_id']}, was answered and charged, but its"
            f" answer is longer than {MAX_KEPT_BYTES} bytes and was not kept: use a new key to have it made again.",
            headers={"x-should-retry": "false"},
        )
    if known.get("is_lost"):
        raise _cannot_open(known["request_id"])
    if known.keys().isdisjoint({"sealed_type", "content_type"}):
        raise IdempotencyConflict("The first call with this Idempotency-Key still runs.", headers={"retry-after": "1"})
    if "sealed_type" in known:
        answer = _open(asker, known["request_id"], answer)
    content_type = known.get("sealed_type", known.get("content_type", ""))
    return _Known(known["request_id"], known.get("status", 200), content_type, answer)


def _seal(asker: Asker, answer: Sequence[bytes] | None) -> bytes | None:
    """What is kept of an answer; None where it was too long, or its organisation's data key cannot be opened."""
    if answer is None:
        return None
    try:
        return asker.sealer.seal(asker.place, b"".join(answer))
    except UnusableCredential:
        return None


def _open(asker: Asker, request_id: str, sealed: bytes) -> bytes:
    try:
        return asker.sealer.open(asker.place, sealed)
    except UnusableCredential as error:
        raise _cannot_open(request_id) from error


def _cannot_open(request_id: str) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"The first call with this Idempotency-Key, {request_id}, was answered and charged, but its answer cannot be"
        " opened: use a new key to have it made again.",
        headers={"x-should-retry": "false"},
    )
