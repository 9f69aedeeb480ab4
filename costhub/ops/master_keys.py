"""The master key changes: what it seals is sealed anew under the current one.

That is the data key of every organisation, and the secrets of second factors; whatever else is sealed lies under a
data key, which stays the same. Each row is a transaction of its own, and one that is sealed under the current key
already is left alone: whoever was killed begins again, and does the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from costhub.lib.secrets import MasterKeys, UnusableCredential, reseal_data_key, reseal_own
from tenants.access import list_org_ids, org_scope
from tenants.accounts.second_factor import ORIGIN
from tenants.actions.changes import publish
from tenants.models import Organization

#: what is sealed of an authenticator's data: an app's secret, the seed of recovery codes, codes of another program
_SEALED: Final = ("secret", "seed", "migrated_codes")


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many organisations and second factors were sealed anew, and what opens with no key that is known."""

    orgs: int
    factors: int
    lost: tuple[str, ...]


def reseal_everything(master_keys: MasterKeys | None = None) -> Resealed:
    """Seal everything under the current key of ``master_keys``, by default those of the settings.

    What does not open is left as it is, and named. Proxies hear of each organisation whose data key was sealed anew.
    """
    keys = master_keys or settings.MASTER_KEYS
    lost: list[str] = []
    orgs = sum(_try(lost, f"organisation {org_id}", _reseal_org, keys, org_id) for org_id in list_org_ids())
    factor_ids = list(Authenticator.objects.order_by("pk").values_list("pk", flat=True))
    factors = sum(_try(lost, f"second factor {row_id}", _reseal_factor, keys, row_id) for row_id in factor_ids)
    return Resealed(orgs, factors, tuple(lost))


def _try(lost: list[str], what: str, reseal: Callable[[MasterKeys, Any], bool], keys: MasterKeys, row_id: Any) -> bool:
    try:
        return reseal(keys, row_id)
    except UnusableCredential:
        lost.append(what)
        return False


def _reseal_org(keys: MasterKeys, org_id: UUID) -> bool:
    with org_scope(org_id):
        org = Organization.objects.select_for_update().filter(pk=org_id).first()
        if org is None:
            return False
        data_key = reseal_data_key(keys, bytes(org.data_key), str(org.pk))
        if data_key is None:
            return False
        Organization.objects.filter(pk=org.pk).update(data_key=data_key)
        publish(org)
    return True


def _reseal_factor(keys: MasterKeys, row_id: int) -> bool:
    with transaction.atomic():
        factor = Authenticator.objects.select_for_update().filter(pk=row_id).first()
        if factor is None:
            return False
        new = {name: _reseal_value(keys, factor.data[name]) for name in _SEALED if name in factor.data}
        changed = {name: value for name, value in new.items() if value is not None}
        if not changed:
            return False
        Authenticator.objects.filter(pk=row_id).update(data=factor.data | changed)
    return True


def _reseal_value(keys: MasterKeys, value: str | list[str]) -> str | list[str] | None:
    if isinstance(value, str):
        return reseal_own(keys, ORIGIN, value)
    new = [reseal_own(keys, ORIGIN, each) for each in value]
    return [fresh or old for fresh, old in zip(new, value, strict=True)] if any(new) else None
