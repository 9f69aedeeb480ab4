from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="EffectAnswer")


@_attrs_define
class EffectAnswer:
    """What a call costs less because of the policy, and between what that lies in 95 of 100 cases.

    Attributes:
        a_call (str): what a call costs less, decimal USD
        low (str): where the likely range begins
        high (str): where the likely range ends
    """

    a_call: str
    low: str
    high: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        a_call = self.a_call

        low = self.low

        high = self.high

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "a_call": a_call,
                "low": low,
                "high": high,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        a_call = d.pop("a_call")

        low = d.pop("low")

        high = d.pop("high")

        effect_answer = cls(
            a_call=a_call,
            low=low,
            high=high,
        )

        effect_answer.additional_properties = d
        return effect_answer

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
