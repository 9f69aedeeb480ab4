"""``Idempotency-Key``: a POST that is sent twice happens once, and is answered twice with the same bytes.

The first answer is kept for a day in Valkey, sealed under the organisation's data key because it may hold a secret
that is shown once. A key is the caller's own: another caller's same key, or another path's, is another key.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from costhub.lib.errors import AppError, Conflict, InvalidField
from costhub.lib.keyspace import management_answer_key
from costhub.lib.redis import client
from costhub.lib.secrets import seal, unseal
from tenants.access import org_scope
from tenants.models import Organization

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "x-costhub-replayed"
KEPT_FOR_SECONDS: Final = 24 * 3600
#: longer than any request takes; a worker that died leaves its claim behind for this long
CLAIMED_FOR_SECONDS: Final = 120

_KEY: Final = re.compile(r"[!-~]{1,255}")


class MemoryUnavailable(AppError):
    """Valkey does not answer, so nobody can tell whether this was done before."""

    code = "idempotency_unavailable"
    http_status = 503


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer of the first time."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work. Either ``keep_after_commit`` or ``release`` ends it."""

    name: str
    fingerprint: str

    def keep_after_commit(self, org: Organization, answer: StoredAnswer) -> None:
        """Keep the answer for those who ask again, once the work is committed."""
        sealed = seal(
            settings.MASTER_KEYS,
            bytes(org.data_key),
            org_id=str(org.pk),
            origin=self.name,
            text=answer.body.decode(),
        )
        record = {
            "fingerprint": self.fingerprint,
            "org": str(org.pk),
            "status": answer.status,
            "content_type": answer.content_type,
            "sealed": base64.b64encode(sealed).decode(),
        }
        keep = partial(client().set, self.name, json.dumps(record), ex=KEPT_FOR_SECONDS)
        # The work is done whether or not its answer can be kept, so a failure here is logged and no error.
        transaction.on_commit(keep, robust=True)

    def release(self) -> None:
        """Nothing was done: the same key may be tried again."""
        try:
            client().delete(self.name)
        except RedisError:
            return  # it runs out by itself


def claim(*, owner: str, caller: str, path: str, key: str, body: bytes) -> Claim | StoredAnswer:
    """Claim the key, or give the answer that was given for it before.

    Raises InvalidField for a malformed key, Conflict if it was used with another body or is in use right now, and
    MemoryUnavailable.
    """
    if not _KEY.fullmatch(key):
        raise InvalidField("Give 1 to 255 visible ASCII characters.", field=HEADER)
    name = management_answer_key(owner, _hash(caller, path, key))
    fingerprint = _hash(body.hex())
    mine = Claim(name, fingerprint)
    try:
        claimed = client().set(name, json.dumps({"fingerprint": fingerprint}), nx=True, ex=CLAIMED_FOR_SECONDS)
        stored = None if claimed else cast(bytes | None, client().get(name))
    except RedisError as error:
        raise MemoryUnavailable(
            "This cannot be checked against earlier requests now: try again in a moment."
        ) from error
    if claimed:
        return mine
    record = json.loads(stored) if stored else {"fingerprint": fingerprint}
    if record["fingerprint"] != fingerprint:
        raise Conflict("This Idempotency-Key was used with another body: choose a new one.", field=HEADER)
    if "sealed" not in record:
        raise Conflict("A request with this Idempotency-Key is being worked on: wait for its answer.", field=HEADER)
    return _open(name, record)


def _open(name: str, record: Mapping[str, Any]) -> StoredAnswer:
    with org_scope(record["org"]):
        data_key = bytes(Organization.objects.only("data_key").get(pk=record["org"]).data_key)
    body = unseal(
        settings.MASTER_KEYS, data_key, org_id=record["org"], origin=name, sealed=base64.b64decode(record["sealed"])
    )
    return StoredAnswer(record["status"], record["content_type"], body.encode())


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()
