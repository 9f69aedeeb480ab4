from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.budget_request_answer_state_enum import BudgetRequestAnswerStateEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="BudgetRequestAnswer")


@_attrs_define
class BudgetRequestAnswer:
    """A request, and what became of it. ``granted`` may be less than ``amount``; ``increase`` is what came of it.

    Attributes:
        id (UUID): the row's id
        budget (UUID): a budget, by id
        amount (str): decimal USD
        until (datetime.datetime): until when the increase is needed
        reason (str): why, in words
        asked_by (str): who asked
        granted (None | str): how much of it was granted, decimal USD; null: nothing
        increase (None | UUID): the increase that was made of it; null: none
        created_at (datetime.datetime): when it was made
        state (BudgetRequestAnswerStateEnum | Unset):
        answer (str | Unset): what the one who decided says to the one who asked
        decided_by (str | Unset): who decided; empty: nobody yet
        decided_at (datetime.datetime | None | Unset): when it was decided; null: not yet
    """

    id: UUID
    budget: UUID
    amount: str
    until: datetime.datetime
    reason: str
    asked_by: str
    granted: None | str
    increase: None | UUID
    created_at: datetime.datetime
    state: BudgetRequestAnswerStateEnum | Unset = UNSET
    answer: str | Unset = UNSET
    decided_by: str | Unset = UNSET
    decided_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        budget = str(self.budget)

        amount = self.amount

        until = self.until.isoformat()

        reason = self.reason

        asked_by = self.asked_by

        granted: None | str
        granted = self.granted

        increase: None | str
        if isinstance(self.increase, UUID):
            increase = str(self.increase)
        else:
            increase = self.increase

        created_at = self.created_at.isoformat()

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        answer = self.answer

        decided_by = self.decided_by

        decided_at: None | str | Unset
        if isinstance(self.decided_at, Unset):
            decided_at = UNSET
        elif isinstance(self.decided_at, datetime.datetime):
            decided_at = self.decided_at.isoformat()
        else:
            decided_at = self.decided_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "budget": budget,
                "amount": amount,
                "until": until,
                "reason": reason,
                "asked_by": asked_by,
                "granted": granted,
                "increase": increase,
                "created_at": created_at,
            }
        )
        if state is not UNSET:
            field_dict["state"] = state
        if answer is not UNSET:
            field_dict["answer"] = answer
        if decided_by is not UNSET:
            field_dict["decided_by"] = decided_by
        if decided_at is not UNSET:
            field_dict["decided_at"] = decided_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        budget = UUID(d.pop("budget"))

        amount = d.pop("amount")

        until = datetime.datetime.fromisoformat(d.pop("until"))

        reason = d.pop("reason")

        asked_by = d.pop("asked_by")

        def _parse_granted(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        granted = _parse_granted(d.pop("granted"))

        def _parse_increase(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                increase_type_0 = UUID(data)

                return increase_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        increase = _parse_increase(d.pop("increase"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _state = d.pop("state", UNSET)
        state: BudgetRequestAnswerStateEnum | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = BudgetRequestAnswerStateEnum(_state)

        answer = d.pop("answer", UNSET)

        decided_by = d.pop("decided_by", UNSET)

        def _parse_decided_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                decided_at_type_0 = datetime.datetime.fromisoformat(data)

                return decided_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        decided_at = _parse_decided_at(d.pop("decided_at", UNSET))

        budget_request_answer = cls(
            id=id,
            budget=budget,
            amount=amount,
            until=until,
            reason=reason,
            asked_by=asked_by,
            granted=granted,
            increase=increase,
            created_at=created_at,
            state=state,
            answer=answer,
            decided_by=decided_by,
            decided_at=decided_at,
        )

        budget_request_answer.additional_properties = d
        return budget_request_answer

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
