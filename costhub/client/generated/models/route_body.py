from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="RouteBody")


@_attrs_define
class RouteBody:
    """A share of the calls is sent to a cheaper model, and some of these are escalated: asked again as now.

    Attributes:
        share_percent (str): per cent, 0 to 100
        input_per_million (str): USD per million tokens, 0 to 10000
        output_per_million (str): USD per million tokens, 0 to 10000
        escalated_percent (str | Unset): per cent, 0 to 100
        setup_cost (str | Unset): USD, 0 to 1000000000
    """

    share_percent: str
    input_per_million: str
    output_per_million: str
    escalated_percent: str | Unset = UNSET
    setup_cost: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        share_percent = self.share_percent

        input_per_million = self.input_per_million

        output_per_million = self.output_per_million

        escalated_percent = self.escalated_percent

        setup_cost = self.setup_cost

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "share_percent": share_percent,
                "input_per_million": input_per_million,
                "output_per_million": output_per_million,
            }
        )
        if escalated_percent is not UNSET:
            field_dict["escalated_percent"] = escalated_percent
        if setup_cost is not UNSET:
            field_dict["setup_cost"] = setup_cost

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        share_percent = d.pop("share_percent")

        input_per_million = d.pop("input_per_million")

        output_per_million = d.pop("output_per_million")

        escalated_percent = d.pop("escalated_percent", UNSET)

        setup_cost = d.pop("setup_cost", UNSET)

        route_body = cls(
            share_percent=share_percent,
            input_per_million=input_per_million,
            output_per_million=output_per_million,
            escalated_percent=escalated_percent,
            setup_cost=setup_cost,
        )

        route_body.additional_properties = d
        return route_body

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
