from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ProviderCacheAnswer")


@_attrs_define
class ProviderCacheAnswer:
    """The providers' own prompt caches: tokens read and written, and what that saved net of writing.

    Attributes:
        read_tokens (int): tokens that providers read from their caches
        written_tokens (int): tokens that providers wrote to their caches
        saved (str): what it saved, decimal USD
    """

    read_tokens: int
    written_tokens: int
    saved: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        read_tokens = self.read_tokens

        written_tokens = self.written_tokens

        saved = self.saved

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "read_tokens": read_tokens,
                "written_tokens": written_tokens,
                "saved": saved,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        read_tokens = d.pop("read_tokens")

        written_tokens = d.pop("written_tokens")

        saved = d.pop("saved")

        provider_cache_answer = cls(
            read_tokens=read_tokens,
            written_tokens=written_tokens,
            saved=saved,
        )

        provider_cache_answer.additional_properties = d
        return provider_cache_answer

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
