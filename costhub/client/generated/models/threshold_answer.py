from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.band_answer import BandAnswer


T = TypeVar("T", bound="ThresholdAnswer")


@_attrs_define
class ThresholdAnswer:
    """What the calls would have come to with a confidence that is enough.

    Attributes:
        confidence_percent (int): how sure an answer must be to stand
        then (BandAnswer): Between what it lies.
        saved (BandAnswer): Between what it lies.
        went_up (int): how many calls would have been asked further up than the first rung
        right_per_mille (int | None): of a thousand answers how many would have been right, as what was learned says;
            null: not known
    """

    confidence_percent: int
    then: BandAnswer
    saved: BandAnswer
    went_up: int
    right_per_mille: int | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        confidence_percent = self.confidence_percent

        then = self.then.to_dict()

        saved = self.saved.to_dict()

        went_up = self.went_up

        right_per_mille: int | None
        right_per_mille = self.right_per_mille

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "confidence_percent": confidence_percent,
                "then": then,
                "saved": saved,
                "went_up": went_up,
                "right_per_mille": right_per_mille,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.band_answer import BandAnswer  # noqa: PLC0415

        d = dict(src_dict)
        confidence_percent = d.pop("confidence_percent")

        then = BandAnswer.from_dict(d.pop("then"))

        saved = BandAnswer.from_dict(d.pop("saved"))

        went_up = d.pop("went_up")

        def _parse_right_per_mille(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        right_per_mille = _parse_right_per_mille(d.pop("right_per_mille"))

        threshold_answer = cls(
            confidence_percent=confidence_percent,
            then=then,
            saved=saved,
            went_up=went_up,
            right_per_mille=right_per_mille,
        )

        threshold_answer.additional_properties = d
        return threshold_answer

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
