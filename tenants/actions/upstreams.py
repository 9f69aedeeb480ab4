"""Upstreams: where calls go, and the credential that goes with them, which nobody can read back."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction

from costhub.lib.clock import monotonic_ns
from costhub.lib.errors import AppError, Conflict, InvalidField
from costhub.lib.net import gate_from_settings
from costhub.lib.origins import Target, check_same_origin, parse_origin
from costhub.lib.secrets import seal, unseal
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.values import check_name
from tenants.choices import Habit, Permission, UpstreamKind
from tenants.models import Upstream
from tenants.upstream_headers import credential_headers, models_url

#: shorter credentials are not hinted at: four characters would be too large a part of them
HINTED_FROM_CHARACTERS: Final = 20
HINT_CHARACTERS: Final = 4
MAX_CREDENTIAL_CHARACTERS: Final = 4096
MAX_BASE_URL_CHARACTERS: Final = 500
MAX_CONNECT_TIMEOUT_MS: Final = 60_000
MAX_TIMEOUT_MS: Final = 3_600_000
MAX_RETRIES: Final = 10
MAX_BATCH_CONCURRENCY: Final = 256
OUTPUT_LIMITS: Final = ("max_tokens", "max_completion_tokens")

_EXPLAINED: Final = {
    401: "The upstream answered 401: check the credential.",
    403: "The upstream answered 403: the credential may not list models.",
    404: "The upstream answered 404: check the path of the base URL, which usually ends in /v1.",
}
_UNEXPECTED: Final = "The upstream answered {}."
_CREDENTIAL: Final = re.compile(r"[!-~]+")
_HOURS: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]-(?:[01][0-9]|2[0-3]):[0-5][0-9]")
SERVICE_TIER_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")
_BILL_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~{}-]+)+")


def create_upstream(
    *,
    actor: Actor,
    name: str,
    kind: UpstreamKind,
    base_url: str,
    credential: str | None = None,
    drain_on_disconnect: bool = False,
    bill_path: str = "",
    connect_timeout_ms: int = 5_000,
    timeout_ms: int = 600_000,
    max_retries: int = 2,
    batch_concurrency: int = 8,
    batch_hours: str = "",
    habits: Mapping[str, Any] = MappingProxyType({}),
) -> Upstream:
    """Create an upstream. The credential is sealed for the URL's origin. ``habits`` are those of ``choices.Habit`` that
    are set, by name; None is as good as leaving one out.

    Raises InvalidField or BlockedAddress for a URL that may not be called, Conflict if the name is taken.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if credential is not None:
        actor.check_fresh()
    target = check_base_url(base_url)
    upstream = Upstream(
        org=actor.org,
        name=check_name(name),
        kind=kind.value,
        base_url=base_url.rstrip("/"),
        origin=target.origin,
        drain_on_disconnect=drain_on_disconnect,
        bill_path=_check_bill_path(bill_path),
        habits=_check_habits({}, habits),
        batch_hours=_check_hours(batch_hours),
        **_check_limits(
            connect_timeout_ms=connect_timeout_ms,
            timeout_ms=timeout_ms,
            max_retries=max_retries,
            batch_concurrency=batch_concurrency,
        ),
        **(seal_credential(actor, target.origin, credential) if credential is not None else {}),
    )
    try:
        with transaction.atomic():
            upstream.save(force_insert=True)
            record(actor, "created", upstream, name=upstream.name, kind=kind, base_url=upstream.base_url)
            publish(actor.org)
    except IntegrityError as error:
        raise _taken() from error
    return upstream


