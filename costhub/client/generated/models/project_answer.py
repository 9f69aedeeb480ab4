from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ProjectAnswer")


@_attrs_define
class ProjectAnswer:
    """A project.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        created_at (datetime.datetime): when it was made
        is_archived (bool | Unset): whether the project takes no new keys
        is_stopped (bool | Unset): whether an emergency stop refuses every call
    """

    id: UUID
    name: str
    created_at: datetime.datetime
    is_archived: bool | Unset = UNSET
    is_stopped: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        created_at = self.created_at.isoformat()

        is_archived = self.is_archived

        is_stopped = self.is_stopped

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "created_at": created_at,
            }
        )
        if is_archived is not UNSET:
            field_dict["is_archived"] = is_archived
        if is_stopped is not UNSET:
            field_dict["is_stopped"] = is_stopped

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        is_archived = d.pop("is_archived", UNSET)

        is_stopped = d.pop("is_stopped", UNSET)

        project_answer = cls(
            id=id,
            name=name,
            created_at=created_at,
            is_archived=is_archived,
            is_stopped=is_stopped,
        )

        project_answer.additional_properties = d
        return project_answer

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
