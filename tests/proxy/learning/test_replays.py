"""Paid replays, through a real proxy: never above their cap, paid for once, and what they find is what was billed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos
from costhub.lib.secrets import API_KEY, make_secret
from proxy.learning.consent import forget_uncovered
from proxy.learning.models import CapturedCall, PaidReplay
from proxy.learning.replay_core import LEAST_PAIRS, estimate_ratio
from proxy.learning.replays import cancel_paid_replay, continue_replay, start_paid_replay
from proxy.ledger.drain import drain
from proxy.ledger.model import LedgerEntry
from tenants.access import org_scope
from tenants.actions.capture import delete_capture_policy
from tenants.actions.orgs import update_organization
from tenants.models import CapturePolicy
from tests.bank import Bank, answer_text
from tests.billing.ledger import record_call
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.rows import capture, consent
from tests.world import Tenant, World, make_budget, make_catalog

USD = 10**9
BEFORE = 50_000


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("proxy")) as deployment:
        yield deployment


@pytest.fixture
def acme(committed_world: World, bank: Bank, proxy: Deployment, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """Calls of the large model were captured; the small one can be asked."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, max_output_tokens=20)
    consent(acme)
    monkeypatch.setattr(configured, "PROXY_URL", proxy.root_url)
    return acme


def keep(tenant: Tenant, count: int, answer: str = "") -> list[CapturedCall]:
    """Captured calls of the large model, each with its row of the ledger."""
    kept = []
    for number in range(count):
        # Behind the consent also in whole milliseconds.
        at = clock.now() + timedelta(milliseconds=10)
        question = f"Say hello to number {number}, please."
        call = capture(tenant, question, answer or answer_text(), model="large", at=at)
        call.at = record_call(tenant, call.at, id=call.pk, request_model="large", cost=BEFORE).started_at
        with org_scope(tenant.org.pk):
            # As a captured call is: of the row's own moment.
            call.save(update_fields=["at"])
        kept.append(call)
    return kept


def start(tenant: Tenant, cap: int = USD, **fields: Any) -> PaidReplay:
    with org_scope(tenant.org.pk):
        given: dict[str, Any] = {"model": "large", "to": "small", "cap_nanos": Nanos(cap), "api_key": tenant.api_key}
        return start_paid_replay(actor=tenant.owner, **given | fields)


def read(replay: PaidReplay) -> PaidReplay:
    with org_scope(replay.org_id):
        return PaidReplay.objects.get(pk=replay.pk)


def billed(bank: Bank) -> int:
    return sum(call.input_tokens * 150 + call.output_tokens * 600 for call in bank.bill())


def test_calls_are_asked_again_and_what_they_cost_is_what_was_billed(acme: Tenant, bank: Bank) -> None:
    keep(acme, 2)
    keep(acme, 1, "Another answer.")
    replay = start(acme)
    assert acme.api_key.encode() not in bytes(replay.api_key or b"")
    assert not continue_replay(acme.org.pk, replay.pk)
    done = read(replay)
    assert (done.state, done.error, done.api_key, done.failed, done.same) == ("done", "", None, 0, 2)
    assert done.cost_nanos == sum(now for _, now in done.pairs) == billed(bank)
    assert [before for before, _ in done.pairs] == [BEFORE] * 3
    # Nobody learns from what was asked again, and nobody is answered from it.
    with org_scope(acme.org.pk):
        assert CapturedCall.objects.filter(org=acme.org).count() == 3


def test_a_cap_is_never_exceeded(acme: Tenant, bank: Bank) -> None:
    keep(acme, 3)
    whole = start(acme)
    assert not continue_replay(acme.org.pk, whole.pk)
    cost = read(whole).cost_nanos
    # A nano less than all three cost. The second might cost more than is left then: its bound is above its cost.
    replay = start(acme, cap=cost - 1)
    assert not continue_replay(acme.org.pk, replay.pk)
    ended = read(replay)
    assert (ended.state, len(ended.pairs), ended.api_key) == ("done", 1, None)
    assert ended.error == "The next call might have cost more than is left of the cap."
    assert ended.cost_nanos == billed(bank) - cost < cost
    tiny = start(acme, cap=1)
    assert not continue_replay(acme.org.pk, tiny.pk)
    assert (read(tiny).state, read(tiny).cost_nanos, len(bank.bill())) == ("done", 0, 4)


def test_a_cap_holds_where_callers_are_told_no_amounts(acme: Tenant, bank: Bank) -> None:
    keep(acme, 3)
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, hides_amounts=True)
    whole = start(acme)
    assert not continue_replay(acme.org.pk, whole.pk)
    cost = read(whole).cost_nanos
    assert cost == sum(now for _, now in read(whole).pairs) == billed(bank) > 0
    replay = start(acme, cap=cost - 1)
    assert not continue_replay(acme.org.pk, replay.pk)
    ended = read(replay)
    assert (ended.state, len(ended.pairs)) == ("done", 1)
    assert ended.cost_nanos == billed(bank) - cost < cost


