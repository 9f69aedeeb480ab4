from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.band_answer import BandAnswer
    from ..models.measured_answer import MeasuredAnswer


T = TypeVar("T", bound="KeptPointAnswer")


@_attrs_define
class KeptPointAnswer:
    """What the calls would have come to with a share kept.

    Attributes:
        percent (int): per cent that are kept
        then (BandAnswer | None): what the calls would have cost, between what it lies, decimal USD; null: not known
        measured (MeasuredAnswer | None): what public texts kept there; null: not measured
    """

    percent: int
    then: BandAnswer | None
    measured: MeasuredAnswer | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.band_answer import BandAnswer  # noqa: PLC0415
        from ..models.measured_answer import MeasuredAnswer  # noqa: PLC0415

        percent = self.percent

        then: dict[str, Any] | None
        if isinstance(self.then, BandAnswer):
            then = self.then.to_dict()
        else:
            then = self.then

        measured: dict[str, Any] | None
        if isinstance(self.measured, MeasuredAnswer):
            measured = self.measured.to_dict()
        else:
            measured = self.measured

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "percent": percent,
                "then": then,
                "measured": measured,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.band_answer import BandAnswer  # noqa: PLC0415
        from ..models.measured_answer import MeasuredAnswer  # noqa: PLC0415

        d = dict(src_dict)
        percent = d.pop("percent")

        def _parse_then(data: object) -> BandAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                then_type_0 = BandAnswer.from_dict(data)

                return then_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(BandAnswer | None, data)

        then = _parse_then(d.pop("then"))

        def _parse_measured(data: object) -> MeasuredAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                measured_type_0 = MeasuredAnswer.from_dict(data)

                return measured_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(MeasuredAnswer | None, data)

        measured = _parse_measured(d.pop("measured"))

        kept_point_answer = cls(
            percent=percent,
            then=then,
            measured=measured,
        )

        kept_point_answer.additional_properties = d
        return kept_point_answer

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
