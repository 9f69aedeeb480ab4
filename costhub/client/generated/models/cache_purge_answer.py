from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.cache_purge_kind import CachePurgeKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="CachePurgeAnswer")


@_attrs_define
class CachePurgeAnswer:
    """Answers kept before a moment are not given any more.

    Attributes:
        id (UUID): the row's id
        kind (CachePurgeKind):
        created_at (datetime.datetime): when it was made
        subject (str | Unset): which one of the scope, by id or name; empty: each one for itself
        before (datetime.datetime | Unset): answers from before this moment are given up
    """

    id: UUID
    kind: CachePurgeKind
    created_at: datetime.datetime
    subject: str | Unset = UNSET
    before: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        kind = self.kind.value

        created_at = self.created_at.isoformat()

        subject = self.subject

        before: str | Unset = UNSET
        if not isinstance(self.before, Unset):
            before = self.before.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "created_at": created_at,
            }
        )
        if subject is not UNSET:
            field_dict["subject"] = subject
        if before is not UNSET:
            field_dict["before"] = before

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        kind = CachePurgeKind(d.pop("kind"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        subject = d.pop("subject", UNSET)

        _before = d.pop("before", UNSET)
        before: datetime.datetime | Unset
        if isinstance(_before, Unset):
            before = UNSET
        else:
            before = datetime.datetime.fromisoformat(_before)

        cache_purge_answer = cls(
            id=id,
            kind=kind,
            created_at=created_at,
            subject=subject,
            before=before,
        )

        cache_purge_answer.additional_properties = d
        return cache_purge_answer

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
