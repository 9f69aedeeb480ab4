"""How a test starts a bank, steers it, and reads its bill."""

import base64
import http.client
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import orjson

from tests.bank.bill import BilledCall, read_bill
from tests.bank.nursery import ForkedBank, fork_bank
from tests.patience import PATIENCE_SECONDS

ADMIN_TIMEOUT_SECONDS = PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class ArrivedRequest:
    """A request as the bank received it: header names in lower case, in the order of the wire; the body's bytes."""

    connection: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """Sums over billed calls."""

    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Bank:
    """A bank in its own process. Its methods block: in an async test whose own loop serves the bank's peer, call them
    through ``asyncio.to_thread``.
    """

    def __init__(
        self,
        process: ForkedBank,
        port: int,
        bill_path: Path,
        fsync: bool,
        others: Sequence[Path] = (),
    ) -> None:
        self._process = process
        self._fsync = fsync
        self._others = others
        self.port = port
        self.bill_path = bill_path
        self.base_url = f"http://127.0.0.1:{port}/v1"

    @classmethod
    def start(cls, directory: Path, *, port: int = 0, fsync: bool = True, others: Sequence[Path] = ()) -> Self:
        """Start a bank whose bill is ``bill.jsonl`` in the directory, and return when it listens. ``others`` are bills
        of other banks: asked for what one call was billed, it knows those, too.

        Raises RuntimeError with what the bank said when it does not come up.
        """
        bill_path = directory / "bill.jsonl"
        process, port = _spawn(bill_path, port, fsync, others)
        return cls(process, port, bill_path, fsync, others)

    def restart(self) -> None:
        """Start the bank again, after ``stop`` or ``kill``, on the same port and with the same bill."""
        self._process, self.port = _spawn(self.bill_path, self.port, self._fsync, self._others)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End the bank with SIGTERM. Does nothing to one that has ended."""
        self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """End the bank with SIGKILL."""
        self._process.end(signal.SIGKILL)

    def complaints(self) -> str:
        """What the bank has printed to its standard error: nothing, unless the bank itself went wrong."""
        return _complaints_path(self.bill_path).read_text()

    # The truth

    def bill(self) -> list[BilledCall]:
        """Every call as durably billed, in the order of arrival, whether the bank lives or not."""
        return read_bill(self.bill_path)

    def billed(self, request_id: str) -> BilledCall:
        """The one call with this id. Raises LookupError when there is none, or more than one."""
        calls = [call for call in self.bill() if call.request_id == request_id]
        if len(calls) != 1:
            raise LookupError(f"{len(calls)} calls were billed under the id {request_id!r}")
        return calls[0]

    def totals(self, by: str | Callable[[BilledCall], str] = "model") -> dict[str, TokenTotals]:
        """Tokens summed by a field of the bill (``model``, ``authorization``, ``request_id``, ...) or by a function."""
        groups: dict[str, list[BilledCall]] = {}
        for call in self.bill():
            groups.setdefault(by(call) if callable(by) else str(getattr(call, by)), []).append(call)
        return {name: _total(calls) for name, calls in groups.items()}

    def look_up(self, request_id: str) -> dict[str, Any] | None:
        """What the bank's per-request bill answers; None for a 404."""
        status, body = self._ask("GET", f"/v1/costhub/bill?request_id={quote(request_id, safe='')}")
        return body if status == 200 else None

    # What arrived

    def requests(self) -> list[ArrivedRequest]:
        """The latest 10,000 requests to ``/v1``, oldest first."""
        _, arrived = self._ask("GET", "/bank/requests")
        return [
            ArrivedRequest(
                one["connection"],
                one["method"],
                one["target"],
                tuple((name, value) for name, value in one["headers"]),
                base64.b64decode(one["body"]),
            )
            for one in arrived
        ]

    def calls_received(self) -> list[ArrivedRequest]:
        """The POSTs among ``requests``."""
        return [request for request in self.requests() if request.method == "POST"]

    def wait_quiet(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when no call is in progress. Raises TimeoutError naming those that are."""
        _, answer = self._ask("GET", f"/bank/quiet?timeout_ms={int(timeout_seconds * 1000)}", timeout_seconds)
        if not answer["quiet"]:
            raise TimeoutError(f"still in progress at the bank: {', '.join(answer['in_progress'])}")

    # Orders

    def set_default(self, **behaviour: Any) -> None:
        """How every call is served from now on, where its own body says nothing else. No arguments: normally."""
        self._order({"default": behaviour})

    def queue(self, count: int = 1, **behaviour: Any) -> None:
        """How the next calls are served, one after the other."""
        self._order({"next": behaviour, "count": count})

    def order_tuning(self, **orders: Any) -> None:
        """What its fine-tuning does wrong, see ``tuning.py``."""
        self._ask("POST", "/bank/tuning", body=orders)

    def list_files(self) -> list[str]:
        """The ids of the files that it has, the newest first."""
        return [one["id"] for one in self._ask("GET", "/v1/files")[1]["data"]]

    def order_batches(self, **orders: Any) -> None:
        """What batches to come do wrong: see ``tests/bank/batches.py``. No arguments: nothing."""
        self._ask("POST", "/bank/batches", body=orders)

    def let_go(self) -> None:
        """Answers that were ordered to wait before their first byte (``first_ms``) begin now, and none waits until
        ``clear``."""
        self._ask("POST", "/bank/go")

    def clear(self) -> None:
        """Forget the orders and the requests that arrived. The bill stays."""
        self._ask("POST", "/bank/clear")

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """While inside, nothing listens on the bank's port, and its idle connections have been closed."""
        connection = self._connect()
        try:
            _exchange(connection, "POST", "/bank/refuse", {})
            try:
                yield
            finally:
                _exchange(connection, "POST", "/bank/accept", {})
        finally:
            connection.close()

    def _order(self, orders: dict[str, Any]) -> None:
        status, answer = self._ask("POST", "/bank/fault", body=orders)
        if status != 200:
            raise ValueError(answer["error"]["message"])

    def _connect(self, timeout_seconds: float = 0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_seconds + ADMIN_TIMEOUT_SECONDS)

    def _ask(self, method: str, target: str, timeout_seconds: float = 0, body: Any = None) -> tuple[int, Any]:
        connection = self._connect(timeout_seconds)
        try:
            return _exchange(connection, method, target, body)
        finally:
            connection.close()


def _exchange(connection: http.client.HTTPConnection, method: str, target: str, body: Any) -> tuple[int, Any]:
    connection.request(method, target, body=None if body is None else orjson.dumps(body))
    response = connection.getresponse()
    return response.status, orjson.loads(response.read())


def _complaints_path(bill_path: Path) -> Path:
    return bill_path.with_suffix(".stderr")


def _spawn(bill_path: Path, port: int, fsync: bool, others: Sequence[Path] = ()) -> tuple[ForkedBank, int]:
    complaints = _complaints_path(bill_path)
    arguments = ["--port", str(port), "--bill", str(bill_path.absolute()), "--end-with-stdin"]
    for other in others:
        arguments += ["--other", str(other.absolute())]
    if not fsync:
        arguments.append("--no-fsync")
    with complaints.open("ab") as stderr:
        process = fork_bank(arguments, stderr)
    ready = process.stdout.readline()
    if not ready:
        process.end()
        raise RuntimeError(f"The bank did not come up: {complaints.read_text()}")
    return process, int(ready)


def _total(calls: list[BilledCall]) -> TokenTotals:
    return TokenTotals(
        len(calls),
        sum(call.input_tokens for call in calls),
        sum(call.cached_input_tokens for call in calls),
        sum(call.output_tokens for call in calls),
        sum(call.reasoning_tokens for call in calls),
    )
