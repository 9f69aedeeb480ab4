from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.list_price_change_answer_changed import ListPriceChangeAnswerChanged


T = TypeVar("T", bound="ListPriceChangeAnswer")


@_attrs_define
class ListPriceChangeAnswer:
    """A version that the installed price table has and that is not stored yet. ``changed`` has [before, after] by
    field.

        Attributes:
            model (str): a model, by the organisation's name for it
            effective_from (datetime.datetime): from when on it holds; prices are never edited, only followed
            table (str): the release of the table
            changed (ListPriceChangeAnswerChanged): before and after, by field
    """

    model: str
    effective_from: datetime.datetime
    table: str
    changed: ListPriceChangeAnswerChanged
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model = self.model

        effective_from = self.effective_from.isoformat()

        table = self.table

        changed = self.changed.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "model": model,
                "effective_from": effective_from,
                "table": table,
                "changed": changed,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.list_price_change_answer_changed import (
            ListPriceChangeAnswerChanged,  # noqa: PLC0415
        )

        d = dict(src_dict)
        model = d.pop("model")

        effective_from = datetime.datetime.fromisoformat(d.pop("effective_from"))

        table = d.pop("table")

        changed = ListPriceChangeAnswerChanged.from_dict(d.pop("changed"))

        list_price_change_answer = cls(
            model=model,
            effective_from=effective_from,
            table=table,
            changed=changed,
        )

        list_price_change_answer.additional_properties = d
        return list_price_change_answer

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
