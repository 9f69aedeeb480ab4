"""A file that lies here is named in a message: what it holds is put there where it may stand, and a name that stands
anywhere else is refused."""

from contextlib import suppress
from typing import Any

import orjson
import pytest

from costhub.lib import clock
from proxy.batches.ids import FILE, find_id, show_id
from proxy.core.kept_files import Held, find_media_type, find_named, put_files, stand_in
from proxy.core.plan import make_plan
from proxy.core.weight import MAX_ESCAPES
from proxy.dialects import dialect_of
from proxy.errors import FileNamed, InvalidRequest
from proxy.values.request import Endpoint
from tests.proxy.core.examples import KEY, NO_CONTROLS, NOON_MS, ORG

Json = dict[str, Any]

OURS = f"{FILE}{clock.new_id_of(NOON_MS).replace('-', '')}"
#: as OpenAI and Azure name theirs
OPENAIS, AZURES = "file-6F2ksmvXxt4VdoqmHRw6kL", "file-00000000000000000000000000000000"
PDF, PNG, WORDS = b"%PDF-1.7\n\xff\x00", b"\x89PNG\r\n\x1a\n\x00", b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe"
AS_PDF, AS_PNG = "data:application/pdf;base64,JVBERi0xLjcK/wA=", "data:image/png;base64,iVBORw0KGgoA"
#: how each format names one where what it holds may stand, and where
NAMED: list[tuple[Endpoint, Json, str]] = [
    (Endpoint.CHAT, {"type": "file", "file": {"file_id": "?"}}, "messages[0].content[0].file"),
    (Endpoint.RESPONSES, {"type": "input_file", "file_id": "?"}, "input[0].content[0]"),
    (Endpoint.RESPONSES, {"type": "input_image", "file_id": "?"}, "input[0].content[0]"),
    (
        Endpoint.MESSAGES,
        {"type": "document", "source": {"type": "file", "file_id": "?"}},
        "messages[0].content[0].source",
    ),
    (Endpoint.MESSAGES, {"type": "image", "source": {"type": "file", "file_id": "?"}}, "messages[0].content[0].source"),
    (
        Endpoint.MESSAGES,
        {
            "type": "tool_result",
            "tool_use_id": "t1",
            "content": [{"type": "image", "source": {"type": "file", "file_id": "?"}}],
        },
        "messages[0].content[0].content[0].source",
    ),
    (
        Endpoint.MESSAGES,
        {
            "type": "document",
            "source": {
                "type": "content",
                "content": [{"type": "image", "source": {"type": "file", "file_id": "?"}}],
            },
        },
        "messages[0].content[0].source.content[0].source",
    ),
]


def make_body(endpoint: Endpoint, *parts: Any, **fields: Any) -> Json:
    """A body whose only message has these parts."""
    said = [{"role": "user", "content": list(parts)}]
    body: Json = {"model": "small", "input" if endpoint is Endpoint.RESPONSES else "messages": said, **fields}
    if endpoint is Endpoint.MESSAGES:
        body["max_tokens"] = 5
    return body


def name(body: Any, file_id: str) -> bytes:
    """It with a file's name in the place of each question mark."""
    return orjson.dumps(body).replace(b'"?"', orjson.dumps(file_id))


def parse(endpoint: Endpoint, raw: bytes) -> None:
    dialect_of(endpoint).parse_request(endpoint, raw)


def put(body: Json, *contents: bytes, most_bytes: int = 10_000) -> Json:
    """It with what files hold, each of whom it names once."""
    read = orjson.loads(name(body, OURS))
    files = {OURS: Held("letter.pdf", contents[0])}
    found: Json = orjson.loads(put_files(read, list(find_named(read)), files, most_bytes))
    return found


@pytest.mark.parametrize(("endpoint", "part", "place"), NAMED)
def test_one_of_ours_is_found_where_it_stands_and_a_providers_own_is_not(
    endpoint: Endpoint, part: Json, place: str
) -> None:
    body = make_body(endpoint, part)
    for other in (OPENAIS, AZURES, "file_011CNha8iCJcU1wXNR6q4V8w"):
        parse(endpoint, name(body, other))
        assert list(find_named(orjson.loads(name(body, other)))) == []
    with pytest.raises(FileNamed, match="name it in a part of a message") as caught:
        parse(endpoint, name(body, OURS))
    assert (caught.value.param, caught.value.error_code) == (f"{place}.file_id", "file_not_readable")
    assert [one.place for one in find_named(orjson.loads(name(body, OURS)))] == [f"{place}.file_id"]


@pytest.mark.parametrize(("endpoint", "part", "place"), NAMED)
def test_what_stands_in_for_a_file_costs_no_more_than_any(endpoint: Endpoint, part: Json, place: str) -> None:
    def bound(raw: bytes) -> int:
        request = dialect_of(endpoint).parse_request(endpoint, raw)
        return make_plan(request, NO_CONTROLS, KEY, ORG, NOON_MS).first.bound.input_tokens

    body = make_body(endpoint, part)
    least, put_there = bound(stand_in(name(body, OURS), 10_000)), 0
    for content in (PDF, PNG, WORDS):
        with suppress(InvalidRequest):
            assert least <= bound(orjson.dumps(put(body, content)))
            put_there += 1
    assert put_there


