from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="DomainAnswer")


@_attrs_define
class DomainAnswer:
    """A claimed domain. It counts once ``challenge`` is the value of the TXT record ``challenge_record``, or a line of
    the file at ``challenge_url``.

        Attributes:
            id (UUID): the row's id
            name (str): the domain of e-mail addresses
            challenge (str): the text that a TXT record of the domain must have to prove it
            challenge_record (str): The name of the TXT record in which the challenge is looked for.
            challenge_url (str): Where the challenge is looked for.
            created_at (datetime.datetime): when it was made
            verified_at (datetime.datetime | None | Unset): when the domain was proven; null: not yet, or its proof has
                lapsed
            missing_since (datetime.datetime | None | Unset): since when the challenge is not found any more: after 14 days
                the proof lapses; null: it is there
    """

    id: UUID
    name: str
    challenge: str
    challenge_record: str
    challenge_url: str
    created_at: datetime.datetime
    verified_at: datetime.datetime | None | Unset = UNSET
    missing_since: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        challenge = self.challenge

        challenge_record = self.challenge_record

        challenge_url = self.challenge_url

        created_at = self.created_at.isoformat()

        verified_at: None | str | Unset
        if isinstance(self.verified_at, Unset):
            verified_at = UNSET
        elif isinstance(self.verified_at, datetime.datetime):
            verified_at = self.verified_at.isoformat()
        else:
            verified_at = self.verified_at

        missing_since: None | str | Unset
        if isinstance(self.missing_since, Unset):
            missing_since = UNSET
        elif isinstance(self.missing_since, datetime.datetime):
            missing_since = self.missing_since.isoformat()
        else:
            missing_since = self.missing_since

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "challenge": challenge,
                "challenge_record": challenge_record,
                "challenge_url": challenge_url,
                "created_at": created_at,
            }
        )
        if verified_at is not UNSET:
            field_dict["verified_at"] = verified_at
        if missing_since is not UNSET:
            field_dict["missing_since"] = missing_since

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        challenge = d.pop("challenge")

        challenge_record = d.pop("challenge_record")

        challenge_url = d.pop("challenge_url")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_verified_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                verified_at_type_0 = datetime.datetime.fromisoformat(data)

                return verified_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        verified_at = _parse_verified_at(d.pop("verified_at", UNSET))

        def _parse_missing_since(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                missing_since_type_0 = datetime.datetime.fromisoformat(data)

                return missing_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        missing_since = _parse_missing_since(d.pop("missing_since", UNSET))

        domain_answer = cls(
            id=id,
            name=name,
            challenge=challenge,
            challenge_record=challenge_record,
            challenge_url=challenge_url,
            created_at=created_at,
            verified_at=verified_at,
            missing_since=missing_since,
        )

        domain_answer.additional_properties = d
        return domain_answer

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
