from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.upstream_kind import UpstreamKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.habits import Habits


T = TypeVar("T", bound="UpstreamAnswer")


@_attrs_define
class UpstreamAnswer:
    """An upstream without its credential. Of ``habits`` null is what is usual.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        kind (UpstreamKind):
        base_url (str): the address below which the upstream answers, such as one that ends in /v1
        origin (str): scheme, host and port of the address: the only place that the credential is sent to
        has_credential (bool): Whether a credential is stored.
        habits (Habits): How requests to an upstream are written, where servers differ. null is what is usual for its
            kind, host and
            model.
        created_at (datetime.datetime): when it was made
        credential_hint (str | Unset): the last characters of the stored credential
        drain_on_disconnect (bool | Unset): whether an answer is read to its end when its caller leaves, to know its
            cost
        bill_path (str | Unset): the path at which the upstream tells what it billed for a call; empty: it does not
        connect_timeout_ms (int | Unset): the longest wait for a connection, in milliseconds
        timeout_ms (int | Unset): the longest wait for an answer, in milliseconds
        max_retries (int | Unset): how often a failed try is repeated before anything was answered
        batch_concurrency (int | Unset): how many calls of batches it is asked at once
        batch_hours (str | Unset): the hours of the day in which batches run there, such as 22:00-06:00; empty: always
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    id: UUID
    name: str
    kind: UpstreamKind
    base_url: str
    origin: str
    has_credential: bool
    habits: Habits
    created_at: datetime.datetime
    credential_hint: str | Unset = UNSET
    drain_on_disconnect: bool | Unset = UNSET
    bill_path: str | Unset = UNSET
    connect_timeout_ms: int | Unset = UNSET
    timeout_ms: int | Unset = UNSET
    max_retries: int | Unset = UNSET
    batch_concurrency: int | Unset = UNSET
    batch_hours: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        kind = self.kind.value

        base_url = self.base_url

        origin = self.origin

        has_credential = self.has_credential

        habits = self.habits.to_dict()

        created_at = self.created_at.isoformat()

        credential_hint = self.credential_hint

        drain_on_disconnect = self.drain_on_disconnect

        bill_path = self.bill_path

        connect_timeout_ms = self.connect_timeout_ms

        timeout_ms = self.timeout_ms

        max_retries = self.max_retries

        batch_concurrency = self.batch_concurrency

        batch_hours = self.batch_hours

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "kind": kind,
                "base_url": base_url,
                "origin": origin,
                "has_credential": has_credential,
                "habits": habits,
                "created_at": created_at,
            }
        )
        if credential_hint is not UNSET:
            field_dict["credential_hint"] = credential_hint
        if drain_on_disconnect is not UNSET:
            field_dict["drain_on_disconnect"] = drain_on_disconnect
        if bill_path is not UNSET:
            field_dict["bill_path"] = bill_path
        if connect_timeout_ms is not UNSET:
            field_dict["connect_timeout_ms"] = connect_timeout_ms
        if timeout_ms is not UNSET:
            field_dict["timeout_ms"] = timeout_ms
        if max_retries is not UNSET:
            field_dict["max_retries"] = max_retries
        if batch_concurrency is not UNSET:
            field_dict["batch_concurrency"] = batch_concurrency
        if batch_hours is not UNSET:
            field_dict["batch_hours"] = batch_hours
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.habits import Habits  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        kind = UpstreamKind(d.pop("kind"))

        base_url = d.pop("base_url")

        origin = d.pop("origin")

        has_credential = d.pop("has_credential")

        habits = Habits.from_dict(d.pop("habits"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        credential_hint = d.pop("credential_hint", UNSET)

        drain_on_disconnect = d.pop("drain_on_disconnect", UNSET)

        bill_path = d.pop("bill_path", UNSET)

        connect_timeout_ms = d.pop("connect_timeout_ms", UNSET)

        timeout_ms = d.pop("timeout_ms", UNSET)

        max_retries = d.pop("max_retries", UNSET)

        batch_concurrency = d.pop("batch_concurrency", UNSET)

        batch_hours = d.pop("batch_hours", UNSET)

        is_active = d.pop("is_active", UNSET)

        upstream_answer = cls(
            id=id,
            name=name,
            kind=kind,
            base_url=base_url,
            origin=origin,
            has_credential=has_credential,
            habits=habits,
            created_at=created_at,
            credential_hint=credential_hint,
            drain_on_disconnect=drain_on_disconnect,
            bill_path=bill_path,
            connect_timeout_ms=connect_timeout_ms,
            timeout_ms=timeout_ms,
            max_retries=max_retries,
            batch_concurrency=batch_concurrency,
            batch_hours=batch_hours,
            is_active=is_active,
        )

        upstream_answer.additional_properties = d
        return upstream_answer

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