@pytest.mark.parametrize(
    ("endpoint", "body", "place"),
    [
        (Endpoint.MESSAGES, make_body(Endpoint.MESSAGES, {"type": "container_upload", "file_id": "?"}), "messages[0].content[0].file_id"),
        (
            Endpoint.RESPONSES,
            make_body(Endpoint.RESPONSES, {"type": "input_text", "text": "Hi"})
            | {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": [OPENAIS, "?"]}}]},
            "tools[0].container.file_ids[1]",
        ),
        (
            Endpoint.RESPONSES,
            {"model": "small", "input": [{"type": "computer_call_output", "call_id": "c", "output": {"file_id": "?"}}]},
            "input[0].output.file_id",
        ),
    ],
)  # fmt: skip
def test_where_nothing_can_be_put_its_name_goes_to_nobody(endpoint: Endpoint, body: Json, place: str) -> None:
    parse(endpoint, name(body, OPENAIS))
    assert list(find_named(orjson.loads(name(body, OURS)))) == []
    with pytest.raises(FileNamed) as caught:
        parse(endpoint, name(body, OURS))
    assert caught.value.param == place


@pytest.mark.parametrize(
    ("part", "content", "meant"),
    [
        (
            {"type": "file", "file": {"file_id": "?"}, "cache_control": {"type": "ephemeral"}},
            PDF,
            {
                "type": "file",
                "file": {"filename": "letter.pdf", "file_data": AS_PDF},
                "cache_control": {"type": "ephemeral"},
            },
        ),
        ({"type": "file", "file": {"file_id": "?"}}, WORDS, {"type": "text", "text": "Grüße"}),
        ({"type": "file", "file": {"file_id": "?"}}, PNG, {"type": "image_url", "image_url": {"url": AS_PNG}}),
        (
            {"type": "input_file", "file_id": "?"},
            PDF,
            {"type": "input_file", "filename": "letter.pdf", "file_data": AS_PDF},
        ),
        ({"type": "input_file", "file_id": "?"}, WORDS, {"type": "input_text", "text": "Grüße"}),
        ({"type": "input_file", "file_id": "?"}, PNG, {"type": "input_image", "image_url": AS_PNG}),
        (
            {"type": "input_image", "file_id": "?", "detail": "low"},
            PNG,
            {"type": "input_image", "detail": "low", "image_url": AS_PNG},
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "?"}, "citations": {"enabled": True}},
            PDF,
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjcK/wA="},
                "citations": {"enabled": True},
            },
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "?"}},
            WORDS,
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "?"}},
            PNG,
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoA"}},
        ),
    ],
)
def test_what_a_file_holds_stands_in_the_place_of_its_name(part: Json, content: bytes, meant: Json) -> None:
    body = put(make_body(Endpoint.CHAT, {"type": "text", "text": "Hi"}, part, {"type": "text", "text": "?!"}), content)
    assert body["messages"][0]["content"] == [{"type": "text", "text": "Hi"}, meant, {"type": "text", "text": "?!"}]


@pytest.mark.parametrize(
    ("part", "content", "why"),
    [
        ({"type": "file", "file": {"file_id": "?"}}, b"\x00\x01", "neither a PDF nor a picture"),
        ({"type": "input_file", "file_id": "?"}, b"\xff\xfe\xfd", "neither a PDF nor a picture"),
        ({"type": "input_image", "file_id": "?"}, PDF, "holds no picture"),
        ({"type": "document", "source": {"type": "file", "file_id": "?"}}, PNG, "in a block of type image"),
        ({"type": "image", "source": {"type": "file", "file_id": "?"}}, WORDS, "holds no picture"),
    ],
)
def test_what_cannot_stand_there_is_told_by_the_files_name_and_the_field(part: Json, content: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        put(make_body(Endpoint.CHAT, part), content)
    assert (caught.value.error_code, "letter.pdf" in caught.value.message) == ("file_not_readable", True)
    assert (caught.value.param or "").endswith("file_id")


def test_a_body_with_files_is_bounded_like_any_other() -> None:
    body = make_body(Endpoint.CHAT, {"type": "file", "file": {"file_id": "?"}})
    room = len(orjson.dumps(put(body, b"a" * 1_000)))
    put(body, b"a" * 1_000, most_bytes=room)
    with pytest.raises(InvalidRequest, match="longer than") as caught:
        put(body, b"a" * 1_000, most_bytes=room - 1)
    assert (caught.value.param, caught.value.error_code) == ("messages[0].content[0].file.file_id", "request_too_large")
    with pytest.raises(InvalidRequest, match="escaped characters"):
        put(body, b'"' * (MAX_ESCAPES + 1), most_bytes=100_000_000)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PDF, "application/pdf"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a\x00", "image/gif"),
        (b"RIFF\n\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\n\x00\x00\x00WAVEfmt ", ""),
        (b"", "text/plain"),
        ("Grüße".encode("utf-16"), ""),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, media_type: str) -> None:
    assert find_media_type(content) == media_type


def test_a_name_in_what_a_tool_is_called_with_is_the_callers_own() -> None:
    call = {
        "type": "tool_use",
        "id": "t",
        "name": "find",
        "input": {"content": [{"type": "input_file", "file_id": "?"}]},
    }
    body = make_body(Endpoint.MESSAGES) | {"messages": [{"role": "assistant", "content": [call]}]}
    parse(Endpoint.MESSAGES, name(body, OURS))
    assert list(find_named(orjson.loads(name(body, OURS)))) == []


def test_what_is_known_as_ours_is_what_files_are_called() -> None:
    file_id = find_id(FILE, OURS)
    assert file_id is not None
    assert show_id(FILE, file_id) == OURS
