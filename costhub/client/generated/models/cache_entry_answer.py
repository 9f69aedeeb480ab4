from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="CacheEntryAnswer")


@_attrs_define
class CacheEntryAnswer:
    """A question of the semantic level. ``id`` is the request that brought its answer.

    Attributes:
        id (UUID): the row's id
        scope (str): As purges name it.
        model (str): a model, by the organisation's name for it
        tags (list[str]): the tags of the call that the answer is from
        question (str): the question, shortened
        expires_at (datetime.datetime): from when on it is refused or gone; null: never
        created_at (datetime.datetime | Unset): when it was made
    """

    id: UUID
    scope: str
    model: str
    tags: list[str]
    question: str
    expires_at: datetime.datetime
    created_at: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        scope = self.scope

        model = self.model

        tags = self.tags

        question = self.question

        expires_at = self.expires_at.isoformat()

        created_at: str | Unset = UNSET
        if not isinstance(self.created_at, Unset):
            created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "scope": scope,
                "model": model,
                "tags": tags,
                "question": question,
                "expires_at": expires_at,
            }
        )
        if created_at is not UNSET:
            field_dict["created_at"] = created_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        scope = d.pop("scope")

        model = d.pop("model")

        tags = cast(list[str], d.pop("tags"))

        question = d.pop("question")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        _created_at = d.pop("created_at", UNSET)
        created_at: datetime.datetime | Unset
        if isinstance(_created_at, Unset):
            created_at = UNSET
        else:
            created_at = datetime.datetime.fromisoformat(_created_at)

        cache_entry_answer = cls(
            id=id,
            scope=scope,
            model=model,
            tags=tags,
            question=question,
            expires_at=expires_at,
            created_at=created_at,
        )

        cache_entry_answer.additional_properties = d
        return cache_entry_answer

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
