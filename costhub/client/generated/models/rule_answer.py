from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.alert_kind import AlertKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="RuleAnswer")


@_attrs_define
class RuleAnswer:
    """A rule. Without thresholds those of ``default_thresholds`` hold, of budgets each one's own; ``unit`` is what they
    count.

        Attributes:
            id (UUID): the row's id
            name (str): a name for people
            kind (AlertKind):
            unit (str): In words.
            default_thresholds (list[int]): Those of the kind.
            created_at (datetime.datetime): when it was made
            thresholds (list[int] | Unset): per cents of the limit at which people are alerted
            budget (None | Unset | UUID): a budget, by id
            channels (list[UUID] | Unset): the channels that are told, by id; empty: all that take its kind
            tells_recovery (bool | Unset): whether the end of the alert is told as well
            is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    id: UUID
    name: str
    kind: AlertKind
    unit: str
    default_thresholds: list[int]
    created_at: datetime.datetime
    thresholds: list[int] | Unset = UNSET
    budget: None | Unset | UUID = UNSET
    channels: list[UUID] | Unset = UNSET
    tells_recovery: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        kind = self.kind.value

        unit = self.unit

        default_thresholds = self.default_thresholds

        created_at = self.created_at.isoformat()

        thresholds: list[int] | Unset = UNSET
        if not isinstance(self.thresholds, Unset):
            thresholds = self.thresholds

        budget: None | str | Unset
        if isinstance(self.budget, Unset):
            budget = UNSET
        elif isinstance(self.budget, UUID):
            budget = str(self.budget)
        else:
            budget = self.budget

        channels: list[str] | Unset = UNSET
        if not isinstance(self.channels, Unset):
            channels = []
            for channels_item_data in self.channels:
                channels_item = str(channels_item_data)
                channels.append(channels_item)

        tells_recovery = self.tells_recovery

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "kind": kind,
                "unit": unit,
                "default_thresholds": default_thresholds,
                "created_at": created_at,
            }
        )
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
        id = UUID(d.pop("id"))

        name = d.pop("name")

        kind = AlertKind(d.pop("kind"))

        unit = d.pop("unit")

        default_thresholds = cast(list[int], d.pop("default_thresholds"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        thresholds = cast(list[int], d.pop("thresholds", UNSET))

        def _parse_budget(data: object) -> None | Unset | UUID:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                budget_type_0 = UUID(data)

                return budget_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | UUID, data)

        budget = _parse_budget(d.pop("budget", UNSET))

        _channels = d.pop("channels", UNSET)
        channels: list[UUID] | Unset = UNSET
        if _channels is not UNSET:
            channels = []
            for channels_item_data in _channels:
                channels_item = UUID(channels_item_data)

                channels.append(channels_item)

        tells_recovery = d.pop("tells_recovery", UNSET)

        is_active = d.pop("is_active", UNSET)

        rule_answer = cls(
            id=id,
            name=name,
            kind=kind,
            unit=unit,
            default_thresholds=default_thresholds,
            created_at=created_at,
            thresholds=thresholds,
            budget=budget,
            channels=channels,
            tells_recovery=tells_recovery,
            is_active=is_active,
        )

        rule_answer.additional_properties = d
        return rule_answer

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
