from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewUpstreamEndpoint")


@_attrs_define
class NewUpstreamEndpoint:
    """What an endpoint is made of; ``upstream`` by name or id. What its hours cost is told to ``/gpu-endpoints``.

    Attributes:
        upstream (str): an upstream, by id; where it is written also by name
        base_url (str): the address below which the upstream answers, such as one that ends in /v1
        name (str | Unset): a name for people
        credential (None | str | Unset): the API key at the upstream; stored sealed and never shown
        weight (int | Unset): its share of the calls, beside the others' weights
        lease_seconds (int | None | Unset): for how many seconds it counts as there without a renewal; null: until it is
            removed
    """

    upstream: str
    base_url: str
    name: str | Unset = UNSET
    credential: None | str | Unset = UNSET
    weight: int | Unset = UNSET
    lease_seconds: int | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        upstream = self.upstream

        base_url = self.base_url

        name = self.name

        credential: None | str | Unset
        if isinstance(self.credential, Unset):
            credential = UNSET
        else:
            credential = self.credential

        weight = self.weight

        lease_seconds: int | None | Unset
        if isinstance(self.lease_seconds, Unset):
            lease_seconds = UNSET
        else:
            lease_seconds = self.lease_seconds

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "upstream": upstream,
                "base_url": base_url,
            }
        )
        if name is not UNSET:
            field_dict["name"] = name
        if credential is not UNSET:
            field_dict["credential"] = credential
        if weight is not UNSET:
            field_dict["weight"] = weight
        if lease_seconds is not UNSET:
            field_dict["lease_seconds"] = lease_seconds

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        upstream = d.pop("upstream")

        base_url = d.pop("base_url")

        name = d.pop("name", UNSET)

        def _parse_credential(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        credential = _parse_credential(d.pop("credential", UNSET))

        weight = d.pop("weight", UNSET)

        def _parse_lease_seconds(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        lease_seconds = _parse_lease_seconds(d.pop("lease_seconds", UNSET))

        new_upstream_endpoint = cls(
            upstream=upstream,
            base_url=base_url,
            name=name,
            credential=credential,
            weight=weight,
            lease_seconds=lease_seconds,
        )

        new_upstream_endpoint.additional_properties = d
        return new_upstream_endpoint

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
