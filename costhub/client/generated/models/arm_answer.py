from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ArmAnswer")


@_attrs_define
class ArmAnswer:
    """Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has said whether the answer
    was right, and of ``right`` that it was.

        Attributes:
            calls (int): how many calls
            cost (str): what they cost, decimal USD
            mean (str): what one cost, decimal USD; null: there was none
            told (int): calls of which an application said whether the answer was right
            right (int): whether it would have been right; null: not known
    """

    calls: int
    cost: str
    mean: str
    told: int
    right: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        calls = self.calls

        cost = self.cost

        mean = self.mean

        told = self.told

        right = self.right

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "calls": calls,
                "cost": cost,
                "mean": mean,
                "told": told,
                "right": right,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        calls = d.pop("calls")

        cost = d.pop("cost")

        mean = d.pop("mean")

        told = d.pop("told")

        right = d.pop("right")

        arm_answer = cls(
            calls=calls,
            cost=cost,
            mean=mean,
            told=told,
            right=right,
        )

        arm_answer.additional_properties = d
        return arm_answer

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
