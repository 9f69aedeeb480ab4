"""Shorter words for system prompts: nothing is sent before somebody has approved just those words."""

import hashlib

import pytest

from costhub.lib.errors import Conflict, Forbidden, InvalidField
from tenants.access import org_scope
from tenants.actions import system_prompts
from tenants.actions.compression import create_compression_policy
from tenants.actions.system_prompts import approve_system_prompt, propose_system_prompt, retire_system_prompt
from tenants.choices import Compression, Mode
from tenants.models import AuditEntry, SystemPrompt
from tenants.route_snapshots import ApprovedPrompt
from tenants.selectors import load_org_snapshot
from tenants.snapshots import OrgSnapshot
from tests.world import Tenant, World

LONG = "You are a very friendly helper of the shop. Always answer in French. It is nice to be nice."
SHORT = "You help the shop. Always answer in French."
DIGEST = hashlib.sha256(LONG.encode()).hexdigest()


@pytest.fixture
def acme(world: World) -> Tenant:
    with org_scope(world.acme.org_id):
        create_compression_policy(actor=world.acme.owner, mode=Mode.ON, methods=[Compression.SYSTEM_PROMPT])
    return world.acme


def propose(acme: Tenant, shorter: str = SHORT, original: str = LONG) -> SystemPrompt:
    with org_scope(acme.org_id):
        return propose_system_prompt(actor=acme.owner, original=original, shorter=shorter)


def sent(acme: Tenant) -> dict[str, ApprovedPrompt]:
    snapshot = load_org_snapshot(acme.org_id)
    assert snapshot is not None
    again = OrgSnapshot.from_json(snapshot.to_json()).system_prompts
    assert again == snapshot.system_prompts
    return dict(again)


def states(acme: Tenant) -> list[tuple[int, str]]:
    with org_scope(acme.org_id):
        return list(SystemPrompt.objects.order_by("number").values_list("number", "state"))


def test_a_proposal_is_sent_once_it_is_approved_and_one_version_at_a_time(acme: Tenant) -> None:
    first, second = propose(acme), propose(acme, "Help. French only.")
    assert sent(acme) == {}
    with org_scope(acme.org_id):
        approve_system_prompt(actor=acme.owner, prompt=first)
    assert sent(acme) == {DIGEST: ApprovedPrompt(f"{DIGEST[:8]} v1", SHORT)}
    with org_scope(acme.org_id):
        approve_system_prompt(actor=acme.owner, prompt=second)
        approve_system_prompt(actor=acme.owner, prompt=second)
    assert sent(acme) == {DIGEST: ApprovedPrompt(f"{DIGEST[:8]} v2", "Help. French only.")}
    assert states(acme) == [(1, "retired"), (2, "approved")]
    with org_scope(acme.org_id):
        retire_system_prompt(actor=acme.owner, prompt=second)
        retire_system_prompt(actor=acme.owner, prompt=second)
        told = sorted(AuditEntry.objects.filter(target_kind="system_prompt").values_list("action", flat=True))
    assert sent(acme) == {}
    assert told == ["system_prompt.created"] * 2 + ["system_prompt.updated"] * 4


@pytest.mark.parametrize(
    ("original", "shorter", "field"),
    [
        ("", SHORT, "original"),
        ("  \n", SHORT, "original"),
        (LONG, "", "shorter"),
        (LONG, LONG, "shorter"),
        (SHORT, LONG, "shorter"),
        ("x" * 50_001, SHORT, "original"),
        (LONG + "\0", SHORT, "original"),
    ],
)
def test_words_that_are_none_or_not_fewer_are_refused(acme: Tenant, original: str, shorter: str, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        propose(acme, shorter, original)
    assert refused.value.field == field


def test_there_is_an_end_to_what_proxies_keep_in_mind(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_prompts, "MOST_APPROVED", 1)
    monkeypatch.setattr(system_prompts, "MOST_VERSIONS", 2)
    one, other = propose(acme), propose(acme, original=LONG + " Be nice.")
    with org_scope(acme.org_id):
        approve_system_prompt(actor=acme.owner, prompt=one)
        with pytest.raises(Conflict, match="retire one first"):
            approve_system_prompt(actor=acme.owner, prompt=other)
    with pytest.raises(Conflict, match="versions of system prompts already"):
        propose(acme)


def test_who_may_not_change_settings_decides_nothing(acme: Tenant, world: World) -> None:
    prompt = propose(acme)
    with org_scope(acme.org_id):
        with pytest.raises(Forbidden):
            propose_system_prompt(actor=world.ben_actor, original=LONG, shorter=SHORT)
        for decide in (approve_system_prompt, retire_system_prompt):
            with pytest.raises(Forbidden):
                decide(actor=world.ben_actor, prompt=prompt)
    assert states(acme) == [(1, "proposed")]
