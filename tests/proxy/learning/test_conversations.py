"""Examples, as calls and files have them."""

import orjson
import pytest

from costhub.lib.errors import InvalidField
from proxy.learning.conversations import (
    Example,
    Message,
    NoExample,
    digest,
    pack,
    read_call,
    read_jsonl,
    unpack,
    write_jsonl,
)

JSON = "application/json"
STREAM = "text/event-stream; charset=utf-8"
ASKED = {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Capital of France?"}]}
PROMPT = (Message("system", "Be short."), Message("user", "Capital of France?"))


def whole(content: object) -> bytes:
    return orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]})


def event(content: str | None, index: int = 0) -> bytes:
    delta = {} if content is None else {"content": content}
    return b"data: " + orjson.dumps({"choices": [{"index": index, "delta": delta}]}) + b"\n\n"


def test_a_whole_answer() -> None:
    assert read_call(ASKED, whole("Paris."), JSON) == (PROMPT, "Paris.")


def test_a_stream_with_its_usage_and_its_end() -> None:
    answer = (
        event(None) + event("Pa") + event("ris.") + b'data: {"choices":[],"usage":{}}\n\n: note\n\ndata: [DONE]\n\n'
    )
    assert read_call(ASKED, answer, STREAM) == (PROMPT, "Paris.")


MESSAGES = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "France?"}, {"type": "text", "text": "Paris."}],
}
RESPONSE = {
    "object": "response",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Paris."}]},
    ],
}


def events(*bodies: dict[str, object]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(one["type"]).encode(), orjson.dumps(one)) for one in bodies)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (orjson.dumps(MESSAGES), JSON),
        (orjson.dumps(RESPONSE), JSON),
        (
            events(
                {"type": "message_start", "message": {**MESSAGES, "content": []}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Pa"}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ris."}},
                {"type": "message_stop"},
            ),
            STREAM,
        ),
        (
            events(
                {"type": "response.created", "response": {"object": "response", "output": []}},
                {"type": "response.output_text.delta", "output_index": 1, "delta": "Pa"},
                {"type": "response.output_text.delta", "output_index": 1, "delta": "ris."},
                {"type": "response.output_text.done", "output_index": 1, "text": "Paris."},
                {"type": "response.completed", "response": RESPONSE},
            ),
            STREAM,
        ),
    ],
    ids=["messages", "responses", "messages streamed", "responses streamed"],
)
def test_answers_in_other_forms(answer: bytes, kind: str) -> None:
    assert read_call(ASKED, answer, kind) == (PROMPT, "Paris.")


def test_parts_of_text_are_one_text() -> None:
    parts = [{"type": "text", "text": "Capital "}, {"type": "text", "text": "of France?"}]
    prompt, _ = read_call({"messages": [{"role": "user", "content": parts}]}, whole("Paris."), JSON)
    assert prompt == (Message("user", "Capital of France?"),)


@pytest.mark.parametrize(
    ("request_body", "answer", "kind"),
    [
        (ASKED, whole(None), JSON),
        (ASKED, whole("  "), JSON),
        (ASKED, b"[]", JSON),
        (ASKED, b"{", JSON),
        (ASKED, event("a") + event("b", 1), STREAM),
        (ASKED, b"data: {oops\n\n", STREAM),
        (ASKED, b"data: 5\n\n", STREAM),
        (ASKED, orjson.dumps(MESSAGES | {"content": [{"type": "tool_use", "input": {"city": "Paris"}}]}), JSON),
        (ASKED, orjson.dumps(RESPONSE | {"output": [{"type": "function_call", "arguments": "{}"}]}), JSON),
        (ASKED, events({"type": "error", "error": {"type": "overloaded_error"}}), STREAM),
        ({"messages": []}, whole("Paris."), JSON),
        ({"messages": [{"role": "system", "content": "Be short."}]}, whole("Paris."), JSON),
        ({"messages": [{"role": "tool", "content": "5"}]}, whole("Paris."), JSON),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, whole("A cat."), JSON),
        ({"messages": ["Capital of France?"]}, whole("Paris."), JSON),
        ({}, whole("Paris."), JSON),
    ],
)
def test_what_is_no_example(request_body: dict[str, object], answer: bytes, kind: str) -> None:
    with pytest.raises(NoExample):
        read_call(request_body, answer, kind)


def test_a_file_comes_back_as_it_went() -> None:
    examples = [
        Example("run", 5, PROMPT, "Paris."),
        Example("run", 5, (*PROMPT, Message("assistant", "Paris."), Message("user", "Sure?\nÄ")), "Yes."),
    ]
    text = write_jsonl(examples).decode()
    assert text.split("\n")[0] == (
        '{"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Capital of France?"},'
        '{"role":"assistant","content":"Paris."}]}'
    )
    assert read_jsonl(text, source="run", at_ms=5) == examples
    assert [unpack("run", 5, pack(example)) for example in examples] == examples


def test_what_is_right_stays_beside_the_answer_and_is_no_part_of_the_file() -> None:
    line = '{"messages":[{"role":"user","content":"Capital?"},{"role":"assistant","content":"Lyon."}],"gold":"Paris."}'
    (example,) = read_jsonl(line, source="run", at_ms=5)
    assert (example.answer, example.gold) == ("Lyon.", "Paris.")
    assert unpack("run", 5, pack(example)) == example
    assert b"gold" not in write_jsonl([example])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"gold":5}',
            "Line 1: gold must be a text",
        ),
        ("", "Give at least one line"),
        ('{"messages": [}', "Line 1 is not JSON"),
        ('\n{"messages": 5}', "Line 2: There are no messages"),
        ("[]", "Line 1: There are no messages"),
        ('{"messages": [{"role": "user", "content": "Hi"}]}', "the last message must be the assistant's"),
        ('{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": " "}]}', "Line 1"),
        ('{"messages": [{"role": "user", "content": "Hi\\u0000"}, {"role": "assistant", "content": "a"}]}', "NUL"),
        ('{"messages": [{"role": "robot", "content": "Hi"}]}', "Line 1: A message is no plain text"),
        ("{}\n" * 5_001, "at most 5,000 lines"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(text: str, says: str) -> None:
    with pytest.raises(InvalidField, match=says):
        read_jsonl(text, source="run", at_ms=0)


def test_a_digest_sees_no_case_spacing_or_unicode_form() -> None:
    one = digest((Message("user", "Où  est\nLE café?"),))
    assert digest((Message("user", "où est le cafe\u0301?"),)) == one
    assert digest((Message("user", "où est le thé?"),)) != one
    assert digest((Message("system", "où est le café?"),)) != one
    assert digest((Message("user", "où est"), Message("user", "le café?"))) != one
