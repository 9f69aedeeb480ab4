from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.method_enum import MethodEnum
from ..models.scope_enum import ScopeEnum

T = TypeVar("T", bound="ForecastAnswer")


@_attrs_define
class ForecastAnswer:
    """One month's end. Money is decimal USD; ``low`` to ``high`` holds it four times in five. ``backtest_error`` and
    ``backtest_coverage`` are per mille: what past forecasts of the same age missed, and how often their band held.

        Attributes:
            scope (ScopeEnum):
            subject (str): which one of the scope, by id or name; empty: each one for itself
            name (str): a name for people
            month (datetime.date): the month, by its first day
            spent (str): what is spent of it so far, decimal USD
            expected (None | str): what is expected, decimal USD
            low (None | str): where the likely range begins
            high (None | str): where the likely range ends
            method (MethodEnum):
            backtest_error (int | None): by how much past months were missed, per mille
            backtest_coverage (int | None): how often the range held what came, per mille
            days_of_history (int): how many days it was learned from
            as_of (datetime.datetime): the newest moment that the figures know of
    """

    scope: ScopeEnum
    subject: str
    name: str
    month: datetime.date
    spent: str
    expected: None | str
    low: None | str
    high: None | str
    method: MethodEnum
    backtest_error: int | None
    backtest_coverage: int | None
    days_of_history: int
    as_of: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        scope = self.scope.value

        subject = self.subject

        name = self.name

        month = self.month.isoformat()

        spent = self.spent

        expected: None | str
        expected = self.expected

        low: None | str
        low = self.low

        high: None | str
        high = self.high

        method = self.method.value

        backtest_error: int | None
        backtest_error = self.backtest_error

        backtest_coverage: int | None
        backtest_coverage = self.backtest_coverage

        days_of_history = self.days_of_history

        as_of = self.as_of.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "scope": scope,
                "subject": subject,
                "name": name,
                "month": month,
                "spent": spent,
                "expected": expected,
                "low": low,
                "high": high,
                "method": method,
                "backtest_error": backtest_error,
                "backtest_coverage": backtest_coverage,
                "days_of_history": days_of_history,
                "as_of": as_of,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        scope = ScopeEnum(d.pop("scope"))

        subject = d.pop("subject")

        name = d.pop("name")

        month = datetime.date.fromisoformat(d.pop("month"))

        spent = d.pop("spent")

        def _parse_expected(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        expected = _parse_expected(d.pop("expected"))

        def _parse_low(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        low = _parse_low(d.pop("low"))

        def _parse_high(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        high = _parse_high(d.pop("high"))

        method = MethodEnum(d.pop("method"))

        def _parse_backtest_error(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        backtest_error = _parse_backtest_error(d.pop("backtest_error"))

        def _parse_backtest_coverage(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        backtest_coverage = _parse_backtest_coverage(d.pop("backtest_coverage"))

        days_of_history = d.pop("days_of_history")

        as_of = datetime.datetime.fromisoformat(d.pop("as_of"))

        forecast_answer = cls(
            scope=scope,
            subject=subject,
            name=name,
            month=month,
            spent=spent,
            expected=expected,
            low=low,
            high=high,
            method=method,
            backtest_error=backtest_error,
            backtest_coverage=backtest_coverage,
            days_of_history=days_of_history,
            as_of=as_of,
        )

        forecast_answer.additional_properties = d
        return forecast_answer

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
