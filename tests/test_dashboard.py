"""The dashboard and the alert rules speak of metrics that exist, with labels that those have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from costhub.lib import metrics
from costhub.lib.metrics import LedgerFigures
from tests.proxy.deployment import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "costhub.json"
RULES = ROOT / "deploy" / "prometheus" / "costhub.rules.yml"
_NAME = re.compile(r"\b(?:llm|costhub)_[a-z_]+")
#: what stands behind the name of a counter or histogram
_SAMPLES = ("", "_total", "_bucket", "_count", "_sum")


def list_metrics() -> set[str]:
    families = [*REGISTRY.collect(), *LedgerFigures({}, {}, None).collect()]
    return {f"{family.name}{suffix}" for family in families for suffix in _SAMPLES}


def list_panels() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def list_queries() -> list[str]:
    return [target["expr"] for panel in list_panels() for target in panel["targets"]]


def list_rules() -> list[str]:
    """Each alert with its expression, as text: the file's form is promtool's to check."""
    return re.findall(r"- alert: (?:.|\n)*?(?=\n\s+labels:)", RULES.read_text())


@pytest.mark.parametrize("text", [*list_queries(), *list_rules()])
def test_every_metric_that_is_named_exists(text: str) -> None:
    named = set(_NAME.findall(text))
    assert named
    assert named <= list_metrics()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = set(_NAME.findall(" ".join(list_queries())))
    families = [*REGISTRY.collect(), *LedgerFigures({}, {}, None).collect()]
    ours = [family.name for family in families if family.name.startswith(("llm_", "costhub_"))]
    assert [name for name in ours if not shown & {f"{name}{suffix}" for suffix in _SAMPLES}] == []
    assert len(ours) >= 15


def test_labels_that_are_asked_for_are_those_of_the_metric() -> None:
    labels = {"org", "scope", "model", "mechanism", "endpoint", "status", "direction", "code", "task", "outcome", "le"}
    for text in list_queries():
        for group in re.findall(r"by \(([^)]*)\)", text):
            assert set(group.replace(" ", "").split(",")) <= labels
    # The alert compares them task by task.
    assert metrics.JOB_AGE._labelnames == metrics.JOB_LATE_AFTER._labelnames == ("task",)


def test_the_dashboard_names_no_data_source_of_ours_and_no_panel_twice() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "org": "query"}
    assert {panel["datasource"]["uid"] for panel in list_panels()} == {"${datasource}"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert "id" not in dashboard, "an installation gives it its own"


def test_panels_tile() -> None:
    """No two lie over each other, and none leaves the grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
