from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewBillSource")


@_attrs_define
class NewBillSource:
    """An admin key of the provider's that may read costs and usage; ``upstream`` by name or id. ``provider_project``:
    the provider's id of the only project that is compared.

        Attributes:
            upstream (str): an upstream, by id; where it is written also by name
            credential (str): the API key at the upstream; stored sealed and never shown
            provider_project (str | Unset): the provider's id of the only project that is billed; empty: all
    """

    upstream: str
    credential: str
    provider_project: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        upstream = self.upstream

        credential = self.credential

        provider_project = self.provider_project

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "upstream": upstream,
                "credential": credential,
            }
        )
        if provider_project is not UNSET:
            field_dict["provider_project"] = provider_project

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        upstream = d.pop("upstream")

        credential = d.pop("credential")

        provider_project = d.pop("provider_project", UNSET)

        new_bill_source = cls(
            upstream=upstream,
            credential=credential,
            provider_project=provider_project,
        )

        new_bill_source.additional_properties = d
        return new_bill_source

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
