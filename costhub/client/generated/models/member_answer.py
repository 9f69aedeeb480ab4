from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..types import UNSET, Unset

T = TypeVar("T", bound="MemberAnswer")


@_attrs_define
class MemberAnswer:
    """A person's role; empty ``projects``: in the whole organisation. Nothing else of the person is shown: they may
    belong to other organisations too. With ``visit_until`` it is no member but an operator of the installation who
    looks in until then.

        Attributes:
            id (UUID): the row's id
            email (str): the person's e-mail address
            role (Role):
            visit_until (datetime.datetime | None): until when an operator may look in; null for members
            created_at (datetime.datetime): when it was made
            projects (list[UUID] | Unset): the projects that the member is kept to, by id; empty: the whole organisation
            suspended_at (datetime.datetime | None | Unset): since when the member is kept out, by single sign-on's
                directory; null: not
    """

    id: UUID
    email: str
    role: Role
    visit_until: datetime.datetime | None
    created_at: datetime.datetime
    projects: list[UUID] | Unset = UNSET
    suspended_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        email = self.email

        role = self.role.value

        visit_until: None | str
        if isinstance(self.visit_until, datetime.datetime):
            visit_until = self.visit_until.isoformat()
        else:
            visit_until = self.visit_until

        created_at = self.created_at.isoformat()

        projects: list[str] | Unset = UNSET
        if not isinstance(self.projects, Unset):
            projects = []
            for projects_item_data in self.projects:
                projects_item = str(projects_item_data)
                projects.append(projects_item)

        suspended_at: None | str | Unset
        if isinstance(self.suspended_at, Unset):
            suspended_at = UNSET
        elif isinstance(self.suspended_at, datetime.datetime):
            suspended_at = self.suspended_at.isoformat()
        else:
            suspended_at = self.suspended_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "email": email,
                "role": role,
                "visit_until": visit_until,
                "created_at": created_at,
            }
        )
        if projects is not UNSET:
            field_dict["projects"] = projects
        if suspended_at is not UNSET:
            field_dict["suspended_at"] = suspended_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        email = d.pop("email")

        role = Role(d.pop("role"))

        def _parse_visit_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                visit_until_type_0 = datetime.datetime.fromisoformat(data)

                return visit_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        visit_until = _parse_visit_until(d.pop("visit_until"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _projects = d.pop("projects", UNSET)
        projects: list[UUID] | Unset = UNSET
        if _projects is not UNSET:
            projects = []
            for projects_item_data in _projects:
                projects_item = UUID(projects_item_data)

                projects.append(projects_item)

        def _parse_suspended_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                suspended_at_type_0 = datetime.datetime.fromisoformat(data)

                return suspended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        suspended_at = _parse_suspended_at(d.pop("suspended_at", UNSET))

        member_answer = cls(
            id=id,
            email=email,
            role=role,
            visit_until=visit_until,
            created_at=created_at,
            projects=projects,
            suspended_at=suspended_at,
        )

        member_answer.additional_properties = d
        return member_answer

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
