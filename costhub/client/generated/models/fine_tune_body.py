from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="FineTuneBody")


@_attrs_define
class FineTuneBody:
    """Training once, then calls at the trained model's prices. ``escalated_percent`` of them are asked of the present
    model again; ``input_tokens`` is a call's prompt where the trained model needs a shorter one.

        Attributes:
            training_cost (str): USD, 0 to 1000000000
            input_per_million (str): USD per million tokens, 0 to 10000
            output_per_million (str): USD per million tokens, 0 to 10000
            share_percent (str | Unset): per cent, 0 to 100
            escalated_percent (str | Unset): per cent, 0 to 100
            input_tokens (str | Unset): tokens, 0 to 1000000
    """

    training_cost: str
    input_per_million: str
    output_per_million: str
    share_percent: str | Unset = UNSET
    escalated_percent: str | Unset = UNSET
    input_tokens: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        training_cost = self.training_cost

        input_per_million = self.input_per_million

        output_per_million = self.output_per_million

        share_percent = self.share_percent

        escalated_percent = self.escalated_percent

        input_tokens = self.input_tokens

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "training_cost": training_cost,
                "input_per_million": input_per_million,
                "output_per_million": output_per_million,
            }
        )
        if share_percent is not UNSET:
            field_dict["share_percent"] = share_percent
        if escalated_percent is not UNSET:
            field_dict["escalated_percent"] = escalated_percent
        if input_tokens is not UNSET:
            field_dict["input_tokens"] = input_tokens

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        training_cost = d.pop("training_cost")

        input_per_million = d.pop("input_per_million")

        output_per_million = d.pop("output_per_million")

        share_percent = d.pop("share_percent", UNSET)

        escalated_percent = d.pop("escalated_percent", UNSET)

        input_tokens = d.pop("input_tokens", UNSET)

        fine_tune_body = cls(
            training_cost=training_cost,
            input_per_million=input_per_million,
            output_per_million=output_per_million,
            share_percent=share_percent,
            escalated_percent=escalated_percent,
            input_tokens=input_tokens,
        )

        fine_tune_body.additional_properties = d
        return fine_tune_body

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
