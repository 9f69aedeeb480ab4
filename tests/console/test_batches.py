"""The page of batches, and the same by the API: how far they are, what they cost, who cancels them."""

from datetime import timedelta
from uuid import UUID

import pytest

from costhub.lib import clock
from proxy.batches import store
from proxy.batches.ids import BATCH, FILE, show_id
from proxy.batches.model import Batch, BatchLine, StoredFile
from proxy.batches.store import NewLine
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import AuditEntry, User
from tests.console.client import Visit, rows_of, text_of
from tests.proxy.batches.rows import fill_batches
from tests.world import Api, Tenant, World

PAGE = "/o/acme/batches"


@pytest.fixture
def batch_id(world: World) -> UUID:
    """A batch of one call, which is under way and has cost 2 cents so far."""
    batch_id = fill_batches(world.acme)
    with org_scope(world.acme.org.pk):
        Batch.objects.filter(pk=batch_id).update(total=1, held=50_000_000)
        BatchLine.objects.filter(batch_id=batch_id).update(cost=20_000_000)
    return batch_id


def finish(tenant: Tenant, batch_id: UUID) -> StoredFile:
    """Its one call was answered."""
    now = clock.now()
    with org_scope(tenant.org.pk):
        batch = Batch.objects.get(pk=batch_id)
        output = StoredFile(
            id=UUID(clock.new_id_of(clock.now_ms())),
            org_id=tenant.org.pk,
            project_id=tenant.project.pk,
            end_user="",
            filename="out.jsonl",
            purpose="batch_output",
            bytes=2_048,
            expires_at=now + timedelta(days=30),
        )
        store.finish(batch, [output], status=store.COMPLETED, completed_at=now, completed=1, output_file_id=output.pk)
    return output


def test_a_batch_shows_how_far_it_is_and_what_it_costs_until_its_files_are_there(world: World, batch_id: UUID) -> None:
    ada, name = Visit(world.ada), show_id(BATCH, batch_id)
    (row,) = rows_of(ada.get(PAGE))
    assert ("small 0 of 1 0 $0.02" in row, row.endswith("in progress")) == (True, True)
    page = ada.get(f"{PAGE}/{batch_id}")
    assert "0 of 1 calls are out" in text_of(page)
    assert "Cost $0.02 , $0.05 were held for all" in text_of(page)
    assert 'hx-trigger="every 5s"' in page.content.decode()
    assert "<html" not in ada.get(f"{PAGE}/{name}", HX_Request="true").content.decode()
    output = finish(world.acme, batch_id)
    page = ada.get(f"{PAGE}/{name}")
    words = text_of(page)
    assert "1 of 1 calls are out" in words
    assert "Cost $0.02 Calls" in words, "its lines are gone, and what they cost is not"
    assert f"http://testserver/v1/files/{show_id(FILE, output.pk)}/content" in words
    assert ("every 5s" in page.content.decode(), "Cancel it" in words) == (False, False)
    assert rows_of(ada.get(f"{PAGE}?status=completed"))[0].endswith("completed")
    assert "Nothing matches" in text_of(ada.get(f"{PAGE}?status=failed"))
    assert ada.get(f"{PAGE}?status=lost").status_code == 400


def test_lines_that_failed_and_that_run_are_shown_while_it_is_under_way(world: World, batch_id: UUID) -> None:
    ada = Visit(world.ada)
    assert "Lines" not in text_of(ada.get(f"{PAGE}/{batch_id}")), "all of them wait"
    with org_scope(world.acme.org.pk):
        batch = Batch.objects.get(pk=batch_id)
        store.add_lines(batch, [NewLine(number, f"<b>{number}", 0, 0, 0, 0) for number in range(2, 16)])
        lines = BatchLine.objects.filter(batch_id=batch_id)
        lines.filter(number__lte=13).update(state=store.RUNNING, tries=1)
        lines.filter(number=2).update(state=store.LINE_FAILED, tries=3, cost=70_000_000)
    shown = rows_of(ada.get(f"{PAGE}/{batch_id}"))
    assert shown[:2] == ["2 <b>2 failed 3 $0.07", "1 line-1 running 1 $0.02"]
    assert [row.split()[0] for row in shown[1:]] == ["1", "3", "4", "5", "6", "7", "8", "9", "10", "11"]
    finish(world.acme, batch_id)
    assert "the first that failed" not in text_of(ada.get(f"{PAGE}/{batch_id}"))


