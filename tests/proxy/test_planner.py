"""How calls are planned: who is asked what, by what is known of upstreams at that moment."""

from typing import Any

import orjson

from proxy.core.cooldowns import FAILURES
from proxy.wiring import Edges
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.choices import UpstreamKind
from tenants.snapshots import UpstreamSnapshot
from tests.bank import Bank
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, converse, running, serve
from tests.proxy.scripted_upstream import scripted, whole
from tests.world import Catalog, World, make_catalog


async def test_who_cannot_be_asked_is_passed_over_also_where_the_first_one_has_just_begun_to_cool_down(
    committed_world: World, bank: Bank
) -> None:
    """``small`` fails while others' calls find out that it is down; ``other`` does not know the field ``seed``: the
    last one serves the call, as at any other moment."""
    acme, edges = committed_world.acme, list[Edges]()

    def fail(_: Any) -> list[bytes]:
        for _ in range(FAILURES):
            edges[0].health.note_failure(down[0])
        return whole({"error": {"message": "Not now"}}, 503)

    down = list[UpstreamSnapshot]()
    with scripted(fail) as upstream:

        def make() -> Catalog:
            make_catalog(acme, base_url=bank.base_url, model="last")
            make_catalog(acme, kind=UpstreamKind.ANTHROPIC, model="other")
            small = make_catalog(acme, base_url=upstream.base_url, model="small")
            with org_scope(acme.org_id):
                update_model(actor=acme.owner, model=small.model, fallbacks=["other", "last"])
            return small

        small = await in_thread(make)
        async with running() as app:
            assert app._edges is not None
            edges.append(app._edges)
            down.append((await app._edges.catalog.get_org(acme.org_id)).upstreams[str(small.upstream.pk)])
            answers = [await serve(app, converse(acme.api_key, chat(seed=1))) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200], orjson.loads(answers[0].body)
    # The second call is planned while it is down, and is not refused for a field that only ``other`` does not know.
    assert [answer.headers["x-costhub-model"] for answer in answers] == ["last", "last"]
    # Twice again for the first call, and not at all for the second.
    assert len(upstream.bodies) == 3
