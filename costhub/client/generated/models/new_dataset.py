from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewDataset")


@_attrs_define
class NewDataset:
    """What a dataset is made of.

    Attributes:
        name (str): a name for people
        teacher (str): the model whose answers are learned from
        held_out_percent (int | Unset): how many per cent, the newest, are never learned from
        near_per_mille (int | Unset): questions above this cosine, per mille, with the same answer count once
        drops_outvoted (bool | Unset): whether examples go whose nearest neighbours all have one other answer
        takes_out_names (bool | Unset): whether names of people and postal addresses are taken out, as far as a model
            finds them
        region (str | Unset): whose telephone numbers are known without a country's code: ISO 3166's two letters
    """

    name: str
    teacher: str
    held_out_percent: int | Unset = UNSET
    near_per_mille: int | Unset = UNSET
    drops_outvoted: bool | Unset = UNSET
    takes_out_names: bool | Unset = UNSET
    region: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        teacher = self.teacher

        held_out_percent = self.held_out_percent

        near_per_mille = self.near_per_mille

        drops_outvoted = self.drops_outvoted

        takes_out_names = self.takes_out_names

        region = self.region

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "teacher": teacher,
            }
        )
        if held_out_percent is not UNSET:
            field_dict["held_out_percent"] = held_out_percent
        if near_per_mille is not UNSET:
            field_dict["near_per_mille"] = near_per_mille
        if drops_outvoted is not UNSET:
            field_dict["drops_outvoted"] = drops_outvoted
        if takes_out_names is not UNSET:
            field_dict["takes_out_names"] = takes_out_names
        if region is not UNSET:
            field_dict["region"] = region

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        teacher = d.pop("teacher")

        held_out_percent = d.pop("held_out_percent", UNSET)

        near_per_mille = d.pop("near_per_mille", UNSET)

        drops_outvoted = d.pop("drops_outvoted", UNSET)

        takes_out_names = d.pop("takes_out_names", UNSET)

        region = d.pop("region", UNSET)

        new_dataset = cls(
            name=name,
            teacher=teacher,
            held_out_percent=held_out_percent,
            near_per_mille=near_per_mille,
            drops_outvoted=drops_outvoted,
            takes_out_names=takes_out_names,
            region=region,
        )

        new_dataset.additional_properties = d
        return new_dataset

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
