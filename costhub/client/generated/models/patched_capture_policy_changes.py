from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedCapturePolicyChanges")


@_attrs_define
class PatchedCapturePolicyChanges:
    """What may change.

    Attributes:
        per_mille (int | Unset): how many of the calls are kept, per mille
        kept_days (int | Unset): for how many days
    """

    per_mille: int | Unset = UNSET
    kept_days: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        per_mille = self.per_mille

        kept_days = self.kept_days

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if per_mille is not UNSET:
            field_dict["per_mille"] = per_mille
        if kept_days is not UNSET:
            field_dict["kept_days"] = kept_days

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        per_mille = d.pop("per_mille", UNSET)

        kept_days = d.pop("kept_days", UNSET)

        patched_capture_policy_changes = cls(
            per_mille=per_mille,
            kept_days=kept_days,
        )

        patched_capture_policy_changes.additional_properties = d
        return patched_capture_policy_changes

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
