from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="BillSourceAnswer")


@_attrs_define
class BillSourceAnswer:
    """An upstream whose bill is fetched. The key is never shown; ``problem`` is why the last fetch failed.

    Attributes:
        id (UUID): the row's id
        upstream (UUID): an upstream, by id; where it is written also by name
        created_at (datetime.datetime): when it was made
        credential_hint (str | Unset): the last characters of the stored credential
        provider_project (str | Unset): the provider's id of the only project that is billed; empty: all
        fetched_at (datetime.datetime | None | Unset): when the bill was fetched last; null: it was not yet
        problem (str | Unset): why the last fetch failed; empty: it did not
    """

    id: UUID
    upstream: UUID
    created_at: datetime.datetime
    credential_hint: str | Unset = UNSET
    provider_project: str | Unset = UNSET
    fetched_at: datetime.datetime | None | Unset = UNSET
    problem: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        upstream = str(self.upstream)

        created_at = self.created_at.isoformat()

        credential_hint = self.credential_hint

        provider_project = self.provider_project

        fetched_at: None | str | Unset
        if isinstance(self.fetched_at, Unset):
            fetched_at = UNSET
        elif isinstance(self.fetched_at, datetime.datetime):
            fetched_at = self.fetched_at.isoformat()
        else:
            fetched_at = self.fetched_at

        problem = self.problem

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "upstream": upstream,
                "created_at": created_at,
            }
        )
        if credential_hint is not UNSET:
            field_dict["credential_hint"] = credential_hint
        if provider_project is not UNSET:
            field_dict["provider_project"] = provider_project
        if fetched_at is not UNSET:
            field_dict["fetched_at"] = fetched_at
        if problem is not UNSET:
            field_dict["problem"] = problem

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        upstream = UUID(d.pop("upstream"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        credential_hint = d.pop("credential_hint", UNSET)

        provider_project = d.pop("provider_project", UNSET)

        def _parse_fetched_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                fetched_at_type_0 = datetime.datetime.fromisoformat(data)

                return fetched_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        fetched_at = _parse_fetched_at(d.pop("fetched_at", UNSET))

        problem = d.pop("problem", UNSET)

        bill_source_answer = cls(
            id=id,
            upstream=upstream,
            created_at=created_at,
            credential_hint=credential_hint,
            provider_project=provider_project,
            fetched_at=fetched_at,
            problem=problem,
        )

        bill_source_answer.additional_properties = d
        return bill_source_answer

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
