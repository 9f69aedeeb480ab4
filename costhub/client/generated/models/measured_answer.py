from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="MeasuredAnswer")


@_attrs_define
class MeasuredAnswer:
    """What public texts kept at a setting.

    Attributes:
        times_shorter (str): how many times shorter whole prompts became
        kept_per_mille (int): of a thousand of what questions need how many were kept
        low_per_mille (int): where the 95 % interval of that begins
        high_per_mille (int): where it ends
    """

    times_shorter: str
    kept_per_mille: int
    low_per_mille: int
    high_per_mille: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        times_shorter = self.times_shorter

        kept_per_mille = self.kept_per_mille

        low_per_mille = self.low_per_mille

        high_per_mille = self.high_per_mille

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "times_shorter": times_shorter,
                "kept_per_mille": kept_per_mille,
                "low_per_mille": low_per_mille,
                "high_per_mille": high_per_mille,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        times_shorter = d.pop("times_shorter")

        kept_per_mille = d.pop("kept_per_mille")

        low_per_mille = d.pop("low_per_mille")

        high_per_mille = d.pop("high_per_mille")

        measured_answer = cls(
            times_shorter=times_shorter,
            kept_per_mille=kept_per_mille,
            low_per_mille=low_per_mille,
            high_per_mille=high_per_mille,
        )

        measured_answer.additional_properties = d
        return measured_answer

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
