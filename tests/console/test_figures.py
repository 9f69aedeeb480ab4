"""A figure leads to what it is made of: the calls of the list that it opens sum to it, whatever the page was narrowed
to."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine

from costhub.lib.money import parse_usd
from proxy.ledger.charges import NO_KEY
from tests.billing.ledger import NOW, record_call, record_correction
from tests.console.client import Visit, error_of, rows_of, text_of
from tests.world import World, make_catalog

HOUR = timedelta(hours=1)
USD = 10**9
GROUPS = ("model", "project", "key", "end_user", "upstream", "status", "tag:team")


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def upstream(world: World) -> str:
    """Calls of this hour, of yesterday, of the month and of the month before: with and without names, tags, upstreams;
    each amount is a power of two, so that no two sums are alike."""
    sent = make_catalog(world.acme, model="small").upstream.pk
    refused: dict[str, Any] = {"status": 402, "attempts": [], "error_code": "model_not_priced"}
    rows: list[tuple[timedelta, dict[str, Any]]] = [
        (HOUR / 60, {"end_user": "mia", "tags": {"team": "blue"}, "upstream_id": sent}),
        (HOUR, {"end_user": "tom", "tags": {"team": "red", "app": "x"}, "upstream_id": sent, "request_model": "large"}),
        (HOUR * 2, {"upstream_id": sent, "status": 502, "attempts": [{"number": 1}]}),
        (HOUR * 3, {"end_user": "mia", "tags": {"team": "blue"}, "request_model": "large", **refused}),
        (HOUR * 26, {"end_user": "mia", "tags": {"app": "x"}, "upstream_id": sent, "price_id": None}),
        (HOUR * 24 * 9, {"end_user": "tom", "tags": {"team": "blue"}, "upstream_id": sent}),
        (HOUR * 24 * 25, {"end_user": "mia", "tags": {"team": "blue"}, "upstream_id": sent}),
        (HOUR * 5, {"status": 0, "attempts": [{"number": 1}], "upstream_id": sent}),
        (HOUR * 24 * 25, {"request_model": "large"}),
    ]
    for place, (age, columns) in enumerate(rows):
        cost = 0 if columns.get("status") == 402 else USD << place
        call = record_call(world.acme, NOW - age, cost=cost, **columns)
    same = {name: getattr(call, name) for name in ("end_user", "tags", "upstream_id")}
    record_correction(world.acme, call, -USD, **same)
    # No call has made these: on a day that has others, and on one that has none.
    for place, age in enumerate((HOUR * 4, HOUR * 24 * 4), 1):
        hours = {"key_id": NO_KEY, "request_model": "llama", "upstream_id": sent, "attempts": []}
        record_call(world.acme, NOW - age, cost=USD >> place, kind="gpu", **hours)
    return str(sent)


def narrowings(world: World, upstream: str) -> list[str]:
    return [
        "",
        "range=30d",
        "range=24h",
        "from=2026-11-13&to=2026-11-13",
        "from=2026-10-01&to=2026-11-30",
        f"range=30d&project={world.acme.project.pk}",
        "range=30d&tag:team=blue",
        "range=30d&model=large",
        "range=30d&end_user=mia",
        f"range=30d&upstream={upstream}",
        f"range=30d&key={world.acme.key.pk}",
        "range=30d&status=ok",
        "range=30d&status=failed",
    ]


def add_up(visit: Visit, link: str) -> tuple[int, int]:
    """How many calls the list at an address has, and what they cost, with what it says was spent beside calls."""
    page = visit.get(unescape(link))
    assert (page.status_code, error_of(page)) == (200, ""), link
    costs = re.findall(r'class="number cost">(.*?)</td>', page.content.decode(), re.DOTALL)
    assert len(costs) < 50
    amounts = [re.sub(r"<[^>]+>|\s|estimate", "", cost).replace("$", "") for cost in costs]
    asides = re.findall(r"\$([\d.]+)</b> beside calls", page.content.decode())
    return len(costs), sum(parse_usd(amount) for amount in [*amounts, *asides])


def figures_of(html: str) -> list[tuple[str, int, int]]:
    """Each line of a table of sums: its link, its calls, what they cost."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    found: list[tuple[str, int, int]] = []
    for row in body.split("<tr>")[1:]:
        link = re.search(r'href="([^"]+)"', row)
        calls = re.search(r'class="number[^>]*>\s*(\d+)</td>', row)
        spent = re.search(r'title="exactly \$([\d.]+)"', row)
        assert calls, row
        assert spent, row
        found.append((link[1] if link else "", int(calls[1]), parse_usd(spent[1])))
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_each_line_of_a_breakdown_leads_to_its_calls(world: World, upstream: str, group: str) -> None:
    ada, seen = Visit(world.ada), 0
    for query in narrowings(world, upstream):
        for link, calls, spent in figures_of(ada.get(f"/o/acme/breakdown?by={group}&{query}").content.decode()):
            if group == "status" and "status=failed" in query:
                assert link == ""  # a number would say less than this
                continue
            if not calls:
                assert (link, spent > 0) == ("", True)  # hours of GPUs
                continue
            assert add_up(ada, link) == (calls, spent), (query, link)
            seen += 1
    assert seen >= 12


