"""Which calls are a student's, and what it says in OpenAI's form."""

from typing import Any

import orjson
import pytest

from proxy.learning.conversations import Example, Message
from proxy.learning.frames import frame_of, list_frames
from proxy.learning.student_answers import count_tokens, draw, read_asked, render

ASKED = [{"role": "system", "content": "Name  the topic."}, {"role": "user", "content": "Where is it?"}]
PROMPT = (Message("system", "name the TOPIC."), Message("user", "How much?"))
FRAMES = [frame_of(PROMPT)]


def why_not(stage: str = "promoted", percent: int = 10, **body: Any) -> str:
    return read_asked({"messages": ASKED, **body}, stage=stage, canary_percent=percent, frames=FRAMES).why_not


def test_a_frame_is_the_instructions_whatever_their_case_and_spacing() -> None:
    assert read_asked({"messages": ASKED}, stage="promoted", canary_percent=1, frames=FRAMES).question == "Where is it?"
    assert why_not() == ""
    assert frame_of(PROMPT) != frame_of(PROMPT[1:])
    assert frame_of(PROMPT) != frame_of((*PROMPT, Message("assistant", "5"), Message("user", "Sure?")))


def test_what_was_seen_once_is_no_frame() -> None:
    examples = [Example(str(place), 0, PROMPT, "x") for place in range(3)]
    assert list_frames([*examples, Example("9", 0, PROMPT[1:], "x")]) == FRAMES


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stage": "shadow"}, "The student is shadow."),
        ({"stage": "rolled_back"}, "The student is rolled back."),
        ({"stage": "withdrawn"}, "The student is withdrawn."),
        ({"tools": [{}]}, "The call has tools."),
        ({"n": 2}, "The call has n."),
        ({"response_format": {"type": "json_object"}}, "The call has response_format."),
        ({"response_format": {"type": "text"}}, ""),
        ({"messages": ASKED[1:]}, "It has not learned under these instructions."),
        ({"messages": [*ASKED, {"role": "assistant", "content": "It"}]}, "The last message is not the user's."),
        ({"messages": "none"}, "There are no messages, or more than 200."),
    ],
)
def test_what_is_not_for_it(fields: dict[str, Any], reason: str) -> None:
    assert why_not(**fields) == reason


def test_a_canary_gets_a_share_by_the_question() -> None:
    share = draw("Where is it?")
    assert why_not("canary", share + 1) == ""
    assert why_not("canary", share) == "The canary's share is others."
    drawn = [draw(f"question {number}") for number in range(2_000)]
    assert min(drawn) >= 0
    assert max(drawn) < 100
    assert 150 < sum(number < 10 for number in drawn) < 250


def test_tokens_are_the_teachers_of_all_that_was_said() -> None:
    asked = read_asked({"messages": ASKED}, stage="promoted", canary_percent=1, frames=FRAMES)
    assert asked.texts == ("Name  the topic.", "Where is it?")
    assert count_tokens(["hello world"] * 2, "cl100k_base", around=4) == 12
    assert count_tokens(asked.texts, "bytes", around=4) == (16 + 12) // 4 + 8
    assert count_tokens([""], "bytes") == 1


def test_a_likelihood_is_a_log_probability_and_no_answer_is_empty() -> None:
    values: dict[str, Any] = {"call_id": "1", "created": 5, "model": "topics", "prompt_tokens": 3, "label_tokens": 1}
    kind, raw = render(**values, label="refund", likelihood=0.5, is_stream=False, wants_usage=False)
    body = orjson.loads(raw)
    assert (kind, body["choices"][0]["message"]["content"]) == ("application/json", "refund")
    assert body["choices"][0]["logprobs"]["content"][0]["logprob"] == pytest.approx(-0.6931471805599453)
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    kind, raw = render(**values, label="", likelihood=0.0, is_stream=True, wants_usage=True)
    assert kind == "text/event-stream"
    assert raw.endswith(b"data: [DONE]\n\n")
    events = [orjson.loads(event.removeprefix(b"data: ")) for event in raw.split(b"\n\n")[:-2]]
    assert [event["choices"][0]["delta"] for event in events[:2]] == [{"role": "assistant", "content": ""}, {}]
    assert events[2]["usage"]["completion_tokens"] == 0
