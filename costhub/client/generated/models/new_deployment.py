from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewDeployment")


@_attrs_define
class NewDeployment:
    """How a student is served. Without ``route`` its name is the teacher's with ``-distilled``; ``holdout_percent`` of
    the conversations go to the teacher all the same, and say how often the two agree.

        Attributes:
            route (str | Unset): a route, by name
            holdout_percent (int | Unset): how many of the calls are left as they were, to prove the effect
    """

    route: str | Unset = UNSET
    holdout_percent: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        route = self.route

        holdout_percent = self.holdout_percent

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if route is not UNSET:
            field_dict["route"] = route
        if holdout_percent is not UNSET:
            field_dict["holdout_percent"] = holdout_percent

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        route = d.pop("route", UNSET)

        holdout_percent = d.pop("holdout_percent", UNSET)

        new_deployment = cls(
            route=route,
            holdout_percent=holdout_percent,
        )

        new_deployment.additional_properties = d
        return new_deployment

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
