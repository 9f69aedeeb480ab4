from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedServiceAccountChanges")


@_attrs_define
class PatchedServiceAccountChanges:
    """What may change.

    Attributes:
        name (str | Unset): a name for people
        role (Role | Unset):
        projects (list[str] | Unset): the projects that it is kept to, by id; empty: the whole organisation
        is_disabled (bool | Unset): true refuses all its tokens, false takes them again
    """

    name: str | Unset = UNSET
    role: Role | Unset = UNSET
    projects: list[str] | Unset = UNSET
    is_disabled: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        role: str | Unset = UNSET
        if not isinstance(self.role, Unset):
            role = self.role.value

        projects: list[str] | Unset = UNSET
        if not isinstance(self.projects, Unset):
            projects = self.projects

        is_disabled = self.is_disabled

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if role is not UNSET:
            field_dict["role"] = role
        if projects is not UNSET:
            field_dict["projects"] = projects
        if is_disabled is not UNSET:
            field_dict["is_disabled"] = is_disabled

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        _role = d.pop("role", UNSET)
        role: Role | Unset
        if isinstance(_role, Unset):
            role = UNSET
        else:
            role = Role(_role)

        projects = cast(list[str], d.pop("projects", UNSET))

        is_disabled = d.pop("is_disabled", UNSET)

        patched_service_account_changes = cls(
            name=name,
            role=role,
            projects=projects,
            is_disabled=is_disabled,
        )

        patched_service_account_changes.additional_properties = d
        return patched_service_account_changes

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
