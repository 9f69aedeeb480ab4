"""What upstreams say when they refuse: their words, a code, the status they mean, and when to come again."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstreams.refusals import find_refusal, read_pause, read_refusal
from proxy.values.vendor import Refusal

#: 2026-03-02T12:00:00Z
NOON_MS = 1_772_452_800_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "message", "detail", "code", "type", "status", "param", "loc", "details"]
            ),
            inner,
            max_size=4,
        )
    ),
)

OPENAI = {
    "message": "Too long.",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "context_length_exceeded",
}
SHAPES: list[tuple[str, Any, Refusal]] = [
    ("OpenAI", {"error": OPENAI}, Refusal("Too long.", "context_length_exceeded", "messages", 400)),
    ("Gemini", [{"error": {"code": 400, "message": "Unknown name", "status": "INVALID_ARGUMENT"}}], Refusal("Unknown name", "INVALID_ARGUMENT", None, 400)),
    ("Gemini, out of quota", [{"error": {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}]}}], Refusal("Slow down", "RESOURCE_EXHAUSTED", None, 429, 7.5)),
    ("vLLM", {"object": "error", "message": "Extra inputs", "type": "BadRequestError", "param": None, "code": 400}, Refusal("Extra inputs", "BadRequestError", None, 400)),
    ("Mistral", {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "too many"}]}, "type": "invalid_request_error"}, Refusal("body.n: too many", "invalid_request_error", None, 400)),
    ("FastAPI", {"detail": [{"loc": ["body", "n"], "msg": "must be 1"}, {"loc": ["body"], "msg": "odd"}]}, Refusal("body.n: must be 1; body: odd")),
    ("FastAPI, a text", {"detail": "Unsupported parameter: top_k"}, Refusal("Unsupported parameter: top_k")),
    ("a problem document", {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "No such field."}, Refusal("No such field.", "about:blank", None, 400)),
    ("a message alone", {"message": "model is warming up", "code": "warming"}, Refusal("model is warming up", "warming")),
    ("Cloudflare", {"success": False, "errors": [{"code": 7003, "message": "no route"}]}, Refusal("no route", "7003")),
    ("llama.cpp", {"error": {"code": 400, "message": "exceeds the context", "type": "exceed_context_size_error", "n_ctx": 4096}}, Refusal("exceeds the context", "exceed_context_size_error", None, 400)),
    ("Anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Refusal("Overloaded", "overloaded_error", None, 503)),
    ("OpenRouter", {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "try later"}}}, Refusal("Provider returned error; try later", "", None, 429)),
    ("MiniMax", {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}, Refusal("login fail")),
    ("Zhipu", {"error": {"code": "1210", "message": "wrong parameter"}}, Refusal("wrong parameter", "1210")),
    ("Baidu", {"error_code": 18, "error_msg": "qps limit"}, Refusal("qps limit", "18")),
    ("a status as a text", {"error": {"code": "429", "message": "busy"}}, Refusal("busy", "", None, 429)),
    ("a text for an error", {"error": "No."}, Refusal("No.")),
    ("nested twice", {"error": {"error": {"message": "No.", "code": "c"}}}, Refusal("No.", "c")),
    ("a text", "No.", Refusal("No.")),
    ("words without shape", ["No.", "Never."], Refusal("No.; Never.")),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "body", "refusal"), SHAPES, ids=[shape for shape, _, _ in SHAPES])
def test_words_codes_and_statuses_in_every_shape(shape: str, body: Any, refusal: Refusal) -> None:
    assert read_refusal(orjson.dumps(body)) == refusal


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"model overloaded, try another", "model overloaded, try another"),
        (b"<html><head><title>502 Bad\n Gateway</title></head>", "502 Bad Gateway"),
        ("<!DOCTYPE html><TITLE lang=de>Überlastet</Title><title>2</title>".encode(), "Überlastet"),
        (b"<p>nothing said", ""),
        (b"<title>never closed", ""),
        (b"</title><title", ""),
        # What a pattern would take hours for, on everybody's loop: an upstream is a tenant's, and says what it likes.
        pytest.param(b"<title>" * 500_000, "", id="titles"),
        pytest.param(b"<title" * 500_000, "", id="tags"),
        (b"", ""),
        (b"bell\x07 and \xff", "bell and \ufffd"),
        (b"{}", ""),
        (b"null", ""),
        (b"5", ""),
        (b'{"error": {"message": "an emoji\\ud83c"}}', "an emoji\ud83c"),
    ],
)
def test_words_that_are_no_json(raw: bytes, words: str) -> None:
    assert read_refusal(raw).message == words


@pytest.mark.parametrize(
    ("answer", "is_refused"),
    [
        ({"error": {"message": "No."}}, True),
        ({"error": "No.", "choices": []}, True),
        ([{"error": {"message": "No."}}], True),
        ({"object": "error", "message": "No."}, True),
        ({"detail": "No."}, True),
        ({"message": "No.", "code": 400}, True),
        ({"errors": [{"message": "No."}]}, True),
        ({"base_resp": {"status_code": 1004, "status_msg": "No."}, "choices": None}, True),
        ({"base_resp": {"status_code": 0, "status_msg": ""}, "choices": [{}]}, False),
        ({"choices": [{"message": {"content": "Hi"}}], "message": "a greeting"}, False),
        ({"data": [{"embedding": [1]}], "detail": "high"}, False),
        ({"usage": {"prompt_tokens": 9}, "choices": []}, False),
        ({"error": None, "choices": [{}]}, False),
        ({"error": {}}, False),
        ({"error": ""}, False),
        ({}, False),
        ([], False),
        (5, False),
    ],
)
def test_a_refusal_in_the_clothes_of_an_answer(answer: Any, is_refused: bool) -> None:
    assert (find_refusal(answer) is not None) is is_refused


def test_it_is_kept_and_shown_no_longer_than_this() -> None:
    refusal = Refusal("x" * 2_001, "c\0" + "x" * 100, "p" * 201).shortened()
    assert refusal == Refusal("x" * 2_000, "c" + "x" * 99, "p" * 200)


def test_halves_of_characters_can_be_told_on() -> None:
    """Some servers escape them where they cut a text; neither an answer nor a row can carry them."""
    raw = b'{"error": {"message": "no\\ud83d", "code": "c\\udc00", "param": "p\\ud83d"}}'
    assert read_refusal(raw).shortened() == Refusal("no?", "c?", "p?")


@given(json_values)
def test_no_shape_does_harm(body: Any) -> None:
    refusal = read_refusal(orjson.dumps(body))
    assert isinstance(refusal.message, str)
    assert isinstance(refusal.code, str)
    assert refusal.status == 0 or 400 <= refusal.status < 600
    find_refusal(body)


@pytest.mark.parametrize(
    ("header", "header_ms", "seconds"),
    [
        (None, None, None),
        ("7", None, 7.0),
        ("0.5", None, 0.5),
        (" 2. ", None, 2.0),
        ("30", "250", 0.25),
        (None, "1500.5", 1.5005),
        ("Mon, 02 Mar 2026 12:00:20 GMT", None, 20.0),
        ("Mon, 02 Mar 2026 13:00:20 +0100", None, 1_220.0 - 1_200.0),
        ("Mon, 02 Mar 2026 11:00:00 GMT", None, 0.0),
        ("Monday, 02-Mar-26 12:00:20 GMT", None, 20.0),
        ("99999999", None, 86_400.0),
        ("-5", None, None),
        ("1e3", None, None),
        ("inf", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Mon, 99 Foo 2026", None, None),
        ("7", "soon", 7.0),
    ],
)
def test_when_to_come_again(header: str | None, header_ms: str | None, seconds: float | None) -> None:
    assert read_pause({"retry-after": header, "retry-after-ms": header_ms}.get, NOON_MS) == seconds
