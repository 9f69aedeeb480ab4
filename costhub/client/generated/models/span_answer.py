from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="SpanAnswer")


@_attrs_define
class SpanAnswer:
    """A stretch of time, [from, to), and what it cost in decimal USD.

    Attributes:
        from_ (datetime.datetime): where the time begins
        to (datetime.datetime): where the time ends; this moment is not in it
        effective_cost (str): what it cost, decimal USD
    """

    from_: datetime.datetime
    to: datetime.datetime
    effective_cost: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from_ = self.from_.isoformat()

        to = self.to.isoformat()

        effective_cost = self.effective_cost

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "from": from_,
                "to": to,
                "effective_cost": effective_cost,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        from_ = datetime.datetime.fromisoformat(d.pop("from"))

        to = datetime.datetime.fromisoformat(d.pop("to"))

        effective_cost = d.pop("effective_cost")

        span_answer = cls(
            from_=from_,
            to=to,
            effective_cost=effective_cost,
        )

        span_answer.additional_properties = d
        return span_answer

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
