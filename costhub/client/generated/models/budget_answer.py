from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.action_enum import ActionEnum
from ..models.period_enum import PeriodEnum
from ..models.scope_enum import ScopeEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.budget_answer_within_type_0 import BudgetAnswerWithinType0


T = TypeVar("T", bound="BudgetAnswer")


@_attrs_define
class BudgetAnswer:
    """A budget. An empty ``subject`` makes it the default of each subject of its scope.

    Attributes:
        id (UUID): the row's id
        scope (ScopeEnum):
        within (BudgetAnswerWithinType0 | None): the one project or key whose calls are counted; null for all
        period (PeriodEnum):
        limit (str): the most that may be spent in a period, decimal USD
        increased_by (str): USD of the increases in force
        effective_limit (str): USD of limit and increases; what rolled over differs by subject: GET /v1/costhub/budget
            has it
        created_at (datetime.datetime): when it was made
        name (str | Unset): a name for people
        subject (str | Unset): which one of the scope, by id or name; empty: each one for itself
        rollover (bool | Unset): whether what is left of a period is added to the next one's limit
        action (ActionEnum | Unset):
        ladder (Any | Unset): what happens at which per cent of the limit, in this order
        thresholds (list[int] | Unset): per cents of the limit at which people are alerted
        is_shadow (bool | Unset): whether it only notes what it would have refused
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    id: UUID
    scope: ScopeEnum
    within: BudgetAnswerWithinType0 | None
    period: PeriodEnum
    limit: str
    increased_by: str
    effective_limit: str
    created_at: datetime.datetime
    name: str | Unset = UNSET
    subject: str | Unset = UNSET
    rollover: bool | Unset = UNSET
    action: ActionEnum | Unset = UNSET
    ladder: Any | Unset = UNSET
    thresholds: list[int] | Unset = UNSET
    is_shadow: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.budget_answer_within_type_0 import BudgetAnswerWithinType0  # noqa: PLC0415

        id = str(self.id)

        scope = self.scope.value

        within: dict[str, Any] | None
        if isinstance(self.within, BudgetAnswerWithinType0):
            within = self.within.to_dict()
        else:
            within = self.within

        period = self.period.value

        limit = self.limit

        increased_by = self.increased_by

        effective_limit = self.effective_limit

        created_at = self.created_at.isoformat()

        name = self.name

        subject = self.subject

        rollover = self.rollover

        action: str | Unset = UNSET
        if not isinstance(self.action, Unset):
            action = self.action.value

        ladder = self.ladder

        thresholds: list[int] | Unset = UNSET
        if not isinstance(self.thresholds, Unset):
            thresholds = self.thresholds

        is_shadow = self.is_shadow

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "scope": scope,
                "within": within,
                "period": period,
                "limit": limit,
                "increased_by": increased_by,
                "effective_limit": effective_limit,
                "created_at": created_at,
            }
        )
        if name is not UNSET:
            field_dict["name"] = name
        if subject is not UNSET:
            field_dict["subject"] = subject
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
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.budget_answer_within_type_0 import BudgetAnswerWithinType0  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        scope = ScopeEnum(d.pop("scope"))

        def _parse_within(data: object) -> BudgetAnswerWithinType0 | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                within_type_0 = BudgetAnswerWithinType0.from_dict(data)

                return within_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(BudgetAnswerWithinType0 | None, data)

        within = _parse_within(d.pop("within"))

        period = PeriodEnum(d.pop("period"))

        limit = d.pop("limit")

        increased_by = d.pop("increased_by")

        effective_limit = d.pop("effective_limit")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        name = d.pop("name", UNSET)

        subject = d.pop("subject", UNSET)

        rollover = d.pop("rollover", UNSET)

        _action = d.pop("action", UNSET)
        action: ActionEnum | Unset
        if isinstance(_action, Unset):
            action = UNSET
        else:
            action = ActionEnum(_action)

        ladder = d.pop("ladder", UNSET)

        thresholds = cast(list[int], d.pop("thresholds", UNSET))

        is_shadow = d.pop("is_shadow", UNSET)

        is_active = d.pop("is_active", UNSET)

        budget_answer = cls(
            id=id,
            scope=scope,
            within=within,
            period=period,
            limit=limit,
            increased_by=increased_by,
            effective_limit=effective_limit,
            created_at=created_at,
            name=name,
            subject=subject,
            rollover=rollover,
            action=action,
            ladder=ladder,
            thresholds=thresholds,
            is_shadow=is_shadow,
            is_active=is_active,
        )

        budget_answer.additional_properties = d
        return budget_answer

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