def update_upstream(*, actor: Actor, upstream: Upstream, **changes: Any) -> Upstream:
    """Change an upstream; ``changes`` are ``create_upstream``'s arguments but ``kind``, and ``is_active``.

    ``credential=None`` forgets the credential. Raises what ``create_upstream`` does, and InvalidField for a URL of
    another origin that comes without its credential.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if {"credential", "base_url"} & changes.keys():
        actor.check_fresh()
    new: dict[str, Any] = {field: changes[field] for field in ("drain_on_disconnect", "is_active") if field in changes}
    if "name" in changes:
        new["name"] = check_name(changes["name"])
    if "bill_path" in changes:
        new["bill_path"] = _check_bill_path(changes["bill_path"])
    if "batch_hours" in changes:
        new["batch_hours"] = _check_hours(changes["batch_hours"])
    if "habits" in changes:
        new["habits"] = _check_habits(upstream.habits, changes["habits"])
    new |= _check_limits(**{name: changes[name] for name in _LIMITS if name in changes})
    if "base_url" in changes:
        new |= _moved(upstream, changes["base_url"], brings_credential="credential" in changes)
    if "credential" in changes:
        credential = changes["credential"]
        origin = new.get("origin", upstream.origin)
        forgotten = {"credential": None, "credential_hint": ""}
        new |= forgotten if credential is None else seal_credential(actor, origin, credential)
    try:
        apply_changes(actor, upstream, new, hidden=frozenset({"credential", "credential_hint"}))
    except IntegrityError as error:
        raise _taken() from error
    return upstream


def reveal_credential(*, actor: Actor, upstream: Upstream) -> str | None:
    """The credential in clear, for the one call that needs it; never for a page or an answer.

    Raises UnusableCredential if it was sealed for another organisation or origin.
    """
    if upstream.credential is None:
        return None
    return unseal(
        settings.MASTER_KEYS,
        bytes(actor.org.data_key),
        org_id=str(actor.org.pk),
        origin=upstream.origin,
        sealed=bytes(upstream.credential),
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to an upstream, with all that asking it needs: the database is done with."""

    url: str
    headers: dict[str, str] = dataclasses.field(repr=False)

    def run(self) -> "ProbeResult":
        """Ask. Every failure is a result with a sentence; nothing is raised for it."""
        started = monotonic_ns()
        try:
            answer = gate_from_settings().fetch_now("GET", self.url, headers=self.headers)
        except AppError as error:
            return ProbeResult(False, None, error.message, _ms_since(started))
        is_ok = 200 <= answer.status < 300
        detail = "The upstream answered." if is_ok else _EXPLAINED.get(answer.status, _UNEXPECTED).format(answer.status)
        return ProbeResult(is_ok, answer.status, detail, _ms_since(started))


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How an upstream answered; ``status`` is None if it did not."""

    ok: bool
    status: int | None
    detail: str
    latency_ms: int


def prepare_probe(*, actor: Actor, upstream: Upstream) -> Probe:
    """A question to an upstream for its models, as a call would ask it. Raises UnusableCredential."""
    actor.check(Permission.WRITE_SETTINGS)
    credential = reveal_credential(actor=actor, upstream=upstream)
    known_by = credential_headers(upstream.kind, credential, upstream.base_url)
    return Probe(models_url(parse_origin(upstream.base_url)), {"accept": "application/json", **known_by})


def check_base_url(base_url: str) -> Target:
    """Read a base URL. A host name is vetted whenever it is called.

    Raises InvalidField for what is no base URL, and for an address that may not be called.
    """
    if len(base_url) > MAX_BASE_URL_CHARACTERS:
        raise InvalidField(f"The URL is longer than {MAX_BASE_URL_CHARACTERS} characters.", field="base_url")
    target = parse_origin(base_url)
    if target.address is not None:
        gate_from_settings().pin_now(target)
    return target


def _moved(upstream: Upstream, base_url: str, *, brings_credential: bool) -> dict[str, Any]:
    target = check_base_url(base_url)
    if upstream.credential is not None and not brings_credential:
        check_same_origin(upstream.origin, base_url)
    return {"base_url": base_url.rstrip("/"), "origin": target.origin}


def seal_credential(actor: Actor, origin: str, credential: str) -> dict[str, Any]:
    """The fields of a credential that is for one origin only. Raises InvalidField."""
    if len(credential) > MAX_CREDENTIAL_CHARACTERS or not _CREDENTIAL.fullmatch(credential):
        # It travels in a header.
        raise InvalidField(
            "Give the credential as plain letters, digits and signs, without blanks.", field="credential"
        )
    sealed = seal(
        settings.MASTER_KEYS, bytes(actor.org.data_key), org_id=str(actor.org.pk), origin=origin, text=credential
    )
    hint = credential[-HINT_CHARACTERS:] if len(credential) >= HINTED_FROM_CHARACTERS else ""
    return {"credential": sealed, "credential_hint": hint}


_LIMITS: Final = {
    "connect_timeout_ms": (100, MAX_CONNECT_TIMEOUT_MS),
    "timeout_ms": (1_000, MAX_TIMEOUT_MS),
    "max_retries": (0, MAX_RETRIES),
    "batch_concurrency": (1, MAX_BATCH_CONCURRENCY),
}


def _check_limits(**given: int) -> dict[str, int]:
    for field, value in given.items():
        low, high = _LIMITS[field]
        if not low <= value <= high:
            raise InvalidField(f"Give a whole number from {low} to {high}.", field=field)
    return given


def _check_bill_path(path: str) -> str:
    if path and (not _BILL_PATH.fullmatch(path) or len(path) > 200 or {".", ".."} & set(path.split("/"))):
        raise InvalidField("Give a path such as /costhub/bill, without a query.", field="bill_path")
    return path


def _check_hours(text: str) -> str:
    if text and not _HOURS.fullmatch(text):
        raise InvalidField("Give hours such as 22:00-06:00, or nothing for any.", field="batch_hours")
    return text


def _check_habits(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The habits with the given ones over them; one that is None is as is usual again."""
    for name, value in given.items():
        if name not in set(Habit):
            known = ", ".join(Habit)
            raise InvalidField(f"There is no such habit; there are: {known}.", field=f"habits.{name[:100]}")
        if value is None:
            continue
        if name == Habit.OUTPUT_LIMIT and value not in OUTPUT_LIMITS:
            raise InvalidField(f"Give one of: {', '.join(OUTPUT_LIMITS)}.", field=f"habits.{name}")
        if name == Habit.SERVICE_TIER and (not isinstance(value, str) or not SERVICE_TIER_NAME.fullmatch(value)):
            raise InvalidField("Give the name of a service tier, such as priority.", field=f"habits.{name}")
        if name not in {Habit.OUTPUT_LIMIT, Habit.SERVICE_TIER} and not isinstance(value, bool):
            raise InvalidField("Give true or false, or null for what is usual.", field=f"habits.{name}")
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _ms_since(started_ns: int) -> int:
    return (monotonic_ns() - started_ns) // 1_000_000


def _taken() -> Conflict:
    return Conflict("There is an upstream of this name already.", field="name")
