from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.endpoint_cost_answer_projects import EndpointCostAnswerProjects


T = TypeVar("T", bound="EndpointCostAnswer")


@_attrs_define
class EndpointCostAnswer:
    """What the hours of a period have come to by now, on both bases, in USD; and what a million tokens came to.

    Attributes:
        allocated_hours (str): hours that it was there
        busy_hours (str): hours that it worked
        idle_per_mille (int): of its hours, those without work, per mille
        by_allocation (str): what the hours allocated cost, decimal USD
        by_usage (str): what the hours used cost, decimal USD
        projects (EndpointCostAnswerProjects): decimal USD by project
        calls (int): how many calls
        tokens (int): tokens in and out
        per_million_tokens_by_allocation (None | str): USD that a million tokens came to, by hours allocated; null:
            there were none
        per_million_tokens_by_usage (None | str): USD that a million tokens came to, by hours used; null: there were
            none
    """

    allocated_hours: str
    busy_hours: str
    idle_per_mille: int
    by_allocation: str
    by_usage: str
    projects: EndpointCostAnswerProjects
    calls: int
    tokens: int
    per_million_tokens_by_allocation: None | str
    per_million_tokens_by_usage: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        allocated_hours = self.allocated_hours

        busy_hours = self.busy_hours

        idle_per_mille = self.idle_per_mille

        by_allocation = self.by_allocation

        by_usage = self.by_usage

        projects = self.projects.to_dict()

        calls = self.calls

        tokens = self.tokens

        per_million_tokens_by_allocation: None | str
        per_million_tokens_by_allocation = self.per_million_tokens_by_allocation

        per_million_tokens_by_usage: None | str
        per_million_tokens_by_usage = self.per_million_tokens_by_usage

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "allocated_hours": allocated_hours,
                "busy_hours": busy_hours,
                "idle_per_mille": idle_per_mille,
                "by_allocation": by_allocation,
                "by_usage": by_usage,
                "projects": projects,
                "calls": calls,
                "tokens": tokens,
                "per_million_tokens_by_allocation": per_million_tokens_by_allocation,
                "per_million_tokens_by_usage": per_million_tokens_by_usage,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.endpoint_cost_answer_projects import EndpointCostAnswerProjects  # noqa: PLC0415

        d = dict(src_dict)
        allocated_hours = d.pop("allocated_hours")

        busy_hours = d.pop("busy_hours")

        idle_per_mille = d.pop("idle_per_mille")

        by_allocation = d.pop("by_allocation")

        by_usage = d.pop("by_usage")

        projects = EndpointCostAnswerProjects.from_dict(d.pop("projects"))

        calls = d.pop("calls")

        tokens = d.pop("tokens")

        def _parse_per_million_tokens_by_allocation(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        per_million_tokens_by_allocation = _parse_per_million_tokens_by_allocation(
            d.pop("per_million_tokens_by_allocation")
        )

        def _parse_per_million_tokens_by_usage(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        per_million_tokens_by_usage = _parse_per_million_tokens_by_usage(d.pop("per_million_tokens_by_usage"))

        endpoint_cost_answer = cls(
            allocated_hours=allocated_hours,
            busy_hours=busy_hours,
            idle_per_mille=idle_per_mille,
            by_allocation=by_allocation,
            by_usage=by_usage,
            projects=projects,
            calls=calls,
            tokens=tokens,
            per_million_tokens_by_allocation=per_million_tokens_by_allocation,
            per_million_tokens_by_usage=per_million_tokens_by_usage,
        )

        endpoint_cost_answer.additional_properties = d
        return endpoint_cost_answer

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
