"""The master key changes: everything opens before, meanwhile and afterwards, and nothing with the former one."""

from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.test import override_settings

from costhub.lib.secrets import MasterKeys, UnusableCredential, open_own, reseal_data_key, unseal
from costhub.ops import master_keys
from costhub.ops.master_keys import reseal_everything
from tenants.access import list_org_ids, org_scope
from tenants.accounts.second_factor import ORIGIN
from tenants.models import Organization
from tests.world import World, make_catalog

OLD: MasterKeys = settings.MASTER_KEYS
NEW = MasterKeys(b"n" * 32)
BOTH = MasterKeys(NEW.current, (OLD.current,))
Opener = Callable[[MasterKeys], list[str]]


@pytest.fixture
def open_all(world: World) -> Opener:
    """What Ada has sealed, opened with these keys: a credential, an app's secret, a seed of recovery codes."""
    upstream = make_catalog(world.acme).upstream
    TOTP.activate(world.ada, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(world.ada)
    assert upstream.credential is not None
    sealed = bytes(upstream.credential)

    def find(keys: MasterKeys) -> list[str]:
        with org_scope(world.acme.org.pk):
            data_key = bytes(Organization.objects.get(pk=world.acme.org.pk).data_key)
        factors = Authenticator.objects.filter(user=world.ada).order_by("type")
        found = [each.data.get("secret") or each.data["seed"] for each in factors]
        credential = unseal(keys, data_key, org_id=world.acme.org_id, origin=upstream.origin, sealed=sealed)
        return [credential, *(open_own(keys, ORIGIN, each) for each in found)]

    return find


def count_sealed() -> int:
    """Second factors with something sealed: a passkey of a test that was here before has nothing."""
    return sum(not {"secret", "seed", "migrated_codes"}.isdisjoint(each.data) for each in Authenticator.objects.all())


def test_everything_moves_once_and_the_former_key_opens_nothing(world: World, open_all: Opener) -> None:
    before = open_all(OLD)
    assert (before[0], before[2]) == ("sk-acme-0123456789abcdefgh", "JBSWY3DPEHPK3PXP")
    assert open_all(BOTH) == before
    done = reseal_everything(BOTH)
    assert (done.orgs, done.factors, done.lost) == (len(list_org_ids()), count_sealed(), ())
    assert done.orgs >= 2
    assert done.factors >= 2
    assert open_all(NEW) == before
    with pytest.raises(UnusableCredential):
        open_all(OLD)
    again = reseal_everything(BOTH)
    assert (again.orgs, again.factors, again.lost) == (0, 0, ())


def test_whoever_was_killed_in_the_middle_begins_again_and_does_the_rest(
    world: World, open_all: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_all(OLD)
    seen: list[str] = []

    def die_at_the_second(keys: MasterKeys, data_key: bytes, org_id: str) -> bytes | None:
        seen.append(org_id)
        if len(seen) == 2:
            raise SystemExit
        return reseal_data_key(keys, data_key, org_id)

    monkeypatch.setattr(master_keys, "reseal_data_key", die_at_the_second)
    with pytest.raises(SystemExit):
        reseal_everything(BOTH)
    monkeypatch.undo()
    assert open_all(BOTH) == before
    assert reseal_everything(BOTH).orgs == len(list_org_ids()) - 1
    assert open_all(NEW) == before


def test_proxies_hear_of_it(world: World) -> None:
    with org_scope(world.acme.org.pk):
        before = Organization.objects.get(pk=world.acme.org.pk).version
        reseal_everything(BOTH)
        assert Organization.objects.get(pk=world.acme.org.pk).version == before + 1


def test_what_no_key_opens_is_named_and_left_as_it_is(world: World, open_all: Opener) -> None:
    strange = MasterKeys(b"s" * 32)
    done = reseal_everything(strange)
    assert (done.orgs, done.factors) == (0, 0)
    assert f"organisation {world.acme.org_id}" in done.lost
    assert len(done.lost) == len(list_org_ids()) + count_sealed()
    assert open_all(OLD)[0] == "sk-acme-0123456789abcdefgh"


def test_a_recovery_code_that_is_used_meanwhile_stays_used_and_sealed_anew(world: World) -> None:
    """Whoever checks a code has read the row before it was sealed anew, and writes it afterwards."""
    RecoveryCodes.activate(world.ada)
    factor = Authenticator.objects.get(user=world.ada, type=Authenticator.Type.RECOVERY_CODES)
    read_before = RecoveryCodes(factor)
    code = read_before.generate_codes()[0]
    reseal_everything(BOTH)
    with override_settings(MASTER_KEYS=BOTH):
        assert read_before.validate_code(code)
        assert not RecoveryCodes(Authenticator.objects.get(pk=factor.pk)).validate_code(code)
    seed = Authenticator.objects.get(pk=factor.pk).data["seed"]
    assert open_own(NEW, ORIGIN, seed) != ""
