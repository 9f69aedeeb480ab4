"""The forms of cache and compression policies: what they make is what the API makes, and each error stands beside its
field."""

from datetime import timedelta
from typing import Any

import pytest

from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy, update_cache_policy
from tenants.actions.compression import create_compression_policy
from tenants.choices import CacheMode, Compression, Mode
from tenants.models import AuditEntry, CachePolicy, CompressionPolicy
from tests.audit import read_audit
from tests.billing.ledger import record_call, record_correction
from tests.console.client import Visit, error_of, read_form, refresh, text_of
from tests.tenants.route_examples import make_models, make_route
from tests.world import World

POLITE = "Hello there, I hope that you are well.\nPlease,   please   tell me what the invoice of May says, thank you.\n\nSum?"


@pytest.fixture
def ada(world: World) -> Visit:
    make_models(world.acme)
    return Visit(world.ada)


def test_a_cache_policy_is_made_changed_and_removed(ada: Visit, world: World) -> None:
    make_route(world.acme, name="smart")
    page = ada.get("/o/acme/cache/policies/new").content.decode()
    assert "smart (route)" in page
    made = ada.submit(
        "/o/acme/cache/policies/new", model="small", semantic="shadow", ttl_seconds="60", sharing="project"
    )
    assert made.headers["Location"] == "/o/acme/cache"
    with org_scope(world.acme.org.pk):
        row = CachePolicy.objects.get(org=world.acme.org)
    assert (row.model, row.mode, row.semantic, row.ttl_seconds, row.sharing) == (
        "small",
        "shadow",
        "shadow",
        60,
        "project",
    )
    path = f"/o/acme/cache/policies/{row.pk}"
    assert f'href="{path}"' in ada.get("/o/acme/cache").content.decode()
    assert ada.submit(path, mode="on", max_temperature="1.25", marks_prompts="1").status_code == 302
    refresh(row)
    assert (row.mode, str(row.max_temperature), row.marks_prompts) == ("on", "1.25", True)
    # A model that has a policy is not offered another one.
    assert '<option value="small"' not in ada.get("/o/acme/cache/policies/new").content.decode()
    assert ada.post(f"{path}/remove").status_code == 302
    with org_scope(world.acme.org.pk):
        assert not CachePolicy.objects.filter(org=world.acme.org).exists()
    told = read_audit(world.acme.org, target_id=str(row.pk))
    assert [each.action.partition(".")[2] for each in told] == ["created", "updated", "deleted"]


BAD_CACHE = [
    ({"ttl_seconds": "0"}, "Give 1 to 2592000 seconds"),
    ({"ttl_seconds": "an hour"}, "Give a whole number"),
    ({"max_temperature": "2.5"}, "Give a number from 0 to 2"),
    ({"max_temperature": ""}, "Fill this in."),
    ({"max_error_rate": "0.0001"}, "at most 3 decimal places"),
    ({"mode": "loud"}, "Choose one of: off, shadow, on."),
    ({"sharing": "<b>"}, "Choose one of: end_user, key, project, organization."),
    ({"replay_ms": "5000"}, "Give 0 to 1000 milliseconds"),
    ({"model": "nothing"}, "Give one of the organisation's models or routes"),
    ({"model": "a\x00b"}, "NUL"),
]


@pytest.mark.parametrize(("typed", "words"), BAD_CACHE)
def test_a_cache_policy_that_cannot_be_is_said_beside_its_field(
    ada: Visit, world: World, typed: dict[str, str], words: str
) -> None:
    answer = ada.submit("/o/acme/cache/policies/new", **typed)
    assert (answer.status_code, words in error_of(answer)) == (400, True), error_of(answer)
    (field,) = typed
    assert f'id="field-{field}-error"' in answer.content.decode()
    with org_scope(world.acme.org.pk):
        assert not CachePolicy.objects.filter(org=world.acme.org).exists()


def test_of_two_editors_the_second_is_told(ada: Visit, world: World) -> None:
    with org_scope(world.acme.org.pk):
        row = create_cache_policy(actor=world.acme.owner, mode=CacheMode.ON)
    path = f"/o/acme/cache/policies/{row.pk}"
    opened = read_form(ada.get(path).content.decode())
    with org_scope(world.acme.org.pk):
        update_cache_policy(actor=world.acme.owner, policy=row, ttl_seconds=99)
    late = ada.post(path, {**opened, "ttl_seconds": "7"})
    assert (late.status_code, "Somebody has changed this" in error_of(late)) == (409, True)
    assert read_form(late.content.decode())["ttl_seconds"] == "7"
    refresh(row)
    assert row.ttl_seconds == 99


