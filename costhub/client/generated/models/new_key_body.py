from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewKeyBody")


@_attrs_define
class NewKeyBody:
    """What a key is made of; ``project`` and ``models`` by name or id.

    Attributes:
        name (str): a name for people
        project (None | str | Unset): a project, by id; where it is written also by name
        end_user (str | Unset): on whose behalf calls are made, as the application names them
        models (list[str] | Unset): the models that the key may ask for, by name; empty: all
        addresses (list[str] | Unset): networks that it may be used from, such as 203.0.113.0/24
        endpoints (list[str] | Unset): paths that it may call with all below them, such as /v1/chat/completions
        hides_amounts (bool | Unset): whether its callers are told no amounts of money: no cost, no price, budgets in
            per cent
        expires_at (datetime.datetime | None | Unset): from when on it is refused or gone; null: never
    """

    name: str
    project: None | str | Unset = UNSET
    end_user: str | Unset = UNSET
    models: list[str] | Unset = UNSET
    addresses: list[str] | Unset = UNSET
    endpoints: list[str] | Unset = UNSET
    hides_amounts: bool | Unset = UNSET
    expires_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        project: None | str | Unset
        if isinstance(self.project, Unset):
            project = UNSET
        else:
            project = self.project

        end_user = self.end_user

        models: list[str] | Unset = UNSET
        if not isinstance(self.models, Unset):
            models = self.models

        addresses: list[str] | Unset = UNSET
        if not isinstance(self.addresses, Unset):
            addresses = self.addresses

        endpoints: list[str] | Unset = UNSET
        if not isinstance(self.endpoints, Unset):
            endpoints = self.endpoints

        hides_amounts = self.hides_amounts

        expires_at: None | str | Unset
        if isinstance(self.expires_at, Unset):
            expires_at = UNSET
        elif isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
            }
        )
        if project is not UNSET:
            field_dict["project"] = project
        if end_user is not UNSET:
            field_dict["end_user"] = end_user
        if models is not UNSET:
            field_dict["models"] = models
        if addresses is not UNSET:
            field_dict["addresses"] = addresses
        if endpoints is not UNSET:
            field_dict["endpoints"] = endpoints
        if hides_amounts is not UNSET:
            field_dict["hides_amounts"] = hides_amounts
        if expires_at is not UNSET:
            field_dict["expires_at"] = expires_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        def _parse_project(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        project = _parse_project(d.pop("project", UNSET))

        end_user = d.pop("end_user", UNSET)

        models = cast(list[str], d.pop("models", UNSET))

        addresses = cast(list[str], d.pop("addresses", UNSET))

        endpoints = cast(list[str], d.pop("endpoints", UNSET))

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

        new_key_body = cls(
            name=name,
            project=project,
            end_user=end_user,
            models=models,
            addresses=addresses,
            endpoints=endpoints,
            hides_amounts=hides_amounts,
            expires_at=expires_at,
        )

        new_key_body.additional_properties = d
        return new_key_body

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
