"""What runs cost is what the ledger says, also where nobody heard the end of a call."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings as configured

from costhub.lib import clock
from costhub.lib.money import Nanos
from proxy.learning import asking
from proxy.learning.models import PaidReplay, TeacherRun
from proxy.learning.replays import continue_replay, start_paid_replay
from proxy.learning.settling import RUN_TAG, SETTLED_AFTER, settle_runs
from proxy.learning.teacher import continue_run, start_teacher_run
from proxy.learning.work import Work, list_orgs_with
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tests.bank import Bank
from tests.billing.ledger import record_call
from tests.proxy.books import close_the_day
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.rows import capture, consent, make_dataset
from tests.world import Tenant, World, make_catalog

USD = Nanos(10**9)

#: an answer that nobody sends is lost after so long: its call has come to the upstream by then, on a slow machine too
LOST_AFTER_SECONDS = 6


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("settling")) as deployment:
        yield deployment


@pytest.fixture
def acme(committed_world: World, bank: Bank, proxy: Deployment, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url, max_output_tokens=20)
    monkeypatch.setattr(configured, "PROXY_URL", proxy.root_url)
    return committed_world.acme


def spent(tenant: Tenant) -> int:
    """All that the run's calls cost, by the ledger."""
    close_the_day(tenant)
    with org_scope(tenant.org.pk):
        rows = LedgerEntry.objects.filter(org_id=tenant.org.pk, tags__has_key=RUN_TAG)
        return sum(rows.values_list("effective_cost", flat=True))


def test_a_teachers_run_costs_what_calls_did_whose_end_nobody_heard(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(acme)
    prompts = '{"messages": [{"role": "user", "content": "Where are you, please?"}]}'
    with org_scope(acme.org.pk):
        run = start_teacher_run(actor=acme.owner, dataset=dataset, prompts=prompts, api_key=acme.api_key)
    with monkeypatch.context() as patch:
        patch.setattr(asking, "ANSWER_SECONDS", LOST_AFTER_SECONDS)
        bank.queue(1, fault="slow_headers", at=12)
        assert continue_run(acme.org.pk, run.pk)
    with org_scope(acme.org.pk):
        assert "The proxy does not answer" in TeacherRun.objects.get(pk=run.pk).error
    while continue_run(acme.org.pk, run.pk):
        pass
    assert len(bank.bill()) == 2
    truth = spent(acme)
    with org_scope(acme.org.pk):
        done = TeacherRun.objects.get(pk=run.pk)
        assert (done.state, done.answered) == ("done", 1)
        # Half of it came with no answer.
        assert 0 < done.cost_nanos < truth
    assert acme.org.pk in list_orgs_with(Work.PAID_RUN)
    assert settle_runs(acme.org.pk) == 0
    with time_machine.travel(clock.now() + SETTLED_AFTER + timedelta(seconds=1)):
        assert settle_runs(acme.org.pk) == 1
        assert settle_runs(acme.org.pk) == 0
    with org_scope(acme.org.pk):
        assert TeacherRun.objects.get(pk=run.pk).cost_nanos == truth
    assert acme.org.pk not in list_orgs_with(Work.PAID_RUN)


def test_a_replay_asks_nothing_more_before_it_knows_what_a_lost_try_cost(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent(acme)
    at = clock.now() + timedelta(milliseconds=10)
    call = capture(acme, "Where are you, please?", "Here.", model="large", at=at)
    call.at = record_call(acme, call.at, id=call.pk, request_model="large", cost=50_000).started_at
    with org_scope(acme.org.pk):
        call.save(update_fields=["at"])
        replay = start_paid_replay(actor=acme.owner, model="large", to="small", cap_nanos=USD, api_key=acme.api_key)

    def read() -> PaidReplay:
        with org_scope(acme.org.pk):
            return PaidReplay.objects.get(pk=replay.pk)

    with monkeypatch.context() as patch:
        patch.setattr(asking, "ANSWER_SECONDS", LOST_AFTER_SECONDS)
        bank.queue(1, fault="slow_headers", at=12)
        assert continue_replay(acme.org.pk, replay.pk)
    assert [request_id for request_id, _ in read().doubted] == [""]
    lost = spent(acme)
    assert lost > 0
    assert continue_replay(acme.org.pk, replay.pk)
    assert (read().error, len(bank.bill())) == ("What the last try cost is not in the ledger yet.", 1)
    with time_machine.travel(clock.now() + SETTLED_AFTER + timedelta(seconds=1)):
        assert not continue_replay(acme.org.pk, replay.pk)
    done = read()
    assert (done.state, done.doubted, len(done.pairs)) == ("done", [], 1)
    assert done.cost_nanos == lost + done.pairs[0][1] == spent(acme)


def test_a_proxy_that_is_away_has_cost_nothing(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    consent(acme)
    at = clock.now() + timedelta(milliseconds=10)
    call = capture(acme, "Where are you, please?", "Here.", model="large", at=at)
    call.at = record_call(acme, call.at, id=call.pk, request_model="large", cost=50_000).started_at
    with org_scope(acme.org.pk):
        call.save(update_fields=["at"])
        replay = start_paid_replay(actor=acme.owner, model="large", to="small", cap_nanos=USD, api_key=acme.api_key)
    monkeypatch.setattr(configured, "PROXY_URL", "http://127.0.0.1:9")
    assert continue_replay(acme.org.pk, replay.pk)
    with org_scope(acme.org.pk):
        assert PaidReplay.objects.get(pk=replay.pk).doubted == []
