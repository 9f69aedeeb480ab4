from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedUpstreamEndpointChanges")


@_attrs_define
class PatchedUpstreamEndpointChanges:
    """What may change. ``lease_seconds`` renews the lease from now; ``credential`` null: it is asked without one.

    Attributes:
        name (str | Unset): a name for people
        credential (None | str | Unset): the API key at the upstream; stored sealed and never shown
        weight (int | Unset): its share of the calls, beside the others' weights
        is_draining (bool | Unset): whether it gets no new calls
        lease_seconds (int | Unset): for how many seconds it counts as there without a renewal; null: until it is
            removed
    """

    name: str | Unset = UNSET
    credential: None | str | Unset = UNSET
    weight: int | Unset = UNSET
    is_draining: bool | Unset = UNSET
    lease_seconds: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        credential: None | str | Unset
        if isinstance(self.credential, Unset):
            credential = UNSET
        else:
            credential = self.credential

        weight = self.weight

        is_draining = self.is_draining

        lease_seconds = self.lease_seconds

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if credential is not UNSET:
            field_dict["credential"] = credential
        if weight is not UNSET:
            field_dict["weight"] = weight
        if is_draining is not UNSET:
            field_dict["is_draining"] = is_draining
        if lease_seconds is not UNSET:
            field_dict["lease_seconds"] = lease_seconds

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        def _parse_credential(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        credential = _parse_credential(d.pop("credential", UNSET))

        weight = d.pop("weight", UNSET)

        is_draining = d.pop("is_draining", UNSET)

        lease_seconds = d.pop("lease_seconds", UNSET)

        patched_upstream_endpoint_changes = cls(
            name=name,
            credential=credential,
            weight=weight,
            is_draining=is_draining,
            lease_seconds=lease_seconds,
        )

        patched_upstream_endpoint_changes.additional_properties = d
        return patched_upstream_endpoint_changes

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
