"""A provider's API of costs and usage, OpenAI's or one like it: what each day and model is billed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from billing.spend.core.upstream_bill import Bill, Used, read_openai
from costhub.lib import clock
from costhub.lib.errors import AppError
from costhub.lib.net import Gate

#: its APIs of usage whose calls come through here: moderations cost nothing, stores of vectors are not proxied
_USAGE: Final = tuple(
    f"usage/{name}" for name in ("completions", "embeddings", "images", "audio_speeches", "audio_transcriptions")
)
#: so many days a page, which is the most that the API of usage gives
_PAGE: Final = 31
_MOST_PAGES: Final = 40
#: for all pages together: a provider that drips keeps nobody else's bill waiting
_SECONDS: Final = 30.0
_MOST_BYTES: Final = 8 * 1024 * 1024


class BillUnavailable(AppError):
    """The provider did not say what it bills. Its words are not repeated: they may hold the key."""

    code = "bill_unavailable"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Provider:
    """One account's. ``credential`` is never in what is raised or given."""

    gate: Gate
    base_url: str
    credential: str
    project: str = ""

    def read_bill(self, first: date, end: date) -> Bill:
        """Days ``[first, end)`` of UTC's by model: money as the API of costs has it, tokens and pieces as those of
        usage, as far as it has these. Raises BillUnavailable, InvalidField for an answer that is none, and what the
        gate raises."""
        ends_ns = clock.ends_in(_SECONDS)
        found: dict[tuple[date, str], Used] = {}
        for path in ("costs", *_USAGE):
            group = "line_item" if path == "costs" else "model"
            for page in self._pages(path, group, first, end, ends_ns):
                for key, used in read_openai(page).items():
                    found[key] = found.get(key, Used()) + used
        return found

    def _pages(self, path: str, group: str, first: date, end: date, ends_ns: int) -> Iterator[dict[str, Any]]:
        params = {
            "start_time": str(_seconds(first)),
            "end_time": str(_seconds(end)),
            "bucket_width": "1d",
            "limit": str(_PAGE),
            "group_by[]": group,
        }
        if self.project:
            params["project_ids[]"] = self.project
        for _ in range(_MOST_PAGES):
            page = self._ask(f"/organization/{path}?{urlencode(params)}", ends_ns)
            yield page
            following = page.get("next_page")
            if not page.get("has_more") or not isinstance(following, str):
                return
            params["page"] = following
        raise BillUnavailable("The provider's bill has more pages than one has days: nothing of it was kept.")

    def _ask(self, path: str, ends_ns: int) -> dict[str, Any]:
        left_ns = ends_ns - clock.monotonic_ns()
        if left_ns <= 0:
            raise BillUnavailable("The provider takes too long to say what it bills: nothing of it was kept.")
        answer = self.gate.fetch_now(
            "GET",
            self.base_url + path,
            headers={"accept": "application/json", "authorization": f"Bearer {self.credential}"},
            timeout_seconds=left_ns / 1e9,
            max_bytes=_MOST_BYTES,
        )
        if answer.status == 404 and path.startswith("/organization/usage/"):
            return {"data": []}  # it has no such calls, or does not count them
        if answer.status in {401, 403}:
            raise BillUnavailable(f"The provider answered {answer.status}: give an admin key that may read usage.")
        if answer.status != 200:
            raise BillUnavailable(f"The provider answered {answer.status}.")
        try:
            body = json.loads(answer.body, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise BillUnavailable("The provider's answer is not JSON.") from error
        if not isinstance(body, dict):
            raise BillUnavailable("The provider's answer is no object.")
        return body


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
