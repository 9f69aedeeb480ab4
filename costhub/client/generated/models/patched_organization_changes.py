from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedOrganizationChanges")


@_attrs_define
class PatchedOrganizationChanges:
    """What may change.

    Attributes:
        name (str | Unset): a name for people
        time_zone (str | Unset): the zone, of the IANA's names, in which its days and months begin
        requires_second_factor (bool | Unset): whether owners, admins and finance are let in with a second factor only
        answers_kept_hours (int | Unset): for how many hours answers are kept for callers that ask for them again; 0:
            they are not kept
        hides_amounts (bool | Unset): whether callers of all keys, and not only of those that say so, are told no
            amounts of money
        visits_allowed_hours (int | Unset): for how many hours from now operators of the installation may look; 0: no
            longer
    """

    name: str | Unset = UNSET
    time_zone: str | Unset = UNSET
    requires_second_factor: bool | Unset = UNSET
    answers_kept_hours: int | Unset = UNSET
    hides_amounts: bool | Unset = UNSET
    visits_allowed_hours: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        time_zone = self.time_zone

        requires_second_factor = self.requires_second_factor

        answers_kept_hours = self.answers_kept_hours

        hides_amounts = self.hides_amounts

        visits_allowed_hours = self.visits_allowed_hours

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if time_zone is not UNSET:
            field_dict["time_zone"] = time_zone
        if requires_second_factor is not UNSET:
            field_dict["requires_second_factor"] = requires_second_factor
        if answers_kept_hours is not UNSET:
            field_dict["answers_kept_hours"] = answers_kept_hours
        if hides_amounts is not UNSET:
            field_dict["hides_amounts"] = hides_amounts
        if visits_allowed_hours is not UNSET:
            field_dict["visits_allowed_hours"] = visits_allowed_hours

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        time_zone = d.pop("time_zone", UNSET)

        requires_second_factor = d.pop("requires_second_factor", UNSET)

        answers_kept_hours = d.pop("answers_kept_hours", UNSET)

        hides_amounts = d.pop("hides_amounts", UNSET)

        visits_allowed_hours = d.pop("visits_allowed_hours", UNSET)

        patched_organization_changes = cls(
            name=name,
            time_zone=time_zone,
            requires_second_factor=requires_second_factor,
            answers_kept_hours=answers_kept_hours,
            hides_amounts=hides_amounts,
            visits_allowed_hours=visits_allowed_hours,
        )

        patched_organization_changes.additional_properties = d
        return patched_organization_changes

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
