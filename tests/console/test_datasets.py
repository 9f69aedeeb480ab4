"""The pages of datasets: made, filled, frozen, taken out and removed by hand."""

import json
from uuid import uuid4

import pytest

from proxy.learning.choices import VersionState
from proxy.learning.models import Dataset, DatasetVersion, LearnedExample, TeacherRun
from tenants.access import org_scope
from tenants.models import AuditEntry
from tests.console.client import Visit, error_of, text_of
from tests.tenants.route_examples import make_models
from tests.world import Api, World


@pytest.fixture
def ada(world: World) -> Visit:
    make_models(world.acme)
    return Visit(world.ada)


def lines_of(*pairs: tuple[str, str]) -> str:
    """As a browser sends them."""
    return "\r\n".join(
        json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]})
        for asked, said in pairs
    )


def make(ada: Visit, world: World, **typed: str | None) -> Dataset:
    made = ada.submit("/o/acme/datasets/new", **{"name": "faq", "teacher": "large", **typed})
    with org_scope(world.acme.org.pk):
        row = Dataset.objects.get(org=world.acme.org)
    assert made.headers["Location"] == f"/o/acme/datasets/{row.pk}"
    return row


def test_a_dataset_is_made_filled_and_frozen(ada: Visit, world: World) -> None:
    row = make(ada, world, held_out_percent="30", region="de", drops_outvoted="1", takes_out_names=None)
    assert (row.name, row.teacher, row.held_out_percent, row.region, row.drops_outvoted) == (
        "faq",
        "large",
        30,
        "DE",
        True,
    )
    assert not row.takes_out_names
    page = f"/o/acme/datasets/{row.pk}"
    assert f'href="{page}"' in ada.get("/o/acme/learning").content.decode()
    sent = ada.submit(page, lines=lines_of(("Is it open?", "Yes."), ("Where?", "In Ulm.")))
    assert sent.status_code == 302
    assert "2 from imports" in text_of(ada.get(page))
    assert ada.post(f"{page}/freeze").headers["Location"] == page
    shown = text_of(ada.get(page))
    assert "A version is being made" in shown
    assert "Version 1 waiting" in shown
    ada.post(f"{page}/freeze")
    assert "A version of this dataset is being made: wait for it." in text_of(ada.get(page))


def test_what_cannot_be_added_is_said_with_its_line(ada: Visit, world: World) -> None:
    row = make(ada, world)
    good = lines_of(("Is it open?", "Yes."))
    for typed, words in (
        ("", "Fill this in."),
        ("{", "Line 1 is not JSON"),
        (f"{good}\r\n[]", "Line 2"),
        ('{"messages": [{"role": "user", "content": "Hi"}]}', "the last message must be the assistant's answer"),
    ):
        answer = ada.submit(f"/o/acme/datasets/{row.pk}", lines=typed)
        assert (answer.status_code, words in error_of(answer)) == (400, True), typed
    with org_scope(world.acme.org.pk):
        assert not LearnedExample.objects.filter(org=world.acme.org).exists()


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"name": ""}, "name", "Fill this in."),
        ({"teacher": "nobody"}, "teacher", "Give one of the organisation's models."),
        ({"held_out_percent": "0"}, "held_out_percent", "from 1 to 90"),
        ({"near_per_mille": "12"}, "near_per_mille", "500 to 1000"),
        ({"region": "1!"}, "region", "two letters"),
    ],
)
def test_a_dataset_that_cannot_be_is_said(ada: Visit, typed: dict[str, str], field: str, words: str) -> None:
    answer = ada.submit("/o/acme/datasets/new", **{"name": "faq", "teacher": "large", **typed})
    assert (answer.status_code, words in error_of(answer)) == (400, True)
    assert f'id="field-{field}-error"' in answer.content.decode()


def test_a_version_is_taken_out_and_the_audit_log_tells_of_it(ada: Visit, world: World) -> None:
    row = make(ada, world)
    ada.submit(f"/o/acme/datasets/{row.pk}", lines=lines_of(("Is it open?", "Yes."), ("Where?", "In Ulm.")))
    with org_scope(world.acme.org.pk):
        first, second = LearnedExample.objects.filter(org=world.acme.org).order_by("number")
        version = DatasetVersion.objects.create(
            org=world.acme.org,
            dataset=row,
            number=1,
            state=VersionState.READY.value,
            train=[str(first.pk)],
            held_out=[str(second.pk)],
        )
    path = f"/o/acme/dataset-versions/{version.pk}/download"
    taken = ada.post(path, {"part": "train"})
    assert taken.headers["Content-Type"].startswith("application/jsonl")
    (line,) = taken.content.decode().splitlines()
    assert [each["content"] for each in json.loads(line)["messages"]] == ["Is it open?", "Yes."]
    with org_scope(world.acme.org.pk):
        assert AuditEntry.objects.filter(org=world.acme.org, action="dataset_version.exported").count() == 1
    assert ada.post(path, {"part": "all"}).headers["Location"] == f"/o/acme/datasets/{row.pk}"
    assert Visit(world.ben).post(path).status_code == 403
    assert Visit(world.mallory).post(path).status_code == 404


