"""Traces, as a real collector receives them from a real proxy."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from proxy.core.spans import CallTrace
from proxy.ledger import recount
from proxy.telemetry.export import Exporter
from proxy.wiring import _open_tracer
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import read_row
from tests.proxy.collector import Collector, collect
from tests.proxy.core.test_spans import make_row
from tests.proxy.deployment import NO_TLS, ROOT, Deployment, deploy
from tests.proxy.load import call_all, make_bodies
from tests.proxy.test_operations import wait_until
from tests.world import Tenant, World, make_budget, make_catalog

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT, INTERNAL = 3, 1


class Traced:
    """A proxy that sends its traces to a collector."""

    def __init__(self, proxy: Deployment, collector: Collector) -> None:
        self.proxy = proxy
        self.collector = collector


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traces")
    with (
        django_db_blocker.unblock(),
        collect() as collector,
        deploy(folder, OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.url}/") as proxy,
    ):
        yield Traced(proxy, collector)


@pytest.fixture
def traced(running: Traced) -> Traced:
    running.collector.spans.clear()
    return running


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    made = make_catalog(committed_world.acme, base_url=bank.base_url)
    with org_scope(committed_world.acme.org_id):
        update_upstream(actor=committed_world.acme.owner, upstream=made.upstream, max_retries=1)
    make_budget(committed_world.acme, "1.00")
    # The budget begins in mid-period: its counter is made now, so that no call has to ask twice.
    recount.recount(committed_world.acme.org.shard, "", ())
    return committed_world.acme


def call(proxy: Deployment, acme: Tenant, traceparent: str = "", **fields: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {acme.api_key}"} | ({"traceparent": traceparent} if traceparent else {})
    body = {
        "model": "small",
        "messages": [{"role": "user", "content": "my-own-words"}],
        "user": "una-the-user",
    } | fields
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        return http.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers)


def count_spans(proxy: Deployment, outcome: str) -> int:
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        text = http.get(f"{proxy.root_url}/metrics").text
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "costhub_spans_total" and sample.labels["outcome"] == outcome
    )


def test_a_call_is_a_span_with_its_reserve_and_its_attempt(acme: Tenant, bank: Bank, traced: Traced) -> None:
    answer = call(traced.proxy, acme, bank={"output_tokens": 12})
    whole, reserve, attempt = traced.collector.wait_for(3)
    request_id = answer.headers["x-request-id"]
    row = read_row(acme, request_id)
    port = int(bank.base_url.split(":")[2].split("/")[0])
    server = {"server.address": "127.0.0.1", "server.port": port}
    assert row.effective_cost > 0
    assert whole.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai_compatible",
        "gen_ai.request.model": "small",
        "gen_ai.request.stream": False,
        "gen_ai.response.model": row.response_model,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": row.input_tokens,
        "gen_ai.usage.output_tokens": 12,
        "http.response.status_code": 200,
        "costhub.request_id": request_id,
        "costhub.org": acme.org.slug,
        "costhub.project_id": str(acme.project.pk),
        "costhub.upstream_id": str(row.upstream_id),
        "costhub.route": "direct",
        "costhub.cost_nanos": row.effective_cost,
        "costhub.list_cost_nanos": row.list_cost,
        "costhub.savings_nanos": 0,
        "costhub.is_estimated": False,
        "costhub.overhead_us": row.overhead_us,
        **server,
    }
    assert reserve.attributes == {"costhub.attempt": 1}
    assert attempt.attributes == {
        "costhub.attempt": 1,
        "costhub.certainty": "exact",
        "costhub.cost_nanos": row.effective_cost,
        "http.response.status_code": 200,
        **server,
    }
    assert [span.name for span in (whole, reserve, attempt)] == ["chat small", "reserve", "upstream attempt"]
    assert [span.kind for span in (whole, reserve, attempt)] == [CLIENT, INTERNAL, CLIENT]
    # A trace of our own is the request's id.
    assert {span.trace_id for span in (whole, reserve, attempt)} == {UUID(request_id).hex}
    assert (whole.parent_id, reserve.parent_id, attempt.parent_id) == ("", whole.span_id, whole.span_id)
    assert whole.start_ns <= reserve.start_ns <= reserve.end_ns <= attempt.start_ns <= attempt.end_ns <= whole.end_ns
    assert whole.start_ns // 1_000_000 == int(row.started_at.timestamp() * 1000)
    assert whole.resource["service.name"] == "costhub"
    assert not any(span.is_error for span in (whole, reserve, attempt))
    assert_tells_no_secret(traced.collector, acme)


def assert_tells_no_secret(collector: Collector, acme: Tenant) -> None:
    told = repr([(span.name, span.attributes, span.resource) for span in collector.spans])
    for secret in ("my-own-words", "una-the-user", acme.api_key, acme.key.prefix, str(acme.key.pk)):
        assert secret not in told


def test_the_callers_trace_is_gone_on_with_and_its_wish_respected(acme: Tenant, traced: Traced) -> None:
    call(traced.proxy, acme, f"00-{'1' * 32}-{SPAN}-00")
    call(traced.proxy, acme, f"00-{TRACE}-{SPAN}-01")
    call(traced.proxy, acme, "00-not-a-trace")
    spans = traced.collector.wait_for(6)
    first, second = (span for span in spans if span.name == "chat small")
    assert (first.trace_id, first.parent_id) == (TRACE, SPAN)
    assert second.trace_id == UUID(str(second.attributes["costhub.request_id"])).hex
    assert len(spans) == 6


def test_a_retry_is_an_attempt_of_its_own_and_a_stream_tells_its_first_chunk(
    acme: Tenant, bank: Bank, traced: Traced
) -> None:
    call(traced.proxy, acme, bank={"fault": "http_503"})
    spans = traced.collector.wait_for(4)
    whole, *parts = spans
    attempts = [span for span in parts if span.name == "upstream attempt"]
    assert [span.attributes.get("http.response.status_code") for span in attempts] == [503, 503]
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1]
    assert [span.is_error for span in attempts] == [True, True]
    assert whole.is_error
    assert whole.attributes["error.type"] == attempts[1].attributes["error.type"]
    assert whole.attributes["http.response.status_code"] == 503
    answer = call(traced.proxy, acme, stream=True, bank={"output_tokens": 3})
    stream = traced.collector.wait_for(7)[4]
    row = read_row(acme, answer.headers["x-request-id"])
    assert row.first_byte_us is not None
    assert stream.attributes["gen_ai.request.stream"] is True
    assert stream.attributes["gen_ai.response.time_to_first_chunk"] == row.first_byte_us / 1e6


def test_refusals_are_told_with_their_code(acme: Tenant, traced: Traced) -> None:
    call(traced.proxy, acme, model="my-own-words is no model")
    (unknown,) = traced.collector.wait_for(1)
    make_budget(acme, "0.000000001", scope=BudgetScope.KEY, subject=str(acme.key.pk))
    wait_until(lambda: call(traced.proxy, acme).status_code == 402)
    wait_until(lambda: any(span.attributes.get("error.type") == "budget_exceeded" for span in traced.collector.spans))
    refused = next(span for span in traced.collector.spans if span.attributes.get("error.type") == "budget_exceeded")
    assert (unknown.name, unknown.attributes["error.type"], unknown.is_error) == ("chat", "model_not_found", True)
    assert "gen_ai.provider.name" not in unknown.attributes
    assert refused.is_error
    assert refused.attributes["http.response.status_code"] == 402
    assert refused.attributes["costhub.cost_nanos"] == 0


def test_a_collector_that_is_away_or_refuses_costs_spans_and_no_call(acme: Tenant, tmp_path: Path) -> None:
    with collect() as collector, deploy(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as proxy:
        collector.status = 400
        assert call(proxy, acme).status_code == 200
        wait_until(lambda: count_spans(proxy, "dropped") == 3)
        collector.status = 200
        assert call(proxy, acme).status_code == 200
        collector.wait_for(3)
        wait_until(lambda: count_spans(proxy, "exported") == 3)
        assert count_spans(proxy, "dropped") == 3
    with deploy(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as proxy:
        bodies = make_bodies(40, "small", n=1, stream=False)
        outcomes = asyncio.run(call_all(proxy.base_url, acme.api_key, bodies, clients=8))
        assert {outcome.status for outcome in outcomes} == {200}
        wait_until(lambda: count_spans(proxy, "dropped") >= 120)


def test_spans_that_wait_are_exported_when_the_worker_stops(acme: Tenant, tmp_path: Path) -> None:
    with collect() as collector, deploy(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as proxy:
        call(proxy, acme)
        os.kill(proxy.worker_pids[0], signal.SIGTERM)
        assert len(collector.wait_for(3)) == 3


def run(program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {program}"],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "costhub.settings", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        | environment,
        capture_output=True,
        text=True,
    )


def test_without_a_collector_there_is_no_tracer(settings: Settings) -> None:
    settings.TRACES_ENDPOINT = ""
    assert _open_tracer() is None


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "give http://host:port"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector", "give http://host:port"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key", "give name=value"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_at_the_start(name: str, value: str, advice: str) -> None:
    assert advice in run("", **{name: value}).stderr.splitlines()[-1]


def test_the_collectors_headers_are_sent() -> None:
    trace = CallTrace(make_row(), "acme", "", 0, 1, [], None)
    with collect() as collector:
        exporter = Exporter(collector.url, "another name", {"api-key": "a b"})
        assert exporter.export([trace]) == (1, 0)
        (span,) = collector.spans
        assert collector.headers["api-key"] == "a b"
        assert span.resource == {"service.name": "another name"}
        collector.status = 503
        assert exporter.export([trace, trace]) == (0, 2)
    assert exporter.export([trace]) == (0, 1), "it is gone"
