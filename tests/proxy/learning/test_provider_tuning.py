"""A model that a provider trains: held for, sent once, charged by what the provider counts, registered, cancelled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import parse_usd
from costhub.lib.net import gate_from_settings
from proxy.learning import tasks
from proxy.learning.choices import JobState
from proxy.learning.conversations import write_jsonl
from proxy.learning.datasets import delete_dataset, read_version
from proxy.learning.models import DatasetVersion, LearnedExample, ProviderTuning
from proxy.learning.provider_tuning import (
    WITHDRAWN,
    cancel_provider_tuning,
    continue_tuning,
    count_tokens,
    create_provider_tuning,
    price_tokens,
)
from proxy.learning.unlearning import unlearn
from proxy.learning.work import Work, list_orgs_with
from proxy.ledger import recount
from proxy.ledger.charges import hold_ahead
from tenants.access import org_scope
from tenants.choices import BudgetPeriod
from tenants.models import AuditEntry, LanguageModel
from tests.bank import Bank
from tests.proxy.edges.entries import find_scope, line_of
from tests.proxy.edges.till import Till
from tests.proxy.learning.rows import fill, make_dataset, make_version, read_own
from tests.world import Catalog, Tenant, make_budget, make_catalog

PER_MILLION = parse_usd("25")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def catalog(acme: Tenant, bank: Bank) -> Catalog:
    return make_catalog(acme, base_url=bank.base_url, model="mini")


@pytest.fixture
def version(acme: Tenant) -> DatasetVersion:
    dataset = make_dataset(acme)
    fill(acme, dataset, 30)
    return make_version(acme, dataset)


def tune(tenant: Tenant, catalog: Catalog, version: DatasetVersion, **fields: Any) -> ProviderTuning:
    values: dict[str, Any] = {
        "name": "mini-shop",
        "base_model": "mini-2026",
        "per_million_nanos": PER_MILLION,
        "epochs": 2,
        **fields,
    }
    with org_scope(tenant.org.pk):
        return create_provider_tuning(
            actor=tenant.owner, version=version, upstream=catalog.upstream, project=tenant.project, **values
        )


def go_on(tuning: ProviderTuning, turns: int = 10) -> ProviderTuning:
    """So many turns of the job, or until there is no more to do."""
    gate = gate_from_settings()
    for _ in range(turns):
        if not continue_tuning(tuning.org_id, tuning.pk, gate):
            break
    with org_scope(tuning.org_id):
        return ProviderTuning.objects.get(pk=tuning.pk)


def charged(tenant: Tenant) -> list[tuple[str, str, int, bool]]:
    return [
        (event["kind"], event["request_model"], event["effective_cost"], event["is_estimated"])
        for event in read_own(tenant)
        if event["kind"] == "training"
    ]


def test_from_a_version_to_a_model(acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank) -> None:
    tuning = tune(acme, catalog, version)
    running = go_on(tuning, 1)
    assert (running.state, running.remote_job) == ("running", "ftjob-bank-1")
    assert running.held_nanos == price_tokens(tuning.most_tokens, PER_MILLION) > 0
    done = go_on(tuning)
    with org_scope(acme.org.pk):
        sent = write_jsonl(read_version(acme.owner, version, held_out=False))
    assert (done.state, done.error, done.remote_model) == ("done", "", "ft:mini-2026:bank::1")
    assert done.trained_tokens == len(sent) // 4 * 2
    assert done.spent_nanos == price_tokens(done.trained_tokens, PER_MILLION)
    assert done.events == ["Step 1", "Step 2"]
    assert charged(acme) == [("training", "mini-shop", done.spent_nanos, False)]
    with org_scope(acme.org.pk):
        model = LanguageModel.objects.get(org=acme.org, name="mini-shop")
        assert (model.upstream_model, model.student_of) == ("ft:mini-2026:bank::1", "small")
    upload = next(request for request in bank.requests() if request.target == "/v1/files")
    assert sent in upload.body
    assert upload.header("authorization") == "Bearer sk-acme-0123456789abcdefgh"
    # What people said does not stay there.
    assert (bank.list_files(), done.remote_file) == ([], "")


def test_a_budget_holds_it_beforehand_and_gives_the_rest_back(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, till: Till
) -> None:
    budget = make_budget(acme, "1.00", period=BudgetPeriod.TOTAL)
    recount.recount(till.shard, "", ())
    tuning = go_on(tune(acme, catalog, version), 1)
    line = line_of(find_scope(acme, budget))
    assert till.read(line) == (0, tuning.held_nanos)
    done = go_on(tuning)
    assert till.read(line) == (done.spent_nanos, 0)


def test_what_no_budget_takes_waits_and_is_not_sent(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank, till: Till
) -> None:
    make_budget(acme, "0.01", period=BudgetPeriod.TOTAL)
    recount.recount(till.shard, "", ())
    waits = go_on(tune(acme, catalog, version), 2)
    assert (waits.state, waits.remote_file, waits.held_nanos) == ("waiting", "", 0)
    assert waits.error.startswith("The total budget of the organization cannot take this call")
    assert bank.requests() == []


def test_a_job_whose_making_nobody_heard_of_is_found_again(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(hang_up=True)
    tuning = go_on(tune(acme, catalog, version), 1)
    assert (tuning.state, tuning.remote_job) == ("waiting", "")
    assert "failed" in tuning.error
    assert go_on(tuning).state == "done"
    made = [one for one in bank.requests() if (one.method, one.target) == ("POST", "/v1/fine_tuning/jobs")]
    uploads = [one for one in bank.requests() if one.target == "/v1/files"]
    assert (len(made), len(uploads)) == (1, 1)
    assert len(charged(acme)) == 1


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ({"refuse": True}, "The upstream answered 400. It says: This model cannot be fine-tuned."),
        ({"fail": True}, "The provider says: Line 3 has no answer."),
        ({"fail": True, "word": "\x00end", "tokens": 10**18}, "The provider says: Line 3 has no end."),
    ],
    ids=["refused", "failed", "told_nonsense"],
)
def test_what_comes_to_nothing_costs_nothing(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank, orders: dict[str, Any], error: str
) -> None:
    bank.order_tuning(**orders)
    tuning = go_on(tune(acme, catalog, version))
    assert (tuning.state, tuning.error, tuning.spent_nanos) == ("failed", error, 0)
    assert bank.list_files() == []
    assert charged(acme) == [("training", "mini-shop", 0, False)]
    with org_scope(acme.org.pk):
        assert not LanguageModel.objects.filter(org=acme.org, name="mini-shop").exists()


def test_one_that_is_cancelled_is_charged_as_far_as_it_came(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(stall=True)
    tuning = go_on(tune(acme, catalog, version), 3)
    assert (tuning.state, tuning.remote_state) == ("running", "running")
    with org_scope(acme.org.pk):
        cancel_provider_tuning(actor=acme.owner, tuning=tuning)
    over = go_on(tuning)
    assert over.state == JobState.CANCELLED.value
    assert over.spent_nanos == price_tokens(over.trained_tokens, PER_MILLION) > 0
    assert charged(acme) == [("training", "mini-shop", over.spent_nanos, False)]
    assert bank.list_files() == []


def test_one_that_ends_while_it_is_cancelled_is_charged_and_kept(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(stall=True)
    tuning = go_on(tune(acme, catalog, version), 3)
    bank.order_tuning(stall=True, too_late=True)
    with org_scope(acme.org.pk):
        cancel_provider_tuning(actor=acme.owner, tuning=tuning)
    over = go_on(tuning)
    assert (over.state, over.remote_model) == ("done", "ft:mini-2026:bank::1")
    assert over.spent_nanos == price_tokens(over.trained_tokens, PER_MILLION) > 0


def test_one_that_the_provider_tells_nothing_of_any_more_is_charged_as_held(
    acme: Tenant, catalog: Catalog, version: DatasetVersion
) -> None:
    tuning = go_on(tune(acme, catalog, version), 1)
    with org_scope(acme.org.pk):
        ProviderTuning.objects.filter(pk=tuning.pk).update(remote_job="ftjob-of-another-key")
    over = go_on(tuning)
    assert (over.state, over.spent_nanos) == ("failed", tuning.held_nanos)
    assert charged(acme) == [("training", "mini-shop", tuning.held_nanos, True)]


def test_events_that_are_refused_are_nobodys_failure(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(silent=True)
    done = go_on(tune(acme, catalog, version))
    assert (done.state, done.error, done.events) == ("done", "", [])
    assert charged(acme) == [("training", "mini-shop", price_tokens(done.trained_tokens, PER_MILLION), False)]


class Killed(BaseException):
    """What SIGKILL is to a test."""


def test_what_was_held_by_one_that_died_then_is_given_back_when_it_is_cancelled(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, till: Till, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(find_scope(acme, make_budget(acme, "1.00", period=BudgetPeriod.TOTAL)))
    recount.recount(till.shard, "", ())
    tuning = tune(acme, catalog, version)

    def hold_and_die(*args: Any) -> None:
        hold_ahead(*args)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("proxy.learning.provider_tuning.hold_ahead", hold_and_die)
        go_on(tuning, 1)
    assert till.read(line) == (0, price_tokens(tuning.most_tokens, PER_MILLION))
    with org_scope(acme.org.pk):
        cancel_provider_tuning(actor=acme.owner, tuning=tuning)
    over = go_on(tuning)
    assert (over.state, over.spent_nanos) == ("cancelled", 0)
    assert till.read(line) == (0, 0)
    assert bank.requests() == []


def test_one_that_waits_is_cancelled_at_once(acme: Tenant, catalog: Catalog, version: DatasetVersion) -> None:
    tuning = tune(acme, catalog, version)
    with org_scope(acme.org.pk):
        assert cancel_provider_tuning(actor=acme.owner, tuning=tuning).state == "cancelled"
    assert go_on(tuning).remote_job == ""
    assert charged(acme) == []


def test_a_model_is_switched_off_when_what_it_learned_from_is_withdrawn(
    acme: Tenant, catalog: Catalog, version: DatasetVersion
) -> None:
    tuning = go_on(tune(acme, catalog, version))
    assert unlearn(acme.org.pk) == 0
    with org_scope(acme.org.pk):
        LearnedExample.objects.filter(pk=version.train[0]).update(sealed=None)
    assert unlearn(acme.org.pk) == 1
    assert unlearn(acme.org.pk) == 0
    with org_scope(acme.org.pk):
        assert not LanguageModel.objects.get(org=acme.org, name="mini-shop").is_active
        tuning.refresh_from_db()
        assert "Delete ft:mini-2026:bank::1 at the provider." in tuning.error
        assert AuditEntry.objects.filter(org=acme.org, action="provider_tuning.withdrawn").count() == 1


def withdraw_one(tenant: Tenant, version: DatasetVersion) -> None:
    with org_scope(tenant.org.pk):
        LearnedExample.objects.filter(pk=version.train[0]).update(sealed=None)


def test_what_is_withdrawn_in_mid_training_ends_it_at_the_provider(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(stall=True)
    tuning = go_on(tune(acme, catalog, version), 3)
    assert (tuning.remote_state, bank.list_files()) == ("running", ["file-bank-1"])
    # The job that unlearns, and the one that makes the next step, look at organisations of these lists alone.
    assert acme.org.pk in list_orgs_with(Work.TRAINED)
    withdraw_one(acme, version)
    assert unlearn(acme.org.pk) == 1
    assert unlearn(acme.org.pk) == 0
    over = go_on(tuning)
    assert (over.state, over.remote_state, over.error) == ("cancelled", "cancelled", WITHDRAWN)
    assert (over.remote_model, bank.list_files()) == ("", [])
    assert charged(acme) == [("training", "mini-shop", over.spent_nanos, False)]
    assert over.spent_nanos == price_tokens(over.trained_tokens, PER_MILLION) > 0
    with org_scope(acme.org.pk):
        assert not LanguageModel.objects.filter(org=acme.org, name="mini-shop").exists()
        assert AuditEntry.objects.filter(org=acme.org, action="provider_tuning.withdrawn").count() == 1


def test_a_job_that_ends_all_the_same_makes_no_model_of_what_was_withdrawn(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(stall=True)
    tuning = go_on(tune(acme, catalog, version), 3)
    bank.order_tuning(stall=True, too_late=True)
    withdraw_one(acme, version)
    assert unlearn(acme.org.pk) == 1
    over = go_on(tuning)
    assert (over.state, over.remote_model, bank.list_files()) == ("done", "ft:mini-2026:bank::1", [])
    assert charged(acme) == [("training", "mini-shop", over.spent_nanos, False)]
    assert unlearn(acme.org.pk) == 1
    with org_scope(acme.org.pk):
        assert not LanguageModel.objects.filter(org=acme.org, name="mini-shop").exists()
        tuning.refresh_from_db()
    assert tuning.error.endswith("Delete ft:mini-2026:bank::1 at the provider.")


def test_what_is_withdrawn_before_the_job_is_made_is_not_learned_from(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_tuning(busy=True)
    tuning = go_on(tune(acme, catalog, version), 1)
    assert (tuning.state, tuning.remote_file) == ("waiting", "file-bank-1")
    withdraw_one(acme, version)
    assert unlearn(acme.org.pk) == 0
    bank.order_tuning()
    running = go_on(tuning, 1)
    assert (running.remote_file, bank.list_files()) == ("file-bank-2", ["file-bank-2"])
    with org_scope(acme.org.pk):
        left = write_jsonl(read_version(acme.owner, version, held_out=False))
    assert left.count(b"\n") == len(version.train) - 1
    sent = [request.body for request in bank.calls_received() if request.target == "/v1/files"]
    assert left in sent[1]
    assert go_on(tuning).state == "done"
    assert unlearn(acme.org.pk) == 0


def test_a_file_of_which_nobody_heard_that_it_came_goes_too(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    bank.order_batches(deaf=True)
    tuning = go_on(tune(acme, catalog, version), 1)
    assert (tuning.state, tuning.remote_file) == ("waiting", f"costhub-{tuning.pk}.jsonl")
    assert bank.list_files() == ["file-bank-1"]
    with org_scope(acme.org.pk):
        cancel_provider_tuning(actor=acme.owner, tuning=tuning)
        with pytest.raises(Conflict, match="is running"):
            delete_dataset(actor=acme.owner, dataset=version.dataset)
    over = go_on(tuning)
    assert (over.state, over.remote_file, bank.list_files()) == ("cancelled", "", [])
    with org_scope(acme.org.pk):
        delete_dataset(actor=acme.owner, dataset=version.dataset)


def test_a_file_that_cannot_be_deleted_is_tried_again_and_then_told_of(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    tuning = go_on(tune(acme, catalog, version), 3)
    assert (tuning.state, tuning.remote_file) == ("done", "file-bank-1")
    assert acme.org.pk in list_orgs_with(Work.PROVIDER_TUNING)
    bank.order_batches(trouble=503)
    assert go_on(tuning, 2).remote_file == "file-bank-1"
    bank.order_batches(trouble=403)
    tasks.continue_tunings()
    with org_scope(acme.org.pk):
        tuning.refresh_from_db()
    assert (tuning.state, tuning.remote_file) == ("done", "")
    assert tuning.error == (
        "Its file file-bank-1 could not be deleted: delete it at the provider. "
        "The upstream answered 403. It says: The bank was told to have trouble."
    )
    assert acme.org.pk not in list_orgs_with(Work.PROVIDER_TUNING)


def test_an_upstream_that_is_gone_leaves_its_file(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, bank: Bank
) -> None:
    tuning = go_on(tune(acme, catalog, version), 1)
    with org_scope(acme.org.pk):
        ProviderTuning.objects.filter(pk=tuning.pk).update(upstream_id=uuid4())
    over = go_on(tuning)
    assert (over.state, over.remote_file) == ("failed", "")
    assert over.error == ("Its upstream is gone. Its file file-bank-1 could not be deleted: delete it at the provider.")
    assert bank.list_files() == ["file-bank-1"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "two words"}, "name"),
        ({"epochs": 0}, "epochs"),
        ({"per_million_nanos": -1}, "per_million"),
    ],
)
def test_what_cannot_be_is_refused(
    acme: Tenant, catalog: Catalog, version: DatasetVersion, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        tune(acme, catalog, version, **fields)
    assert refused.value.field == field


def test_names_are_taken_once_and_tiny_versions_are_not_sent(
    acme: Tenant, catalog: Catalog, version: DatasetVersion
) -> None:
    with pytest.raises(Conflict, match="of this name already"):
        tune(acme, catalog, version, name="mini")
    tiny = make_dataset(acme, "tiny")
    fill(acme, tiny, 9)
    with pytest.raises(InvalidField, match="10 are the least"):
        tune(acme, catalog, make_version(acme, tiny))


def test_tokens_are_counted_with_the_marks_around_them(acme: Tenant, version: DatasetVersion) -> None:
    with org_scope(acme.org.pk):
        examples = read_version(acme.owner, version, held_out=False)
    assert count_tokens(examples) > len(write_jsonl(examples)) // 8
    assert count_tokens([]) == 0
