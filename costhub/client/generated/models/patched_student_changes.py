from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.stage_enum import StageEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedStudentChanges")


@_attrs_define
class PatchedStudentChanges:
    """Where a student is put, and what it must reach there.

    Attributes:
        stage (StageEnum | Unset):
        floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
        canary_percent (int | Unset): how many of the questions go to it in the stage canary
    """

    stage: StageEnum | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    canary_percent: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        stage: str | Unset = UNSET
        if not isinstance(self.stage, Unset):
            stage = self.stage.value

        floor_per_mille = self.floor_per_mille

        canary_percent = self.canary_percent

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if stage is not UNSET:
            field_dict["stage"] = stage
        if floor_per_mille is not UNSET:
            field_dict["floor_per_mille"] = floor_per_mille
        if canary_percent is not UNSET:
            field_dict["canary_percent"] = canary_percent

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

        patched_student_changes = cls(
            stage=stage,
            floor_per_mille=floor_per_mille,
            canary_percent=canary_percent,
        )

        patched_student_changes.additional_properties = d
        return patched_student_changes

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
