from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.action_enum import ActionEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.patched_budget_changes_ladder_item import PatchedBudgetChangesLadderItem


T = TypeVar("T", bound="PatchedBudgetChanges")


@_attrs_define
class PatchedBudgetChanges:
    """What may change.

    Attributes:
        limit (str | Unset): the most that may be spent in a period, decimal USD
        rollover (bool | Unset): whether what is left of a period is added to the next one's limit
        action (ActionEnum | Unset):
        ladder (list[PatchedBudgetChangesLadderItem] | Unset): what happens at which per cent of the limit, in this
            order
        thresholds (list[int] | Unset): per cents of the limit at which people are alerted
        is_shadow (bool | Unset): whether it only notes what it would have refused
        name (str | Unset): a name for people
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    limit: str | Unset = UNSET
    rollover: bool | Unset = UNSET
    action: ActionEnum | Unset = UNSET
    ladder: list[PatchedBudgetChangesLadderItem] | Unset = UNSET
    thresholds: list[int] | Unset = UNSET
    is_shadow: bool | Unset = UNSET
    name: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        limit = self.limit

        rollover = self.rollover

        action: str | Unset = UNSET
        if not isinstance(self.action, Unset):
            action = self.action.value

        ladder: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.ladder, Unset):
            ladder = []
            for ladder_item_data in self.ladder:
                ladder_item = ladder_item_data.to_dict()
                ladder.append(ladder_item)

        thresholds: list[int] | Unset = UNSET
        if not isinstance(self.thresholds, Unset):
            thresholds = self.thresholds

        is_shadow = self.is_shadow

        name = self.name

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if limit is not UNSET:
            field_dict["limit"] = limit
        if rollover is not UNSET:
            field_dict["rollover"] = rollover
        if action is not UNSET:
            field_dict["action"] = action
        if ladder is not UNSET:
            field_dict["ladder"] = ladder
        if thresholds is not UNSET:
            field_dict["thresholds"] = thresholds
        if is_shadow is not UNSET:
            field_dict["is_shadow"] = is_shadow
        if name is not UNSET:
            field_dict["name"] = name
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.patched_budget_changes_ladder_item import (
            PatchedBudgetChangesLadderItem,  # noqa: PLC0415
        )

        d = dict(src_dict)
        limit = d.pop("limit", UNSET)

        rollover = d.pop("rollover", UNSET)

        _action = d.pop("action", UNSET)
        action: ActionEnum | Unset
        if isinstance(_action, Unset):
            action = UNSET
        else:
            action = ActionEnum(_action)

        _ladder = d.pop("ladder", UNSET)
        ladder: list[PatchedBudgetChangesLadderItem] | Unset = UNSET
        if _ladder is not UNSET:
            ladder = []
            for ladder_item_data in _ladder:
                ladder_item = PatchedBudgetChangesLadderItem.from_dict(ladder_item_data)

                ladder.append(ladder_item)

        thresholds = cast(list[int], d.pop("thresholds", UNSET))

        is_shadow = d.pop("is_shadow", UNSET)

        name = d.pop("name", UNSET)

        is_active = d.pop("is_active", UNSET)

        patched_budget_changes = cls(
            limit=limit,
            rollover=rollover,
            action=action,
            ladder=ladder,
            thresholds=thresholds,
            is_shadow=is_shadow,
            name=name,
            is_active=is_active,
        )

        patched_budget_changes.additional_properties = d
        return patched_budget_changes

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
