"""Spans of a call: the parent from its header, and what no attribute may be."""

import pytest

from proxy.core.row import Row, open_row
from proxy.core.spans import CallTrace, Parent, make_spans, read_parent
from proxy.values.attempt import ATTEMPTED, RESERVED
from tenants.snapshots import KeySnapshot

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def make_row(**fields: object) -> Row:
    key = KeySnapshot("key", "org", "project", 1, None, None, None, False)
    row = open_row("01a2142e-67c6-7951-a78b-938f4582c011", 1_790_000_000_000, key, "embeddings")
    return row | {"status": 200, "overhead_us": 40} | fields


class TestParent:
    @pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
    def test_it_is_the_callers_span(self, flags: str, is_sampled: bool) -> None:
        assert read_parent(f"00-{TRACE}-{SPAN}-{flags}") == Parent(int(TRACE, 16), int(SPAN, 16), is_sampled)

    def test_a_later_version_may_say_more(self) -> None:
        assert read_parent(f"cc-{TRACE}-{SPAN}-01-more") == Parent(int(TRACE, 16), int(SPAN, 16), True)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "00",
            f"00-{TRACE}-{SPAN}",
            f"00-{TRACE}-{SPAN}-01-more",
            f"ff-{TRACE}-{SPAN}-01",
            f"00-{'0' * 32}-{SPAN}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE.upper()}-{SPAN}-01",
            f"00-{TRACE[:-1]}g-{SPAN}-01",
            f"00-{TRACE}-{SPAN}-1",
            f"00-{TRACE}-{SPAN}- 1",
            "ü" * 60,
        ],
    )
    def test_what_is_none_is_left_alone(self, header: str) -> None:
        assert read_parent(header) is None


class TestSpans:
    def test_moments_are_the_calls_own_plus_what_has_gone_by(self) -> None:
        timings = [(RESERVED, 1, 1_100, 1_200), (ATTEMPTED, 1, 1_300, 1_400)]
        spans = make_spans(CallTrace(make_row(), "acme", "https://llm.example", 1_000, 1_500, timings, None))
        began = 1_790_000_000_000 * 1_000_000
        assert [(span.name, span.start_ns - began, span.end_ns - began) for span in spans] == [
            ("embeddings", 0, 500),
            ("reserve", 100, 200),
            ("upstream attempt", 300, 400),
        ]

    @pytest.mark.parametrize(
        ("origin", "server"),
        [
            ("https://llm.example", ("llm.example", 443)),
            ("http://llm.example", ("llm.example", 80)),
            ("http://[::1]:8081", ("::1", 8081)),
            ("", (None, None)),
        ],
    )
    def test_the_server_is_the_upstreams(self, origin: str, server: tuple[str | None, int | None]) -> None:
        (span,) = make_spans(CallTrace(make_row(), "acme", origin, 0, 1, [], None))
        assert (span.attributes.get("server.address"), span.attributes.get("server.port")) == server

    def test_texts_of_callers_and_upstreams_are_cut(self) -> None:
        long = "x" * 5_000
        row = make_row(request_model=long, response_model=long, finish_reason=long, error_code=long, upstream_id="u")
        (span,) = make_spans(CallTrace(row, "acme", "", 0, 1, [], None))
        assert max(len(str(value)) for value in span.attributes.values()) <= 204
        assert len(span.name) <= 220

    def test_end_users_tags_runs_and_keys_are_not_told(self) -> None:
        row = make_row(end_user="una", tags={"team": "secret-team"}, session="run-7", would_refuse=["b-1"])
        (span,) = make_spans(CallTrace(row, "acme", "", 0, 1, [], None))
        told = str(span)
        assert not any(word in told for word in ("una", "secret-team", "run-7", "'key'"))
        assert span.attributes["costhub.would_refuse"] == ["b-1"]

    def test_a_failure_without_a_code_is_its_status(self) -> None:
        (span,) = make_spans(CallTrace(make_row(status=502), "acme", "", 0, 1, [], None))
        assert span.error == span.attributes["error.type"] == "502"

    def test_money_is_whole_nanos(self) -> None:
        (span,) = make_spans(CallTrace(make_row(list_cost=17, effective_cost=12), "acme", "", 0, 1, [], None))
        assert [span.attributes[f"costhub.{name}_nanos"] for name in ("cost", "list_cost", "savings")] == [12, 17, 5]
