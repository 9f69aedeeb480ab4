from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedRateLimitChanges")


@_attrs_define
class PatchedRateLimitChanges:
    """What may change.

    Attributes:
        limit (str | Unset): the most that may happen in a window: requests, tokens, calls under way, or decimal USD
        is_shadow (bool | Unset): whether it only notes what it would have refused
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    limit: str | Unset = UNSET
    is_shadow: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        limit = self.limit

        is_shadow = self.is_shadow

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if limit is not UNSET:
            field_dict["limit"] = limit
        if is_shadow is not UNSET:
            field_dict["is_shadow"] = is_shadow
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        limit = d.pop("limit", UNSET)

        is_shadow = d.pop("is_shadow", UNSET)

        is_active = d.pop("is_active", UNSET)

        patched_rate_limit_changes = cls(
            limit=limit,
            is_shadow=is_shadow,
            is_active=is_active,
        )

        patched_rate_limit_changes.additional_properties = d
        return patched_rate_limit_changes

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
