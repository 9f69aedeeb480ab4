from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="EconomyAnswer")


@_attrs_define
class EconomyAnswer:
    """What one that was trained saves: what a call of its teacher's costs (null: there was none in four weeks), what a
    call costs that asks it (null: it has no price; a student's is nothing), the share of calls that it answers, what it
    cost, of that ``bought`` the teacher's answers that were asked for its dataset, and the calls from which on that has
    come back (null: never). ``per_success``: what an answer as the teacher's costs where it is asked first, with 95 %
    limits.

        Attributes:
            teacher_call (None | str): what a call of its teacher's costs, decimal USD; null: there was none in four weeks
            own_call (None | str): what a call costs that asks it, decimal USD; null: it has no price
            answered_millionths (int): of the calls, those that it answers itself, in millionths
            spent (str): what is spent of it so far, decimal USD
            bought (str): of that, what answers cost that were asked of the teacher to learn from
            break_even_calls (int | None): after how many calls its training has come back; null: never
            calls_a_day_millionths (int): calls a day, in millionths
            per_success (None | str): what an answer as the teacher's costs where the student is asked first; null while
                nobody knows
            per_success_low (None | str): the lower end of its 95 % interval
            per_success_high (None | str): the upper end of its 95 % interval
    """

    teacher_call: None | str
    own_call: None | str
    answered_millionths: int
    spent: str
    bought: str
    break_even_calls: int | None
    calls_a_day_millionths: int
    per_success: None | str
    per_success_low: None | str
    per_success_high: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        teacher_call: None | str
        teacher_call = self.teacher_call

        own_call: None | str
        own_call = self.own_call

        answered_millionths = self.answered_millionths

        spent = self.spent

        bought = self.bought

        break_even_calls: int | None
        break_even_calls = self.break_even_calls

        calls_a_day_millionths = self.calls_a_day_millionths

        per_success: None | str
        per_success = self.per_success

        per_success_low: None | str
        per_success_low = self.per_success_low

        per_success_high: None | str
        per_success_high = self.per_success_high

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "teacher_call": teacher_call,
                "own_call": own_call,
                "answered_millionths": answered_millionths,
                "spent": spent,
                "bought": bought,
                "break_even_calls": break_even_calls,
                "calls_a_day_millionths": calls_a_day_millionths,
                "per_success": per_success,
                "per_success_low": per_success_low,
                "per_success_high": per_success_high,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_teacher_call(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        teacher_call = _parse_teacher_call(d.pop("teacher_call"))

        def _parse_own_call(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        own_call = _parse_own_call(d.pop("own_call"))

        answered_millionths = d.pop("answered_millionths")

        spent = d.pop("spent")

        bought = d.pop("bought")

        def _parse_break_even_calls(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        break_even_calls = _parse_break_even_calls(d.pop("break_even_calls"))

        calls_a_day_millionths = d.pop("calls_a_day_millionths")

        def _parse_per_success(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        per_success = _parse_per_success(d.pop("per_success"))

        def _parse_per_success_low(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        per_success_low = _parse_per_success_low(d.pop("per_success_low"))

        def _parse_per_success_high(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        per_success_high = _parse_per_success_high(d.pop("per_success_high"))

        economy_answer = cls(
            teacher_call=teacher_call,
            own_call=own_call,
            answered_millionths=answered_millionths,
            spent=spent,
            bought=bought,
            break_even_calls=break_even_calls,
            calls_a_day_millionths=calls_a_day_millionths,
            per_success=per_success,
            per_success_low=per_success_low,
            per_success_high=per_success_high,
        )

        economy_answer.additional_properties = d
        return economy_answer

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
