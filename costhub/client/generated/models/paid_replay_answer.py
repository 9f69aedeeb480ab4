from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.job_state import JobState
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.ratio_answer import RatioAnswer


T = TypeVar("T", bound="PaidReplayAnswer")


@_attrs_define
class PaidReplayAnswer:
    """A replay: how many calls it has, was answered, and got no answer for; what those that were answered did cost, and
    cost now. ``error`` is what it waits for, or why it ended. ``ratio`` is null below thirty answers.

        Attributes:
            id (UUID): the row's id
            model (str): the model or route whose captured calls are asked again
            to (str): the model or route that they are asked of
            calls (int): How many it has.
            answered (int): How many were answered.
            cap (str): the most that it may cost, decimal USD
            cost (str): what it cost by now, decimal USD
            before (str): what the calls that were answered cost, decimal USD
            ratio (None | RatioAnswer): what a USD of such calls costs with the other model; null below thirty answers
            created_at (datetime.datetime): when it was made
            state (JobState | Unset):
            error (str | Unset): what went wrong, or what it waits for; empty if nothing
            same (int | Unset): how many answers said the same, but for spaces, case and signs
            failed (int | Unset): how many got no answer
    """

    id: UUID
    model: str
    to: str
    calls: int
    answered: int
    cap: str
    cost: str
    before: str
    ratio: None | RatioAnswer
    created_at: datetime.datetime
    state: JobState | Unset = UNSET
    error: str | Unset = UNSET
    same: int | Unset = UNSET
    failed: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.ratio_answer import RatioAnswer  # noqa: PLC0415

        id = str(self.id)

        model = self.model

        to = self.to

        calls = self.calls

        answered = self.answered

        cap = self.cap

        cost = self.cost

        before = self.before

        ratio: dict[str, Any] | None
        if isinstance(self.ratio, RatioAnswer):
            ratio = self.ratio.to_dict()
        else:
            ratio = self.ratio

        created_at = self.created_at.isoformat()

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        error = self.error

        same = self.same

        failed = self.failed

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "model": model,
                "to": to,
                "calls": calls,
                "answered": answered,
                "cap": cap,
                "cost": cost,
                "before": before,
                "ratio": ratio,
                "created_at": created_at,
            }
        )
        if state is not UNSET:
            field_dict["state"] = state
        if error is not UNSET:
            field_dict["error"] = error
        if same is not UNSET:
            field_dict["same"] = same
        if failed is not UNSET:
            field_dict["failed"] = failed

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.ratio_answer import RatioAnswer  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        model = d.pop("model")

        to = d.pop("to")

        calls = d.pop("calls")

        answered = d.pop("answered")

        cap = d.pop("cap")

        cost = d.pop("cost")

        before = d.pop("before")

        def _parse_ratio(data: object) -> None | RatioAnswer:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                ratio_type_0 = RatioAnswer.from_dict(data)

                return ratio_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RatioAnswer, data)

        ratio = _parse_ratio(d.pop("ratio"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _state = d.pop("state", UNSET)
        state: JobState | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = JobState(_state)

        error = d.pop("error", UNSET)

        same = d.pop("same", UNSET)

        failed = d.pop("failed", UNSET)

        paid_replay_answer = cls(
            id=id,
            model=model,
            to=to,
            calls=calls,
            answered=answered,
            cap=cap,
            cost=cost,
            before=before,
            ratio=ratio,
            created_at=created_at,
            state=state,
            error=error,
            same=same,
            failed=failed,
        )

        paid_replay_answer.additional_properties = d
        return paid_replay_answer

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
