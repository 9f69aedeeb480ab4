from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.band_answer import BandAnswer


T = TypeVar("T", bound="WhatIfAnswer")


@_attrs_define
class WhatIfAnswer:
    """What the calls did cost, what they would have cost, what that saves, and what it rests on.

    Attributes:
        calls (int): how many calls
        cost (str): what they cost, decimal USD
        then (BandAnswer): Between what it lies.
        saved (BandAnswer): Between what it lies.
        assumptions (list[str]): what the figures rest on, in sentences
    """

    calls: int
    cost: str
    then: BandAnswer
    saved: BandAnswer
    assumptions: list[str]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        calls = self.calls

        cost = self.cost

        then = self.then.to_dict()

        saved = self.saved.to_dict()

        assumptions = self.assumptions

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "calls": calls,
                "cost": cost,
                "then": then,
                "saved": saved,
                "assumptions": assumptions,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.band_answer import BandAnswer  # noqa: PLC0415

        d = dict(src_dict)
        calls = d.pop("calls")

        cost = d.pop("cost")

        then = BandAnswer.from_dict(d.pop("then"))

        saved = BandAnswer.from_dict(d.pop("saved"))

        assumptions = cast(list[str], d.pop("assumptions"))

        what_if_answer = cls(
            calls=calls,
            cost=cost,
            then=then,
            saved=saved,
            assumptions=assumptions,
        )

        what_if_answer.additional_properties = d
        return what_if_answer

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
