"""The stand-in for a dear teacher, and which questions are asked of it."""

import json
from pathlib import Path

import httpx2
import pytest

from costhub.eval.data import DataMissing
from costhub.eval.distil import TASKS, Failed, Figures, _choose, _read_rows, show
from costhub.eval.stand_in import StandIn

ANSWERS = {f"question {number}": ("red", "green", "blue")[number % 3] for number in range(3_000)}


def test_it_errs_as_often_as_it_is_told_and_always_alike() -> None:
    stand_in = StandIn(ANSWERS, 40)
    wrong = [question for question, label in ANSWERS.items() if stand_in.say(question) != label]
    assert 80 < len(wrong) < 160
    assert wrong == [question for question, label in ANSWERS.items() if StandIn(ANSWERS, 40).say(question) != label]
    assert [question for question, label in ANSWERS.items() if StandIn(ANSWERS, 0).say(question) != label] == []


async def test_it_answers_as_a_server_does() -> None:
    transport = httpx2.ASGITransport(app=StandIn(ANSWERS, 0))
    async with httpx2.AsyncClient(transport=transport, base_url="http://teacher") as http:
        messages = [{"role": "system", "content": "Name it."}, {"role": "user", "content": "question 1"}]
        answer = (await http.post("/v1/chat/completions", json={"model": "dear", "messages": messages})).json()
    assert answer["choices"][0]["message"]["content"] == "green"
    assert answer["usage"] == {"prompt_tokens": 14, "completion_tokens": 1, "total_tokens": 15}


def test_questions_are_different_and_of_so_many_labels() -> None:
    rows = [*ANSWERS.items(), ("question 0", "red")]
    chosen = _choose(rows, 2, 1_000)
    assert len(dict(chosen)) == 1_000
    assert {label for _, label in chosen} == {"blue", "green"}
    assert chosen == _choose(rows, 2, 1_000)
    with pytest.raises(Failed, match="take more labels"):
        _choose(rows, 1, 2_000)


def test_figures_are_shown_a_line_each() -> None:
    told = show(Figures(prompts=5, seconds={"training": 1.5}))
    assert "prompts                     5" in told
    assert "seconds: training           1.5" in told
    assert "without encoder" not in told


def test_each_set_is_read_with_the_labels_that_are_asked_for(tmp_path: Path) -> None:
    assert TASKS.keys() == {"clinc150", "headlines"}
    for name in TASKS:
        with pytest.raises(DataMissing):
            _read_rows(tmp_path, name)
    headlines, clinc = tmp_path / "cascade" / "headlines", tmp_path / "semantic_cache" / "clinc150"
    headlines.mkdir(parents=True)
    clinc.mkdir(parents=True)
    for part, label in (("train", "up"), ("test", "down")):
        (headlines / f"HEADLINES__{part}.csv").write_text(f'"Q: gold goes {label}\nA:",{label},1\n')
    (clinc / "data_full.json").write_text(json.dumps({"train": [["hi", "greet"]], "oos_train": [["what?", "oos"]]}))
    assert _read_rows(tmp_path, "headlines") == [("gold goes up", "up"), ("gold goes down", "down")]
    assert _read_rows(tmp_path, "clinc150") == [("hi", "greet")]
