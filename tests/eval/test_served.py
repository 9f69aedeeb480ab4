"""Dialogues as a proxy is sent them: what is left out is known turn by turn."""

import json
from pathlib import Path

import pytest

from costhub.eval.compression import measure_served
from costhub.eval.data import read_meetings
from costhub.eval.vectors import Vectors

OTHER = "the fleet landed less herring than the quota of the year allows, and the price of fuel rose again"
TOLD = "the battery of the remote control lasts for two years, and the battery is charged in its own cradle"
TURNS = 60


def write_meeting(folder: Path, queries: list[tuple[str, list[int]]]) -> Path:
    said = [TOLD if 20 <= turn < 25 else f"in week {turn} {OTHER}" for turn in range(TURNS)]
    meeting = {
        "meeting_transcripts": [
            {"speaker": ("Ada", "Ben", "Cleo")[turn % 3], "content": content} for turn, content in enumerate(said)
        ],
        "specific_query_list": [
            {"query": query, "relevant_text_span": [[str(turn), str(turn)] for turn in turns]}
            for query, turns in queries
        ],
    }
    path = folder / "compression" / "qmsum"
    path.mkdir(parents=True)
    (path / "test.jsonl").write_text(json.dumps(meeting) + "\n")
    return folder


def test_what_a_question_needs_is_kept_and_what_it_does_not_is_told_by_the_turn(tmp_path: Path) -> None:
    question = "What did Ben say about the battery of the remote control?"
    folder = write_meeting(tmp_path, [(question, [20, 21, 22, 23, 24]), (question, list(range(TURNS)))])
    assert len(read_meetings(folder)[0].turns) == TURNS
    found = measure_served(folder, Vectors(None))
    # Of the second question every turn is evidence, so its share is that of the turns which are kept.
    (needed,) = found["as served, by need"]
    *_, least = found["as served, by `extract_percent`"]
    assert needed.kept == pytest.approx((1 + 46 / TURNS) / 2)
    assert least.kept == pytest.approx((1 + 16 / TURNS) / 2)
    assert needed.achieved == pytest.approx(1.308, abs=0.01)
    assert least.achieved == pytest.approx(3.834, abs=0.01)


def test_a_question_about_the_whole_counts_as_it_is_sent(tmp_path: Path) -> None:
    folder = write_meeting(tmp_path, [("Summarize the whole meeting.", [0, 59])])
    for points in measure_served(folder, Vectors(None)).values():
        assert {(point.achieved, point.kept) for point in points} == {(1.0, 1.0)}
