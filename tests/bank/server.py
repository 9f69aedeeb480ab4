"""The bank's door: connections, routes, and the admin calls under ``/bank`` by which a test steers it."""

import asyncio
import base64
import re
import signal
import sys
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.bank.answers import Kind, error_body, model_body, models_body
from tests.bank.batches import BankBatches
from tests.bank.behaviour import Orders, parse_behaviour
from tests.bank.bill import Bill, authorization_hash, read_bill, summed_usage
from tests.bank.calls import refusal_of, refuse, serve_call
from tests.bank.http import BadRequest, Connection, PeerGone, Reply, Request, WatchedReader
from tests.bank.tuning import BankTunings
from tests.bank.typed import read_any_ask

KEPT_REQUESTS = 10_000
BACKLOG = 1024
#: Turns of the loop in which a request that had reached the kernel before would have been read.
SETTLING_TURNS = 25
QUIET_PATIENCE_MS = 30_000

LLM_PATHS: dict[str, Kind] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
    "/v1/messages": "messages",
    "/v1/responses": "responses",
}
#: what stands before the rest of a path at Azure's older addresses
_DEPLOYMENT = re.compile(r"^/openai/deployments/[^/]+/")
Admin = Callable[[Request, Reply], Awaitable[None]]


class Server:
    """One bank: its bill, the orders it was given, and the connections it serves."""

    def __init__(self, bill: Bill, others: Sequence[Path] = ()) -> None:
        self._bill = bill
        #: of banks that stand beside it: it tells what they have billed, too
        self._others = others
        self._batches = BankBatches(bill)
        self._tunings = BankTunings(self._batches.files)
        self._orders = Orders()
        self._requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._arrivals = 0
        self._in_progress: list[str] = []
        self._idle = asyncio.Event()
        self._idle.set()
        # Set, no answer waits before its first byte.
        self._goes_on = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self.port = 0
        self._admin: dict[tuple[str, str], Admin] = {
            ("GET", "/bank/bill"): self._show_bill,
            ("GET", "/bank/quiet"): self._wait_quiet,
            ("GET", "/bank/metrics"): self._show_metrics,
            ("GET", "/bank/requests"): self._show_requests,
            ("POST", "/bank/fault"): self._order,
            ("POST", "/bank/batches"): self._order_batches,
            ("POST", "/bank/tuning"): self._order_tuning,
            ("POST", "/bank/clear"): self._clear,
            ("POST", "/bank/go"): self._let_go,
            ("POST", "/bank/refuse"): self._refuse_connections,
            ("POST", "/bank/accept"): self._accept_connections,
        }

    async def listen(self, port: int) -> None:
        """Accept connections. Port 0 chooses a free one, and the same again after a pause."""
        loop = asyncio.get_running_loop()

        def make_protocol() -> asyncio.StreamReaderProtocol:
            self._arrivals += 1
            return asyncio.StreamReaderProtocol(WatchedReader(), self._serve_connection)

        self._listener = await loop.create_server(make_protocol, "127.0.0.1", port, backlog=BACKLOG)
        self.port = self._listener.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Make every open call final, durably, at what it has come to."""
        for call in self._bill:
            self._bill.close(call, "stopped")
        self._bill.commit_now()

    # Connections

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, WatchedReader)
        self._accepted += 1
        connection = Connection(self._accepted, reader, writer, self._goes_on)
        self._connections.add(connection)
        try:
            while await self._serve_request(connection):
                connection.busy = False
        except PeerGone:
            pass
        except Exception:
            traceback.print_exc()
        finally:
            self._connections.discard(connection)
            connection.close()

    async def _serve_request(self, connection: Connection) -> bool:
        """Serve the next request, and say whether another may follow on this connection."""
        request = None
        try:
            request = await connection.read_head()
            if request is None:
                return False
            connection.busy = True
            self._arrivals += 1
            if request.path.startswith("/bank/"):
                await connection.read_body(request)
                return await self._answer(request, connection)
            self._begin(request)
            try:
                await connection.read_body(request)
                self._requests.append(request)
                return await self._answer(request, connection)
            finally:
                self._end(request)
        except BadRequest as wrong:
            asked = request or Request("GET", "/", "HTTP/1.1", (), connection.serial)
            reply = Reply(connection, asked)
            reply.keep_alive = False
            await reply.send_json(wrong.status, _wrong(wrong))
            return False

    def _begin(self, request: Request) -> None:
        self._in_progress.append(request.header("x-client-request-id") or request.path)
        self._idle.clear()

    def _end(self, request: Request) -> None:
        self._in_progress.remove(request.header("x-client-request-id") or request.path)
        if not self._in_progress:
            self._idle.set()

    async def _answer(self, request: Request, connection: Connection) -> bool:
        reply = Reply(connection, request)
        kind = LLM_PATHS.get(_DEPLOYMENT.sub("/v1/", request.path))
        if kind and request.method == "POST":
            await self._serve_llm(kind, request, connection, reply)
        elif (request.path.startswith(("/v1/files", "/v1/batches")) and await self._batches.serve(request, reply)) or (
            request.path.startswith("/v1/fine_tuning/jobs") and await self._tunings.serve(request, reply)
        ):
            pass
        elif admin := self._admin.get((request.method, request.path)):
            try:
                await admin(request, reply)
            except BadRequest as wrong:
                await reply.send_json(wrong.status, _wrong(wrong))
        elif request.method in ("GET", "HEAD"):
            await self._show(request, reply)
        else:
            message = f"The bank does not know {request.method} {request.path}."
            status = 405 if kind else 404
            await reply.send_json(status, error_body(message, "invalid_request_error"))
        return reply.keep_alive and not connection.is_gone

    # What a gateway calls

    async def _serve_llm(self, kind: Kind, request: Request, connection: Connection, reply: Reply) -> None:
        authorization = authorization_hash(
            request.header("authorization") or request.header("x-api-key") or request.header("api-key")
        )
        call = self._bill.open(request.header("x-client-request-id"), "", authorization)
        try:
            body = _read_json(request)
            behaviour = self._orders.take(body.get("bank"))
            ask = read_any_ask(kind, body, behaviour)
            call.model = ask.model
        except BadRequest as wrong:
            self._bill.close(call, "refused")
            await self._bill.commit()
            await reply.send_json(wrong.status, _wrong(wrong))
            return
        if fault := refusal_of(behaviour):
            self._bill.close(call, "refused")
            await self._bill.commit()
            await refuse(reply, behaviour, fault)
        else:
            await serve_call(call, ask, behaviour, self._bill, connection, reply)

    async def _show(self, request: Request, reply: Reply) -> None:
        if request.path == "/v1/models":
            await reply.send_json(200, models_body())
        elif request.path.startswith("/v1/models/"):
            await reply.send_json(200, model_body(request.path.removeprefix("/v1/models/")))
        elif request.path == "/v1/costhub/bill":
            await self._look_up(request, reply)
        else:
            message = f"The bank has nothing at {request.path}."
            await reply.send_json(404, error_body(message, "invalid_request_error"))

    async def _look_up(self, request: Request, reply: Reply) -> None:
        request_id = _query(request).get("request_id", "")
        calls = [*self._bill.find(request_id)]
        calls += [call for path in self._others for call in read_bill(path) if call.request_id == request_id]
        if not calls:
            message = f"No call with the id {request_id!r} has arrived."
            await reply.send_json(404, error_body(message, "invalid_request_error", code="call_not_found"))
            return
        await self._bill.commit()
        status = "final" if all(call.state == "final" for call in calls) else "open"
        body = {"request_id": request_id, "model": calls[-1].model, "status": status, "usage": summed_usage(calls)}
        await reply.send_json(200, body)

    # What a test calls

    async def _show_bill(self, request: Request, reply: Reply) -> None:
        await self._bill.commit()
        await reply.send_json(200, [asdict(call) for call in self._bill])

    async def _show_metrics(self, request: Request, reply: Reply) -> None:
        """What is under way, as llama.cpp tells Prometheus."""
        text = f"llamacpp:requests_processing {len(self._in_progress)}\n"
        await reply.send(200, text.encode(), "text/plain")

    async def _show_requests(self, request: Request, reply: Reply) -> None:
        arrived = [
            {
                "connection": one.connection,
                "method": one.method,
                "target": one.target,
                "headers": one.headers,
                "body": base64.b64encode(one.body).decode(),
            }
            for one in self._requests
        ]
        await reply.send_json(200, arrived)

    async def _wait_quiet(self, request: Request, reply: Reply) -> None:
        patience = _query(request).get("timeout_ms", str(QUIET_PATIENCE_MS))
        if not patience.isascii() or not patience.isdigit():
            raise BadRequest("timeout_ms is not a whole number.", param="timeout_ms")
        try:
            async with asyncio.timeout(int(patience) / 1000):
                while not await self._stays_idle():
                    pass
        except TimeoutError:
            await reply.send_json(200, {"quiet": False, "in_progress": self._in_progress})
        else:
            await reply.send_json(200, {"quiet": True, "in_progress": []})

    async def _stays_idle(self) -> bool:
        """Wait until no call is in progress, and say whether none came that had been on its way already."""
        await self._idle.wait()
        arrivals = self._arrivals
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)
        return self._idle.is_set() and self._arrivals == arrivals

    async def _order(self, request: Request, reply: Reply) -> None:
        """``{"default": {...}}`` for all calls from now on, ``{"next": {...}, "count": k}`` for the next k calls."""
        body = _read_json(request)
        for name in ("default", "next"):
            if name in body:
                if not isinstance(body[name], dict):
                    raise BadRequest(f"{name} is not an object.", param=name)
                parse_behaviour(body[name])
        count = body.get("count", 1)
        if type(count) is not int or not 1 <= count <= 100_000:
            raise BadRequest("count is not a whole number from 1 to 100000.", param="count")
        if "default" in body:
            self._orders.default = body["default"]
        if "next" in body:
            self._orders.queue.extend([body["next"]] * count)
        await reply.send_json(200, {"default": self._orders.default, "queued": len(self._orders.queue)})

    async def _order_tuning(self, request: Request, reply: Reply) -> None:
        self._tunings.orders = _read_json(request)
        await reply.send_json(200, {})

    async def _order_batches(self, request: Request, reply: Reply) -> None:
        """What batches to come do wrong: see ``tests/bank/batches.py``."""
        self._batches.orders = _read_json(request)
        await reply.send_json(200, {})

    async def _clear(self, request: Request, reply: Reply) -> None:
        """Forget every order and every request that arrived. The bill stays: nothing removes from it."""
        self._orders = Orders()
        self._requests.clear()
        self._goes_on.clear()
        await reply.send_json(200, {})

    async def _let_go(self, request: Request, reply: Reply) -> None:
        """Answers that were ordered to wait before their first byte begin now, and none waits until ``/bank/clear``."""
        self._goes_on.set()
        await reply.send_json(200, {})

    async def _refuse_connections(self, request: Request, reply: Reply) -> None:
        """Close the listening socket and every idle connection, until ``/bank/accept``."""
        if self._listener:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            if not connection.busy:
                connection.close()
        await reply.send_json(200, {})

    async def _accept_connections(self, request: Request, reply: Reply) -> None:
        if self._listener is None:
            await self.listen(self.port)
        await reply.send_json(200, {})


def _read_json(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    return body


def _query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(request.target.partition("?")[2]).items()}


def _wrong(wrong: BadRequest) -> dict[str, Any]:
    return error_body(wrong.message, "invalid_request_error", param=wrong.param)


async def serve(
    bill_path: Path,
    *,
    port: int,
    port_file: Path | None,
    fsync: bool,
    ends_with_stdin: bool,
    others: Sequence[Path] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, or until the process that holds our standard input is gone."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if ends_with_stdin:
        loop.add_reader(sys.stdin.fileno(), ended.set)
    server = Server(Bill(bill_path, fsync=fsync), others)
    await server.listen(port)
    if port_file:
        port_file.write_text(f"{server.port}\n")
    print(server.port, flush=True)
    await ended.wait()
    server.stop()
