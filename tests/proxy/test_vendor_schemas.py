"""The vendors' own shapes: schemathesis makes bodies from the types of their clients, valid and not. Whatever is sent
is answered, or refused in the shape that its client reads. ``make soak`` makes two hundred of each."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import schemathesis
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.messages.batch_create_params import BatchCreateParams as MessageBatchCreateParams
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openai.types.audio.speech_create_params import SpeechCreateParams
from openai.types.batch_create_params import BatchCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming as OldCompletionParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.image_generate_params import ImageGenerateParamsNonStreaming
from openai.types.moderation_create_params import ModerationCreateParams
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.response_compact_params import ResponseCompactParams
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter
from schemathesis.core import NotSet

from proxy.app import App
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tests.bank import Bank
from tests.proxy.batches.desk import BOUNDARY, form
from tests.proxy.in_process import Conversation, converse, serve
from tests.world import Tenant, World, make_budget, make_catalog

TYPES: Final[dict[str, Any]] = {
    "/v1/chat/completions": CompletionCreateParamsNonStreaming,
    "/v1/completions": OldCompletionParams,
    "/v1/embeddings": EmbeddingCreateParams,
    "/v1/batches": BatchCreateParams,
    "/v1/responses": ResponseCreateParamsNonStreaming,
    "/v1/responses/compact": ResponseCompactParams,
    "/v1/responses/input_tokens": InputTokenCountParams,
    "/v1/messages/batches": MessageBatchCreateParams,
    "/v1/messages": MessageCreateParamsNonStreaming,
    "/v1/messages/count_tokens": MessageCountTokensParams,
    "/v1/moderations": ModerationCreateParams,
    "/v1/images/generations": ImageGenerateParamsNonStreaming,
    "/v1/audio/speech": SpeechCreateParams,
}
#: whose bodies are forms, with the field of their file
FORMS: Final = {
    "/v1/images/edits": "image",
    "/v1/images/variations": "image",
    "/v1/audio/transcriptions": "file",
    "/v1/audio/translations": "file",
}
#: whose types are small: of the others' bodies each takes long to be made
QUICK: Final = frozenset(TYPES) - {
    *("/v1/chat/completions", "/v1/messages", "/v1/messages/batches", "/v1/messages/count_tokens"),
    *("/v1/responses", "/v1/responses/input_tokens"),
}
FEW: Final = 12
MANY: Final = 200
#: what is listed, and by what
LISTS: Final = (
    *("/v1/chat/completions", "/v1/files", "/v1/batches", "/v1/messages/batches", "/v1/models"),
    *("/v1/chat/completions/{}/messages", "/v1/responses/{}/input_items"),
)
QUERIES: Final = ("limit", "after", "after_id", "before_id", "order", "purpose", "model", "metadata[a]", "include")
#: where something stands, and what may be asked of it
PLACES: Final = (
    ("GET", "/v1/files/{}"),
    ("GET", "/v1/files/{}/content"),
    ("DELETE", "/v1/files/{}"),
    ("GET", "/v1/batches/{}"),
    ("POST", "/v1/batches/{}/cancel"),
    ("GET", "/v1/responses/{}"),
    ("GET", "/v1/responses/{}/input_items"),
    ("POST", "/v1/responses/{}/cancel"),
    ("DELETE", "/v1/responses/{}"),
    ("GET", "/v1/chat/completions/{}"),
    ("POST", "/v1/chat/completions/{}"),
    ("DELETE", "/v1/chat/completions/{}"),
    ("GET", "/v1/chat/completions/{}/messages"),
    ("GET", "/v1/messages/batches/{}"),
    ("GET", "/v1/messages/batches/{}/results"),
    ("POST", "/v1/messages/batches/{}/cancel"),
    ("DELETE", "/v1/messages/batches/{}"),
    ("GET", "/v1/realtime"),
    ("POST", "/v1/realtime/{}"),
    ("GET", "/v1/models/{}"),
    ("GET", "/v1/costhub/deferred/{}"),
)


@dataclass(frozen=True)
class Window:
    """An application, and who calls it."""

    loop: asyncio.AbstractEventLoop
    app: App
    acme: Tenant

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Conversation:
        """One request, answered."""
        asked = converse(self.acme.api_key, body, path=path, method=method, **headers)
        return self.loop.run_until_complete(asyncio.wait_for(serve(self.app, asked), 60))


@pytest.fixture
def window(committed_world: World, bank: Bank) -> Iterator[Window]:
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, max_output_tokens=100)
    make_budget(acme, "1000.00")
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=1)
    loop, app = asyncio.new_event_loop(), App()
    try:
        loop.run_until_complete(app.open())
        yield Window(loop, app, acme)
        loop.run_until_complete(app.close())
    finally:
        loop.close()


def check_shape(path: str, answer: Conversation) -> None:
    """Raise AssertionError for a fault of ours, and for an error that the path's own client does not read."""
    assert answer.status < 500, (answer.status, answer.body)
    if answer.status < 400:
        return
    told = json.loads(answer.body)
    error = told["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    if path.startswith("/v1/messages"):
        assert told["type"] == "error"
    else:
        assert error.keys() >= {"message", "type", "param", "code"}


def document(path: str) -> Any:
    """A document of one path, as schemathesis reads it."""
    schema = TypeAdapter(TYPES[path]).json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs", {})
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    answers = {"default": {"description": "Whatever it is."}}
    return schemathesis.openapi.from_dict(
        {
            "openapi": "3.1.0",
            "info": {"title": "The vendors' paths", "version": "1"},
            "paths": {path: {"post": {"requestBody": body, "responses": answers}}},
            "components": {"schemas": parts},
        }
    )


def run(examples: int, check: Callable[..., None], **strategies: Any) -> None:
    """Check so many examples, the same each time."""
    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    limits(given(**strategies)(check))()


def send_bodies(window: Window, path: str, examples: int) -> None:
    """Send bodies to a path, some of them to a model that is there."""

    def send(case: Any, is_known: bool) -> None:
        body = None if isinstance(case.body, NotSet) else case.body
        if is_known and isinstance(body, dict):
            body["model"] = "small"
        raw = b"" if isinstance(case.body, NotSet) else json.dumps(body).encode("utf-8", "surrogatepass")
        check_shape(path, window.send("POST", path, raw))

    run(examples, send, case=document(path)[path]["POST"].as_strategy(), is_known=st.booleans())


@pytest.mark.parametrize("path", TYPES)
def test_every_body_is_answered_or_refused_in_shape(window: Window, path: str) -> None:
    send_bodies(window, path, FEW if path in QUICK else FEW // 4)


@pytest.mark.soak
@pytest.mark.parametrize("path", TYPES)
def test_every_body_of_many(window: Window, path: str) -> None:
    send_bodies(window, path, MANY)


FIELDS: Final = st.dictionaries(
    st.sampled_from(["prompt", "n", "stream", "response_format", "language", "size", "user", "url", "temperature"]),
    st.sampled_from(["1", "0", "-1", "true", "false", "json", "srt", "b64_json", "1024x1024"]) | st.text(max_size=20),
    max_size=5,
)


def send_forms(window: Window, path: str, examples: int) -> None:
    """Send forms to a path, some of them to a model that is there, and some cut off."""

    def send(fields: dict[str, str], content: bytes, model: str, is_whole: bool) -> None:
        texts = {"model": model} | fields
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in texts.items()
        ]
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{FORMS[path]}"; filename="a.wav"\r\n\r\n'
        raw = "".join([*parts, head]).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        raw = raw if is_whole else raw[: len(raw) // 2]
        answer = window.send("POST", path, raw, content_type=f"multipart/form-data; boundary={BOUNDARY}")
        check_shape(path, answer)
        assert is_whole or answer.status == 400

    models = st.sampled_from(["small", "none", ""])
    run(examples, send, fields=FIELDS, content=st.binary(max_size=200), model=models, is_whole=st.booleans())


@pytest.mark.parametrize("path", FORMS)
def test_every_form_is_answered_or_refused_in_shape(window: Window, path: str) -> None:
    send_forms(window, path, FEW)


@pytest.mark.soak
@pytest.mark.parametrize("path", FORMS)
def test_every_form_of_many(window: Window, path: str) -> None:
    send_forms(window, path, MANY)


def test_every_name_of_nothing_is_refused_in_shape(window: Window) -> None:
    def look(place: tuple[str, str], name: str) -> None:
        method, path = place
        answer = window.send(method, path.format(name))
        check_shape(path, answer)
        assert answer.status in {400, 404, 405}

    run(FEW * 2, look, place=st.sampled_from(PLACES), name=st.text(min_size=1, max_size=40))


def test_every_query_of_a_list_is_answered_or_refused_in_shape(window: Window) -> None:
    def look(path: str, query: dict[str, str]) -> None:
        answer = window.send("GET", f"{path.format('chatcmpl-1')}?{urlencode(query)}")
        check_shape(path, answer)
        assert answer.status in {200, 400, 404}

    values = st.sampled_from(["1", "0", "-1", "asc", "desc", "batch_1", "file-" + "0" * 32]) | st.text(max_size=20)
    queries = st.dictionaries(st.sampled_from(QUERIES), values.filter(_is_writable), max_size=4)
    run(FEW * 2, look, path=st.sampled_from(LISTS), query=queries)


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def test_what_is_changed_of_a_kept_chat_is_taken_or_refused_in_shape(window: Window) -> None:
    body = {"model": "small", "store": True, "messages": [{"role": "user", "content": "Hi"}]}
    made = window.send("POST", "/v1/chat/completions", json.dumps(body).encode())
    path = f"/v1/chat/completions/{json.loads(made.body)['id']}"

    def change(body: Any, is_whole: bool) -> None:
        raw = json.dumps(body).encode("utf-8", "surrogatepass")
        answer = window.send("POST", path, raw if is_whole else raw[: len(raw) // 2])
        check_shape(path, answer)
        assert answer.status in {200, 400}

    values = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    bodies = values | st.dictionaries(
        st.sampled_from(["metadata", "model", "store"]), values | st.dictionaries(st.text(max_size=70), values)
    )
    run(FEW * 2, change, body=bodies, is_whole=st.booleans())
    assert window.send("GET", f"{path}/messages").status == 200
    assert window.send("DELETE", path).status == 200
    assert window.send("GET", path).status == 404


def test_every_file_is_kept_or_refused_in_shape(window: Window) -> None:
    def hand_in(content: bytes, purpose: str, is_whole: bool) -> None:
        raw = form(content, purpose=purpose)
        raw = raw if is_whole else raw[: len(raw) // 2]
        answer = window.send("POST", "/v1/files", raw, content_type=f"multipart/form-data; boundary={BOUNDARY}")
        check_shape("/v1/files", answer)
        assert is_whole or answer.status == 400

    purposes = st.sampled_from(["batch", "fine-tune", ""]) | st.text(st.characters(codec="ascii"), max_size=20)
    run(FEW, hand_in, content=st.binary(max_size=200), purpose=purposes, is_whole=st.booleans())
