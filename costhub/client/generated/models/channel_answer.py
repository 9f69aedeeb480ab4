from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.channel_kind import ChannelKind
from ..models.digest_enum import DigestEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="ChannelAnswer")


@_attrs_define
class ChannelAnswer:
    """A channel without its secret. ``disabled_reason`` says why it was switched off for its failures.

    The ``url`` of a webhook is a secret itself: whoever may not change channels is shown its origin only.

        Attributes:
            id (UUID): the row's id
            name (str): a name for people
            kind (ChannelKind):
            url (str): The address of a webhook, or its origin; empty for mails.
            quiet_from (None | str): the time of day, in the organisation's zone, from which nothing but the gravest is
                sent; null: none
            quiet_until (None | str): the time of day at which sending begins again; null: none
            failures (int): how many deliveries failed in a row
            failing_since (datetime.datetime | None): since when they fail; null: they do not
            disabled_reason (str): why it was switched off; empty: it was not
            created_at (datetime.datetime): when it was made
            kinds (list[str] | Unset): kinds of alerts that the channel takes; empty: all
            roles (list[str] | Unset): members of which roles are told
            digest (DigestEnum | Unset):
            gets_calls (bool | Unset): whether this webhook is told of calls with deadlines, and of responses in the
                background, when they are out
            gets_changes (bool | Unset): whether this webhook is sent every change that the audit log has
            is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    id: UUID
    name: str
    kind: ChannelKind
    url: str
    quiet_from: None | str
    quiet_until: None | str
    failures: int
    failing_since: datetime.datetime | None
    disabled_reason: str
    created_at: datetime.datetime
    kinds: list[str] | Unset = UNSET
    roles: list[str] | Unset = UNSET
    digest: DigestEnum | Unset = UNSET
    gets_calls: bool | Unset = UNSET
    gets_changes: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        kind = self.kind.value

        url = self.url

        quiet_from: None | str
        quiet_from = self.quiet_from

        quiet_until: None | str
        quiet_until = self.quiet_until

        failures = self.failures

        failing_since: None | str
        if isinstance(self.failing_since, datetime.datetime):
            failing_since = self.failing_since.isoformat()
        else:
            failing_since = self.failing_since

        disabled_reason = self.disabled_reason

        created_at = self.created_at.isoformat()

        kinds: list[str] | Unset = UNSET
        if not isinstance(self.kinds, Unset):
            kinds = self.kinds

        roles: list[str] | Unset = UNSET
        if not isinstance(self.roles, Unset):
            roles = self.roles

        digest: str | Unset = UNSET
        if not isinstance(self.digest, Unset):
            digest = self.digest.value

        gets_calls = self.gets_calls

        gets_changes = self.gets_changes

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "kind": kind,
                "url": url,
                "quiet_from": quiet_from,
                "quiet_until": quiet_until,
                "failures": failures,
                "failing_since": failing_since,
                "disabled_reason": disabled_reason,
                "created_at": created_at,
            }
        )
        if kinds is not UNSET:
            field_dict["kinds"] = kinds
        if roles is not UNSET:
            field_dict["roles"] = roles
        if digest is not UNSET:
            field_dict["digest"] = digest
        if gets_calls is not UNSET:
            field_dict["gets_calls"] = gets_calls
        if gets_changes is not UNSET:
            field_dict["gets_changes"] = gets_changes
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        kind = ChannelKind(d.pop("kind"))

        url = d.pop("url")

        def _parse_quiet_from(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        quiet_from = _parse_quiet_from(d.pop("quiet_from"))

        def _parse_quiet_until(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        quiet_until = _parse_quiet_until(d.pop("quiet_until"))

        failures = d.pop("failures")

        def _parse_failing_since(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                failing_since_type_0 = datetime.datetime.fromisoformat(data)

                return failing_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        failing_since = _parse_failing_since(d.pop("failing_since"))

        disabled_reason = d.pop("disabled_reason")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        kinds = cast(list[str], d.pop("kinds", UNSET))

        roles = cast(list[str], d.pop("roles", UNSET))

        _digest = d.pop("digest", UNSET)
        digest: DigestEnum | Unset
        if isinstance(_digest, Unset):
            digest = UNSET
        else:
            digest = DigestEnum(_digest)

        gets_calls = d.pop("gets_calls", UNSET)

        gets_changes = d.pop("gets_changes", UNSET)

        is_active = d.pop("is_active", UNSET)

        channel_answer = cls(
            id=id,
            name=name,
            kind=kind,
            url=url,
            quiet_from=quiet_from,
            quiet_until=quiet_until,
            failures=failures,
            failing_since=failing_since,
            disabled_reason=disabled_reason,
            created_at=created_at,
            kinds=kinds,
            roles=roles,
            digest=digest,
            gets_calls=gets_calls,
            gets_changes=gets_changes,
            is_active=is_active,
        )

        channel_answer.additional_properties = d
        return channel_answer

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
