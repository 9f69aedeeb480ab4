from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ShareAnswer")


@_attrs_define
class ShareAnswer:
    """Calls of one arm that one model served last; ``several`` asked more than one.

    Attributes:
        arm (str): routed or held out
        model (str): a model, by the organisation's name for it
        calls (int): how many calls
        cost (str): what they cost, decimal USD
        saved (str): what it saved, decimal USD
        several (int): how many of them asked more than one model
    """

    arm: str
    model: str
    calls: int
    cost: str
    saved: str
    several: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        arm = self.arm

        model = self.model

        calls = self.calls

        cost = self.cost

        saved = self.saved

        several = self.several

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "arm": arm,
                "model": model,
                "calls": calls,
                "cost": cost,
                "saved": saved,
                "several": several,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        arm = d.pop("arm")

        model = d.pop("model")

        calls = d.pop("calls")

        cost = d.pop("cost")

        saved = d.pop("saved")

        several = d.pop("several")

        share_answer = cls(
            arm=arm,
            model=model,
            calls=calls,
            cost=cost,
            saved=saved,
            several=several,
        )

        share_answer.additional_properties = d
        return share_answer

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
