from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.stage_enum import StageEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedTunedModelChanges")


@_attrs_define
class PatchedTunedModelChanges:
    """Where a tuned model is put, and what it must reach there. ``confidence_percent``: how sure it must be of an
    answer; else its first hundred comparisons say that.

        Attributes:
            stage (StageEnum | Unset):
            floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
            canary_percent (int | Unset): how many of the questions go to it in the stage canary
            confidence_percent (int | Unset): how sure an answer must be to stand
    """

    stage: StageEnum | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    canary_percent: int | Unset = UNSET
    confidence_percent: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        stage: str | Unset = UNSET
        if not isinstance(self.stage, Unset):
            stage = self.stage.value

        floor_per_mille = self.floor_per_mille

        canary_percent = self.canary_percent

        confidence_percent = self.confidence_percent

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if stage is not UNSET:
            field_dict["stage"] = stage
        if floor_per_mille is not UNSET:
            field_dict["floor_per_mille"] = floor_per_mille
        if canary_percent is not UNSET:
            field_dict["canary_percent"] = canary_percent
        if confidence_percent is not UNSET:
            field_dict["confidence_percent"] = confidence_percent

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _stage = d.pop("stage", UNSET)
        stage: StageEnum | Unset
        if isinstance(_stage, Unset):
            stage = UNSET
        else:
            stage = StageEnum(_stage)

        floor_per_mille = d.pop("floor_per_mille", UNSET)

        canary_percent = d.pop("canary_percent", UNSET)

        confidence_percent = d.pop("confidence_percent", UNSET)

        patched_tuned_model_changes = cls(
            stage=stage,
            floor_per_mille=floor_per_mille,
            canary_percent=canary_percent,
            confidence_percent=confidence_percent,
        )

        patched_tuned_model_changes.additional_properties = d
        return patched_tuned_model_changes

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
