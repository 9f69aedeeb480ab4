from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="UsdBand")


@_attrs_define
class UsdBand:
    """Decimal USD: a tenth of the trials lies below ``low``, half below ``middle``, a tenth above ``high``.

    Attributes:
        low (str): where the likely range begins
        middle (str): half of the trials lie below it
        high (str): where the likely range ends
    """

    low: str
    middle: str
    high: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        low = self.low

        middle = self.middle

        high = self.high

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "low": low,
                "middle": middle,
                "high": high,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        low = d.pop("low")

        middle = d.pop("middle")

        high = d.pop("high")

        usd_band = cls(
            low=low,
            middle=middle,
            high=high,
        )

        usd_band.additional_properties = d
        return usd_band

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
