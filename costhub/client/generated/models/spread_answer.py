from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.days_band import DaysBand
    from ..models.usd_band import UsdBand


T = TypeVar("T", bound="SpreadAnswer")


@_attrs_define
class SpreadAnswer:
    """What the trials say. ``pays``, ``too_late`` and ``never`` count those with that verdict.

    Attributes:
        trials (int): how often it was tried
        seed (int): by which the same is drawn again
        pays (int): trials in which it pays within the horizon
        too_late (int): trials in which it pays after the horizon
        never (int): trials in which it never pays
        saving_per_day (UsdBand): Decimal USD: a tenth of the trials lies below ``low``, half below ``middle``, a tenth
            above ``high``.
        net (UsdBand): Decimal USD: a tenth of the trials lies below ``low``, half below ``middle``, a tenth above
            ``high``.
        break_even_days (DaysBand): The same in days; null is never.
    """

    trials: int
    seed: int
    pays: int
    too_late: int
    never: int
    saving_per_day: UsdBand
    net: UsdBand
    break_even_days: DaysBand
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        trials = self.trials

        seed = self.seed

        pays = self.pays

        too_late = self.too_late

        never = self.never

        saving_per_day = self.saving_per_day.to_dict()

        net = self.net.to_dict()

        break_even_days = self.break_even_days.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "trials": trials,
                "seed": seed,
                "pays": pays,
                "too_late": too_late,
                "never": never,
                "saving_per_day": saving_per_day,
                "net": net,
                "break_even_days": break_even_days,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.days_band import DaysBand  # noqa: PLC0415
        from ..models.usd_band import UsdBand  # noqa: PLC0415

        d = dict(src_dict)
        trials = d.pop("trials")

        seed = d.pop("seed")

        pays = d.pop("pays")

        too_late = d.pop("too_late")

        never = d.pop("never")

        saving_per_day = UsdBand.from_dict(d.pop("saving_per_day"))

        net = UsdBand.from_dict(d.pop("net"))

        break_even_days = DaysBand.from_dict(d.pop("break_even_days"))

        spread_answer = cls(
            trials=trials,
            seed=seed,
            pays=pays,
            too_late=too_late,
            never=never,
            saving_per_day=saving_per_day,
            net=net,
            break_even_days=break_even_days,
        )

        spread_answer.additional_properties = d
        return spread_answer

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
