"""Why the bill changed: it comes after the page of invoices, and is a page of its own without scripts."""

from datetime import timedelta
from uuid import uuid4

import time_machine

from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, text_of
from tests.world import World


def test_it_comes_after_the_page_and_stands_alone(world: World) -> None:
    with time_machine.travel(NOW, tick=False):
        record_call(world.acme, NOW - timedelta(days=31), cost=10**9, request_model="small")
        record_call(world.acme, NOW - timedelta(days=1), cost=3 * 10**9, request_model="small")
        ada, address = Visit(world.ada), "/o/acme/invoices/bridge"
        listed = ada.get("/o/acme/invoices").content.decode()
        assert f'hx-get="{address}"' in listed
        assert f'href="{address}"' in listed
        alone, part = ada.get(address), ada.get(address, **{"hx-request": "true"})
        for answer in (alone, part):
            assert "October, the same days" in text_of(answer)
            assert "November so far" in text_of(answer)
        assert "<html" in alone.content.decode()
        assert part.content.decode().lstrip().startswith("<section")
        assert Visit(world.mallory).get(address).status_code == 404


def test_of_a_project_a_key_and_a_tag(world: World) -> None:
    acme = world.acme
    with time_machine.travel(NOW, tick=False):
        record_call(acme, NOW - timedelta(days=32), cost=10**9)
        record_call(acme, NOW - timedelta(days=1), cost=3 * 10**9, tags={"team": "search"})
        record_call(acme, NOW - timedelta(days=1), cost=5 * 10**9, tags={"team": "ads"}, key_id=uuid4())
        ada, address = Visit(world.ada), "/o/acme/invoices/bridge"

        def told(query: str) -> str:
            return text_of(ada.get(f"{address}?{query}", **{"hx-request": "true"}))

        assert "$7.00 more: $8.00 against $1.00." in told("")
        assert "$7.00 more: $8.00 against $1.00." in told(f"project={acme.project.pk}&key=&tag=&value=")
        assert "$2.00 more: $3.00 against $1.00." in told(f"key={acme.key.pk}")
        assert "$5.00 more: $5.00 against $0.00." in told("tag=team&value=ads")
        # What is chosen stands in the form of the part that follows.
        page = ada.get(f"{address}?tag=team&value=ads").content.decode()
        assert '<option value="team" selected>team</option>' in page
        assert 'value="ads"' in page
        for query, words in (("project=x", "project: give the id"), ("colour=red", "There is no such parameter")):
            refused = ada.get(f"{address}?{query}")
            assert refused.status_code == 400
            assert words in error_of(refused)
