from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="AgreementAnswer")


@_attrs_define
class AgreementAnswer:
    """So many of so many, and between what that share lies in 95 of 100 cases.

    Attributes:
        found (int): answers that are the same
        of (int): answers in all
        low (float): where the interval of 95 % of that share begins
        high (float): where the interval of 95 % of that share ends
    """

    found: int
    of: int
    low: float
    high: float
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        found = self.found

        of = self.of

        low = self.low

        high = self.high

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "found": found,
                "of": of,
                "low": low,
                "high": high,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        found = d.pop("found")

        of = d.pop("of")

        low = d.pop("low")

        high = d.pop("high")

        agreement_answer = cls(
            found=found,
            of=of,
            low=low,
            high=high,
        )

        agreement_answer.additional_properties = d
        return agreement_answer

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
