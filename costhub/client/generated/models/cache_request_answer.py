from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.lookup_answer import LookupAnswer


T = TypeVar("T", bound="CacheRequestAnswer")


@_attrs_define
class CacheRequestAnswer:
    """Why a call got the answer that it got. Without a ``lookup`` the kept call was equal, or there was none.

    Attributes:
        request (UUID): the call, by its request id
        cache_status (str): whether the cache answered, and which level of it
        entry (None | UUID): the kept answer, by id; null: there was none
        saved (str): what it saved, decimal USD
        lookup (LookupAnswer | None): how it was compared with what is kept; null: it was not
    """

    request: UUID
    cache_status: str
    entry: None | UUID
    saved: str
    lookup: LookupAnswer | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.lookup_answer import LookupAnswer  # noqa: PLC0415

        request = str(self.request)

        cache_status = self.cache_status

        entry: None | str
        if isinstance(self.entry, UUID):
            entry = str(self.entry)
        else:
            entry = self.entry

        saved = self.saved

        lookup: dict[str, Any] | None
        if isinstance(self.lookup, LookupAnswer):
            lookup = self.lookup.to_dict()
        else:
            lookup = self.lookup

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "request": request,
                "cache_status": cache_status,
                "entry": entry,
                "saved": saved,
                "lookup": lookup,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.lookup_answer import LookupAnswer  # noqa: PLC0415

        d = dict(src_dict)
        request = UUID(d.pop("request"))

        cache_status = d.pop("cache_status")

        def _parse_entry(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                entry_type_0 = UUID(data)

                return entry_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        entry = _parse_entry(d.pop("entry"))

        saved = d.pop("saved")

        def _parse_lookup(data: object) -> LookupAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                lookup_type_0 = LookupAnswer.from_dict(data)

                return lookup_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(LookupAnswer | None, data)

        lookup = _parse_lookup(d.pop("lookup"))

        cache_request_answer = cls(
            request=request,
            cache_status=cache_status,
            entry=entry,
            saved=saved,
            lookup=lookup,
        )

        cache_request_answer.additional_properties = d
        return cache_request_answer

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
