from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.action_enum import ActionEnum
from ..models.period_enum import PeriodEnum
from ..models.scope_enum import ScopeEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.new_budget_ladder_item import NewBudgetLadderItem
    from ..models.within import Within


T = TypeVar("T", bound="NewBudget")


@_attrs_define
class NewBudget:
    """What a budget is made of; ``subject`` is a name or id, an end user's id of yours, or a tag as key=value.

    Attributes:
        scope (ScopeEnum):
        period (PeriodEnum):
        limit (str): the most that may be spent in a period, decimal USD
        subject (None | str | Unset): which one of the scope, by id or name; empty: each one for itself
        within (None | Unset | Within): the one project or key whose calls are counted; null: all
        rollover (bool | Unset): whether what is left of a period is added to the next one's limit
        action (ActionEnum | Unset):
        ladder (list[NewBudgetLadderItem] | Unset): what happens at which per cent of the limit, in this order
        thresholds (list[int] | Unset): per cents of the limit at which people are alerted
        is_shadow (bool | Unset): whether it only notes what it would have refused
        name (str | Unset): a name for people
    """

    scope: ScopeEnum
    period: PeriodEnum
    limit: str
    subject: None | str | Unset = UNSET
    within: None | Unset | Within = UNSET
    rollover: bool | Unset = UNSET
    action: ActionEnum | Unset = UNSET
    ladder: list[NewBudgetLadderItem] | Unset = UNSET
    thresholds: list[int] | Unset = UNSET
    is_shadow: bool | Unset = UNSET
    name: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.within import Within  # noqa: PLC0415

        scope = self.scope.value

        period = self.period.value

        limit = self.limit

        subject: None | str | Unset
        if isinstance(self.subject, Unset):
            subject = UNSET
        else:
            subject = self.subject

        within: dict[str, Any] | None | Unset
        if isinstance(self.within, Unset):
            within = UNSET
        elif isinstance(self.within, Within):
            within = self.within.to_dict()
        else:
            within = self.within

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

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "scope": scope,
                "period": period,
                "limit": limit,
            }
        )
        if subject is not UNSET:
            field_dict["subject"] = subject
        if within is not UNSET:
            field_dict["within"] = within
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

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.new_budget_ladder_item import NewBudgetLadderItem  # noqa: PLC0415
        from ..models.within import Within  # noqa: PLC0415

        d = dict(src_dict)
        scope = ScopeEnum(d.pop("scope"))

        period = PeriodEnum(d.pop("period"))

        limit = d.pop("limit")

        def _parse_subject(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        subject = _parse_subject(d.pop("subject", UNSET))

        def _parse_within(data: object) -> None | Unset | Within:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                within_type_0 = Within.from_dict(data)

                return within_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | Within, data)

        within = _parse_within(d.pop("within", UNSET))

        rollover = d.pop("rollover", UNSET)

        _action = d.pop("action", UNSET)
        action: ActionEnum | Unset
        if isinstance(_action, Unset):
            action = UNSET
        else:
            action = ActionEnum(_action)

        _ladder = d.pop("ladder", UNSET)
        ladder: list[NewBudgetLadderItem] | Unset = UNSET
        if _ladder is not UNSET:
            ladder = []
            for ladder_item_data in _ladder:
                ladder_item = NewBudgetLadderItem.from_dict(ladder_item_data)

                ladder.append(ladder_item)

        thresholds = cast(list[int], d.pop("thresholds", UNSET))

        is_shadow = d.pop("is_shadow", UNSET)

        name = d.pop("name", UNSET)

        new_budget = cls(
            scope=scope,
            period=period,
            limit=limit,
            subject=subject,
            within=within,
            rollover=rollover,
            action=action,
            ladder=ladder,
            thresholds=thresholds,
            is_shadow=is_shadow,
            name=name,
        )

        new_budget.additional_properties = d
        return new_budget

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
