"""Teacher runs, through a real proxy: paid for once, on budget, resumed where they stopped."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as configured

from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import Nanos
from costhub.lib.secrets import API_KEY, make_secret
from proxy.learning.asking import Answered, ask
from proxy.learning.datasets import list_examples, open_example
from proxy.learning.models import Dataset, TeacherRun
from proxy.learning.teacher import cancel_teacher_run, continue_run, start_judge_run, start_teacher_run
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tests.bank import Bank
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.learning.rows import fill, make_dataset, make_version
from tests.world import Api, Tenant, World, make_budget, make_catalog


def prompts(count: int) -> str:
    return "\n".join(
        json.dumps({"messages": [{"role": "user", "content": f"Say hello to number {number}, please."}]})
        for number in range(count)
    )


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("proxy")) as deployment:
        yield deployment


@pytest.fixture
def acme(committed_world: World, bank: Bank, proxy: Deployment, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url)
    monkeypatch.setattr(configured, "PROXY_URL", proxy.root_url)
    return committed_world.acme


def start(tenant: Tenant, count: int, api_key: str = "") -> tuple[Dataset, TeacherRun]:
    dataset = make_dataset(tenant)
    with org_scope(tenant.org.pk):
        run = start_teacher_run(
            actor=tenant.owner, dataset=dataset, prompts=prompts(count), api_key=api_key or tenant.api_key
        )
    return dataset, run


def read(run: TeacherRun) -> TeacherRun:
    with org_scope(run.org_id):
        return TeacherRun.objects.get(pk=run.pk)


def test_a_run_is_answered_paid_for_and_stored(acme: Tenant, bank: Bank) -> None:
    dataset, run = start(acme, 3)
    assert acme.api_key.encode() not in bytes(run.api_key or b"")
    bank.queue(1, fault="http_error", status=400)
    assert not continue_run(acme.org.pk, run.pk)
    done = read(run)
    assert (done.state, done.answered, done.failed, done.error) == ("done", 2, 1, "")
    assert done.cost_nanos == sum(call.input_tokens * 150 + call.output_tokens * 600 for call in bank.bill())
    assert done.api_key is None
    with org_scope(acme.org.pk):
        rows = list(list_examples(acme.owner, dataset).order_by("number"))
        assert [(row.kind, row.source, row.number) for row in rows] == [("teacher", run.pk, 1), ("teacher", run.pk, 2)]
        assert open_example(acme.owner, rows[0]).question == "Say hello to number 1, please."


def test_a_run_that_is_out_of_money_waits_for_more(acme: Tenant, bank: Bank) -> None:
    budget = make_budget(acme, "0.000000001")
    _, run = start(acme, 2)
    assert continue_run(acme.org.pk, run.pk)
    waits = read(run)
    assert (waits.state, waits.answered) == ("running", 0)
    assert waits.error.startswith("402: ")
    with org_scope(acme.org.pk):
        update_budget(actor=acme.owner, budget=budget, limit_nanos=Nanos(10**9))
    while continue_run(acme.org.pk, run.pk):
        pass
    assert (read(run).state, read(run).answered, read(run).error) == ("done", 2, "")
    assert len(bank.bill()) == 2


def test_an_answer_that_was_lost_on_the_way_is_not_paid_for_again(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run = start(acme, 2)
    with monkeypatch.context() as patch:
        # The worker dies between the answer and the database.
        patch.setattr("proxy.learning.teacher._keep", lambda *_: False)
        assert not continue_run(acme.org.pk, run.pk)
    assert len(bank.bill()) == 1
    assert read(run).answered == 0
    assert not continue_run(acme.org.pk, run.pk)
    assert (read(run).state, read(run).answered) == ("done", 2)
    assert len(bank.bill()) == 2


def test_a_key_that_may_not_call_ends_the_run(acme: Tenant, bank: Bank) -> None:
    _, run = start(acme, 2, make_secret(API_KEY, b"another pepper").text)
    assert not continue_run(acme.org.pk, run.pk)
    ended = read(run)
    assert (ended.state, ended.api_key) == ("failed", None)
    assert ended.error.startswith("401: ")


def test_a_proxy_that_is_away_is_waited_for(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    _, run = start(acme, 1)
    monkeypatch.setattr(configured, "PROXY_URL", "http://127.0.0.1:9")
    assert continue_run(acme.org.pk, run.pk)
    assert read(run).error.startswith("The proxy does not answer: ")


def test_a_run_ends_where_its_own_cap_may_be_passed(acme: Tenant, bank: Bank) -> None:
    """Its calls say what is left of it; what tries cost whose answers nobody heard is in the ledger."""
    dataset = make_dataset(acme)

    def run_for(cap: int) -> TeacherRun:
        with org_scope(acme.org.pk):
            run = start_teacher_run(
                actor=acme.owner, dataset=dataset, prompts=prompts(3), api_key=acme.api_key, cap_nanos=Nanos(cap)
            )
        while continue_run(acme.org.pk, run.pk):
            pass
        return read(run)

    poor = run_for(1)
    assert (poor.state, poor.answered, poor.api_key) == ("done", 0, None)
    assert poor.error == "The next call might have cost more than is left of the cap."
    assert bank.bill() == []
    rich = run_for(10**9)
    assert (rich.state, rich.answered, rich.error) == ("done", 3, "")
    with org_scope(acme.org.pk):
        run = start_teacher_run(
            actor=acme.owner, dataset=dataset, prompts=prompts(3), api_key=acme.api_key, cap_nanos=Nanos(10**9)
        )
        TeacherRun.objects.filter(pk=run.pk).update(cost_nanos=10**9)
    assert not continue_run(acme.org.pk, run.pk)
    assert (read(run).state, read(run).answered) == ("done", 0)
    with org_scope(acme.org.pk), pytest.raises(InvalidField, match="Give a cap above zero"):
        start_teacher_run(
            actor=acme.owner, dataset=dataset, prompts=prompts(1), api_key=acme.api_key, cap_nanos=Nanos(0)
        )


def test_what_is_right_comes_with_the_prompts(acme: Tenant) -> None:
    dataset = make_dataset(acme)
    lines = [{"messages": [{"role": "user", "content": "Say 1."}], "gold": "One."}, json.loads(prompts(1))]
    with org_scope(acme.org.pk):
        run = start_teacher_run(
            actor=acme.owner, dataset=dataset, prompts="\n".join(map(json.dumps, lines)), api_key=acme.api_key
        )
    assert not continue_run(acme.org.pk, run.pk)
    with org_scope(acme.org.pk):
        rows = list_examples(acme.owner, dataset).order_by("number")
        assert [open_example(acme.owner, row).gold for row in rows] == ["One.", ""]


def test_a_judge_is_paid_for_and_what_it_calls_poor_is_left_out(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank cannot judge: what it is paid for is real, its words are put in its mouth."""
    dataset = make_dataset(acme)
    fill(acme, dataset, 12)
    replies = ["good", "Poor. It is wrong.", "well, good"] + ["**Good**"] * 10
    asked: list[str] = []

    def ask_and_say(*parts: Any, **options: Any) -> Answered | None:
        found = ask(*parts, **options)
        assert found is not None
        asked.append(parts[3][1]["content"])
        return replace(found, text=replies[len(asked) - 1])

    monkeypatch.setattr("proxy.learning.teacher.ask", ask_and_say)
    with org_scope(acme.org.pk):
        with pytest.raises(InvalidField, match="Give one of the organisation's models or routes"):
            start_judge_run(actor=acme.owner, dataset=dataset, judge="nobody", api_key=acme.api_key)
        run = start_judge_run(actor=acme.owner, dataset=dataset, judge="small", api_key=acme.api_key)
    while continue_run(acme.org.pk, run.pk):
        pass
    done = read(run)
    assert (done.state, done.total, done.answered, done.failed, done.api_key) == ("done", 12, 11, 1, None)
    assert done.cost_nanos == sum(call.input_tokens * 150 + call.output_tokens * 600 for call in bank.bill()) > 0
    with org_scope(acme.org.pk):
        assert list_examples(acme.owner, dataset).get(verdict="poor").sealed is not None
        assert list_examples(acme.owner, dataset).filter(verdict="good").count() == 10
        newest = open_example(acme.owner, list_examples(acme.owner, dataset).order_by("-number")[0])
    assert json.loads(asked[0]) == {
        "conversation": [{"role": "user", "content": newest.question}],
        "answer": newest.answer,
    }
    version = make_version(acme, dataset)
    assert version.lineage["dropped"] == {"judged poor": 1}
    # What was judged is not asked about again; the one that got no verdict is.
    with org_scope(acme.org.pk):
        again = start_judge_run(actor=acme.owner, dataset=dataset, judge="small", api_key=acme.api_key)
    while continue_run(acme.org.pk, again.pk):
        pass
    assert (read(again).total, read(again).answered) == (1, 1)
    with org_scope(acme.org.pk):
        last = start_judge_run(actor=acme.owner, dataset=dataset, judge="small", api_key=acme.api_key)
    assert not continue_run(acme.org.pk, last.pk)
    assert (read(last).state, read(last).error) == ("done", "There is no answer that was not judged before.")


