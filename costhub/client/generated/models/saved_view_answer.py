from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.page_enum import PageEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="SavedViewAnswer")


@_attrs_define
class SavedViewAnswer:
    """A page's parameters under a name; ``query`` as its address says them.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        page (PageEnum):
        created_at (datetime.datetime): when it was made
        query (str | Unset): the page's parameters, as its address says them
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
    """

    id: UUID
    name: str
    page: PageEnum
    created_at: datetime.datetime
    query: str | Unset = UNSET
    created_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        page = self.page.value

        created_at = self.created_at.isoformat()

        query = self.query

        created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "page": page,
                "created_at": created_at,
            }
        )
        if query is not UNSET:
            field_dict["query"] = query
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        page = PageEnum(d.pop("page"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        query = d.pop("query", UNSET)

        created_by = d.pop("created_by", UNSET)

        saved_view_answer = cls(
            id=id,
            name=name,
            page=page,
            created_at=created_at,
            query=query,
            created_by=created_by,
        )

        saved_view_answer.additional_properties = d
        return saved_view_answer

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
