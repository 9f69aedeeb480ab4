from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewTunedDeployment")


@_attrs_define
class NewTunedDeployment:
    """What calls of it cost: USD per million tokens. Calls of the name ``route`` ask it first, as far as it is trusted,
    and its teacher where it is not sure.

        Attributes:
            input_per_million (str): USD per million tokens of input
            output_per_million (str): USD per million tokens of output
            route (str | Unset): a route, by name
    """

    input_per_million: str
    output_per_million: str
    route: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        input_per_million = self.input_per_million

        output_per_million = self.output_per_million

        route = self.route

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "input_per_million": input_per_million,
                "output_per_million": output_per_million,
            }
        )
        if route is not UNSET:
            field_dict["route"] = route

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        input_per_million = d.pop("input_per_million")

        output_per_million = d.pop("output_per_million")

        route = d.pop("route", UNSET)

        new_tuned_deployment = cls(
            input_per_million=input_per_million,
            output_per_million=output_per_million,
            route=route,
        )

        new_tuned_deployment.additional_properties = d
        return new_tuned_deployment

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
