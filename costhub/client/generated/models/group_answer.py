from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.group_answer_group import GroupAnswerGroup
    from ..models.group_answer_labels import GroupAnswerLabels
    from ..models.group_answer_savings import GroupAnswerSavings


T = TypeVar("T", bound="GroupAnswer")


@_attrs_define
class GroupAnswer:
    """One group; ``labels`` are the names that its ids have today.

    Attributes:
        requests (int): how many calls
        input_tokens (int): tokens in, of every class
        output_tokens (int): tokens out, of every class
        list_cost (str): what it would have cost at the model that was asked for, of a route at its baseline model;
            decimal USD
        effective_cost (str): what it cost, decimal USD
        savings (GroupAnswerSavings): list cost less effective cost, decimal USD, by what saved it
        group (GroupAnswerGroup): what the row is the sum of, by the names that were asked for
        labels (GroupAnswerLabels): names of today for ids in the group
    """

    requests: int
    input_tokens: int
    output_tokens: int
    list_cost: str
    effective_cost: str
    savings: GroupAnswerSavings
    group: GroupAnswerGroup
    labels: GroupAnswerLabels
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        requests = self.requests

        input_tokens = self.input_tokens

        output_tokens = self.output_tokens

        list_cost = self.list_cost

        effective_cost = self.effective_cost

        savings = self.savings.to_dict()

        group = self.group.to_dict()

        labels = self.labels.to_dict()

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
                "group": group,
                "labels": labels,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.group_answer_group import GroupAnswerGroup  # noqa: PLC0415
        from ..models.group_answer_labels import GroupAnswerLabels  # noqa: PLC0415
        from ..models.group_answer_savings import GroupAnswerSavings  # noqa: PLC0415

        d = dict(src_dict)
        requests = d.pop("requests")

        input_tokens = d.pop("input_tokens")

        output_tokens = d.pop("output_tokens")

        list_cost = d.pop("list_cost")

        effective_cost = d.pop("effective_cost")

        savings = GroupAnswerSavings.from_dict(d.pop("savings"))

        group = GroupAnswerGroup.from_dict(d.pop("group"))

        labels = GroupAnswerLabels.from_dict(d.pop("labels"))

        group_answer = cls(
            requests=requests,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            list_cost=list_cost,
            effective_cost=effective_cost,
            savings=savings,
            group=group,
            labels=labels,
        )

        group_answer.additional_properties = d
        return group_answer

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
