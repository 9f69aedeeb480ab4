"""The Batch API of an upstream of OpenAI's kind, as its client: files up and down in pieces, batches made and asked
for."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx2
import orjson
from django.conf import settings

from costhub.lib import secrets
from costhub.lib.errors import AppError
from costhub.lib.net import Gate, Unreachable, parse_origin
from proxy.core.chat_stream import list_dicts
from proxy.core.redaction import Redaction
from proxy.upstreams.transport import MAX_ANSWER_BYTES
from tenants.snapshots import OrgSnapshot, UpstreamSnapshot

_BOUNDARY: Final = "costhub-batch-4f1d2b7a90c3"
_TIMEOUT_SECONDS: Final = 120.0
_LISTED: Final = 100
_MOST_PAGES: Final = 10
_NOT_FOUND: Final = 404
_MOST_BYTES: Final = 4 * 1024 * 1024
_LONGEST_ID: Final = 500
#: what would lead out of its place in a path, or end it
_NO_ID: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff?#\\]|(^|/)\.{0,2}(/|$)")

Json = dict[str, Any]


class Refused(Exception):
    """The upstream will not do it, and would not the next time: its words. ``is_unknown``: what was asked about is not
    there."""

    def __init__(self, message: str, *, is_unknown: bool = False) -> None:
        super().__init__(message)
        self.is_unknown = is_unknown


@dataclass(frozen=True, slots=True)
class RemoteBatches:
    """One upstream. Everything raises AppError where it is out of reach or has trouble, and Refused where it
    refuses."""

    gate: Gate
    base_url: str
    authorization: str

    async def upload(self, name: str, size: int, content: AsyncIterator[bytes]) -> str:
        """Hand in a file of so many bytes; gives its id. Raises Refused where the upstream names it so that it cannot
        be asked for: another upload would be named so too."""
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        tail = f"\r\n--{_BOUNDARY}--\r\n".encode()

        async def whole() -> AsyncIterator[bytes]:
            yield head
            async for part in content:
                yield part
            yield tail

        headers = {
            "content-type": f"multipart/form-data; boundary={_BOUNDARY}",
            "content-length": str(len(head) + size + len(tail)),
        }
        answer = await self._ask("POST", "/files", content=whole(), headers=headers)
        try:
            return id_of(answer)
        except Unreachable as error:
            raise Refused("The upstream took the file under a name that cannot be asked for.") from error

    async def create(self, file_id: str, endpoint: str, mark: str) -> Json:
        """Make a batch of a file. ``mark`` finds it again."""
        body = {
            "input_file_id": file_id,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": {"costhub_batch": mark},
        }
        headers = {"content-type": "application/json"}
        return await self._ask("POST", "/batches", content=orjson.dumps(body), headers=headers)

    async def find(self, mark: str) -> Json | None:
        """The newest batch with that mark, of the latest thousand."""
        after = ""
        for _ in range(_MOST_PAGES):
            page = await self._ask("GET", f"/batches?limit={_LISTED}{after}")
            listed = list_dicts(page.get("data"))
            for batch in listed:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and metadata.get("costhub_batch") == mark:
                    return batch
            if not listed or page.get("has_more") is not True:
                break
            after = f"&after={quote(id_of(listed[-1]), safe='')}"
        return None

    async def get(self, batch_id: str) -> Json:
        """A batch as it is now."""
        return await self._ask("GET", f"/batches/{quote(batch_id)}")

    async def cancel(self, batch_id: str) -> None:
        """Ask for a batch's end."""
        await self._ask("POST", f"/batches/{quote(batch_id)}/cancel", content=b"")

    async def read_lines(self, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a file, without the stored credential. Raises also in the middle of a file, and AppError for
        a line that is too long."""
        redaction = Redaction(self.authorization.removeprefix("Bearer "))
        rest = bytearray()
        try:
            async with (
                self.gate.httpx_client(timeout_seconds=_TIMEOUT_SECONDS) as client,
                client.stream(
                    "GET", f"{self.base_url}/files/{quote(file_id)}/content", headers=self._headers()
                ) as answer,
            ):
                _check(answer.status_code, b"")
                async for part in answer.aiter_raw():
                    # A line of megabytes comes in hundreds of pieces, which are put together once.
                    first, *others = part.split(b"\n")
                    rest += first
                    if len(rest) > MAX_ANSWER_BYTES:
                        raise _unreachable()
                    for other in others:
                        yield redaction.hide(bytes(rest))
                        rest = bytearray(other)
        except httpx2.HTTPError as error:
            raise _unreachable() from error
        if rest:
            yield redaction.hide(bytes(rest))

    async def _ask(
        self,
        method: str,
        path: str,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Json:
        try:
            async with (
                self.gate.httpx_client(timeout_seconds=_TIMEOUT_SECONDS) as client,
                client.stream(
                    method, self.base_url + path, content=content, headers=self._headers() | (headers or {})
                ) as answer,
            ):
                received = b""
                async for part in answer.aiter_raw():
                    received += part
                    if len(received) > _MOST_BYTES:
                        raise _unreachable()
        except httpx2.HTTPError as error:
            raise _unreachable() from error
        # Its words come to callers, and it may repeat what it was sent.
        received = Redaction(self.authorization.removeprefix("Bearer ")).hide(received)
        _check(answer.status_code, received)
        try:
            body = orjson.loads(received)
        except orjson.JSONDecodeError as error:
            raise _unreachable() from error
        if not isinstance(body, dict):
            raise _unreachable()
        return body

    def _headers(self) -> dict[str, str]:
        return {"authorization": self.authorization} if self.authorization else {}


def open_remote(gate: Gate, upstream: UpstreamSnapshot, org: OrgSnapshot) -> RemoteBatches:
    """The upstream's Batch API with its credential. Raises AppError where that does not open."""
    target, authorization = parse_origin(upstream.base_url), ""
    if upstream.credential is not None:
        credential = secrets.unseal(
            settings.MASTER_KEYS, org.data_key, org_id=org.id, origin=target.origin, sealed=upstream.credential
        )
        authorization = f"Bearer {credential}"
    return RemoteBatches(gate, upstream.base_url.rstrip("/"), authorization)


def _check(status: int, body: bytes) -> None:
    """Raise Refused or AppError for what is no success."""
    if 200 <= status < 300:
        return
    if status in {408, 409, 429} or status >= 500:
        raise Unreachable(f"The upstream answered {status}.")
    try:
        message = orjson.loads(body)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = ""
    raise Refused(
        f"The upstream answered {status}." + (f" It says: {message[:500]}" if isinstance(message, str) else ""),
        is_unknown=status == _NOT_FOUND,
    )


def id_of(answer: Json) -> str:
    """What an answer is called. Raises AppError where it does not say."""
    return check_id(answer.get("id"))


def check_id(found: object) -> str:
    """The name of a file or batch, which becomes a part of paths and is kept; some upstreams name theirs by a path.
    Raises AppError where it cannot be used so."""
    if not isinstance(found, str) or len(found) > _LONGEST_ID or _NO_ID.search(found):
        raise _unreachable()
    return found


def _unreachable() -> AppError:
    return Unreachable("The upstream's Batch API gave no answer that can be read.")
