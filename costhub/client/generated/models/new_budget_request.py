from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="NewBudgetRequest")


@_attrs_define
class NewBudgetRequest:
    """How much more in which budget, until when, and what for.

    Attributes:
        budget (str): a budget's id
        amount (str): decimal USD
        until (datetime.datetime): until when the increase is needed
        reason (str): why, in words
    """

    budget: str
    amount: str
    until: datetime.datetime
    reason: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        budget = self.budget

        amount = self.amount

        until = self.until.isoformat()

        reason = self.reason

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "budget": budget,
                "amount": amount,
                "until": until,
                "reason": reason,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        budget = d.pop("budget")

        amount = d.pop("amount")

        until = datetime.datetime.fromisoformat(d.pop("until"))

        reason = d.pop("reason")

        new_budget_request = cls(
            budget=budget,
            amount=amount,
            until=until,
            reason=reason,
        )

        new_budget_request.additional_properties = d
        return new_budget_request

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
