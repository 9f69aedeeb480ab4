from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="BatchBody")


@_attrs_define
class BatchBody:
    """A share of the calls can wait, and gets a discount for it.

    Attributes:
        share_percent (str): per cent, 0 to 100
        discount_percent (str): per cent, 0 to 100
        setup_cost (str | Unset): USD, 0 to 1000000000
    """

    share_percent: str
    discount_percent: str
    setup_cost: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        share_percent = self.share_percent

        discount_percent = self.discount_percent

        setup_cost = self.setup_cost

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "share_percent": share_percent,
                "discount_percent": discount_percent,
            }
        )
        if setup_cost is not UNSET:
            field_dict["setup_cost"] = setup_cost

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        share_percent = d.pop("share_percent")

        discount_percent = d.pop("discount_percent")

        setup_cost = d.pop("setup_cost", UNSET)

        batch_body = cls(
            share_percent=share_percent,
            discount_percent=discount_percent,
            setup_cost=setup_cost,
        )

        batch_body.additional_properties = d
        return batch_body

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
