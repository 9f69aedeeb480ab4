from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.system_prompt_answer_state_enum import SystemPromptAnswerStateEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="SystemPromptAnswer")


@_attrs_define
class SystemPromptAnswer:
    """A version of shorter words for a system prompt. ``digest`` is the SHA-256 of the original; ``state`` says whether
    calls are sent with it.

        Attributes:
            id (UUID): the row's id
            digest (str): whether alerts come at once or gathered
            number (int): its number, counted from 1
            original (str): the system prompt as callers send it
            shorter (str): what is sent in its place once somebody has approved it
            state (SystemPromptAnswerStateEnum):
            made_by (str): who changed it so
            created_at (datetime.datetime): when it was made
            decided_by (str | Unset): who decided; empty: nobody yet
            decided_at (datetime.datetime | None | Unset): when it was decided; null: not yet
    """

    id: UUID
    digest: str
    number: int
    original: str
    shorter: str
    state: SystemPromptAnswerStateEnum
    made_by: str
    created_at: datetime.datetime
    decided_by: str | Unset = UNSET
    decided_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        digest = self.digest

        number = self.number

        original = self.original

        shorter = self.shorter

        state = self.state.value

        made_by = self.made_by

        created_at = self.created_at.isoformat()

        decided_by = self.decided_by

        decided_at: None | str | Unset
        if isinstance(self.decided_at, Unset):
            decided_at = UNSET
        elif isinstance(self.decided_at, datetime.datetime):
            decided_at = self.decided_at.isoformat()
        else:
            decided_at = self.decided_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "digest": digest,
                "number": number,
                "original": original,
                "shorter": shorter,
                "state": state,
                "made_by": made_by,
                "created_at": created_at,
            }
        )
        if decided_by is not UNSET:
            field_dict["decided_by"] = decided_by
        if decided_at is not UNSET:
            field_dict["decided_at"] = decided_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        digest = d.pop("digest")

        number = d.pop("number")

        original = d.pop("original")

        shorter = d.pop("shorter")

        state = SystemPromptAnswerStateEnum(d.pop("state"))

        made_by = d.pop("made_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        decided_by = d.pop("decided_by", UNSET)

        def _parse_decided_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                decided_at_type_0 = datetime.datetime.fromisoformat(data)

                return decided_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        decided_at = _parse_decided_at(d.pop("decided_at", UNSET))

        system_prompt_answer = cls(
            id=id,
            digest=digest,
            number=number,
            original=original,
            shorter=shorter,
            state=state,
            made_by=made_by,
            created_at=created_at,
            decided_by=decided_by,
            decided_at=decided_at,
        )

        system_prompt_answer.additional_properties = d
        return system_prompt_answer

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
