"""What the lines of a batch ask, read: of a file as its lines say it, of a pool as each call came."""

from typing import Final

from proxy.batches.model import Batch
from proxy.core import exact_json
from proxy.core.batch_lines import BatchAsk, read_line
from proxy.core.betas import add_betas
from proxy.dialects import dialect_of, openai_responses
from proxy.errors import FileNamed, InvalidRequest
from proxy.values.request import Endpoint, Request

#: in a pool's row, and in what is known of a file's batch, the features of Anthropic's API that a header named
BETAS: Final = "betas"
_PREFIX: Final = "/v1/"


def endpoint_of(batch: Batch) -> Endpoint:
    """The endpoint that all of its lines are calls of."""
    return Endpoint(batch.endpoint.removeprefix(_PREFIX))


def parse_line(batch: Batch, raw: bytes) -> Request:
    """The call that a line is. Raises BadLine and InvalidRequest."""
    if batch.is_pool:
        request = dialect_of(endpoint_of(batch)).parse_request(endpoint_of(batch), raw)
        return add_betas(request, batch.row.get(BETAS, ()))
    return parse_ask(batch, read_line(raw, batch.endpoint))


def parse_ask(batch: Batch, ask: BatchAsk) -> Request:
    """The call that a file's line is. Raises InvalidRequest, also for what of a response only one that somebody waits
    for has, or comes back to: its answer is in a file, and kept in no other place."""
    endpoint = endpoint_of(batch)
    try:
        request = dialect_of(endpoint).parse_request(endpoint, exact_json.dumps(ask.body))
    except FileNamed as error:
        raise InvalidRequest(
            f"{error.param} names a file of /v1/files, and a batch's lines name none: put what it holds into the line, as"
            " base64 or as text.",
            param=error.param,
            code=error.error_code,
        ) from error
    if endpoint is not Endpoint.RESPONSES:
        return add_betas(request, batch.remote.get(BETAS, ()))
    for name in ("background", "previous_response_id"):
        if ask.body.get(name):
            raise InvalidRequest(
                f"A batch's line has no {name}: leave it out and put everything into input.", param=name
            )
    return openai_responses.store_as(request, is_stored=False)
