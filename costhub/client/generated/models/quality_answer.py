from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="QualityAnswer")


@_attrs_define
class QualityAnswer:
    """By how much more often answers are right with the policy than without, in hundredths of a percentage point, and
    between what that lies in 95 of 100 cases.

        Attributes:
            difference (int): by how much they differ, in hundredths of a percentage point
            low (int): where the likely range begins
            high (int): where the likely range ends
    """

    difference: int
    low: int
    high: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        difference = self.difference

        low = self.low

        high = self.high

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "difference": difference,
                "low": low,
                "high": high,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        difference = d.pop("difference")

        low = d.pop("low")

        high = d.pop("high")

        quality_answer = cls(
            difference=difference,
            low=low,
            high=high,
        )

        quality_answer.additional_properties = d
        return quality_answer

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
