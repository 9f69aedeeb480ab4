"""OpenAI's APIs of costs and usage, as far as they are asked: a page of two days each, money as a JSON number."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.stripe_double.state import Answer

KEY = "sk-admin-0123456789abcdef"
_DAY = 86_400


@dataclass
class Biller:
    """One organisation there. ``costs`` are USD by day and line item, ``usage`` tokens in and out by day and model,
    ``pieces`` what other APIs of usage count, by the API's name, the day and the model.
    ``missing`` are APIs that it does not have, ``failures`` what the next answers are in place of the truth."""

    costs: dict[date, dict[str, float]] = field(default_factory=dict)
    usage: dict[date, dict[str, tuple[int, int]]] = field(default_factory=dict)
    pieces: dict[str, dict[date, dict[str, dict[str, int]]]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    failures: list[Answer] = field(default_factory=list)
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """Answer one request."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self.asked.append({"path": [parts.path], **query})
        if self.failures:
            return self.failures.pop(0)
        if {name.lower(): value for name, value in headers.items()}.get("authorization") != f"Bearer {KEY}":
            return 401, {"error": {"message": "Incorrect API key provided."}}
        start, end = int(query["start_time"][0]), int(query["end_time"][0])
        first = int(query["page"][0]) if "page" in query else start
        last = min(first + 2 * _DAY, end)
        api = parts.path.rpartition("/")[2]
        if api in self.missing:
            return 404, {"error": {"message": "There is no such URL."}}
        buckets = [
            {
                "object": "bucket",
                "start_time": moment,
                "end_time": moment + _DAY,
                "results": self._list(api, moment),
            }
            for moment in range(first, last, _DAY)
        ]
        more = {"has_more": last < end, "next_page": str(last) if last < end else None}
        return 200, {"object": "page", "data": buckets, **more}

    def _list(self, api: str, moment: int) -> list[dict[str, Any]]:
        if api in {"costs", "completions"}:
            return self._costs(moment) if api == "costs" else self._usage(moment)
        found = self.pieces.get(api, {}).get(_day_of(moment), {})
        return [{"model": name, "num_model_requests": 1, **counts} for name, counts in found.items()]

    def _costs(self, moment: int) -> list[dict[str, Any]]:
        found = self.costs.get(_day_of(moment), {})
        return [{"amount": {"value": usd, "currency": "usd"}, "line_item": name} for name, usd in found.items()]

    def _usage(self, moment: int) -> list[dict[str, Any]]:
        found = self.usage.get(_day_of(moment), {})
        return [{"model": name, "input_tokens": put, "output_tokens": out} for name, (put, out) in found.items()]


def _day_of(moment: int) -> date:
    return datetime.fromtimestamp(moment, UTC).date()
