"""What the lines of a batch ask, read: of a file as its lines say it, of a pool as each call came."""

from typing import Final

from proxy.batches.model import Batch
from proxy.core import exact_json
from proxy.core.batch_lines import BatchAsk, read_line
from proxy.dialects import dialect_of, openai_responses
from proxy.errors import InvalidRequest
from proxy.values.request import Endpoint, Request

_PREFIX: Final = "/v1/"


def endpoint_of(batch: Batch) -> Endpoint:
    """The endpoint that all of its lines are calls of."""
    return Endpoint(batch.endpoint.removeprefix(_PREFIX))


def parse_line(batch: Batch, raw: bytes) -> Request:
    """The call that a line is. Raises BadLine and InvalidRequest."""
    if batch.is_pool:
        return dialect_of(endpoint_of(batch)).parse_request(endpoint_of(batch), raw)
    return parse_ask(read_line(raw, batch.endpoint), endpoint_of(batch))


def parse_ask(ask: BatchAsk, endpoint: Endpoint) -> Request:
    """The call that a file's line is. Raises InvalidRequest, also for what of a response only one that somebody waits
    for has, or comes back to: its answer is in a file, and kept in no other place."""
    request = dialect_of(endpoint).parse_request(endpoint, exact_json.dumps(ask.body))
    if endpoint is not Endpoint.RESPONSES:
        return request
    for name in ("background", "previous_response_id"):
        if ask.body.get(name):
            raise InvalidRequest(
                f"A batch's line has no {name}: leave it out and put everything into input.", param=name
            )
    return openai_responses.store_as(request, is_stored=False)
