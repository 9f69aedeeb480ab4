"""The bank's fine-tuning: a job trains when it has been asked for twice, and bills a token for every four bytes of the
file, for each epoch. ``POST /bank/tuning`` orders what it does wrong: ``{"refuse": true}`` answers 400 to new jobs,
``{"fail": true}`` fails one, ``{"stall": true}`` never ends it, ``{"hang_up": true}`` makes it and breaks off, once,
``{"too_late": true}`` ends it well when it is cancelled, and refuses that, ``{"silent": true}``
tells no events, ``{"busy": true}`` answers 503 to new jobs. ``word`` and ``tokens`` are what one that fails says.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.bank.answers import error_body
from tests.bank.http import PeerGone, Reply, Request

Json = dict[str, Any]
BYTES_A_TOKEN = 4


@dataclass
class BankTunings:
    """All jobs of one bank; ``files`` are those that were handed in."""

    files: dict[str, bytes]
    orders: Json = field(default_factory=dict)
    jobs: dict[str, Json] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    async def serve(self, request: Request, reply: Reply) -> bool:
        """Answer, if the path is one of these."""
        parts = request.path.removeprefix("/v1/fine_tuning/jobs").strip("/").split("/")
        job_id, verb = [*parts, "", ""][:2]
        if (request.method, job_id) == ("POST", ""):
            await self._create(request, reply)
        elif job_id and job_id not in self.jobs:
            await reply.send_json(404, error_body("There is no such job.", "invalid_request_error"))
        elif request.method == "GET" and not job_id:
            await reply.send_json(200, {"object": "list", "data": list(reversed(self.jobs.values()))})
        elif (request.method, verb) == ("GET", ""):
            await reply.send_json(200, self._look(job_id))
        elif (request.method, verb) == ("GET", "events") and self.orders.get("silent"):
            await reply.send_json(403, error_body("Events are another project's.", "invalid_request_error"))
        elif (request.method, verb) == ("GET", "events"):
            told = [{"message": f"Step {step}"} for step in range(self.asked.get(job_id, 0), 0, -1)]
            await reply.send_json(200, {"object": "list", "data": told})
        elif (request.method, verb) == ("POST", "cancel") and self.orders.get("too_late"):
            self._end(self.jobs[job_id])
            await reply.send_json(400, error_body("The job has ended.", "invalid_request_error"))
        elif (request.method, verb) == ("POST", "cancel"):
            self.jobs[job_id] |= {"status": "cancelled", "trained_tokens": self._tokens(job_id) // 2}
            await reply.send_json(200, self.jobs[job_id])
        else:
            return False
        return True

    async def _create(self, request: Request, reply: Reply) -> None:
        body = orjson.loads(request.body)
        if self.orders.get("refuse"):
            await reply.send_json(400, error_body("This model cannot be fine-tuned.", "invalid_request_error"))
            return
        if self.orders.get("busy"):
            await reply.send_json(503, error_body("The bank is busy.", "server_error"))
            return
        job_id = f"ftjob-bank-{len(self.jobs) + 1}"
        epochs = body["method"]["supervised"]["hyperparameters"]["n_epochs"]
        self.jobs[job_id] = {
            "id": job_id,
            "object": "fine_tuning.job",
            "model": body["model"],
            "training_file": body["training_file"],
            "metadata": body.get("metadata"),
            "hyperparameters": {"n_epochs": epochs},
            "status": "queued",
            "fine_tuned_model": None,
            "trained_tokens": None,
            "error": None,
        }
        if self.orders.pop("hang_up", False):
            reply.keep_alive = False
            raise PeerGone
        await reply.send_json(200, self.jobs[job_id])

    def _look(self, job_id: str) -> Json:
        job = self.jobs[job_id]
        self.asked[job_id] = self.asked.get(job_id, 0) + 1
        if job["status"] in {"queued", "running"}:
            job["status"] = "running"
            if self.asked[job_id] > 1 and not self.orders.get("stall"):
                self._end(job)
        return job

    def _end(self, job: Json) -> None:
        if self.orders.get("fail"):
            message = f"Line 3 has no {self.orders.get('word', 'answer')}."
            job |= {"status": "failed", "error": {"code": "invalid_file", "message": message}}
            job["trained_tokens"] = self.orders.get("tokens")
            return
        job |= {
            "status": "succeeded",
            "fine_tuned_model": f"ft:{job['model']}:bank::{len(self.jobs)}",
            "trained_tokens": self._tokens(job["id"]),
        }

    def _tokens(self, job_id: str) -> int:
        job = self.jobs[job_id]
        return len(self.files[job["training_file"]]) // BYTES_A_TOKEN * int(job["hyperparameters"]["n_epochs"])
