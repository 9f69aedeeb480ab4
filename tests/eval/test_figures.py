"""Areas, shares, bounds and pictures, by hand."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from costhub.cli import main
from costhub.eval import command
from costhub.eval.cascade import HEADS, _run_head, calibration_error, draw_correlated
from costhub.eval.command import _write
from costhub.eval.data import DataMissing, RoutingSet
from costhub.eval.picture import draw_curves
from costhub.eval.report import Report
from costhub.eval.routing import Ends, area, compare, curve, measure_ends, saved_at_equal, share_for, split_folds
from costhub.eval.statistics import bound_share, resample
from costhub.eval.vectors import Vectors

GAINS = np.array([1.0, 0.0, 1.0, 0.0])


def test_apgr_by_hand() -> None:
    best, worst = np.array([4.0, 1.0, 3.0, 0.0]), np.array([0.0, 3.0, 1.0, 4.0])
    assert curve(best, GAINS).tolist() == [0, 0.5, 1, 1, 1]
    assert area(best, GAINS) == pytest.approx(0.75)
    assert area(worst, GAINS) == pytest.approx(0.25)
    assert (share_for(best, GAINS, 0.5), share_for(worst, GAINS, 0.5)) == (0.25, 0.75)
    # Half of the calls at 10, half at 1, against all at 10.
    assert saved_at_equal(best, GAINS, 1.0, 10.0) == pytest.approx(0.45)


def test_a_difference_of_a_method_from_itself_is_nothing() -> None:
    draw = np.random.default_rng(1)
    gains = draw.random(200)
    assert compare(gains, gains, gains) == (0.0, 0.0)
    low, high = compare(gains, -gains, gains)
    assert 0 < low < high


def test_folds_spread_each_task() -> None:
    folds = split_folds(["a"] * 50 + ["b"] * 10)
    assert [int((folds[:50] == fold).sum()) for fold in range(5)] == [10] * 5
    assert [int((folds[50:] == fold).sum()) for fold in range(5)] == [2] * 5


def test_the_bound_of_a_share() -> None:
    # No error in 299 requests bounds the error rate at one per cent.
    assert bound_share(0, 299) == pytest.approx(0.01, abs=1e-4)
    assert bound_share(5, 5) == 1.0
    assert resample(4, lambda rows: float(len(rows))) == (4.0, 4.0)


def test_a_calibrated_confidence_has_no_error() -> None:
    right = np.array([True, False] * 150)
    assert calibration_error(np.full(300, 0.5), right) == pytest.approx(0.0)
    assert calibration_error(np.full(300, 0.9), right) == pytest.approx(0.4)


def test_errors_correlate_as_asked() -> None:
    draw = np.random.default_rng(2)
    right = draw.random(40_000) < 0.8
    other = draw_correlated(right, 0.85, 0.6, draw)
    assert other.mean() == pytest.approx(0.85, abs=0.01)
    assert np.corrcoef(right, other)[0, 1] == pytest.approx(0.6, abs=0.02)


def test_a_head_that_teaches_itself_is_sure_of_what_it_has_seen_and_right() -> None:
    draw = np.random.default_rng(3)

    def make(count: int) -> list[tuple[str, str]]:
        rows = []
        for _ in range(count):
            is_up = bool(draw.integers(2))
            rows.append(
                (
                    f"Gold {'gains' if is_up else 'falls'} {draw.integers(99)} on day {draw.integers(9)}",
                    "up" if is_up else "down",
                )
            )
        return rows

    unlabelled = [text for text, _ in make(40)]
    sure, right = _run_head(HEADS["words and letters, teaching itself"], make(20), unlabelled, make(50))
    assert right.mean() == 1.0
    assert sure.min() > 0.6


def test_a_picture_is_xml_with_its_names_escaped() -> None:
    picture = draw_curves({"a < b": [(0, 0), (1, 2)], "flat": [(0, 1)]}, x="share", y="kept & shown")
    texts = [element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "flat", "share", "kept & shown"} <= set(texts)
    assert ('fill="#fff"' in picture, "currentColor" in picture) == (True, False)
    # On a page that may be dark it has the colour of the page's text.
    inline = draw_curves({"flat": [(0, 1), (1, 1)]}, x="share", y="kept", is_inline=True)
    assert ('fill="#fff"' in inline, "#ddd" in inline, "currentColor" in inline) == (False, False, True)
    with pytest.raises(ValueError, match="no point"):
        draw_curves({}, x="", y="")


def test_nobody_is_better_than_who_knows_or_worse_than_the_ends() -> None:
    """Of four prompts the weak model is right on one, the strong one on two others, and nobody on the last."""
    rows = RoutingSet(
        prompts=["p"] * 4,
        tasks=["t"] * 4,
        weak=np.array([1.0, 0.0, 0.0, 0.0]),
        strong=np.array([0.0, 1.0, 1.0, 0.0]),
        weak_price=1.0,
        strong_price=10.0,
        weak_answers=[],
    )
    # Half of the calls at 10 and half at 1, against all at 10.
    assert measure_ends(rows) == Ends(0.25, 0.5, 0.75, 0.5, 1 - 5.5 / 10)


def test_all_subjects_are_measured_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(folder: Path, vectors: Vectors) -> Report:
        raise DataMissing("there is no data")

    monkeypatch.setattr(command, "SUBJECTS", {name: lambda *_: Report({"n": 1}, "| t |\n") for name in ("a", "b")})
    document = tmp_path / "quality.md"
    assert main(["eval", "all", "--data", str(tmp_path), "--json", "--write", str(document)]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": {"n": 1}, "b": {"n": 1}}
    assert document.read_text() == "<!-- a -->\n| t |\n<!-- /a -->\n\n<!-- b -->\n| t |\n<!-- /b -->\n"
    # What comes before a missing file is kept.
    monkeypatch.setattr(command, "SUBJECTS", {"a": lambda *_: Report({}, "| u |\n"), "b": missing})
    assert main(["eval", "all", "--data", str(tmp_path), "--write", str(document)]) == 1
    assert "| u |" in document.read_text()
    assert capsys.readouterr().err == "costhub eval: there is no data\n"


def test_a_folder_without_the_data_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "cache", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"costhub eval: {tmp_path}/semantic_cache/clinc150/data_full.json cannot be read: No such file or directory.\n"
    )


def test_figures_go_between_their_marks(tmp_path: Path) -> None:
    document = tmp_path / "quality.md"
    document.write_text("# Ours\n\n<!-- cascade -->\nold\n<!-- /cascade -->\n\nEnd.\n")
    made = Report({}, "| new |\n", {"curve.svg": "<svg/>"})
    for _ in range(2):
        _write(made, "cascade", document)
        assert document.read_text() == (
            "# Ours\n\n<!-- cascade -->\n| new |\n\n![curve](images/curve.svg)\n<!-- /cascade -->\n\nEnd.\n"
        )
    assert (tmp_path / "images" / "curve.svg").read_text() == "<svg/>"
    _write(made, "cache", document)
    assert document.read_text().endswith(
        "End.\n\n<!-- cache -->\n| new |\n\n![curve](images/curve.svg)\n<!-- /cache -->\n"
    )
