from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ComparisonsAnswer")


@_attrs_define
class ComparisonsAnswer:
    """What was asked beside the calls, to learn from: answers that were the ``same``, and ``other`` ones.

    Attributes:
        calls (int): how many calls
        cost (str): what they cost, decimal USD
        same (int): how many of the answers said the same
        other (int): how many said something else
    """

    calls: int
    cost: str
    same: int
    other: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        calls = self.calls

        cost = self.cost

        same = self.same

        other = self.other

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "calls": calls,
                "cost": cost,
                "same": same,
                "other": other,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        calls = d.pop("calls")

        cost = d.pop("cost")

        same = d.pop("same")

        other = d.pop("other")

        comparisons_answer = cls(
            calls=calls,
            cost=cost,
            same=same,
            other=other,
        )

        comparisons_answer.additional_properties = d
        return comparisons_answer

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
