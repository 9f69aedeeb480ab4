"""Datasets and their versions, from calls and imports to a file and back."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.moments import from_ms
from proxy.learning.datasets import (
    build_version,
    create_dataset,
    delete_dataset,
    export_version,
    gather_calls,
    import_lines,
    list_examples,
    read_version,
    request_version,
)
from proxy.learning.models import Dataset, DatasetVersion, LearnedExample, ProviderTuning, TrainingJob
from tenants.access import org_scope
from tests.proxy.learning.rows import capture, consent, embed_words, fill, make_dataset, make_version
from tests.world import World, make_catalog

LINE = '{"messages":[{"role":"user","content":"Mail ada@acme.example?"},{"role":"assistant","content":"Yes."}]}'


def test_calls_become_scrubbed_examples_once(world: World) -> None:
    acme = world.acme
    consent(acme)
    dataset = make_dataset(acme)
    now = from_ms(clock.now_ms() + 1)
    capture(acme, "My mail is ada@acme.example", "Thank you, ada@acme.example.", at=now)
    capture(acme, "Where is my lamp?", "On its way.", at=now + timedelta(seconds=1))
    capture(acme, "Of another teacher", "No.", teacher="large")
    capture(acme, "No answer", "", at=now)
    capture(acme, "Before the consent", "No.", at=now - timedelta(days=1))
    version = make_version(acme, dataset)
    assert version.lineage == {
        "teacher": "small",
        "held_out_percent": 20,
        "near_per_mille": 1_000,
        "drops_outvoted": False,
        "examples": 2,
        "dropped": {},
        "kinds": {"call": 2},
        "scripts": {"latin": 2},
        "unknown_words": 0,
        "scrubbed": {"EMAIL": 2},
        "first": now.isoformat(),
        "last": (now + timedelta(seconds=1)).isoformat(),
        "previous": None,
    }
    with org_scope(acme.org.pk):
        (example,) = read_version(acme.owner, version, held_out=False)
        assert (example.question, example.answer) == ("My mail is [EMAIL_1]", "Thank you, [EMAIL_1].")
        assert list_examples(acme.owner, dataset).count() == 2
    # What was looked at is not looked at again, but for what can never be an example.
    assert gather_calls(acme.org.pk, dataset.pk) == 2
    with org_scope(acme.org.pk):
        assert list_examples(acme.owner, dataset).count() == 2


def test_a_file_that_was_exported_makes_the_same_version(world: World) -> None:
    acme = world.acme
    dataset, copy = make_dataset(acme), make_dataset(acme, "copy")
    fill(acme, dataset, 60)
    version = make_version(acme, dataset)
    assert (version.state, version.error, version.number) == ("ready", "", 1)
    assert (len(version.train), len(version.held_out)) == (48, 12)
    assert version.labels == {"refund": 20, "delivery": 20, "invoice": 20}
    with org_scope(acme.org.pk):
        parts = [export_version(actor=acme.owner, version=version, held_out=part) for part in (False, True)]
        assert import_lines(actor=acme.owner, dataset=copy, lines=b"".join(parts).decode()) == 60
    again = make_version(acme, copy)
    assert again.sha256 == version.sha256
    assert make_version(acme, dataset).sha256 == version.sha256
    fill(acme, copy, 61)
    grown = make_version(acme, copy)
    assert (grown.number, grown.lineage["dropped"], grown.lineage["previous"]) == (2, {"duplicate": 60}, 1)
    assert grown.sha256 != version.sha256


def test_vectors_find_what_is_said_again(world: World) -> None:
    dataset = make_dataset(world.acme, near_per_mille=990)
    lines = LINE + "\n" + LINE.replace("Mail ada@acme.example?", "mail? ada@acme.example")
    lines += "\n" + LINE.replace("Mail", "Telephone")
    with org_scope(world.acme.org.pk):
        import_lines(actor=world.acme.owner, dataset=dataset, lines=lines)
        version = request_version(actor=world.acme.owner, dataset=dataset)
    embedded: list[str] = []
    build_version(
        world.acme.org.pk,
        version.pk,
        lambda texts: embedded.extend(texts) or embed_words([text.replace("?", "") for text in texts]),  # type: ignore[func-returns-value]
    )
    with org_scope(world.acme.org.pk):
        version.refresh_from_db()
    assert sorted(embedded) == ["Mail [EMAIL_1]?", "Telephone [EMAIL_1]?", "mail? [EMAIL_1]"]
    assert version.lineage["dropped"] == {"near duplicate": 1}


def test_one_version_at_a_time_and_none_that_is_not_there(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)
        with pytest.raises(Conflict, match="is being made"):
            request_version(actor=acme.owner, dataset=dataset)
        with pytest.raises(Conflict, match="has not been made"):
            export_version(actor=acme.owner, version=version, held_out=False)
    build_version(acme.org.pk, version.pk, embed_words)
    # A second worker comes too late, and changes nothing.
    fill(acme, dataset)
    build_version(acme.org.pk, version.pk, embed_words)
    with org_scope(acme.org.pk):
        version.refresh_from_db()
        assert (version.state, version.train) == ("failed", [])
    assert make_version(acme, dataset).number == 2


def test_a_dataset_goes_with_all_that_came_of_it(world: World) -> None:
    dataset = make_dataset(world.acme)
    fill(world.acme, dataset, 9)
    make_version(world.acme, dataset)
    with org_scope(world.acme.org.pk):
        delete_dataset(actor=world.acme.owner, dataset=dataset)
        assert not LearnedExample.objects.filter(org=world.acme.org).exists()
        assert not DatasetVersion.objects.filter(org=world.acme.org).exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "x" * 121),
        ("teacher", "unknown"),
        ("held_out_percent", 0),
        ("held_out_percent", 91),
        ("near_per_mille", 499),
        ("near_per_mille", 1_001),
        ("region", "us"),
        ("region", "USA"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(world: World, field: str, value: object) -> None:
    make_catalog(world.acme)
    fields = {"name": "support", "teacher": "small"} | {field: value}
    with org_scope(world.acme.org.pk), pytest.raises(InvalidField) as raised:
        create_dataset(actor=world.acme.owner, **fields)  # type: ignore[arg-type]
    assert raised.value.field == field


def test_names_are_taken_once_and_only_who_may_change_settings_reads_what_was_said(world: World) -> None:
    dataset = make_dataset(world.acme)
    fill(world.acme, dataset, 9)
    version = make_version(world.acme, dataset)
    with org_scope(world.acme.org.pk):
        with pytest.raises(Conflict):
            create_dataset(actor=world.acme.owner, name="support", teacher="small")
        for forbidden in (
            lambda: export_version(actor=world.ben_actor, version=version, held_out=False),
            lambda: import_lines(actor=world.ben_actor, dataset=dataset, lines=LINE),
            lambda: request_version(actor=world.ben_actor, dataset=dataset),
            lambda: delete_dataset(actor=world.ben_actor, dataset=dataset),
        ):
            with pytest.raises(Forbidden):
                forbidden()


def test_what_a_training_uses_is_charged_before_its_dataset_goes(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    fill(acme, dataset, 9)
    version = make_version(acme, dataset)
    with org_scope(acme.org.pk):
        mine: dict[str, Any] = {"org": acme.org, "version": version, "project_id": acme.project.pk, "state": "running"}
        job = TrainingJob.objects.create(**mine, name="labels", segment_from=clock.now())
        tuning = ProviderTuning.objects.create(
            **mine, name="tuned", base_model="small", upstream_id=uuid4(), per_million_nanos=0
        )
        uses: list[tuple[Any, dict[str, Any]]] = [(job, {"segment_from": None}), (tuning, {"state": "cancelled"})]
        for row, ended in uses:
            with pytest.raises(Conflict, match="cancel it, and wait until it is charged"):
                delete_dataset(actor=acme.owner, dataset=dataset)
            type(row).objects.filter(pk=row.pk).update(**ended)
        delete_dataset(actor=acme.owner, dataset=dataset)
        assert not Dataset.objects.filter(org=acme.org).exists()
