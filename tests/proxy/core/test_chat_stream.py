"""Chunks of a chat, read and put together."""

from typing import Any

from proxy.core.chat_stream import assemble, read_chunks, read_whole


def test_events_in_any_style_are_read() -> None:
    plain = b'data: {"a":1}\n\ndata: {"b":2}\n\n'
    assert read_chunks(plain) == [{"a": 1}, {"b": 2}]
    assert read_chunks(b'event: x\ndata: {"a":1}\r\n\r\n: comment\ndata: {"b":\ndata: 2}\n\n') == [{"a": 1}, {"b": 2}]
    assert read_chunks(b'data: {"a":1}\n\ndata: {broken}\n\ndata: [1]\n\ndata: [DONE]\n\n') == [{"a": 1}]
    assert read_chunks(b"") == []


def test_what_no_answer_can_carry_becomes_what_it_can_be() -> None:
    assert read_chunks(b'data: {"a":"\\ud83c","b":NaN}\n\n') == [{"a": "?", "b": None}]
    assert read_whole(b'{"a":"\\ud83c"}') == {"a": "?"}
    assert read_whole(b"[1]") == read_whole(b"no JSON") == {}


def test_a_stream_becomes_the_whole_that_it_would_have_been() -> None:
    def chunk(delta: object, reason: str | None = None, index: int = 0) -> dict[str, object]:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}

    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "find", "arguments": "{"}}
    whole = assemble(
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hel"}),
            chunk({"content": "lo"}),
            chunk({"content": "Other"}, "stop", 1),
            chunk({"tool_calls": [call]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}, "tool_calls"),
            {"id": "c", "choices": [], "usage": {"total_tokens": 3}, "costhub": {"cost": "0"}},
        ]
    )
    function = {"name": "find", "arguments": "{}"}
    assert whole == {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "tool_calls": [{**call, "function": function}]},
                "finish_reason": "tool_calls",
            },
            {"index": 1, "message": {"role": "assistant", "content": "Other"}, "finish_reason": "stop"},
        ],
        "usage": {"total_tokens": 3},
    }
    assert assemble([]) is None


def test_calls_of_one_number_are_told_apart_by_their_ids() -> None:
    def chunk(name: str, given: str) -> dict[str, object]:
        call = {"index": 0, "id": name, "function": {"name": "find", "arguments": given}}
        return {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}

    more = {"index": 0, "function": {"arguments": "}"}}
    last = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [more]}}]}
    whole = assemble([chunk("t1", "{}"), chunk("t2", "{"), last])
    assert whole is not None
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("t1", "{}"), ("t2", "{}")]


class Number(int):
    """A number of a call, which notes how often any was compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Number.compared += 1
        return int(self) == other

    def __hash__(self) -> int:
        return int(self)


def test_any_number_of_calls_is_put_together_without_looking_through_all_of_them_for_each() -> None:
    def chunk(number: int, given: str) -> dict[str, Any]:
        call = {"index": Number(number), "function": {"name": "f", "arguments": given}}
        return {"id": "c", "choices": [{"index": 0, "delta": {"content": "a", "tool_calls": [call]}}]}

    whole = assemble([chunk(number, given) for given in "{}" for number in range(1_000)])
    assert whole is not None
    message = whole["choices"][0]["message"]
    assert message["content"] == "a" * 2_000
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ["{}"] * 1_000
    assert Number.compared < 10_000


def test_arguments_that_are_no_text_stay_as_they_are() -> None:
    call = {"index": 0, "id": "t", "function": {"name": "f", "arguments": {"a": 1}}}
    whole = assemble([{"id": "c", "choices": [{"index": 0, "delta": {"content": None, "tool_calls": [call]}}]}])
    assert whole is not None
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": None, "tool_calls": [call]}
