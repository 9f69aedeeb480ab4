from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="PointAnswer")


@_attrs_define
class PointAnswer:
    """What is gained, or below zero lost, by the end of a day; ``low`` to ``high`` in four of five trials.

    Attributes:
        day (int): how many days from the start
        net (str): what is gained by the end of the horizon, decimal USD
        low (str): where the likely range begins
        high (str): where the likely range ends
    """

    day: int
    net: str
    low: str
    high: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        day = self.day

        net = self.net

        low = self.low

        high = self.high

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "day": day,
                "net": net,
                "low": low,
                "high": high,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        day = d.pop("day")

        net = d.pop("net")

        low = d.pop("low")

        high = d.pop("high")

        point_answer = cls(
            day=day,
            net=net,
            low=low,
            high=high,
        )

        point_answer.additional_properties = d
        return point_answer

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
