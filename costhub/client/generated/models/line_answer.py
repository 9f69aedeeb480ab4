from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.line_answer_kind_enum import LineAnswerKindEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="LineAnswer")


@_attrs_define
class LineAnswer:
    """A line, exact in USD. ``saved`` is told of and not billed.

    Attributes:
        position (int): its place on the invoice
        kind (LineAnswerKindEnum):
        text (str): the same in a sentence
        start (datetime.datetime): where it begins
        end (datetime.datetime): where it ends
        usd_per_million (str): Of tokens.
        markup (str): Per cents, of markups.
        amount (str): decimal USD, exact
        saved (str): what it saved, decimal USD
        project (str | Unset): a project, by id; where it is written also by name
        project_name (str | Unset): the project's name of today
        model (str | Unset): a model, by the organisation's name for it
        price (str | Unset): the version of the price, with its adjustment and service tier where it has any
        token_class (str | Unset): which class of tokens
        quantity (int | Unset): tokens or units
    """

    position: int
    kind: LineAnswerKindEnum
    text: str
    start: datetime.datetime
    end: datetime.datetime
    usd_per_million: str
    markup: str
    amount: str
    saved: str
    project: str | Unset = UNSET
    project_name: str | Unset = UNSET
    model: str | Unset = UNSET
    price: str | Unset = UNSET
    token_class: str | Unset = UNSET
    quantity: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        position = self.position

        kind = self.kind.value

        text = self.text

        start = self.start.isoformat()

        end = self.end.isoformat()

        usd_per_million = self.usd_per_million

        markup = self.markup

        amount = self.amount

        saved = self.saved

        project = self.project

        project_name = self.project_name

        model = self.model

        price = self.price

        token_class = self.token_class

        quantity = self.quantity

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "position": position,
                "kind": kind,
                "text": text,
                "start": start,
                "end": end,
                "usd_per_million": usd_per_million,
                "markup": markup,
                "amount": amount,
                "saved": saved,
            }
        )
        if project is not UNSET:
            field_dict["project"] = project
        if project_name is not UNSET:
            field_dict["project_name"] = project_name
        if model is not UNSET:
            field_dict["model"] = model
        if price is not UNSET:
            field_dict["price"] = price
        if token_class is not UNSET:
            field_dict["token_class"] = token_class
        if quantity is not UNSET:
            field_dict["quantity"] = quantity

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        position = d.pop("position")

        kind = LineAnswerKindEnum(d.pop("kind"))

        text = d.pop("text")

        start = datetime.datetime.fromisoformat(d.pop("start"))

        end = datetime.datetime.fromisoformat(d.pop("end"))

        usd_per_million = d.pop("usd_per_million")

        markup = d.pop("markup")

        amount = d.pop("amount")

        saved = d.pop("saved")

        project = d.pop("project", UNSET)

        project_name = d.pop("project_name", UNSET)

        model = d.pop("model", UNSET)

        price = d.pop("price", UNSET)

        token_class = d.pop("token_class", UNSET)

        quantity = d.pop("quantity", UNSET)

        line_answer = cls(
            position=position,
            kind=kind,
            text=text,
            start=start,
            end=end,
            usd_per_million=usd_per_million,
            markup=markup,
            amount=amount,
            saved=saved,
            project=project,
            project_name=project_name,
            model=model,
            price=price,
            token_class=token_class,
            quantity=quantity,
        )

        line_answer.additional_properties = d
        return line_answer

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
