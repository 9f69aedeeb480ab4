from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="CacheBody")


@_attrs_define
class CacheBody:
    """A share of the calls is answered from a cache. ``per_request`` is what looking costs.

    Attributes:
        hit_percent (str): per cent, 0 to 100
        per_request (str | Unset): USD, 0 to 10000
        setup_cost (str | Unset): USD, 0 to 1000000000
    """

    hit_percent: str
    per_request: str | Unset = UNSET
    setup_cost: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        hit_percent = self.hit_percent

        per_request = self.per_request

        setup_cost = self.setup_cost

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "hit_percent": hit_percent,
            }
        )
        if per_request is not UNSET:
            field_dict["per_request"] = per_request
        if setup_cost is not UNSET:
            field_dict["setup_cost"] = setup_cost

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        hit_percent = d.pop("hit_percent")

        per_request = d.pop("per_request", UNSET)

        setup_cost = d.pop("setup_cost", UNSET)

        cache_body = cls(
            hit_percent=hit_percent,
            per_request=per_request,
            setup_cost=setup_cost,
        )

        cache_body.additional_properties = d
        return cache_body

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