def test_a_compression_policy_is_tried_made_changed_and_removed(ada: Visit, world: World) -> None:
    typed = {"model": "small", "mode": "off", "methods": ["filler", "lossless"], "sample": POLITE}
    tried: Any = ada.submit("/o/acme/compression/new", preview="yes", **typed)
    assert tried.status_code == 200
    shown = tried.context["tried"]
    assert shown.tokens_after < shown.tokens_before
    assert "please please" not in shown.text.lower()
    assert "As it would be sent" in text_of(tried)
    with org_scope(world.acme.org.pk):
        assert not CompressionPolicy.objects.filter(org=world.acme.org).exists()
        assert not AuditEntry.objects.filter(org=world.acme.org, target_kind="compression_policy").exists()
    # The preview has not used the form up: what it answered with can be saved.
    kept = {name: value for name, value in read_form(tried.content.decode()).items() if name != "sample"}
    assert ada.post("/o/acme/compression/new", kept).status_code == 302
    with org_scope(world.acme.org.pk):
        row = CompressionPolicy.objects.get(org=world.acme.org)
    assert (row.model, row.mode, row.methods) == ("small", "off", ["lossless", "filler"])
    path = f"/o/acme/compression/{row.pk}"
    assert f'href="{path}/edit"' in ada.get("/o/acme/compression").content.decode()
    assert ada.submit(f"{path}/edit", methods=["prune"], keep_percent="60", extract_percent="25").status_code == 302
    refresh(row)
    assert (row.methods, row.keep_percent, row.extract_percent) == (["prune"], 60, 25)
    assert ada.post(f"{path}/remove").status_code == 302
    with org_scope(world.acme.org.pk):
        assert not CompressionPolicy.objects.filter(org=world.acme.org).exists()


BAD_COMPRESSION = [
    ({"methods": []}, "methods", "Give one or more of"),
    ({"methods": ["magic"]}, "methods", "There is no &#x27;magic&#x27;"),
    ({"methods": ["perplexity"], "keep_percent": "50"}, "scorer", "whose completions echo log probabilities"),
    ({"methods": ["perplexity"], "scorer": "small"}, "keep_percent", "Say how many per cent"),
    ({"scorer": "small"}, "scorer", "Only the method perplexity has a scorer."),
    ({"keep_percent": "99"}, "keep_percent", "from 0 to 95"),
    ({"holdout_percent": ""}, "holdout_percent", "Fill this in."),
    ({"preview": "yes"}, "sample", "Paste a text to try it on."),
]


@pytest.mark.parametrize(("typed", "field", "words"), BAD_COMPRESSION)
def test_a_compression_policy_that_cannot_be_is_said(
    ada: Visit, typed: dict[str, object], field: str, words: str
) -> None:
    answer = ada.submit("/o/acme/compression/new", **typed)
    html = answer.content.decode()
    assert (answer.status_code, words in html, f'id="field-{field}-error"' in html) == (400, True, True)


def test_nobody_without_the_right_makes_policies(world: World) -> None:
    make_models(world.acme)
    with org_scope(world.acme.org.pk):
        policies = {
            "cache/policies/{}": create_cache_policy(actor=world.acme.owner, mode=CacheMode.ON).pk,
            "compression/{}/edit": create_compression_policy(actor=world.acme.owner, mode=Mode.ON).pk,
        }
    ben, mallory = Visit(world.ben), Visit(world.mallory)
    paths = ["cache/policies/new", "compression/new", *(path.format(pk) for path, pk in policies.items())]
    for path in paths:
        assert ben.get(f"/o/acme/{path}").status_code == 403, path
        assert ben.post(f"/o/acme/{path}", {"mode": "off"}).status_code == 403, path
        assert mallory.post(f"/o/acme/{path}", {"mode": "off"}).status_code == 404, path
    assert "New policy" not in text_of(ben.get("/o/acme/cache"))
    foreign = f"/o/mallcorp/cache/policies/{policies['cache/policies/{}']}"
    assert mallory.post(foreign, {"mode": "off"}).status_code == 404
    assert mallory.post(f"{foreign}/remove").status_code == 404


def test_a_policy_s_methods_are_words(ada: Visit, world: World) -> None:
    with org_scope(world.acme.org.pk):
        methods = [Compression.LOSSLESS, Compression.SYSTEM_PROMPT]
        create_compression_policy(actor=world.acme.owner, mode=Mode.ON, methods=methods)
    assert "lossless, system prompt; 2 % of the conversations held out" in text_of(ada.get("/o/acme/compression"))


def test_shares_are_drawn_of_what_calls_cost_and_not_of_more_that_was_given_back(ada: Visit, world: World) -> None:
    with org_scope(world.acme.org.pk):
        policy = create_compression_policy(actor=world.acme.owner, mode=Mode.ON)
    path = f"/o/acme/compression/{policy.pk}/edit"
    call = record_call(world.acme, clock.now() - timedelta(hours=1), request_model="small", cost=1_000_000)
    page = ada.get(path)
    assert 'id="curve-keep_percent"' in page.content.decode()
    assert text_of(page).count("Now: what the method keeps by itself") == 2
    record_correction(world.acme, call, -1_000_001)
    assert 'id="curve-keep_percent"' not in ada.get(path).content.decode()
