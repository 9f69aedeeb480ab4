"""Names and addresses go, as far as the model finds them; what is everybody's stays."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from costhub.lib import clock
from proxy.cache.minilm import ModelUnusable, read_vetted
from proxy.learning.conversations import Example, Message, write_line
from proxy.learning.datasets import (
    MOST_LOOKED_OVER,
    build_version,
    import_lines,
    list_examples,
    open_examples,
    read_version,
    request_version,
    take_people_out,
)
from proxy.learning.leases import Lease
from proxy.learning.material import read_material
from proxy.learning.models import DatasetVersion, LearnedExample, TrainingJob
from proxy.learning.people import Kept, find_kept, take_out
from proxy.learning.people_model import PeopleModel, find_with
from proxy.learning.scrubbing import Span
from tenants.access import org_scope
from tests.proxy.learning.examples import make_example, make_support
from tests.proxy.learning.rows import capture, consent, embed_words, make_dataset
from tests.world import World

NOTHING_KEPT = Kept(frozenset(), answers=False)


@pytest.fixture(scope="module")
def model() -> PeopleModel:
    return PeopleModel()


def clean(model: PeopleModel, text: str) -> str:
    return take_out(make_example(text, "-"), model.find, NOTHING_KEPT)[0].question


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("My name is Alice Johnson, where is my parcel?", "My name is [NAME_1], where is my parcel?"),
        ("hi, this is bob smith, my card does not work", "hi, this is [NAME_1], my card does not work"),
        ("Dear [NAME_1], ring Anne-Marie O'Neill", "Dear [NAME_1], ring [NAME_2]"),
        ("Sehr geehrte Frau Müller, danke.", "Sehr geehrte Frau [NAME_1], danke."),
        ("Tell Mr. van der Berg and Ada, please.", "Tell Mr. [NAME_1] and [NAME_2], please."),
        ("Bonjour, je m'appelle Jean Dupont.", "Bonjour, je m'appelle [NAME_1]."),
        ("I live at 42 Maple Street, Springfield, IL 62704.", "I live at [ADDRESS_1]."),
        ("Ship to:\n221B Baker Street\nLondon NW1 6XE\nThank you", "Ship to:\n[ADDRESS_1]\nThank you"),
        ("Bitte an die Lindenstraße 12, 10115 Berlin liefern.", "Bitte an die [ADDRESS_1] liefern."),
        ("Livrez au 12 rue de la Paix, 75002 Paris.", "Livrez au [ADDRESS_1]."),
        ("half a character \ud800, says Alice Johnson", "half a character \ud800, says [NAME_1]"),
    ],
)
def test_what_goes(model: PeopleModel, text: str, cleaned: str) -> None:
    assert clean(model, text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Do you deliver to Berlin, Paris and New York?",
        "What is the capital of France?",
        "Where is my parcel? It was due on Monday.",
        "Write a function in Python that sorts a list of 100 numbers.",
        "std::vector<int> a(10115);",
        "[NAME_1] of [ADDRESS_1] wrote to [EMAIL_1]",
    ],
)
def test_what_stays(model: PeopleModel, text: str) -> None:
    assert clean(model, text) == text


def test_long_texts_are_read_to_their_end_and_over_every_seam(model: PeopleModel) -> None:
    for filler in (400, 440, 470, 479, 480, 500, 2_000):
        before = ("Where is it now? " * 200)[:filler]
        found = model.find(f"{before} My name is Priya Venkataraman and I wait.")
        assert [(kind, start - len(before)) for start, _, kind in found] == [("NAME", 12)], filler
        assert {stop - start for start, stop, _ in found} == {len("Priya Venkataraman")}, filler


def test_one_person_is_one_mark_throughout_an_example(model: PeopleModel) -> None:
    prompt = (
        Message("system", "The customer is Rose Venkataraman."),
        Message("user", "My name is Rose Venkataraman. Tell Bob Smith that the rose is red."),
    )
    example = Example("source", 0, prompt, "I will, Rose: Bob Smith shall know.", "Bob Smith")
    cleaned, found = take_out(example, model.find, NOTHING_KEPT)
    assert [message.content for message in cleaned.prompt] == [
        "The customer is [NAME_1].",
        "My name is [NAME_1]. Tell [NAME_2] that the rose is red.",
    ]
    assert (cleaned.answer, cleaned.gold) == ("I will, [NAME_1]: [NAME_2] shall know.", "[NAME_2]")
    assert found == {"NAME": 5, "ADDRESS": 0}


def test_instructions_and_labels_that_are_everybodys_stay(model: PeopleModel) -> None:
    shared, own = "You are Clara Jones, who sorts mail.", "The customer is Rose Venkataraman."
    examples = [
        example._replace(prompt=(Message("system", shared), *example.prompt), answer=answer)
        for example, answer in zip(make_support(40), ["Bob Smith", "Alice Johnson"] * 20, strict=True)
    ]
    examples[0] = examples[0]._replace(prompt=(Message("system", own), *examples[0].prompt[1:]))
    kept = find_kept(examples)
    assert (kept.instructions, kept.answers) == ({shared}, True)
    first, second = (take_out(example, model.find, kept) for example in examples[:2])
    assert (first[0].prompt[0].content, first[0].answer) == ("The customer is [NAME_1].", "Bob Smith")
    assert second == (examples[1], {"NAME": 0, "ADDRESS": 0})
    # Of fewer, they may be one customer's.
    assert find_kept(examples[1:19]) == Kept(frozenset(), True)
    # One who calls often is one, and so is a conversation of many turns.
    assert find_kept(examples, ["rose"] * 40).instructions == set()
    assert find_kept(examples, [f"u{number % 20}" for number in range(40)]).instructions == {shared}
    one_talk = [example._replace(prompt=(*examples[1].prompt, *example.prompt[1:])) for example in examples]
    assert find_kept(one_talk).instructions == set()


def test_a_version_takes_names_out_of_each_example_once(world: World) -> None:
    acme = world.acme
    consent(acme)
    dataset = make_dataset(acme)
    for number in range(3):
        capture(acme, f"My name is Alice Johnson, and order {number} is late", f"I am sorry, Alice ({number}).")
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)
    asked: list[str] = []
    model = find_with()

    def find(text: str) -> Sequence[Span]:
        asked.append(text)
        return model(text)

    build_version(acme.org.pk, version.pk, embed_words, find)
    with org_scope(acme.org.pk):
        version.refresh_from_db()
        examples = [
            *read_version(acme.owner, version, held_out=False),
            *read_version(acme.owner, version, held_out=True),
        ]
    assert {(example.question, example.answer) for example in examples} == {
        (f"My name is [NAME_1], and order {number} is late", f"I am sorry, [NAME_1] ({number}).") for number in range(3)
    }
    assert version.lineage["scrubbed"] == {"NAME": 6}
    assert len(asked) == 6
    with org_scope(acme.org.pk):
        again = request_version(actor=acme.owner, dataset=dataset)
    build_version(acme.org.pk, again.pk, embed_words, find)
    with org_scope(acme.org.pk):
        again.refresh_from_db()
    assert (again.sha256, len(asked)) == (version.sha256, 6)


def test_who_runs_out_of_time_goes_on_in_the_next_turn(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    consent(acme)
    for number in range(60):
        capture(acme, f"Order {number} of Alice Johnson?", f"It is late by {number} days.")
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)
    find = find_with()
    build_version(acme.org.pk, version.pk, embed_words, find, seconds=0)
    with org_scope(acme.org.pk):
        version.refresh_from_db()
        looked_over = list_examples(acme.owner, dataset).filter(scrubbed__has_key="NAME").count()
    assert (version.state, looked_over) == ("waiting", 1)
    build_version(acme.org.pk, version.pk, embed_words, find, seconds=240)
    with org_scope(acme.org.pk):
        version.refresh_from_db()
    assert (version.state, version.lineage["scrubbed"]) == ("ready", {"NAME": 60})


def test_a_dataset_that_never_stops_growing_has_a_version(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    consent(acme)
    for number in range(3):
        capture(acme, f"Order {number} of Alice Johnson?", f"It is late by {number} days.")
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)
    find, later = find_with(), version.created_at
    states = []
    for number in range(3, 7):
        # In each turn there is one example more than before, and time for one.
        later += timedelta(milliseconds=1)
        capture(acme, f"Order {number} of Alice Johnson?", f"It is late by {number} days.", at=later)
        build_version(acme.org.pk, version.pk, embed_words, find, seconds=0)
        with org_scope(acme.org.pk):
            version.refresh_from_db()
        states.append(version.state)
    assert states == ["waiting", "waiting", "waiting", "ready"]
    # Beside what there was when it was asked for the one that its last turn had time for.
    assert version.lineage["dropped"] == {"not looked over": 3}
    assert (version.lineage["scrubbed"], len(version.train) + len(version.held_out)) == ({"NAME": 4}, 4)


def test_opening_a_large_dataset_takes_nothing_from_the_time_of_looking(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    consent(acme)
    for number in range(5):
        capture(acme, f"Order {number} of Alice Johnson?", f"It is late by {number} days.")
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)

    def open_slowly(*args: Any) -> Any:
        found = open_examples(*args)
        ahead[0] += 100 * 10**9
        return found

    ahead, now = [0], clock.monotonic_ns
    monkeypatch.setattr("costhub.lib.clock.monotonic_ns", lambda: now() + ahead[0])
    monkeypatch.setattr("proxy.learning.datasets.open_examples", open_slowly)
    build_version(acme.org.pk, version.pk, embed_words, find_with(), seconds=60)
    with org_scope(acme.org.pk):
        version.refresh_from_db()
    assert (version.state, version.lineage["scrubbed"]) == ("ready", {"NAME": 5})


def test_what_is_too_long_to_be_looked_over_is_in_no_version(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    long = make_example("word " * (MOST_LOOKED_OVER // 5), "Alice Johnson")
    lines = [long, make_example("My name is Alice Johnson", "Hello."), make_example("Where is it?", "Here.")]
    with org_scope(acme.org.pk):
        import_lines(actor=acme.owner, dataset=dataset, lines=b"\n".join(map(write_line, lines)).decode())
        version = request_version(actor=acme.owner, dataset=dataset)
    build_version(acme.org.pk, version.pk, embed_words, find_with())
    with org_scope(acme.org.pk):
        version.refresh_from_db()
    assert (version.state, version.lineage["dropped"]) == ("ready", {"not looked over": 1})
    assert version.lineage["scrubbed"] == {"NAME": 1}


def test_a_dataset_may_keep_names(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme, takes_out_names=False)
    consent(acme)
    for number in range(2):
        capture(acme, f"My name is Alice Johnson, and order {number} is late", str(number))
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)
    build_version(acme.org.pk, version.pk, embed_words, find_with())
    with org_scope(acme.org.pk):
        version = DatasetVersion.objects.select_related("dataset").get(pk=version.pk)
        (example,) = read_version(acme.owner, version, held_out=False)
    assert "Alice Johnson" in example.question
    assert version.lineage["scrubbed"] == {}


def test_a_training_knows_a_version_whose_names_were_taken_out_since(world: World) -> None:
    """A checkpoint of before has learned from other texts: it is not gone on with."""
    acme = world.acme
    dataset = make_dataset(acme)
    lines = [make_example("My name is Alice Johnson", "Hello."), make_example("Where is it?", "Here.")]
    with org_scope(acme.org.pk):
        import_lines(actor=acme.owner, dataset=dataset, lines=b"\n".join(map(write_line, lines)).decode())
        version = request_version(actor=acme.owner, dataset=dataset)
    # As one of before names were looked for.
    build_version(acme.org.pk, version.pk, embed_words)
    with org_scope(acme.org.pk):
        job = TrainingJob.objects.create(org=acme.org, version=version, project_id=acme.project.pk, name="labels")
    lease = Lease(acme.org.pk, job.pk, 1)
    before = [read_material(lease).rows for _ in range(2)]
    assert before[0] == before[1]
    assert take_people_out(acme.org.pk, dataset, find_with(), 60, asked_at=clock.now())
    assert read_material(lease).rows not in before


def test_a_tombstone_stays_one_while_names_are_looked_for(world: World) -> None:
    acme = world.acme
    dataset = make_dataset(acme)
    consent(acme)
    capture(acme, "My name is Alice Johnson", "Hello.")
    with org_scope(acme.org.pk):
        version = request_version(actor=acme.owner, dataset=dataset)
    build_version(acme.org.pk, version.pk, embed_words)

    def withdraw(text: str) -> tuple[()]:
        with org_scope(acme.org.pk):
            LearnedExample.objects.filter(org=acme.org).update(sealed=None, scrubbed={})
        return ()

    assert take_people_out(acme.org.pk, dataset, withdraw, 60, asked_at=clock.now())
    with org_scope(acme.org.pk):
        (row,) = list_examples(acme.owner, dataset)
    assert (row.sealed, row.scrubbed) == (None, {})


def test_only_the_vetted_files_are_used(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"The model's file config\.json cannot be read"):
        read_vetted(tmp_path, "config.json", "00")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnusable, match=r"The model's file config\.json has been changed"):
        read_vetted(tmp_path, "config.json", "00")
