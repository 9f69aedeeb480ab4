from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="UpstreamEndpointAnswer")


@_attrs_define
class UpstreamEndpointAnswer:
    """One server of an upstream. ``lease_until`` null: it stays until it is removed.

    Attributes:
        id (UUID): the row's id
        upstream (UUID): an upstream, by id; where it is written also by name
        base_url (str): the address below which the upstream answers, such as one that ends in /v1
        has_credential (bool): Whether a credential is stored.
        created_at (datetime.datetime): when it was made
        name (str | Unset): a name for people
        weight (int | Unset): its share of the calls, beside the others' weights
        is_draining (bool | Unset): whether it gets no new calls
        lease_until (datetime.datetime | None | Unset): until when it is taken to be there unless it renews; null: until
            it is removed
    """

    id: UUID
    upstream: UUID
    base_url: str
    has_credential: bool
    created_at: datetime.datetime
    name: str | Unset = UNSET
    weight: int | Unset = UNSET
    is_draining: bool | Unset = UNSET
    lease_until: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        upstream = str(self.upstream)

        base_url = self.base_url

        has_credential = self.has_credential

        created_at = self.created_at.isoformat()

        name = self.name

        weight = self.weight

        is_draining = self.is_draining

        lease_until: None | str | Unset
        if isinstance(self.lease_until, Unset):
            lease_until = UNSET
        elif isinstance(self.lease_until, datetime.datetime):
            lease_until = self.lease_until.isoformat()
        else:
            lease_until = self.lease_until

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "upstream": upstream,
                "base_url": base_url,
                "has_credential": has_credential,
                "created_at": created_at,
            }
        )
        if name is not UNSET:
            field_dict["name"] = name
        if weight is not UNSET:
            field_dict["weight"] = weight
        if is_draining is not UNSET:
            field_dict["is_draining"] = is_draining
        if lease_until is not UNSET:
            field_dict["lease_until"] = lease_until

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        upstream = UUID(d.pop("upstream"))

        base_url = d.pop("base_url")

        has_credential = d.pop("has_credential")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        name = d.pop("name", UNSET)

        weight = d.pop("weight", UNSET)

        is_draining = d.pop("is_draining", UNSET)

        def _parse_lease_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                lease_until_type_0 = datetime.datetime.fromisoformat(data)

                return lease_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        lease_until = _parse_lease_until(d.pop("lease_until", UNSET))

        upstream_endpoint_answer = cls(
            id=id,
            upstream=upstream,
            base_url=base_url,
            has_credential=has_credential,
            created_at=created_at,
            name=name,
            weight=weight,
            is_draining=is_draining,
            lease_until=lease_until,
        )

        upstream_endpoint_answer.additional_properties = d
        return upstream_endpoint_answer

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
