from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.scenario_enum import ScenarioEnum
from ..models.verdict_enum import VerdictEnum

if TYPE_CHECKING:
    from ..models.day_answer import DayAnswer
    from ..models.point_answer import PointAnswer
    from ..models.spread_answer import SpreadAnswer


T = TypeVar("T", bound="RoiAnswer")


@_attrs_define
class RoiAnswer:
    """Whether a change pays within the horizon. Money is decimal USD, ``saving_per_day`` and ``net`` below zero where
    it costs more than it saves; ``break_even_days`` is null where it never pays.

        Attributes:
            scenario (ScenarioEnum):
            verdict (VerdictEnum):
            text (str): the same in a sentence
            traffic (DayAnswer): The average day that was reckoned with; ``from`` and ``to`` where it is the ledger's.
            cost_per_day (str): what a day costs now, decimal USD
            cost_per_day_after (str): what a day costs then, decimal USD
            saving_per_day (str): the difference, decimal USD
            once (str): what it costs once, decimal USD
            break_even_days (None | str): after how many days it has come back; null: never
            horizon_days (int): over how many days
            net (str): what is gained by the end of the horizon, decimal USD
            curve (list[PointAnswer]): the same day by day
            spread (None | SpreadAnswer): what the trials say; null: nothing was uncertain
    """

    scenario: ScenarioEnum
    verdict: VerdictEnum
    text: str
    traffic: DayAnswer
    cost_per_day: str
    cost_per_day_after: str
    saving_per_day: str
    once: str
    break_even_days: None | str
    horizon_days: int
    net: str
    curve: list[PointAnswer]
    spread: None | SpreadAnswer
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.spread_answer import SpreadAnswer  # noqa: PLC0415

        scenario = self.scenario.value

        verdict = self.verdict.value

        text = self.text

        traffic = self.traffic.to_dict()

        cost_per_day = self.cost_per_day

        cost_per_day_after = self.cost_per_day_after

        saving_per_day = self.saving_per_day

        once = self.once

        break_even_days: None | str
        break_even_days = self.break_even_days

        horizon_days = self.horizon_days

        net = self.net

        curve = []
        for curve_item_data in self.curve:
            curve_item = curve_item_data.to_dict()
            curve.append(curve_item)

        spread: dict[str, Any] | None
        if isinstance(self.spread, SpreadAnswer):
            spread = self.spread.to_dict()
        else:
            spread = self.spread

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "scenario": scenario,
                "verdict": verdict,
                "text": text,
                "traffic": traffic,
                "cost_per_day": cost_per_day,
                "cost_per_day_after": cost_per_day_after,
                "saving_per_day": saving_per_day,
                "once": once,
                "break_even_days": break_even_days,
                "horizon_days": horizon_days,
                "net": net,
                "curve": curve,
                "spread": spread,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.day_answer import DayAnswer  # noqa: PLC0415
        from ..models.point_answer import PointAnswer  # noqa: PLC0415
        from ..models.spread_answer import SpreadAnswer  # noqa: PLC0415

        d = dict(src_dict)
        scenario = ScenarioEnum(d.pop("scenario"))

        verdict = VerdictEnum(d.pop("verdict"))

        text = d.pop("text")

        traffic = DayAnswer.from_dict(d.pop("traffic"))

        cost_per_day = d.pop("cost_per_day")

        cost_per_day_after = d.pop("cost_per_day_after")

        saving_per_day = d.pop("saving_per_day")

        once = d.pop("once")

        def _parse_break_even_days(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        break_even_days = _parse_break_even_days(d.pop("break_even_days"))

        horizon_days = d.pop("horizon_days")

        net = d.pop("net")

        curve = []
        _curve = d.pop("curve")
        for curve_item_data in _curve:
            curve_item = PointAnswer.from_dict(curve_item_data)

            curve.append(curve_item)

        def _parse_spread(data: object) -> None | SpreadAnswer:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                spread_type_0 = SpreadAnswer.from_dict(data)

                return spread_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | SpreadAnswer, data)

        spread = _parse_spread(d.pop("spread"))

        roi_answer = cls(
            scenario=scenario,
            verdict=verdict,
            text=text,
            traffic=traffic,
            cost_per_day=cost_per_day,
            cost_per_day_after=cost_per_day_after,
            saving_per_day=saving_per_day,
            once=once,
            break_even_days=break_even_days,
            horizon_days=horizon_days,
            net=net,
            curve=curve,
            spread=spread,
        )

        roi_answer.additional_properties = d
        return roi_answer

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
