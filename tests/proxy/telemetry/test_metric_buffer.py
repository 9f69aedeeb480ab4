"""Counts of calls on their way to Prometheus."""

from typing import Any

from prometheus_client import REGISTRY

from proxy.core.row import Row, open_row
from proxy.telemetry.metric_buffer import MetricBuffer
from tests.proxy.core.examples import KEY


def ended(**fields: Any) -> Row:
    row = open_row("0197e9d4-0000-7000-8000-0000000000aa", 0, KEY, "chat/completions")
    return row | {"status": 200, "request_model": "small", "overhead_us": 300} | fields


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_was_saved_is_counted_by_its_mechanism_and_never_backwards() -> None:
    buffer = MetricBuffer()
    before = counted("llm_savings_dollars_total", mechanism="test-routing")
    buffer.count("acme", ended(savings={"test-routing": 3_000_000_000}))
    buffer.count("acme", ended(savings={"test-routing": -1_000_000_000, "test-worse": -5}))
    buffer.flush()
    assert counted("llm_savings_dollars_total", mechanism="test-routing") == before + 2
    assert counted("llm_savings_dollars_total", mechanism="test-worse") == 0
    buffer.flush()
    assert counted("llm_savings_dollars_total", mechanism="test-routing") == before + 2, "counted once"
