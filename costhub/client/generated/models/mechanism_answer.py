from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="MechanismAnswer")


@_attrs_define
class MechanismAnswer:
    """One mechanism; below zero where it has cost more than it saved.

    Attributes:
        mechanism (str): what saved it: cache, coalescing, compression, routing and the like
        saved (str): what it saved, decimal USD
    """

    mechanism: str
    saved: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        mechanism = self.mechanism

        saved = self.saved

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "mechanism": mechanism,
                "saved": saved,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        mechanism = d.pop("mechanism")

        saved = d.pop("saved")

        mechanism_answer = cls(
            mechanism=mechanism,
            saved=saved,
        )

        mechanism_answer.additional_properties = d
        return mechanism_answer

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
