from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="RateLimitAnswerWithinType0")


@_attrs_define
class RateLimitAnswerWithinType0:
    """the one project or key whose calls are counted; null for all

    Attributes:
        project (UUID | Unset):
        key (UUID | Unset):
    """

    project: UUID | Unset = UNSET
    key: UUID | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        project: str | Unset = UNSET
        if not isinstance(self.project, Unset):
            project = str(self.project)

        key: str | Unset = UNSET
        if not isinstance(self.key, Unset):
            key = str(self.key)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if project is not UNSET:
            field_dict["project"] = project
        if key is not UNSET:
            field_dict["key"] = key

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _project = d.pop("project", UNSET)
        project: UUID | Unset
        if isinstance(_project, Unset):
            project = UNSET
        else:
            project = UUID(_project)

        _key = d.pop("key", UNSET)
        key: UUID | Unset
        if isinstance(_key, Unset):
            key = UNSET
        else:
            key = UUID(_key)

        rate_limit_answer_within_type_0 = cls(
            project=project,
            key=key,
        )

        rate_limit_answer_within_type_0.additional_properties = d
        return rate_limit_answer_within_type_0

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
