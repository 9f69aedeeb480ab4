"""What was asked of the semantic level lies sealed in PostgreSQL, each question for its own row and column."""

from uuid import UUID, uuid4

import numpy as np
import pytest
from django.conf import settings
from django.db import connection

from costhub.lib import clock
from costhub.lib.secrets import UnusableCredential, make_data_key
from proxy import tasks
from proxy.cache import semantic_store, upkeep
from proxy.cache.model import CacheEntry, CacheLookup
from proxy.cache.sealed_questions import open_text, place_of_question
from tenants.access import org_scope
from tenants.models import Organization
from tenants.sealed_rows import find_sealer
from tests.proxy.cache.rows import keep_question, read_entries, read_lookups
from tests.world import Tenant, World

ASKED = "Which city is the capital of France?"
KEPT = "What is the capital city of France?"
NEAR = np.full(384, 0.05, np.float32)


def look_up(tenant: Tenant, **values: object) -> UUID:
    """A look-up that was written down."""
    request_id = uuid4()
    with org_scope(tenant.org.pk):
        semantic_store.note_lookup(tenant.org_id, str(request_id), {"asked": ASKED, "kept_question": KEPT, **values})
    return request_id


def lies(tenant: Tenant) -> list[str]:
    """Every text of both tables as PostgreSQL has it."""
    with org_scope(tenant.org.pk):
        entries = CacheEntry.objects.filter(org_id=tenant.org.pk).values_list("question", flat=True)
        lookups = CacheLookup.objects.filter(org_id=tenant.org.pk).values_list("asked", "kept_question")
        return [*entries, *(text for texts in lookups for text in texts)]


def leave_open(tenant: Tenant) -> tuple[UUID, UUID]:
    """An entry and a look-up as a version before wrote them."""
    entry_id, request_id = UUID(keep_question(tenant, KEPT)), look_up(tenant)
    with org_scope(tenant.org.pk):
        CacheEntry.objects.filter(id=entry_id).update(question=KEPT)
        CacheLookup.objects.filter(request_id=request_id).update(asked=ASKED, kept_question=KEPT)
    return entry_id, request_id


def test_no_question_lies_open_and_each_is_read_as_it_was_asked(world: World) -> None:
    acme = world.acme
    entry_id = keep_question(acme, KEPT)
    look_up(acme)
    assert len(lies(acme)) == 3
    assert not any("capital" in text or "France" in text for text in lies(acme))
    assert len(set(lies(acme))) == 3, "the same question twice does not look the same"
    assert [(str(entry.id), entry.question) for entry in read_entries(acme)] == [(entry_id, KEPT)]
    assert [(one.asked, one.kept_question) for one in read_lookups(acme)] == [(ASKED, KEPT)]
    with org_scope(acme.org.pk):
        (near,) = semantic_store.search(acme.org_id, b"scope", NEAR, is_small=True)
        assert near.neighbour.text == KEPT
        assert semantic_store.count_words(acme.org_id, b"scope").texts_with["capital"] == 1


def test_a_question_that_begins_as_what_is_sealed_does_is_sealed_too(world: World) -> None:
    acme = world.acme
    keep_question(acme, f"\x01{KEPT}")
    look_up(acme, asked=f"\x01{ASKED}", kept_question=f"\x01{KEPT}")
    assert not any("capital" in text for text in lies(acme))
    assert [(one.asked, one.kept_question) for one in read_lookups(acme)] == [(f"\x01{ASKED}", f"\x01{KEPT}")]


def test_a_look_up_that_is_noted_again_is_one_row(world: World) -> None:
    request_id = look_up(world.acme, kept_question="", similarity=0.5)
    with org_scope(world.acme.org.pk):
        semantic_store.note_lookup(world.acme.org_id, str(request_id), {"asked": ASKED, "right": True})
    (row,) = read_lookups(world.acme)
    assert (row.asked, row.kept_question, row.similarity, row.right) == (ASKED, "", 0.5, True)


def test_a_question_of_another_row_or_organisation_does_not_open_and_is_no_neighbour(world: World) -> None:
    acme, mallcorp = world.acme, world.mallcorp
    first, second = keep_question(acme, "Where is Rome?"), keep_question(acme, "Where is Oslo?")
    keep_question(mallcorp, "Where is Bonn?")
    (stolen,) = lies(mallcorp)
    with org_scope(acme.org.pk):
        of_second = CacheEntry.objects.get(org_id=acme.org.pk, id=second).question
        for text in (of_second, stolen, "\x01", "\x01no base 64"):
            CacheEntry.objects.filter(org_id=acme.org.pk, id=first).update(question=text)
            found = semantic_store.search(acme.org_id, b"scope", NEAR, is_small=True)
            assert [one.neighbour.text for one in found] == ["Where is Oslo?"], text
            with pytest.raises(UnusableCredential):
                find_sealer(acme.org_id).open_text(place_of_question(first), text)
    assert sorted(entry.question for entry in read_entries(acme)) == ["", "Where is Oslo?"]


