from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewCredits")


@_attrs_define
class NewCredits:
    """Credits that were paid for, or that are given; ``reference`` makes it happen once.

    Attributes:
        amount (str): decimal USD
        reference (str): a text of your own, by which the same is not done twice
        is_gift (bool | Unset): given by the operator, and paid for by nobody
        reason (str | Unset): why, in words
    """

    amount: str
    reference: str
    is_gift: bool | Unset = UNSET
    reason: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        amount = self.amount

        reference = self.reference

        is_gift = self.is_gift

        reason = self.reason

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "amount": amount,
                "reference": reference,
            }
        )
        if is_gift is not UNSET:
            field_dict["is_gift"] = is_gift
        if reason is not UNSET:
            field_dict["reason"] = reason

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        amount = d.pop("amount")

        reference = d.pop("reference")

        is_gift = d.pop("is_gift", UNSET)

        reason = d.pop("reason", UNSET)

        new_credits = cls(
            amount=amount,
            reference=reference,
            is_gift=is_gift,
            reason=reason,
        )

        new_credits.additional_properties = d
        return new_credits

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
