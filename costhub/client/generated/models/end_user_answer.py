from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="EndUserAnswer")


@_attrs_define
class EndUserAnswer:
    """An end user.

    Attributes:
        id (UUID): the row's id
        external_id (str): the application's name of the end user, as calls carry it
        created_at (datetime.datetime): when it was made
        name (str | Unset): a name for people
        is_blocked (bool | Unset): whether the end user's calls are refused
    """

    id: UUID
    external_id: str
    created_at: datetime.datetime
    name: str | Unset = UNSET
    is_blocked: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        external_id = self.external_id

        created_at = self.created_at.isoformat()

        name = self.name

        is_blocked = self.is_blocked

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "external_id": external_id,
                "created_at": created_at,
            }
        )
        if name is not UNSET:
            field_dict["name"] = name
        if is_blocked is not UNSET:
            field_dict["is_blocked"] = is_blocked

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        external_id = d.pop("external_id")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        name = d.pop("name", UNSET)

        is_blocked = d.pop("is_blocked", UNSET)

        end_user_answer = cls(
            id=id,
            external_id=external_id,
            created_at=created_at,
            name=name,
            is_blocked=is_blocked,
        )

        end_user_answer.additional_properties = d
        return end_user_answer

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