def test_the_api_says_the_same(world: World, batch_id: UUID) -> None:
    program = Api(token=world.acme.admin_token)
    shown = program.get(f"/batches/{batch_id}").json()
    assert (
        shown == program.get(f"/batches/{show_id(BATCH, batch_id)}").json() == program.get("/batches").json()["data"][0]
    )
    assert {name: shown[name] for name in ("id", "status", "total", "completed", "held", "cost", "ended_at")} == {
        "id": show_id(BATCH, batch_id),
        "status": "in_progress",
        "total": 1,
        "completed": 0,
        "held": "0.050000000",
        "cost": "0.020000000",
        "ended_at": None,
    }
    assert [(each["part"], each["filename"]) for each in shown["files"]] == [("input", "calls.jsonl")]
    finish(world.acme, batch_id)
    over = program.get(f"/batches/{batch_id}").json()
    assert [each["part"] for each in over["files"]] == ["input", "output"]
    assert (over["cost"], over["status"]) == ("0.020000000", "completed")
    assert [row["id"] for row in program.get("/batches", status="completed").json()["data"]] == [over["id"]]
    assert program.get("/batches", status="failed").json()["data"] == []
    assert program.get("/batches", status="lost").status_code == 400


def test_pages_of_the_list_have_each_batch_once(world: World) -> None:
    made = {show_id(BATCH, fill_batches(world.acme)) for _ in range(3)}
    program, seen = Api(token=world.acme.admin_token), list[str]()
    cursor: dict[str, str] = {}
    while True:
        page = program.get("/batches", limit="1", **cursor).json()
        seen += [row["id"] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize("way", ["page", "api"])
def test_whoever_may_make_keys_cancels_one_that_is_in_progress_once(world: World, batch_id: UUID, way: str) -> None:
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="fin@acme.example", role=Role.FINANCE)
    finance = Visit(User.objects.get(email="fin@acme.example"))
    assert "Cancel it" not in text_of(finance.get(f"{PAGE}/{batch_id}"))
    assert finance.post(f"{PAGE}/{batch_id}/cancel").status_code == 403
    ben = Visit(world.ben)
    assert "Cancel it" in text_of(ben.get(f"{PAGE}/{batch_id}"))
    if way == "page":
        name = {"confirm": show_id(BATCH, batch_id)}
        ben.post(f"{PAGE}/{batch_id}/cancel", {"confirm": "x"})
        assert f"Nothing was done. Type {name['confirm']} exactly" in text_of(ben.get(f"{PAGE}/{batch_id}"))
        ben.post(f"{PAGE}/{batch_id}/cancel", name)
        assert "It ends: calls that run come to their end" in text_of(ben.get(f"{PAGE}/{batch_id}"))
        ben.post(f"{PAGE}/{batch_id}/cancel", name)
        assert "A batch that is cancelling cannot be cancelled." in text_of(ben.get(f"{PAGE}/{batch_id}"))
    else:
        api = Api(user=world.ben)
        assert api.post(f"/batches/{batch_id}/cancel").json()["status"] == "cancelling"
        again = api.post(f"/batches/{batch_id}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
    with org_scope(world.acme.org.pk):
        (entry,) = AuditEntry.objects.filter(org=world.acme.org, action="batch.cancelled")
        assert (entry.actor, entry.changes) == (world.ben.email, {"model": "small", "calls": 1})
        assert Batch.objects.get(pk=batch_id).status == store.CANCELLING
