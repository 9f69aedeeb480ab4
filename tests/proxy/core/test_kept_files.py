"""A file that lies here is named in a message: who means it hears at once that no model can read it."""

from typing import Any

import orjson
import pytest

from costhub.lib import clock
from proxy.batches.ids import FILE, find_id, show_id
from proxy.dialects import dialect_of
from proxy.errors import InvalidRequest
from proxy.values.request import Endpoint
from tests.proxy.core.examples import NOON_MS

OURS = f"{FILE}{clock.new_id_of(NOON_MS).replace('-', '')}"
#: as OpenAI and Azure name theirs
OPENAIS, AZURES = "file-6F2ksmvXxt4VdoqmHRw6kL", "file-00000000000000000000000000000000"
#: how each format names one, and where
NAMED: list[tuple[Endpoint, Any, str]] = [
    (Endpoint.CHAT, {"type": "file", "file": {"file_id": "?"}}, "messages[0].content[0].file"),
    (Endpoint.RESPONSES, {"type": "input_file", "file_id": "?"}, "input[0].content[0]"),
    (Endpoint.RESPONSES, {"type": "input_image", "file_id": "?"}, "input[0].content[0]"),
    (
        Endpoint.MESSAGES,
        {"type": "document", "source": {"type": "file", "file_id": "?"}},
        "messages[0].content[0].source",
    ),
    (Endpoint.MESSAGES, {"type": "image", "source": {"type": "file", "file_id": "?"}}, "messages[0].content[0].source"),
]


def parse(endpoint: Endpoint, part: Any, name: str) -> None:
    """A body whose only message has this part."""
    said = [{"role": "user", "content": [part]}]
    body: dict[str, Any] = {"model": "small", "input" if endpoint is Endpoint.RESPONSES else "messages": said}
    if endpoint is Endpoint.MESSAGES:
        body["max_tokens"] = 5
    dialect_of(endpoint).parse_request(endpoint, orjson.dumps(body).replace(b'"?"', orjson.dumps(name)))


@pytest.mark.parametrize(("endpoint", "part", "place"), NAMED)
def test_one_of_ours_is_refused_and_a_providers_own_is_not(endpoint: Endpoint, part: Any, place: str) -> None:
    for name in (OPENAIS, AZURES, "file_011CNha8iCJcU1wXNR6q4V8w"):
        parse(endpoint, part, name)
    with pytest.raises(InvalidRequest, match="no model can read it there") as caught:
        parse(endpoint, part, OURS)
    assert (caught.value.param, caught.value.error_code) == (f"{place}.file_id", "file_not_readable")


def test_what_is_known_as_ours_is_what_files_are_called() -> None:
    file_id = find_id(FILE, OURS)
    assert file_id is not None
    assert show_id(FILE, file_id) == OURS