def test_what_was_kept_before_is_found_and_sealed_by_the_job(world: World) -> None:
    acme = world.acme
    for _ in range(2):
        leave_open(acme)
    keep_question(acme, "Where is Oslo?")
    with org_scope(acme.org.pk):
        found = semantic_store.search(acme.org_id, b"scope", NEAR, is_small=True)
    assert sorted(one.neighbour.text for one in found) == [KEPT, KEPT, "Where is Oslo?"]
    before = [(one.asked, one.kept_question) for one in read_lookups(acme)]
    upkeep.seal_the_rest([acme.org.pk])
    assert [text for text in lies(acme) if not text.startswith("\x01")] == []
    assert sorted(entry.question for entry in read_entries(acme)) == [KEPT, KEPT, "Where is Oslo?"]
    assert [(one.asked, one.kept_question) for one in read_lookups(acme)] == before
    once = lies(acme)
    upkeep.seal_the_rest([acme.org.pk])
    assert lies(acme) == once, "what is sealed stays as it is"


def test_an_organisation_whose_key_does_not_open_stops_no_job(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Its questions stay as they are, and those of the next are sealed."""
    acme, mallcorp = world.acme, world.mallcorp
    leave_open(acme)
    leave_open(mallcorp)
    of_another = make_data_key(settings.MASTER_KEYS, world.mallcorp.org_id)
    with org_scope(acme.org.pk):
        Organization.objects.filter(pk=acme.org.pk).update(data_key=of_another)
    upkeep.seal_the_rest([acme.org.pk, mallcorp.org.pk])
    assert lies(acme) == [KEPT, ASKED, KEPT]
    assert all(text.startswith("\x01") for text in lies(mallcorp))
    assert [record.message for record in caplog.records] == ["questions of the cache could not be sealed"]


def test_what_is_over_is_deleted_before_anything_is_sealed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing may take longer than a job has: an index of vectors is written, too."""
    both = (world.acme, world.mallcorp)
    for tenant in both:
        leave_open(tenant)
        with org_scope(tenant.org.pk):
            CacheEntry.objects.filter(org_id=tenant.org.pk).update(expires_at=clock.now())

    def take_too_long(*_: object) -> int:
        raise TimeoutError

    monkeypatch.setattr(upkeep, "seal_what_is_not", take_too_long)
    with pytest.raises(TimeoutError):
        tasks.forget_cached_answers()
    assert [lies(tenant) for tenant in both] == [[ASKED, KEPT]] * 2


def test_sealing_ends_when_its_time_is_over_and_goes_on_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [world.acme, world.mallcorp]
    for tenant in both:
        leave_open(tenant)
    monkeypatch.setattr(upkeep, "SEALED_FOR_SECONDS", 0)
    upkeep.seal_the_rest([tenant.org.pk for tenant in both])
    assert [lies(tenant) for tenant in both] == [[KEPT, ASKED, KEPT]] * 2
    monkeypatch.setattr(upkeep, "SEALED_FOR_SECONDS", 60)
    upkeep.seal_the_rest([tenant.org.pk for tenant in both])
    assert all(text.startswith("\x01") for tenant in both for text in lies(tenant))


def test_the_job_finds_them_by_an_index_that_knows_no_others(world: World) -> None:
    leave_open(world.acme)
    for table, column in (("proxy_cacheentry", "question"), ("proxy_cachelookup", "asked")):
        with org_scope(world.acme.org.pk), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(
                f"EXPLAIN SELECT 1 FROM {table} WHERE org_id = %s AND NOT starts_with({column}, E'\\x01')",
                [world.acme.org.pk],
            )
            assert "_to_seal" in " ".join(line for (line,) in cursor.fetchall()), table


def test_with_the_data_key_all_of_them_are_gone(world: World) -> None:
    """An erasure overwrites it: a copy of the rows, as a backup has it, is of no use to anybody."""
    acme = world.acme
    entry_id = keep_question(acme, KEPT)
    look_up(acme)
    copy = lies(acme)
    with org_scope(acme.org.pk):
        Organization.objects.filter(pk=acme.org.pk).update(data_key=make_data_key(settings.MASTER_KEYS, acme.org_id))
        assert semantic_store.search(acme.org_id, b"scope", NEAR, is_small=True) == []
        assert open_text(find_sealer(acme.org_id), place_of_question(entry_id), copy[0]) == ""
    assert [entry.question for entry in read_entries(acme)] == [""]
    assert [(one.asked, one.kept_question) for one in read_lookups(acme)] == [("", "")]