def test_a_dataset_goes_by_its_name_alone(ada: Visit, world: World) -> None:
    row = make(ada, world)
    page = f"/o/acme/datasets/{row.pk}"
    for visit, status in ((Visit(world.ben), 403), (Visit(world.mallory), 404)):
        assert visit.post(f"{page}/remove", {"confirm": "faq"}).status_code == status
    assert ada.post(f"{page}/remove", {"confirm": "fax"}).headers["Location"] == page
    assert "Type faq exactly" in text_of(ada.get(page))
    assert ada.post(f"{page}/remove", {"confirm": "faq"}).headers["Location"] == "/o/acme/learning"
    assert ada.get(page).status_code == 404


def test_developers_look_and_change_nothing(ada: Visit, world: World) -> None:
    row = make(ada, world)
    ben = Visit(world.ben)
    assert ben.get(f"/o/acme/datasets/{row.pk}").status_code == 200
    assert "Add examples" not in text_of(ben.get(f"/o/acme/datasets/{row.pk}"))
    for path in ("datasets/new", f"datasets/{row.pk}", f"datasets/{row.pk}/freeze"):
        assert ben.post(f"/o/acme/{path}", {"name": "x"}).status_code == 403, path


def test_a_version_says_what_was_left_out_and_what_looks_wrong(ada: Visit, world: World) -> None:
    acme = world.acme
    row = make(ada, world)
    assert (row.drops_outvoted, row.takes_out_names) == (True, True)
    with org_scope(acme.org.pk):
        DatasetVersion.objects.create(
            org=acme.org,
            dataset=row,
            number=1,
            state="ready",
            train=[uuid4()],
            held_out=[uuid4()],
            lineage={
                "examples": 100,
                "dropped": {"outvoted": 6, "duplicate": 3},
                "scripts": {"latin": 60, "cyrillic": 21, "chinese": 9, "none": 1},
                "unknown_words": 34,
                "scrubbed": {"EMAIL": 2},
            },
        )
    text = text_of(ada.get(f"/o/acme/datasets/{row.pk}"))
    assert "Left out: 3 duplicate, 6 outvoted." in text
    assert "Letters: 60 latin, 21 cyrillic, 9 chinese, 1 none." in text
    assert "Taken out of texts: 2 EMAIL." in text
    assert "34 of 91 questions are in words that the encoder of students does not know" in text
    assert "6 of 100 examples were left out since their neighbours all have one other answer" in text
    version = Api(token=acme.admin_token).get("/dataset-versions").json()["data"][0]
    assert len(version["warnings"]) == 2
    with org_scope(acme.org.pk):
        DatasetVersion.objects.filter(dataset=row).update(
            lineage={"examples": 100, "dropped": {"outvoted": 5}, "scripts": {"latin": 100}, "unknown_words": 5}
        )
    assert Api(token=acme.admin_token).get("/dataset-versions").json()["data"][0]["warnings"] == []


def test_a_run_is_asked_for_watched_and_cancelled(ada: Visit, world: World) -> None:
    acme = world.acme
    row = make(ada, world)
    page, new = f"/o/acme/datasets/{row.pk}", f"/o/acme/datasets/{row.pk}/runs/new"
    assert "There was none: a run has large answer prompts" in text_of(ada.get(page))
    prompt = '{"messages": [{"role": "user", "content": "Where?"}]}'
    wrong = ada.submit(new, prompts=prompt, api_key="sk-1")
    assert (wrong.status_code, "Give an API key of this organisation" in error_of(wrong)) == (400, True)
    assert "Give from 1 to" in error_of(ada.submit(new, prompts="", api_key=acme.api_key))
    made = ada.submit(new, prompts=f"{prompt}\r\n{prompt}", api_key=acme.api_key, cap="1.50")
    assert made.headers["Location"] == page
    with org_scope(acme.org.pk):
        run = TeacherRun.objects.get(org=acme.org)
        assert (run.total, run.cap_nanos, run.judge) == (2, 1_500_000_000, "")
        TeacherRun.objects.filter(pk=run.pk).update(state="running", answered=1, cost_nanos=2_000_000_000)
    shown = ada.get(page)
    assert "large answers" in text_of(shown)
    assert "1 of 2 (50 %)" in text_of(shown)
    assert "$2.00 $1.50" in text_of(shown)
    part = ada.get(f"{page}/runs", **{"hx-request": "true"}).content.decode()
    assert part.lstrip().startswith("<section")
    assert f'hx-get="{page}/runs"' in part
    assert ada.get(f"{page}/runs").headers["Location"] == page
    assert ada.post(f"/o/acme/teacher-runs/{run.pk}/cancel").headers["Location"] == page
    assert "The run is cancelled" in text_of(ada.get(page))
    assert "hx-get" not in ada.get(f"{page}/runs", **{"hx-request": "true"}).content.decode()
    judged = ada.submit(new, judge="small", api_key=acme.api_key)
    assert judged.headers["Location"] == page
    assert "small judges" in text_of(ada.get(page))