@pytest.mark.parametrize("group", ["end_user", "model", "tag:team", "key"])
def test_each_line_of_the_first_page_leads_to_its_calls(world: World, upstream: str, group: str) -> None:
    ada, seen = Visit(world.ada), 0
    for query in narrowings(world, upstream):
        html = ada.get(f"/o/acme/overview/table?by={group}&{query}").content.decode()
        for link, calls, spent in figures_of(html):
            if not calls:
                assert (link, spent > 0) == ("", True)
                continue
            assert add_up(ada, link) == (calls, spent), (query, link)
            seen += 1
    assert seen >= 8


def test_each_bar_of_the_first_page_leads_to_its_calls(world: World, upstream: str) -> None:
    ada, seen, without = Visit(world.ada), 0, set[str]()
    for query in narrowings(world, upstream):
        html = ada.get(f"/o/acme/?{query}").content.decode()
        links = re.findall(r'<g class="chart-bar" data-bar ?(?:data-link="([^"]*)")?', html)
        totals = re.findall(r'class="tip-head">.*?\$([\d.]+)</span></p>', html, re.DOTALL)
        assert len(links) == len(totals), query
        for link, total in zip(links, totals, strict=True):
            assert not link or parse_usd(total), query
            if parse_usd(total) and not link:
                without.add(total)
            if link:
                assert add_up(ada, link)[1] == parse_usd(total), (query, link)
                seen += 1
        (whole,) = re.findall(r'Break it down</a>.*?<a href="([^"]*)">Its calls</a>', html)
        (spent,) = re.findall(r'class="card-total" title="[^"]*exactly \$([\d.]+)"', html)
        assert add_up(ada, whole)[1] == parse_usd(spent), query
    assert seen >= 25
    # The hour, and the day, in which there were hours of GPUs alone.
    assert without == {"0.500000000", "0.250000000"}


def test_the_tiles_lead_to_their_calls(world: World, upstream: str) -> None:
    ada = Visit(world.ada)
    html = ada.get("/o/acme/?range=30d").content.decode()
    for name, unit in (("today", USD), ("requests", 1), ("unpriced", 1)):
        tile = html.partition(f'data-tile="{name}"')[2].partition("</article>")[0]
        found = re.search(r'<a href="([^"]*requests[^"]*)">(.*?)</a>', tile, re.DOTALL)
        assert found is not None
        told = int(float(re.sub(r"<[^>]+>|\$", "", found[2])) * unit)
        assert add_up(ada, found[1])[unit == USD] == told, name
    for word, number in (("failed", 2), ("refused", 1)):
        found = re.search(rf'<a href="([^"]*status={word})"[^>]*>(\d+) {word}', html)
        assert found is not None
        assert add_up(ada, found[1])[0] == int(found[2]) == number


def test_what_cannot_be_an_hour_or_a_name_is_refused_in_words(world: World, upstream: str) -> None:
    ada = Visit(world.ada)
    for text in ("2026-11-22T13:00:00", "noon", "0001-01-01T00:00:00+14:00", "\x00"):
        page = ada.get(f"/o/acme/requests?hour={text}")
        assert (page.status_code, "hour:" in error_of(page)) == (400, True), text
    for text in ("colour", "tag:", "key"):
        page = ada.get(f"/o/acme/requests?without={text}")
        assert (page.status_code, "without: give model" in error_of(page)) == (400, True), text
    page = ada.get("/o/acme/requests?hour=2026-11-22T09:00:00%2B00:00&without=end_user")
    assert "Only calls of the hour from 22 Nov, 09:00 on that have no end user. Show all" in text_of(page)
    # A filter that is changed narrows these further.
    for field in ('name="hour" value="2026-11-22T09:00:00+00:00"', 'name="without" value="end_user"'):
        assert f'<input type="hidden" {field}>' in page.content.decode()


def test_whoever_chooses_another_time_has_left_the_hour(world: World, upstream: str) -> None:
    ada, hour = Visit(world.ada), "hour=2026-11-22T11:00:00%2B00:00"
    told = "Only calls of the hour from 22 Nov, 11:00 on"
    # As the form sends it: its days are the hour's own while nobody has changed them.
    for time, calls in (
        ("", 2),
        ("&range=custom&from=2026-11-22&to=2026-11-22", 2),
        ("&range=custom&from=2026-11-22&to=2026-11-22&model=large", 1),
        ("&range=custom&from=2026-11-21&to=2026-11-22", 6),
        ("&range=mtd", 7),
    ):
        page = ada.get(f"/o/acme/requests?{hour}{time}")
        is_of_the_hour = calls < 3
        assert (len(rows_of(page)), told in text_of(page)) == (calls, is_of_the_hour), time
        assert ('name="hour"' in page.content.decode()) is is_of_the_hour, time
