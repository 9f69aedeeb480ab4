from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="CapturePolicyAnswer")


@_attrs_define
class CapturePolicyAnswer:
    """The consent to keep calls of a model, or with an empty ``model`` of all that have no policy of their own.

    Attributes:
        id (UUID): the row's id
        per_mille (int): how many of the calls are kept, per mille
        created_at (datetime.datetime): when it was made
        model (str | Unset): a model, by the organisation's name for it
        kept_days (int | Unset): for how many days
    """

    id: UUID
    per_mille: int
    created_at: datetime.datetime
    model: str | Unset = UNSET
    kept_days: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        per_mille = self.per_mille

        created_at = self.created_at.isoformat()

        model = self.model

        kept_days = self.kept_days

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "per_mille": per_mille,
                "created_at": created_at,
            }
        )
        if model is not UNSET:
            field_dict["model"] = model
        if kept_days is not UNSET:
            field_dict["kept_days"] = kept_days

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        per_mille = d.pop("per_mille")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        model = d.pop("model", UNSET)

        kept_days = d.pop("kept_days", UNSET)

        capture_policy_answer = cls(
            id=id,
            per_mille=per_mille,
            created_at=created_at,
            model=model,
            kept_days=kept_days,
        )

        capture_policy_answer.additional_properties = d
        return capture_policy_answer

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
