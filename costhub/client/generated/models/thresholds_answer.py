from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.threshold_answer import ThresholdAnswer


T = TypeVar("T", bound="ThresholdsAnswer")


@_attrs_define
class ThresholdsAnswer:
    """A cascade's cost and quality by its confidence, from its past calls. ``confidence_percent`` is the one in
    force.

        Attributes:
            calls (int): how many calls
            cost (str): what they cost, decimal USD
            confidence_percent (int): how sure an answer must be to stand
            points (list[ThresholdAnswer]): what the calls would have come to with each confidence
            assumptions (list[str]): what the figures rest on, in sentences
    """

    calls: int
    cost: str
    confidence_percent: int
    points: list[ThresholdAnswer]
    assumptions: list[str]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        calls = self.calls

        cost = self.cost

        confidence_percent = self.confidence_percent

        points = []
        for points_item_data in self.points:
            points_item = points_item_data.to_dict()
            points.append(points_item)

        assumptions = self.assumptions

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "calls": calls,
                "cost": cost,
                "confidence_percent": confidence_percent,
                "points": points,
                "assumptions": assumptions,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.threshold_answer import ThresholdAnswer  # noqa: PLC0415

        d = dict(src_dict)
        calls = d.pop("calls")

        cost = d.pop("cost")

        confidence_percent = d.pop("confidence_percent")

        points = []
        _points = d.pop("points")
        for points_item_data in _points:
            points_item = ThresholdAnswer.from_dict(points_item_data)

            points.append(points_item)

        assumptions = cast(list[str], d.pop("assumptions"))

        thresholds_answer = cls(
            calls=calls,
            cost=cost,
            confidence_percent=confidence_percent,
            points=points,
            assumptions=assumptions,
        )

        thresholds_answer.additional_properties = d
        return thresholds_answer

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
