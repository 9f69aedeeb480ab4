from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="IncreaseAnswer")


@_attrs_define
class IncreaseAnswer:
    """An increase of a budget: so much more until ``until``, unless it was ended before.

    Attributes:
        id (UUID): the row's id
        amount (str): decimal USD
        until (datetime.datetime): until when it holds
        created_at (datetime.datetime): when it was made
        reason (str | Unset): why, in words
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
        ended_at (datetime.datetime | None | Unset): when somebody ended it early; null: nobody did
    """

    id: UUID
    amount: str
    until: datetime.datetime
    created_at: datetime.datetime
    reason: str | Unset = UNSET
    created_by: str | Unset = UNSET
    ended_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        amount = self.amount

        until = self.until.isoformat()

        created_at = self.created_at.isoformat()

        reason = self.reason

        created_by = self.created_by

        ended_at: None | str | Unset
        if isinstance(self.ended_at, Unset):
            ended_at = UNSET
        elif isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "amount": amount,
                "until": until,
                "created_at": created_at,
            }
        )
        if reason is not UNSET:
            field_dict["reason"] = reason
        if created_by is not UNSET:
            field_dict["created_by"] = created_by
        if ended_at is not UNSET:
            field_dict["ended_at"] = ended_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        amount = d.pop("amount")

        until = datetime.datetime.fromisoformat(d.pop("until"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        reason = d.pop("reason", UNSET)

        created_by = d.pop("created_by", UNSET)

        def _parse_ended_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)

                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        ended_at = _parse_ended_at(d.pop("ended_at", UNSET))

        increase_answer = cls(
            id=id,
            amount=amount,
            until=until,
            created_at=created_at,
            reason=reason,
            created_by=created_by,
            ended_at=ended_at,
        )

        increase_answer.additional_properties = d
        return increase_answer

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
