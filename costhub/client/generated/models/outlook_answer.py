from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.exceeding_answer import ExceedingAnswer
    from ..models.forecast_answer import ForecastAnswer


T = TypeVar("T", bound="OutlookAnswer")


@_attrs_define
class OutlookAnswer:
    """Forecasts, the organisation's first, and the budgets that they exceed, the soonest first.

    Attributes:
        data (list[ForecastAnswer]): the rows, newest first
        exceeds (list[ExceedingAnswer]): budgets that are expected to be exceeded, and when
    """

    data: list[ForecastAnswer]
    exceeds: list[ExceedingAnswer]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        data = []
        for data_item_data in self.data:
            data_item = data_item_data.to_dict()
            data.append(data_item)

        exceeds = []
        for exceeds_item_data in self.exceeds:
            exceeds_item = exceeds_item_data.to_dict()
            exceeds.append(exceeds_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "data": data,
                "exceeds": exceeds,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.exceeding_answer import ExceedingAnswer  # noqa: PLC0415
        from ..models.forecast_answer import ForecastAnswer  # noqa: PLC0415

        d = dict(src_dict)
        data = []
        _data = d.pop("data")
        for data_item_data in _data:
            data_item = ForecastAnswer.from_dict(data_item_data)

            data.append(data_item)

        exceeds = []
        _exceeds = d.pop("exceeds")
        for exceeds_item_data in _exceeds:
            exceeds_item = ExceedingAnswer.from_dict(exceeds_item_data)

            exceeds.append(exceeds_item)

        outlook_answer = cls(
            data=data,
            exceeds=exceeds,
        )

        outlook_answer.additional_properties = d
        return outlook_answer

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
