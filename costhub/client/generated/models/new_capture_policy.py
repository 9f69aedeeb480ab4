from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewCapturePolicy")


@_attrs_define
class NewCapturePolicy:
    """What a policy is made of; without a ``model`` it is every model's.

    Attributes:
        per_mille (int): how many of the calls are kept, per mille
        kept_days (int | Unset): for how many days
        model (str | Unset): a model, by the organisation's name for it
    """

    per_mille: int
    kept_days: int | Unset = UNSET
    model: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        per_mille = self.per_mille

        kept_days = self.kept_days

        model = self.model

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "per_mille": per_mille,
            }
        )
        if kept_days is not UNSET:
            field_dict["kept_days"] = kept_days
        if model is not UNSET:
            field_dict["model"] = model

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        per_mille = d.pop("per_mille")

        kept_days = d.pop("kept_days", UNSET)

        model = d.pop("model", UNSET)

        new_capture_policy = cls(
            per_mille=per_mille,
            kept_days=kept_days,
            model=model,
        )

        new_capture_policy.additional_properties = d
        return new_capture_policy

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
