from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.alert_kind import AlertKind
from ..models.channel_kind import ChannelKind
from ..models.digest_enum import DigestEnum
from ..models.role import Role
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewChannel")


@_attrs_define
class NewChannel:
    """What a channel is made of: ``roles`` for mails, ``url`` for a webhook. Without ``kinds`` it takes all.

    Attributes:
        kind (ChannelKind):
        name (str): a name for people
        kinds (list[AlertKind] | Unset): kinds of alerts that the channel takes; empty: all
        roles (list[Role] | Unset): members of which roles are told
        url (str | Unset): where the channel sends to; never shown, it may hold a secret
        digest (DigestEnum | Unset):
        gets_calls (bool | Unset): whether this webhook is told of calls with deadlines, and of responses in the
            background, when they are out
        gets_changes (bool | Unset): whether this webhook is sent every change that the audit log has
        quiet_from (None | str | Unset): the time of day, in the organisation's zone, from which nothing but the gravest
            is sent; null: none
        quiet_until (None | str | Unset): the time of day at which sending begins again; null: none
    """

    kind: ChannelKind
    name: str
    kinds: list[AlertKind] | Unset = UNSET
    roles: list[Role] | Unset = UNSET
    url: str | Unset = UNSET
    digest: DigestEnum | Unset = UNSET
    gets_calls: bool | Unset = UNSET
    gets_changes: bool | Unset = UNSET
    quiet_from: None | str | Unset = UNSET
    quiet_until: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        name = self.name

        kinds: list[str] | Unset = UNSET
        if not isinstance(self.kinds, Unset):
            kinds = []
            for kinds_item_data in self.kinds:
                kinds_item = kinds_item_data.value
                kinds.append(kinds_item)

        roles: list[str] | Unset = UNSET
        if not isinstance(self.roles, Unset):
            roles = []
            for roles_item_data in self.roles:
                roles_item = roles_item_data.value
                roles.append(roles_item)

        url = self.url

        digest: str | Unset = UNSET
        if not isinstance(self.digest, Unset):
            digest = self.digest.value

        gets_calls = self.gets_calls

        gets_changes = self.gets_changes

        quiet_from: None | str | Unset
        if isinstance(self.quiet_from, Unset):
            quiet_from = UNSET
        else:
            quiet_from = self.quiet_from

        quiet_until: None | str | Unset
        if isinstance(self.quiet_until, Unset):
            quiet_until = UNSET
        else:
            quiet_until = self.quiet_until

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
                "name": name,
            }
        )
        if kinds is not UNSET:
            field_dict["kinds"] = kinds
        if roles is not UNSET:
            field_dict["roles"] = roles
        if url is not UNSET:
            field_dict["url"] = url
        if digest is not UNSET:
            field_dict["digest"] = digest
        if gets_calls is not UNSET:
            field_dict["gets_calls"] = gets_calls
        if gets_changes is not UNSET:
            field_dict["gets_changes"] = gets_changes
        if quiet_from is not UNSET:
            field_dict["quiet_from"] = quiet_from
        if quiet_until is not UNSET:
            field_dict["quiet_until"] = quiet_until

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = ChannelKind(d.pop("kind"))

        name = d.pop("name")

        _kinds = d.pop("kinds", UNSET)
        kinds: list[AlertKind] | Unset = UNSET
        if _kinds is not UNSET:
            kinds = []
            for kinds_item_data in _kinds:
                kinds_item = AlertKind(kinds_item_data)

                kinds.append(kinds_item)

        _roles = d.pop("roles", UNSET)
        roles: list[Role] | Unset = UNSET
        if _roles is not UNSET:
            roles = []
            for roles_item_data in _roles:
                roles_item = Role(roles_item_data)

                roles.append(roles_item)

        url = d.pop("url", UNSET)

        _digest = d.pop("digest", UNSET)
        digest: DigestEnum | Unset
        if isinstance(_digest, Unset):
            digest = UNSET
        else:
            digest = DigestEnum(_digest)

        gets_calls = d.pop("gets_calls", UNSET)

        gets_changes = d.pop("gets_changes", UNSET)

        def _parse_quiet_from(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        quiet_from = _parse_quiet_from(d.pop("quiet_from", UNSET))

        def _parse_quiet_until(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        quiet_until = _parse_quiet_until(d.pop("quiet_until", UNSET))

        new_channel = cls(
            kind=kind,
            name=name,
            kinds=kinds,
            roles=roles,
            url=url,
            digest=digest,
            gets_calls=gets_calls,
            gets_changes=gets_changes,
            quiet_from=quiet_from,
            quiet_until=quiet_until,
        )

        new_channel.additional_properties = d
        return new_channel

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
