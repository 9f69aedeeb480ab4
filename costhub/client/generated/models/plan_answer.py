from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PlanAnswer")


@_attrs_define
class PlanAnswer:
    """A version of a plan that may be chosen. Terms are decimal USD and per cents.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        terms (Any): what the plan costs and holds
        created_at (datetime.datetime): when it was made
        version (int | Unset): which version of the plan Default: 1.
    """

    id: UUID
    name: str
    terms: Any
    created_at: datetime.datetime
    version: int | Unset = 1
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        terms = self.terms

        created_at = self.created_at.isoformat()

        version = self.version

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "terms": terms,
                "created_at": created_at,
            }
        )
        if version is not UNSET:
            field_dict["version"] = version

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        terms = d.pop("terms")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        version = d.pop("version", UNSET)

        plan_answer = cls(
            id=id,
            name=name,
            terms=terms,
            created_at=created_at,
            version=version,
        )

        plan_answer.additional_properties = d
        return plan_answer

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
