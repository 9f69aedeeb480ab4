from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.audit_answer_changes import AuditAnswerChanges


T = TypeVar("T", bound="AuditAnswer")


@_attrs_define
class AuditAnswer:
    """One change. ``changes`` holds new values, or [old, new] pairs; ``hash`` covers it and all that is before it.

    Attributes:
        id (UUID): the row's id
        created_at (datetime.datetime): when it was made
        actor (str): who did it: an e-mail address, or the name of a token
        action (str): what was done, as thing.verb
        target_kind (str): what kind of thing it was done to
        target_id (str): which one
        changes (AuditAnswerChanges): what was changed: before and after, by field; never a secret
        number (int | None): its place in the chain; each entry holds the hash of the one before
        hash_ (None | str): In hexadecimal. None until the change is committed.
    """

    id: UUID
    created_at: datetime.datetime
    actor: str
    action: str
    target_kind: str
    target_id: str
    changes: AuditAnswerChanges
    number: int | None
    hash_: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        created_at = self.created_at.isoformat()

        actor = self.actor

        action = self.action

        target_kind = self.target_kind

        target_id = self.target_id

        changes = self.changes.to_dict()

        number: int | None
        number = self.number

        hash_: None | str
        hash_ = self.hash_

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "created_at": created_at,
                "actor": actor,
                "action": action,
                "target_kind": target_kind,
                "target_id": target_id,
                "changes": changes,
                "number": number,
                "hash": hash_,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.audit_answer_changes import AuditAnswerChanges  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        actor = d.pop("actor")

        action = d.pop("action")

        target_kind = d.pop("target_kind")

        target_id = d.pop("target_id")

        changes = AuditAnswerChanges.from_dict(d.pop("changes"))

        def _parse_number(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        number = _parse_number(d.pop("number"))

        def _parse_hash_(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        hash_ = _parse_hash_(d.pop("hash"))

        audit_answer = cls(
            id=id,
            created_at=created_at,
            actor=actor,
            action=action,
            target_kind=target_kind,
            target_id=target_id,
            changes=changes,
            number=number,
            hash_=hash_,
        )

        audit_answer.additional_properties = d
        return audit_answer

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
