from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedRuleChanges")


@_attrs_define
class PatchedRuleChanges:
    """What may change. ``channels`` are ids; none means all that take the kind.

    Attributes:
        name (str | Unset): a name for people
        thresholds (list[int] | Unset): per cents of the limit at which people are alerted
        budget (None | str | Unset): a budget, by id
        channels (list[str] | Unset): the channels that are told, by id; empty: all that take its kind
        tells_recovery (bool | Unset): whether the end of the alert is told as well
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    name: str | Unset = UNSET
    thresholds: list[int] | Unset = UNSET
    budget: None | str | Unset = UNSET
    channels: list[str] | Unset = UNSET
    tells_recovery: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        thresholds: list[int] | Unset = UNSET
        if not isinstance(self.thresholds, Unset):
            thresholds = self.thresholds

        budget: None | str | Unset
        if isinstance(self.budget, Unset):
            budget = UNSET
        else:
            budget = self.budget

        channels: list[str] | Unset = UNSET
        if not isinstance(self.channels, Unset):
            channels = self.channels

        tells_recovery = self.tells_recovery

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if thresholds is not UNSET:
            field_dict["thresholds"] = thresholds
        if budget is not UNSET:
            field_dict["budget"] = budget
        if channels is not UNSET:
            field_dict["channels"] = channels
        if tells_recovery is not UNSET:
            field_dict["tells_recovery"] = tells_recovery
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        thresholds = cast(list[int], d.pop("thresholds", UNSET))

        def _parse_budget(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        budget = _parse_budget(d.pop("budget", UNSET))

        channels = cast(list[str], d.pop("channels", UNSET))

        tells_recovery = d.pop("tells_recovery", UNSET)

        is_active = d.pop("is_active", UNSET)

        patched_rule_changes = cls(
            name=name,
            thresholds=thresholds,
            budget=budget,
            channels=channels,
            tells_recovery=tells_recovery,
            is_active=is_active,
        )

        patched_rule_changes.additional_properties = d
        return patched_rule_changes

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
