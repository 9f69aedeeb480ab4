from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.part_enum import PartEnum

T = TypeVar("T", bound="BatchFileAnswer")


@_attrs_define
class BatchFileAnswer:
    """A file of a batch: its content is at ``GET /v1/files/{id}/content``, for a key of the batch's project.

    Attributes:
        id (str): the row's id
        part (PartEnum):
        filename (str): what it was called
        bytes_ (int): how large it is
        expires_at (datetime.datetime | None): from when on it is refused or gone; null: never
    """

    id: str
    part: PartEnum
    filename: str
    bytes_: int
    expires_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        part = self.part.value

        filename = self.filename

        bytes_ = self.bytes_

        expires_at: None | str
        if isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "part": part,
                "filename": filename,
                "bytes": bytes_,
                "expires_at": expires_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        part = PartEnum(d.pop("part"))

        filename = d.pop("filename")

        bytes_ = d.pop("bytes")

        def _parse_expires_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)

                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        expires_at = _parse_expires_at(d.pop("expires_at"))

        batch_file_answer = cls(
            id=id,
            part=part,
            filename=filename,
            bytes_=bytes_,
            expires_at=expires_at,
        )

        batch_file_answer.additional_properties = d
        return batch_file_answer

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
