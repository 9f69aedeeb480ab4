from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.page_enum import PageEnum

T = TypeVar("T", bound="NewSavedView")


@_attrs_define
class NewSavedView:
    """What to keep.

    Attributes:
        name (str): a name for people
        page (PageEnum):
        query (str): parameters of the page, such as "range=7d&by=model"
    """

    name: str
    page: PageEnum
    query: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        page = self.page.value

        query = self.query

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "page": page,
                "query": query,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        page = PageEnum(d.pop("page"))

        query = d.pop("query")

        new_saved_view = cls(
            name=name,
            page=page,
            query=query,
        )

        new_saved_view.additional_properties = d
        return new_saved_view

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
