from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewKeyAnswer")


@_attrs_define
class NewKeyAnswer:
    """A new key with its secret, shown this once.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        prefix (str): the first characters of the secret, by which people tell one from another
        project (UUID): a project, by id; where it is written also by name
        project_name (str): the project's name of today
        models (list[str]): the models that the key may ask for, by name; empty: all
        addresses (list[str]): the networks that the key may be used from; empty: everywhere
        endpoints (list[str]): the paths below /v1 that the key may call; empty: all
        is_expired (bool): whether its time is over
        rotated_to (None | UUID): the key that took its place; null: it was not rotated
        created_at (datetime.datetime): when it was made
        secret (str): the secret itself, shown in this answer only
        end_user (str | Unset): on whose behalf calls are made, as the application names them
        hides_amounts (bool | Unset): whether its callers are told no amounts of money: no cost, no price, budgets in
            per cent
        expires_at (datetime.datetime | None | Unset): from when on it is refused or gone; null: never
        revoked_at (datetime.datetime | None | Unset): since when it is refused for ever; null: it is not revoked
        is_stopped (bool | Unset): whether an emergency stop refuses every call
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
    """

    id: UUID
    name: str
    prefix: str
    project: UUID
    project_name: str
    models: list[str]
    addresses: list[str]
    endpoints: list[str]
    is_expired: bool
    rotated_to: None | UUID
    created_at: datetime.datetime
    secret: str
    end_user: str | Unset = UNSET
    hides_amounts: bool | Unset = UNSET
    expires_at: datetime.datetime | None | Unset = UNSET
    revoked_at: datetime.datetime | None | Unset = UNSET
    is_stopped: bool | Unset = UNSET
    created_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        prefix = self.prefix

        project = str(self.project)

        project_name = self.project_name

        models = self.models

        addresses = self.addresses

        endpoints = self.endpoints

        is_expired = self.is_expired

        rotated_to: None | str
        if isinstance(self.rotated_to, UUID):
            rotated_to = str(self.rotated_to)
        else:
            rotated_to = self.rotated_to

        created_at = self.created_at.isoformat()

        secret = self.secret

        end_user = self.end_user

        hides_amounts = self.hides_amounts

        expires_at: None | str | Unset
        if isinstance(self.expires_at, Unset):
            expires_at = UNSET
        elif isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        revoked_at: None | str | Unset
        if isinstance(self.revoked_at, Unset):
            revoked_at = UNSET
        elif isinstance(self.revoked_at, datetime.datetime):
            revoked_at = self.revoked_at.isoformat()
        else:
            revoked_at = self.revoked_at

        is_stopped = self.is_stopped

        created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "prefix": prefix,
                "project": project,
                "project_name": project_name,
                "models": models,
                "addresses": addresses,
                "endpoints": endpoints,
                "is_expired": is_expired,
                "rotated_to": rotated_to,
                "created_at": created_at,
                "secret": secret,
            }
        )
        if end_user is not UNSET:
            field_dict["end_user"] = end_user
        if hides_amounts is not UNSET:
            field_dict["hides_amounts"] = hides_amounts
        if expires_at is not UNSET:
            field_dict["expires_at"] = expires_at
        if revoked_at is not UNSET:
            field_dict["revoked_at"] = revoked_at
        if is_stopped is not UNSET:
            field_dict["is_stopped"] = is_stopped
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        prefix = d.pop("prefix")

        project = UUID(d.pop("project"))

        project_name = d.pop("project_name")

        models = cast(list[str], d.pop("models"))

        addresses = cast(list[str], d.pop("addresses"))

        endpoints = cast(list[str], d.pop("endpoints"))

        is_expired = d.pop("is_expired")

        def _parse_rotated_to(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                rotated_to_type_0 = UUID(data)

                return rotated_to_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        rotated_to = _parse_rotated_to(d.pop("rotated_to"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        secret = d.pop("secret")

        end_user = d.pop("end_user", UNSET)

        hides_amounts = d.pop("hides_amounts", UNSET)

        def _parse_expires_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)

                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        expires_at = _parse_expires_at(d.pop("expires_at", UNSET))

        def _parse_revoked_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                revoked_at_type_0 = datetime.datetime.fromisoformat(data)

                return revoked_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        revoked_at = _parse_revoked_at(d.pop("revoked_at", UNSET))

        is_stopped = d.pop("is_stopped", UNSET)

        created_by = d.pop("created_by", UNSET)

        new_key_answer = cls(
            id=id,
            name=name,
            prefix=prefix,
            project=project,
            project_name=project_name,
            models=models,
            addresses=addresses,
            endpoints=endpoints,
            is_expired=is_expired,
            rotated_to=rotated_to,
            created_at=created_at,
            secret=secret,
            end_user=end_user,
            hides_amounts=hides_amounts,
            expires_at=expires_at,
            revoked_at=revoked_at,
            is_stopped=is_stopped,
            created_by=created_by,
        )

        new_key_answer.additional_properties = d
        return new_key_answer

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
