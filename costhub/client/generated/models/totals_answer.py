from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.totals_answer_savings import TotalsAnswerSavings


T = TypeVar("T", bound="TotalsAnswer")


@_attrs_define
class TotalsAnswer:
    """Sums. Money is decimal USD; ``savings`` by mechanism add up to ``list_cost - effective_cost``.

    Attributes:
        requests (int): how many calls
        input_tokens (int): tokens in, of every class
        output_tokens (int): tokens out, of every class
        list_cost (str): what it would have cost at the model that was asked for, of a route at its baseline model;
            decimal USD
        effective_cost (str): what it cost, decimal USD
        savings (TotalsAnswerSavings): list cost less effective cost, decimal USD, by what saved it
    """

    requests: int
    input_tokens: int
    output_tokens: int
    list_cost: str
    effective_cost: str
    savings: TotalsAnswerSavings
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        requests = self.requests

        input_tokens = self.input_tokens

        output_tokens = self.output_tokens

        list_cost = self.list_cost

        effective_cost = self.effective_cost

        savings = self.savings.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "requests": requests,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "list_cost": list_cost,
                "effective_cost": effective_cost,
                "savings": savings,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.totals_answer_savings import TotalsAnswerSavings  # noqa: PLC0415

        d = dict(src_dict)
        requests = d.pop("requests")

        input_tokens = d.pop("input_tokens")

        output_tokens = d.pop("output_tokens")

        list_cost = d.pop("list_cost")

        effective_cost = d.pop("effective_cost")

        savings = TotalsAnswerSavings.from_dict(d.pop("savings"))

        totals_answer = cls(
            requests=requests,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            list_cost=list_cost,
            effective_cost=effective_cost,
            savings=savings,
        )

        totals_answer.additional_properties = d
        return totals_answer

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
