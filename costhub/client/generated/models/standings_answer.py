from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.standing_answer import StandingAnswer


T = TypeVar("T", bound="StandingsAnswer")


@_attrs_define
class StandingsAnswer:
    """Every active budget, the fullest subject first; of a default the 50 subjects that have spent the most.

    Attributes:
        data (list[StandingAnswer]): the rows, newest first
        as_of (datetime.datetime): the newest moment that the figures know of
    """

    data: list[StandingAnswer]
    as_of: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        data = []
        for data_item_data in self.data:
            data_item = data_item_data.to_dict()
            data.append(data_item)

        as_of = self.as_of.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "data": data,
                "as_of": as_of,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.standing_answer import StandingAnswer  # noqa: PLC0415

        d = dict(src_dict)
        data = []
        _data = d.pop("data")
        for data_item_data in _data:
            data_item = StandingAnswer.from_dict(data_item_data)

            data.append(data_item)

        as_of = datetime.datetime.fromisoformat(d.pop("as_of"))

        standings_answer = cls(
            data=data,
            as_of=as_of,
        )

        standings_answer.additional_properties = d
        return standings_answer

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
