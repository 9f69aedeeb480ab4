from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.cause_enum import CauseEnum

T = TypeVar("T", bound="PartAnswer")


@_attrs_define
class PartAnswer:
    """What one cause made of the change, in decimal USD; ``model`` is the one at which most of it was.

    Attributes:
        cause (CauseEnum):
        title (str): the cause in words
        amount (str): what it made of the change, decimal USD
        model (str): a model, by the organisation's name for it
        text (str): the same in a sentence
    """

    cause: CauseEnum
    title: str
    amount: str
    model: str
    text: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        cause = self.cause.value

        title = self.title

        amount = self.amount

        model = self.model

        text = self.text

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "cause": cause,
                "title": title,
                "amount": amount,
                "model": model,
                "text": text,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        cause = CauseEnum(d.pop("cause"))

        title = d.pop("title")

        amount = d.pop("amount")

        model = d.pop("model")

        text = d.pop("text")

        part_answer = cls(
            cause=cause,
            title=title,
            amount=amount,
            model=model,
            text=text,
        )

        part_answer.additional_properties = d
        return part_answer

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
