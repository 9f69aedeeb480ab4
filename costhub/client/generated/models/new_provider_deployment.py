from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewProviderDeployment")


@_attrs_define
class NewProviderDeployment:
    """Who asks it on paper, and what that may cost at the most, USD. Calls of the name ``route`` ask it first, as far
    as it is trusted, and its teacher where it is not sure.

        Attributes:
            api_key (str): an API key of the organisation, by which the calls are made
            cap (str): the most that comparing it may cost, decimal USD
            route (str | Unset): a route, by name
    """

    api_key: str
    cap: str
    route: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        api_key = self.api_key

        cap = self.cap

        route = self.route

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "api_key": api_key,
                "cap": cap,
            }
        )
        if route is not UNSET:
            field_dict["route"] = route

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        api_key = d.pop("api_key")

        cap = d.pop("cap")

        route = d.pop("route", UNSET)

        new_provider_deployment = cls(
            api_key=api_key,
            cap=cap,
            route=route,
        )

        new_provider_deployment.additional_properties = d
        return new_provider_deployment

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
