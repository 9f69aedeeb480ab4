"""A provider's fine-tuning API, OpenAI's or one like it: a file up and away again, a job made, asked for and
cancelled."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from costhub.lib.net import Gate, Unreachable
from proxy.core.redaction import Redaction

_BOUNDARY: Final = "costhub-tuning-7d02c9b1e6a4"
_TIMEOUT_SECONDS: Final = 120.0
_LISTED: Final = 100
_EVENTS: Final = 20
_MOST_BYTES: Final = 4 * 1024 * 1024
_NOT_FOUND: Final = 404
#: the metadata's field by which a job is found again whose making nobody heard of
MARK: Final = "costhub_tuning"

Json = dict[str, Any]


class Refused(Exception):
    """The provider will not do it, and would not the next time: its words. ``status`` is its answer's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ProviderApi:
    """One upstream's. Everything raises AppError where it is out of reach or has trouble, and Refused where it
    refuses. ``credential`` is never in what is raised or given."""

    gate: Gate
    base_url: str
    credential: str

    def upload(self, name: str, lines: bytes) -> str:
        """Hand in a file of examples; gives its id."""
        body = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        body += lines + f"\r\n--{_BOUNDARY}--\r\n".encode()
        return _text(self._ask("POST", "/files", body, f"multipart/form-data; boundary={_BOUNDARY}"), "id")

    def list_files(self, name: str) -> list[str]:
        """The ids of the files that were handed in under that name, of the latest hundred; none where the provider
        lists no files."""
        try:
            listed = self._ask("GET", f"/files?purpose=fine-tune&limit={_LISTED}").get("data")
        except Refused:
            return []
        files = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        ids = [one.get("id") for one in files if one.get("filename") == name]
        return [one for one in ids if isinstance(one, str) and one]

    def delete_file(self, file_id: str) -> None:
        """Have a file forgotten; one that is not there is as good as that."""
        try:
            self._ask("DELETE", f"/files/{quote(file_id, safe='')}")
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise

    def create(self, file_id: str, model: str, epochs: int, mark: str) -> Json:
        """Make a job. ``mark`` finds it again."""
        body = {
            "training_file": file_id,
            "model": model,
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}},
            "metadata": {MARK: mark},
        }
        return self._ask("POST", "/fine_tuning/jobs", orjson.dumps(body))

    def find(self, mark: str) -> Json | None:
        """The newest job with that mark, of the latest hundred."""
        listed = self._ask("GET", f"/fine_tuning/jobs?limit={_LISTED}").get("data")
        for job in listed if isinstance(listed, list) else ():
            metadata = job.get("metadata") if isinstance(job, dict) else None
            if isinstance(metadata, dict) and metadata.get(MARK) == mark:
                found: Json = job
                return found
        return None

    def get(self, job_id: str) -> Json:
        """A job as it is now."""
        return self._ask("GET", f"/fine_tuning/jobs/{job_id}")

    def list_events(self, job_id: str) -> list[str]:
        """What it says of its newest events, the oldest first."""
        listed = self._ask("GET", f"/fine_tuning/jobs/{job_id}/events?limit={_EVENTS}").get("data")
        events = listed if isinstance(listed, list) else []
        messages = [event.get("message") for event in events if isinstance(event, dict)]
        return [message[:500] for message in reversed(messages) if isinstance(message, str)]

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end."""
        self._ask("POST", f"/fine_tuning/jobs/{job_id}/cancel", b"")

    def _ask(self, method: str, path: str, content: bytes | None = None, kind: str = "application/json") -> Json:
        headers = {"accept": "application/json"}
        if content is not None:
            headers["content-type"] = kind
        if self.credential:
            headers["authorization"] = f"Bearer {self.credential}"
        answer = self.gate.fetch_now(
            method,
            self.base_url + path,
            headers=headers,
            content=content,
            timeout_seconds=_TIMEOUT_SECONDS,
            max_bytes=_MOST_BYTES,
        )
        # PostgreSQL, where its words are kept, knows no NUL.
        raw = Redaction(self.credential).hide(answer.body).replace(b"\\u0000", b"")
        if not 200 <= answer.status < 300:
            raise _explain(answer.status, raw)
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise _unreadable() from error
        if not isinstance(body, dict):
            raise _unreadable()
        return body


def _text(body: Json, field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise _unreadable()
    return value


def read_id(job: Json) -> str:
    """A job's id. Raises Unreachable for what is none."""
    return _text(job, "id")


def _explain(status: int, raw: bytes) -> Exception:
    if status in {408, 409, 429} or status >= 500:
        return Unreachable(f"The upstream answered {status}.")
    try:
        message = orjson.loads(raw)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = ""
    return Refused(
        f"The upstream answered {status}."
        + (f" It says: {message[:500]}" if isinstance(message, str) and message else ""),
        status,
    )


def _unreadable() -> Unreachable:
    return Unreachable("The upstream's fine-tuning API gave no answer that can be read.")