def test_runs_are_asked_for_by_the_api(acme: Tenant) -> None:
    dataset = make_dataset(acme)
    ada = Api(token=acme.admin_token)
    body = {"dataset": str(dataset.pk), "api_key": acme.api_key, "judge": "small", "cap": "0.25"}
    assert ada.post("/teacher-runs", body | {"prompts": prompts(1)}).status_code == 400
    made = ada.post("/teacher-runs", body)
    assert made.status_code == 201, made.content
    assert (made.json()["judge"], made.json()["cap"], made.json()["total"]) == ("small", "0.250000000", 0)
    assert ada.delete(f"/teacher-runs/{made.json()['id']}").status_code == 204


def test_a_cancelled_run_asks_nothing_more(acme: Tenant, bank: Bank) -> None:
    dataset, run = start(acme, 2)
    with org_scope(acme.org.pk):
        with pytest.raises(Conflict):
            start_teacher_run(actor=acme.owner, dataset=dataset, prompts=prompts(1), api_key=acme.api_key)
        assert cancel_teacher_run(actor=acme.owner, run=run).state == "cancelled"
    assert not continue_run(acme.org.pk, run.pk)
    assert bank.bill() == []
    assert read(run).api_key is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "from 1 to"),
        ("{", "Line 1 is not JSON"),
        ('{"messages": []}', "Line 1: There are no messages"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}', "must be a user's"),
    ],
)
def test_prompts_that_cannot_be_read_name_the_line(world: World, text: str, says: str) -> None:
    dataset = make_dataset(world.acme)
    with org_scope(world.acme.org.pk), pytest.raises(InvalidField, match=says):
        start_teacher_run(actor=world.acme.owner, dataset=dataset, prompts=text, api_key=world.acme.api_key)
    for api_key in ("sk-123", world.mallcorp.api_key):
        with org_scope(world.acme.org.pk), pytest.raises(InvalidField, match="Give an API key of this organisation"):
            start_teacher_run(actor=world.acme.owner, dataset=dataset, prompts=prompts(1), api_key=api_key)
