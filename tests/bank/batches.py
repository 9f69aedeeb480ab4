"""The bank's Files and Batches: a file of calls is answered at once, billed call by call under its custom_id, and shown
as done when it has been asked for twice.

What a batch does wrong is ordered by ``POST /bank/batches``: ``{"refuse": true}`` fails it at validation,
``{"answer": n}`` answers so many lines and lets the batch expire, ``{"fail": n}`` refuses so many of them with a 400,
``{"hang_up": true}`` makes it and breaks the connection off without an answer, once, ``{"lose": true}`` breaks off and
makes none; ``{"hidden": n}`` lists none, so many times, ``{"page": n}`` so many at a time; ``{"stall": true}`` answers
nothing, and goes on for ever; ``{"silent": true}`` answers and bills, and says so to nobody until another order
comes; ``{"too_late": status}`` refuses to cancel what is over; ``{"trouble": status}`` takes and deletes no
file, ``{"deaf": true}`` takes one and breaks off, once, and ``{"echo": true}`` says in its refusal what credential it
came with. Of the answers ``{"cut": n}`` gives a file that breaks off in the middle of its last line, so many times,
``{"short": n}`` one of successes without its last n, as long as that is ordered, ``{"gone": status}`` none, and
``{"odd": {...}}`` lines that are changed so. ``{"folder": "a/b"}`` calls files and batches by paths.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.bank.answers import encode, error_body, steps
from tests.bank.behaviour import parse_behaviour
from tests.bank.bill import Bill
from tests.bank.http import BadRequest, PeerGone, Reply, Request
from tests.bank.typed import make_answer, read_any_ask

KINDS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
    "/v1/responses": "responses",
}
#: so often a batch is shown as being in progress
_SHOWN_IN_PROGRESS = 1
#: bytes of a line that are not there
_CUT_OFF = 40
Json = dict[str, Any]


@dataclass
class BankBatches:
    """All files and batches of one bank."""

    bill: Bill
    orders: Json = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    #: how they were called by who handed them in
    names: dict[str, str] = field(default_factory=dict)
    uploads: int = 0
    batches: dict[str, Json] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    async def serve(self, request: Request, reply: Reply) -> bool:
        """Answer, if the path is one of these."""
        path = request.path.removeprefix("/v1/")
        if folder := self.orders.get("folder"):
            path = path.replace(f"/{folder}/", f"/{folder.replace('/', ':')}:")
        parts = path.split("/")
        routes: dict[tuple[str, str, int], Callable[..., Any]] = {
            ("POST", "files", 1): self._upload,
            ("GET", "files", 1): self._list_files,
            ("GET", "files", 3): self._content,
            ("DELETE", "files", 2): self._delete,
            ("POST", "batches", 1): self._create,
            ("GET", "batches", 1): self._list,
            ("GET", "batches", 2): self._get,
            ("POST", "batches", 3): self._cancel,
        }
        found = routes.get((request.method, parts[0], len(parts)))
        if found is None:
            return False
        name = [part.replace(":", "/") for part in parts[1:2]]
        await found(request, reply, *name)
        return True

    async def _upload(self, request: Request, reply: Reply) -> None:
        if status := self.orders.get("trouble"):
            await reply.send_json(status, error_body("The bank was told to have trouble.", "server_error"))
            return
        if self.orders.get("echo"):
            message = f"I do not like your {request.header('authorization')}."
            await reply.send_json(400, error_body(message, "invalid_request_error"))
            return
        boundary = (request.header("content-type") or "").partition("boundary=")[2].encode()
        for part in request.body.split(b"--" + boundary):
            head, _, content = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                self.uploads += 1
                file_id = self._name(f"file-bank-{self.uploads}")
                self.files[file_id] = content.removesuffix(b"\r\n")
                self.names[file_id] = head.partition(b'filename="')[2].partition(b'"')[0].decode()
                if self.orders.pop("deaf", False):
                    reply.keep_alive = False
                    raise PeerGone
                await reply.send_json(200, {"id": file_id, "object": "file", "purpose": "batch"})
                return
        await reply.send_json(400, error_body("There is no file in this form.", "invalid_request_error"))

    async def _list_files(self, request: Request, reply: Reply) -> None:
        files = [{"id": file_id, "filename": self.names.get(file_id)} for file_id in reversed(self.files)]
        await reply.send_json(200, {"object": "list", "data": files})

    async def _delete(self, request: Request, reply: Reply, file_id: str) -> None:
        if status := self.orders.get("trouble"):
            await reply.send_json(status, error_body("The bank was told to have trouble.", "server_error"))
        elif self.files.pop(file_id, None) is None:
            await reply.send_json(404, error_body("There is no such file.", "invalid_request_error"))
        else:
            await reply.send_json(200, {"id": file_id, "object": "file", "deleted": True})

    async def _content(self, request: Request, reply: Reply, file_id: str) -> None:
        content = self.files[file_id]
        if "-output-" in file_id and (short := self.orders.get("short", 0)):
            content = b"".join(content.splitlines(keepends=True)[:-short])
        if status := self.orders.get("gone"):
            await reply.send_json(status, error_body("The bank was told to give no file.", "invalid_request_error"))
            return
        if self.orders.get("cut"):
            self.orders["cut"] -= 1
            content = content[:-_CUT_OFF]
        await reply.send(200, content, "application/octet-stream")

    async def _create(self, request: Request, reply: Reply) -> None:
        if self.orders.pop("lose", False):
            reply.keep_alive = False
            raise PeerGone
        body = orjson.loads(request.body)
        batch_id = self._name(f"batch_bank_{len(self.batches) + 1}")
        batch: Json = {
            "id": batch_id,
            "object": "batch",
            "status": "validating",
            "endpoint": body["endpoint"],
            "metadata": body.get("metadata"),
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }
        self.batches[batch_id] = batch
        if self.orders.get("refuse"):
            message = "The bank was told not to run this batch."
            batch |= {"status": "failed", "errors": {"data": [{"code": "told_to", "message": message}]}}
        else:
            self._run(batch, self.files[body["input_file_id"]])
        await self.bill.commit()
        if self.orders.pop("hang_up", False):
            reply.keep_alive = False
            raise PeerGone
        await reply.send_json(200, batch)

    async def _list(self, request: Request, reply: Reply) -> None:
        listed = list(reversed(self.batches.values()))
        if self.orders.get("hidden"):
            self.orders["hidden"] -= 1
            listed = []
        after = request.target.partition("&after=")[2]
        behind = [place for place, batch in enumerate(listed, 1) if batch["id"] == after]
        rest = listed[behind[0] :] if behind else listed
        page = rest[: self.orders.get("page", len(rest))]
        await reply.send_json(200, {"object": "list", "data": page, "has_more": len(page) < len(rest)})

    async def _get(self, request: Request, reply: Reply, batch_id: str) -> None:
        self.asked[batch_id] = self.asked.get(batch_id, 0) + 1
        batch = self.batches[batch_id]
        is_over = self.asked[batch_id] > _SHOWN_IN_PROGRESS or batch["status"] in {"failed", "cancelled"}
        is_over = is_over and not self.orders.get("silent")
        shown = batch if is_over else batch | {"status": "in_progress", "output_file_id": None, "error_file_id": None}
        await reply.send_json(200, shown)

    async def _cancel(self, request: Request, reply: Reply, batch_id: str) -> None:
        """What is answered by then stays answered, and billed."""
        if status := self.orders.get("too_late"):
            message = "Cannot cancel a batch with status 'completed'."
            await reply.send_json(status, error_body(message, "invalid_request_error"))
            return
        if not self.orders.get("silent"):
            self.batches[batch_id]["status"] = "cancelled"
        await reply.send_json(200, self.batches[batch_id])

    def _run(self, batch: Json, content: bytes) -> None:
        lines = [orjson.loads(line) for line in content.splitlines()]
        if self.orders.get("stall"):
            batch["status"] = "in_progress"
            return
        most, failing = self.orders.get("answer", len(lines)), self.orders.get("fail", 0)
        answers, errors = [], []
        for place, line in enumerate(lines):
            if place >= most:
                errors.append(_unanswered(line, "batch_expired", "This request could not be executed in time."))
            elif place < failing:
                body = error_body("The bank was told to refuse this.", "invalid_request_error")
                errors.append(_answered(line, 400, body))
            else:
                answered = _answered(line, 200, self._answer(line, batch["endpoint"]))
                answers.append(answered | self.orders.get("odd", {}))
        # In no order in particular, as the API says.
        batch["output_file_id"] = self._keep("output", list(reversed(answers)))
        batch["error_file_id"] = self._keep("errors", errors)
        done = sum(1 for answer in answers if _is_success(answer))
        failed = len(answers) - done + sum(1 for error in errors if error["response"] is not None)
        batch["request_counts"] = {"total": len(lines), "completed": done, "failed": failed}
        batch["status"] = "expired" if most < len(lines) else "completed"

    def _answer(self, line: Json, endpoint: str) -> Json:
        body = line["body"]
        behaviour = parse_behaviour(body.get("bank") or {})
        try:
            ask = read_any_ask(KINDS[endpoint], body, behaviour)  # type: ignore[arg-type]
        except BadRequest as wrong:
            return error_body(wrong.message, "invalid_request_error", param=wrong.param)
        call = self.bill.open(line["custom_id"], ask.model, None)
        self.bill.add(call, input_tokens=ask.input_tokens, cached=behaviour.cached_tokens)
        for step in steps(ask):
            self.bill.add(call, output=step.output, reasoning=step.reasoning)
        self.bill.close(call, "finished")
        answer = make_answer(ask, call.call, ask.model, call.usage)
        return answer.whole() | {"usage": answer.wire_usage(call.usage)}

    def _name(self, name: str) -> str:
        folder = self.orders.get("folder")
        return f"{folder}/{name}" if folder else name

    def _keep(self, name: str, lines: list[Json]) -> str | None:
        if not lines:
            return None
        file_id = self._name(f"file-bank-{name}-{len(self.files) + 1}")
        self.files[file_id] = b"".join(encode(line) + b"\n" for line in lines)
        return file_id


def _is_success(answer: Json) -> bool:
    response = answer["response"]
    return isinstance(response, dict) and response["status_code"] == 200


def _answered(line: Json, status: int, body: Json) -> Json:
    response = {"status_code": status, "request_id": "req_bank", "body": body}
    return {"id": "batch_req_bank", "custom_id": line["custom_id"], "response": response, "error": None}


def _unanswered(line: Json, code: str, message: str) -> Json:
    error = {"code": code, "message": message}
    return {"id": "batch_req_bank", "custom_id": line["custom_id"], "response": None, "error": error}
