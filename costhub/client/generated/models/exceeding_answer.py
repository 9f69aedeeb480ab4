from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ExceedingAnswer")


@_attrs_define
class ExceedingAnswer:
    """A month budget that is forecast to be exceeded, and the local day in which.

    Attributes:
        budget (UUID): a budget, by id
        name (str): a name for people
        scope (str): whose calls are counted
        subject (str): which one of the scope, by id or name; empty: each one for itself
        limit (str): the most that may be spent in a period, decimal USD
        expected (str): what is expected, decimal USD
        date (datetime.date): the day on which that is
    """

    budget: UUID
    name: str
    scope: str
    subject: str
    limit: str
    expected: str
    date: datetime.date
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        budget = str(self.budget)

        name = self.name

        scope = self.scope

        subject = self.subject

        limit = self.limit

        expected = self.expected

        date = self.date.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "budget": budget,
                "name": name,
                "scope": scope,
                "subject": subject,
                "limit": limit,
                "expected": expected,
                "date": date,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        budget = UUID(d.pop("budget"))

        name = d.pop("name")

        scope = d.pop("scope")

        subject = d.pop("subject")

        limit = d.pop("limit")

        expected = d.pop("expected")

        date = datetime.date.fromisoformat(d.pop("date"))

        exceeding_answer = cls(
            budget=budget,
            name=name,
            scope=scope,
            subject=subject,
            limit=limit,
            expected=expected,
            date=date,
        )

        exceeding_answer.additional_properties = d
        return exceeding_answer

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
