from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..types import UNSET, Unset

T = TypeVar("T", bound="InvitationAnswer")


@_attrs_define
class InvitationAnswer:
    """An offer. Its link is in the mail only. ``is_open``: it can be accepted still.

    Attributes:
        id (UUID): the row's id
        email (str): the person's e-mail address
        role (Role):
        is_open (bool): Whether somebody can accept it at this moment.
        expires_at (datetime.datetime): from when on it is refused or gone; null: never
        created_at (datetime.datetime): when it was made
        projects (list[UUID] | Unset): the projects that the member will be kept to, by id; empty: the whole
            organisation
        invited_by (str | Unset): who sent it
        accepted_at (datetime.datetime | None | Unset): when it was accepted; null: not yet
        withdrawn_at (datetime.datetime | None | Unset): when it was taken back; null: it was not
    """

    id: UUID
    email: str
    role: Role
    is_open: bool
    expires_at: datetime.datetime
    created_at: datetime.datetime
    projects: list[UUID] | Unset = UNSET
    invited_by: str | Unset = UNSET
    accepted_at: datetime.datetime | None | Unset = UNSET
    withdrawn_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        email = self.email

        role = self.role.value

        is_open = self.is_open

        expires_at = self.expires_at.isoformat()

        created_at = self.created_at.isoformat()

        projects: list[str] | Unset = UNSET
        if not isinstance(self.projects, Unset):
            projects = []
            for projects_item_data in self.projects:
                projects_item = str(projects_item_data)
                projects.append(projects_item)

        invited_by = self.invited_by

        accepted_at: None | str | Unset
        if isinstance(self.accepted_at, Unset):
            accepted_at = UNSET
        elif isinstance(self.accepted_at, datetime.datetime):
            accepted_at = self.accepted_at.isoformat()
        else:
            accepted_at = self.accepted_at

        withdrawn_at: None | str | Unset
        if isinstance(self.withdrawn_at, Unset):
            withdrawn_at = UNSET
        elif isinstance(self.withdrawn_at, datetime.datetime):
            withdrawn_at = self.withdrawn_at.isoformat()
        else:
            withdrawn_at = self.withdrawn_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "email": email,
                "role": role,
                "is_open": is_open,
                "expires_at": expires_at,
                "created_at": created_at,
            }
        )
        if projects is not UNSET:
            field_dict["projects"] = projects
        if invited_by is not UNSET:
            field_dict["invited_by"] = invited_by
        if accepted_at is not UNSET:
            field_dict["accepted_at"] = accepted_at
        if withdrawn_at is not UNSET:
            field_dict["withdrawn_at"] = withdrawn_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        email = d.pop("email")

        role = Role(d.pop("role"))

        is_open = d.pop("is_open")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _projects = d.pop("projects", UNSET)
        projects: list[UUID] | Unset = UNSET
        if _projects is not UNSET:
            projects = []
            for projects_item_data in _projects:
                projects_item = UUID(projects_item_data)

                projects.append(projects_item)

        invited_by = d.pop("invited_by", UNSET)

        def _parse_accepted_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                accepted_at_type_0 = datetime.datetime.fromisoformat(data)

                return accepted_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        accepted_at = _parse_accepted_at(d.pop("accepted_at", UNSET))

        def _parse_withdrawn_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                withdrawn_at_type_0 = datetime.datetime.fromisoformat(data)

                return withdrawn_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        withdrawn_at = _parse_withdrawn_at(d.pop("withdrawn_at", UNSET))

        invitation_answer = cls(
            id=id,
            email=email,
            role=role,
            is_open=is_open,
            expires_at=expires_at,
            created_at=created_at,
            projects=projects,
            invited_by=invited_by,
            accepted_at=accepted_at,
            withdrawn_at=withdrawn_at,
        )

        invitation_answer.additional_properties = d
        return invitation_answer

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
