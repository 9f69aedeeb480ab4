from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="LineCallAnswer")


@_attrs_define
class LineCallAnswer:
    """A row of the ledger behind a line: a call, or a correction.

    Attributes:
        id (UUID): the row's id
        started_at (datetime.datetime): when the call came
        recorded_at (datetime.datetime): when its row was written
        tokens (int): tokens in and out
        cost (str): what they cost, decimal USD
    """

    id: UUID
    started_at: datetime.datetime
    recorded_at: datetime.datetime
    tokens: int
    cost: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        started_at = self.started_at.isoformat()

        recorded_at = self.recorded_at.isoformat()

        tokens = self.tokens

        cost = self.cost

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "started_at": started_at,
                "recorded_at": recorded_at,
                "tokens": tokens,
                "cost": cost,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        started_at = datetime.datetime.fromisoformat(d.pop("started_at"))

        recorded_at = datetime.datetime.fromisoformat(d.pop("recorded_at"))

        tokens = d.pop("tokens")

        cost = d.pop("cost")

        line_call_answer = cls(
            id=id,
            started_at=started_at,
            recorded_at=recorded_at,
            tokens=tokens,
            cost=cost,
        )

        line_call_answer.additional_properties = d
        return line_call_answer

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
