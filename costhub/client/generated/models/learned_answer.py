from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="LearnedAnswer")


@_attrs_define
class LearnedAnswer:
    """What a route learned at one time. ``is_used``: it decides by this one now.

    Attributes:
        id (UUID): the row's id
        kind (str): what it is, of the values named
        labels (int): from how many labelled calls
        is_used (bool): Whether the route decides by it.
        made_at (datetime.datetime | Unset): when it was made
        report (Any | Unset): how good it is on what was held out
    """

    id: UUID
    kind: str
    labels: int
    is_used: bool
    made_at: datetime.datetime | Unset = UNSET
    report: Any | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        kind = self.kind

        labels = self.labels

        is_used = self.is_used

        made_at: str | Unset = UNSET
        if not isinstance(self.made_at, Unset):
            made_at = self.made_at.isoformat()

        report = self.report

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "labels": labels,
                "is_used": is_used,
            }
        )
        if made_at is not UNSET:
            field_dict["made_at"] = made_at
        if report is not UNSET:
            field_dict["report"] = report

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        kind = d.pop("kind")

        labels = d.pop("labels")

        is_used = d.pop("is_used")

        _made_at = d.pop("made_at", UNSET)
        made_at: datetime.datetime | Unset
        if isinstance(_made_at, Unset):
            made_at = UNSET
        else:
            made_at = datetime.datetime.fromisoformat(_made_at)

        report = d.pop("report", UNSET)

        learned_answer = cls(
            id=id,
            kind=kind,
            labels=labels,
            is_used=is_used,
            made_at=made_at,
            report=report,
        )

        learned_answer.additional_properties = d
        return learned_answer

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
