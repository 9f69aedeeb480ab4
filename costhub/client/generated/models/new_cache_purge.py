from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.cache_purge_kind import CachePurgeKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewCachePurge")


@_attrs_define
class NewCachePurge:
    """What is given up: all, or a model, tag (``team=search``), scope or entry; kept before now, or before a moment.

    Attributes:
        kind (CachePurgeKind):
        subject (str | Unset): which one of the scope, by id or name; empty: each one for itself
        before (datetime.datetime | Unset): answers from before this moment are given up
    """

    kind: CachePurgeKind
    subject: str | Unset = UNSET
    before: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        subject = self.subject

        before: str | Unset = UNSET
        if not isinstance(self.before, Unset):
            before = self.before.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
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
        kind = CachePurgeKind(d.pop("kind"))

        subject = d.pop("subject", UNSET)

        _before = d.pop("before", UNSET)
        before: datetime.datetime | Unset
        if isinstance(_before, Unset):
            before = UNSET
        else:
            before = datetime.datetime.fromisoformat(_before)

        new_cache_purge = cls(
            kind=kind,
            subject=subject,
            before=before,
        )

        new_cache_purge.additional_properties = d
        return new_cache_purge

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
