"""What of a prompt was left out: the parts make both texts again, and are shown to those who may see them."""

from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib import clock
from proxy.edges.capture import place_of
from proxy.learning.models import CapturedCall
from proxy.learning.sealing import seal
from proxy.learning.shortened import LEFT_OUT, MOST_PIECES, PUT_IN, SAME, Part, compare, find_shortened
from tenants.access import org_scope
from tenants.actions.capture import create_capture_policy, delete_capture_policy
from tenants.models import CapturePolicy
from tests.billing.ledger import record_call
from tests.world import Tenant, World, make_client

WORDS = st.lists(st.sampled_from(["the", "office", "in", "Oslo", " ", "\n", ".", "é", "🙂", "<b>"]), max_size=30).map(
    "".join
)


@given(WORDS, WORDS)
def test_the_parts_make_both_texts_again(before: str, after: str) -> None:
    parts = compare(before, after)
    assert "".join(part.text for part in parts if part.kind != PUT_IN) == before
    assert "".join(part.text for part in parts if part.kind != LEFT_OUT) == after


def test_words_are_told_apart() -> None:
    assert compare("Could you say why it rains?", "Say why it rains?") == [
        Part(LEFT_OUT, "Could you say"),
        Part(PUT_IN, "Say"),
        Part(SAME, " why it rains?"),
    ]
    long = "a " * MOST_PIECES
    assert compare(long, "a") == [Part(LEFT_OUT, long), Part(PUT_IN, "a")]


def keep(tenant: Tenant, shortened: list[tuple[str, str]]) -> CapturedCall:
    """A call that was sent shorter, kept as the job keeps it, with its row in the ledger."""
    at = clock.now() - timedelta(seconds=5)
    row = record_call(tenant, at, list_cost=10, effective_cost=4, savings={"compression": 6})
    said = {"messages": [], "answer": "", "content_type": "application/json", "shortened": shortened}
    with org_scope(tenant.org_id):
        return CapturedCall.objects.create(
            id=row.id,
            org=tenant.org,
            at=row.started_at,
            project_id=tenant.project.pk,
            model="small",
            teacher="small",
            end_user="",
            sealed=seal(tenant.org, place_of(str(row.id)), orjson.dumps(said).decode()),
            expires_at=at + timedelta(days=1),
        )


@pytest.fixture
def acme(world: World) -> Tenant:
    with org_scope(world.acme.org_id):
        create_capture_policy(actor=world.acme.owner, per_mille=1_000)
        CapturePolicy.objects.update(created_at=clock.now() - timedelta(hours=1))
    return world.acme


def test_only_with_consent_and_for_whoever_may_give_it(acme: Tenant, world: World, client: Client) -> None:
    call = keep(acme, [("Please say <b>why</b>.", "Say <b>why</b>.")])
    path = f"/o/acme/requests/{call.pk}"
    client.force_login(world.ada)
    text = client.get(path).content.decode()
    assert "<del>Please say</del><ins>Say</ins> &lt;b&gt;why&lt;/b&gt;." in text
    ben = make_client()
    ben.force_login(world.ben)
    assert "What was sent in fewer words" not in ben.get(path).content.decode()
    with org_scope(acme.org_id):
        delete_capture_policy(actor=acme.owner, policy=CapturePolicy.objects.get())
        assert find_shortened(acme.owner, call.pk) == []
    assert "What was sent in fewer words" not in client.get(path).content.decode()


def test_a_call_of_others_or_one_that_does_not_open_shows_nothing(acme: Tenant, world: World) -> None:
    call = keep(acme, [("Please say why.", "Say why.")])
    with org_scope(world.mallcorp.org_id):
        assert find_shortened(world.mallcorp.owner, call.pk) == []
    with org_scope(acme.org_id):
        assert len(find_shortened(acme.owner, call.pk)) == 1
        assert find_shortened(acme.owner, uuid4()) == []
        CapturedCall.objects.filter(pk=call.pk).update(sealed=b"nonsense")
        assert find_shortened(acme.owner, call.pk) == []