def test_an_answer_of_unknown_cost_is_not_for_nothing(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where something before the proxy takes headers away: here it does not know our own jobs."""
    keep(acme, 1)
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, hides_amounts=True)
    monkeypatch.setattr("proxy.learning.asking.OWN", "x-of-somebody-else")
    replay = start(acme)
    assert continue_replay(acme.org.pk, replay.pk)
    assert read(replay).error == "The proxy does not say what its answer cost."
    while continue_replay(acme.org.pk, replay.pk):
        while drain(acme.org.shard):
            pass
    done = read(replay)
    assert (done.state, done.cost_nanos, len(bank.bill())) == ("done", billed(bank), 1)


def test_an_answer_that_was_lost_on_the_way_counts_against_the_cap_and_is_paid_once(
    acme: Tenant, bank: Bank, proxy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(acme, 1)
    replay = start(acme)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        # The worker dies between the answer and the database.
        patch.setattr("proxy.learning.replays._find_paid", die)
        with pytest.raises(Killed):
            continue_replay(acme.org.pk, replay.pk)
    assert (read(replay).pairs, len(bank.bill())) == ([], 1)
    if continue_replay(acme.org.pk, replay.pk):
        # Its row was still on its way into the ledger.
        assert read(replay).error == "What the last answer cost is not in the ledger yet."
        while drain(acme.org.shard):
            pass
        assert not continue_replay(acme.org.pk, replay.pk)
    done = read(replay)
    assert (done.state, len(bank.bill())) == ("done", 1)
    assert done.cost_nanos == billed(bank) > 0


def test_tries_that_were_billed_and_brought_no_answer_count_against_the_cap(acme: Tenant, bank: Bank) -> None:
    keep(acme, 1)
    replay = start(acme, cap=60_000)
    bank.queue(20, fault="hang_up", at=12)
    turns = 0
    while continue_replay(acme.org.pk, replay.pk, seconds=1) and turns < 20:
        turns += 1
        assert read(replay).error[:4] == "502:"
        while drain(acme.org.shard):
            pass
    ended = read(replay)
    assert (ended.state, ended.pairs, ended.api_key) == ("done", [], None)
    assert ended.error == "The next call might have cost more than is left of the cap."
    with org_scope(acme.org.pk):
        rows = LedgerEntry.objects.filter(org_id=acme.org.pk, request_model="small")
        assert ended.cost_nanos == sum(rows.values_list("effective_cost", flat=True))
    assert 0 < billed(bank) <= ended.cost_nanos <= 60_000


def test_what_is_no_longer_there_is_not_asked(acme: Tenant, bank: Bank) -> None:
    kept = keep(acme, 2)
    replay = start(acme)
    with org_scope(acme.org.pk):
        kept[0].delete()
    assert not continue_replay(acme.org.pk, replay.pk)
    assert (read(replay).failed, len(read(replay).pairs), len(bank.bill())) == (1, 1, 1)


def test_a_replay_ends_with_the_consent(acme: Tenant, bank: Bank) -> None:
    keep(acme, 2)
    replay = start(acme)
    with org_scope(acme.org.pk):
        for policy in CapturePolicy.objects.filter(org=acme.org):
            delete_capture_policy(actor=acme.owner, policy=policy)
    forget_uncovered(acme.org.pk)
    assert not continue_replay(acme.org.pk, replay.pk)
    assert (read(replay).state, read(replay).failed, bank.bill()) == ("done", 2, [])


def test_there_is_one_at_a_time_and_it_can_be_cancelled(acme: Tenant, bank: Bank) -> None:
    keep(acme, 1)
    replay = start(acme)
    with pytest.raises(Conflict, match="There is a paid replay already"):
        start(acme)
    with org_scope(acme.org.pk):
        assert cancel_paid_replay(actor=acme.owner, replay=replay).state == "cancelled"
    assert not continue_replay(acme.org.pk, replay.pk)
    assert (read(replay).api_key, bank.bill()) == (None, [])


def test_money_is_waited_for_and_a_bad_key_ends_it(acme: Tenant, bank: Bank) -> None:
    keep(acme, 1)
    replay = start(acme, api_key=make_secret(API_KEY, b"another pepper").text)
    assert not continue_replay(acme.org.pk, replay.pk)
    assert (read(replay).state, read(replay).error[:5]) == ("failed", "401: ")
    make_budget(acme, "0.000000001")
    replay = start(acme)
    assert continue_replay(acme.org.pk, replay.pk)
    assert (read(replay).state, read(replay).error[:5], bank.bill()) == ("running", "402: ", [])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"api_key": "sk-123"}, "Give an API key"),
        ({"cap_nanos": 0}, "Give a cap above zero"),
        ({"cap_nanos": MAX_LIMIT_NANOS + 1}, "and at most 9000000.000000000"),
        ({"most_calls": 0}, "Give from 1 to 500 calls"),
        ({"to": "nobody"}, "Give one of the organisation's models or routes"),
        ({"model": "never called"}, "No call of this model was captured"),
    ],
)
def test_what_cannot_be_is_refused_in_words(world: World, fields: dict[str, Any], says: str) -> None:
    make_catalog(world.acme)
    with pytest.raises(InvalidField, match=says):
        start(world.acme, **fields)


def test_what_was_captured_here_is_not_sent_to_another_organisation(world: World) -> None:
    make_catalog(world.acme)
    capture(world.acme, "Where?", "There.", model="large")
    with pytest.raises(InvalidField, match="Give an API key of this organisation"):
        start(world.acme, api_key=world.mallcorp.api_key)


def test_whoever_may_not_change_settings_may_not_spend(world: World) -> None:
    with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
        start_paid_replay(
            actor=world.ben_actor, model="large", to="small", cap_nanos=Nanos(1), api_key=world.acme.api_key
        )


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), max_size=60))
def test_a_ratio_is_between_its_bounds_and_that_of_the_sums(pairs: list[tuple[int, int]]) -> None:
    found = estimate_ratio(pairs)
    if len(pairs) < LEAST_PAIRS:
        assert found is None
        return
    assert found is not None
    assert 0 <= found.low <= found.value <= found.high
    assert found.value == sum(now for _, now in pairs) / sum(before for before, _ in pairs)


def test_a_ratio_that_never_varies_is_certain() -> None:
    found = estimate_ratio([(before, before // 2) for before in range(1_000, 1_080, 2)])
    assert found == (0.5, 0.5, 0.5)
