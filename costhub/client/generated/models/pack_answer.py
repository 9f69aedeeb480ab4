from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PackAnswer")


@_attrs_define
class PackAnswer:
    """A pack that is delivered by itself, with SHA-256 and size of its files once it is made. One without
    ``delivered_at`` is owed: ``problem`` is why the try at ``tried_at`` failed, and it is tried again an hour later,
    after two days daily.

        Attributes:
            id (UUID): the row's id
            month (str): the month, by its first day
            digest (str): SHA-256 of the archive
            created_at (datetime.datetime): when it was made
            files (Any | Unset): SHA-256 and size, by name
            delivered_to (str | Unset): where it went
            delivered_at (datetime.datetime | None | Unset): when it went; null: not yet
            problem (str | Unset): why the last try to deliver it failed; empty: nothing was in the way
            tried_at (datetime.datetime | None | Unset): when it was last tried in vain; null: it was not, or is to be tried
                anew at once
    """

    id: UUID
    month: str
    digest: str
    created_at: datetime.datetime
    files: Any | Unset = UNSET
    delivered_to: str | Unset = UNSET
    delivered_at: datetime.datetime | None | Unset = UNSET
    problem: str | Unset = UNSET
    tried_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        month = self.month

        digest = self.digest

        created_at = self.created_at.isoformat()

        files = self.files

        delivered_to = self.delivered_to

        delivered_at: None | str | Unset
        if isinstance(self.delivered_at, Unset):
            delivered_at = UNSET
        elif isinstance(self.delivered_at, datetime.datetime):
            delivered_at = self.delivered_at.isoformat()
        else:
            delivered_at = self.delivered_at

        problem = self.problem

        tried_at: None | str | Unset
        if isinstance(self.tried_at, Unset):
            tried_at = UNSET
        elif isinstance(self.tried_at, datetime.datetime):
            tried_at = self.tried_at.isoformat()
        else:
            tried_at = self.tried_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "month": month,
                "digest": digest,
                "created_at": created_at,
            }
        )
        if files is not UNSET:
            field_dict["files"] = files
        if delivered_to is not UNSET:
            field_dict["delivered_to"] = delivered_to
        if delivered_at is not UNSET:
            field_dict["delivered_at"] = delivered_at
        if problem is not UNSET:
            field_dict["problem"] = problem
        if tried_at is not UNSET:
            field_dict["tried_at"] = tried_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        month = d.pop("month")

        digest = d.pop("digest")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        files = d.pop("files", UNSET)

        delivered_to = d.pop("delivered_to", UNSET)

        def _parse_delivered_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                delivered_at_type_0 = datetime.datetime.fromisoformat(data)

                return delivered_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        delivered_at = _parse_delivered_at(d.pop("delivered_at", UNSET))

        problem = d.pop("problem", UNSET)

        def _parse_tried_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                tried_at_type_0 = datetime.datetime.fromisoformat(data)

                return tried_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        tried_at = _parse_tried_at(d.pop("tried_at", UNSET))

        pack_answer = cls(
            id=id,
            month=month,
            digest=digest,
            created_at=created_at,
            files=files,
            delivered_to=delivered_to,
            delivered_at=delivered_at,
            problem=problem,
            tried_at=tried_at,
        )

        pack_answer.additional_properties = d
        return pack_answer

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
