from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.upstream_kind import UpstreamKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.habits import Habits


T = TypeVar("T", bound="NewUpstream")


@_attrs_define
class NewUpstream:
    """What an upstream is made of.

    Attributes:
        name (str): a name for people
        kind (UpstreamKind):
        base_url (str): the address below which the upstream answers, such as one that ends in /v1
        credential (None | str | Unset): the API key at the upstream; stored sealed and never shown
        drain_on_disconnect (bool | Unset): whether an answer is read to its end when its caller leaves, to know its
            cost
        bill_path (str | Unset): the path at which the upstream tells what it billed for a call; empty: it does not
        connect_timeout_ms (int | Unset): the longest wait for a connection, in milliseconds
        timeout_ms (int | Unset): the longest wait for an answer, in milliseconds
        max_retries (int | Unset): how often a failed try is repeated before anything was answered
        batch_concurrency (int | Unset): how many calls of batches it is asked at once
        batch_hours (str | Unset): the hours of the day in which batches run there, such as 22:00-06:00; empty: always
        habits (Habits | Unset): How requests to an upstream are written, where servers differ. null is what is usual
            for its kind, host and
            model.
    """

    name: str
    kind: UpstreamKind
    base_url: str
    credential: None | str | Unset = UNSET
    drain_on_disconnect: bool | Unset = UNSET
    bill_path: str | Unset = UNSET
    connect_timeout_ms: int | Unset = UNSET
    timeout_ms: int | Unset = UNSET
    max_retries: int | Unset = UNSET
    batch_concurrency: int | Unset = UNSET
    batch_hours: str | Unset = UNSET
    habits: Habits | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        kind = self.kind.value

        base_url = self.base_url

        credential: None | str | Unset
        if isinstance(self.credential, Unset):
            credential = UNSET
        else:
            credential = self.credential

        drain_on_disconnect = self.drain_on_disconnect

        bill_path = self.bill_path

        connect_timeout_ms = self.connect_timeout_ms

        timeout_ms = self.timeout_ms

        max_retries = self.max_retries

        batch_concurrency = self.batch_concurrency

        batch_hours = self.batch_hours

        habits: dict[str, Any] | Unset = UNSET
        if not isinstance(self.habits, Unset):
            habits = self.habits.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "kind": kind,
                "base_url": base_url,
            }
        )
        if credential is not UNSET:
            field_dict["credential"] = credential
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
        if habits is not UNSET:
            field_dict["habits"] = habits

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.habits import Habits  # noqa: PLC0415

        d = dict(src_dict)
        name = d.pop("name")

        kind = UpstreamKind(d.pop("kind"))

        base_url = d.pop("base_url")

        def _parse_credential(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        credential = _parse_credential(d.pop("credential", UNSET))

        drain_on_disconnect = d.pop("drain_on_disconnect", UNSET)

        bill_path = d.pop("bill_path", UNSET)

        connect_timeout_ms = d.pop("connect_timeout_ms", UNSET)

        timeout_ms = d.pop("timeout_ms", UNSET)

        max_retries = d.pop("max_retries", UNSET)

        batch_concurrency = d.pop("batch_concurrency", UNSET)

        batch_hours = d.pop("batch_hours", UNSET)

        _habits = d.pop("habits", UNSET)
        habits: Habits | Unset
        if isinstance(_habits, Unset):
            habits = UNSET
        else:
            habits = Habits.from_dict(_habits)

        new_upstream = cls(
            name=name,
            kind=kind,
            base_url=base_url,
            credential=credential,
            drain_on_disconnect=drain_on_disconnect,
            bill_path=bill_path,
            connect_timeout_ms=connect_timeout_ms,
            timeout_ms=timeout_ms,
            max_retries=max_retries,
            batch_concurrency=batch_concurrency,
            batch_hours=batch_hours,
            habits=habits,
        )

        new_upstream.additional_properties = d
        return new_upstream

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
