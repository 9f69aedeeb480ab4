from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..types import UNSET, Unset

T = TypeVar("T", bound="ServiceAccountAnswer")


@_attrs_define
class ServiceAccountAnswer:
    """A program's account. Empty ``projects``: the whole organisation.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        role (Role):
        is_disabled (bool): Whether none of its tokens works.
        created_at (datetime.datetime): when it was made
        projects (list[UUID] | Unset): the projects that it is kept to, by id; empty: the whole organisation
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
    """

    id: UUID
    name: str
    role: Role
    is_disabled: bool
    created_at: datetime.datetime
    projects: list[UUID] | Unset = UNSET
    created_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        role = self.role.value

        is_disabled = self.is_disabled

        created_at = self.created_at.isoformat()

        projects: list[str] | Unset = UNSET
        if not isinstance(self.projects, Unset):
            projects = []
            for projects_item_data in self.projects:
                projects_item = str(projects_item_data)
                projects.append(projects_item)

        created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "role": role,
                "is_disabled": is_disabled,
                "created_at": created_at,
            }
        )
        if projects is not UNSET:
            field_dict["projects"] = projects
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        role = Role(d.pop("role"))

        is_disabled = d.pop("is_disabled")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _projects = d.pop("projects", UNSET)
        projects: list[UUID] | Unset = UNSET
        if _projects is not UNSET:
            projects = []
            for projects_item_data in _projects:
                projects_item = UUID(projects_item_data)

                projects.append(projects_item)

        created_by = d.pop("created_by", UNSET)

        service_account_answer = cls(
            id=id,
            name=name,
            role=role,
            is_disabled=is_disabled,
            created_at=created_at,
            projects=projects,
            created_by=created_by,
        )

        service_account_answer.additional_properties = d
        return service_account_answer

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
