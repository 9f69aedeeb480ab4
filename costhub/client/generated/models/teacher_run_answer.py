from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.job_state import JobState
from ..types import UNSET, Unset

T = TypeVar("T", bound="TeacherRunAnswer")


@_attrs_define
class TeacherRunAnswer:
    """A run: how many of its prompts were answered, how many got no answer, and what it cost. ``judge``: the model that
    judges the dataset's answers in it; empty: the teacher answers prompts. ``error`` is what it waits for, such as
    money, or why it ended.

        Attributes:
            id (UUID): the row's id
            dataset (str): a dataset, by id or name
            total (int): how many prompts there are
            cost (str): what it cost by now, decimal USD
            cap (None | str): the most that it may cost, decimal USD; null: only budgets end it
            created_at (datetime.datetime): when it was made
            judge (str | Unset): a model or route that judges the dataset's answers; empty: the teacher answers prompts
            state (JobState | Unset):
            error (str | Unset): what went wrong, or what it waits for; empty if nothing
            answered (int | Unset): how many were answered
            failed (int | Unset): how many got no answer
    """

    id: UUID
    dataset: str
    total: int
    cost: str
    cap: None | str
    created_at: datetime.datetime
    judge: str | Unset = UNSET
    state: JobState | Unset = UNSET
    error: str | Unset = UNSET
    answered: int | Unset = UNSET
    failed: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        dataset = self.dataset

        total = self.total

        cost = self.cost

        cap: None | str
        cap = self.cap

        created_at = self.created_at.isoformat()

        judge = self.judge

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        error = self.error

        answered = self.answered

        failed = self.failed

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "dataset": dataset,
                "total": total,
                "cost": cost,
                "cap": cap,
                "created_at": created_at,
            }
        )
        if judge is not UNSET:
            field_dict["judge"] = judge
        if state is not UNSET:
            field_dict["state"] = state
        if error is not UNSET:
            field_dict["error"] = error
        if answered is not UNSET:
            field_dict["answered"] = answered
        if failed is not UNSET:
            field_dict["failed"] = failed

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        dataset = d.pop("dataset")

        total = d.pop("total")

        cost = d.pop("cost")

        def _parse_cap(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cap = _parse_cap(d.pop("cap"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        judge = d.pop("judge", UNSET)

        _state = d.pop("state", UNSET)
        state: JobState | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = JobState(_state)

        error = d.pop("error", UNSET)

        answered = d.pop("answered", UNSET)

        failed = d.pop("failed", UNSET)

        teacher_run_answer = cls(
            id=id,
            dataset=dataset,
            total=total,
            cost=cost,
            cap=cap,
            created_at=created_at,
            judge=judge,
            state=state,
            error=error,
            answered=answered,
            failed=failed,
        )

        teacher_run_answer.additional_properties = d
        return teacher_run_answer

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
