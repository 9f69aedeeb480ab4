from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.mechanism_answer import MechanismAnswer


T = TypeVar("T", bound="SavingsAnswer")


@_attrs_define
class SavingsAnswer:
    """What was saved over [from, to), what saved most first: the parts add up to ``saved``, which is ``list_cost`` less
    ``effective_cost``.

        Attributes:
            data (list[MechanismAnswer]): the rows, newest first
            saved (str): the sum of all mechanisms, decimal USD
            list_cost (str): what it would have cost at the model that was asked for, of a route at its baseline model;
                decimal USD
            effective_cost (str): what it cost, decimal USD
            as_of (datetime.datetime | None): the newest moment that the figures know of
            to (datetime.datetime): where the time ends; this moment is not in it
            from_ (datetime.datetime): where the time begins
    """

    data: list[MechanismAnswer]
    saved: str
    list_cost: str
    effective_cost: str
    as_of: datetime.datetime | None
    to: datetime.datetime
    from_: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        data = []
        for data_item_data in self.data:
            data_item = data_item_data.to_dict()
            data.append(data_item)

        saved = self.saved

        list_cost = self.list_cost

        effective_cost = self.effective_cost

        as_of: None | str
        if isinstance(self.as_of, datetime.datetime):
            as_of = self.as_of.isoformat()
        else:
            as_of = self.as_of

        to = self.to.isoformat()

        from_ = self.from_.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "data": data,
                "saved": saved,
                "list_cost": list_cost,
                "effective_cost": effective_cost,
                "as_of": as_of,
                "to": to,
                "from": from_,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.mechanism_answer import MechanismAnswer  # noqa: PLC0415

        d = dict(src_dict)
        data = []
        _data = d.pop("data")
        for data_item_data in _data:
            data_item = MechanismAnswer.from_dict(data_item_data)

            data.append(data_item)

        saved = d.pop("saved")

        list_cost = d.pop("list_cost")

        effective_cost = d.pop("effective_cost")

        def _parse_as_of(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                as_of_type_0 = datetime.datetime.fromisoformat(data)

                return as_of_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        as_of = _parse_as_of(d.pop("as_of"))

        to = datetime.datetime.fromisoformat(d.pop("to"))

        from_ = datetime.datetime.fromisoformat(d.pop("from"))

        savings_answer = cls(
            data=data,
            saved=saved,
            list_cost=list_cost,
            effective_cost=effective_cost,
            as_of=as_of,
            to=to,
            from_=from_,
        )

        savings_answer.additional_properties = d
        return savings_answer

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
